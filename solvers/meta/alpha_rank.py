"""Alpha-Rank: how long evolving populations stay at each profile (Omidshafiei et al. 2019).

One population per player, all of one strategy most of the time. A mutant takes its population over
with a probability that depends on what the switch gains; the stationary distribution of the chain
over profiles (arXiv 1903.01373, section 3) ranks them. It is a joint distribution but in general no
equilibrium: its result reports the CCE gap.
"""

import time

import numpy as np
import scipy.sparse
import scipy.sparse.csgraph
import scipy.sparse.linalg
from jaxtyping import Float, Float64

from solvers.meta.deviation import check_payoffs, deviation_gains
from solvers.types import SolverError, SolverResult

# Gains of this size count as none, as in the paper's infinite-intensity rule.
EQUAL = 1e-14
# Chains on more profiles than this are not factorised: time and memory grow with the cube and the
# square.
MAX_FACTORISED = 6000
STATIONARY = 1e-9


def solve_alpha_rank(
    payoffs: Float[np.ndarray, "..."],
    *,
    alpha: float | None = None,
    population_size: int = 50,
    noise: float = 1e-7,
) -> SolverResult:
    """Finds the stationary distribution of the multi-population Alpha-Rank chain.

    Args:
      payoffs: `[K_0, ..., K_{P-1}, P]`, in game points.
      alpha: intensity of selection per game point, positive; `None` for the infinite one: gains
        are always taken, equal payoffs half of the time, and losses with probability `noise`.
      population_size: of each population, at least 2; only with a finite alpha.
      noise: in (0, 0.5); only with infinite alpha. Where the profiles that better replies lead to
        are all connected by better replies, its limit 0 is taken exactly and the number ignored.

    Returns:
      A `SolverResult`; its gap is the CCE gap of the distribution.

    Raises:
      ValueError: payoffs contain NaN or have a wrong shape, or an option is out of range.
      SolverError: the chain has too many profiles, or its stationary distribution could not be
        found to 1e-9.
    """
    start = time.perf_counter()
    payoffs = check_payoffs(payoffs)
    shape = payoffs.shape[:-1]
    moves = _moves(payoffs)
    masses, status = _masses(moves, int(np.prod(shape)), alpha, population_size, noise)
    joint = masses.reshape(shape)
    return SolverResult(
        joint=joint,
        concept="alpharank",
        gap=float(np.maximum(deviation_gains(payoffs, joint), 0).sum()),
        status=status,
        iterations=0,
        seconds=time.perf_counter() - start,
    )


def rank_one_population(
    payoffs: Float[np.ndarray, "K K"],
    *,
    alpha: float | None = None,
    population_size: int = 50,
    noise: float = 1e-7,
) -> tuple[Float64[np.ndarray, "K"], str]:
    """Finds the stationary distribution of Alpha-Rank for one population and a symmetric game.

    A mutant `j` among members `i` gains `payoffs[j, i] - payoffs[i, j]` (section 3 of the paper,
    large populations).

    Args:
      payoffs: of the strategy of the row against that of the column, in game points.
      alpha: as in `solve_alpha_rank`.
      population_size: as in `solve_alpha_rank`.
      noise: as in `solve_alpha_rank`.

    Returns:
      How often each strategy is that of the whole population, and a status as in
      `solve_alpha_rank`.

    Raises:
      ValueError: payoffs are not a finite square matrix, or an option is out of range.
      SolverError: as in `solve_alpha_rank`.
    """
    payoffs = np.asarray(payoffs, np.float64)
    if payoffs.ndim != 2 or payoffs.shape[0] != payoffs.shape[1] or not np.isfinite(payoffs).all():
        raise ValueError(f"payoffs must be a finite square matrix, not of shape {payoffs.shape}")
    source, target = np.nonzero(~np.eye(len(payoffs), dtype=bool))
    gain = payoffs[target, source] - payoffs[source, target]
    return _masses((source, target, gain), len(payoffs), alpha, population_size, noise)


