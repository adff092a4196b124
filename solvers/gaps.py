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
from solvers.best_response import greatest_returns
from solvers.sequence_form import realization_plan, sequence_form, values_against_plan
from solvers.types import Certificate


def gains(
    tree: GameTree, policy: Float[np.ndarray, "*batch S A"]
) -> Float64[np.ndarray, "*batch P"]:
    """Each seat's gain from a best response to the others' rows, in game points; never negative."""
    return gains_of_plan(tree, realization_plan(tree, policy))


def gains_of_plan(
    tree: GameTree, plan: Float[np.ndarray, "*batch Q"]
) -> Float64[np.ndarray, "*batch P"]:
    """`gains` of a realisation plan (of a mixture, for instance)."""
    form = sequence_form(tree)
    values = values_against_plan(tree, plan)
    best = greatest_returns(form, values, tree.num_players)
    on_policy = form.sum_by_owner @ (plan * values).reshape(-1, tree.num_sequences).T
    gain = best - on_policy.T.reshape(best.shape)
    least = gain.min(initial=0.0)
    assert least >= -1e-9 * max(1.0, np.abs(tree.terminal_returns).max()), (
        f"a best response is worse than the policy itself by {-least}"
    )
    return np.maximum(gain, 0.0)


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
    tree.check_policy(policy)
    start = time.perf_counter()
    per_player = gains(tree, policy)
    return Certificate(
        quantity="nash_conv",
        value=float(per_player.sum()),
        per_player=tuple(per_player.tolist()),
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
