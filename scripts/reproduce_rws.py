"""Running-with-scissors: a population of eight with a memory, beside the published one.

Trains the preset `configs/running_with_scissors_8.yaml`, or takes up a run that was interrupted,
plays all pairs of its strategies and compares them point by point with the population of NeuPL (Liu
et al. 2022, arXiv 2202.07415): the cycle of the first three, what the fourth earns from them, what
each strategy earns from the mixture that it responds to, and how the effective size grows. Then
fresh learners start with encoder and memory of the population, or from scratch (`rws_transfer.py`).
Only where asked for: a population of sixteen, and PSRO with a network per strategy beside one
conditional network (`rws_populations.py`).
Writes `running_with_scissors.md`, `.json` and figures. Exit code 1 if a full run misses what is
asked for.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import rws_published as published
import rws_report as report
from neupl_command import ROOT, CommandFailed
from reproduction_report import described
from rws_populations import ARMS, measure_arms, measure_cap
from rws_transfer import transfer_curves

from evaluation.relative_performance import effective_diversity, three_cycles
from neupl.config import Config
from neupl.config_io import load_config
from neupl.interaction_graph import effective_size
from neupl.played_payoffs import PlayedPayoffs, played_payoffs
from neupl.population_files import read_files
from neupl.run import Run
from neupl.stored_population import load_population

PRESET = ROOT / "configs" / "running_with_scissors_8.yaml"
NAME = "running_with_scissors"
QUICK = (
    "population.size=3", "network.memory_size=16", "learner.episodes=4", "training.steps=4",
    "training.evaluate_every=1", "training.max_steps_per_row=2", "training.closing_steps=1",
    "evaluation.window=2",
    "evaluation.episodes=32", "evaluation.final_episodes=32", "evaluation.response_s=1",
)  # fmt: skip
MEASUREMENT_SEED = 1
# Parts of the report on populations other than the preset's.
OTHERS = ("cap", "arms")
# Standard errors by which the cycle must be more than nothing: two-sided 95 %.
SURE = 1.96
# Episodes by which a learner is measured.
TRANSFER_EPISODES, QUICK_TRANSFER_EPISODES = 512, 16
# What the fourth strategy is to earn from the first three on average, and what is aimed at.
LEAST_MEAN, AIM_MEAN, AIM_SIZE = 10.0, 15.0, 5


def certified(run: Path) -> dict[str, Any] | None:
    """What a trained response gained at the end of a run, where it has come to its end."""
    path = run / "certificate.json"
    return json.loads(path.read_text())["certificate"] if path.exists() else None


def train(
    runs: Path,
    *,
    settings: tuple[str, ...],
    seed: int,
    limit_s: float | None = None,
    name: str = NAME,
) -> Path:
    """Trains the preset, or goes on where a run in `runs` stopped; returns the run's folder.

    Raises:
      CommandFailed: the command ended with an error.
    """
    run = runs / name
    if (run / "certificate.json").exists() or (limit_s == 0 and run.exists()):
        return run
    arguments = ["resume", name]
    if not run.exists():
        # Copied, so that the run's own record names no path of this machine.
        shutil.copy(PRESET, runs / PRESET.name)
        changes = [part for setting in settings for part in ("--set", setting)]
        arguments = ["train", PRESET.name, "--out", name, "--seed", str(seed), *changes]
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "NPROC": "1"}
    command = [sys.executable, "-m", "neupl", *arguments]
    process = subprocess.Popen(command, cwd=runs, stdout=sys.stderr, env=environment)
    stopped = False
    try:
        process.wait(limit_s)
    except subprocess.TimeoutExpired:
        stopped = True
        process.send_signal(signal.SIGINT)
        process.wait()
    if process.returncode and not stopped:
        raise CommandFailed(f"neupl {' '.join(arguments)} ended with {process.returncode}")
    return run


def exported(run: Path, folder: Path) -> Path:
    """The newest population of a run, finished or not."""
    if (run / "certificate.json").exists():
        return run / "population"
    command = [sys.executable, "-m", "neupl", "export", str(run), "--out", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise CommandFailed(done.stderr.strip())
    return folder


def measure(run: Path, *, episodes: int) -> dict[str, Any]:
    """What a run came to: its population's payoffs, played anew, and how it got there."""
    config = load_config(Config, run / "config.yaml", ())
    with tempfile.TemporaryDirectory(prefix="neupl-") as temporary:
        folder = exported(run, Path(temporary) / "population")
        size = read_files(folder)[0]["num_admitted"]
        population = load_population(folder)
    played = played_payoffs(population, size, episodes=episodes, seed=MEASUREMENT_SEED)
    rows = population.joint[0, :size, :size]
    lines = Run.open(run).metrics()
    steps = int(lines[-1]["step"])
    # An agent-step is a decision of a seat that learns: one at every step of every lane.
    of_batch = config.learner.episodes * (config.learner.horizon or 500)
    return {
        "episodes": episodes,
        "payoffs": played.payoffs.tolist(),
        "errors": played.errors.tolist(),
        "episode_steps": played.steps.tolist(),
        "rows": rows.tolist(),
        "against_row": against_rows(played, rows),
        "effective_size": effective_size(population.joint, size),
        "effective_diversity": effective_diversity(played.payoffs),
        "cycles": [cycle._asdict() for cycle in three_cycles(played.payoffs)],
        "finished": steps >= config.training.all_steps,
        "steps": steps,
        "agent_steps": steps * of_batch,
        "cpu_hours": cpu_seconds(lines) / 3600,
        "device": json.loads((run / "provenance.json").read_text())["device"]["kind"],
        "lower_bound": certified(run),
        "curve": curve_of(lines),
    }


