"""Compiled programs are kept where the user wants them, or not at all."""

import os
import subprocess
import sys

import pytest

from neupl.compiled_code import compiled_folder, keep_compiled_code

ROOT_VARIABLES = ("JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS")
PROGRAM = """
from neupl.compiled_code import keep_compiled_code
keep_compiled_code()
import jax
print(jax.jit(lambda x: x + 1)(1.0))
"""


@pytest.fixture(autouse=True)
def untouched(monkeypatch, tmp_path):
    """An environment of JAX's own defaults, put back afterwards."""
    for name in ROOT_VARIABLES:
        # Set first, so that what the test leaves behind is undone too.
        monkeypatch.setenv(name, "")
        del os.environ[name]
    monkeypatch.setenv("NEUPL_CACHE", str(tmp_path / "cache"))


def test_programs_are_found_in_the_cache(tmp_path):
    environment = {**os.environ, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout.strip()) == (0, "2.0"), done.stderr
    assert compiled_folder().parent == tmp_path / "cache"
    assert list(compiled_folder().iterdir())


def test_the_users_own_folder_is_left_alone(monkeypatch, tmp_path):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "elsewhere")
    keep_compiled_code()
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == "elsewhere"
    assert not (tmp_path / "cache").exists()


def test_without_a_folder_nothing_is_kept(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("NEUPL_CACHE", str(tmp_path / "file"))
    keep_compiled_code()
    assert not os.environ.keys() & set(ROOT_VARIABLES)
