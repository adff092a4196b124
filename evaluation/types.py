"""What evaluations are made of, and what rating them gives.

`Battles` are outcomes of pairs of models, `Scores` a table of models by prompts; a payoff tensor is
a `games.NormalForm`. All have names, and say where they came from.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float64, Int, Int32

from solvers.types import Certificate


class DataError(ValueError):
    """An evaluation that cannot be read or rated; the message says where and what is allowed."""


@dataclasses.dataclass(frozen=True)
class Battles:
    """Outcomes of pairs of models, in the order in which they were played.

    Attributes:
      models: names.
      prompts: names of what the pairs were asked; one entry where the source names none.
      first: index of the first model of each battle, `[N]`.
      second: index of the second one, another model, `[N]`.
      outcome: share of the battle that goes to the first model, in [0, 1]; 0.5 is a tie, `[N]`.
      prompt: index of the prompt, `[N]`.
      source: the file, or what else a message should call it.
      notes: what a reader of ratings should know about the data, one sentence each.
      styles: what is known of the style of the answers, such as their length.
      style_differences: `(a - b) / (a + b + 1)` of each style, from the side of the first answer,
        in (-1, 1), NaN where it is not known, `[N, F]`; `None` if nothing is known.
    """

    models: tuple[str, ...]
    prompts: tuple[str, ...]
    first: Int32[np.ndarray, "N"]
    second: Int32[np.ndarray, "N"]
    outcome: Float64[np.ndarray, "N"]
    prompt: Int32[np.ndarray, "N"]
    source: str = "battles"
    notes: tuple[str, ...] = ()
    styles: tuple[str, ...] = ()
    style_differences: Float64[np.ndarray, "N F"] | None = None

    def __post_init__(self) -> None:
        """Refuses what no method can rate.

        Raises:
          DataError: fewer than two models, no battle, a model against itself, or an outcome outside
            [0, 1].
        """
        check_models(self.models, self.source)
        if not len(self.first):
            raise DataError(f"{self.source}: no battle")
        same = np.flatnonzero(self.first == self.second)
        if len(same):
            raise DataError(
                f"{self.source}: battle {same[0] + 1} is {self.models[self.first[same[0]]]!r} "
                "against itself"
            )
        wrong = np.flatnonzero(~((self.outcome >= 0) & (self.outcome <= 1)))
        if len(wrong):
            raise DataError(
                f"{self.source}: the outcome of battle {wrong[0] + 1} is "
                f"{self.outcome[wrong[0]]}; allowed are numbers from 0 to 1"
            )

    def of_rows(self, rows: Int[np.ndarray, "_"]) -> "Battles":
        """The same evaluation with some of its battles, each as often as it is named."""
        return dataclasses.replace(
            self,
            first=self.first[rows],
            second=self.second[rows],
            outcome=self.outcome[rows],
            prompt=self.prompt[rows],
            style_differences=(
                None if self.style_differences is None else self.style_differences[rows]
            ),
        )

    def baseline(self) -> int | None:
        """The model that is in every battle, of at least three models on several prompts."""
        if len(self.models) < 3 or len(self.prompts) < 2:
            return None
        for model in (int(self.first[0]), int(self.second[0])):
            if np.all((self.first == model) | (self.second == model)):
                return model
        return None


@dataclasses.dataclass(frozen=True)
class Scores:
    """A score of each model on each prompt (an agent on each task); more is better.

    Attributes:
      models: names.
      prompts: names.
      scores: `[Q, n]`, in the unit of each prompt; NaN where there is none.
      errors: standard deviations of the scores, 0 where they are exact, `[Q, n]`; `None` if the
        source gives none.
      source: the file, or what else a message should call it.
      notes: what a reader of ratings should know about the data, one sentence each.
    """

    models: tuple[str, ...]
    prompts: tuple[str, ...]
    scores: Float64[np.ndarray, "Q n"]
    errors: Float64[np.ndarray, "Q n"] | None = None
    source: str = "scores"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuses what no method can rate.

        Raises:
          DataError: fewer than two models, no score, an infinite score, or a negative error.
        """
        check_models(self.models, self.source)
        if np.isinf(self.scores).any():
            prompt, model = np.argwhere(np.isinf(self.scores))[0]
            raise DataError(
                f"{self.source}: the score of {self.models[model]!r} on {self.prompts[prompt]!r} "
                "is infinite; allowed are finite numbers"
            )
        if np.isnan(self.scores).all():
            raise DataError(f"{self.source}: no score")
        if self.errors is not None and not np.all(self.errors >= 0):
            raise DataError(f"{self.source}: standard deviations must be at least 0")

    def of_prompts(self, kept: Int[np.ndarray, "_"] | Bool[np.ndarray, "Q"]) -> "Scores":
        """The same evaluation on some of its prompts."""
        return dataclasses.replace(
            self,
            prompts=tuple(np.array(self.prompts, object)[kept]),
            scores=self.scores[kept],
            errors=None if self.errors is None else self.errors[kept],
        )


