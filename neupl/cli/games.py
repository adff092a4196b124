"""`neupl games`: lists the games, or describes one."""

import dataclasses
from typing import TYPE_CHECKING, Annotated

import tyro

from neupl.cli.options import OutputOptions
from neupl.cli.output import print_json, print_table

if TYPE_CHECKING:
    from games.catalogue import GameDescription, GameSummary


@dataclasses.dataclass(frozen=True, kw_only=True)
class Games(OutputOptions):
    """Lists the games, or describes one: players, utility, size, exact verification.

    A game is an OpenSpiel string such as `kuhn_poker(players=3)`, `running_with_scissors`, a payoff
    file (.nfg, .json, .npz, .npy), or `package.module:make`. A described game is compiled where it
    can be, and kept in the cache that `neupl doctor` names.
    """

    name: Annotated[str | None, tyro.conf.arg(metavar="[NAME]"), tyro.conf.Positional] = None
    """The game to describe; without it, all games are listed."""

    max_nodes: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Largest game tree to compile, in nodes; by default 5 million."""


def run(command: Games) -> int:
    """Prints the list or the description."""
    if command.name is None:
        _list(command)
    else:
        _describe(command, command.name)
    return 0


def _list(command: Games) -> None:
    from games import list_games

    summaries = list_games(**_limit(command))
    if command.json:
        print_json({"games": [dataclasses.asdict(summary) for summary in summaries]})
        return
    rows = map(_summary_row, summaries)
    print_table(rows, header=("game", "players", "utility", "dynamics", "chance", "exact"))


def _describe(command: Games, name: str) -> None:
    from games import describe_game
    from neupl.progress import Progress

    with Progress(f"compiling {name}", quiet=command.quiet, patience_s=1.0) as progress:
        description = describe_game(
            name, progress=lambda nodes: progress.update(nodes, None), **_limit(command)
        )
    if command.json:
        content = dataclasses.asdict(description)
        print_json({**content, "payoff_range": description.payoff_range})
    else:
        print_table(_description_rows(description))


def _limit(command: Games) -> dict[str, int]:
    return {} if command.max_nodes is None else {"max_nodes": command.max_nodes}


def _summary_row(summary: "GameSummary") -> tuple[str, ...]:
    least, most = summary.min_players, summary.max_players
    return (
        summary.name,
        str(least) if least == most else f"{least}-{most}",
        summary.utility.replace("_", "-"),
        summary.dynamics,
        summary.chance,
        "yes" if summary.exact is None else f"no: {_headline(summary.exact, summary.name)}",
    )


def _headline(reason: str, name: str) -> str:
    """The first clause of a reason; the whole of it is shown when the game is described."""
    return reason.removeprefix(f"{name} ").split("; ")[0].split(", ")[0].split(": ")[0]


def _description_rows(game: "GameDescription") -> list[tuple[str, str]]:
    rows = [
        ("game", game.name),
        ("players", _players(game)),
        ("utility", game.utility.replace("_", "-")),
        ("returns", f"{game.min_return:g} to {game.max_return:g} game points"),
        ("actions", _per_seat(game.num_actions, "numbers" if game.continuous else "actions")),
        ("observation", _per_seat(game.observation_size, "floats")),
    ]
    if game.observation_kind is not None:
        rows.append(("observation from", game.observation_kind.replace("_", " ")))
    if game.num_nodes is not None:
        rows.append(("nodes", f"{game.num_nodes:,}, of which {game.num_terminals:,} terminal"))
        rows.append(("information states", _per_seat(game.num_infosets, "states")))
    if game.missing is not None:
        rows.append(("to play it", game.missing))
    rows.append(("exact verification", "yes" if game.exact is None else f"no: {game.exact}"))
    return rows


def _players(game: "GameDescription") -> str:
    if not game.seat_players:
        return str(game.num_players)
    teams = max(game.seat_players) + 1
    return f"{teams} teams of {game.num_players // teams} seats"


def _per_seat(sizes: tuple[int, ...], unit: str) -> str:
    if len(set(sizes)) == 1:
        return f"{sizes[0]:,} {unit} per seat"
    return f"{', '.join(f'{size:,}' for size in sizes)} {unit} by seat"
