"""What a player alone is worth: nobody is there to respond, so that its certificate is no gap but
the mean return of episodes.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from neupl.durable_files import write_durably
from neupl.figures import figure_style, new_figure, png_bytes, series, shorten
from neupl.training_state import Snapshot
from neupl.verification import Verification
from solvers.types import Certificate

INCHES = (14.0, 6.5)
# Standard errors on either side of a 95 % interval.
INTERVAL = 1.96


def return_certificate(best: Snapshot, *, game: str, name: str) -> Verification:
    """The mean return of the strategy that was kept, in episodes of its own; estimated, with an
    interval of 95 %.
    """
    value, error = float(best.payoffs[0, 0]), float(best.payoff_errors[0, 0])
    certificate = Certificate(
        quantity="mean_return",
        value=value,
        per_player=(value,),
        object=f"strategy of {name}, {int(best.episodes)} episodes",
        method="sampled",
        interval=(value - INTERVAL * error, value + INTERVAL * error),
        openspiel_value=None,
        game=game,
        seconds=0.0,
    )
    return Verification(certificate, None)


def save_return_curve(
    path: Path,
    *,
    game: str,
    metrics: Sequence[Mapping[str, Any]],
    certificate: Certificate,
    payoff_range: float,
    method: str,
) -> None:
    """Writes the picture of a run of one player, mean return over steps, as a PNG of 1400 x 650
    pixels, whole or not at all.

    Raises:
      OSError: the file cannot be written; an old one is untouched.
    """
    from matplotlib.ticker import MaxNLocator

    steps, values = series(metrics, "eval/mean_return")
    low, high = certificate.interval or (certificate.value, certificate.value)
    words = f"mean return {certificate.value:.4g} points, estimated, 95 % interval {low:.4g} to "
    words += f"{high:.4g} (payoff range {payoff_range:g})"
    with figure_style():
        figure = new_figure(INCHES)
        for height, line_words, size, weight in (
            (0.925, shorten(game, 80), 22, "bold"),
            (0.865, words, 15, "bold"),
            (0.815, shorten(f"{certificate.object}: {method}", 150), 12, "normal"),
        ):
            line = figure.text(0.03, height, line_words, fontsize=size, fontweight=weight)
            line.set_parse_math(False)
        axes = figure.add_axes((0.075, 0.115, 0.89, 0.60))
        axes.plot(steps, values, color="#0072B2", linewidth=2.2)
        axes.axhspan(low, high, color="black", alpha=0.1, linewidth=0)
        axes.axhline(certificate.value, color="black", linestyle="--", linewidth=1.4)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
        axes.set_xlabel("batches of episodes")
        axes.set_title("Mean return (points) while training, dashed: as certified")
        png = png_bytes(figure)
    write_durably(path, png)
