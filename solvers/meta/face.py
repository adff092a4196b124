"""The smallest face of the simplex that holds all correlated equilibria of a zero-sum game.

What the players gain by deviating to optimal strategies `x` and `y` adds up to the sum of `joint[a,
b] excess[a, b]` with `excess[a, b] = (x M)[b] - (M y)[a] >= 0`. In an equilibrium no deviation
gains, so that profiles of positive excess have no probability, and deviations to what `x` or `y`
uses gain exactly nothing. Without these profiles, and with these rows as equations, what remains is
well posed (facial reduction: Borwein and Wolkowicz 1981); the whole problem has no joint that meets
all rows with slack, and multipliers without bound.

All this holds for strategically zero-sum games (Moulin and Vial 1978): those with a positive
combination of both payoffs that is a sum of a part without the row and one without the column.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int

from solvers.meta.incentives import Incentives
from solvers.meta.nash import optimal_sets
from solvers.meta.projection import Answer, Projection, shortfall
from solvers.types import SolverError

# Share of its probability in the ideal joint that is none at all.
NOTHING = 1e-18
# Payoffs are opposed if they add up to less than this share of the greatest.
OPPOSED = 1e-12


class Face(NamedTuple):
    """Where all equilibria are.

    Attributes:
      kept: per player, the strategies that an equilibrium may play.
      weights: of the rows that are equations, positive; 0 for the others, `[R]`.
      reached: rows of deviations from what is kept, `[R]`; others gain nothing on the face.
      excess: sum of the rows with these weights; 0 where both strategies are kept, else positive.
      blur: how large the excess of kept profiles was by rounding.
    """

    kept: tuple[Int[np.ndarray, "_"], ...]
    weights: Float64[np.ndarray, "R"]
    reached: Bool[np.ndarray, "R"]
    excess: Float64[np.ndarray, "K0 K1"]
    blur: float


def zero_sum_face(operator: Incentives) -> Face | None:
    """The face of a strategically zero-sum game; `None` for others, and where rounding hides it.

    Args:
      operator: the deviations from joints of the game.
    """
    posed = _zero_sum_matrix(operator)
    if posed is None:
        return None
    matrix, rate = posed
    try:
        row, column = optimal_sets(matrix)
    except SolverError:
        return None
    kept = (np.flatnonzero(column.tight), np.flatnonzero(row.tight))
    weights, reached = _rows(operator, (row.inner, rate * column.inner), kept)
    excess = operator.prices(weights)
    inside = np.ix_(*kept)
    blur = float(np.abs(excess[inside]).max(initial=0.0))
    outside = np.ones(excess.shape, bool)
    outside[inside] = False
    if not (min(map(len, kept)) and np.all(excess[outside] > blur)):
        return None
    excess[inside] = 0.0
    return Face(kept, weights, reached, excess, blur)


def reduced(problem: Projection, face: Face) -> Projection:
    """The problem, without allowance or relief, for joints on the face."""
    operator = problem.incentives
    return Projection(
        _KeptIncentives(operator, face),
        problem.divergence.restricted(face.kept),
        problem.allowance,
        tight=operator.binds & face.reached & (face.weights > 0),
    )


def lifted(problem: Projection, face: Face, found: Answer) -> Answer:
    """The answer to the reduced problem as one to the whole, with its multipliers and residual."""
    operator, divergence = problem.incentives, problem.divergence
    joint = _embedded(found.joint, face.kept, operator.shape)
    # The equations may be added any number of times: until no multiplier is negative, and no
    # profile outside is worth its price.
    tight = face.weights > 0
    times = float((-found.duals[tight] / face.weights[tight]).max(initial=0.0))
    prices = operator.prices(found.duals)
    nothing = NOTHING * divergence.ideal()
    worth = prices + divergence.slope(np.maximum(joint, nothing))
    outside = face.excess > 0
    missing = worth[~outside & (joint > nothing)].max() - worth[outside]
    times = max(times, float((missing / face.excess[outside]).max(initial=0.0)))
    slack = operator.gains(joint) - problem.allowance
    lost = shortfall(divergence, joint, prices + times * face.excess)
    lost += float(np.abs(found.duals * slack).sum()) + times * face.blur
    violation = problem.violation(slack)
    return Answer(
        joint=joint,
        duals=np.maximum(found.duals + times * face.weights, 0.0),
        relief=0.0,
        violation=violation,
        residual=max(violation, lost / max(divergence.value(joint), divergence.floor)),
        iterations=found.iterations,
    )


def _zero_sum_matrix(operator):
    """The row player's payoffs of the zero-sum game with these deviations, and what a unit of the
    column player's scale is worth in the row player's; `None` if there is none.
    """
    if len(operator.shape) != 2:
        return None
    (own, own_rows, _), (other, _, other_columns) = map(_interaction, operator.utilities)
    size = float(np.vdot(other, other))
    rate = -float(np.vdot(own, other)) / size if size > 0 else 0.0
    if not (rate > 0 and np.abs(own + rate * other).max() <= OPPOSED * np.abs(own).max()):
        return None
    return own + own_rows - rate * other_columns, rate


def _interaction(utility):
    """The utility less what only the row or only the column adds to it, and these two parts."""
    rows = utility.mean(axis=1, keepdims=True)
    columns = utility.mean(axis=0, keepdims=True)
    mean = utility.mean()
    return utility - rows - columns + mean, rows - mean, columns - mean


class _KeptIncentives:
    """The rows of a game on joints of the kept strategies; see `Incentives`."""

    def __init__(self, whole: Incentives, face: Face) -> None:
        self.shape = tuple(len(own) for own in face.kept)
        self.player, self.scale = whole.player, whole.scale
        self.binds, self.group_starts = whole.binds & face.reached, whole.group_starts
        self.utilities = [utility[np.ix_(*face.kept)] for utility in whole.utilities]
        self._whole, self._kept = whole, face.kept

    def gains(self, joint: Float64[np.ndarray, "..."]) -> Float64[np.ndarray, "R"]:
        """See `Incentives.gains`."""
        return self._whole.gains(_embedded(joint, self._kept, self._whole.shape))

    def prices(self, duals: Float64[np.ndarray, "R"]) -> Float64[np.ndarray, "..."]:
        """See `Incentives.prices`."""
        return self._whole.prices(duals)[np.ix_(*self._kept)]

    def gram(
        self, weights: Float64[np.ndarray, "..."], rows: Int[np.ndarray, "r"]
    ) -> Float64[np.ndarray, "r r"]:
        """See `Incentives.gram`."""
        return self._whole.gram(_embedded(weights, self._kept, self._whole.shape), rows)


def _embedded(joint, kept, shape):
    result = np.zeros(shape)
    result[np.ix_(*kept)] = joint
    return result


def _rows(operator, strategies, kept):
    """Per row the deviation's probability, and whether it leaves a kept strategy."""
    weights, reached = [], []
    for player, (strategy, own, size) in enumerate(
        zip(strategies, kept, operator.shape, strict=True)
    ):
        # One row per deviation for the coarse concept, else one for each strategy drawn and each.
        drawn = int(np.count_nonzero(operator.player == player)) // size
        weights.append(np.tile(strategy, drawn))
        reached.append(np.repeat(np.isin(np.arange(drawn), own) | (drawn == 1), size))
    return np.concatenate(weights), np.concatenate(reached)
