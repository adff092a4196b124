"""What `neupl solve` was asked to do: its methods, where they apply, and their defaults."""

import dataclasses
import difflib
from typing import Literal, NamedTuple

from games.game_tree import GameTree
from games.tree_compile import DEFAULT_MAX_NODES
from neupl.errors import UserError
from neupl.profile_distribution import Concept
from solvers.best_response import Ties
from solvers.meta.registry import meta_solver
from solvers.regret_state import RULES

# Meta-solvers that give independent mixtures: what PSRO certifies is a NashConv.
PRODUCT_META_SOLVERS = ("nash", "lle", "bimatrix", "prd", "uniform", "fictitious_play")

# Gap to stop at where responses are exact, as a share of the payoff range.
CONVERGED = 1e-9
# Room that all profiles of a regret minimiser may take in memory, per copy.
_MAX_JOINT_BYTES = 2**30


class Method(NamedTuple):
    """A way to solve a game.

    Attributes:
      family: which solver runs it.
      concept: what its result is meant to be.
      needs: games that it is for.
      note: one line for listings.
    """

    family: Literal["jpsro", "regret", "joint_regret", "lp"]
    concept: Concept
    needs: Literal["two-player zero-sum", "any"]
    note: str


_ALTERNATIVES = "use jpsro-cce, jpsro-ce or regret-cce"

METHODS = {
    "psro": Method(
        "jpsro", "nash", "two-player zero-sum", "exact best responses to the meta-game's Nash"
    ),
    "jpsro-cce": Method(
        "jpsro", "cce", "any", "exact best responses to a coarse correlated equilibrium"
    ),
    "jpsro-ce": Method("jpsro", "ce", "any", "exact best responses to a correlated equilibrium"),
    **{
        variant: Method("regret", "nash", "any", "average policy of alternating regret minimisers")
        for variant in RULES
    },
    "lp": Method("lp", "nash", "two-player zero-sum", "the sequence-form linear program"),
    "regret-cce": Method(
        "joint_regret", "cce", "any", "joint time average of simultaneous regret minimisers"
    ),
}

_DEFAULT_META_SOLVER = {"psro": "nash", "jpsro-cce": "mgcce", "jpsro-ce": "mgce"}


@dataclasses.dataclass(frozen=True)
class SolveConfig:
    """A solved game."""

    game: str
    """An OpenSpiel game string, a payoff file (.nfg, .json, .npz, .npy), or `pkg.mod:make`."""
    method: str
    """How to solve it."""
    meta_solver: str | None = None
    """psro and jpsro: solves the payoffs between the strategies so far."""
    repeats: Literal["drop", "weigh"] | None = None
    """psro and jpsro: what becomes of a response that is there already."""
    ties: Ties | None = None
    """psro and jpsro: what responses do between equally good actions."""
    iterations: int | None = None
    """Iterations at most; none for lp."""
    tolerance: float | None = None
    """Gap to stop at, in game points."""
    time_limit_s: float | None = None
    """Seconds at most, over all resumptions."""
    max_nodes: int = DEFAULT_MAX_NODES
    """Largest game tree to compile, in nodes."""
    open_spiel_limit_s: float = 60.0
    """Longest predicted time for OpenSpiel's check; 0 does not ask it."""
    checkpoint_every_s: float = 30.0
    """Seconds between two checkpoints."""

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            close = difflib.get_close_matches(self.method, METHODS, n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise ValueError(f"unknown method {self.method!r}{hint}; allowed: {', '.join(METHODS)}")
        family = METHODS[self.method].family
        if family != "jpsro":
            for option in ("meta_solver", "repeats", "ties"):
                if getattr(self, option) is not None:
                    raise ValueError(f"{option} is for psro and jpsro, not for {self.method}")
        elif self.meta_solver is not None:
            meta_solver(self.meta_solver)
        if family == "lp" and self.iterations is not None:
            raise ValueError("iterations is given, but lp has none to limit")
        if self.method == "psro" and self.meta_solver not in (None, *PRODUCT_META_SOLVERS):
            raise ValueError(
                f"meta_solver is {self.meta_solver!r}: psro needs independent mixtures, allowed "
                f"are {', '.join(PRODUCT_META_SOLVERS)}; jpsro-cce takes joints"
            )
        if self.iterations is not None and self.iterations < 1:
            raise ValueError(f"iterations is {self.iterations}: it must be at least 1")
        if self.max_nodes < 1:
            raise ValueError(f"max_nodes is {self.max_nodes}: it must be at least 1")
        for option in ("tolerance", "open_spiel_limit_s", "checkpoint_every_s"):
            value = getattr(self, option)
            if value is not None and not value >= 0:
                raise ValueError(f"{option} is {value}: it must be at least 0")
        if self.time_limit_s is not None and not self.time_limit_s > 0:
            raise ValueError(f"time_limit_s is {self.time_limit_s}: it must be above 0")

    @property
    def kind(self) -> Method:
        """What kind of method it is."""
        return METHODS[self.method]


def resolve(config: SolveConfig, tree: GameTree) -> SolveConfig:
    """The configuration with every default filled in.

    Raises:
      UserError: the method is not for this game, or its result would not fit in memory.
    """
    opposed = tree.num_players == 2 and tree.utility in ("zero_sum", "constant_sum")
    if config.method == "lp":
        opposed = tree.zero_sum
    if config.kind.needs != "any" and not opposed:
        raise UserError(
            f"{config.method} is for two-player zero-sum games; {config.game} is a "
            f"{tree.num_players}-player {tree.utility.replace('_', '-')} game",
            hint=_ALTERNATIVES,
        )
    defaults = {"iterations": None if config.kind.family == "lp" else 1000}
    if config.kind.family == "jpsro":
        defaults |= {
            "meta_solver": _DEFAULT_META_SOLVER[config.method],
            "repeats": "drop",
            "ties": "lowest",
            "tolerance": CONVERGED * tree.payoff_range,
        }
    missing = {name: v for name, v in defaults.items() if getattr(config, name) is None}
    config = dataclasses.replace(config, **missing)
    if config.kind.family == "joint_regret":
        size = 8 * config.iterations * tree.num_infosets * tree.num_actions
        if size > _MAX_JOINT_BYTES:
            most = _MAX_JOINT_BYTES * config.iterations // size
            raise UserError(
                f"the joint of {config.iterations:,} iterations of {config.game} has "
                f"{size / 2**30:.1f} GiB of tables, allowed are {_MAX_JOINT_BYTES / 2**30:g}",
                hint=f"set --iterations to at most {most:,}",
            )
    return config


def warning(config: SolveConfig, tree: GameTree) -> str | None:
    """What a user should know before believing the result; `None` where all is well."""
    opposed = tree.num_players == 2 and tree.utility in ("zero_sum", "constant_sum")
    if config.kind.family == "regret" and not opposed:
        return (
            f"{config.game} is not a two-player zero-sum game: nothing guarantees that the average "
            f"policy of {config.method} approaches an equilibrium ({_ALTERNATIVES})"
        )
    return None
