"""Realisation plans: products of a seat's own action probabilities (von Stengel 1996).

A policy of all seats is one table `[S, A]`; its plan is one vector `[Q]` that holds, for every
sequence, the probability with which its owner plays all actions of that sequence. Values are
multilinear in the plans, and with perfect recall the plan of a mixture of policies is the average
of their plans, so mixtures are realised exactly by linear algebra. Functions take any leading batch
of policies.
"""

import dataclasses
import weakref
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int32

from games.game_tree import GameTree
from solvers import tree_kernels

# How far a row's probabilities may sum from 1.
POLICY_TOLERANCE = 1e-6


@dataclasses.dataclass(frozen=True, eq=False)
class SequenceForm:
    """What every exact pass reads of a tree; obtained by `sequence_form(tree)`.

    Terminals at which all seats end in the same sequences differ by chance alone and are merged.
    Those whose expected returns are all zero are dropped from what values are computed from.

    Attributes:
      table_shape: `(S, A)`, that of a policy.
      owner: seat of every sequence, `[Q]`.
      cell: position in a flattened `[S * A]` table of every sequence that is not empty, `[Q - P]`.
      parent: the owner's last sequence before each information state, `[S]`.
      first: first sequence of each information state, and `Q` at the end, `[S + 1]`.
      infosets: per seat, its information states, ascending.
      last: last sequence of every seat at the merged terminals with returns, in lexicographic
        order, `[M, P]`.
      run: where the last sequence of seat 0 changes within `last`, both ends included.
      pay: chance-weighted returns of those terminals, in game points, `[M, P]`.
      all_last: last sequences at all merged terminals, in lexicographic order, `[N, P]`.
      probability: chance probability of all merged terminals.
      by_seat: filled by `seat_terminals`.
    """

    table_shape: tuple[int, int]
    owner: Int32[np.ndarray, "Q"]
    cell: Int32[np.ndarray, "..."]
    parent: Int32[np.ndarray, "S"]
    first: Int32[np.ndarray, "..."]
    infosets: tuple[Int32[np.ndarray, "..."], ...]
    last: Int32[np.ndarray, "M P"]
    run: Int32[np.ndarray, "..."]
    pay: Float64[np.ndarray, "M P"]
    all_last: Int32[np.ndarray, "N P"]
    probability: Float64[np.ndarray, "N"]
    by_seat: dict[int, "SeatTerminals"] = dataclasses.field(default_factory=dict)


class SeatTerminals(NamedTuple):
    """Terminals in the order in which one seat responds to others; by `seat_terminals(form, p)`.

    Attributes:
      last: last sequences in lexicographic order, the seat's own in column 0 and the others' in
        ascending order after it, where there are returns.
      pay: the seat's chance-weighted returns, in game points.
      all_last: the same at all merged terminals.
      probability: chance probability of all merged terminals.
    """

    last: Int32[np.ndarray, "M P"]
    pay: Float64[np.ndarray, "M"]
    all_last: Int32[np.ndarray, "N P"]
    probability: Float64[np.ndarray, "N"]


_FORMS: weakref.WeakKeyDictionary[GameTree, SequenceForm] = weakref.WeakKeyDictionary()


def sequence_form(tree: GameTree) -> SequenceForm:
    """The index arrays of `tree`, built on first use and kept as long as the tree lives."""
    form = _FORMS.get(tree)
    if form is None:
        form = _FORMS[tree] = _build(tree)
    return form


def seat_terminals(form: SequenceForm, player: int) -> SeatTerminals:
    """Terminals sorted for `player`, built on first use and kept as long as `form` lives."""
    found = form.by_seat.get(player)
    if found is None:
        seats = [player, *(p for p in range(len(form.infosets)) if p != player)]
        orders = [np.lexsort(last[:, seats[::-1]].T) for last in (form.last, form.all_last)]
        found = form.by_seat[player] = SeatTerminals(
            last=np.ascontiguousarray(form.last[orders[0]][:, seats]),
            pay=form.pay[orders[0], player],
            all_last=np.ascontiguousarray(form.all_last[orders[1]][:, seats]),
            probability=form.probability[orders[1]],
        )
    return found


