"""Newton's method on the dual of the correlated equilibrium nearest to a target, in blocks.

A correlated equilibrium has a row for every pair of a player's strategies, too many for one matrix
when a player has hundreds. But two rows of one player meet only in profiles in which the same
strategy is drawn for it. So the rows of the player with most strategies fall into blocks that touch
each other only through the rows of the other players, and a step costs one small system per
strategy and one of the others' rows.

With relative entropy the dual is the logarithm of `Z = sum target * exp(-prices)`; the steps are
those of `Z` itself, whose second derivatives have these blocks.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int

from solvers.meta.incentives import SwapIncentives, own_first
from solvers.meta.projection import Answer, Projection, answer

# Levenberg damping relative to the mean curvature.
LEAST_DAMPING, GREATEST_DAMPING = 1e-14, 1e2
# New rows of a block per step, and exchanges of pivots per model.
NUM_ADDED, MAX_PIVOTS = 4, 30
# Pairs of strategies whose products are held at a time.
MAX_PAIRS = 2**20


class _Model(NamedTuple):
    """Second derivatives of `Z`, divided by `Z`, for some rows.

    Attributes:
      own: within blocks, `[K, m, m]`.
      cross: of blocks with the other players' rows, `[K, m, s]`.
      rest: of the other players' rows, `[s, s]`.
    """

    own: Float64[np.ndarray, "K m m"]
    cross: Float64[np.ndarray, "K m s"]
    rest: Float64[np.ndarray, "s s"]

    def times(self, block, rest):
        """The product with multipliers of the blocks and of the rest."""
        return (
            np.einsum("kab,kb->ka", self.own, block) + self.cross @ rest,
            np.einsum("kas,ka->s", self.cross, block) + self.rest @ rest,
        )


def block_newton(
    problem: Projection,
    duals: Float64[np.ndarray, "R"],
    *,
    tolerance: float,
    max_steps: int,
) -> Answer:
    """Minimises the dual of a projection in relative entropy onto the correlated equilibria.

    Where all equilibria have a profile of probability 0 no multipliers attain the minimum, and each
    step divides what is left by about `e`.

    Args:
      problem: with `SwapIncentives` and `RelativeEntropy`, without relief, equations or allowance.
      duals: to start from, `[R]` and non-negative.
      tolerance: residual to stop at.
      max_steps: bound on the steps.

    Returns:
      The best point met; whether it is good enough says its residual.
    """
    incentives = problem.incentives
    assert isinstance(incentives, SwapIncentives)
    large = int(np.argmax(incentives.shape))
    width = incentives.shape[large]
    mine = np.flatnonzero(incentives.player == large)
    others = np.flatnonzero(incentives.player != large)
    duals = np.where(incentives.binds, duals, 0.0)
    damping, best = 1e-10, None
    joint, slack = _at(problem, duals)
    for step in range(max_steps + 1):
        here = _cheap_residual(problem, joint, duals, slack)
        if best is None or here < best[0]:
            best = (here, joint, duals)
        if best[0] <= tolerance or step == max_steps:
            break
        columns, valid = _candidates(duals[mine].reshape(width, -1), slack[mine].reshape(width, -1))
        few = others[(duals[others] > 0) | (slack[others] > 0)]
        block = mine.reshape(width, -1)[np.arange(width)[:, None], columns]
        model = _model(incentives, joint, large, columns, few)
        size = np.einsum("kaa->", model.own) + np.trace(model.rest)
        size /= max(np.count_nonzero(valid) + len(few), 1)
        moved = False
        while not moved and damping <= GREATEST_DAMPING:
            new_block, new_few = _step(
                model,
                damping * size,
                (duals[block], duals[few]),
                (slack[block], slack[few]),
                valid,
            )
            trial = np.zeros_like(duals)
            trial[block[valid]], trial[few] = new_block[valid], new_few
            new_joint, new_slack = _at(problem, trial)
            change = trial - duals
            # The dual is concave: its slope along the step falls, and must not turn steep.
            moved = change @ new_slack >= -0.5 * abs(change @ slack)
            damping = max(damping / 10, LEAST_DAMPING) if moved else max(damping, 1e-12) * 100
        if not moved:
            break
        duals, joint, slack = trial, new_joint, new_slack
    return answer(problem, best[1], best[2], iterations=step)


def _at(problem, duals):
    """The joint of the multipliers, and what each row gains at it."""
    joint, _ = problem.divergence.link(problem.incentives.prices(duals))
    slack = problem.incentives.gains(joint)
    return joint, np.where(problem.incentives.binds, slack, 0.0)


def _cheap_residual(problem, joint, duals, slack):
    """The residual of `projection.answer` for a joint that is the link of its duals."""
    lost = np.abs(duals * slack).sum()
    return max(problem.violation(slack), lost / max(problem.divergence.value(joint), 1.0))


def _candidates(
    duals: Float64[np.ndarray, "K K"], slack: Float64[np.ndarray, "K K"]
) -> tuple[Int[np.ndarray, "K m"], Bool[np.ndarray, "K m"]]:
    """The rows of each block that are used, and those most violated; and which of them count."""
    score = np.where(duals > 0, np.inf, slack)
    most = int((duals > 0).sum(axis=1).max()) + NUM_ADDED
    most = min(most, score.shape[1])
    columns = np.sort(np.argpartition(-score, most - 1, axis=1)[:, :most], axis=1)
    return columns, np.take_along_axis(score, columns, axis=1) > 0


def _model(incentives, joint, large, columns, few) -> _Model:
    """The second derivatives at a joint."""
    table = own_first(incentives.utilities[large], large)
    weights = own_first(joint, large)
    # [K, m, others]: what each candidate gains over the strategy drawn.
    gain = table[columns] - table[:, None]
    weighted = gain * weights[:, None]
    own = np.matmul(weighted, gain.transpose(0, 2, 1))
    cross = np.empty((*columns.shape, len(few)))
    for player in range(len(incentives.shape)):
        if player == large:
            continue
        at = np.flatnonzero(incentives.player[few] == player)
        first = np.searchsorted(incentives.player, player)
        drawn, played = np.divmod(few[at] - first, incentives.shape[player])
        # [K, K_player, rest], and the same with candidates before them.
        utility = np.moveaxis(_two_first(incentives.utilities[player], player, large), 1, 0)
        shared = weighted.reshape(*columns.shape, *np.delete(incentives.shape, large))
        shared = np.moveaxis(shared, 2 + player - (player > large), 2)
        shared = shared.reshape(*columns.shape, incentives.shape[player], -1)
        cross[:, :, at] = _earned_more(shared, utility, drawn, played)
    return _Model(own, cross, incentives.gram(joint, few))


def _earned_more(shared, utility, drawn, played):
    """`[K, m, n]`: the weights of `shared`, `[K, m, D, rest]`, where `drawn` is drawn, times what
    is earned more by `played`; `utility` is `[K, D, rest]`.
    """
    width, number, size = shared.shape[:3]
    found = np.empty((width, number, len(drawn)))
    # Of all pairs, some blocks at a time: one product of matrices is faster than one per strategy.
    blocks = max(MAX_PAIRS // (number * size * size), 1)
    for start in range(0, width, blocks):
        part = slice(start, start + blocks)
        flat = shared[part].reshape(-1, number * size, shared.shape[3])
        pairs = np.matmul(flat, utility[part].transpose(0, 2, 1)).reshape(-1, number, size, size)
        found[part] = pairs[:, :, drawn, played] - pairs[:, :, drawn, drawn]
    return found


def _two_first(tensor, player, other):
    """The tensor with these players' axes first and the rest as one."""
    moved = np.moveaxis(tensor, (player, other), (0, 1))
    return moved.reshape(*moved.shape[:2], -1)


