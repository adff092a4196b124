"""What the redundancy audit looks at, and what it finds."""

import dataclasses
from typing import Literal

Order = Literal["worst", "best"]


@dataclasses.dataclass(frozen=True)
class Rater:
    """A rating method under audit.

    Attributes:
      name: of the method with its prior.
      title: what a sentence calls it.
      method: its name in `evaluation.ratings.METHODS`.
      grouped: whether each prompt and its copies are one group of the prior.
      found: whether copies that were judged again are looked for, by outcomes alone.
    """

    name: str
    title: str
    method: str
    grouped: bool = False
    found: bool = False


BRADLEY_TERRY = Rater("bradley_terry", "Bradley-Terry", "bradley_terry")
WIN_RATE = Rater("win_rate", "mean win rate", "win_rate")
CCE = Rater("cce", "CCE", "cce")
CCE_GROUPED = Rater("cce_grouped", "CCE with groups", "cce", grouped=True)

CCE_FOUND = Rater("cce_found", "CCE with groups found", "cce", found=True)

RATERS = (BRADLEY_TERRY, WIN_RATE, CCE, CCE_GROUPED, CCE_FOUND)


@dataclasses.dataclass(frozen=True)
class CopyClass:
    """Prompts or models that no player of the evaluation game can tell apart.

    Attributes:
      kind: of the members.
      members: names, at least two.
    """

    kind: Literal["prompts", "models"]
    members: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class NearPair:
    """Two prompts or models and how far apart they are.

    Attributes:
      first: name.
      second: name.
      distance: mean squared difference of their win rates over all duels, in [0, 1].
      noise: share of verdicts that would have to be random for a re-judged copy to be as far from
        its original on average; 1 where even that is nearer.
    """

    first: str
    second: str
    distance: float
    noise: float


@dataclasses.dataclass(frozen=True)
class NearCopies:
    """Pairs that may be one prompt, or one model, judged twice.

    Attributes:
      kind: of what pairs are.
      num_items: how many prompts or models were compared.
      noise: share of a judge's verdicts that are random, at the floor.
      floor: 95 % of re-judged copies are within this distance of their originals.
      num_pairs: how many pairs are within the floor, exact copies apart.
      num_near: how many prompts or models are in such a pair.
      nearest: the nearest pairs that are no exact copies, whether within the floor or not.
    """

    kind: Literal["prompts", "models"]
    num_items: int
    noise: float
    floor: float
    num_pairs: int
    num_near: int
    nearest: tuple[NearPair, ...]


@dataclasses.dataclass(frozen=True)
class StressPoint:
    """One model under one method after so many copies.

    Attributes:
      rater: name of the method.
      extra: copies added, in total.
      rating: of the target, in the unit of the method.
      rank: of the target, from 1.
      largest_change: of the rating of any model, against no copies.
    """

    rater: str
    extra: int
    rating: float
    rank: int
    largest_change: float


@dataclasses.dataclass(frozen=True)
class StressCurve:
    """What copies of a model's worst or best prompts do to it.

    Attributes:
      target: the model.
      order: which of its prompts are copied.
      prompts: their names.
      noise: share of the copies' cells that are judged anew, at random; 0 for exact copies.
      seed: of that noise.
      points: by method, then by number of copies, from none.
    """

    target: str
    order: Order
    prompts: tuple[str, ...]
    noise: float
    seed: int
    points: tuple[StressPoint, ...]

    def of_rater(self, name: str) -> tuple[StressPoint, ...]:
        """The points of one method, by number of copies."""
        return tuple(point for point in self.points if point.rater == name)


@dataclasses.dataclass(frozen=True)
class CloneEffect:
    """What clones of a model do to the others' ratings.

    Attributes:
      target: the model that is cloned.
      clones: how many are added.
      rater: name of the method.
      largest_change: of the rating of any original model.
      inversions: pairs of original models whose order is another one than before.
      clone_spread: largest difference between a clone's rating and its original's.
    """

    target: str
    clones: int
    rater: str
    largest_change: float
    inversions: int
    clone_spread: float


@dataclasses.dataclass(frozen=True)
class Audit:
    """The redundancy audit of an evaluation.

    Attributes:
      findings: one plain sentence each.
      copies: exact classes of at least two prompts or models.
      near: near-copies among prompts and among models; none where no prompt is complete.
      noise_measured: whether the judge's noise was measured on repeated verdicts, not assumed.
      curves: copy-stress curves, of exact copies and of noisy ones.
      clones: effects of clones of models.
    """

    findings: tuple[str, ...]
    copies: tuple[CopyClass, ...]
    near: tuple[NearCopies, ...]
    noise_measured: bool
    curves: tuple[StressCurve, ...]
    clones: tuple[CloneEffect, ...]
