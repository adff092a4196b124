"""Deviation ratings: the coarse correlated equilibrium in which deviating loses as much as it can.

Among all CCEs the greatest gain of any deviation is made least, the deviations that attain it in
every such equilibrium are rated with it and frozen, and the rest goes on (Marris et al. 2025,
"Deviation Ratings: a General, Clone Invariant Rating Method", arXiv 2502.11645). Each level is a
linear program with a row per strategy and a column per profile. Few columns matter: they are added
as their prices ask for them, and leave for good once they cost at a level's optimum.
"""

import dataclasses
import time
from collections.abc import Callable

import numpy as np
import scipy.optimize
from jaxtyping import Float, Float64, Int

from solvers.meta.deviation import check_payoffs, deviation_gains
from solvers.meta.incentives import incentives
from solvers.types import SolverError, SolverResult

# Payoffs are scaled to a range of 1 inside. A constraint is tight in all optima where its
# multiplier is above the first; a profile improves a program where its reduced cost is below minus
# the second, and has no share in any optimum where it is above the third.
POSITIVE, IMPROVING, COSTLY = 1e-6, 1e-9, 1e-5
# Of feasibility, and by how much rated deviations may pass their rating, which was rounded: the
# least that leaves a program feasible.
TOLERANCE, LEEWAYS = 1e-10, (0.0, 1e-9, 1e-8, 1e-7)
# Profiles that a program starts with, and how many join at a time.
NUM_FIRST, NUM_ADDED = 200, 200
MAX_ROUNDS = 1000
# Of more profiles than the first a level leaves the next one those with a share and the newest.
MANY, NUM_NEWEST = 900, 300


@dataclasses.dataclass(frozen=True)
class DeviationRatings(SolverResult):
    """Ratings of all strategies, and an equilibrium that attains them.

    Attributes:
      ratings: what each strategy of each player would gain, in game points and at most 0; NaN for
        those that were not asked for and not met on the way.
      levels: how many different ratings were found.
      residual: the largest difference between a rating and the gain at the joint, in game points.
    """

    ratings: tuple[Float64[np.ndarray, "_"], ...]
    levels: int
    residual: float


def solve_deviation_ratings(
    payoffs: Float[np.ndarray, "..."],
    *,
    player: int | None = None,
    progress_fn: Callable[[int, int], None] | None = None,
) -> DeviationRatings:
    """Solves for the deviation ratings.

    Args:
      payoffs: `[K_0, ..., K_{P-1}, P]`, in game points.
      player: stop when all strategies of this player have their rating; by default when all have.
      progress_fn: told after each level how many strategies have a rating, of how many.

    Returns:
      A `DeviationRatings`; its gap is the CCE gap of the joint.

    Raises:
      ValueError: payoffs contain NaN or have a wrong shape.
      SolverError: a linear program failed; the message says at which level.
    """
    start = time.perf_counter()
    payoffs = check_payoffs(payoffs)
    span = float(np.ptp(payoffs)) or 1.0
    program = _Program(payoffs / span)
    players = program.operator.player
    ratings = np.full(len(players), np.nan)
    wanted = np.ones(len(players), bool) if player is None else players == player
    levels = 0
    while np.isnan(ratings[wanted]).any():
        levels += 1
        value, duals = program.solve(ratings, levels)
        tight = duals > POSITIVE
        if not tight.any():
            raise SolverError(f"deviation ratings: no constraint is tight at level {levels}")
        ratings[tight] = value
        if progress_fn is not None:
            progress_fn(int(np.count_nonzero(~np.isnan(ratings))), len(ratings))
    joint = program.joint()
    gains = program.operator.gains(joint) * program.scale
    known = ~np.isnan(ratings)
    ends = np.cumsum(payoffs.shape[:-1])[:-1]
    return DeviationRatings(
        joint=joint,
        concept="cce",
        gap=float(np.maximum(deviation_gains(payoffs, joint), 0).sum()),
        status="solved",
        iterations=program.programs,
        seconds=time.perf_counter() - start,
        ratings=tuple(np.split(ratings * span, ends)),
        levels=levels,
        residual=float(np.abs(ratings - gains)[known].max() * span),
    )


