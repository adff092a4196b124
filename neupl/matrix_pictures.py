"""Pictures of payoffs and of the interaction graph: coloured matrices."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from neupl.figures import GREY, MAX_WRITTEN, figure_style, new_figure, png_bytes, share_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

IMAGE_INCHES = (6.4, 5.6)
_ABSENT = "#DDDDDD"


def payoff_image(payoffs: Float[np.ndarray, "..."], *, player: int = 0, num_admitted: int) -> bytes:
    """Draws what a seat's strategies earn against those of its first co-player, as a PNG.

    With more than two players the other co-players mix their admitted strategies uniformly, and
    the title says so. Strategies that are not admitted are grey.

    Args:
      payoffs: `[K, ..., K, P]`, in game points.
      player: whose payoffs and whose strategies in the rows.
      num_admitted: strategies per seat in the population, from 1 to `K`.

    Raises:
      ValueError: a payoff is not finite, or a shape, seat or count is impossible.
    """
    matrix = payoff_matrix(payoffs, player=player, num_admitted=num_admitted)
    with figure_style():
        figure = new_figure(IMAGE_INCHES)
        axes = figure.add_axes((0.12, 0.11, 0.72, 0.75))
        draw_payoffs(axes, matrix, num_players=payoffs.shape[-1], player=player)
        return png_bytes(figure)


def graph_image(joint: Float[np.ndarray, "P K M"], *, player: int = 0, num_admitted: int) -> bytes:
    """Draws the interaction graph of a seat as a PNG: row `i` is what strategy `i` responds to.

    With more than two players the marginals over each co-player stand side by side. Strategies that
    are not admitted are grey.

    Args:
      joint: `[P, K, M]` distributions over the `M = K ** (P - 1)` profiles of the co-players, in
        ascending seat order, last co-player fastest; a zero row responds to nothing.
      player: whose strategies respond.
      num_admitted: strategies per seat in the population, from 1 to `K`.

    Raises:
      ValueError: a probability is negative or not finite, or a shape, seat or count is impossible.
    """
    marginals = coplayer_marginals(joint, player=player)
    _check_count(num_admitted, joint.shape[1])
    panels = [
        (player, coplayer, _hide_absent(matrix, num_admitted))
        for coplayer, matrix in marginals.items()
    ]
    width, height = IMAGE_INCHES
    inches = (width + (len(panels) - 1) * 0.75 * width, height)
    with figure_style():
        figure = new_figure(inches)
        part = figure.add_gridspec(
            1, 1, left=0.8 / inches[0], right=1 - 1.0 / inches[0], bottom=0.11, top=0.86
        )[0]
        draw_graphs(figure, part, panels, num_rows=1)
        return png_bytes(figure)


def payoff_matrix(
    payoffs: Float[np.ndarray, "..."], *, player: int, num_admitted: int
) -> np.ma.MaskedArray:
    """`[K, K]`: own strategies by the first co-player's, the others uniform; masked if absent."""
    num_players, num_strategies = payoffs.shape[-1], payoffs.shape[0]
    if num_players < 2 or payoffs.shape[:-1] != (num_strategies,) * num_players:
        raise ValueError(f"payoffs have shape {payoffs.shape}, expected [K, ..., K, P] with P > 1")
    if not np.isfinite(payoffs).all():
        raise ValueError("payoffs contain NaN or infinite numbers")
    _check_player(player, num_players)
    _check_count(num_admitted, num_strategies)
    own = np.moveaxis(payoffs[..., player], player, 0)
    others = tuple(range(2, num_players))
    mean = own[(slice(None), slice(None), *(slice(num_admitted) for _ in others))].mean(axis=others)
    return _hide_absent(mean, num_admitted)


def coplayer_marginals(
    joint: Float[np.ndarray, "P K M"], *, player: int
) -> dict[int, Float[np.ndarray, "K K"]]:
    """By co-player, the mixture over its strategies that each strategy of `player` responds to."""
    num_players, num_strategies, num_profiles = joint.shape
    if num_players < 2 or num_profiles != num_strategies ** (num_players - 1):
        raise ValueError(f"joint has shape {joint.shape}, expected [P, K, K ** (P - 1)] with P > 1")
    check_probabilities("joint", joint)
    _check_player(player, num_players)
    rows = joint[player].reshape((num_strategies,) * num_players)
    coplayers = [seat for seat in range(num_players) if seat != player]
    axes = range(1, num_players)
    return {
        seat: rows.sum(axis=tuple(other for other in axes if other != axis))
        for axis, seat in zip(axes, coplayers, strict=True)
    }


