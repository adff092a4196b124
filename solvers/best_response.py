"""Best responses on a tree, deterministic or entropy-regularised, to a joint co-player behaviour.

The objective of seat p at temperature `tau` (game points per nat) against a fixed behaviour of
chance and co-players is

    J(pi) = E[return of p] + tau * sum over p's information states I of P(I | pi) * H(pi(. | I)),

where `P(I | pi)` is the probability that I happens: p's own reach times that of chance and
co-players, and H is the entropy in nats. Each decision thus counts as often as it is made; what
nobody lets happen earns nothing. With `tau = 0` this is the expected return. One bottom-up pass
over p's information states maximises J exactly: with `w(I)` the reach of chance and co-players and
`q(I, a)` the value of action a weighted by it, the best `pi(. | I)` is the softmax of `q / (tau w)`
and the value handed up is `tau w logsumexp(q / (tau w))`.
"""

import dataclasses
from typing import Literal

import numpy as np
from jaxtyping import Float, Float64

from games.game_tree import GameTree
from solvers import tree_kernels
from solvers.sequence_form import (
    check_distribution,
    check_shape,
    flat,
    realization_plan,
    sequence_form,
    sequence_values,
    sum_by_sequence,
)

# What a response does between actions that are equally good: all of the lowest action; the same
# probability each, which makes it the best response of greatest entropy; or the lowest where the
# co-players let the seat arrive and uniform elsewhere, as OpenSpiel's best responses do when told
# to cut what has probability 0.
Ties = Literal["lowest", "uniform", "lowest_if_reached"]

# The greatest reach at which tied actions share.
_SPREAD = {"lowest": -1.0, "uniform": np.inf, "lowest_if_reached": 0.0}

# Actions whose conditional values differ by less than this share of the payoff range count as tied.
TIE = 1e-12


@dataclasses.dataclass(frozen=True)
class BestResponse:
    """A seat's best response.

    Attributes:
      policy: `[..., S, A]`; the seat's rows hold the response, all other rows are zero.
      value: `[...]` the greatest attainable objective, in game points (entropy bonus included at a
        temperature > 0).
    """

    policy: Float64[np.ndarray, "..."]
    value: Float64[np.ndarray, "..."]


def coplayer_weights(
    tree: GameTree,
    policies: Float[np.ndarray, "K S A"],
    player: int,
    joint: Float[np.ndarray, "..."],
) -> Float64[np.ndarray, "..."]:
    """Probability of each terminal under chance and a joint draw of the co-players' strategies.

    The average is over *joint* profiles. The product of the co-players' marginals is another object
    as soon as there are two co-players, and is never formed here.

    Args:
      tree: the game.
      policies: strategy k of seat p is the rows of p's information states in slice k.
      player: the seat left out.
      joint: `[..., K, ..., K]` distribution over the strategies of the other `P - 1` seats in
        ascending order, after any leading batch.

    Returns:
      `[..., Z]`, for `best_response`.

    Raises:
      ValueError: `joint` is not a distribution over profiles of `P - 1` seats with `K` strategies.
    """
    num_others, num_strategies = tree.num_players - 1, len(policies)
    expected = (num_strategies,) * num_others
    batch = joint.shape[: joint.ndim - num_others]
    if joint.ndim < num_others or joint.shape[len(batch) :] != expected:
        raise ValueError(
            f"joint has shape {joint.shape}, expected [..., {', '.join(map(str, expected))}]: "
            f"an axis of {num_strategies} strategies for each of the {num_others} co-players"
        )
    check_distribution(joint.reshape(*batch, -1), "joint")
    plans = realization_plan(tree, policies)
    others = [p for p in range(tree.num_players) if p != player]
    # The last co-player's axis goes by one matrix product, the others by sums over what is left of
    # the profile.
    weights = joint @ plans[:, tree.terminal_sequence[:, others[-1]]]
    for other in reversed(others[:-1]):
        weights = np.einsum("...kz,kz->...z", weights, plans[:, tree.terminal_sequence[:, other]])
    return weights * tree.terminal_probability