@dataclasses.dataclass(frozen=True)
class Attribution:
    """What an equilibrium plays, and which prompts make the ratings.

    Attributes:
      prompts: names of the strategies of the player that chooses them.
      prompt_masses: how often each is chosen, `[Q]`, sums to 1.
      prompt_ratings: what choosing it always would gain, in payoff, `[Q]`.
      model_masses: how often each model is drawn for the rated player, `[n]`, sums to 1.
      contributions: `[Q, n]`; the part of each model's rating that falls on each prompt. A column
        sums to the rating.
      rebel_masses: how often each model is drawn for the opponent, `[n]`, sums to 1; `None` where
        the game has no second player of models.
    """

    prompts: tuple[str, ...]
    prompt_masses: Float64[np.ndarray, "Q"]
    prompt_ratings: Float64[np.ndarray, "Q"]
    model_masses: Float64[np.ndarray, "n"]
    contributions: Float64[np.ndarray, "Q n"]
    rebel_masses: Float64[np.ndarray, "n"] | None = None


@dataclasses.dataclass(frozen=True)
class RatingResult:
    """Ratings of models by one method; more is better.

    Attributes:
      method: its name in the registry.
      models: names.
      ratings: `[n]`, in `unit`.
      unit: what a rating counts.
      tolerance: ratings that differ by no more share a rank.
      status: one sentence: how well the method's own equations are met.
      seconds: wall-clock time.
      certificate: the gap of the equilibrium behind the ratings; `None` where there is none.
      attribution: of ratings by an equilibrium; else `None`.
      covariance: of the ratings, `[n, n]`, where the method estimates it; else `None`.
      notes: what a reader of the ratings should know about the data, one sentence each.
    """

    method: str
    models: tuple[str, ...]
    ratings: Float64[np.ndarray, "n"]
    unit: str
    tolerance: float
    status: str
    seconds: float
    certificate: Certificate | None = None
    attribution: Attribution | None = None
    covariance: Float64[np.ndarray, "n n"] | None = None
    notes: tuple[str, ...] = ()

    def order(self) -> Int[np.ndarray, "n"]:
        """Models from best to worst; those that share a rank by how often they are drawn."""
        masses = np.zeros(len(self.models))
        if self.attribution is not None:
            masses = self.attribution.model_masses
        return np.lexsort((-masses, self.ranks()))

    def ranks(self) -> Int[np.ndarray, "n"]:
        """The rank of each model, from 1; equally good ones share the best of theirs."""
        order = np.argsort(-self.ratings, kind="stable")
        ranks = np.empty(len(order), int)
        leader = 0
        for place, model in enumerate(order):
            if self.ratings[model] < self.ratings[order[leader]] - self.tolerance:
                leader = place
            ranks[model] = leader + 1
        return ranks


def check_models(models: Sequence[str], source: str) -> None:
    """Raises:
    DataError: there are fewer than two models, or two of one name.
    """
    if len(models) < 2:
        named = f" ({models[0]!r})" if models else ""
        raise DataError(f"{source}: {len(models)} model{named}; a rating needs at least two")
    if len(set(models)) < len(models):
        twice = next(name for name in models if list(models).count(name) > 1)
        raise DataError(f"{source}: there are two models named {twice!r}")
