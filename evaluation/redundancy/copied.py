"""Evaluations with copies: of prompts, exact or judged anew, and of models."""

import dataclasses
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from jaxtyping import Float64

from evaluation.outcomes import MAX_LEVELS
from evaluation.types import Battles, Scores

Table = TypeVar("Table", Battles, Scores)


def with_prompt_copies(table: Table, prompts: Sequence[int], extra: int) -> Table:
    """The evaluation with copies of some prompts behind its own, taken in turns.

    Args:
      table: the evaluation.
      prompts: indices of what is copied, at least one.
      extra: number of copies in total.
    """
    sources = np.resize(np.array(prompts, int), extra)
    names = (*table.prompts, *copy_names(table.prompts, sources))
    if isinstance(table, Scores):
        rows = np.append(np.arange(len(table.prompts)), sources)
        return dataclasses.replace(table.of_prompts(rows), prompts=names)
    rows_of = {int(q): np.flatnonzero(table.prompt == q) for q in np.unique(sources)}
    rows = [rows_of[int(q)] for q in sources]
    copied = table.of_rows(np.concatenate([np.arange(len(table.first)), *rows]))
    first_copy = len(table.prompts)
    numbers = [np.full(len(own), first_copy + k, np.int32) for k, own in enumerate(rows)]
    return dataclasses.replace(
        copied, prompts=names, prompt=np.concatenate([table.prompt, *numbers])
    )


def copy_names(prompts: Sequence[str], sources: Sequence[int] | np.ndarray) -> list[str]:
    """New names of copies: those of the originals with a number that no prompt has yet."""
    taken, names = set(prompts), []
    for number, source in enumerate(sources, 1):
        name = f"{prompts[source]} copy {number}"
        while name in taken:
            name += "'"
        taken.add(name)
        names.append(name)
    return names


def judged_anew(table: Table, noise: float, rng: np.random.Generator, *, first: int = 0) -> Table:
    """The evaluation with a share of its cells replaced by random levels.

    Levels are those of the judge's scale, all alike likely; of scores that are no scale, the values
    measured on the same prompt. A baseline that has one score everywhere was not judged, and stays.

    Args:
      table: the evaluation.
      noise: probability that a cell is replaced, in [0, 1].
      rng: consumed.
      first: prompts before this index stay as they are.
    """
    if isinstance(table, Battles):
        levels = np.unique(table.outcome)
        outcome = rng.choice(levels, size=len(table.outcome))
        replaced = (rng.random(len(table.outcome)) < noise) & (table.prompt >= first)
        return dataclasses.replace(table, outcome=np.where(replaced, outcome, table.outcome))
    replaced = rng.random(table.scores.shape) < noise
    replaced[:first] = False
    replaced &= ~np.isnan(table.scores) & ~_constant(table.scores)
    return dataclasses.replace(
        table, scores=np.where(replaced, _random_levels(table.scores, rng), table.scores)
    )


def reworded(texts: Sequence[str], share: float, rng: np.random.Generator) -> list[str]:
    """Texts of which a share of the words is replaced by words of any of them.

    Args:
      texts: any.
      share: probability that a word is replaced, in [0, 1].
      rng: consumed.
    """
    vocabulary = sorted({word for text in texts for word in text.split()})
    changed = []
    for text in texts:
        words = text.split()
        others = rng.choice(vocabulary, size=len(words)) if words else []
        replaced = rng.random(len(words)) < share
        changed.append(
            " ".join(
                str(other) if new else word
                for word, other, new in zip(words, others, replaced, strict=True)
            )
        )
    return changed


def with_clones(table: Table, model: int, clones: int) -> Table:
    """The evaluation with clones of a model behind its own; clones tie with their original.

    Args:
      table: the evaluation.
      model: index of what is cloned.
      clones: how many, at least 1.
    """
    names = [f"{table.models[model]} clone {number}" for number in range(1, clones + 1)]
    models = (*table.models, *names)
    if isinstance(table, Scores):
        columns = np.append(np.arange(len(table.models)), np.full(clones, model))
        errors = None if table.errors is None else table.errors[:, columns]
        return dataclasses.replace(
            table, models=models, scores=table.scores[:, columns], errors=errors
        )
    return _with_clone_battles(table, model, models)


def _with_clone_battles(battles: Battles, model: int, models: tuple[str, ...]) -> Battles:
    """Clones fight what their original fought, and tie with each other on the same prompts."""
    own = np.flatnonzero((battles.first == model) | (battles.second == model))
    prompts = np.unique(battles.prompt[own])
    family = np.array([model, *range(len(battles.models), len(models))], np.int32)
    first, second = [battles.first], [battles.second]
    for clone in family[1:]:
        for side, parts in ((battles.first, first), (battles.second, second)):
            parts.append(np.where(side[own] == model, clone, side[own]).astype(np.int32))
    a, b = np.triu_indices(len(family), 1)
    first.append(np.repeat(family[a], len(prompts)))
    second.append(np.repeat(family[b], len(prompts)))
    num_clones, num_ties = len(family) - 1, len(a) * len(prompts)
    outcome = [battles.outcome, np.tile(battles.outcome[own], num_clones), np.full(num_ties, 0.5)]
    prompt = [battles.prompt, np.tile(battles.prompt[own], num_clones), np.tile(prompts, len(a))]
    return dataclasses.replace(
        battles,
        models=models,
        first=np.concatenate(first),
        second=np.concatenate(second),
        outcome=np.concatenate(outcome),
        prompt=np.concatenate(prompt).astype(np.int32),
        # Clones have no answers of their own to compare with each other's.
        styles=(),
        style_differences=None,
    )


def _constant(scores: Float64[np.ndarray, "Q n"]) -> np.ndarray:
    """Models with one score on all prompts, of several."""
    measured = ~np.isnan(scores)
    high = np.where(measured, scores, -np.inf).max(axis=0)
    low = np.where(measured, scores, np.inf).min(axis=0)
    return (high == low) & (len(scores) > 1)


def _random_levels(scores, rng):
    levels = np.unique(scores[~np.isnan(scores)])
    if len(levels) <= MAX_LEVELS:
        return rng.choice(levels, size=scores.shape)
    drawn = np.full(scores.shape, np.nan)
    for prompt, own in enumerate(scores):
        measured = own[~np.isnan(own)]
        if len(measured):
            drawn[prompt] = rng.choice(measured, size=len(own))
    return drawn
