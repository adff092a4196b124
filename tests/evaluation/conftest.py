"""Real data beside the repository, and small evaluations."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluation.readers import read_evaluation
from evaluation.types import Battles, Scores

# Real evaluations are kept beside a checkout, not in it.
SHARED_DATA = Path(__file__).parents[2].parent / "shared" / "data"
ARENA_HARD = SHARED_DATA / "arena_hard_v0_1_gpt4o" / "pairwise.csv.gz"
RUN = {"run": "gpt4o_run_2024-08-06"}


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real evaluations; the test is skipped where there is none."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no real evaluations in {SHARED_DATA.name}/ beside the repository")
    return SHARED_DATA


@pytest.fixture(scope="session")
def anchors(shared_data: Path) -> dict[str, Any]:
    """Reference values computed independently."""
    return json.loads((shared_data / "anchors.json").read_text())


@pytest.fixture(scope="session")
def arena_hard(shared_data: Path) -> Battles:
    """17 models on 500 prompts, judged against one of them."""
    return read_evaluation(ARENA_HARD, where=RUN, outcome="outcome5")


@pytest.fixture
def small_scores() -> Scores:
    """Five models on twelve prompts with three levels, so that there are ties."""
    levels = np.random.default_rng(0).integers(3, size=(12, 5)) / 2
    return scores_of(levels)


def scores_of(levels: np.ndarray | list[list[float]]) -> Scores:
    """Scores `[Q, n]` with made-up names."""
    levels = np.array(levels, float)
    prompts = tuple(f"prompt {q}" for q in range(len(levels)))
    models = tuple(f"model {m}" for m in range(levels.shape[1]))
    return Scores(models, prompts, levels)


def battles_of(rows: list[tuple[str, str, float]]) -> Battles:
    """Battles `(first, second, outcome)` on one prompt."""
    models = tuple(sorted({name for row in rows for name in row[:2]}))
    first, second = (np.array([models.index(row[k]) for row in rows], np.int32) for k in (0, 1))
    outcome = np.array([row[2] for row in rows], float)
    return Battles(models, ("all",), first, second, outcome, np.zeros(len(rows), np.int32))
