"""Measures ratings against polarix, evalica and arena-rank on the same data, in one run.

CPU seconds, the median of several runs (one of those that take more than 10 s); `wall s` is what a
clock shows, on a machine that may have other work. `limit` is the most seconds that the work should
take. `gap` is the sum of the players' gains from deviations. Arena-Hard is 500 prompts and 17
models judged by GPT-4o, where the data is beside the repository, else generated; Bradley-Terry
reads its battles from a CSV file. polarix (float32, its defaults, tracing included) has no coarse
correlated equilibrium: its correlated one, a larger problem, stands beside our two. `difference` is
the largest one of a rating between ours and the peer's, in the unit of the rating; Nash equilibria
may be different ones.
"""

import argparse
import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import bench_report
import numpy as np
import ratings_peers as peers
from ratings_data import arena_hard

from evaluation.ratings import rate
from evaluation.readers import read_evaluation
from evaluation.types import Battles, RatingResult, Scores
from evaluation.uncertainty import resample

UNIT = "CPU seconds"
# Runs beyond so many seconds are not repeated.
LONG_S = 10.0
PARTS = ("small", "correlated", "nash", "large", "bradley_terry", "deviation")
NUM_FEW = 60

Result = TypeVar("Result")


def timed(work: Callable[[], Result], *, repeats: int) -> tuple[float, float, Result]:
    """Median CPU seconds, those of the clock in the same run, and the last result."""
    times = []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        result = work()
        times.append((time.process_time() - cpu, time.perf_counter() - wall))
        if times[-1][0] > LONG_S:
            break
    cpu = statistics.median_low(each for each, _ in times)
    return cpu, next(wall for each, wall in times if each == cpu), result


def generated_scores(num_prompts: int, num_models: int) -> Scores:
    """Models of normal skill on prompts that tell them apart more or less, on five levels."""
    rng = np.random.default_rng(0)
    skill, sharpness = rng.normal(size=num_models), rng.exponential(size=(num_prompts, 1))
    quality = sharpness * skill + 0.7 * rng.normal(size=(num_prompts, num_models))
    levels = np.round(4 / (1 + np.exp(-quality))) / 4
    models = tuple(f"model-{k:02d}" for k in range(num_models))
    return Scores(models, tuple(f"prompt-{q:03d}" for q in range(num_prompts)), levels)


def write_battles(path: Path, num_battles: int) -> None:
    """Battles of 100 models, a fifth of them ties."""
    rng = np.random.default_rng(0)
    skill = rng.normal(size=100)
    first = rng.integers(100, size=num_battles)
    second = (first + rng.integers(1, 100, size=num_battles)) % 100
    won = rng.random(num_battles) < 1 / (1 + np.exp(skill[second] - skill[first]))
    winner = np.where(won, "model_a", "model_b")
    winner = np.where(rng.random(num_battles) < 0.2, "tie", winner)
    names = np.array([f"model-{k:03d}" for k in range(100)])
    rows = zip(names[first], names[second], winner, strict=True)
    path.write_text("model_a,model_b,winner\n" + "".join(f"{a},{b},{w}\n" for a, b, w in rows))


def equilibria(
    table: Scores, methods: Mapping[str, float], solver: str, *, repeats: int
) -> Iterator[dict[str, Any]]:
    """Our equilibria, with the most seconds that each should take, against one of polarix's."""
    size = f"{len(table.prompts)} x {len(table.models)}"
    if peers.installed("polarix"):
        tell(f"polarix {solver}, {size}")
        peer, peer_wall, found = timed(peers.polarix_solver(solver, table), repeats=1)
        theirs = {"peer wall s": peer_wall, "peer gap": found.gap}
        theirs["peer converged"] = "yes" if found.converged else "no"
    else:
        missing("polarix", "equilibria")
        peer, theirs, found = None, {}, None
    for method, limit in methods.items():
        tell(f"{method}, {size}")
        cpu, wall, result = timed(lambda method=method: rate(table, method), repeats=repeats)
        figures = {"limit": limit, "wall s": wall, "gap": gap_of(result), **theirs}
        if found is not None and method != "cce":
            figures["difference"] = float(np.abs(found.ratings - result.ratings).max())
        yield bench_report.row(
            f"{method} {size}", cpu, peer, unit=UNIT,
            peer_name=f"polarix {solver}" if theirs else None, **figures,
        )  # fmt: skip


def large(*, quick: bool) -> Iterator[dict[str, Any]]:
    """A CCE of many models."""
    num_prompts, num_models = (100, 20) if quick else (805, 58)
    table = generated_scores(num_prompts, num_models)
    size = f"{num_prompts} x {num_models} x {num_models}, generated"
    tell(f"cce, {size}")
    cpu, wall, result = timed(lambda: rate(table, "cce"), repeats=1)
    # Kilobytes; the most that this process, peers included, has had so far.
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    figures = {"limit": 60.0, "wall s": wall, "gap": gap_of(result), "GiB at most": memory}
    yield bench_report.row(f"cce {size}", cpu, None, peer_name=None, unit=UNIT, **figures)


