"""The limiting logit equilibrium: the Nash equilibrium at the end of the quantal-response path.

In a logit quantal response equilibrium player p plays strategy k with probability proportional to
`prior_p(k) exp(precision * u_p(k))` against the others' play (McKelvey and Palfrey 1995, whose
prior is uniform). From the prior at precision 0 one path of such points leads, in almost all games,
to one Nash equilibrium. The path is followed by arc length in log-probabilities with a tangent
predictor and a Newton corrector, so that it may turn back in precision (Turocy 2005). Any number of
players.
"""

import time
from collections.abc import Sequence

import numpy as np
import scipy.linalg
from jaxtyping import Float, Float64

from solvers.meta.deviation import check_payoffs, deviation_gains, product_joint
from solvers.types import SolverError, SolverResult

# Precisions are per payoff range. Beyond the first the end of the path is sought directly too, and
# beyond the second rounding drowns the path.
FIRST_GUESS, GREATEST_PRECISION = 30.0, 1e13
CORRECTOR_TOLERANCE, MAX_CORRECTIONS = 1e-10, 6
FIRST_STEP, LEAST_STEP, GROWTH, SHRINKAGE = 0.03, 1e-9, 1.5, 0.4
# The predictor may miss by this share of the step, so that the path is not left for another one.
MAX_TURN = 0.3
MAX_FINISHING_STEPS = 30
# Least singular value, as a share of the greatest, of an equilibrium that stands alone.
ISOLATED = 1e-12


def solve_logit(
    payoffs: Float[np.ndarray, "..."],
    *,
    prior: Sequence[Float[np.ndarray, "_"]] | None = None,
    tolerance: float = 1e-9,
    max_steps: int = 3000,
) -> SolverResult:
    """Solves for the limiting logit equilibrium.

    All players share one precision, as in the literature; multiplying one player's payoffs may
    therefore select another equilibrium, multiplying all of them does not.

    Args:
      payoffs: `[K_0, ..., K_{P-1}, P]`, in game points.
      prior: each player's play at precision 0, `[K_p]`, positive, sums to 1; uniform by default.
      tolerance: accepted NashConv as a share of the greatest payoff range of a player.
      max_steps: bound on the steps along the path.

    Returns:
      A `SolverResult` whose joint is a product; its gap is NashConv.

    Raises:
      ValueError: payoffs contain NaN or have a wrong shape, or an option is out of range.
      SolverError: the path was lost or is too long; the message carries the precision and the
        NashConv reached.
    """
    start = time.perf_counter()
    payoffs = check_payoffs(payoffs)
    if not (tolerance > 0 and max_steps >= 1):
        raise ValueError(
            f"tolerance={tolerance}, max_steps={max_steps}: expected a positive tolerance and at "
            "least one step"
        )
    scale = max(float(np.ptp(payoffs[..., p])) for p in range(payoffs.shape[-1]))
    scaled = (payoffs - payoffs.min(axis=tuple(range(payoffs.ndim - 1)))) / (scale or 1.0)
    prior_logs = _prior_logs(prior, scaled.shape[:-1])
    point = np.append(prior_logs, 0.0)
    tangent = np.append(np.zeros(len(point) - 1), 1.0)
    length, best = FIRST_STEP, np.inf
    for step in range(max_steps):
        for candidate in _candidates(scaled, point):
            gap = float(deviation_gains(scaled, product_joint(candidate)).clip(0).sum())
            best = min(best, gap)
            if gap <= tolerance:
                joint = product_joint(candidate)
                return SolverResult(
                    joint=joint,
                    concept="nash",
                    gap=float(np.maximum(deviation_gains(payoffs, joint), 0).sum()),
                    status="solved",
                    iterations=step,
                    seconds=time.perf_counter() - start,
                )
        tangent = _tangent(scaled, prior_logs, point, tangent)
        while True:
            corrected = _correct(scaled, prior_logs, point + length * tangent, tangent)
            if corrected is not None:
                missed = np.linalg.norm(corrected - point - length * tangent)
                if missed <= MAX_TURN * length and corrected[-1] >= 0:
                    break
            length *= SHRINKAGE
            if length < LEAST_STEP * (1 + abs(point[-1])):
                raise SolverError(_lost("was lost", point[-1], best * scale))
        if missed <= MAX_TURN / 3 * length:
            length *= GROWTH
        point = corrected
        if point[-1] > GREATEST_PRECISION:
            break
    raise SolverError(_lost("did not end", point[-1], best * scale))


