"""Runs a tournament: entrants, schedule, games by an injected map, a log that survives a kill, and
what is made of it at the end.
"""

import dataclasses
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from evaluation.tournament.items import Item, ItemResult, Setup, play_item
from evaluation.tournament.schedule import (
    Schedule,
    Sequential,
    SequentialTest,
    Swiss,
    Uncertain,
    gauntlet,
    round_robin,
)
from evaluation.tournament.standings import Standings, standings
from evaluation.tournament.tally import Tally, exact_meetings
from evaluation.tournament.types import Entrant, all_groups
from games.registry import load_lanes
from games.teams import by_player
from games.tree_lanes import TreeLanes
from games.types import GameInfo
from neupl.entrants import fingerprints, make_entrants
from neupl.errors import Interrupted, UserError
from neupl.interrupts import StopRequest, interrupts_handled_by
from neupl.progress import Progress
from neupl.tournament_folder import TournamentFolder
from neupl.workers import THIS_PROCESS, Workers

Format = Literal["round-robin", "gauntlet", "swiss", "sprt", "uncertain"]

# Groups of a round robin beyond which one must be meant otherwise.
MAX_GROUPS = 20_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class TournamentSettings:
    """What a tournament is; the same settings are the same games.

    Attributes:
      game: what `games.load_lanes` accepts.
      entrants: as they were named.
      format: who meets whom.
      games: of each seating of each group at least, rounded up to whole batches.
      batch: games that are played side by side.
      seed: of everything random.
      sampled: whether groups are played whose payoffs are known exactly.
      replays: games of each seating that are kept.
      move_limit_s: seconds a decision may take.
      rounds: of a Swiss tournament.
      budget: games in all of a tournament that follows uncertainty.
      error: standard error that is small enough there, in game points.
      elo: the two hypotheses of a sequential test.
      max_nodes: largest tree that the game may have to be compiled.
    """

    game: str
    entrants: tuple[str, ...]
    format: Format = "round-robin"
    games: int = 256
    batch: int = 64
    seed: int = 0
    sampled: bool = False
    replays: int = 0
    move_limit_s: float | None = None
    rounds: int | None = None
    budget: int | None = None
    error: float = 0.0
    elo: tuple[float, float] = (0.0, 20.0)
    max_nodes: int = 5_000_000

    def __post_init__(self) -> None:
        """Raises `UserError` where a number is impossible."""
        for name, least in (("games", 1), ("batch", 1), ("replays", 0), ("error", 0), ("seed", 0)):
            if getattr(self, name) < least:
                raise UserError(f"--{name} is {getattr(self, name)}, expected at least {least}")
        if self.replays > self.batch:
            raise UserError(f"--replays is {self.replays}, expected at most --batch {self.batch}")
        if self.move_limit_s is not None and not self.move_limit_s > 0:
            raise UserError(f"--move-limit-s is {self.move_limit_s}, expected more than 0")
        if not self.elo[0] < self.elo[1]:
            raise UserError(f"--elo is {self.elo}: the second must be greater than the first")
        if self.rounds is not None and self.rounds < 1:
            raise UserError(f"--rounds is {self.rounds}, expected at least 1")


@dataclasses.dataclass(frozen=True, eq=False)
class Played:
    """A tournament that is over.

    Attributes:
      settings: what it was.
      info: of the game.
      entrants: in their order.
      tally: all games, and what is exact.
      standings: ratings.
      test: where a sequential test ended; `None` of other formats.
    """

    settings: TournamentSettings
    info: GameInfo
    entrants: tuple[Entrant, ...]
    tally: Tally
    standings: Standings
    test: SequentialTest | None


def settings_json(settings: TournamentSettings) -> dict[str, Any]:
    """The settings as the folder keeps them, with hashes of the populations."""
    content = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in dataclasses.asdict(settings).items()
    }
    return content | {"populations": fingerprints(settings.entrants)}


def settings_of_json(content: dict[str, Any]) -> TournamentSettings:
    """The settings that a folder keeps.

    Raises:
      UserError: they are not those of a tournament.
    """
    names = {field.name for field in dataclasses.fields(TournamentSettings)}
    given = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in content.items()
        if name in names
    }
    try:
        return TournamentSettings(**given)
    except TypeError as error:
        raise UserError(f"these are no settings of a tournament: {error}") from error


