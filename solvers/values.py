"""Expected returns of policies and exact payoff tensors of populations, in float64."""

import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float64

from games.game_tree import GameTree
from solvers.sequence_form import axis_first, realization_plan, sequence_form


def expected_returns(
    tree: GameTree, policy: Float[np.ndarray, "*batch S A"]
) -> Float64[np.ndarray, "*batch P"]:
    """Expected return of every seat when all play their rows of `policy`, in game points."""
    return returns_of_plan(tree, realization_plan(tree, policy))


def returns_of_plan(
    tree: GameTree, plan: Float[np.ndarray, "*batch Q"]
) -> Float64[np.ndarray, "*batch P"]:
    """Expected return of every seat when all play their part of a plan, in game points."""
    reach = tree.terminal_probability
    for player in range(tree.num_players):
        reach = reach * plan[..., tree.terminal_sequence[:, player]]
    return reach @ tree.terminal_returns


def payoffs(
    tree: GameTree,
    policies: Float[np.ndarray, "K S A"] | Sequence[Float[np.ndarray, "_ S A"]],
) -> Float64[np.ndarray, "..."]:
    """Expected returns of every profile of the seats' strategies.

    Args:
      tree: the game.
      policies: `K` strategies of every seat as one array, or one array `[K_p, S, A]` per seat where
        their numbers differ (seat p reads only the rows of its own information states).

    Returns:
      `[K_0, ..., K_{P-1}, P]`, in game points.

    Raises:
      ValueError: the number of per-seat arrays is not the number of players.
    """
    if isinstance(policies, np.ndarray):
        plan = realization_plan(tree, policies)
        return payoffs_of_plans(tree, [plan] * tree.num_players)
    if len(policies) != tree.num_players:
        raise ValueError(f"{len(policies)} arrays of policies for {tree.num_players} players")
    return payoffs_of_plans(tree, [realization_plan(tree, own) for own in policies])


def payoffs_of_plans(
    tree: GameTree, plans: Sequence[Float[np.ndarray, "_ Q"]]
) -> Float64[np.ndarray, "..."]:
    """`payoffs` of realisation plans, one array `[K_p, Q]` per seat."""
    pair_values = sequence_form(tree).pair_values
    if pair_values is not None:
        return np.stack([_pair_payoffs(tree, plans, player) for player in range(2)], axis=-1)
    at_terminal = [own[:, tree.terminal_sequence[:, player]] for player, own in enumerate(plans)]
    expected = tree.terminal_probability * tree.terminal_returns.T
    *outer, rows, columns = at_terminal
    result = np.empty((*(len(own) for own in plans), tree.num_players))
    for profile in itertools.product(*(range(len(own)) for own in outer)):
        weight = expected
        for own, k in zip(outer, profile, strict=True):
            weight = weight * own[k]
        for player in range(tree.num_players):
            result[(*profile, ..., player)] = (rows * weight[player]) @ columns.T
    return result


def _pair_payoffs(
    tree: GameTree, plans: Sequence[Float[np.ndarray, "_ Q"]], player: int
) -> Float64[np.ndarray, "_ _"]:
    form = sequence_form(tree)
    own = form.owner == player
    values = form.pair_values @ axis_first(plans[1 - player])
    table = plans[player][:, own] @ values[own]
    return table if player == 0 else table.T
