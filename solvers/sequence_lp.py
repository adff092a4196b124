"""The equilibrium of a two-player zero-sum game by one sparse linear program over plans.

Seat 0 chooses a plan x and guarantees itself what seat 1's best answer leaves (Koller, Megiddo and
von Stengel 1994; von Stengel 1996):

    maximise v_0  subject to  F' v <= A' x,   E x = e,   x >= 0

with A the chance-weighted returns of seat 0 by pairs of last sequences, E and F the two seats' flow
constraints, and one value in v for each of seat 1's information states. The multipliers of the
inequalities are an optimal plan of seat 1, so one program solves the game for both. HiGHS' dual
simplex ends in a vertex, whose plans are exact to rounding; that they are an equilibrium is then
measured by best responses, not believed.
"""

import dataclasses
import time

import numpy as np
import scipy.optimize
import scipy.sparse
from jaxtyping import Float64, Int

from games.game_tree import GameTree
from solvers.gaps import gains
from solvers.sequence_form import policy_from_plan
from solvers.types import SolverError


@dataclasses.dataclass(frozen=True)
class SequenceLP:
    """An equilibrium of a two-player zero-sum game.

    Attributes:
      policy: optimal behaviour of both seats, `[S, A]`; uniform where the seat itself never
        arrives.
      value: expected return of seat 0, in game points.
      gains: each seat's gain from a best response, in game points: the distance from equilibrium.
      iterations: iterations of the linear program's solver.
      seconds: wall-clock time.
    """

    policy: Float64[np.ndarray, "S A"]
    value: float
    gains: Float64[np.ndarray, "P"]
    iterations: int
    seconds: float

    @property
    def nash_conv(self) -> float:
        """Sum of the gains, in game points."""
        return float(self.gains.sum())


def solve_sequence_lp(
    tree: GameTree, *, tolerance: float = 1e-9, time_limit_s: float | None = None
) -> SequenceLP:
    """Solves a two-player zero-sum game exactly.

    A game has many equilibria; this is a vertex of their polytope. It may play badly where the
    opponent has already erred, as every Nash equilibrium may.

    Args:
      tree: the game.
      tolerance: greatest allowed NashConv, in units of the payoff range.
      time_limit_s: wall-clock seconds after which the linear program is given up.

    Raises:
      ValueError: the game is not a two-player zero-sum game.
      SolverError: the program was given up, or its plans are further from equilibrium than
        `tolerance`; the message carries what was reached.
    """
    if not tree.zero_sum:
        raise ValueError(
            f"{tree.name} has {tree.num_players} players and utility {tree.utility!r}; the "
            "sequence-form linear program needs a two-player zero-sum game"
        )
    start = time.perf_counter()
    seats = [_flow(tree, player) for player in range(2)]
    num_plan, num_values = len(seats[0].sequences), seats[1].constraints.shape[0]
    last = [seats[p].column[tree.terminal_sequence[:, p]] for p in range(2)]
    returns = scipy.sparse.coo_array(
        (tree.terminal_probability * tree.terminal_returns[:, 0], (last[1], last[0])),
        shape=(len(seats[1].sequences), num_plan),
    ).tocsc()
    objective = np.zeros(num_plan + num_values)
    objective[num_plan] = -1.0
    free = np.r_[np.zeros(num_plan), np.full(num_values, -np.inf)]
    solution = scipy.optimize.linprog(
        objective,
        A_ub=scipy.sparse.hstack([-returns, seats[1].constraints.T], format="csc"),
        b_ub=np.zeros(len(seats[1].sequences)),
        A_eq=scipy.sparse.hstack(
            [
                seats[0].constraints,
                scipy.sparse.csc_array((seats[0].constraints.shape[0], num_values)),
            ],
            format="csc",
        ),
        b_eq=np.r_[1.0, np.zeros(seats[0].constraints.shape[0] - 1)],
        bounds=np.stack([free, np.full(len(free), np.inf)], axis=1),
        method="highs-ds",
        options={} if time_limit_s is None else {"time_limit": time_limit_s},
    )
    if solution.status != 0:
        raise SolverError(f"sequence-form program of {tree.name}: {solution.message}")
    plan = np.zeros(tree.num_sequences)
    plan[seats[0].sequences] = solution.x[:num_plan]
    plan[seats[1].sequences] = -solution.ineqlin.marginals
    # Clipped entries are rounding; the behaviour read off them is normalised to the last bit.
    policy = policy_from_plan(tree, np.maximum(plan, 0.0))
    gain = gains(tree, policy)
    if gain.sum() > tolerance * tree.payoff_range:
        raise SolverError(
            f"sequence-form program of {tree.name} ended at a NashConv of {gain.sum():.3g}, more "
            f"than {tolerance:g} of the payoff range {tree.payoff_range:g}"
        )
    return SequenceLP(
        policy=policy,
        value=0.0 - float(solution.fun),
        gains=gain,
        iterations=int(solution.nit),
        seconds=time.perf_counter() - start,
    )


@dataclasses.dataclass(frozen=True, eq=False)
class _Flow:
    """One seat's plans as the solutions of `constraints @ plan = (1, 0, ..., 0)`.

    Attributes:
      sequences: the seat's sequences, the empty one first, `[n]`.
      column: position of each of the tree's sequences in `sequences`, `[Q]`; -1 for others'.
      constraints: the empty sequence is 1, and the sequences of every information state add up to
        the one before it.
    """

    sequences: Int[np.ndarray, "n"]
    column: Int[np.ndarray, "Q"]
    constraints: scipy.sparse.csc_array


def _flow(tree: GameTree, player: int) -> _Flow:
    infosets = np.flatnonzero(tree.infoset_player == player)
    of_sequence = tree.sequence_infoset[tree.num_players :]
    own = tree.num_players + np.flatnonzero(tree.infoset_player[of_sequence] == player)
    sequences = np.append(player, own)
    column = np.full(tree.num_sequences, -1)
    column[sequences] = np.arange(len(sequences))
    row = np.full(tree.num_infosets, -1)
    row[infosets] = 1 + np.arange(len(infosets))
    entries = np.r_[np.ones(len(sequences)), -np.ones(len(infosets))]
    rows = np.r_[0, row[tree.sequence_infoset[own]], row[infosets]]
    columns = np.r_[np.arange(len(sequences)), column[tree.infoset_parent_sequence[infosets]]]
    return _Flow(
        sequences=sequences,
        column=column,
        constraints=scipy.sparse.csc_array(
            (entries, (rows, columns)), shape=(1 + len(infosets), len(sequences))
        ),
    )