def run_tournament(
    settings: TournamentSettings,
    path: Path,
    *,
    workers: Workers = THIS_PROCESS,
    quiet: bool = False,
) -> Played:
    """Plays a tournament into a folder, or what its folder lacks; the same by any workers.

    Raises:
      UserError: an entrant is unknown, the format does not fit, or the folder is another one's.
      Interrupted: the user stopped it; all finished games are kept.
    """
    with Progress(f"loading {settings.game}", quiet=quiet, patience_s=2.0):
        lanes = load_lanes(settings.game, max_nodes=settings.max_nodes)
        entrants = make_entrants(settings.entrants, settings.game, lanes)
    exact = None
    if isinstance(lanes, TreeLanes) and not settings.sampled and settings.format != "sprt":
        exact = exact_meetings(lanes.tree, entrants)
    num_players = by_player(lanes.info).num_players
    schedule = make_schedule(settings, len(entrants), num_players)
    setup = Setup(
        game=settings.game,
        entrants=entrants,
        seed=settings.seed,
        batch=settings.batch,
        move_limit_s=settings.move_limit_s,
        num_replays=settings.replays,
        max_nodes=settings.max_nodes,
    )
    tally = Tally(len(entrants), num_players, exact)
    with TournamentFolder(path, settings_json(settings)) as folder:
        try:
            _play(setup, schedule, tally, folder, workers=workers, quiet=quiet)
        except KeyboardInterrupt:
            raise Interrupted(
                f"{tally.num_games:,} games are kept; continue with `neupl tournament --out {path}`"
            ) from None
    with Progress("rating", quiet=quiet, patience_s=2.0):
        rated = standings(
            tally,
            [entrant.name for entrant in entrants],
            utility=lanes.info.utility,
            sources=[entrant.source for entrant in entrants],
            seed=settings.seed,
        )
    test = schedule.test(tally) if isinstance(schedule, Sequential) else None
    return Played(settings, lanes.info, entrants, tally, rated, test)


def make_schedule(settings: TournamentSettings, num_entrants: int, num_players: int) -> Schedule:
    """Who meets whom.

    Raises:
      UserError: the format does not fit the number of entrants or of players.
    """
    kind, blocks = settings.format, -(-settings.games // settings.batch)
    least = {"round-robin": 1, "uncertain": 1}.get(kind, 2)
    if num_entrants < least:
        raise UserError(f"{kind} needs at least {least} entrants, there is {num_entrants}")
    if kind == "swiss" or kind == "sprt":
        if num_players != 2:
            raise UserError(f"{kind} is for games of two players, this one has {num_players}")
        if kind == "sprt":
            if num_entrants != 2:
                raise UserError(f"sprt compares two entrants, there are {num_entrants}")
            return Sequential(*settings.elo, blocks=blocks)
        most = num_entrants - 1 + num_entrants % 2
        rounds = min(settings.rounds or max(1, (num_entrants - 1).bit_length()), most)
        return Swiss(num_entrants, blocks, rounds)
    groups = all_groups(num_entrants, num_players)
    if len(groups) > MAX_GROUPS:
        raise UserError(
            f"{num_entrants} entrants in {num_players} seats are {len(groups):,} groups, over the "
            f"limit of {MAX_GROUPS:,}",
            hint="take fewer entrants, or --format gauntlet or swiss",
        )
    if kind == "gauntlet":
        return gauntlet(num_entrants, num_players, blocks)
    if kind == "uncertain":
        if settings.budget is None:
            raise UserError("--format uncertain needs --budget N: games in all")
        seatings = len(groups) and sum(map(_num_seatings, groups)) / len(groups)
        budget = max(1, round(settings.budget / (settings.batch * seatings)))
        return Uncertain(tuple(groups), blocks, budget, settings.error)
    return round_robin(num_entrants, num_players, blocks)


def _num_seatings(group: tuple[int, ...]) -> int:
    from evaluation.tournament.types import arrangements

    return len(arrangements(group))


def _play(
    setup: Setup,
    schedule: Schedule,
    tally: Tally,
    folder: TournamentFolder,
    *,
    workers: Workers,
    quiet: bool,
) -> None:
    """Plays wave after wave; what the log has is not played again."""
    logged = {result.item: result for result in folder.results()}
    stop = StopRequest()
    progress = Progress(f"playing {setup.game}, blocks of games", quiet=quiet)
    with (
        interrupts_handled_by(stop),
        progress,
        workers.map(play_item, setup) as map_fn,
    ):
        shown = _shown(setup, tally)
        extra = len(shown)
        while wave := (shown or list(schedule.wave(tally))):
            shown = []
            for item in wave:
                if item in logged:
                    tally.add(logged.pop(item))
            for result in _stoppable(map_fn(i for i in wave if i not in tally), stop):
                folder.add(result)
                tally.add(result)
                total = schedule.total(tally)
                progress.update(
                    tally.num_items, total and total + extra, games=f"{tally.num_games:,}"
                )
            stop.check()


def _stoppable(results: Iterator[ItemResult], stop: StopRequest) -> Iterator[ItemResult]:
    for result in results:
        yield result
        stop.check()


def _shown(setup: Setup, tally: Tally) -> list[Item]:
    """Blocks of groups whose payoffs are exact, for their replays alone."""
    if not setup.num_replays or tally.exact is None:
        return []
    return [Item(group, 0) for group in tally.exact.payoffs]


def ignore_interrupts() -> Any:
    """For the short work of writing what was made of the games."""
    return interrupts_handled_by(signal.SIG_IGN)
