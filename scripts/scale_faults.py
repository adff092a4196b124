"""Faults, each of them a test against worker processes, or a real Ray cluster of three nodes on one
machine; this runs the tests and says what each of them showed.
"""

import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]


class Fault(NamedTuple):
    """What goes wrong, what must come of it, and the test that says so."""

    fault: str
    outcome: str
    test: str


ACTORS, ON_RAY = "neupl/test_actors_survive.py", "neupl/test_ray_map.py"
COMMANDS, KILLS = "cli/test_ray_command.py", "cli/test_train_actors.py"
SAME = "the same arrays to the bit"
FAULTS = (
    Fault("actor killed with a block in hand, processes; another one hangs", SAME,
          f"{ACTORS}::test_a_killed_and_a_hanging_process_cost_nothing"),
    Fault("actor killed with a block in hand, Ray", SAME,
          f"{ACTORS}::test_a_killed_actor_on_ray_costs_nothing"),
    Fault("actor hangs, Ray", SAME, f"{ACTORS}::test_a_hanging_actor_on_ray_costs_nothing"),
    Fault("node of an actor killed", SAME, f"{ACTORS}::test_a_lost_node_costs_nothing"),
    Fault("object store full of somebody else's objects", SAME,
          f"{ACTORS}::test_a_full_object_store_costs_nothing"),
    Fault("parameters become NaN", "an error before anything is learned",
          f"{ACTORS}::test_parameters_that_are_no_numbers_end_the_run_before_anything_is_learned"),
    Fault("learner killed; resumed with other workers, and with none", SAME,
          f"{KILLS}::test_a_killed_learner_is_resumed_by_any_number_of_workers"),
    Fault("driver of a tournament killed, then the head of its cluster; goes on without one",
          "the same games and payoffs",
          f"{COMMANDS}::test_a_tournament_outlives_its_driver_and_the_head_of_its_cluster"),
    Fault("head of the cluster killed while it trains; resumed by processes", SAME,
          f"{COMMANDS}::test_training_outlives_the_head_of_its_cluster"),
    Fault("worker killed, another one hangs, another one returns NaN, Ray",
          "all items, an error that names the one with NaN",
          f"{ON_RAY}::test_killed_hanging_raising_and_broken_items"),
    Fault("node killed", "all items", f"{ON_RAY}::test_items_of_a_lost_node_are_done_by_others"),
    Fault("disk full at a checkpoint", "an error; the checkpoint before is intact",
          "neupl/test_checkpoint.py::test_full_disk_keeps_the_previous_checkpoint"),
)  # fmt: skip


FILES = tuple(dict.fromkeys(fault.test.partition("::")[0] for fault in FAULTS))


def faults(file: str) -> list[dict]:
    """Runs the tests of a file; a line a fault.

    Raises:
      SystemExit: a fault has no test.
    """
    own_faults = [fault for fault in FAULTS if fault.test.startswith(file)]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-n", "0", "-m", "slow or not slow",
             f"--junitxml={report}", *(f"tests/{fault.test}" for fault in own_faults)],
            cwd=ROOT, stdout=sys.stderr, check=False,
        )  # fmt: skip
        cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    rows = []
    for fault in own_faults:
        name = fault.test.partition("::")[2]
        module = "tests." + file.removesuffix(".py").replace("/", ".")
        own = [
            case for case in cases if (case.get("classname"), case.get("name")) == (module, name)
        ]
        if not own:
            raise SystemExit(f"no test {fault.test}")
        trouble = {part.tag for case in own for part in case} & {"failure", "error", "skipped"}
        seconds = sum(float(case.get("time", 0.0)) for case in own)
        rows.append(
            {
                "fault": fault.fault,
                "expected": fault.outcome,
                "found": ", ".join(sorted(trouble)) or "as expected",
                "seconds": seconds,
                "test": f"tests/{fault.test}",
            }
        )
    return rows