def _masses(moves, size, alpha, population_size, noise):
    """Stationary distribution of the chain with these moves, and the status."""
    if alpha is not None and not (alpha > 0 and population_size >= 2):
        raise ValueError(
            f"alpha={alpha}, population_size={population_size}: expected a positive intensity and "
            "at least 2 members"
        )
    if not 0 < noise < 0.5:
        raise ValueError(f"noise={noise} must be between 0 and 0.5")
    source, target, gain = moves
    where, status = np.arange(size), "solved"
    if alpha is not None:
        weight = _fixation(alpha * gain, population_size)
    else:
        weight = np.where(np.abs(gain) <= EQUAL, 0.5, np.where(gain > 0, 1.0, 0.0))
        sinks = _sinks(_chain(source, target, weight, size))
        if len(sinks) == 1:
            where = sinks[0]
        else:
            weight = np.where(np.abs(gain) <= EQUAL, 0.5, np.where(gain > 0, 1 - noise, noise))
            status = f"solved with noise {noise:g} between {len(sinks)} absorbing sets"
    chain = _chain(source, target, weight, size)
    masses = np.zeros(size)
    masses[where] = _stationary(chain[where][:, where])
    return masses, status


def _moves(payoffs):
    """All changes of one player's strategy: from and to which profile, and the player's gain."""
    shape = payoffs.shape[:-1]
    profile = np.arange(int(np.prod(shape))).reshape(shape)
    sources, targets, gains = [], [], []
    for player in range(len(shape)):
        where = np.moveaxis(profile, player, 0).reshape(shape[player], -1)
        table = np.moveaxis(payoffs[..., player], player, 0).reshape(shape[player], -1)
        before, after = np.nonzero(~np.eye(shape[player], dtype=bool))
        sources.append(where[before].reshape(-1))
        targets.append(where[after].reshape(-1))
        gains.append((table[after] - table[before]).reshape(-1))
    return np.concatenate(sources), np.concatenate(targets), np.concatenate(gains)


def _fixation(advantage, population_size):
    """Probability that one mutant takes over a population, by its advantage times alpha.

    The closed form `(1 - e^-u) / (1 - e^-mu)`, written with decaying exponentials only.
    """
    size = np.abs(advantage)
    ratio = np.ones_like(size) / population_size
    used = size > EQUAL
    ratio[used] = np.expm1(-size[used]) / np.expm1(-population_size * size[used])
    losing = advantage < 0
    ratio[losing & used] *= np.exp(-(population_size - 1) * size[losing & used])
    return ratio


def _chain(source, target, weight, size):
    """Off-diagonal rates, zeros left out."""
    used = weight > 0
    return scipy.sparse.csr_array((weight[used], (source[used], target[used])), shape=(size, size))


def _sinks(chain):
    """The sets of profiles that are connected with each other and never left."""
    count, member = scipy.sparse.csgraph.connected_components(chain, connection="strong")
    leaves = np.zeros(count, dtype=bool)
    entries = chain.tocoo()
    crossing = member[entries.row] != member[entries.col]
    leaves[member[entries.row[crossing]]] = True
    return [np.flatnonzero(member == k) for k in np.flatnonzero(~leaves)]


def _stationary(chain) -> Float64[np.ndarray, "S"]:
    """Stationary distribution of a chain with the given off-diagonal rates."""
    size = chain.shape[0]
    if size == 1:
        return np.ones(1)
    if size > MAX_FACTORISED:
        raise SolverError(
            f"the Alpha-Rank chain has {size} recurrent profiles; at most {MAX_FACTORISED} are "
            "factorised"
        )
    rates = chain.T.toarray()
    largest = rates.sum(axis=0)
    rates[np.diag_indices(size)] = -largest
    balance = rates / max(largest.max(), np.finfo(float).tiny)
    # The balance equations are one too many; the last one gives way to the sum.
    system = balance.copy()
    system[-1] = 1.0
    right = np.zeros(size)
    right[-1] = 1.0
    try:
        result = np.linalg.solve(system, right)
    except np.linalg.LinAlgError:
        result = np.full(size, np.nan)
    residual = float(np.abs(balance @ result).max())
    if not (residual <= STATIONARY and result.min() >= -STATIONARY):
        raise SolverError(
            f"no stationary distribution of the {size}-profile Alpha-Rank chain; residual "
            f"{residual:.3g}"
        )
    result = np.maximum(result, 0.0)
    return result / result.sum()
