"""Runs our command line as a user would, and tells what it took."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


class CommandFailed(Exception):
    """A command line of ours ended with an error."""


def run_command(
    arguments: Sequence[str], *, runs: Path, log: str, single_core: bool
) -> tuple[dict[str, Any], float, float]:
    """Runs `neupl ARGUMENTS` inside the folder `runs`: a report then names no path of the machine.

    Returns:
      The JSON object it printed, and the wall-clock and CPU seconds of the whole process.

    Raises:
      CommandFailed: the exit code is not 0.
    """
    command = [sys.executable, "-m", "neupl", *arguments]
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    # Every run compiles for itself, whatever ran on this machine before.
    alone = {"JAX_ENABLE_COMPILATION_CACHE": "false"}
    environment = os.environ | alone | {"PYTHONPATH": os.pathsep.join(paths)}
    if single_core:
        environment |= {"NPROC": "1", "OPENBLAS_NUM_THREADS": "1"}
    log_path, output_path = runs / f"{log}.log", runs / f"{log}.json"
    start = time.perf_counter()
    with output_path.open("wb") as output, log_path.open("wb") as errors:
        process = subprocess.Popen(command, cwd=runs, stdout=output, stderr=errors, env=environment)
        # `wait4` is what tells the CPU time of this child alone.
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    if process.returncode:
        last_words = log_path.read_text(errors="replace").strip().splitlines()[-3:]
        raise CommandFailed(
            f"neupl {' '.join(arguments)} ended with {process.returncode}: {' / '.join(last_words)}"
        )
    content = json.loads(output_path.read_text())
    return content, seconds, usage.ru_utime + usage.ru_stime
