"""Tiny training runs through the real command line, and what two runs must have in common."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

ROOT = Path(__file__).parents[2]

STEPS, EVALUATE_EVERY = 1200, 20
SETTINGS = {
    "population.size": 3,
    "network.hidden_sizes": "[8]",
    "network.embedding_size": 4,
    "network.critic_hidden_size": 4,
    "training.steps": STEPS,
    "training.evaluate_every": EVALUATE_EVERY,
    "training.max_steps_per_row": 40,
    # A checkpoint after every evaluation.
    "training.checkpoint_every_s": 0,
}


class TinyRuns:
    """Starts `neupl` on one small run of Kuhn poker, the same everywhere; compiled code is shared.

    Attributes:
      environment: what the processes get to see.
      steps: gradient steps of a run.
      evaluate_every: gradient steps between two evaluations, each with a checkpoint.
    """

    steps, evaluate_every = STEPS, EVALUATE_EVERY

    def __init__(self, compiled_path: Path) -> None:
        """Keeps compiled code in `compiled_path`."""
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
            "JAX_COMPILATION_CACHE_DIR": str(compiled_path),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "OPENBLAS_NUM_THREADS": "1",
        }

    def start(
        self, *arguments: str | Path, preexec_fn: Any = None, **environment: str
    ) -> subprocess.Popen[str]:
        """Starts `neupl ARGUMENTS` and returns at once."""
        return subprocess.Popen(
            [sys.executable, "-m", "neupl", *map(str, arguments)],
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=preexec_fn,
        )

    def run(
        self, *arguments: str | Path, preexec_fn: Any = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs `neupl ARGUMENTS` to its end, whatever that is."""
        return self.finish(self.start(*arguments, preexec_fn=preexec_fn, **environment))

    def finish(self, process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
        """Waits for a process and returns all that it printed."""
        with process:
            stdout, stderr = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    def training(self, path: Path, *more: str) -> list[str]:
        """Arguments that train the run into `path`."""
        settings = [f"--set={key}={value}" for key, value in SETTINGS.items()]
        return ["train", "--game", "kuhn_poker", "--out", str(path), *settings, *more]

    def wait_for_lines(self, process: subprocess.Popen[str], path: Path, num_lines: int) -> None:
        """Waits until the run at `path` has logged `num_lines` evaluations in all."""
        while num_logged(path) < num_lines:
            try:
                process.wait(0.002)
            except subprocess.TimeoutExpired:
                continue
            pytest.fail(f"ended before line {num_lines}: {process.stderr.read()}")

    def results(self, path: Path) -> dict[str, Any]:
        """Everything of a finished run that must not depend on how often it was interrupted."""
        (newest,) = path.glob(f"checkpoints/step-{STEPS:09d}-*.safetensors")
        arrays = load_file(newest).items()
        certificate = json.loads((path / "certificate.json").read_text())["certificate"]
        population = sorted((path / "population").iterdir())
        return {
            "state": {k: (str(v.dtype), v.shape, v.tobytes()) for k, v in arrays},
            "metrics": [_lasting(json.loads(line)) for line in metric_lines(path)],
            "certificate": {k: v for k, v in certificate.items() if k != "seconds"},
            "population": {file.name: file.read_bytes() for file in population},
        }


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyRuns:
    """Tiny runs that share their compiled code."""
    return TinyRuns(tmp_path_factory.mktemp("compiled"))


@pytest.fixture(scope="session")
def whole(tiny: TinyRuns, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The results of the run that nobody disturbed; it compiles for all others."""
    path = tmp_path_factory.mktemp("whole") / "run"
    done = tiny.run(*tiny.training(path))
    assert done.returncode == 0, done.stderr
    return tiny.results(path)


@pytest.fixture(scope="session")
def _killed_half_way(
    tiny: TinyRuns, whole: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("half") / "run"
    process = tiny.start(*tiny.training(path, "--quiet"))
    tiny.wait_for_lines(process, path, STEPS // EVALUATE_EVERY // 2)
    process.kill()
    tiny.finish(process)
    return path


@pytest.fixture
def half(_killed_half_way: Path, tmp_path: Path) -> Path:
    """A copy of a run that was killed half-way, for the test to damage."""
    return shutil.copytree(_killed_half_way, tmp_path / "run")


def metric_lines(path: Path) -> list[bytes]:
    """The complete lines of a run's metrics."""
    file = path / "metrics.jsonl"
    lines = file.read_bytes().splitlines(keepends=True) if file.exists() else []
    return [line for line in lines if line.endswith(b"\n")]


def num_logged(path: Path) -> int:
    """Evaluations that a run has logged."""
    return len(metric_lines(path))


def _lasting(line: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in line.items() if not k.startswith(("time/", "rate/"))}
