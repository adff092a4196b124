"""`neupl info`: what a run folder holds and how far it got."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tyro

from neupl.cli.options import OutputOptions
from neupl.cli.output import print_json, print_table

# What the population loop logs of its best-certified snapshot, in game points.
_BEST_METRIC = "eval/best_nash_conv"
_BEST_ESTIMATE = "eval/best_estimated_gain"
_BEST_GAP, _GAP_ESTIMATE = "eval/best_gap", "eval/best_gap_estimate"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Info(OutputOptions):
    """Says what a run or a solve is: its game, configuration, steps, certificate and files."""

    run: tyro.conf.Positional[Path]
    """The run folder."""


def run(command: Info) -> int:
    """Prints the summary."""
    found = summary(command.run)
    if command.json:
        print_json(found)
    else:
        _print(found)
    return 0


def summary(path: Path) -> dict[str, Any]:
    """What is known about the run at `path`, as plain JSON.

    Raises:
      UserError: there is no run, or one of its files is broken.
    """
    from neupl.checkpoint import saved_steps
    from neupl.config_io import read_mapping
    from neupl.run import CERTIFICATE_FILE, PROVENANCE_FILE, RESPONSES_FILE, Run

    run = Run.open(path)
    config = read_mapping(run.config_path)
    origin = run.read_json(PROVENANCE_FILE)
    metrics = run.metrics()
    certified = (path / CERTIFICATE_FILE).is_file()
    certificate = run.read_json(CERTIFICATE_FILE) if certified else {}
    chosen = (path / RESPONSES_FILE).is_file()
    return {
        "run": str(path),
        "game": config.get("game"),
        "config": config,
        "seed": origin["seed"],
        "command": origin["command"],
        "started_utc": origin["time_utc"],
        "resumed": len(origin["resumed"]),
        "git": origin["git"],
        "steps_logged": metrics[-1]["step"] if metrics else None,
        "last_metrics": metrics[-1] if metrics else None,
        "checkpoints": saved_steps(run.checkpoints_path),
        "finished": certified,
        "best_nash_conv": metrics[-1].get(_BEST_METRIC) if metrics else None,
        "best_estimated_gain": metrics[-1].get(_BEST_ESTIMATE) if metrics else None,
        "best_gap": _last(metrics, _BEST_GAP),
        "best_gap_estimate": _last(metrics, _GAP_ESTIMATE),
        "certificate": certificate.get("certificate"),
        "method": _method(config),
        "responses": run.read_json(RESPONSES_FILE) if chosen else None,
        "payoff_calibration": _calibration(run.population_path),
        "payoffs_against_exact": certificate.get("payoffs"),
        "files": dict(_sizes(path)),
    }


def _last(metrics: list[dict[str, Any]], name: str) -> float | None:
    """The last of a figure that is not in every line."""
    return next((line[name] for line in reversed(metrics) if name in line), None)


def _method(config: dict[str, Any]) -> str | None:
    """How a population is trained, in words; `None` for a solve."""
    from neupl.payoff_source import joint_payoff_source, method_name

    if "learner" not in config:
        return None
    if config["graph"]["kind"] == "jpsro":
        concept = config["jpsro"]["concept"].upper()
        source = joint_payoff_source(config["evaluation"].get("payoffs", "auto"))
        return f"NeuPL-JPSRO ({concept}), {method_name(config['learner']['kind'], source)}"
    evaluation = config["evaluation"]
    source, responses = evaluation.get("payoffs", "auto"), evaluation.get("responses", 0)
    return method_name(config["learner"]["kind"], source, responses)


def _calibration(population: Path) -> dict[str, Any] | None:
    """What was found of the payoffs as training had them, by episodes of the finished policies."""
    from neupl.population_files import MANIFEST_FILE

    manifest = population / MANIFEST_FILE
    return (
        json.loads(manifest.read_text()).get("payoff_calibration") if manifest.is_file() else None
    )


def _sizes(path: Path) -> Iterator[tuple[str, int]]:
    """Bytes of each entry of the folder, sub-folders summed."""
    for entry in sorted(path.iterdir()):
        if entry.is_dir():
            inside = (file.stat().st_size for file in entry.rglob("*") if file.is_file())
            yield f"{entry.name}/", sum(inside)
        else:
            yield entry.name, entry.stat().st_size


def _print(found: dict[str, Any]) -> None:
    rows = [
        ("run", found["run"]),
        ("game", found["game"]),
        ("seed", found["seed"]),
        ("started", f"{found['started_utc']}, resumptions: {found['resumed']}"),
        ("command", " ".join(found["command"])),
        ("source", _source_text(found["git"])),
        ("steps", "none yet" if found["steps_logged"] is None else found["steps_logged"]),
        ("checkpoints", ", ".join(map(str, found["checkpoints"])) or "none"),
        _progress_row(found),
        ("certificate", _certificate_text(found["certificate"])),
        *_response_rows(found),
        *_payoff_rows(found),
    ]
    if found["method"] is not None:
        rows.insert(2, ("trained by", found["method"]))
    print_table(rows)
    print()
    print_table(_flat(found["config"], ""), header=("configuration", "value"))
    if found["last_metrics"]:
        print()
        rows = ((n, v) for n, v in found["last_metrics"].items() if n != "step")
        print_table(rows, header=("last metrics", "value"))
    print()
    rows = ((name, f"{size / 1024:,.1f} KiB") for name, size in found["files"].items())
    print_table(rows, header=("file", "size"))


def _progress_row(found: dict[str, Any]) -> tuple[str, str]:
    """How good a trained run is so far, or by which method a game is solved."""
    if "method" in found["config"]:
        return "solved by", found["config"]["method"]
    best, estimate = found["best_nash_conv"], found["best_estimated_gain"]
    if found["best_gap"] is not None:
        return "best snapshot", f"gap of its joint {found['best_gap']:.6g}"
    if found["best_gap_estimate"] is not None:
        gap = found["best_gap_estimate"]
        return "best snapshot", f"gap of its joint at least {gap:.6g} by estimate"
    if best is not None:
        return "best snapshot", f"NashConv {best:.6g}"
    if estimate is not None:
        return "best snapshot", f"gain of its newest response {estimate:.6g} by estimate"
    return "best snapshot", "none yet"


def _response_rows(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What trained responses gained on the way to the mixture, where it was chosen so."""
    if found["responses"] is not None:
        gains, errors = found["responses"]["gains"], found["responses"]["errors"]
        first, last = (f"{gains[k]:.4g} ± {errors[k]:.2g}" for k in (0, -1))
        yield "responses", f"gained {first} in the first of {len(gains)} rounds, {last} in the last"


def _payoff_rows(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """How far estimated payoffs are from better ones."""
    from neupl.payoff_calibration import Calibration

    if found["payoff_calibration"] is not None:
        agreement = Calibration(**found["payoff_calibration"])
        yield "running payoffs", f"off the measured ones by {agreement.describe()}"
    for name, agreement in (found["payoffs_against_exact"] or {}).items():
        yield f"{name} payoffs", f"off the exact ones by {Calibration(**agreement).describe()}"


def _source_text(git: dict[str, Any] | None) -> str:
    if git is None:
        return "not a git checkout"
    return f"commit {git['commit'] or '(none)'}{' with local changes' if git['dirty'] else ''}"


def _certificate_text(certificate: dict[str, Any] | None) -> str:
    if certificate is None:
        return "none yet: the run has not finished; `neupl resume` continues it"
    text = f"{certificate['quantity']} {certificate['value']:.6g} ({certificate['method']})"
    if certificate["openspiel_value"] is not None:
        text += f", by OpenSpiel {certificate['openspiel_value']:.6g}"
    return f"{text}, of {certificate['object']}"


def _flat(tree: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
