"""Durable files: the old content or the new one, never something between."""

import resource

import pytest

from neupl.durable_files import write_durably


def test_content_is_replaced(tmp_path):
    path = tmp_path / "file"
    for content in (b"old", b"", b"new"):
        write_durably(path, content)
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_failed_write_leaves_the_old_content_and_no_partial_file(tmp_path):
    path = tmp_path / "file"
    write_durably(path, b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_durably(path, bytes(2000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_full_disk_leaves_the_old_content(small_disk):
    path = small_disk / "file"
    write_durably(path, b"old")
    with pytest.raises(OSError, match="No space left"):
        write_durably(path, bytes(1_000_000))
    assert path.read_bytes() == b"old"
    assert list(small_disk.iterdir()) == [path]
