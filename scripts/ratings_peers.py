"""What the ratings are measured against: polarix, evalica and arena-rank, where installed."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from evaluation.bradley_terry import ELO_SCALE
from evaluation.types import Scores
from solvers.meta.deviation import deviation_gains, swap_gains

# Steps at which polarix gives up by default.
POLARIX_STEPS = 100_000


class Equilibrium(NamedTuple):
    """What polarix found.

    Attributes:
      ratings: of the models as answers of the king, in payoff, `[n]`.
      gap: sum of the players' largest gains from a deviation.
      converged: whether its own criterion was met.
    """

    ratings: np.ndarray
    gap: float
    converged: bool


def installed(package: str) -> bool:
    """Whether a peer can be imported."""
    return importlib.util.find_spec(package) is not None


def polarix_solver(name: str, table: Scores) -> Callable[[], Equilibrium]:
    """polarix's `ce_maxent` or `lle` on the win-rate game of scores, with its defaults."""
    import polarix

    def solve() -> Equilibrium:
        game = polarix.agent_vs_task_game(
            agents=np.array(table.models),
            tasks=np.array(table.prompts),
            agent_vs_task=table.scores.T,
            normalizer="winrate",
        )
        found = polarix.solve(
            game,
            getattr(polarix, name),
            max_num_iterations=POLARIX_STEPS,
            disable_progress_bar=True,
        )
        payoffs = np.moveaxis(np.asarray(game.payoffs, float), 0, -1)
        if name == "lle":
            prompt, king, rebel = (np.asarray(each, float) for each in found.marginals)
            joint = prompt[:, None, None] * king[:, None] * rebel
            gains = deviation_gains
        else:
            joint, gains = np.asarray(found.joint, float), swap_gains
        joint = joint / joint.sum()
        gap = float(np.maximum(gains(payoffs, joint), 0).sum())
        return Equilibrium(np.asarray(found.ratings[1], float), gap, bool(found.is_terminal()))

    return solve


def evalica_bradley_terry(path: Path) -> tuple[list[str], np.ndarray]:
    """evalica's Bradley-Terry from a CSV file of battles: models, and strengths in Elo points."""
    import evalica
    import pandas as pd

    battles = pd.read_csv(path)
    winners = battles["winner"].map(
        {"model_a": evalica.Winner.X, "model_b": evalica.Winner.Y, "tie": evalica.Winner.Draw}
    )
    scores = evalica.bradley_terry(battles["model_a"], battles["model_b"], winners).scores
    return list(scores.index), ELO_SCALE * np.log(scores.to_numpy())


def arena_rank_bradley_terry(path: Path) -> tuple[list[str], np.ndarray]:
    """arena-rank's Bradley-Terry with sandwich intervals from a CSV file of battles."""
    import pandas as pd
    from arena_rank.models.bradley_terry import BradleyTerry
    from arena_rank.utils.data_utils import PairDataset

    dataset = PairDataset.from_pandas(pd.read_csv(path))
    model = BradleyTerry(n_competitors=dataset.n_competitors)
    found = model.compute_ratings_and_cis(dataset)
    return list(dataset.competitors), np.asarray(found["ratings"], float)