def realization_plan(
    tree: GameTree, policy: Float[np.ndarray, "*batch S A"]
) -> Float64[np.ndarray, "*batch Q"]:
    """Multiplies the owner's action probabilities along every sequence; empty sequences are 1."""
    form = sequence_form(tree)
    check_shape(policy, form.table_shape, "policy")
    rows = flat(policy, 2)
    plan = np.empty((len(rows), tree.num_sequences))
    tree_kernels.realize(rows, form.cell, form.parent, form.first, plan)
    return plan.reshape(*policy.shape[:-2], tree.num_sequences)


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
    check_shape(amounts, (tree.num_terminals,), "amounts of terminals")
    totals = np.zeros((*amounts.shape[:-1], tree.num_sequences))
    tree_kernels.sum_at(tree.terminal_sequence[:, player], flat(amounts), flat(totals))
    return totals


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
    check_shape(plan, form.owner.shape, "plan")
    values = np.zeros(plan.shape)
    returns = np.zeros((*plan.shape[:-1], tree.num_players))
    tree_kernels.values_and_returns(
        form.last, form.run, form.pay, flat(plan), flat(values), flat(returns)
    )
    return values


def check_policies(tree: GameTree, policies: Float[np.ndarray, "*batch S A"]) -> None:
    """`GameTree.check_policy` of a whole batch, fast where all is well.

    Raises:
      ValueError: a row is not a distribution over legal actions, or the shape is wrong.
    """
    well = policies.shape[-2:] == sequence_form(tree).table_shape and tree_kernels.are_policies(
        flat(policies, 2), tree.legal_mask, POLICY_TOLERANCE
    )
    if not well:
        for policy in policies.reshape(-1, *policies.shape[-2:]):
            tree.check_policy(policy, tolerance=POLICY_TOLERANCE)


def check_distribution(weights: Float[np.ndarray, "..."], name: str) -> None:
    """Raises `ValueError` unless the last axis holds probabilities that sum to 1 within 1e-9."""
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError(f"{name} must be finite and non-negative, got {weights.tolist()}")
    error = np.abs(weights.sum(axis=-1) - 1).max(initial=0.0)
    if error > 1e-9:
        raise ValueError(f"{name} must sum to 1, the sum is off by {error:.3g}: {weights.tolist()}")


def check_shape(array: Float[np.ndarray, "..."], item: tuple[int, ...], name: str) -> None:
    """Raises `ValueError` unless the last axes are those of one item: compiled loops trust them."""
    if array.shape[-len(item) :] != item:
        raise ValueError(
            f"{name} has shape {array.shape}, expected [..., {', '.join(map(str, item))}]"
        )


def flat(values: Float[np.ndarray, "..."], item_axes: int = 1) -> Float64[np.ndarray, "_ _"]:
    """A batch of items as contiguous float64 rows, `[B, n]`; a view wherever the input allows."""
    values = np.ascontiguousarray(values, np.float64)
    size = 1
    for length in values.shape[values.ndim - item_axes :]:
        size *= length
    return values.reshape(-1, size)


def _build(tree: GameTree) -> SequenceForm:
    P, Q = tree.num_players, tree.num_sequences
    infoset = tree.sequence_infoset[P:]
    order = np.lexsort(tree.terminal_sequence.T[::-1])
    all_last = tree.terminal_sequence[order]
    starts = np.flatnonzero(np.append(True, (np.diff(all_last, axis=0) != 0).any(axis=1)))
    all_last = np.ascontiguousarray(all_last[starts], np.int32)
    probability = tree.terminal_probability[order]
    pay = np.add.reduceat(probability[:, None] * tree.terminal_returns[order], starts)
    pays = (pay != 0).any(axis=1)
    last = np.ascontiguousarray(all_last[pays])
    changes = np.flatnonzero(np.diff(last[:, 0], prepend=-1, append=-1))
    return SequenceForm(
        table_shape=(tree.num_infosets, tree.num_actions),
        owner=np.concatenate([np.arange(P), tree.infoset_player[infoset]]).astype(np.int32),
        cell=(infoset * tree.num_actions + tree.sequence_action[P:]).astype(np.int32),
        parent=np.ascontiguousarray(tree.infoset_parent_sequence, np.int32),
        first=np.append(tree.infoset_first_sequence, Q).astype(np.int32),
        infosets=tuple(
            np.flatnonzero(tree.infoset_player == player).astype(np.int32) for player in range(P)
        ),
        last=last,
        run=changes.astype(np.int32),
        pay=np.ascontiguousarray(pay[pays]),
        all_last=all_last,
        probability=np.add.reduceat(probability, starts),
    )