def bradley_terry(*, quick: bool, repeats: int) -> Iterator[dict[str, Any]]:
    """From a file of battles to strengths and intervals."""
    num_battles, rounds = (100_000, 100) if quick else (1_000_000, 1000)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "battles.csv"
        write_battles(path, num_battles)
        tell(f"bradley_terry, {num_battles:,} battles")
        cpu, wall, (battles, result) = timed(lambda: fitted(path), repeats=repeats)
        name = f"bradley_terry 100 models, {num_battles:,} battles from a file"
        figures: dict[str, Any] = {"limit": 0.3, "wall s": wall}
        measured = False
        for package, fit in (
            ("evalica", peers.evalica_bradley_terry),
            ("arena_rank", peers.arena_rank_bradley_terry),
        ):
            if not peers.installed(package):
                missing(package, "bradley_terry")
                continue
            tell(f"{package}, {num_battles:,} battles")
            peer, peer_wall, (models, ratings) = timed(lambda fit=fit: fit(path), repeats=repeats)
            theirs = ratings[[models.index(model) for model in result.models]]
            apart = (theirs - theirs.mean()) - (result.ratings - result.ratings.mean())
            figures |= {"peer wall s": peer_wall, "difference": float(np.abs(apart).max())}
            measured = True
            yield bench_report.row(name, cpu, peer, peer_name=package, unit=UNIT, **figures)
        if not measured:
            yield bench_report.row(name, cpu, None, peer_name=None, unit=UNIT, **figures)
    tell(f"bootstrap, {rounds:,} rounds")
    cpu, wall, _ = timed(lambda: resample(battles, result, num_draws=rounds), repeats=1)
    yield bench_report.row(
        f"bradley_terry bootstrap, {rounds:,} rounds", cpu, None, peer_name=None, unit=UNIT,
        **{"limit": 3.0, "wall s": wall},
    )  # fmt: skip


def fitted(path: Path) -> tuple[Battles, RatingResult]:
    """Battles of a file and their Bradley-Terry ratings."""
    battles = read_evaluation(path)
    assert isinstance(battles, Battles)
    return battles, rate(battles, "bradley_terry")


def deviation(table: Scores) -> Iterator[dict[str, Any]]:
    """Deviation ratings, a linear program per level."""
    size = f"{len(table.prompts)} x {len(table.models)} x {len(table.models)}"
    tell(f"deviation ratings, {size}")
    cpu, wall, result = timed(lambda: rate(table, "deviation"), repeats=1)
    figures = {"limit": 120.0, "wall s": wall, "gap": gap_of(result)}
    yield bench_report.row(
        f"deviation ratings {size}", cpu, None, peer_name=None, unit=UNIT, **figures
    )


def gap_of(result: RatingResult) -> float:
    """The gap of the equilibrium behind ratings."""
    assert result.certificate is not None
    return result.certificate.value


def tell(what: str) -> None:
    """Says what is being measured."""
    print(f"{what} ...", file=sys.stderr, flush=True)


def missing(package: str, what: str) -> None:
    """Says which peer is not there."""
    name = package.replace("_", "-")
    tell(f"{name} is not installed (pip install {name}): {what} without it")


def measure(options: argparse.Namespace) -> tuple[list[dict[str, Any]], str]:
    """All rows, and which data the equilibria were of."""
    table, source = arena_hard(options.data)
    if table is None:
        table = generated_scores(500, 17)
    few = table.of_prompts(np.arange(NUM_FEW))
    if options.quick:
        table = few
    quick, repeats = options.quick, 1 if options.quick else options.seeds
    limits = {"cce": 1.0, "ce": 4.0}
    parts = {
        "small": lambda: equilibria(few, limits, "ce_maxent", repeats=repeats),
        "correlated": lambda: equilibria(table, limits, "ce_maxent", repeats=repeats),
        "nash": lambda: equilibria(table, {"nash": 5.0}, "lle", repeats=repeats),
        "large": lambda: large(quick=quick),
        "bradley_terry": lambda: bradley_terry(quick=quick, repeats=repeats),
        "deviation": lambda: deviation(table),
    }
    if quick:
        # These are the same prompts.
        del parts["small"]
    rows = []
    for name, make in parts.items():
        if options.only in (None, name):
            rows += kept(options.runs, f"{name}_quick" if quick else name, make)
    return rows, source


def kept(
    runs: Path | None, name: str, make: Callable[[], Iterator[dict[str, Any]]]
) -> list[dict[str, Any]]:
    """The rows of a part; those that `runs` has are not measured again."""
    if runs is None:
        return list(make())
    path = runs / f"bench_ratings_{name}.json"
    if not path.exists():
        rows = list(make())
        runs.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(rows))
    return json.loads(path.read_text())


def main() -> None:
    """Reads the command line, measures, prints and writes the report."""
    options = bench_report.parse_options(
        "bench_ratings",
        description=__doc__,
        quick=f"{NUM_FEW} prompts, 100,000 battles, 100 rounds",
        seeds="runs per median",
        default_seeds=5,
        parts=PARTS,
        data=True,
    )
    rows, source = measure(options)
    bench_report.finish(
        "bench_ratings",
        options,
        rows,
        title="Ratings beside the peers",
        about=f"{__doc__}\nThe equilibria are those of {source}.",
        packages=("numpy", "scipy", "polarix", "jax", "evalica", "arena-rank", "pandas"),
    )


if __name__ == "__main__":
    sys.exit(main())
