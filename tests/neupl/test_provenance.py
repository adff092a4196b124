"""Provenance: what git, the package metadata and the environment say, checked against them."""

import os
import subprocess
from pathlib import Path

import jax
import pytest

from neupl.provenance import git_state, installed_version, provenance, usable_cores


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A git checkout that looks like this program's source tree."""
    (tmp_path / "neupl").mkdir()
    (tmp_path / "neupl" / "provenance.py").write_text("one\n")
    git(tmp_path, "init", "-q")
    return tmp_path


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_fresh_checkout_has_no_commit_and_is_dirty(checkout):
    state = git_state(checkout / "neupl")
    assert state == {"commit": None, "dirty": True, "changed": ["?? neupl/"], "diff_sha256": None}


def test_clean_and_changed_trees_are_told_apart(checkout):
    git(checkout, "add", ".")
    git(checkout, "commit", "-qm", "one")
    clean = git_state(checkout)
    assert clean["commit"] == git(checkout, "rev-parse", "HEAD")
    assert (clean["dirty"], clean["changed"], clean["diff_sha256"]) == (False, [], None)
    digests = set()
    for content in ("two\n", "three\n"):
        (checkout / "neupl" / "provenance.py").write_text(content)
        state = git_state(checkout)
        assert (state["dirty"], state["changed"]) == (True, [" M neupl/provenance.py"])
        digests.add(state["diff_sha256"])
    assert len(digests) == 2


def test_checkout_of_another_project_is_not_ours(tmp_path):
    git(tmp_path, "init", "-q")
    assert git_state(tmp_path) is None


def test_no_git_program_means_no_git_state(checkout, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert git_state(checkout) is None


def test_device_versions_and_flags_are_the_real_ones(monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    monkeypatch.delenv("NPROC", raising=False)
    found = provenance(["neupl", "train"], seed=5)
    assert found["versions"]["jax"] == jax.__version__
    assert found["device"] == {
        "backend": "cpu", "kind": jax.devices()[0].device_kind, "count": jax.device_count(),
    }  # fmt: skip
    assert found["environment"]["OPENBLAS_NUM_THREADS"] == "3"
    assert "NPROC" not in found["environment"]


def test_absent_package_has_no_version():
    assert installed_version("no-such-distribution") is None


def test_cores_are_those_of_the_affinity():
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)
