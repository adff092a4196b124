"""Tiny training runs through the real command line, and what two runs must have in common."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

ROOT = Path(__file__).parents[2]

STEPS, EVALUATE_EVERY = 800, 20
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


# Imports what a command needs and then forks one process per request, which costs a second less
# than a new interpreter. A process can be told to kill itself on the way into its n-th access to a
# file under some path: before the file is made, renamed or removed.
FORK_SERVER = """
import json, os, signal, sys
import matplotlib.backends.backend_agg, matplotlib.figure, matplotlib.style, tyro
import tensorboard.compat.proto.summary_pb2, tensorboard.summary.writer.record_writer
import neupl.cli, neupl.cli.resume, neupl.cli.train, neupl.training_run

def kill_at(start, left):
    def watch(event, arguments):
        nonlocal left
        if event not in ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir"):
            return
        path = os.path.abspath(arguments[0]) if isinstance(arguments[0], str) else ""
        if path.startswith(start):
            left -= 1
        if left < 0:
            os.write(2, f"killed in {event} of {path}\\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(watch)

for line in sys.stdin:
    request = json.loads(line)
    pid = os.fork()
    if pid == 0:
        files = [os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC) for path in request["files"]]
        for target, source in enumerate(files):
            os.dup2(source, target)
        os.chdir(request["folder"])
        signal.alarm(120)
        sys.argv[1:] = request["arguments"]
        if request["kill"]:
            kill_at(*request["kill"])
        code = neupl.cli.main()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


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
        self._output, self._errors = compiled_path / "stdout", compiled_path / "stderr"
        self._arguments: list[str] = []
        self._server: subprocess.Popen[str] | None = None

    def fork(
        self,
        *arguments: str | Path,
        kill: tuple[Path, int] | None = None,
        folder: str | Path = ".",
    ) -> int:
        """Starts `neupl ARGUMENTS` in a forked process and returns its id; `reap` must follow.

        Args:
          arguments: the command line.
          kill: a path and a number: the access to a file under it at which to be killed.
          folder: where the process works.
        """
        if self._server is None:
            self._server = subprocess.Popen(
                [sys.executable, "-c", FORK_SERVER],
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        self._arguments = [str(argument) for argument in arguments]
        request = {
            "arguments": self._arguments,
            "files": [os.devnull, str(self._output), str(self._errors)],
            "folder": str(folder),
            "kill": kill and (str(kill[0]), kill[1]),
        }
        print(json.dumps(request), file=self._server.stdin, flush=True)
        return int(self._server.stdout.readline())

    def reap(self) -> subprocess.CompletedProcess[str]:
        """Waits for the forked process; returns its exit code and all that it printed."""
        code = int(self._server.stdout.readline())
        printed = self._output.read_text(), self._errors.read_text()
        return subprocess.CompletedProcess(self._arguments, code, *printed)

    def forked(
        self,
        *arguments: str | Path,
        kill: tuple[Path, int] | None = None,
        folder: str | Path = ".",
    ) -> subprocess.CompletedProcess[str]:
        """Runs `neupl ARGUMENTS` in a forked process to its end."""
        self.fork(*arguments, kill=kill, folder=folder)
        return self.reap()

    def close(self) -> None:
        """Ends the fork server."""
        if self._server is not None:
            with self._server:
                self._server.stdin.close()

    def start(self, *arguments: str | Path, file_kib: int | None = None) -> subprocess.Popen[str]:
        """Starts `neupl ARGUMENTS` and returns at once; no file may grow past `file_kib`."""
        # By a shell: code between fork and exec is unsafe once this process has loaded JAX.
        limit = ["bash", "-c", f'ulimit -f {file_kib}; exec "$@"', "bash"] if file_kib else []
        return subprocess.Popen(
            [*limit, sys.executable, "-m", "neupl", *map(str, arguments)],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(
        self, *arguments: str | Path, file_kib: int | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs `neupl ARGUMENTS` to its end, whatever that is."""
        return self.finish(self.start(*arguments, file_kib=file_kib))

    def finish(self, process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
        """Waits for a process and returns all that it printed."""
        with process:
            stdout, stderr = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    def training(self, path: Path, *more: str) -> list[str]:
        """Arguments that train the run into `path`."""
        settings = [f"--set={key}={value}" for key, value in SETTINGS.items()]
        return ["train", "--game", "kuhn_poker", "--out", str(path), *settings, *more]

    def wait_for_lines(self, path: Path, num_lines: int) -> None:
        """Waits until the run at `path` has logged `num_lines` evaluations in all."""
        self.wait_until(lambda: num_logged(path) >= num_lines)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Looks again and again; gives up after a minute."""
        give_up = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < give_up, "waited for a minute in vain"
            time.sleep(0.001)

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
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyRuns]:
    """Tiny runs that share their compiled code."""
    runs = TinyRuns(tmp_path_factory.mktemp("compiled"))
    yield runs
    runs.close()


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
    pid = tiny.fork(*tiny.training(path))
    tiny.wait_for_lines(path, STEPS // EVALUATE_EVERY // 2)
    os.kill(pid, signal.SIGKILL)
    assert tiny.reap().returncode == -signal.SIGKILL
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
