"""Realisation plans: products of a seat's own action probabilities (von Stengel 1996).

A policy of all seats is one table `[S, A]`; its plan is one vector `[Q]` that holds, for every
sequence, the probability with which its owner plays all actions of that sequence. Values are
multilinear in the plans, and with perfect recall the plan of a mixture of policies is the average
of their plans, so mixtures are realised exactly by linear algebra. Functions take any leading batch
of policies.
"""

import dataclasses
import weakref

import numpy as np
import scipy.sparse
from jaxtyping import Float, Float64, Int

from games.game_tree import GameTree


@dataclasses.dataclass(frozen=True, eq=False)
class Level:
    """Information states with the same number of own earlier decisions, and how values go up.

    Attributes:
      infosets: slice of the information states.
      sequences: slice of their sequences.
      offsets: start of each information state's sequences within that slice.
      parents: the distinct parent sequences, ascending.
      sum_to_parents: sparse 0/1 matrix `[len(parents), len(infosets)]`.
    """

    infosets: slice
    sequences: slice
    offsets: Int[np.ndarray, "..."]
    parents: Int[np.ndarray, "..."]
    sum_to_parents: scipy.sparse.csr_array


@dataclasses.dataclass(frozen=True, eq=False)
class SequenceForm:
    """Index arrays of one tree that every exact pass needs; obtained by `sequence_form(tree)`.

    Attributes:
      cell: position in a flattened `[S * A]` table of every sequence that is not empty, `[Q - P]`.
      parent: sequence before each sequence that is not empty, `[Q - P]`.
      owner: seat of every sequence, `[Q]`.
      sum_by_owner: sparse 0/1 matrix `[P, Q]`.
      levels: information states by own depth, the first decisions first.
      sum_by_last: per seat, the sparse 0/1 matrix `[Q, Z]` from terminals to the seat's last
        sequences.
      pair_values: for two seats, the sparse matrix `[Q, Q]` that turns the co-player's plan into
        chance-weighted returns at the owner's sequences; `None` for more seats.
    """

    cell: Int[np.ndarray, "..."]
    parent: Int[np.ndarray, "..."]
    owner: Int[np.ndarray, "Q"]
    sum_by_owner: scipy.sparse.csr_array
    levels: tuple[Level, ...]
    sum_by_last: tuple[scipy.sparse.csr_array, ...]
    pair_values: scipy.sparse.csr_array | None


_FORMS: weakref.WeakKeyDictionary[GameTree, SequenceForm] = weakref.WeakKeyDictionary()


def sequence_form(tree: GameTree) -> SequenceForm:
    """The index arrays of `tree`, built on first use and kept as long as the tree lives."""
    form = _FORMS.get(tree)
    if form is None:
        form = _FORMS[tree] = _build(tree)
    return form


def realization_plan(
    tree: GameTree, policy: Float[np.ndarray, "*batch S A"]
) -> Float64[np.ndarray, "*batch Q"]:
    """Multiplies the owner's action probabilities along every sequence; empty sequences are 1."""
    form = sequence_form(tree)
    batch = policy.shape[:-2]
    local = axis_first(policy.reshape(*batch, -1)[..., form.cell])
    plan = np.ones((tree.num_sequences, *local.shape[1:]))
    for level in form.levels:
        rows = slice(
            level.sequences.start - tree.num_players, level.sequences.stop - tree.num_players
        )
        plan[level.sequences] = plan[form.parent[rows]] * local[rows]
    return axis_last(plan, batch)


def policy_from_plan(
    tree: GameTree, plan: Float[np.ndarray, "*batch Q"]
) -> Float64[np.ndarray, "*batch S A"]:
    """The behaviour that realises a plan; uniform where the owner itself never arrives."""
    form = sequence_form(tree)
    batch = plan.shape[:-1]
    reached = plan[..., tree.num_players :]
    # The sum over an information state's own actions, not the parent's entry: it normalises to the
    # last bit.
    total = np.add.reduceat(reached, tree.infoset_first_sequence - tree.num_players, axis=-1)
    arrives = total >= np.finfo(np.float64).tiny
    infoset = tree.sequence_infoset[tree.num_players :]
    share = reached / np.where(arrives, total, 1.0)[..., infoset]
    uniform = tree.uniform_policy().reshape(-1)[form.cell]
    policy = np.zeros((*batch, tree.num_infosets * tree.num_actions))
    policy[..., form.cell] = np.where(arrives[..., infoset], share, uniform)
    return policy.reshape(*batch, tree.num_infosets, tree.num_actions)


def mix_plans(
    tree: GameTree, plans: Float[np.ndarray, "K Q"], weights: Float[np.ndarray, "*batch P K"]
) -> Float64[np.ndarray, "*batch Q"]:
    """Averages `K` plans, each seat's part with its own weights.

    Args:
      tree: the game.
      plans: realisation plans, row k holding strategy k of every seat.
      weights: each seat's probabilities of its strategies; every row sums to 1.

    Raises:
      ValueError: a row of `weights` is not a distribution over `K` strategies.
    """
    check_distribution(weights, "weights")
    if weights.shape[-2:] != (tree.num_players, len(plans)):
        raise ValueError(
            f"weights have shape {weights.shape}, expected [..., {tree.num_players}, "
            f"{len(plans)}]: one row per seat, one column per strategy"
        )
    owner = sequence_form(tree).owner
    mixed = np.empty((*weights.shape[:-2], tree.num_sequences))
    for player in range(tree.num_players):
        own = owner == player
        mixed[..., own] = weights[..., player, :] @ plans[:, own]
    return mixed


