"""Whether copies that were judged again, and reworded, are found: what the search gets right."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np

from evaluation.copy_groups import find_copies
from evaluation.merged_copies import merge_copies
from evaluation.ratings import rate
from evaluation.redundancy.copied import judged_anew, reworded, with_prompt_copies
from evaluation.redundancy.copy_stress import extreme_prompts
from evaluation.redundancy.types import Order
from evaluation.types import Battles, Scores

Texts = Literal["withheld", "reworded"]


@dataclasses.dataclass(frozen=True)
class Recovery:
    """What of hidden copies was found, and what the rest does to ratings.

    Attributes:
      target: the model whose prompts are copied.
      order: which of its prompts are copied.
      extra: copies.
      noise: share of the copies' cells that are judged anew.
      texts: whether the texts of the prompts were known, and how.
      seed: of noise and rewording.
      found: share of the copies that are in the group of their original.
      merged: how many originals are in the group of another original, the first of each apart.
      largest_change: of the rating of any model by the CCE with groups found, against no copies.
    """

    target: str
    order: Order
    extra: int
    noise: float
    texts: Texts
    seed: int
    found: float
    merged: int
    largest_change: float


def recovery(
    table: Battles | Scores,
    target: str,
    *,
    order: Order,
    extra: int,
    noise: float,
    texts: Sequence[str] | None = None,
    changed_words: float = 0.0,
    seed: int = 0,
) -> Recovery:
    """Hides copies of a model's worst or best prompts, and looks for them.

    Args:
      table: the evaluation.
      target: the model whose prompts are copied.
      order: whether those on which it does worst, or best.
      extra: number of copies, at least 1.
      noise: share of the copies' cells that are judged anew, in [0, 1].
      texts: of the prompts; withheld from the search if `None`.
      changed_words: share of the words of each copy that are replaced, in [0, 1].
      seed: of noise and rewording.
    """
    rng = np.random.default_rng(seed)
    prompts = extreme_prompts(table, target, order=order)
    sources = np.resize(prompts, extra)
    count = len(table.prompts)
    copied = judged_anew(with_prompt_copies(table, prompts, extra), noise, rng, first=count)
    known = None
    if texts is not None:
        known = [*texts, *reworded([texts[q] for q in sources], changed_words, rng)]
    group = find_copies(copied, known)
    base = rate(table, "cce").ratings
    # As `RatingOptions(find_groups=True)` does after its own search.
    ratings = rate(merge_copies(copied, group).table, "cce").ratings
    return Recovery(
        target=target,
        order=order,
        extra=extra,
        noise=noise,
        texts="withheld" if texts is None else "reworded",
        seed=seed,
        found=float(np.mean(group[count:] == group[sources])),
        merged=count - len(np.unique(group[:count])),
        largest_change=float(np.abs(ratings - base).max()),
    )
