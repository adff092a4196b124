"""The incentive constraints of correlated equilibria as linear operators on joint distributions.

Each constraint says that one deviation gains no more than allowed: committing to a strategy before
the draw (coarse correlated equilibrium), or swapping one recommended strategy for another
(correlated equilibrium). There is one row per deviation; the matrix with a column per profile is
never formed. Everything is done per player on tables `[K_p, profiles of the others]`.
"""

from collections.abc import Sequence
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float64, Int, Shaped

Concept = Literal["cce", "ce"]

# Payoffs that differ by less than this share of the greatest payoff count as equal.
EQUAL = 1e-13


@runtime_checkable
class Incentives(Protocol):
    """Gains of all deviations as a linear map `A` of the joint distribution.

    Tables are divided by each player's `scale`, its largest change of payoff by an own change of
    strategy (1 where there is none), so that gains lie between -1 and 1.

    Attributes:
      shape: strategies per player `[K_0, ..., K_{P-1}]`.
      player: the deviating player of each row, `[R]`.
      scale: game points per unit of gain of each player, `[P]`.
      utilities: each player's payoffs in these units, less what it cannot influence.
      binds: whether the deviation can change the payoff and does not always lose, `[R]`; other rows
        are no constraints.
      group_starts: first row of each group of rows that compete for the same deviation.
    """

    shape: tuple[int, ...]
    player: Int[np.ndarray, "R"]
    scale: Float64[np.ndarray, "P"]
    utilities: Sequence[Float64[np.ndarray, "..."]]
    binds: Bool[np.ndarray, "R"]
    group_starts: Int[np.ndarray, "G"]

    def gains(self, joint: Float64[np.ndarray, "..."]) -> Float64[np.ndarray, "R"]:
        """`A joint`: the gain of each deviation, in units of its player's scale."""
        ...

    def prices(self, duals: Float64[np.ndarray, "R"]) -> Float64[np.ndarray, "..."]:
        """`A^T duals`: what each profile costs at these prices of deviations."""
        ...

    def gram(
        self, weights: Float64[np.ndarray, "..."], rows: Int[np.ndarray, "r"]
    ) -> Float64[np.ndarray, "r r"]:
        """`A diag(weights) A^T` of the given rows."""
        ...


def incentives(payoffs: Float64[np.ndarray, "..."], concept: str) -> Incentives:
    """The incentive constraints of `payoffs [K_0, ..., K_{P-1}, P]` for a solution concept.

    Raises:
      ValueError: the concept is neither `"cce"` nor `"ce"`.
    """
    if concept not in ("cce", "ce"):
        raise ValueError(f"concept {concept!r} is neither 'cce' nor 'ce'")
    utilities, scale = _centred(payoffs)
    return (CoarseIncentives if concept == "cce" else SwapIncentives)(utilities, scale)


def _centred(payoffs):
    """Each player's payoffs less what it cannot influence, divided by the largest difference."""
    utilities, scale = [], []
    for player in range(payoffs.shape[-1]):
        utility = payoffs[..., player]
        noise = EQUAL * np.abs(utility).max()
        low, high = utility.min(axis=player), utility.max(axis=player)
        spread = float((high - low).max())
        influence = spread > noise
        centre = np.expand_dims((low + high) / 2, player)
        scale.append(spread if influence else 1.0)
        centred = (utility - centre) / spread if influence else np.zeros_like(utility)
        utilities.append(_without_noise(centred, player, noise / spread) if influence else centred)
    return utilities, np.array(scale)


def _without_noise(utility, player, noise):
    """The utilities with those made equal that differ by rounding along the player's axis.

    Else a deviation that never gains would seem to, by an amount that only huge multipliers weigh.
    """
    ordered = np.sort(utility, axis=player)
    steps = np.diff(ordered, axis=player)
    if not np.any((steps > 0) & (steps <= noise)):
        return utility
    order = np.argsort(utility, axis=player)
    size = [-1 if p == player else 1 for p in range(utility.ndim)]
    first = np.arange(utility.shape[player]).reshape(size) * np.ones(utility.shape, int)
    rest = tuple(slice(1, None) if p == player else slice(None) for p in range(utility.ndim))
    first[rest] = np.where(steps <= noise, 0, first[rest])
    merged = np.take_along_axis(ordered, np.maximum.accumulate(first, axis=player), axis=player)
    result = np.empty_like(utility)
    np.put_along_axis(result, order, merged, axis=player)
    return result


def own_first(tensor: Shaped[np.ndarray, "..."], player: int) -> Shaped[np.ndarray, "K others"]:
    """`tensor` over profiles as a matrix with the player's strategies in rows."""
    if player:
        tensor = np.moveaxis(tensor, player, 0)
    return tensor.reshape(len(tensor), -1)


