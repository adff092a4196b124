"""How the response head answers mixtures that it was never trained on."""

from typing import Any

import numpy as np

from neupl.jpsro.population import JointPopulation
from solvers.best_response import best_response
from solvers.sequence_form import realization_plan
from solvers.values import payoffs_of_plans

# Mixtures per seat, and their concentration over the profiles of the co-players.
MIXTURES, CONCENTRATION = 16, 0.3


def adaptation_of(population: JointPopulation, *, seed: int = 0) -> dict[str, Any]:
    """Values against random joint mixtures of the co-players' strategies, as a share of what a best
    response earns above uniform play; exact, means over seats and mixtures.

    Returns:
      `response`: of the response head, which is given the mixture; `best_member`: of the best of
      the seat's own strategies, chosen by exact values; `trained`: of the response head against
      the marginal of the joint that was kept. Nothing where no network is told a mixture.
    """
    if not population.answers_mixtures:
        return {}
    tree, rng = population.tree(), np.random.default_rng(seed)
    plans = [realization_plan(tree, own) for own in population.policies]
    uniform = realization_plan(tree, tree.uniform_policy()[None])
    shares: dict[str, list[float]] = {"response": [], "best_member": [], "trained": []}
    for seat in range(tree.num_players):
        others = [own for q, own in enumerate(plans) if q != seat]
        sizes = tuple(len(own) for own in others)
        drawn = rng.dirichlet(np.full(int(np.prod(sizes)), CONCENTRATION), size=MIXTURES)
        kept = population.joint.sum(axis=seat)
        for number, mixture in enumerate([*drawn.reshape(-1, *sizes), kept / kept.sum()]):
            table = tree.uniform_policy()
            own = tree.infoset_player == seat
            table[own] = population.respond(
                seat, mixture, tree.observation[own], tree.legal_mask[own]
            )
            table /= table.sum(axis=-1, keepdims=True)
            candidates = np.concatenate([uniform, realization_plan(tree, table[None]), plans[seat]])
            seats = [*others[:seat], candidates, *others[seat:]]
            payoffs = np.moveaxis(payoffs_of_plans(tree, seats)[..., seat], seat, 0)
            earned = payoffs.reshape(len(candidates), -1) @ mixture.reshape(-1)
            best = _best_value(tree, seat, others, mixture)
            room = best - earned[0]
            if room <= 1e-6 * tree.payoff_range:
                continue  # uniform play is a best response already
            gained = (earned - earned[0]) / room
            if number == MIXTURES:
                shares["trained"].append(float(gained[1]))
            else:
                shares["response"].append(float(gained[1]))
                shares["best_member"].append(float(gained[2:].max()))
    return {name: float(np.mean(values)) for name, values in shares.items() if values}


def _best_value(tree, seat, others, mixture) -> float:
    """Value of the exact best response to a joint mixture."""
    seats = [q for q in range(tree.num_players) if q != seat]
    weights = mixture
    for q, own in zip(reversed(seats), reversed(others), strict=True):
        at_terminal = own[:, tree.terminal_sequence[:, q]]
        if weights is mixture:
            weights = mixture @ at_terminal
        else:
            weights = np.einsum("...kz,kz->...z", weights, at_terminal)
    return float(best_response(tree, seat, weights * tree.terminal_probability).value)