class _Program:
    """`min e` so that no unrated deviation gains more than `e`, nor a rated one than its rating."""

    def __init__(self, payoffs: Float64[np.ndarray, "..."]) -> None:
        self.operator = incentives(payoffs, "cce")
        self.scale = self.operator.scale[self.operator.player]
        self.programs = 0
        self._payoffs, self._shape = payoffs, payoffs.shape[:-1]
        size = int(np.prod(self._shape))
        rng = np.random.default_rng(0)
        self._profiles = np.sort(rng.choice(size, min(NUM_FIRST, size), replace=False))
        self._gains = self._gains_at(self._profiles)
        self._shares = np.zeros(len(self._profiles))
        self._never = np.zeros(size, bool)

    @property
    def num_profiles(self) -> int:
        """How many profiles were asked for so far."""
        return len(self._profiles)

    def solve(
        self, ratings: Float64[np.ndarray, "R"], level: int
    ) -> tuple[float, Float64[np.ndarray, "R"]]:
        """The least `e`, and the multipliers of the deviations, 0 for rated ones.

        Args:
          ratings: NaN for unrated deviations.
          level: for messages.
        """
        rated = ~np.isnan(ratings)
        for _ in range(MAX_ROUNDS):
            value, duals, total = self._run(ratings, rated, level)
            costs = self.operator.prices(duals * self.scale).reshape(-1) + total
            costs[self._never] = np.inf
            new = costs.copy()
            new[self._profiles] = 0.0
            improving = np.flatnonzero(new < -IMPROVING)
            if not len(improving):
                # In no optimum is there a share for a profile that costs: this level's optima are
                # all that the next ones choose from.
                self._never |= costs > COSTLY
                kept = ~self._never[self._profiles]
                if len(kept) > MANY:
                    newest = np.arange(len(kept)) >= len(kept) - NUM_NEWEST
                    kept &= (self._shares > 0) | newest
                self._profiles, self._gains = self._profiles[kept], self._gains[:, kept]
                self._shares = self._shares[kept]
                return value, np.where(rated, 0.0, duals)
            if len(improving) > NUM_ADDED:
                improving = improving[np.argpartition(costs[improving], NUM_ADDED)[:NUM_ADDED]]
            self._profiles = np.append(self._profiles, improving)
            self._gains = np.hstack([self._gains, self._gains_at(improving)])
        raise SolverError(f"deviation ratings: level {level} asks for ever more profiles")

    def joint(self) -> Float64[np.ndarray, "..."]:
        """The joint of the last solution."""
        joint = np.zeros(self._shape)
        joint.reshape(-1)[self._profiles[: len(self._shares)]] = np.maximum(self._shares, 0.0)
        return joint / joint.sum()

    def _run(self, ratings, rated, level):
        """Solves the program on the present profiles: `e`, multipliers of deviations and sum."""
        self.programs += 1
        count = self.num_profiles
        rows = np.hstack([self._gains, -1.0 * ~rated[:, None]])
        for leeway in LEEWAYS:
            result = scipy.optimize.linprog(
                np.append(np.zeros(count), 1.0),
                A_ub=rows,
                b_ub=np.where(rated, ratings + leeway, 0.0),
                A_eq=np.append(np.ones(count), 0.0)[None],
                b_eq=[1.0],
                bounds=[*[(0.0, None)] * count, (None, None)],
                method="highs-ds",
                options={
                    "primal_feasibility_tolerance": TOLERANCE,
                    "dual_feasibility_tolerance": TOLERANCE,
                },
            )
            if result.status == 0:
                self._shares = result.x[:-1]
                total = -float(result.eqlin.marginals[0])
                return float(result.x[-1]), -result.ineqlin.marginals, total
        raise SolverError(f"deviation ratings: the program of level {level}: {result.message}")

    def _gains_at(self, profiles: Int[np.ndarray, "N"]) -> Float64[np.ndarray, "R N"]:
        """What each deviation gains at some profiles."""
        places = np.unravel_index(profiles, self._shape)
        gains = []
        for p in range(len(self._shape)):
            utility = self._payoffs[..., p]
            others = places[:p] + places[p + 1 :]
            gains.append(np.moveaxis(utility, p, 0)[(slice(None), *others)] - utility[places])
        return np.vstack(gains)