def _restore(matrix, shape, player):
    """Inverse of `own_first`."""
    if player == 0:
        return matrix.reshape(shape)
    others = shape[:player] + shape[player + 1 :]
    return np.moveaxis(matrix.reshape(shape[player], *others), 0, player)


class CoarseIncentives:
    """Row `(p, k)`: player p's gain from strategy k over keeping to the joint draw."""

    def __init__(self, utilities: Sequence[Float64[np.ndarray, "..."]], scale: np.ndarray) -> None:
        self.shape = utilities[0].shape
        self.scale = scale
        self.player = np.repeat(np.arange(len(self.shape)), self.shape)
        self.utilities = [np.ascontiguousarray(u) for u in utilities]
        self._tables = [np.ascontiguousarray(own_first(u, p)) for p, u in enumerate(utilities)]
        active = np.array([bool(np.any(u)) for u in utilities])
        self.binds = active[self.player]
        ends = np.cumsum(self.shape)
        self._rows = [slice(e - k, e) for e, k in zip(ends, self.shape, strict=True)]
        self._active = np.flatnonzero(active)
        self.group_starts = np.arange(len(self.player))

    def gains(self, joint: Float64[np.ndarray, "..."]) -> Float64[np.ndarray, "R"]:
        """See `Incentives.gains`."""
        result = np.zeros(len(self.player))
        flat = joint.reshape(-1)
        for p in self._active:
            others = joint.sum(axis=p).reshape(-1)
            result[self._rows[p]] = self._tables[p] @ others - self.utilities[p].reshape(-1) @ flat
        return result

    def prices(self, duals: Float64[np.ndarray, "R"]) -> Float64[np.ndarray, "..."]:
        """See `Incentives.prices`."""
        result = np.zeros(self.shape)
        for p in self._active:
            own = duals[self._rows[p]]
            others = (*self.shape[:p], 1, *self.shape[p + 1 :])
            result += (own @ self._tables[p]).reshape(others)
            result -= own.sum() * self.utilities[p]
        return result

    def gram(
        self, weights: Float64[np.ndarray, "..."], rows: Int[np.ndarray, "r"]
    ) -> Float64[np.ndarray, "r r"]:
        """See `Incentives.gram`; cubic in strategies for two players.

        A row is `S - G`: the payoff after the deviation, which does not depend on the own strategy
        drawn, less the payoff of the draw.
        """
        counts = np.searchsorted(rows, [self._rows[p].start for p in range(len(self.shape))])
        ends = np.append(counts[1:], len(rows))
        result = np.empty((len(rows), len(rows)))
        weighted = {q: weights * self.utilities[q] for q in self._active}
        picked, blocks = {}, []
        for p in range(len(self.shape)):
            block = slice(counts[p], ends[p])
            if block.start == block.stop:
                continue
            picked[p] = self._tables[p][rows[block] - self._rows[p].start]
            blocks.append((p, block))
        mixed = {
            (p, q): picked[p] @ weighted[q].sum(axis=p).reshape(-1)
            for p, _ in blocks
            for q, _ in blocks
        }
        for index, (p, block) in enumerate(blocks):
            table = picked[p]
            own = (table * weights.sum(axis=p).reshape(-1)) @ table.T
            products = weighted[p].reshape(-1) @ self.utilities[p].reshape(-1)
            result[block, block] = own - mixed[p, p] - mixed[p, p][:, None] + products
            for q, other_block in blocks[index + 1 :]:
                products = weighted[p].reshape(-1) @ self.utilities[q].reshape(-1)
                cross = self._cross(p, picked[p], q, picked[q], weights)
                cross += products - mixed[p, q][:, None] - mixed[q, p]
                result[block, other_block] = cross
                result[other_block, block] = cross.T
        return result

    def _cross(self, p, table, q, other_table, weights):
        """`sum over profiles of S_p[i] S_q[j] weights` for players `p < q`, `[r_p, r_q]`."""
        if len(self.shape) == 2:
            return table @ weights.T @ other_table.T
        rest = self.shape[:p] + self.shape[p + 1 : q] + self.shape[q + 1 :]
        count = int(np.prod(rest))
        # Axes of the others' profiles: [rest, a_q] for player p's table, [rest, a_p] for q's.
        others = np.moveaxis(
            table.reshape(len(table), *self.shape[:p], *self.shape[p + 1 :]), q, -1
        ).reshape(len(table), count, -1)
        other_others = np.moveaxis(
            other_table.reshape(len(other_table), *self.shape[:q], *self.shape[q + 1 :]), p + 1, -1
        ).reshape(len(other_table), -1)
        weight = np.moveaxis(weights, (p, q), (-2, -1)).reshape(count, self.shape[p], -1)
        half = np.matmul(others.transpose(1, 0, 2), weight.transpose(0, 2, 1))
        return half.transpose(1, 0, 2).reshape(len(table), -1) @ other_others.T


