"""Ratings by equilibria: what answering with one model always would gain over the equilibrium.

At an equilibrium no model gains, so ratings are at most 0; where no deviation is made to lose on
purpose, the best models reach it. All equilibria are those of `solvers.meta`, computed on the game
without copies; each is selected by its nearness to a prior that copies cannot move, and certified
by its gap.
"""

import time
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float64

from evaluation.evaluation_game import EvaluationGame
from evaluation.prior import ClassPrior, class_prior
from evaluation.types import Attribution, RatingResult
from solvers.meta.correlated import solve_correlated
from solvers.meta.deviation import deviation_gains, deviation_values, product_joint, swap_gains
from solvers.meta.deviation_ratings import solve_deviation_ratings
from solvers.meta.logit import solve_logit
from solvers.types import Certificate, Quantity, SolverError

# Largest gap, as a share of the payoff range, at which there is a ranking.
MAX_GAP = 1e-6
# Ratings within so many gaps of each other share a rank, and within this share of the payoff range:
# the digits of a solver.
GAPS_PER_RANK, LEAST_TOLERANCE = 10, 1e-8

CONCEPTS = ("cce", "ce", "nash", "deviation")
_QUANTITIES: dict[str, Quantity] = {
    "cce": "cce_gain",
    "ce": "ce_gap",
    "nash": "nash_conv",
    "deviation": "cce_gain",
}


def rate_by_equilibrium(
    evaluation: EvaluationGame,
    concept: str = "cce",
    *,
    groups: Sequence[str] | None = None,
    distinct: Sequence[int] | None = None,
    affinity_variance: float | None = None,
    progress_fn: Callable[[int, int], None] | None = None,
) -> RatingResult:
    """Rates the models by one equilibrium of the evaluation game.

    Args:
      evaluation: the game.
      concept: `"cce"`, `"ce"`: the (coarse) correlated equilibrium of least relative entropy to the
        prior; `"nash"`: the limit of logit equilibria that start at the prior; `"deviation"`: the
        CCE in which deviating loses as much as possible (deviation ratings; no prior).
      groups: the group of each prompt, for the prior; see `class_prior`.
      distinct: how many prompts each one stands for, for the same.
      affinity_variance: of the soft kernel of the prior; see `class_prior`.
      progress_fn: told how much is done and how much there is to do, where that is known.

    Returns:
      Ratings in game points, with the certificate and the attribution to prompts.

    Raises:
      SolverError: no equilibrium with a gap of at most 1e-6 of the payoff range was found.
    """
    if concept not in CONCEPTS:
        raise ValueError(f"concept {concept!r} is none of {', '.join(CONCEPTS)}")
    start = time.perf_counter()
    prior = class_prior(
        evaluation, groups=groups, distinct=distinct, affinity_variance=affinity_variance
    )
    joint, status, residual = _equilibrium(prior, concept, evaluation.rated, progress_fn)
    gains = swap_gains if concept == "ce" else deviation_gains
    per_player = gains(prior.payoffs, joint)
    gap = float(np.maximum(per_player, 0).sum())
    span = float(np.ptp(prior.payoffs)) or 1.0
    if not gap <= MAX_GAP * span:
        raise SolverError(
            f"no ranking: the {concept} of {evaluation.game.name} has a gap of {gap:.3g}, allowed "
            f"are {MAX_GAP * span:.3g}"
        )
    ratings = _deviation_losses(prior.payoffs, joint, evaluation.rated)
    seconds = time.perf_counter() - start
    return RatingResult(
        method=concept,
        models=evaluation.models,
        ratings=ratings[prior.classes[evaluation.rated].member],
        unit="payoff gained by always answering with the model",
        tolerance=max(GAPS_PER_RANK * max(gap, residual), LEAST_TOLERANCE * span),
        status=status,
        seconds=seconds,
        certificate=Certificate(
            quantity=_QUANTITIES[concept],
            value=gap,
            per_player=tuple(map(float, per_player)),
            object=f"{concept} of the evaluation game",
            method="exact",
            interval=None,
            openspiel_value=None,
            game=evaluation.game.name,
            seconds=seconds,
        ),
        attribution=_attribution(evaluation, prior, joint),
        notes=evaluation.notes,
    )


def _equilibrium(
    prior: ClassPrior,
    concept: str,
    rated: int,
    progress_fn: Callable[[int, int], None] | None,
) -> tuple[Float64[np.ndarray, "..."], str, float]:
    """The joint of the classes, how its solver ended, and how far ratings may be off besides the
    gap.
    """
    residual = 0.0
    if concept == "nash":
        result = solve_logit(prior.payoffs, prior=prior.weights)
    elif concept == "deviation":
        result = solve_deviation_ratings(prior.payoffs, player=rated, progress_fn=progress_fn)
        residual = result.residual
    else:
        target = product_joint(prior.weights)
        result = solve_correlated(
            prior.payoffs, concept=concept, maximise="entropy", target=target / target.sum()
        )
    sizes = "x".join(map(str, prior.payoffs.shape[:-1]))
    status = f"{result.status} after {result.iterations} iterations, {sizes} classes"
    return result.joint, status, residual


def _deviation_losses(payoffs, joint, player):
    """What each of the player's strategies would gain, always played; at most 0 up to the gap."""
    return deviation_values(payoffs, joint, player) - np.sum(payoffs[..., player] * joint)


def _attribution(evaluation, prior, joint):
    """The part of each rating on each prompt: the gain restricted to draws with that prompt."""
    rated, prompts = evaluation.rated, evaluation.prompts
    axes = [axis for axis in range(joint.ndim) if axis not in (rated, prompts)]
    table = np.moveaxis(prior.payoffs[..., rated], [prompts, rated, *axes], range(joint.ndim))
    drawn = np.moveaxis(joint, [prompts, rated, *axes], range(joint.ndim))
    others = tuple(range(2, joint.ndim))
    # A game of one player against itself has no other axes to sum over.
    deviating = np.sum(drawn.sum(axis=1)[:, None] * table, axis=others)
    keeping = np.sum(drawn * table, axis=(1, *others))
    parts = deviating - keeping[:, None]
    member, share = prior.classes[prompts].member, prior.shares[prompts]
    model = prior.classes[rated].member
    masses = {
        player: _marginal(joint, player)[prior.classes[player].member] * prior.shares[player]
        for player in (rated, prompts, *axes)
    }
    names = evaluation.game.strategy_names
    rebels = [player for player in axes if names[player] == names[rated]]
    return Attribution(
        prompts=names[prompts],
        prompt_masses=masses[prompts],
        prompt_ratings=_deviation_losses(prior.payoffs, joint, prompts)[member],
        model_masses=masses[rated],
        contributions=(parts[member] * share[:, None])[:, model],
        rebel_masses=masses[rebels[0]] if len(rebels) == 1 else None,
    )


def _marginal(joint, player):
    return joint.sum(axis=tuple(axis for axis in range(joint.ndim) if axis != player))
