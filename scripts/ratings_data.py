"""The real evaluation that benchmarks and reproductions of ratings use."""

from collections.abc import Sequence
from pathlib import Path

from evaluation.outcomes import scores_against_baseline
from evaluation.readers import read_evaluation, read_groups
from evaluation.types import Scores

# Real evaluations are kept beside a checkout, not in it.
BESIDE = Path(__file__).resolve().parents[1].parent / "shared" / "data"
FILE = Path("arena_hard_v0_1_gpt4o") / "pairwise.csv.gz"
TEXTS = FILE.with_name("prompts.csv.gz")
RUN = {"run": "gpt4o_run_2024-08-06"}


def arena_hard(folder: Path | None) -> tuple[Scores | None, str]:
    """Arena-Hard v0.1, 17 models on 500 prompts judged by GPT-4o, and what to call it.

    Four battles are missing and count as ties, as in the reference numbers.

    Args:
      folder: of real evaluations; by default the one beside the repository.

    Returns:
      `None` and what stands in for it where it is not there.
    """
    path = (BESIDE if folder is None else folder) / FILE
    if not path.is_file():
        return None, "a generated evaluation of the same size, in the place of Arena-Hard"
    battles = read_evaluation(path, where=RUN, outcome="outcome5")
    table = scores_against_baseline(battles, missing="tie")
    assert isinstance(table, Scores)
    return table, "Arena-Hard v0.1 judged by GPT-4o, 17 models on 500 prompts"


def arena_hard_texts(folder: Path | None, prompts: Sequence[str]) -> list[str]:
    """The first 100 characters of each of Arena-Hard's prompts."""
    texts = read_groups((BESIDE if folder is None else folder) / TEXTS, "prompt_head")
    return [texts[prompt] for prompt in prompts]
