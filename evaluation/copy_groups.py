"""Groups of prompts that are copies of one, found from what was measured on them and their texts.

Copies that were judged again agree with their original in most cells, copies that were reworded in
most words; two prompts that have nothing to do with each other agree in some by chance. For every
prompt, how many cells (or words) the others share with it is a mixture of three parts: copies, with
a binomial number; strangers, with a beta-binomial one, whose spread says how alike different
prompts may be; and look-alikes, which agree as often as the prompt's own row, shuffled among the
models, does with itself: prompts on which all models do alike are no copies for that, and copies of
them are not looked for by outcomes. This is record linkage (Fellegi and Sunter 1969) with the
chances of agreement fitted to each prompt. A group is claimed where the mixture is far likelier
than one without copies. One copy is seldom enough evidence without texts, dozens are.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.special
from jaxtyping import Int

from evaluation.agreement_mixture import (
    FINENESS,
    LEAST_AGREEMENT,
    MOST_AGREEMENT,
    MOST_CHANCE,
    STEPS,
    Agreement,
    Mixture,
    fit_around_each,
    fit_without_copies,
    log_odds,
    log_ratio,
)
from evaluation.outcomes import MAX_LEVELS, win_rates
from evaluation.types import Battles, Scores

# How much likelier a group must make the data, in nats, besides a nat per e-fold of prompts: were
# there no copies, some group would be claimed in about one evaluation of twenty.
EVIDENCE = 3.0
# Steps of what mixtures are made of.
_REFINEMENTS = 12
# Words of a prompt that are compared, the first ones.
MAX_WORDS = 64


def find_copies(
    table: Battles | Scores, texts: Sequence[str] | None = None
) -> Int[np.ndarray, "Q"]:
    """The group of each prompt: prompts of one group are copies of each other.

    Exact copies do not count as evidence, so that copying a copy changes nothing.

    Args:
      table: what was measured.
      texts: of the prompts, whose words are compared too.

    Returns:
      Index of the first prompt of each one's group, `[Q]`.
    """
    cells, weight = comparable_cells(table)
    words = None if texts is None else [words_of(text) for text in texts]
    keys = [
        (own.tobytes(), frozenset() if words is None else words[q]) for q, own in enumerate(cells)
    ]
    index: dict[object, int] = {}
    member = np.array([index.setdefault(key, len(index)) for key in keys])
    _, first = np.unique(member, return_index=True)
    distinct = _Prompts(cells[first], weight, None if words is None else [words[q] for q in first])
    group = _grouped(distinct)[member]
    _, leader, place = np.unique(group, return_index=True, return_inverse=True)
    return leader[place]


def copies_in_groups(table: Battles | Scores, groups: Sequence[str]) -> Int[np.ndarray, "Q"]:
    """Which prompts of a group are copies of one, judged again; others stay by themselves.

    A group may be of copies, or of different prompts on one topic. That it is given takes the place
    of texts: its prompts are compared with each other only.

    Args:
      table: what was measured.
      groups: of each prompt.

    Returns:
      Index of the first of the copies of each prompt, `[Q]`.
    """
    cells, weight = comparable_cells(table)
    rows, member = np.unique(cells, axis=0, return_inverse=True)
    member = member.reshape(-1)
    _, group = np.unique(np.array(groups, str), return_inverse=True)
    leader = np.arange(len(cells))
    several = np.flatnonzero(np.bincount(group) > 1)
    evidence = EVIDENCE + np.log(max(len(several), 1))
    for own in several:
        inside = np.flatnonzero(group == own)
        prompts = _Prompts(rows, weight, None)
        outside = np.isin(np.arange(len(rows)), member[inside], invert=True)
        if np.count_nonzero(outside) < 2:
            outside[:] = True
        left = np.unique(member[inside])
        while len(left) > 1:
            found = _copies_among(prompts, left, outside, evidence)
            if len(found) < 2:
                break
            copies = inside[np.isin(member[inside], found)]
            leader[copies] = copies[0]
            left = np.setdiff1d(left, found)
        for row in left:
            # Exact copies need no evidence.
            copies = inside[member[inside] == row]
            leader[copies] = copies[0]
    return leader


def comparable_cells(table: Battles | Scores) -> tuple[Int[np.ndarray, "Q F"], int]:
    """What was measured on each prompt as codes that are equal or not, -1 where nothing was.

    Scores of more than twenty levels count as equal in the same tenth of a model's scores. Of
    battles the cells are pairs of models.

    Returns:
      Codes, and how many independent cells they are worth: as many as there are models.
    """
    if isinstance(table, Scores):
        scores = table.scores
        missing = np.isnan(scores)
        judged = [
            model for model in range(scores.shape[1])
            if len(np.unique(scores[~missing[:, model], model])) > 1
        ]  # fmt: skip
        scores, missing = scores[:, judged], missing[:, judged]
        if len(np.unique(scores[~missing])) > MAX_LEVELS:
            with np.errstate(invalid="ignore"):
                tenths = np.nanquantile(scores, np.arange(1, 10) / 10, axis=0)
                codes = (scores[None] > tenths[:, None]).sum(axis=0)
        else:
            codes = np.searchsorted(np.unique(scores[~missing]), scores)
        return np.where(missing, -1, codes), max(len(judged), 1)
    rates = win_rates(table)
    upper = np.triu_indices(len(table.models), 1)
    cells = rates[:, upper[0], upper[1]]
    missing = np.isnan(cells)
    codes = np.searchsorted(np.unique(cells[~missing]), cells)
    return np.where(missing, -1, codes), len(table.models)


def words_of(text: str) -> frozenset[str]:
    """The different words of a text in small letters, of a long one the first."""
    found = dict.fromkeys(re.findall(r"\w+", text.lower()))
    return frozenset(list(found)[:MAX_WORDS])


class _Prompts:
    """Prompts as features that can be compared with centres."""

    def __init__(self, cells, weight, words) -> None:
        self.cells, self.weight = cells, weight
        self._rarity = _rarity(cells)
        self.words = None
        if words is not None:
            vocabulary = {word: k for k, word in enumerate(sorted(set().union(*words)))}
            self.words = np.zeros((len(words), len(vocabulary)), np.float32)
            for row, own in zip(self.words, words, strict=True):
                row[[vocabulary[word] for word in own]] = 1

    def __len__(self) -> int:
        return len(self.cells)

    def agreements(self, cells, words) -> list[Agreement]:
        """Of all prompts with centres, by cells and, where there are texts, by words."""
        same, both = np.empty((2, len(cells), len(self)))
        for place, own in enumerate(cells):
            worth = np.where(own >= 0, self._rarity[np.arange(len(own)), own], 0.0)
            same[place] = (self.cells == own) @ worth
            both[place] = (self.cells >= 0) @ worth
        shares = same / np.maximum(both, 1e-9)
        num = np.full(len(cells), self.weight)
        counts = np.rint(shares * self.weight * FINENESS) / FINENESS
        chance = np.array([_chance(own, self._rarity) for own in cells])
        found = [Agreement(counts, num, chance)]
        if self.words is not None:
            shared = np.rint(words @ self.words.T).astype(float)
            num = np.rint(words.sum(axis=1)).astype(int)
            found.append(Agreement(shared, num, np.zeros(len(num))))
        return found

    def centres(self, members):
        """The most frequent code of each cell, and the words of most members, of each group."""
        cells = np.stack([_modes(self.cells[own]) for own in members])
        if self.words is None:
            return cells, None
        return cells, np.stack([self.words[own].mean(axis=0) > 0.5 for own in members]) + 0.0


def _grouped(prompts: _Prompts) -> Int[np.ndarray, "Q"]:
    """A number per prompt; those of copies are equal."""
    every = prompts.agreements(prompts.cells, prompts.words)
    group = np.full(len(prompts), -1)
    tried = np.zeros(len(prompts), bool)
    while True:
        # A group may be two: look for copies among its members as well.
        parts = [np.flatnonzero(group == k) for k in range(-1, group.max() + 1)]
        found = max((_densest(every, part, tried) for part in parts), key=lambda each: each.gain)
        if found.gain < EVIDENCE + np.log(len(prompts)):
            break
        before = group.copy()
        group[found.members] = group.max() + 1
        group = _refined(prompts, group)
        tried[found.seed] = True
        if _same(before, group):
            tried[found.members] = True
    alone = group < 0
    group[alone] = group.max() + 1 + np.arange(np.count_nonzero(alone))
    return group


def _copies_among(prompts: _Prompts, left, outside, evidence) -> Int[np.ndarray, "_"]:
    """The copies around what is most frequent in a part of a group; none without evidence."""
    members = left
    for _ in range(_REFINEMENTS):
        (agreement,) = prompts.agreements(*prompts.centres([members]))
        others = agreement.around([0], np.flatnonzero(outside))
        inside = agreement.around([0], left)
        mixture = fit_without_copies(others)
        mixture = mixture._replace(copies=np.full(1, 0.5))
        for _ in range(STEPS):
            share = scipy.special.expit(log_odds(mixture, inside))
            agreed = np.sum(share * inside.counts, axis=1) / (share.sum(axis=1) * inside.num)
            mixture = mixture._replace(
                copies=np.clip(share.mean(axis=1), 1e-6, 1 - 1e-6),
                agreement=np.clip(agreed, LEAST_AGREEMENT, MOST_AGREEMENT),
            )
        ratio = log_ratio(mixture, inside)[0]
        found = left[log_odds(mixture, inside)[0] > 0]
        if len(found) < 2 or np.array_equal(found, members):
            break
        members = found
    # Of two copies one may be the centre of both, which is no evidence.
    gains = np.sort(np.logaddexp(np.log(mixture.copies) + ratio, np.log1p(-mixture.copies)))
    return found if gains[:-1].sum() > evidence else found[:0]


def _same(first, second) -> bool:
    """Whether two numberings make the same groups."""
    pairs = len(np.unique(np.stack([first, second]), axis=1).T)
    return pairs == len(np.unique(first)) == len(np.unique(second))


class _Found(NamedTuple):
    """Copies around a prompt, and how much likelier they make the data, in nats."""

    gain: float
    seed: int
    members: Int[np.ndarray, "_"]


def _densest(every, part, tried) -> _Found:
    """The clearest group of copies among the prompts of a part, by cells or by words."""
    best = _Found(-np.inf, -1, part[:0])
    if len(part) < 3:
        return best
    for agreement in every:
        own = agreement.around(part, part)
        mixture, gain = fit_around_each(own)
        gain = np.where(tried[part] | (own.chance > MOST_CHANCE), -np.inf, gain)
        seed = int(np.argmax(gain))
        if gain[seed] > best.gain:
            chosen = Mixture(*(values[[seed]] for values in mixture))
            odds = log_odds(chosen, own.around(np.array([seed]), np.arange(len(part))))[0]
            odds[seed] = np.inf
            best = _Found(float(gain[seed]), int(part[seed]), part[odds > 0])
    return best


def _refined(prompts: _Prompts, group: Int[np.ndarray, "Q"]) -> Int[np.ndarray, "Q"]:
    """Groups of which every prompt is in the likeliest one, or in none."""
    for _ in range(_REFINEMENTS):
        members = [np.flatnonzero(group == k) for k in range(group.max() + 1)]
        members = [own for own in members if len(own) > 1]
        if not members:
            return np.full(len(group), -1)
        agreements = prompts.agreements(*prompts.centres(members))
        sizes = np.array([len(own) for own in members])
        odds = np.log(sizes / len(group))[:, None] - np.log1p(-min(sizes.sum() / len(group), 0.99))
        alone = group < 0
        for agreement in agreements:
            mixture = _around_groups(agreement, members, alone)
            odds = odds + log_ratio(mixture, agreement)
        best = np.where(odds.max(axis=0) > 0, odds.argmax(axis=0), -1)
        if np.array_equal(best, group):
            break
        group = best
    return group


def _around_groups(agreement: Agreement, members, alone) -> Mixture:
    """The two parts of each group's mixture, from its members and from prompts in no group."""
    others = np.flatnonzero(alone if np.count_nonzero(alone) > 1 else alone | True)
    part = agreement.around(np.arange(len(members)), others)
    mixture = fit_without_copies(part)
    shared = np.array([agreement.counts[k, own].mean() for k, own in enumerate(members)])
    share = shared / np.maximum(agreement.num, 1)
    return mixture._replace(
        copies=np.array([len(own) / len(alone) for own in members]),
        agreement=np.clip(share, LEAST_AGREEMENT, MOST_AGREEMENT),
    )


def _rarity(cells):
    """What agreeing in a code of a cell is worth, `[F, L]`: its surprise, in nats."""
    levels = max(int(cells.max(initial=0)) + 1, 1)
    counts = np.stack([np.bincount(own[own >= 0], minlength=levels) for own in cells.T]) + 1.0
    return -np.log(counts / counts.sum(axis=1, keepdims=True))


def _chance(row, rarity):
    """In which share of its cells a row agrees with one that has its codes in another order."""
    known = np.flatnonzero(row >= 0)
    if len(known) < 2:
        return 1.0
    own = row[known]
    # The code of a cell among the other cells.
    same = (own[:, None] == own[None, :]).sum(axis=1) - 1
    shares = (same + 0.5) / len(known)
    return float(np.average(shares, weights=rarity[known, own]))


def _modes(codes):
    """The most frequent code of each column, of equally frequent ones the least."""
    levels = np.arange(codes.max(initial=0) + 1)
    counts = (codes[:, :, None] == levels).sum(axis=0)
    return np.where(counts.any(axis=1), counts.argmax(axis=1), -1)