def _lost(what, precision, gap):
    return (
        f"the path of quantal response equilibria {what} at precision {precision:.3g} per payoff "
        f"range; least NashConv {gap:.3g}"
    )


def _prior_logs(prior, shape):
    """The logarithms of the prior, one player after the other."""
    if prior is None:
        prior = [np.full(k, 1 / k) for k in shape]
    prior = [np.asarray(own, np.float64) for own in prior]
    if [own.shape for own in prior] != [(k,) for k in shape] or not all(
        np.all(own > 0) and abs(own.sum() - 1) < 1e-9 for own in prior
    ):
        raise ValueError(
            f"prior must be {len(shape)} positive distributions over "
            f"{' and '.join(map(str, shape))} strategies; got {[own.tolist() for own in prior]}"
        )
    return np.log(np.concatenate(prior))


def _split(payoffs, point):
    """The players' parts of the log-probabilities."""
    return np.split(point[:-1], np.cumsum(payoffs.shape[:-1])[:-1])


def _values(payoffs, strategies: Sequence[Float64[np.ndarray, "_"]]):
    """Values `[K_p]` of each player's strategies and their derivatives `[K_p, K_q]` by others'."""
    num_players = len(strategies)
    values, derivatives = [], {}
    for p in range(num_players):
        table = np.moveaxis(payoffs[..., p], p, 0)
        others = [q for q in range(num_players) if q != p]
        for q in others:
            reduced = np.moveaxis(table, 1 + others.index(q), 1)
            for r in reversed([o for o in others if o != q]):
                reduced = reduced @ strategies[r]
            derivatives[p, q] = reduced
        if others:
            values.append(derivatives[p, others[0]] @ strategies[others[0]])
        else:
            values.append(table)
    return values, derivatives


def _equations(payoffs, prior_logs, point):
    """Residuals of the logit equations and their derivatives `[n, n + 1]`.

    Per player: log-probabilities, less those of the prior, differ from the greatest one's as values
    do, times the precision; probabilities sum to 1.
    """
    logs, precision = _split(payoffs, point), point[-1]
    above = np.split(point[:-1] - prior_logs, np.cumsum(payoffs.shape[:-1])[:-1])
    strategies = [np.exp(own) for own in logs]
    values, derivatives = _values(payoffs, strategies)
    starts = np.cumsum([0, *payoffs.shape[:-1]])
    residual = np.empty(starts[-1])
    jacobian = np.zeros((starts[-1], starts[-1] + 1))
    for p, own in enumerate(logs):
        block = slice(starts[p], starts[p + 1])
        first = int(np.argmax(own))
        relative = above[p] - above[p][first]
        residual[block] = relative - precision * (values[p] - values[p][first])
        jacobian[block, block] = np.eye(len(own))
        jacobian[block, starts[p] + first] -= 1.0
        jacobian[block, -1] = values[p][first] - values[p]
        for q, strategy in enumerate(strategies):
            if q != p:
                change = derivatives[p, q] - derivatives[p, q][first]
                columns = slice(starts[q], starts[q + 1])
                jacobian[block, columns] = -precision * change * strategy
        line = starts[p] + first
        residual[line] = strategies[p].sum() - 1.0
        jacobian[line] = 0.0
        jacobian[line, block] = strategies[p]
    return residual, jacobian


