"""What `bench_population.py` runs: every part is a process of its own, and is kept in a file."""

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from neupl.durable_files import write_durably

SCRIPTS = Path(__file__).resolve().parent
ROOT = SCRIPTS.parent
GAMES = ("kuhn_poker", "leduc_poker")
# The defaults of OpenSpiel's example, and settings that leave time for more iterations. What
# neither names is as in the example, too.
SETTINGS: dict[str, dict[str, Any]] = {
    "example": {"meta": "alpharank", "episodes": 10_000, "sims": 1000, "width": 256, "layers": 4},
    "small": {"meta": "nash", "episodes": 1000, "sims": 100, "width": 64, "layers": 2},
}
# Of the small settings: networks that see so few episodes learn too little at the example's rate.
SMALL_AGENT = {"pi_learning_rate": 1e-2}
TINY = {"meta": "nash", "episodes": 20, "sims": 20, "width": 16, "layers": 1}
# NashConv of Leduc poker that exact responses are to reach, in game points, and that of CFR+.
EXACT_UNTIL, CFR_UNTIL = 1.0, 5e-4
QUICK_UNTIL, QUICK_CFR_UNTIL, QUICK_STEPS, QUICK_LIMIT_S = 4.0, 0.05, 60, 6.0

Part = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Request:
    """A part that may be run.

    Attributes:
      game: an OpenSpiel string.
      who: what runs, in the names of files and rows.
      run: number of the run, and its seed.
      content: all that decides about the result; plain JSON.
    """

    game: str
    who: str
    run: int
    content: dict[str, Any]

    @property
    def name(self) -> str:
        """Of the part's file."""
        return f"{self.game}-{self.who}-{self.run}"


def requests_of(*, runs: int, limit_s: float, quick: bool) -> list[Request]:
    """All parts, those of ours first."""
    return list(_quick(runs) if quick else _full(runs, limit_s))


def _full(runs: int, limit_s: float) -> Iterator[Request]:
    for run in range(runs):
        for game in GAMES:
            preset = f"{game}_ppo.yaml"
            yield Request(game, "ours_ppo", run, _training(preset, run))
            yield Request(game, "ours_ppo_command", run, _command(preset, run))
        game = "leduc_poker"
        exact = {"game": game, "until": EXACT_UNTIL}
        training = _training(f"{game}.yaml", run) | {"until": EXACT_UNTIL}
        yield Request(game, "ours_exact", run, training)
        yield Request(game, "ours_psro", run, _ours("psro") | exact)
        yield Request(game, "cfr+", run, _ours("cfr") | exact | {"until": CFR_UNTIL})
    for run in range(runs):
        for meta in ("nash", "uniform"):
            content = _peer("br", run, limit_s) | exact | {"meta": meta, "sims": 1000}
            yield Request(game, f"openspiel_br_{meta}", run, content)
    for settings in ("small", "example"):
        yield from _learning_peers(settings, runs, limit_s)


def _learning_peers(settings: str, runs: int, limit_s: float) -> Iterator[Request]:
    for run in range(runs):
        for game in reversed(GAMES):
            content = _peer("pg", run, limit_s) | {"game": game} | SETTINGS[settings]
            if settings == "small":
                content["agent"] = SMALL_AGENT
            yield Request(game, f"openspiel_pg_{settings}", run, content)


def _quick(runs: int) -> Iterator[Request]:
    for run in range(runs):
        changes = [f"training.steps={QUICK_STEPS}"]
        training = _training("kuhn_poker_ppo.yaml", run) | {"changes": changes}
        yield Request("kuhn_poker", "ours_ppo", run, training)
        tiny = _peer("pg", run, QUICK_LIMIT_S) | {"game": "kuhn_poker"} | TINY
        yield Request("kuhn_poker", "openspiel_pg_tiny", run, tiny | {"iterations": 2})
        exact = {"game": "leduc_poker", "until": QUICK_UNTIL}
        yield Request("leduc_poker", "ours_psro", run, _ours("psro") | exact)
        peer = _peer("br", run, QUICK_LIMIT_S) | exact | {"meta": "nash", "sims": 100}
        yield Request("leduc_poker", "openspiel_br_nash", run, peer)
        yield Request("leduc_poker", "cfr+", run, _ours("cfr") | exact | {"until": QUICK_CFR_UNTIL})