def measure_transfer(run: Path, kept: Path, *, seed: int, quick: bool) -> list[dict[str, Any]]:
    """Learning curves of fresh learners against mixtures of a run's population."""
    preset = load_config(Config, run / "config.yaml", ())
    episodes = QUICK_TRANSFER_EPISODES if quick else TRANSFER_EPISODES
    # A run that goes on is another one to learn from.
    kept /= f"transfer-{Run.open(run).metrics()[-1]['step']}"
    kept.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="neupl-") as temporary:
        folder = exported(run, Path(temporary) / "population")
        return transfer_curves(folder, preset, kept=kept, episodes=episodes, seed=seed, quick=quick)


def measure_others(options: argparse.Namespace, runs: Path) -> dict[str, Any]:
    """What other populations come to: `OTHERS`."""

    def train_other(name: str, settings: tuple[str, ...]) -> Path:
        settings = (*QUICK, *settings) if options.quick else settings
        return train(runs, settings=settings, seed=options.seed, name=f"{NAME}-{name}")

    asked = {"episodes": options.episodes, "quick": options.quick}
    if options.only == "cap":
        return measure_cap(train_other, **asked)
    return {"arms": measure_arms(options.arms, train_other, kept=runs, **asked)}


def against_rows(played: PlayedPayoffs, rows: np.ndarray) -> list[dict[str, Any]]:
    """What each strategy earns from the mixture that it responds to, and who earns most from it."""
    found = []
    for k in range(1, len(rows)):
        earned = played.payoffs @ rows[k]
        error = np.sqrt(played.errors[k] ** 2 @ rows[k] ** 2)
        found.append({"strategy": k, "value": earned[k], "error": error,
                      "best": int(np.argmax(earned)), "of_best": earned.max()})  # fmt: skip
    return found


def cpu_seconds(lines: list[dict[str, Any]]) -> float:
    """CPU time of all sessions of a run: each counts from its own start."""
    seconds = [line["time/cpu_s"] for line in lines]
    ends = [a for a, b in zip(seconds, [*seconds[1:], 0.0], strict=True) if b < a]
    return float(sum(ends))