def _tangent(payoffs, prior_logs, point, before):
    """Unit direction of the path, on the side of `before`."""
    _, jacobian = _equations(payoffs, prior_logs, point)
    along = np.append(np.zeros(len(point) - 1), 1.0)
    try:
        direction = np.linalg.solve(np.vstack([jacobian, before]), along)
    except np.linalg.LinAlgError:
        direction = scipy.linalg.qr(jacobian.T, check_finite=False)[0][:, -1]
        direction *= np.sign(direction @ before) or 1.0
    return direction / np.linalg.norm(direction)


def _correct(payoffs, prior_logs, guess, tangent):
    """The point of the path in the plane through `guess` across the tangent, or `None`."""
    point, before = guess, np.inf
    for _ in range(MAX_CORRECTIONS):
        # An overshooting correction may leave the range of the exponential.
        if not (np.isfinite(point).all() and point[:-1].max() < 1.0):
            return None
        residual, jacobian = _equations(payoffs, prior_logs, point)
        size = float(np.abs(residual).max())
        if size <= CORRECTOR_TOLERANCE * (1 + abs(point[-1])):
            return point
        if size > before:
            return None
        before = size
        square = np.vstack([jacobian, tangent])
        try:
            point = point - np.linalg.solve(square, np.append(residual, tangent @ (point - guess)))
        except np.linalg.LinAlgError:
            return None
    return None


def _candidates(payoffs, point):
    """Equilibria that the path may be about to end in: the point itself, and what its largest
    probabilities solve exactly.
    """
    strategies = [np.exp(own) for own in _split(payoffs, point)]
    yield [own / own.sum() for own in strategies]
    if point[-1] < FIRST_GUESS:
        return
    supports = set()
    for share in (1e-2, 1e-4, 1e-8):
        support = tuple(tuple(np.flatnonzero(own > share * own.max())) for own in strategies)
        if support in supports:
            continue
        supports.add(support)
        finished = _equalise(payoffs, strategies, support, reach=min(0.1, 100 / point[-1]))
        if finished is not None:
            yield finished


def _equalise(payoffs, strategies, support, *, reach):
    """The strategies near `strategies` on the support that make all of its members equally good, or
    `None` if there are none within `reach`.
    """
    support = [np.array(own) for own in support]
    starts = np.cumsum([0, *map(len, support)])
    parts = [own[kept] / own[kept].sum() for own, kept in zip(strategies, support, strict=True)]
    inner = payoffs[np.ix_(*support)]
    begin = np.concatenate(parts)
    point = begin
    for _ in range(MAX_FINISHING_STEPS):
        parts = np.split(point, starts[1:-1])
        values, derivatives = _values(inner, parts)
        residual = np.empty(starts[-1])
        jacobian = np.zeros((starts[-1], starts[-1]))
        for p, own in enumerate(parts):
            block = slice(starts[p], starts[p + 1])
            residual[block] = values[p] - values[p][0]
            for q in range(len(parts)):
                if q != p:
                    columns = slice(starts[q], starts[q + 1])
                    jacobian[block, columns] = derivatives[p, q] - derivatives[p, q][0]
            residual[starts[p]] = own.sum() - 1.0
            jacobian[starts[p], block] = 1.0
        change, _, rank, _ = np.linalg.lstsq(jacobian, residual, rcond=ISOLATED)
        # Where equilibria form a continuum only the path itself tells which one it ends in.
        if rank < len(change):
            return None
        point = point - change
        if not np.abs(point - begin).max() <= reach:
            return None
        if np.abs(change).max() <= 1e-15:
            break
    if point.min() < -1e-12:
        return None
    result = []
    for own, kept, part in zip(strategies, support, np.split(point, starts[1:-1]), strict=True):
        full = np.zeros(len(own))
        full[kept] = np.maximum(part, 0.0)
        result.append(full / full.sum())
    return result