def _ours(run: str) -> dict[str, Any]:
    return {"program": "population_ours.py", "run": run}


def _training(preset: str, seed: int) -> dict[str, Any]:
    return _ours("training") | {"seed": seed, "changes": []} | _preset(preset)


def _command(preset: str, seed: int) -> dict[str, Any]:
    return {"program": "neupl", "seed": seed} | _preset(preset)


def _preset(name: str) -> dict[str, Any]:
    """A preset with what stands in it: a run of another version is not the same run."""
    content = yaml.safe_load((ROOT / "configs" / name).read_text())
    return {"preset": f"configs/{name}", "keys": content}


def _peer(oracle: str, seed: int, limit_s: float) -> dict[str, Any]:
    return {"program": "openspiel_psro.py", "oracle": oracle, "seed": seed, "limit_s": limit_s}


def finished(requests: Iterable[Request], folder: Path) -> list[dict[str, Any]]:
    """The parts that `folder` holds already."""
    found = (_earlier(request, folder) for request in requests)
    return [part for part in found if part is not None]


def run_part(request: Request, folder: Path) -> dict[str, Any]:
    """Runs a part on one thread, or reads what an earlier call with the same request left.

    Returns:
      `game`, `who`, `run`, the `request`, `lines` (what the process printed, by kind), `error` (its
      last words where it failed), `cpu_s` and `wall_s` of the whole process.
    """
    earlier = _earlier(request, folder)
    if earlier is not None:
        return earlier
    path = folder / f"{request.name}.json"
    log_path, output_path = path.with_suffix(".log"), path.with_suffix(".jsonl")
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    one_thread = dict.fromkeys(("NPROC", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
    # Every part compiles for itself, whatever ran on this machine before.
    alone = {"JAX_ENABLE_COMPILATION_CACHE": "false"}
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)} | one_thread | alone
    begin = time.perf_counter()
    with (
        tempfile.TemporaryDirectory(prefix="neupl-") as scratch,
        output_path.open("wb") as output,
        log_path.open("wb") as errors,
    ):
        process = subprocess.Popen(
            _command_line(request.content, Path(scratch) / "run"),
            cwd=ROOT,
            stdout=output,
            stderr=errors,
            env=environment,
        )
        # `wait4` is what tells the CPU time of this child, and of those that it waited for, alone.
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    part = {
        "game": request.game,
        "who": request.who,
        "run": request.run,
        "request": request.content,
        "lines": _lines(request.content, output_path.read_text()),
        "error": _last_words(log_path) if process.returncode else None,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "wall_s": time.perf_counter() - begin,
    }
    write_durably(path, json.dumps(part).encode())
    ending = part["error"] or "done"
    print(f"{request.name}: {ending}, {part['cpu_s']:.1f} CPU seconds", file=sys.stderr)
    return part


def _earlier(request: Request, folder: Path) -> dict[str, Any] | None:
    path = folder / f"{request.name}.json"
    if not path.exists():
        return None
    part = json.loads(path.read_text())
    return part if part["request"] == request.content and part["error"] is None else None


def _command_line(content: Mapping[str, Any], run_path: Path) -> Sequence[str]:
    if content["program"] == "neupl":
        options = ["--seed", str(content["seed"]), "--out", str(run_path), "--json", "--quiet"]
        return [sys.executable, "-m", "neupl", "train", content["preset"], *options]
    return [sys.executable, str(SCRIPTS / content["program"]), json.dumps(content)]


def _lines(content: Mapping[str, Any], printed: str) -> dict[str, list[dict[str, Any]]]:
    """What a part printed, by kind; the last line may have been cut off."""
    if content["program"] == "neupl":
        found = json.loads(printed) if printed.strip() else {}
        return {"end": [found["certificate"]]} if found else {}
    lines: dict[str, list[dict[str, Any]]] = {}
    for line in printed.splitlines():
        try:
            words = json.loads(line)
        except json.JSONDecodeError:
            continue
        lines.setdefault(words.pop("kind"), []).append(words)
    return lines


def _last_words(log_path: Path) -> str:
    words = log_path.read_text(errors="replace").strip().splitlines()
    return words[-1] if words else "no words"
