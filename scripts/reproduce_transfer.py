"""What a trained population knows of mixtures that it never met: zero-shot and after fine-tuning.

Trains populations by PPO through the command line (or takes runs of it), with and without Simplex
sampling, draws mixtures over the opponent's strategies, one at a time, and compares the network
told the mixture, the same after some batches of fine-tuning, the best member, and a plain network
from scratch on the same batches. All gaps to the best response are exact; learning rates are chosen
on other mixtures. Writes `transfer.md`, `transfer.json` and a figure. Exit code 1 if a full run
misses a claim for the populations with Simplex sampling.
"""

import argparse
import dataclasses
import functools
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import transfer_report as report
from neupl_command import ROOT, CommandFailed, run_command
from reproduction_report import processor
from transfer_cases import FULL, KINDS, QUICK, STARTS, Batches, Setting
from transfer_learning import Responses
from transfer_mixtures import LEAST_DISTANCE
from transfer_subject import Subject

from neupl.durable_files import write_durably
from neupl.errors import UserError
from neupl.population import Population
from neupl.provenance import usable_cores, versions
from neupl.run import CERTIFICATE_FILE
from neupl.stored_population import load_population

# Seeds of the mixtures that are judged and of those on which learning rates are chosen; the latter
# are numbered from `TUNING_NUMBERS`.
MIXTURE_SEED, TUNING_SEED, TUNING_NUMBERS = 2022, 9, 2**30
# Zero-shot is to be within this factor of the best member's gap.
FACTOR = 1.1


