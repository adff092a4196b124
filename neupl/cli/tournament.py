"""`neupl tournament`: strategies of any kind against each other, with ratings and replays."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from neupl.cli.options import Flag, OutputOptions, WorkerOptions
from neupl.cli.output import print_json, print_table

if TYPE_CHECKING:
    from evaluation.pages.tournament_content import TournamentReport
    from neupl.tournament_run import Played, TournamentSettings

PAGE_FILE, REPLAYS_PAGE = "index.html", "replays.html"
# Replays that fit into one page; all are kept as files.
MAX_PAGE_REPLAYS = 200


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tournament(WorkerOptions, OutputOptions):
    """Plays strategies against each other: payoffs with standard errors, ratings with intervals.

    Entrants are `RUN#k`, `RUN#nash` and `RUN#all` of runs, solves and population folders (`RUN`
    alone is its Nash mixture), `openspiel:random`, `openspiel:mcts`, and `bot:NAME`: a bot of the
    game or `package.module:function`. Every seed is played in all seatings. Payoffs between tables
    of a game that fits into a tree are computed exactly instead of played. What an entrant does
    wrong is its own loss. A tournament that was stopped goes on with `neupl tournament --out DIR`.
    """

    entrants: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[ENTRANT ...]")
    ] = ()
    """Who takes part."""

    game: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """The game; see `neupl games`."""

    format: Literal["round-robin", "gauntlet", "swiss", "sprt", "uncertain"] = "round-robin"
    """Who meets whom. Gauntlet: the first entrant meets all others. Swiss: rounds of entrants with
    equal scores. Sprt: two entrants until it is decided which hypothesis of --elo holds. Uncertain:
    a round robin whose --budget goes to the payoffs that are known least."""

    games: Annotated[int, tyro.conf.arg(metavar="N")] = 256
    """Games of each seating, rounded up to whole batches; sprt: at most, uncertain: at first."""

    batch: Annotated[int, tyro.conf.arg(metavar="N")] = 64
    """Games played side by side; another batch gives other games."""

    sampled: Flag = False
    """Play every group, also where the payoffs follow exactly from the game's tree."""

    replays: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Keep the first N games of each seating as replays, and a page that plays them."""

    move_limit_s: Annotated[float | None, tyro.conf.arg(metavar="S")] = None
    """Seconds that a decision may take; more is a loss. Results then depend on the machine. Without
    it nothing is limited but bots of your own, which lose after a minute without an answer."""

    rounds: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Swiss: rounds, by default the binary logarithm of the number of entrants."""

    budget: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Uncertain: games in all."""

    error: Annotated[float, tyro.conf.arg(metavar="X")] = 0.0
    """Uncertain: standard error that is small enough, in game points."""

    elo: Annotated[tuple[float, float], tyro.conf.arg(metavar="LOW HIGH")] = (0.0, 20.0)
    """Sprt: how much stronger the first entrant is, in Elo points, by each hypothesis."""

    seed: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Seed of everything random."""

    max_nodes: Annotated[int, tyro.conf.arg(metavar="N")] = 5_000_000
    """Largest game tree to compile, in nodes; larger games are played on OpenSpiel's states."""

    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Folder to create, or to continue; by default a new one under `tournaments/`."""


def run(command: Tournament) -> int:
    """Plays, rates, and writes the folder."""
    workers = command.make_workers()
    from evaluation.pages.tournament_content import tournament_content
    from neupl.tournament_folder import free_tournament_folder
    from neupl.tournament_run import run_tournament

    settings = _settings(command)
    path = command.out or free_tournament_folder(settings.game)
    played = run_tournament(settings, path, workers=workers, quiet=command.quiet)
    report = _report(played)
    files = write_report(path, report)
    if command.json:
        print_json(
            {
                **tournament_content(report),
                "incidents": dataclasses.asdict(workers.incidents),
                "folder": str(path),
                "files": files,
            }
        )
    else:
        _print(report, path, workers.incidents.describe())
    return 0


def _settings(command: Tournament) -> "TournamentSettings":
    from neupl.errors import UserError
    from neupl.tournament_folder import read_settings
    from neupl.tournament_run import TournamentSettings, settings_of_json

    if not command.entrants:
        known = read_settings(command.out) if command.out else None
        if known is None:
            raise UserError(
                "nobody takes part",
                hint="name entrants and --game, or continue a tournament with --out DIR",
            )
        return settings_of_json(known)
    if command.game is None:
        raise UserError("--game NAME is missing", hint="see `neupl games`")
    names = {field.name for field in dataclasses.fields(TournamentSettings)}
    return TournamentSettings(**{name: getattr(command, name) for name in names})


def _report(played: "Played") -> "TournamentReport":
    from evaluation.pages.tournament_content import TournamentReport
    from neupl.tournament_run import settings_json

    return TournamentReport(
        game=played.settings.game,
        names=tuple(entrant.name for entrant in played.entrants),
        tally=played.tally,
        standings=played.standings,
        settings=settings_json(played.settings),
        test=played.test,
    )


def write_report(path: Path, report: "TournamentReport") -> list[str]:
    """Writes everything that follows from the games; the page names the others and comes last."""
    from evaluation.pages.replay_page import replay_page
    from evaluation.pages.tournament_content import tournament_files
    from evaluation.pages.tournament_page import tournament_page
    from evaluation.replay import SUFFIX, parse_replay
    from neupl.durable_files import write_durably
    from neupl.tournament_folder import REPLAYS

    files = tournament_files(report)
    kept = sorted((path / REPLAYS).glob(f"*{SUFFIX}"))
    if kept:
        replays = []
        for file in kept[:MAX_PAGE_REPLAYS]:
            replay = parse_replay(file.read_bytes(), str(file))
            replays.append((f"{', '.join(replay.seats)} ({file.name})", replay))
        files[REPLAYS_PAGE] = replay_page(replays, of=len(kept)).encode()
    files[PAGE_FILE] = tournament_page(report, files=tuple(files)).encode()
    for name, content in files.items():
        write_durably(path / name, content)
    return [str(path / name) for name in files]


def _print(report: "TournamentReport", path: Path, incidents: str) -> None:
    from evaluation.pages.page import seen
    from evaluation.pages.rating_report import rating_text

    own, tally = report.standings, report.tally
    if own.results:
        first, ranks = own.results[0], own.results[0].ranks()
        header = ["rank", "entrant"]
        for result, uncertainty in zip(own.results, own.uncertainties, strict=True):
            header += [result.method] + ([] if uncertainty is None else ["95 %"])
        rows = []
        for k in map(int, first.order()):
            row = [ranks[k], seen(first.models[k])]
            for result, uncertainty in zip(own.results, own.uncertainties, strict=True):
                row.append(rating_text(result, result.ratings[k]))
                if uncertainty is not None:
                    ends = (uncertainty.low[k], uncertainty.high[k])
                    row.append(" to ".join(rating_text(result, end) for end in ends))
            rows.append(row)
        print_table(rows, header=header)
        print()
    exact = sum(map(tally.is_exact, tally.groups()))
    facts = [
        ("game", report.game),
        ("played", f"{tally.num_games:,} games, {tally.num_decisions:,} decisions"),
        ("exact", f"payoffs of {exact:,} of {len(tally.groups()):,} groups"),
    ]
    facts += [(result.method, result.unit) for result in own.results]
    if own.transitivity is not None:
        facts.append(("cycles", f"{100 * own.transitivity.cyclic:.1f} % of the squared payoffs"))
    for one in own.comparisons:
        ends = "exact" if one.interval is None else "{:.4g} to {:.4g}".format(*one.interval)
        words = f"{one.value + 0.0:.5g} ({ends}) of {one.first} against {one.second}"
        facts.append(("relative performance", words))
    if report.test is not None:
        accepted = report.test.accepted or "neither hypothesis"
        facts.append(("sprt", f"{accepted} accepted after {report.test.seedings:,} pairs of games"))
    if lost := tally.forfeits():
        facts.append(("forfeits", f"{len(lost):,} games; see the page"))
    facts += [("note", note) for note in own.notes]
    facts += [("workers", incidents)] if incidents else []
    facts.append(("page", str(path / PAGE_FILE)))
    print_table(facts)
