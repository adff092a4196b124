"""What copies of prompts do to ratings of language models: Arena-Hard under copy stress.

Copies the ten prompts at which a model is worst or best, exactly or judged anew with some noise,
and rates by Bradley-Terry, mean win rate, and the coarse correlated equilibrium of the evaluation
game; clones models too; looks for copies that were judged anew and reworded; and simulates
submission under selection by ratings. Writes `ratings.md`, `ratings.json` and figures. Exit code 1
if a full run misses a claim, or without the data.
"""

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ratings_report as report
from open_ended_submission import SELECTIONS, simulate
from ratings_data import FILE, arena_hard, arena_hard_texts
from reproduction_report import processor

from evaluation.redundancy import (
    BRADLEY_TERRY,
    CCE,
    CCE_GROUPED,
    RATERS,
    WIN_RATE,
    Recovery,
    StressCurve,
    clone_stress,
    copy_stress,
    near_copies,
    recovery,
)
from evaluation.redundancy.findings import findings
from evaluation.redundancy.types import Order
from evaluation.types import Scores
from neupl.progress import Progress
from neupl.provenance import usable_cores, versions

TARGETS: tuple[tuple[str, Order], ...] = (
    ("gpt-4o", "worst"),
    ("mixtral-8x22b-instruct-v0.1", "best"),
    ("gpt-3.5-turbo-0125", "best"),
)
EXTRAS, QUICK_EXTRAS = (100, 250, 500, 1000), (1000,)
NOISES, NOISY_EXTRAS, NUM_CLONES = (0.05, 0.15, 0.3), (500, 1000), 50
EXACT_RATERS = (BRADLEY_TERRY, WIN_RATE, CCE)
NOISY_RATERS = (BRADLEY_TERRY, CCE, CCE_GROUPED)
# Changes of an equilibrium rating by exact copies, and by noisy ones that are known as groups.
EXACT_LIMIT, GROUPED_LIMIT = 1e-6, 0.005
# The same by copies that were found, with up to so much noise, and originals that may be merged.
FOUND_LIMIT, FOUND_NOISE, MERGED_LIMIT = 0.02, 0.15, 5
FOUND_EXTRA, CHANGED_WORDS = 500, 0.2
ROUNDS = 60


def exact_curves(table: Scores, *, quick: bool, progress: Progress) -> list[StressCurve]:
    """Copies without noise."""
    curves = []
    for name, order in TARGETS[: 2 if quick else None]:
        progress.update(len(curves), None, target=name)
        extras = QUICK_EXTRAS if quick else EXTRAS
        curves.append(copy_stress(table, name, order=order, extras=extras, raters=EXACT_RATERS))
    return curves


def noisy_curves(
    table: Scores, *, quick: bool, seeds: int, progress: Progress
) -> list[StressCurve]:
    """Copies of the leader's worst prompts, part of their cells judged anew."""
    (name, order), curves = TARGETS[0], []
    noises, extras = (NOISES[-1:], NOISY_EXTRAS[:1]) if quick else (NOISES, NOISY_EXTRAS)
    total = len(noises) * seeds
    for noise in noises:
        for seed in range(seeds):
            progress.update(len(curves), total, noise=noise)
            curves.append(
                copy_stress(
                    table, name, order=order, extras=extras, noise=noise, raters=NOISY_RATERS,
                    seed=seed,
                )
            )  # fmt: skip
    return curves


def found_copies(
    table: Scores, texts: Sequence[str], *, quick: bool, seeds: int, progress: Progress
) -> list[Recovery]:
    """Copies of prompts looked for by outcomes alone, and by reworded texts as well."""
    targets = TARGETS[:1] if quick else TARGETS
    noises = (FOUND_NOISE,) if quick else NOISES
    cases = [
        (target, noise, known, seed)
        for target in targets
        for noise in noises
        for known in (None, texts)
        for seed in range(seeds)
    ]
    found = []
    for (name, order), noise, known, seed in cases:
        progress.update(len(found), len(cases), target=name, noise=noise)
        found.append(
            recovery(
                table, name, order=order, extra=FOUND_EXTRA, noise=noise, texts=known,
                changed_words=CHANGED_WORDS, seed=seed,
            )
        )  # fmt: skip
    return found


def submissions(*, quick: bool, seeds: int, progress: Progress) -> list[dict[str, Any]]:
    """Skill entropy over rounds of submission, by what selects."""
    rounds = 5 if quick else ROUNDS
    histories = []
    for seed in range(seeds):
        for selection in SELECTIONS:
            progress.update(len(histories), seeds * len(SELECTIONS))
            history = simulate(selection, rounds=rounds, seed=seed)
            entropies = {name: part.tolist() for name, part in history._asdict().items()}
            histories.append({"selection": selection, "seed": seed, **entropies})
    return histories