def _hide_absent(matrix: Float[np.ndarray, "K K"], num_admitted: int) -> np.ma.MaskedArray:
    absent = np.arange(len(matrix)) >= num_admitted
    return np.ma.array(matrix, mask=absent[:, None] | absent)


def _check_player(player: int, num_players: int) -> None:
    if not 0 <= player < num_players:
        raise ValueError(f"player is {player}, allowed are 0 to {num_players - 1}")


def _check_count(num_admitted: int, num_strategies: int) -> None:
    if not 1 <= num_admitted <= num_strategies:
        raise ValueError(f"num_admitted is {num_admitted}, allowed are 1 to {num_strategies}")


def check_probabilities(name: str, probabilities: Float[np.ndarray, "..."]) -> None:
    if not (np.isfinite(probabilities).all() and (probabilities >= -1e-6).all()):
        raise ValueError(f"{name} contains negative, NaN or infinite probabilities")


def draw_payoffs(axes: "Axes", matrix: np.ma.MaskedArray, *, num_players: int, player: int) -> None:
    coplayer, *others = [seat for seat in range(num_players) if seat != player]
    # Zero is always white: red loses, blue wins.
    limit = float(np.abs(matrix).max()) or 1.0
    image = _draw_matrix(axes, matrix, colours="RdBu", limits=(-limit, limit), write=_payoff_text)
    axes.set_title(f"Payoff of seat {player} (points)", pad=26 if others else 10)
    if others:
        seats = f"seats {', '.join(map(str, others))}" if len(others) > 1 else f"seat {others[0]}"
        words = f"mean over {seats} mixing uniformly"
        axes.text(0, 1.025, words, transform=axes.transAxes, color=GREY)
    axes.set_xlabel(f"strategy of seat {coplayer}")
    axes.set_ylabel(f"strategy of seat {player}")
    _add_colour_bar(axes, image)


def draw_graphs(
    figure: "Figure",
    part: Any,
    panels: Sequence[tuple[int, int, np.ma.MaskedArray]],
    *,
    num_rows: int,
) -> None:
    """One panel for each (player, co-player, marginals) in a part of the figure."""
    num_columns = len(panels) // num_rows
    grid = part.subgridspec(num_rows, num_columns, wspace=0.3, hspace=0.55)
    small = len(panels) > 2
    for index, (player, coplayer, matrix) in enumerate(panels):
        axes = figure.add_subplot(grid[divmod(index, num_columns)])
        image = _draw_matrix(
            axes, matrix, colours="Purples", limits=(0.0, 1.0), write=share_text, small=small
        )
        axes.set_title(
            f"Seat {player} meets seat {coplayer}"
            if small
            else f"Interaction graph of seat {player}",
            fontsize=12 if small else None,
        )
        axes.set_xlabel(f"mixture of seat {coplayer}")
        axes.set_ylabel(f"strategy of seat {player}")
        if index == len(panels) - 1:
            _add_colour_bar(axes, image)


def _draw_matrix(
    axes: "Axes",
    matrix: np.ma.MaskedArray,
    *,
    colours: str,
    limits: tuple[float, float],
    write: Any,
    small: bool = False,
) -> "AxesImage":
    """Coloured cells, with their numbers in them while there is room."""
    import matplotlib
    from matplotlib.ticker import MaxNLocator

    palette = matplotlib.colormaps[colours].with_extremes(bad=_ABSENT)
    image = axes.imshow(
        matrix, cmap=palette, vmin=limits[0], vmax=limits[1], interpolation="nearest"
    )
    size = len(matrix)
    if size <= (MAX_WRITTEN // 2 if small else MAX_WRITTEN):
        for (row, column), number in np.ndenumerate(matrix):
            if not np.ma.is_masked(matrix[row, column]):
                dark = _lightness(image.to_rgba(number)) < 0.5
                axes.text(
                    column,
                    row,
                    write(number),
                    ha="center",
                    va="center",
                    color="white" if dark else "black",
                    fontsize=10 if small or size > 6 else 12,
                )
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=5 if small else 9, integer=True, min_n_ticks=1))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(True)
    axes.spines[:].set_color("#BBBBBB")
    return image


def _lightness(rgba: Iterable[float]) -> float:
    red, green, blue, _ = rgba
    return 0.299 * red + 0.587 * green + 0.114 * blue


def _payoff_text(payoff: float) -> str:
    digits = 2 if abs(payoff) < 10 else 1 if abs(payoff) < 100 else 0
    return f"{round(payoff, digits) + 0.0:.{digits}f}"


def _add_colour_bar(axes: "Axes", image: "AxesImage") -> None:
    bar = axes.figure.colorbar(image, ax=[], cax=axes.inset_axes((1.04, 0, 0.04, 1)))
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=10)
