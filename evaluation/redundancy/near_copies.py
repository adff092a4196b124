"""Near-duplicate prompts and near-clone models, against what a noisy judge makes of one of them.

Two prompts, or two models, are near when their win rates differ by no more than those of a copy
that was judged again. Judge noise is modelled as a share of verdicts that are random levels; it is
measured where verdicts were repeated. Being within the floor is no proof: different models may be
as alike as one model judged twice.
"""

from typing import Literal

import numpy as np
from jaxtyping import Float64

from evaluation.outcomes import win_rates
from evaluation.redundancy.copied import judged_anew
from evaluation.redundancy.types import NearCopies, NearPair
from evaluation.types import Battles, Scores

# Share of random verdicts where repeated ones do not tell.
ASSUMED_NOISE = 0.15
# Share of re-judged copies within the floor.
LEVEL = 0.95
# Shares of random verdicts at which the distance of a copy from its original is simulated.
_SHARES = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0)
MAX_NEAREST = 10


def measured_noise(evaluation: Battles | Scores) -> float | None:
    """The share of random verdicts, from repeated ones of the same pair on the same prompt.

    With a share `z` two verdicts agree on the truth `t` with probability `(1 - z)^2`, so that the
    variance within cells is `z (1 - z) E[(t - L)^2] + z^2 Var[L]` with a random level `L`.

    Returns:
      The least such share in [0, 1]; `None` where fewer than 30 cells have several verdicts.
    """
    if not isinstance(evaluation, Battles):
        return None
    swapped = evaluation.first > evaluation.second
    outcome = np.where(swapped, 1 - evaluation.outcome, evaluation.outcome)
    low = np.minimum(evaluation.first, evaluation.second)
    high = np.maximum(evaluation.first, evaluation.second)
    size = np.int64(len(evaluation.models))
    _, cell = np.unique((evaluation.prompt * size + low) * size + high, return_inverse=True)
    count = np.bincount(cell)
    mean = np.bincount(cell, weights=outcome) / count
    squares = np.bincount(cell, weights=(outcome - mean[cell]) ** 2)
    repeated = count > 1
    if np.count_nonzero(repeated) < 30:
        return None
    within = float(np.mean(squares[repeated] / (count[repeated] - 1)))
    levels = np.unique(outcome)
    apart = float(np.mean((outcome[:, None] - levels[None, :]) ** 2))
    # (Var L - apart) z^2 + apart z - within = 0
    roots = np.roots([float(np.var(levels)) - apart, apart, -within])
    shares = [float(root.real) for root in roots if abs(root.imag) < 1e-9 and 0 <= root.real <= 1]
    return min(shares, default=1.0 if within > 0 else 0.0)


def near_copies(
    table: Battles | Scores,
    kind: Literal["prompts", "models"],
    *,
    noise: float = ASSUMED_NOISE,
    seed: int = 0,
) -> NearCopies:
    """Pairs of prompts or models that are as alike as one that was judged twice.

    Args:
      table: an evaluation in which every pair of models met on every prompt.
      kind: what is compared.
      noise: share of the judge's verdicts that are random, in [0, 1].
      seed: of the simulated copies.
    """
    rates = win_rates(table)
    distances = _pair_distances(_features(rates, kind))
    shares = sorted({*_SHARES, noise})
    simulated = {
        share: _copy_distances(table, rates, kind, share, np.random.default_rng(seed))
        for share in shares
    }
    floor = float(np.quantile(simulated[noise], LEVEL))
    # Means of few simulated copies need not increase with noise as their expectations do.
    means = np.maximum.accumulate([0.0, *(simulated[share].mean() for share in shares)])
    first, second = np.triu_indices(len(distances), 1)
    pair = distances[first, second]
    inexact = pair > 0
    first, second, pair = first[inexact], second[inexact], pair[inexact]
    within = pair <= floor
    names = table.prompts if kind == "prompts" else table.models
    nearest = [
        NearPair(
            names[first[k]],
            names[second[k]],
            float(pair[k]),
            float(np.interp(pair[k], means, [0.0, *shares])),
        )
        for k in np.argsort(pair, kind="stable")[:MAX_NEAREST]
    ]
    return NearCopies(
        kind=kind,
        num_items=len(names),
        noise=noise,
        floor=floor,
        num_pairs=int(np.count_nonzero(within)),
        num_near=len(np.union1d(first[within], second[within])),
        nearest=tuple(nearest),
    )


def _features(rates: Float64[np.ndarray, "Q n n"], kind: str) -> Float64[np.ndarray, "K F"]:
    """All win rates on each prompt, or of each model."""
    items = rates if kind == "prompts" else rates.transpose(1, 0, 2)
    return items.reshape(len(items), -1)


def _pair_distances(features: Float64[np.ndarray, "K F"]) -> Float64[np.ndarray, "K K"]:
    """Mean squared differences; exactly 0 for equal features, whatever rounding says."""
    norms = np.sum(features**2, axis=1)
    gram = features @ features.T
    distances = np.maximum(norms[:, None] + norms[None, :] - 2 * gram, 0.0) / features.shape[1]
    index: dict[bytes, int] = {}
    member = np.array([index.setdefault(own.tobytes(), len(index)) for own in features + 0.0])
    return np.where(member[:, None] == member[None, :], 0.0, distances)


def _copy_distances(table, rates, kind, share, rng):
    """How far each prompt or model is from a copy of it that was judged anew."""
    again = judged_anew(table, share, rng)
    if kind == "models" and isinstance(table, Scores):
        return _model_copy_distances(table, again)
    difference = win_rates(again) - rates
    return np.mean(_features(difference, kind) ** 2, axis=1)


def _model_copy_distances(table, again):
    """A model judged anew meets the others as they were judged first."""
    distances = np.empty(len(table.models))
    for model in range(len(table.models)):
        pair = np.stack([table.scores[:, model], again.scores[:, model]], axis=1)
        signs = np.sign(pair[:, :, None] - table.scores[:, None, :])
        distances[model] = np.mean((signs[:, 0] - signs[:, 1]) ** 2) / 4
    return distances
