"""`neupl doctor`: agrees with the package metadata, pyproject.toml and the machine."""

import importlib.metadata
import json
import os
import re
import tomllib
from pathlib import Path

import pytest

from neupl.cli.doctor import CORE, EXTRAS

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]


def names(requirements: list[str]) -> set[str]:
    return {re.match(r"[\w.-]+", requirement)[0] for requirement in requirements}


def test_core_and_extras_are_those_of_the_project_file():
    assert set(CORE) == names(PROJECT["dependencies"])
    extras = PROJECT["optional-dependencies"]
    assert extras.keys() == EXTRAS.keys()
    for name in extras.keys() - {"cuda"}:
        assert set(EXTRAS[name].packages) == names(extras[name])


def test_json_agrees_with_the_metadata_and_the_machine(neupl, tmp_path):
    done = neupl("doctor", "--json", NEUPL_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    for package in CORE:
        assert found["versions"][package] == importlib.metadata.version(package)
    assert found["missing"] == []
    assert found["devices"][0].startswith("cpu:0")
    assert found["cores"] == len(os.sched_getaffinity(0))
    assert 0 < found["memory_available_bytes"] <= found["memory_bytes"]
    assert found["cache"] == str(tmp_path / "cache")
    assert found["extras"]["test"]["purpose"] == "the test suite"


def test_text_names_every_extra_and_the_devices(neupl):
    done = neupl("doctor")
    assert done.returncode == 0, done.stderr
    for expected in (*(f"[{name}]" for name in EXTRAS), "cpu:0", "GiB", "compiled games"):
        assert expected in done.stdout


def test_missing_extra_comes_with_the_command_that_installs_it(neupl):
    found = json.loads(neupl("doctor", "--json").stdout)["extras"]
    for name, extra in found.items():
        absent = [p for p in EXTRAS[name].packages if _version(p) is None]
        assert extra["missing"] == absent
        assert (extra["install"] is None) == (not absent)
        assert not absent or f".[{name}]" in extra["install"]


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def test_device_that_does_not_exist_is_reported_and_fails_the_check(neupl):
    done = neupl("doctor", "--json", JAX_PLATFORMS="no_such_platform")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["devices"] == []
    assert "no_such_platform" in found["device_error"]


@pytest.mark.parametrize("extra", ["mujoco==3.17.0", "mujoco-mjx==3.17.0", "dm_control==1.0.50"])
def test_constraints_pin_the_mujoco_versions_that_work_together(extra):
    lines = (Path(__file__).parents[2] / "constraints.txt").read_text().splitlines()
    assert extra in lines
    assert all(re.fullmatch(r"#.*|[\w.-]+==[\w.]+", line) for line in lines)