class SwapIncentives:
    """Row `(p, k, l)`: player p's gain from playing l whenever k is drawn for it."""

    def __init__(self, utilities: Sequence[Float64[np.ndarray, "..."]], scale: np.ndarray) -> None:
        self.shape = utilities[0].shape
        self.scale = scale
        self.utilities = utilities
        self._tables = [np.ascontiguousarray(own_first(u, p)) for p, u in enumerate(utilities)]
        squares = np.square(self.shape)
        self._starts = np.cumsum(squares) - squares
        self.player = np.repeat(np.arange(len(self.shape)), squares)
        self.binds = np.concatenate([_may_gain(table).reshape(-1) for table in self._tables])
        self.group_starts = np.concatenate(
            [start + k * np.arange(k) for start, k in zip(self._starts, self.shape, strict=True)]
        )

    def gains(self, joint: Float64[np.ndarray, "..."]) -> Float64[np.ndarray, "R"]:
        """See `Incentives.gains`."""
        result = []
        for p, table in enumerate(self._tables):
            values = own_first(joint, p) @ table.T
            result.append((values - np.diagonal(values)[:, None]).reshape(-1))
        return np.concatenate(result)

    def prices(self, duals: Float64[np.ndarray, "R"]) -> Float64[np.ndarray, "..."]:
        """See `Incentives.prices`."""
        result = np.zeros(self.shape)
        for p, table in enumerate(self._tables):
            k = len(table)
            flow = duals[self._starts[p] : self._starts[p] + k * k].reshape(k, k).copy()
            np.fill_diagonal(flow, 0.0)
            np.fill_diagonal(flow, -flow.sum(axis=1))
            result += _restore(flow @ table, self.shape, p)
        return result

    def gram(
        self, weights: Float64[np.ndarray, "..."], rows: Int[np.ndarray, "r"]
    ) -> Float64[np.ndarray, "r r"]:
        """See `Incentives.gram`; quadratic in the rows for two players.

        A row `(p, k, l)` is zero outside the profiles in which k is drawn, so two rows of one
        player share profiles only if they share k, and rows of two players share those in which
        both strategies are drawn.
        """
        result = np.zeros((len(rows), len(rows)))
        ends = np.searchsorted(rows, np.append(self._starts[1:], len(self.player)))
        blocks = []
        for p, table in enumerate(self._tables):
            block = slice(blocks[-1][1].stop if blocks else 0, ends[p])
            drawn, played = np.divmod(rows[block] - self._starts[p], len(table))
            blocks.append((p, block, drawn, table[played] - table[drawn]))
        for index, (p, block, drawn, gain) in enumerate(blocks):
            own_weights = own_first(weights, p)
            firsts = np.searchsorted(drawn, np.arange(self.shape[p] + 1))
            for k in np.unique(drawn):
                same = slice(firsts[k], firsts[k + 1])
                where = slice(block.start + same.start, block.start + same.stop)
                result[where, where] = (gain[same] * own_weights[k]) @ gain[same].T
            for q, other_block, other_drawn, other_gain in blocks[index + 1 :]:
                cross = self._cross((p, drawn, gain), (q, other_drawn, other_gain), weights)
                result[block, other_block] = cross
                result[other_block, block] = cross.T
        return result

    def _cross(self, one, other, weights):
        """Products of rows of player p with rows of player q > p, `[r_p, r_q]`."""
        (p, drawn, gain), (q, other_drawn, other_gain) = one, other
        if len(self.shape) == 2:
            return (
                gain[:, other_drawn] * weights[drawn[:, None], other_drawn] * other_gain[:, drawn].T
            )
        shape = self.shape
        # [row, strategy of the other of the two, rest]
        rest = int(np.prod(shape)) // (shape[p] * shape[q])
        gain = np.moveaxis(gain.reshape(-1, *shape[:p], *shape[p + 1 :]), q, 1)
        gain = gain.reshape(len(drawn), shape[q], rest)
        other_gain = np.moveaxis(other_gain.reshape(-1, *shape[:q], *shape[q + 1 :]), p + 1, 1)
        other_gain = other_gain.reshape(len(other_drawn), shape[p], rest)
        weight = np.moveaxis(weights, (p, q), (0, 1)).reshape(shape[p], shape[q], rest)
        result = np.empty((len(drawn), len(other_drawn)))
        firsts = np.searchsorted(drawn, np.arange(shape[p] + 1))
        for k in np.unique(drawn):
            same = slice(firsts[k], firsts[k + 1])
            weighted = other_gain[:, k] * weight[k, other_drawn]
            result[same] = np.matmul(
                gain[same].transpose(1, 0, 2)[other_drawn], weighted[:, :, None]
            )[:, :, 0].T
        return result


def _may_gain(table):
    """Whether playing `l` for `k` may change the payoff and does not always lose, `[K, K]`."""
    return np.array([np.any(table != own, axis=1) & np.any(table >= own, axis=1) for own in table])