def part(runs: Path, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `make` returns, kept in `runs`: what is there already is not measured again."""
    path = runs / f"{name}.json"
    if path.exists():
        return json.loads(path.read_text())
    start = time.perf_counter()
    result = make()
    result["seconds"] = time.perf_counter() - start
    print(f"{name}: {result['seconds']:.0f} s", file=sys.stderr)
    write_durably(path, json.dumps(result).encode())
    return result


def train(kind: str, seed: int, setting: Setting, runs: Path) -> Path:
    """Trains a population of one of `KINDS` by the command line; returns its run folder."""
    path = runs / f"{kind}-{seed}"
    if not (path / CERTIFICATE_FILE).exists():
        arguments = [str(ROOT / "configs" / setting.preset), *setting.train, *KINDS[kind]]
        options = ["--out", path.name, "--seed", str(seed), "--json", "--quiet"]
        run_command(["train", *arguments, *options], runs=runs, log=path.name, single_core=False)
    return path


def kind_of(population: Population) -> str:
    """Of `KINDS`: what a population was trained for."""
    return "simplex" if population.simplex_share > 0 else "rows"


def tune(
    subject: Subject, batches: Batches, *, setting: Setting, runs: Path
) -> list[dict[str, Any]]:
    """The mean gap of every learner by its learning rate on the mixtures for tuning, and the best
    learning rate.
    """
    mixtures = subject.mixtures(TUNING_SEED, setting.tuning_per_seat)

    def by_rate(start: str) -> dict[str, Any]:
        means = {}
        for rate in setting.learning_rates:
            found = [
                subject.curve(
                    mixture,
                    start,
                    batches.only_judged(),
                    number=number,
                    learning_rate=rate,
                )
                for number, mixture in enumerate(mixtures, start=TUNING_NUMBERS)
            ]
            means[f"{rate:g}"] = mean([gap for (gap,) in found])
        return {"mean": means}

    rates, kind = [], kind_of(subject.population)
    for start in STARTS:
        name = f"tuning-{kind}-{start}-{batches.episodes}"
        means = part(runs, name, functools.partial(by_rate, start))["mean"]
        best = min(means, key=means.__getitem__)
        of = {"kind": kind, "start": start, "episodes": batches.episodes}
        rates.append({**of, "mean": means, "best": best})
    return rates


def unseen(subject: Subject, setting: Setting) -> dict[str, Any]:
    """What is known of the mixtures without an episode."""
    mixtures = [
        {
            "seat": mixture.seat,
            "concentration": mixture.concentration,
            "weights": mixture.weights.tolist(),
            "distance": subject.distance(mixture),
            **subject.without_training(mixture),
        }
        for mixture in subject.mixtures(MIXTURE_SEED, setting.per_seat)
    ]
    return {"mixtures": mixtures}


def curves(
    subject: Subject,
    batches: Batches,
    rates: Sequence[Mapping[str, Any]],
    *,
    number: int,
    setting: Setting,
) -> dict[str, Any]:
    """Gaps of all learners of one mixture."""
    mixture = subject.mixtures(MIXTURE_SEED, setting.per_seat)[number]
    found = []
    for rate in rates:
        start = rate["start"]
        gaps = subject.curve(
            mixture, start, batches, number=number, learning_rate=float(rate["best"])
        )
        steps = list(batches.steps(start))
        found.append({"start": start, "episodes": batches.episodes, "steps": steps, "gaps": gaps})
    return {"curves": found}


def claims_of(
    mixtures: Sequence[Mapping[str, Any]], sizes: Sequence[Batches]
) -> list[dict[str, Any]]:
    """The claims about one population: two means over its mixtures each, and in what share of
    mixtures the claim holds.
    """
    best = [FACTOR * min(m["members"]) for m in mixtures]
    zero_shot = [m["zero_shot"] for m in mixtures]
    claims = [_claim("zero-shot", zero_shot, f"{FACTOR:g} x best member", best)]
    for batches in sizes:
        name = f"{batches.few} batches of {batches.episodes}"
        own = [gap_after(m, "population", batches) for m in mixtures]
        scratch = [gap_after(m, "scratch", batches) for m in mixtures]
        claims.append(_claim(name, own, f"{batches.many} batches from scratch", scratch))
    return claims


def gap_after(mixture: Mapping[str, Any], start: str, batches: Batches) -> float:
    """The gap of a learner where it is judged."""
    episodes = batches.episodes
    (curve,) = (c for c in mixture["curves"] if (c["start"], c["episodes"]) == (start, episodes))
    return curve["gaps"][curve["steps"].index(batches.judged(start))]


def _claim(
    name: str, own: Sequence[float], limit_name: str, limit: Sequence[float]
) -> dict[str, Any]:
    return {
        "name": name,
        "limit_name": limit_name,
        "gap": mean(own),
        "limit": mean(limit),
        "met": mean(own) <= mean(limit),
        "share": mean([a <= b for a, b in zip(own, limit, strict=True)]),
    }


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean."""
    return float(np.mean(values))


def measure(options: argparse.Namespace, runs: Path) -> dict[str, Any]:
    """Runs everything, writes the report and returns its content."""
    setting = QUICK if options.quick else FULL
    check_setting(setting, runs)
    folders = options.run or [
        train(kind, seed, setting, runs) for kind in KINDS for seed in range(options.seeds)
    ]
    populations = [check_population(load_population(folder), folder) for folder in folders]
    first = populations[0]
    check_alike(populations)
    sizes = [b for b in setting.batches if b.episodes in options.sizes]
    learners = {
        batches.episodes: Responses(
            first, temperature=setting.temperature, episodes=batches.episodes
        )
        for batches in setting.batches
    }
    subjects, results = [], []
    for number, (folder, population) in enumerate(zip(folders, populations, strict=True)):
        subject = Subject(population, learners, seed=number)
        known = part(runs, f"{folder.name}-unseen", functools.partial(unseen, subject, setting))
        known = [mixture | {"curves": []} for mixture in known["mixtures"]]
        result = {"name": folder.name, "kind": kind_of(population)}
        results.append({**result, "nash_conv": nash_conv_of(folder), "mixtures": known})
        subjects.append(subject)
    rates = []
    for batches, kind in itertools.product(sizes, KINDS):
        pairs = [pair for pair in zip(subjects, results, strict=True) if pair[1]["kind"] == kind]
        if not pairs:
            continue
        own = tune(pairs[0][0], batches, setting=setting, runs=runs)
        rates += own
        for subject, result in pairs:
            for number, mixture in enumerate(result["mixtures"]):
                work = functools.partial(
                    curves, subject, batches, own, number=number, setting=setting
                )
                name = f"{result['name']}-{batches.episodes}-{number}"
                mixture["curves"] += part(runs, name, work)["curves"]
    for result in results:
        result["claims"] = claims_of(result["mixtures"], sizes)
    content = {
        "command": command_of(options),
        "quick": options.quick,
        "game": first.game,
        "num_strategies": first.num_strategies,
        "setting": dataclasses.asdict(setting),
        "least_distance": LEAST_DISTANCE,
        "tuning": {
            "mixtures": 2 * setting.tuning_per_seat,
            "rates": rates,
        },
        "populations": results,
        "versions": versions(),
        "machine": {"processor": processor(), "cores": usable_cores()},
    }
    report.write(options.out, content)
    return content


def check_setting(setting: Setting, runs: Path) -> None:
    """Raises `UserError` where `runs` holds parts of another experiment."""
    path, mine = runs / "setting.json", json.dumps(dataclasses.asdict(setting), indent=1)
    if path.exists() and path.read_text() != mine:
        raise UserError(f"{runs.name} holds parts of another experiment: choose another --runs")
    write_durably(path, mine.encode())


def check_population(population: Any, folder: Path) -> Population:
    """Raises `UserError` for what the experiment is not about."""
    if not isinstance(population, Population):
        raise UserError(f"{folder} holds tables, not a network: there is nothing to condition")
    two_tables = population.num_players == 2 and not population.symmetric
    conditional = population.network.kind == "conditional"
    if not two_tables or not conditional or population.sink != "uniform":
        raise UserError(
            f"{folder}: expected a conditional network of two players with strategies of their own "
            "and a uniform strategy 0"
        )
    return population


def nash_conv_of(folder: Path) -> float:
    """What the run was certified to lose at most; raises `UserError` where it was not."""
    path = folder / CERTIFICATE_FILE
    if not path.exists():
        raise UserError(f"{folder} has no certificate: expected a finished run of `neupl train`")
    return json.loads(path.read_text())["certificate"]["value"]


def check_alike(populations: Sequence[Population]) -> None:
    """Raises `UserError` for populations of different games or networks."""
    kinds = {(p.game, p.num_strategies, p.network) for p in populations}
    if len(kinds) > 1:
        raise UserError(f"the runs are of different games, sizes or networks: {kinds}")


def command_of(options: argparse.Namespace) -> str:
    """The command line that repeats a report, without where it was written."""
    parts = ["python scripts/reproduce_transfer.py", *(["--quick"] if options.quick else [])]
    if options.run:
        parts += ["--run", *(folder.name for folder in options.run)]
    else:
        parts += [f"--seeds {options.seeds}"]
    if len(options.sizes) < len(FULL.batches) and not options.quick:
        parts += ["--sizes", *map(str, options.sizes)]
    return " ".join(parts)


def parse_options() -> argparse.Namespace:
    """Reads the command line; ends with code 2 where it cannot be followed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="under 50 s: Kuhn poker, four mixtures, small batches"
    )
    parser.add_argument("--seeds", type=int, help="populations of each kind to train (3; quick: 1)")
    parser.add_argument(
        "--run", nargs="+", type=Path, help="run folders of trained populations instead"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results", help="report folder")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument(
        "--runs", type=Path, help="keep what is measured here; what is there is not repeated"
    )
    known = [batches.episodes for batches in FULL.batches]
    parser.add_argument(
        "--sizes",
        nargs="+",
        type=int,
        choices=known,
        metavar="N",
        help=f"episodes of a batch, of {known}; not with --quick",
    )
    options = parser.parse_args()
    if options.quick and options.sizes:
        parser.error("--sizes does not go with --quick, which has a size of its own")
    options.sizes = options.sizes or [
        b.episodes for b in (QUICK if options.quick else FULL).batches
    ]
    if options.seeds is None:
        options.seeds = 1 if options.quick else 3
    options.run = [folder.resolve() for folder in options.run or ()]
    if len({folder.name for folder in options.run}) < len(options.run):
        parser.error("--run names two folders of the same name, by which parts are kept")
    if options.seeds < 1:
        parser.error(f"--seeds is {options.seeds}, expected at least 1")
    return options


def main() -> int:
    """Runs the experiment and prints what was met, or the whole report as JSON."""
    options = parse_options()
    with tempfile.TemporaryDirectory(prefix="neupl-") as temporary:
        runs = (options.runs or Path(temporary)).resolve()
        runs.mkdir(parents=True, exist_ok=True)
        try:
            content = measure(options, runs)
        except (CommandFailed, UserError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    print(json.dumps(content) if options.json else report.summary(content))
    results = [result for result in content["populations"] if result["kind"] == "simplex"]
    missed = [claim for result in results for claim in result["claims"] if not claim["met"]]
    return int(bool(missed) and not options.quick)


if __name__ == "__main__":
    sys.exit(main())