def curve_of(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """Effective size and what strategies earned from their rows, as training estimated it."""
    names = sorted({name for line in lines for name in line if name.startswith("eval/against_row")})
    against = {
        name.rpartition("_")[2]: [[line["step"], line[name]] for line in lines if name in line]
        for name in names
    }
    size = [[line["step"], line["population/effective_size"]] for line in lines]
    return {"effective_size": size, "against_row": against}


def claims_of(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Published points, what became of them here, and what is asked for."""
    payoffs, errors = np.array(found["payoffs"]), np.array(found["errors"])
    claims = []
    if len(payoffs) > max(published.CYCLE):
        pairs = [(1, 0), (2, 1), (0, 2)]
        weakest = min(pairs, key=lambda pair: payoffs[pair])
        low = payoffs[weakest] - SURE * errors[weakest]
        claims.append(_claim("0, 1, 2 are a cycle: least of its three payoffs",
                             payoffs[weakest], errors[weakest], 28.1, 0.0, low > 0))  # fmt: skip
    if len(payoffs) > published.ANSWER:
        mean = payoffs[published.ANSWER, list(published.CYCLE)].mean()
        error = np.linalg.norm(errors[published.ANSWER, list(published.CYCLE)]) / 3
        claims.append(_claim("strategy 3 over 0, 1, 2: mean payoff", mean, error,
                             published.ANSWER_MEAN, LEAST_MEAN, mean >= LEAST_MEAN))  # fmt: skip
    best = sum(row["best"] == row["strategy"] for row in found["against_row"])
    every = len(found["against_row"])
    claims.append(_claim(f"strategies, of {every}, that earn most from their own mixture",
                         best, None, published.SIZE - 1, every, best == every))  # fmt: skip
    size = found["effective_size"]
    claims.append(_claim("effective size", size, None, published.SIZE, AIM_SIZE, size >= AIM_SIZE))
    return claims


def _claim(claim, value, error, theirs, least, met) -> dict[str, Any]:
    return {
        "claim": claim, "value": float(value), "error": None if error is None else float(error),
        "published": theirs, "least": least, "met": bool(met),
    }  # fmt: skip


def parse_options() -> argparse.Namespace:
    """Reads the command line; ends with code 2 where it cannot be followed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="about a minute: three strategies, five batches"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the run (0)")
    parser.add_argument("--episodes", type=int, help="of each pair (2000; quick: 20)")
    parser.add_argument(
        "--hours", type=float, help="train for so long (0: not at all), and measure what is there"
    )
    parser.add_argument(
        "--only",
        choices=("population", "transfer", *OTHERS),
        help="one part; all but the population are added to the report that is there: transfer of\n"
        "the same run, the cap of sixteen strategies, arms (a network per strategy beside one)",
    )
    parser.add_argument(
        "--arms", nargs="+", choices=tuple(ARMS), default=tuple(ARMS),
        help="of --only arms: which; the first is compared with the others",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results", help="report folder")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument(
        "--runs", type=Path, help=f"keep the run here, as {NAME}; one that is there goes on"
    )
    options = parser.parse_args()
    if options.episodes is None:
        options.episodes = 20 if options.quick else 2000
    if options.episodes < 2:
        parser.error(f"--episodes is {options.episodes}, expected at least 2")
    if options.only == "arms" and options.episodes % 2:
        parser.error(f"--episodes is {options.episodes}, expected an even number with --only arms")
    if options.hours is not None and not options.hours >= 0:
        parser.error(f"--hours is {options.hours}, expected at least 0")
    if options.hours == 0 and not (options.runs and (options.runs / NAME).exists()):
        parser.error("--hours 0 measures a run that is there: name its folder's with --runs")
    adds = options.only not in (None, "population")
    if adds and not (options.out / f"{NAME}.json").exists():
        parser.error(f"--only {options.only} adds to a report: there is none in {options.out}")
    if options.only == "transfer" and not (options.runs and (options.runs / NAME).exists()):
        parser.error("--only transfer needs the run of the report: name its folder with --runs")
    options.seeds = options.jobs = 1
    return options


def command_of(options: argparse.Namespace) -> str:
    """The command line that repeats a report, without where it was written."""
    parts = ["python scripts/reproduce_rws.py", *(["--quick"] if options.quick else [])]
    parts += [f"--seed {options.seed} --episodes {options.episodes}"]
    parts += [] if options.only is None else [f"--only {options.only}"]
    if options.only == "arms" and tuple(options.arms) != tuple(ARMS):
        parts.append(f"--arms {' '.join(options.arms)}")
    return " ".join([*parts, *([] if options.hours is None else [f"--hours {options.hours:g}"])])


def reproduced(options: argparse.Namespace, runs: Path) -> dict[str, Any]:
    """What is asked for: the population, transfer from it, or both.

    Raises:
      CommandFailed: a command ended with an error.
    """
    run, command = runs / NAME, command_of(options)
    if options.only not in (None, "population"):
        content = json.loads((options.out / f"{NAME}.json").read_text())
    else:
        limit_s = None if options.hours is None else 3600 * options.hours
        settings = QUICK if options.quick else ()
        run = train(runs, settings=settings, seed=options.seed, limit_s=limit_s)
        found = measure(run, episodes=options.episodes)
        content = {**described(command, options), "claims": claims_of(found), **found}
    if options.only in OTHERS:
        content[options.only] = {"command": command, **measure_others(options, runs)}
    elif options.only != "population":
        curves = measure_transfer(run, runs, seed=options.seed, quick=options.quick)
        content["transfer"] = {"command": command, "curves": curves}
    return content


def main() -> int:
    """Trains, measures, writes the report and prints what was met."""
    options = parse_options()
    with tempfile.TemporaryDirectory(prefix="neupl-") as temporary:
        runs = (options.runs or Path(temporary)).resolve()
        runs.mkdir(parents=True, exist_ok=True)
        try:
            content = reproduced(options, runs)
        except CommandFailed as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    report.write(options.out, content)
    print(json.dumps(content) if options.json else report.summary(content))
    return int(not all(claim["met"] for claim in content["claims"]) and not options.quick)


if __name__ == "__main__":
    sys.exit(main())
