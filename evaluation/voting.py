"""Voting rules: prompts vote, models stand for election. The rules are OpenSpiel's.

After "Evaluating Agents using Social Choice Theory" (Lanctot et al. 2023, arXiv 2312.03121).
Maximal lotteries are a Nash equilibrium of the margins and come from our solver: OpenSpiel's needs
another linear-programming library.
"""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float64

from evaluation.types import DataError
from solvers.meta.nash import solve_nash

# Rules that take exactly tied votes as half for and half against, and in what their scores count.
RULES = {
    "borda": "models beaten, summed over prompts",
    "copeland": "models beaten by most prompts, plus half of those tied with",
    "ranked_pairs": "places above the last",
    "schulze": "places above the last",
}


def elect(rule: str, rates: Float64[np.ndarray, "Q n n"]) -> Float64[np.ndarray, "n"]:
    """Scores of the models by a voting rule; more is better.

    A prompt orders the models by their mean win rate on it. Votes of OpenSpiel cannot tie, so every
    prompt votes twice, ties in one order and in the other: margins between tied models are 0.

    Args:
      rule: one of `RULES`.
      rates: win rates of rows against columns; NaN where not measured. A model that was not
        compared on a prompt is not in its vote.

    Raises:
      DataError: no prompt compares two models.
    """
    from open_spiel.python.voting import base, borda, copeland, ranked_pairs, schulze

    methods = {
        "borda": borda.BordaVoting,
        "copeland": copeland.CopelandVoting,
        "ranked_pairs": ranked_pairs.RankedPairsVoting,
        "schulze": schulze.SchulzeVoting,
    }
    votes = list(_votes(rates))
    if not votes:
        raise DataError("no prompt compares two models; voting needs such")
    num_models = rates.shape[-1]
    profile = base.PreferenceProfile(votes, alternatives=list(range(num_models)))
    outcome = methods[rule]().run_election(profile)
    scores = np.empty(num_models)
    if rule in ("ranked_pairs", "schulze"):
        # Their scores add up margins along the order and are not comparable.
        scores[outcome.ranking] = np.arange(num_models)[::-1]
    else:
        scores[outcome.ranking] = outcome.scores
    # Every prompt voted twice.
    return scores / 2 if rule == "borda" else scores


def maximal_lottery(rates: Float64[np.ndarray, "Q n n"]) -> Float64[np.ndarray, "n"]:
    """The probability of each model in the maximal lottery (Fishburn 1984).

    The Nash equilibrium, of greatest entropy, of the game whose payoffs are majority margins.
    """
    compared = ~np.isnan(rates)
    margins = np.sign(np.where(compared, rates - 0.5, 0.0)).sum(axis=0)
    return solve_nash(margins - margins.T).marginals()[0]


def _votes(rates: Float64[np.ndarray, "Q n n"]) -> Iterable[list[int]]:
    """Orders of models, best first; two per prompt."""
    for table in rates:
        others = ~np.isnan(table)
        np.fill_diagonal(others, False)
        present = np.flatnonzero(others.any(axis=1))
        if len(present) < 2:
            continue
        means = np.where(others, table, 0.0)[present].sum(axis=1) / others[present].sum(axis=1)
        # Equal up to rounding is tied.
        means = np.round(means, 12)
        yield present[np.lexsort((present, -means))].tolist()
        yield present[np.lexsort((-present, -means))].tolist()