def best_response(
    tree: GameTree,
    player: int,
    weights: Float[np.ndarray, "*batch Z"],
    *,
    temperature: float | Float[np.ndarray, "..."] = 0.0,
    ties: Ties = "lowest",
) -> BestResponse:
    """Maximises seat `player`'s objective against fixed co-players.

    Args:
      tree: the game.
      player: the responding seat.
      weights: probability of each terminal under chance and the co-players, `[..., Z]`:
        `coplayer_weights` for joint mixtures, `sequence_form.coplayer_reach` for one policy.
      temperature: in game points per nat, one number or one per batch entry; all 0 or all positive.
        At a positive temperature the response is uniform where the co-players never let the seat
        arrive.
      ties: at temperature 0, what happens between equally good actions, also where the co-players
        never let the seat arrive and all actions are.

    Raises:
      ValueError: the temperature is negative or mixes zero and positive entries.
    """
    return respond_to_values(
        tree,
        player,
        sequence_values(tree, player, weights),
        reach=sum_by_sequence(tree, player, weights),
        temperature=temperature,
        ties=ties,
    )


def respond_to_values(
    tree: GameTree,
    player: int,
    values: Float64[np.ndarray, "*batch Q"],
    *,
    reach: Float64[np.ndarray, "*batch Q"],
    temperature: float | Float[np.ndarray, "..."] = 0.0,
    ties: Ties = "lowest",
) -> BestResponse:
    """`best_response` from sums over terminals by the seat's last sequence; overwrites both.

    Args:
      tree: the game.
      player: the responding seat.
      values: chance- and co-player-weighted returns of the terminals that end in each sequence.
      reach: their probability under chance and co-players.
      temperature: as for `best_response`.
      ties: as for `best_response`.
    """
    batch = values.shape[:-1]
    tau = _temperatures(temperature, batch)
    form = sequence_form(tree)
    check_shape(values, form.owner.shape, "values")
    check_shape(reach, values.shape, "reach")
    policy = np.zeros((*batch, tree.num_infosets, tree.num_actions))
    arrays = (flat(values), flat(reach), form.infosets[player], form.parent, form.first, form.cell)
    if tau is None:
        tie = TIE * tree.payoff_range
        tree_kernels.respond(*arrays, tie, _SPREAD[ties], flat(policy, 2))
    else:
        tree_kernels.respond_softly(*arrays, tau, flat(policy, 2))
    return BestResponse(policy=policy, value=np.array(arrays[0][:, player]).reshape(batch))


def objective(
    tree: GameTree,
    player: int,
    policy: Float[np.ndarray, "*batch S A"],
    *,
    weights: Float[np.ndarray, "*batch Z"],
    temperature: float | Float[np.ndarray, "..."] = 0.0,
) -> Float64[np.ndarray, "*batch"]:
    """What `best_response` maximises, for given rows; the difference is their regularised gap.

    Args:
      tree: the game.
      player: the seat whose rows of `policy` are read.
      policy: the seat's behaviour.
      weights: probability of each terminal under chance and the co-players.
      temperature: in game points per nat.
    """
    plan = realization_plan(tree, policy)
    value = (plan * sequence_values(tree, player, weights)).sum(axis=-1)
    reach = information_state_reach(tree, player, weights)
    own_reach = plan[..., tree.infoset_parent_sequence]
    entropy = -np.sum(policy * np.log(np.where(policy > 0, policy, 1.0)), axis=-1)
    bonus = (reach * own_reach * entropy).sum(axis=-1)
    return np.asarray(value + np.asarray(temperature) * bonus)


def information_state_reach(
    tree: GameTree, player: int, weights: Float[np.ndarray, "*batch Z"]
) -> Float64[np.ndarray, "*batch S"]:
    """Reach of the seat's information states by chance and co-players; 0 for other seats'."""
    form = sequence_form(tree)
    at_infoset = np.zeros((*weights.shape[:-1], tree.num_infosets))
    tree_kernels.arrivals(
        flat(sum_by_sequence(tree, player, weights)),
        form.infosets[player],
        form.parent,
        form.first,
        flat(at_infoset),
    )
    return at_infoset


def _temperatures(temperature, batch):
    """`None` for deterministic responses, else an array that fits the flattened batch."""
    tau = np.asarray(temperature, np.float64)
    if not np.isfinite(tau).all() or (tau < 0).any():
        raise ValueError(
            f"temperature is {temperature}, expected finite numbers >= 0 (game points)"
        )
    if not tau.any():
        return None
    if not tau.all():
        raise ValueError("temperatures of one call must be all 0 or all positive")
    return np.broadcast_to(tau, batch).reshape(-1)
