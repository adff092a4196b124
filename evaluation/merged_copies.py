"""Prompts that are copies of one, judged again, as one prompt with the median of what was measured.

Judging a prompt fifty times and giving each copy a fiftieth of its weight is not enough: every copy
is one more prompt that the prompt player may deviate to, so that an equilibrium answers to the
luckiest of fifty draws of the judge's noise. The median of the copies is nearly free of noise, and
as many copies as one likes are one strategy again.
"""

import dataclasses
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int

from evaluation.outcomes import win_rates
from evaluation.types import Attribution, Battles, Scores


class MergedCopies(NamedTuple):
    """An evaluation in which copies are one prompt.

    Attributes:
      table: with the name of the first copy for all.
      distinct: how many different prompts each one stands for, exact copies counting once, by name.
      copies: names of all the prompts that each one stands for, by name.
      note: one sentence on what was merged; empty if nothing.
    """

    table: Battles | Scores
    distinct: dict[str, int]
    copies: dict[str, list[str]]
    note: str


def merge_copies(table: Battles | Scores, leader: Int[np.ndarray, "Q"]) -> MergedCopies:
    """Merges prompts by the median of their scores, or of every pair's win rate.

    Exact copies count once in a median, so that copying a copy does not move it.

    Args:
      table: the evaluation.
      leader: index of the first prompt of each one's group of copies, `[Q]`.
    """
    first, member, size = np.unique(leader, return_inverse=True, return_counts=True)
    names = [table.prompts[q] for q in first]
    copies: dict[str, list[str]] = {name: [] for name in names}
    for prompt, group in zip(table.prompts, member, strict=True):
        copies[names[group]].append(prompt)
    if len(first) == len(leader):
        return MergedCopies(table, dict.fromkeys(names, 1), copies, "")
    rows = _measured(table)
    medians, counts = rows[first], dict.fromkeys(names, 1)
    several = size > 1
    for group in np.flatnonzero(several):
        own = rows[member == group]
        distinct = np.unique(own.reshape(len(own), -1), axis=0)
        medians[group] = _median(distinct).reshape(own.shape[1:])
        counts[names[group]] = len(distinct)
    largest = np.argsort(-size, kind="stable")[: min(3, np.count_nonzero(several))]
    note = (
        f"{size[several].sum():,} prompts are taken for {np.count_nonzero(several):,} prompts that "
        "were judged again: each of these counts once, with the median of its copies; the largest: "
        + ", ".join(f"{names[k]} ({size[k]:,})" for k in largest)
    )
    return MergedCopies(_with_rows(table, tuple(names), medians), counts, copies, note)


def of_all_copies(made: Attribution, copies: dict[str, Sequence[str]]) -> Attribution:
    """The attribution to merged prompts as one to all prompts, copies sharing alike."""
    place = [k for k, name in enumerate(made.prompts) for _ in copies[name]]
    share = np.array([1 / len(copies[name]) for name in made.prompts])[place]
    return dataclasses.replace(
        made,
        prompts=tuple(name for leader in made.prompts for name in copies[leader]),
        prompt_masses=made.prompt_masses[place] * share,
        prompt_ratings=made.prompt_ratings[place],
        contributions=made.contributions[place] * share[:, None],
    )


def _measured(table: Battles | Scores) -> Float64[np.ndarray, "Q ..."]:
    if isinstance(table, Battles):
        return win_rates(table)
    if table.errors is None:
        return table.scores
    return np.stack([table.scores, table.errors], axis=1)


def _median(rows: Float64[np.ndarray, "K F"]) -> Float64[np.ndarray, "F"]:
    """Of what was measured; NaN where nothing was."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanmedian(rows, axis=0)


def _with_rows(table, names, rows) -> Battles | Scores:
    if isinstance(table, Scores):
        scores, errors = (rows, None) if table.errors is None else (rows[:, 0], rows[:, 1])
        return dataclasses.replace(table, prompts=names, scores=scores, errors=errors)
    # One battle of every pair that met.
    prompt, one, other = np.nonzero(np.triu(~np.isnan(rows), 1))
    return dataclasses.replace(
        table,
        prompts=names,
        prompt=prompt.astype(np.int32),
        first=one.astype(np.int32),
        second=other.astype(np.int32),
        outcome=rows[prompt, one, other],
        styles=(),
        style_differences=None,
    )