def claims_of(
    exact: Sequence[StressCurve], noisy: Sequence[StressCurve], found: Sequence[Recovery]
) -> list[dict[str, Any]]:
    """What is to hold, what was measured, and whether it holds."""
    claims = []
    for curve, expected in zip(exact[:2], ((1, 16), (16, 1)), strict=True):
        points = curve.of_rater(BRADLEY_TERRY.name)
        ranks = (points[0].rank, points[-1].rank)
        claims.append(
            {
                "claim": f"{points[-1].extra:,} copies of {curve.target}'s ten {curve.order} "
                f"prompts: Bradley-Terry rank {expected[0]} to {expected[1]}",
                "measured": f"rank {ranks[0]} to {ranks[1]}",
                "holds": ranks == expected,
            }
        )
    change = max(p.largest_change for curve in exact for p in curve.of_rater(CCE.name))
    claims.append(
        {
            "claim": f"the same copies: no model moves by more than {EXACT_LIMIT:g} under CCE",
            "measured": f"{change:.2g}",
            "holds": change <= EXACT_LIMIT,
        }
    )
    changes = [
        point.largest_change
        for curve in noisy
        if curve.noise == NOISES[-1]
        for point in curve.of_rater(CCE_GROUPED.name)
        if point.extra == NOISY_EXTRAS[0]
    ]
    claims.append(
        {
            "claim": f"{NOISY_EXTRAS[0]:,} copies with {NOISES[-1]:.0%} of their cells judged "
            f"anew: no model moves by more than {GROUPED_LIMIT:g} under CCE with groups",
            "measured": f"{min(changes):.4f} to {max(changes):.4f} over {len(changes)} draws",
            "holds": max(changes) <= GROUPED_LIMIT,
        }
    )
    for texts in ("withheld", "reworded"):
        own = [each for each in found if each.texts == texts and each.noise <= FOUND_NOISE]
        change, merged = max(each.largest_change for each in own), max(each.merged for each in own)
        claims.append(
            {
                "claim": f"{FOUND_EXTRA:,} copies with up to {FOUND_NOISE:.0%} noise, groups found "
                f"with texts {texts}: no model moves by {FOUND_LIMIT:g}, at most {MERGED_LIMIT} "
                "of 500 originals are merged",
                "measured": f"at most {change:.4f}, {merged} merged, over {len(own)} draws",
                "holds": change < FOUND_LIMIT and merged <= MERGED_LIMIT,
            }
        )
    return claims


def measure(table: Scores, texts: Sequence[str], options: argparse.Namespace) -> dict[str, Any]:
    """The whole report."""
    start = time.process_time()
    seeds = 1 if options.quick else options.seeds
    with Progress("copy stress") as progress:
        exact = exact_curves(table, quick=options.quick, progress=progress)
    with Progress("noisy copies") as progress:
        noisy = noisy_curves(table, quick=options.quick, seeds=seeds, progress=progress)
    with Progress("copies found") as progress:
        found = found_copies(table, texts, quick=options.quick, seeds=seeds, progress=progress)
    with Progress("submission") as progress:
        histories = submissions(quick=options.quick, seeds=seeds, progress=progress)
    clones = [
        effect
        for name, _ in TARGETS[: 1 if options.quick else None]
        for effect in clone_stress(table, name, clones=NUM_CLONES, raters=EXACT_RATERS)
    ]
    near = [near_copies(table, kind) for kind in ("prompts", "models")]
    first_seed = [curve for curve in noisy if curve.seed == 0]
    return {
        "command": command_of(options),
        "quick": options.quick,
        "seeds": seeds,
        "versions": versions(),
        "machine": {"processor": processor(), "cores": usable_cores()},
        "cpu_s": time.process_time() - start,
        "claims": claims_of(exact, noisy, found),
        "grouped_limit": GROUPED_LIMIT,
        "titles": {rater.name: rater.title for rater in RATERS},
        "exact": [dataclasses.asdict(curve) for curve in exact],
        "noisy": [dataclasses.asdict(curve) for curve in noisy],
        "found": [dataclasses.asdict(each) for each in found],
        "submissions": histories,
        "clones": [dataclasses.asdict(effect) for effect in clones],
        "near": [dataclasses.asdict(part) for part in near],
        "findings": findings((), near, False, [*exact, *first_seed], clones)[2:],
    }


def command_of(options: argparse.Namespace) -> str:
    """The command that repeats the report, without the folders of this machine."""
    quick = " --quick" if options.quick else ""
    return f"python scripts/reproduce_ratings.py --seeds {options.seeds}{quick}"


def parse_options() -> argparse.Namespace:
    """Reads the command line; ends with code 2 where it cannot be followed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="under 50 s: a point per curve")
    parser.add_argument("--seeds", type=int, default=5, help="draws of the judge's noise")
    parser.add_argument("--out", type=Path, help="folder for ratings.md, ratings.json, a figure")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument(
        "--data",
        type=Path,
        help="folder of real evaluations; by default `shared/data` beside the repository",
    )
    options = parser.parse_args()
    if options.seeds < 1:
        parser.error(f"--seeds is {options.seeds}, expected at least 1")
    return options


def main() -> int:
    """Runs the experiments and prints what holds, or the whole report as JSON."""
    options = parse_options()
    table, _ = arena_hard(options.data)
    if table is None:
        where = options.data or "shared/data beside the repository"
        print(f"error: no {FILE} in {where}; give its folder by --data", file=sys.stderr)
        return 1
    content = measure(table, arena_hard_texts(options.data, table.prompts), options)
    if options.out is not None:
        report.write(options.out, content)
    print(json.dumps(content) if options.json else report.summary(content))
    return int(not options.quick and not all(claim["holds"] for claim in content["claims"]))


if __name__ == "__main__":
    sys.exit(main())
