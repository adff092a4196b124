"""How far a policy is from equilibrium: gains from best responses, NashConv, exploitability.

`gain_p = max over pi'_p of u_p(pi'_p, pi_-p) - u_p(pi)`, with all other seats playing their rows
independently. For such a product of policies no gain is negative; a gain below zero by more than
rounding is an error in our arithmetic and stops the program. NashConv is the sum of the gains,
exploitability that sum divided by the number of players (Lanctot et al. 2017).
"""

import dataclasses
import time

import numpy as np
from jaxtyping import Float, Float64

from games.game_tree import GameTree
from solvers import tree_kernels
from solvers.sequence_form import check_policies, check_shape, sequence_form
from solvers.types import Certificate


def gains(
    tree: GameTree, policy: Float[np.ndarray, "*batch S A"]
) -> Float64[np.ndarray, "*batch P"]:
    """Each seat's gain from a best response to the others' rows, in game points; never negative."""
    form = sequence_form(tree)
    check_shape(policy, form.table_shape, "policy")
    gain = np.empty((*policy.shape[:-2], tree.num_players))
    least = tree_kernels.gains_of_policies(
        np.ascontiguousarray(policy, np.float64).ravel(),
        form.cell,
        form.parent,
        form.first,
        form.last,
        form.run,
        form.pay,
        gain.ravel(),
    )
    return gain if least == 0 else _without_rounding(tree, gain, least)


def gains_of_plan(
    tree: GameTree, plan: Float[np.ndarray, "*batch Q"]
) -> Float64[np.ndarray, "*batch P"]:
    """`gains` of a realisation plan (of a mixture, for instance)."""
    form = sequence_form(tree)
    check_shape(plan, form.owner.shape, "plan")
    gain = np.empty((*plan.shape[:-1], tree.num_players))
    least = tree_kernels.gains_of_plans(
        np.ascontiguousarray(plan, np.float64).ravel(),
        form.parent,
        form.first,
        form.last,
        form.run,
        form.pay,
        gain.ravel(),
    )
    return gain if least == 0 else _without_rounding(tree, gain, least)


def nash_conv(
    tree: GameTree, policy: Float[np.ndarray, "S A"], *, measured: str = "policy"
) -> Certificate:
    """Certifies the NashConv of a policy of all seats.

    Args:
      tree: the game.
      policy: rows of all seats; every row must be a distribution over legal actions.
      measured: what the policy is, for the certificate.

    Returns:
      A certificate whose value is the sum of the seats' gains, in game points.

    Raises:
      ValueError: a row of `policy` is not a distribution over legal actions.
    """
    check_policies(tree, policy)
    start = time.perf_counter()
    per_player = gains(tree, policy).tolist()
    return Certificate(
        quantity="nash_conv",
        value=sum(per_player),
        per_player=tuple(per_player),
        object=measured,
        method="exact",
        interval=None,
        openspiel_value=None,
        game=tree.name,
        seconds=time.perf_counter() - start,
    )


def exploitability(
    tree: GameTree, policy: Float[np.ndarray, "S A"], *, measured: str = "policy"
) -> Certificate:
    """Certifies NashConv divided by the number of players; `per_player` holds the whole gains."""
    certificate = nash_conv(tree, policy, measured=measured)
    return dataclasses.replace(
        certificate, quantity="exploitability", value=certificate.value / tree.num_players
    )


def _without_rounding(tree, gain, least):
    assert least >= -1e-9 * max(1.0, np.abs(tree.terminal_returns).max()), (
        f"a best response is worse than the policy itself by {-least}"
    )
    return np.maximum(gain, 0.0)