def _step(model, damping, duals, slack, valid):
    """Multipliers, at least 0, that minimise the damped quadratic model."""
    # The damping holds the multipliers where they are.
    linear = [
        product + damping * old + gained
        for product, old, gained in zip(model.times(*duals), duals, slack, strict=True)
    ]
    used = [valid & ((duals[0] > 0) | (slack[0] > 0)), (duals[1] > 0) | (slack[1] > 0)]
    fewest, result, blocks = np.inf, None, None
    for _ in range(MAX_PIVOTS):
        found, blocks = _solve(model, damping, linear, used, blocks)
        product = model.times(*found)
        wrong = [
            np.where(mask, own < 0, rhs - moved > 1e-14)
            for mask, own, rhs, moved in zip(used, found, linear, product, strict=True)
        ]
        wrong[0] &= valid
        count = sum(int(np.count_nonzero(own)) for own in wrong)
        if count < fewest:
            fewest, result = count, found
        if count == 0:
            break
        used = [mask ^ own for mask, own in zip(used, wrong, strict=True)]
    return tuple(np.maximum(own, 0.0) for own in result)


class _Eliminated(NamedTuple):
    """The blocks solved for the rest: `block = along - across @ rest`.

    Attributes:
      mask: `[K, m]` rows that are used.
      cross: `[K, m, s]` those of the model, zero where a row is not used.
      across: `[K, m, s]`.
      along: `[K, m]`.
      shared: `[s, s]` what the blocks take off the rest, the sum of `cross.T @ across`.
    """

    mask: Bool[np.ndarray, "K m"]
    cross: Float64[np.ndarray, "K m s"]
    across: Float64[np.ndarray, "K m s"]
    along: Float64[np.ndarray, "K m"]
    shared: Float64[np.ndarray, "s s"]


def _eliminate(model, damping, linear, mask, before):
    """Solves the blocks; those whose rows are the same as `before` are taken from there."""
    at = slice(None) if before is None else np.flatnonzero((mask != before.mask).any(axis=1))
    used, diagonal = mask[at], np.arange(mask.shape[1])
    own = model.own[at] * (used[:, :, None] & used[:, None, :])
    own[:, diagonal, diagonal] += np.where(used, damping, 1.0)
    cross = model.cross[at] * used[:, :, None]
    right = np.where(used, linear[at], 0.0)[:, :, None]
    solved = np.linalg.solve(own, np.concatenate([cross, right], axis=2))
    across, along = solved[:, :, :-1], solved[:, :, -1]
    shared = _summed(cross, across)
    if before is None:
        return _Eliminated(mask, cross, across, along, shared)
    shared += before.shared - _summed(before.cross[at], before.across[at])
    now = _Eliminated(mask, *(part.copy() for part in before[1:4]), shared)
    now.cross[at], now.across[at], now.along[at] = cross, across, along
    return now


def _summed(cross, across):
    flat = (-1, cross.shape[2])
    return cross.reshape(flat).T @ across.reshape(flat)


def _solve(model, damping, linear, used, before):
    """The stationary point of the model with multipliers 0 that are not used, and the blocks."""
    mask, few = used
    index = np.flatnonzero(few)
    blocks = _eliminate(model, damping, linear[0], mask, before)
    system = (model.rest - blocks.shared)[np.ix_(index, index)]
    system[np.diag_indices(len(index))] += damping
    rest = np.zeros(len(few))
    wanted = (linear[1] - np.einsum("kas,ka->s", blocks.cross, blocks.along))[index]
    rest[index] = np.linalg.lstsq(system, wanted, rcond=1e-14)[0] if len(index) else 0.0
    block = blocks.along - blocks.across @ rest
    return (np.where(mask, block, 0.0), rest), blocks
