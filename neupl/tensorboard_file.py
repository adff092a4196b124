"""A TensorBoard event file: scalars and images, written record by record without a thread.

Only TensorBoard's own record format and protocol buffers are used, so neither TensorFlow nor
PyTorch is needed.
"""

import struct
import time
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


class _Protocol(NamedTuple):
    """TensorBoard's modules, imported when the first file is opened."""

    event: ModuleType
    summary: ModuleType
    record: ModuleType


class TensorBoardFile:
    """One event file in `folder`; of several, TensorBoard reads them in order of their names."""

    def __init__(self, folder: Path, *, purge_step: int | None = None) -> None:
        """Opens a new file.

        Args:
          folder: created when absent.
          purge_step: TensorBoard then forgets what earlier files say of this step and later ones.
        """
        self._protocol = _import_protocol()
        folder.mkdir(parents=True, exist_ok=True)
        self._file = _next_path(folder).open("xb")
        self._records = self._protocol.record.RecordWriter(self._file)
        self._write(self._event(file_version="brain.Event:2"))
        if purge_step is not None:
            session_log = self._protocol.event.SessionLog
            start = session_log(status=session_log.START)
            self._write(self._event(step=purge_step, session_log=start))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Writes one record with all `values` by tag."""
        summary = self._protocol.summary.Summary()
        for tag, value in values.items():
            summary.value.add(tag=tag, simple_value=value)
        self._write(self._event(step=step, summary=summary))

    def image(self, step: int, tag: str, png: bytes) -> None:
        """Writes a PNG picture.

        Raises:
          ValueError: `png` is not a PNG file.
        """
        if not png.startswith(_PNG_SIGNATURE):
            raise ValueError(f"the image {tag!r} is not a PNG file")
        width, height = struct.unpack(">II", png[16:24])
        summary = self._protocol.summary.Summary()
        picture = summary.value.add(tag=tag).image
        picture.width, picture.height, picture.colorspace = width, height, 4
        picture.encoded_image_string = png
        self._write(self._event(step=step, summary=summary))

    def close(self) -> None:
        """Closes the file; a second call does nothing."""
        self._file.close()

    def _event(self, **content: object):
        return self._protocol.event.Event(wall_time=time.time(), **content)

    def _write(self, event) -> None:
        self._records.write(event.SerializeToString())
        self._records.flush()


def _import_protocol() -> _Protocol:
    from tensorboard.compat.proto import event_pb2, summary_pb2
    from tensorboard.summary.writer import record_writer

    return _Protocol(event_pb2, summary_pb2, record_writer)


def _next_path(folder: Path) -> Path:
    """A name that sorts after all files of the folder, also for two within one second."""
    taken = (path.name.split(".")[3] for path in folder.glob("events.out.tfevents.*"))
    latest = max((int(stamp) for stamp in taken if stamp.isdigit()), default=0)
    return folder / f"events.out.tfevents.{max(int(time.time()), latest + 1):010d}.neupl"
