"""Expected returns of policies and exact payoff tensors of populations, in float64."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float64

from games.game_tree import GameTree
from solvers import tree_kernels
from solvers.sequence_form import check_shape, flat, realization_plan, sequence_form


def expected_returns(
    tree: GameTree, policy: Float[np.ndarray, "*batch S A"]
) -> Float64[np.ndarray, "*batch P"]:
    """Expected return of every seat when all play their rows of `policy`, in game points."""
    return returns_of_plan(tree, realization_plan(tree, policy))


def returns_of_plan(
    tree: GameTree, plan: Float[np.ndarray, "*batch Q"]
) -> Float64[np.ndarray, "*batch P"]:
    """Expected return of every seat when all play their part of a plan, in game points."""
    form = sequence_form(tree)
    check_shape(plan, form.owner.shape, "plan")
    returns = np.zeros((*plan.shape[:-1], tree.num_players))
    tree_kernels.expected_returns(form.last, form.run, form.pay, flat(plan), flat(returns))
    return returns


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
    form = sequence_form(tree)
    sizes = np.array([len(own) for own in plans])
    table = np.zeros((tree.num_sequences, sizes.max()))
    for player, own in enumerate(plans):
        check_shape(own, form.owner.shape, "plans")
        mine = form.owner == player
        table[mine, : len(own)] = own[:, mine].T
    tensor = np.zeros((*sizes, tree.num_players))
    tree_kernels.payoff_tensor(form.last, form.pay, table, sizes, tensor.reshape(-1))
    return tensor
