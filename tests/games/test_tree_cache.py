"""The cache of compiled trees: same arrays back, corruption survived, nothing half-written."""

import dataclasses
import logging

import numpy as np
import pytest

from games import open_spiel_tree, tree_cache
from games.open_spiel_tree import compile_open_spiel
from games.tree_walk import GameTooLargeError

NAME = "kuhn_poker(players=3)"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A cache of its own that keeps even the fastest compilations."""
    monkeypatch.setenv("NEUPL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(open_spiel_tree, "CACHE_FROM_S", -1.0)
    return tmp_path / "cache"


def _same(first, second):
    for field in dataclasses.fields(first):
        a, b = getattr(first, field.name), getattr(second, field.name)
        assert type(a) is type(b)
        if isinstance(a, np.ndarray):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)
        else:
            assert a == b


def test_second_load_reads_the_same_tree_without_walking(folder):
    fresh = compile_open_spiel(NAME)
    (file,) = folder.iterdir()
    assert file.suffix == ".npz"
    seen = []
    _same(compile_open_spiel(NAME, progress=seen.append), fresh)
    assert seen == []
    compile_open_spiel(NAME, progress=seen.append, cache=False)
    assert seen[-1] == fresh.num_nodes


def test_parameters_make_another_file_and_the_name_is_the_one_asked_for(folder):
    assert compile_open_spiel("kuhn_poker(players=3)").num_nodes == 617
    assert compile_open_spiel("kuhn_poker(players=3,)").name == "kuhn_poker(players=3,)"
    assert compile_open_spiel("kuhn_poker").num_nodes == 58
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("damage", ["empty", "truncated", "flipped", "other"])
def test_damaged_file_is_compiled_again(folder, caplog, damage):
    fresh = compile_open_spiel(NAME)
    (file,) = folder.iterdir()
    content = bytearray(file.read_bytes())
    if damage == "empty":
        content.clear()
    elif damage == "truncated":
        del content[len(content) // 2 :]
    elif damage == "flipped":
        for position in range(len(content) // 3, len(content) // 3 + 2000, 7):
            content[position] ^= 0xFF
    else:
        compile_open_spiel("kuhn_poker")
        content = bytearray(tree_cache.cache_path(_key("kuhn_poker")).read_bytes())
    file.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        _same(compile_open_spiel(NAME), fresh)
    assert "ignoring unreadable cache file" in caplog.text
    seen = []
    _same(compile_open_spiel(NAME, progress=seen.append), fresh)
    assert seen == []


def _key(name):
    return str(open_spiel_tree.load_open_spiel(name).turn_based)


def test_node_limit_holds_for_cached_trees_too(folder):
    compile_open_spiel(NAME)
    with pytest.raises(GameTooLargeError, match="more than 616 nodes"):
        compile_open_spiel(NAME, max_nodes=616)


def test_unwritable_folder_costs_only_the_cache(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("NEUPL_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(open_spiel_tree, "CACHE_FROM_S", -1.0)
    with caplog.at_level(logging.WARNING):
        assert compile_open_spiel(NAME).num_nodes == 617
    assert "cannot write cache file" in caplog.text


def test_full_disk_leaves_no_partial_file(small_disk, monkeypatch, caplog):
    monkeypatch.setenv("NEUPL_CACHE", str(small_disk))
    monkeypatch.setattr(open_spiel_tree, "CACHE_FROM_S", -1.0)
    with caplog.at_level(logging.WARNING):
        assert compile_open_spiel("leduc_poker").num_nodes == 9457
    assert "cannot write cache file" in caplog.text and list(small_disk.iterdir()) == []


def test_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.delenv("NEUPL_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert tree_cache.cache_folder() == tmp_path / "neupl"
    monkeypatch.setenv("NEUPL_CACHE", str(tmp_path / "own"))
    assert tree_cache.cache_folder() == tmp_path / "own"
