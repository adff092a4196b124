"""Event files: read back by TensorBoard itself."""

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from neupl.tensorboard_file import TensorBoardFile


def png(width: int, height: int) -> bytes:
    """A black picture, put together from the definition of the format."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + crc

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(height * (width + 1)))
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def events_of(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0})
    events.Reload()
    return events


def test_image_comes_back_with_its_size(tmp_path):
    file = TensorBoardFile(tmp_path)
    file.image(5, "payoffs", png(3, 2))
    file.close()
    (image,) = events_of(tmp_path).Images("payoffs")
    assert (image.step, image.width, image.height) == (5, 3, 2)
    assert image.encoded_image_string == png(3, 2)


def test_image_that_is_not_png_is_refused(tmp_path):
    file = TensorBoardFile(tmp_path)
    with pytest.raises(ValueError, match="'payoffs' is not a PNG"):
        file.image(0, "payoffs", b"JFIF")
    file.close()


def test_records_are_on_disk_before_the_file_is_closed(tmp_path):
    file = TensorBoardFile(tmp_path)
    file.scalars(1, {"a": 0.5})
    assert [event.value for event in events_of(tmp_path).Scalars("a")] == [0.5]
    file.close()
    file.close()


def test_files_opened_within_one_second_are_read_in_order(tmp_path):
    for start in range(4):
        file = TensorBoardFile(tmp_path, purge_step=start if start else None)
        for step in range(start, start + 3):
            file.scalars(step, {"a": float(start)})
        file.close()
    values = [(event.step, event.value) for event in events_of(tmp_path).Scalars("a")]
    assert values == [(0, 0.0), (1, 1.0), (2, 2.0), (3, 3.0), (4, 3.0), (5, 3.0)]


def test_torn_last_record_of_an_earlier_file_does_not_hide_the_next_file(tmp_path):
    first = TensorBoardFile(tmp_path)
    first.scalars(0, {"a": 0.0})
    first.scalars(1, {"a": 1.0})
    first.close()
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-5])
    second = TensorBoardFile(tmp_path, purge_step=1)
    second.scalars(1, {"a": 7.0})
    second.close()
    assert [(e.step, e.value) for e in events_of(tmp_path).Scalars("a")] == [(0, 0.0), (1, 7.0)]


def test_neither_tensorflow_nor_torch_nor_a_server_is_imported(tmp_path):
    code = (
        "import sys, pathlib; from neupl.tensorboard_file import TensorBoardFile\n"
        "assert 'tensorboard' not in sys.modules\n"
        f"TensorBoardFile(pathlib.Path({str(tmp_path)!r})).scalars(0, {{'a': 1.0}})\n"
        "print([m for m in ('tensorflow', 'torch', 'grpc', 'werkzeug') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