def mix(
    tree: GameTree, policies: Float[np.ndarray, "K S A"], weights: Float[np.ndarray, "*batch P K"]
) -> Float64[np.ndarray, "*batch S A"]:
    """The policy under which every seat behaves as if it drew a strategy before the game.

    Args:
      tree: the game.
      policies: strategy k of seat p is the rows of p's information states in slice k.
      weights: each seat's probabilities of its strategies.
    """
    return policy_from_plan(tree, mix_plans(tree, realization_plan(tree, policies), weights))


def coplayer_reach(
    tree: GameTree, plan: Float[np.ndarray, "*batch Q"]
) -> Float64[np.ndarray, "*batch P Z"]:
    """Probability of each terminal under chance and the other, independent, seats."""
    at_terminal = [plan[..., tree.terminal_sequence[:, p]] for p in range(tree.num_players)]
    reach = np.empty((*plan.shape[:-1], tree.num_players, tree.num_terminals))
    for player in range(tree.num_players):
        reach[..., player, :] = tree.terminal_probability
        for other, factor in enumerate(at_terminal):
            if other != player:
                reach[..., player, :] *= factor
    return reach


def sum_by_sequence(
    tree: GameTree, player: int, amounts: Float[np.ndarray, "*batch Z"]
) -> Float64[np.ndarray, "*batch Q"]:
    """Adds up amounts of terminals at `player`'s last sequences; other seats' sequences get 0."""
    batch = amounts.shape[:-1]
    return axis_last(sequence_form(tree).sum_by_last[player] @ axis_first(amounts), batch)


def sequence_values(
    tree: GameTree, player: int, weights: Float[np.ndarray, "*batch Z"]
) -> Float64[np.ndarray, "*batch Q"]:
    """Returns of `player` at its last sequences, in game points.

    Args:
      tree: the game.
      player: seat whose sequences are valued.
      weights: probability of each terminal under chance and the co-players
        (`best_response.coplayer_weights`).

    Returns:
      For each sequence of the seat, the weighted returns of the terminals that end in exactly this
      sequence, so that the inner product with the seat's plan is its expected return. Other seats'
      sequences are 0.
    """
    return sum_by_sequence(tree, player, weights * tree.terminal_returns[:, player])


def values_against_plan(
    tree: GameTree, plan: Float[np.ndarray, "*batch Q"]
) -> Float64[np.ndarray, "*batch Q"]:
    """`sequence_values` of all seats at once, each against the others' part of `plan`."""
    form = sequence_form(tree)
    if form.pair_values is not None:
        return axis_last(form.pair_values @ axis_first(plan), plan.shape[:-1])
    reach = coplayer_reach(tree, plan)
    return sum(sequence_values(tree, p, reach[..., p, :]) for p in range(tree.num_players))


def check_distribution(weights: Float[np.ndarray, "..."], name: str) -> None:
    """Raises `ValueError` unless the last axis holds probabilities that sum to 1 within 1e-9."""
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError(f"{name} must be finite and non-negative, got {weights.tolist()}")
    error = np.abs(weights.sum(axis=-1) - 1).max(initial=0.0)
    if error > 1e-9:
        raise ValueError(f"{name} must sum to 1, the sum is off by {error:.3g}: {weights.tolist()}")


def axis_first(values: Float[np.ndarray, "*batch n"]) -> Float[np.ndarray, "..."]:
    """`[..., n]` to `[n]` or contiguous `[n, B]`, where gathers and products move whole rows."""
    if values.ndim == 1:
        return values
    return np.ascontiguousarray(values.reshape(-1, values.shape[-1]).T)


def axis_last(values: Float[np.ndarray, "..."], batch: tuple[int, ...]) -> Float[np.ndarray, "..."]:
    """Undoes `axis_first`."""
    return values.T.reshape(*batch, len(values)) if batch else values


def _build(tree: GameTree) -> SequenceForm:
    P, Q = tree.num_players, tree.num_sequences
    infoset = tree.sequence_infoset[P:]
    owner = np.concatenate([np.arange(P), tree.infoset_player[infoset]])
    levels = []
    for infosets, sequences in tree.levels:
        parents, column = np.unique(tree.infoset_parent_sequence[infosets], return_inverse=True)
        levels.append(
            Level(
                infosets=infosets,
                sequences=sequences,
                offsets=tree.infoset_first_sequence[infosets] - sequences.start,
                parents=parents,
                sum_to_parents=_indicator(column, len(parents)),
            )
        )
    pair_values = None
    if P == 2:
        last = tree.terminal_sequence
        expected = tree.terminal_probability[:, None] * tree.terminal_returns
        pair_values = scipy.sparse.csr_array(
            (expected.T.reshape(-1), (last.T.reshape(-1), last[:, ::-1].T.reshape(-1))),
            shape=(Q, Q),
        )
        pair_values.sum_duplicates()
    return SequenceForm(
        cell=infoset.astype(np.int64) * tree.num_actions + tree.sequence_action[P:],
        parent=tree.infoset_parent_sequence[infoset],
        owner=owner,
        sum_by_owner=_indicator(owner, P),
        levels=tuple(levels),
        sum_by_last=tuple(_indicator(tree.terminal_sequence[:, p], Q) for p in range(P)),
        pair_values=pair_values,
    )


def _indicator(row: Int[np.ndarray, "n"], num_rows: int) -> scipy.sparse.csr_array:
    """The 0/1 matrix `[num_rows, n]` that adds entry `i` of a vector to entry `row[i]`."""
    columns = np.arange(len(row))
    return scipy.sparse.csr_array((np.ones(len(row)), (row, columns)), shape=(num_rows, len(row)))
