"""Tables in files as columns of categories: CSV, TSV, JSON, JSON lines and Parquet, also gzipped.

Files of battles repeat themselves: a million rows have a hundred models. A column is a list of
different values with a code per row, which is what everything after it wants; each different line
of JSON is parsed once.
"""

import collections
import csv
import functools
import gzip
import io
import itertools
import json
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int, Int32

from evaluation.readers.lines import distinct_lines
from evaluation.types import DataError

_GZIP, _PARQUET = b"\x1f\x8b", b"PAR1"
# Characters from which on a compiled loop reads a CSV, and beyond which no header goes.
LARGE, MAX_HEADER = 1_000_000, 100_000
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


class Column(NamedTuple):
    """A column of text.

    Attributes:
      values: its different values.
      codes: index of the value of each row, `[N]`.
    """

    values: tuple[str, ...]
    codes: Int32[np.ndarray, "N"]

    @classmethod
    def of(cls, entries: Sequence[str]) -> "Column":
        """The column with these entries."""
        index: dict[str, int] = collections.defaultdict(itertools.count().__next__)
        codes = np.fromiter(map(index.__getitem__, entries), np.int32, len(entries))
        return cls(tuple(index), codes)

    def take(self, rows: Int[np.ndarray, "_"]) -> "Column":
        """The column of some rows, with the values that occur in them."""
        codes = self.codes[rows]
        used = np.zeros(len(self.values), bool)
        used[codes] = True
        renumbered = (np.cumsum(used) - 1).astype(np.int32)
        return Column(tuple(np.array(self.values, object)[used]), renumbered[codes])

    def entry(self, row: int) -> str:
        """The text in a row."""
        return self.values[self.codes[row]]


class Table:
    """Rows of a file under named columns.

    Attributes:
      source: the file.
      names: the columns.
    """

    def __init__(
        self,
        source: str,
        columns: Mapping[str, Column | functools.partial[Column]],
        lines: Int[np.ndarray, "N"],
        *,
        unit: str = "line",
    ) -> None:
        """Keeps the columns; a partial function makes one when it is asked for.

        Args:
          source: the file.
          columns: by name.
          lines: where each row stands in the file, from 1.
          unit: what `lines` counts.
        """
        self.source = source
        self.names = tuple(columns)
        self._columns = dict(columns)
        self._lines, self._unit = lines, unit

    def __len__(self) -> int:
        return len(self._lines)

    def column(self, name: str) -> Column:
        """The column of a name; keys that a JSON object lacks are empty.

        Raises:
          DataError: there is no such column, or its entries are no text or numbers.
        """
        if name not in self._columns:
            raise DataError(
                f"{self.source}: no column {name!r}; there are {', '.join(map(repr, self.names))}"
            )
        column = self._columns[name]
        if not isinstance(column, Column):
            column = self._columns[name] = column()
        return column

    def where(self, row: int) -> str:
        """The place of a row, as messages name it."""
        return f"{self.source}: {self._unit} {self._lines[row]}"

    def rows(self, kept: Bool[np.ndarray, "N"] | Int[np.ndarray, "_"]) -> "Table":
        """The table of some of its rows."""
        kept = np.arange(len(self))[kept]
        columns = {
            name: functools.partial(lambda n: self.column(n).take(kept), name)
            for name in self.names
        }
        return Table(self.source, columns, self._lines[kept], unit=self._unit)

    def selected(self, conditions: Mapping[str, str]) -> "Table":
        """The rows in which each column has the given value.

        Raises:
          DataError: there is no such column or no such row.
        """
        kept = np.ones(len(self), bool)
        for name, value in conditions.items():
            column = self.column(name)
            if value not in column.values:
                shown = sorted(column.values)
                more = f" and {len(shown) - 12} more" if len(shown) > 12 else ""
                raise DataError(
                    f"{self.source}: no row with {name}={value}; {name} is "
                    f"{', '.join(shown[:12])}{more}"
                )
            kept &= column.codes == column.values.index(value)
        if not kept.any():
            wanted = " and ".join(f"{name}={value}" for name, value in conditions.items())
            raise DataError(f"{self.source}: no row with {wanted}")
        return self.rows(kept) if conditions else self


def read_content(path: Path) -> bytes:
    """The bytes of a file, unpacked.

    Raises:
      DataError: there is no such file, it is empty, or it is broken.
    """
    try:
        content = path.read_bytes()
        if content.startswith(_GZIP):
            content = gzip.decompress(content)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    if not content.strip():
        raise DataError(f"{path}: the file is empty")
    return content


def read_table(path: Path, content: bytes) -> Table:
    """The table in a file's content, by what the content looks like.

    Raises:
      DataError: it is not UTF-8, or not a table; the message names the line.
    """
    if content.startswith(_PARQUET):
        return _parquet(path)
    text = _decoded(path, content)
    first = text.lstrip()[:1]
    if first == "[":
        return _json_array(path, text)
    return (_json_lines if first == "{" else _csv)(path, text)


def _decoded(path: Path, content: bytes) -> str:
    if content.startswith(_UTF16):
        raise DataError(f"{path}: the text is UTF-16; allowed is UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}: line {line} is not UTF-8 text (byte 0x{content[error.start]:02x}); allowed "
            "is UTF-8"
        ) from None


def _csv(path: Path, text: str) -> Table:
    # Anything else that splits lines in Unicode may stand in a name.
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    head = text.lstrip("\n")[:MAX_HEADER].partition("\n")[0]
    delimiter = "\t" if "\t" in head and "," not in head else ","
    if len(text) >= LARGE and '"' not in text:
        return _large_csv(path, text, delimiter)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    records, numbers = [], []
    try:
        for record in reader:
            if len(record) > 1 or (record and record[0].strip()):
                records.append(record)
                numbers.append(reader.line_num)
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num}: {error}") from None
    header, records = _header(path, records[0]), records[1:]
    for number, record in zip(numbers[1:], records, strict=True):
        if len(record) != len(header):
            raise _ragged(path, number, len(record), header)
    row = np.arange(len(records), dtype=np.int32)
    columns = {
        name: functools.partial(_field, records, place, row) for place, name in enumerate(header)
    }
    return _filled(Table(str(path), columns, np.array(numbers[1:], int)))


def _large_csv(path: Path, text: str, delimiter: str) -> Table:
    """A table without quotes, read by a compiled loop over its bytes."""
    from evaluation.readers.field_kernels import encode_fields

    raw = text.encode()
    first = len(raw) - len(raw.lstrip(b"\n"))
    begin = raw.find(b"\n", first) + 1 or len(raw)
    header = _header(path, raw[first:begin].decode().rstrip("\n").split(delimiter))
    num_lines = raw.count(b"\n", begin) + 1
    codes = np.empty((len(header), num_lines), np.int32)
    lines = np.empty(num_lines, np.int64)
    multiplier = np.uint64(secrets.randbits(64) | 1)
    content, byte = np.frombuffer(raw, np.uint8), np.uint8(ord(delimiter))
    num_rows, entries, ragged = encode_fields(
        content, np.int64(begin), byte, codes, lines, multiplier
    )
    lines = lines[:num_rows] + raw.count(b"\n", 0, begin) + 1
    if ragged:
        raise _ragged(path, int(lines[-1]), ragged, header)
    entries = entries[np.lexsort((entries[:, 1], entries[:, 0]))]
    bounds = np.searchsorted(entries[:, 0], np.arange(len(header) + 1))
    columns = {
        name: functools.partial(_entries, raw, entries[low:high, 2:], code)
        for name, low, high, code in zip(
            header, bounds[:-1], bounds[1:], codes[:, :num_rows], strict=True
        )
    }
    return _filled(Table(str(path), columns, lines))


def _entries(raw: bytes, spans: Int[np.ndarray, "D 2"], codes: Int32[np.ndarray, "N"]) -> Column:
    """The column whose different entries stand in these spans of a file's bytes."""
    own = [raw[start:end].decode().strip() for start, end in zip(*spans.T.tolist(), strict=True)]
    # Entries that differ in the blanks around them are one.
    different, merged = Column.of(own)
    return Column(different, codes if len(different) == len(own) else merged[codes])


def _header(path: Path, names: Sequence[str]) -> list[str]:
    header = [name.strip() for name in names]
    if len(set(header)) < len(header):
        raise DataError(f"{path}: line 1: a column name is there twice: {', '.join(header)}")
    return header


def _ragged(path: Path, line: int, width: int, header: Sequence[str]) -> DataError:
    return DataError(f"{path}: line {line} has {width} fields, the header {len(header)}")


def _field(records: Sequence[Any], place: int | str, row: Int32[np.ndarray, "N"]) -> Column:
    values, codes = Column.of([record[place].strip() for record in records])
    return Column(values, codes[row])


def _json_lines(path: Path, text: str) -> Table:
    distinct, row, numbers = _distinct(text.rstrip("\n"), first=1)
    records = []
    for code, line in enumerate(distinct):
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError as error:
            number = numbers[row == code][0]
            raise DataError(f"{path}: line {number} is not JSON: {error.msg}") from None
    return _json_table(path, records, row, numbers, unit="line")


def _distinct(text: str, *, first: int):
    """The different lines but blank ones, and of each line which it is and its number."""
    found = distinct_lines(text)
    if found is None:
        found = Column.of(text.split("\n"))
    distinct, code = found
    numbers = np.arange(first, first + len(code))
    blank = np.array([not line.strip() for line in distinct])
    if not blank.any():
        return distinct, code, numbers
    kept = ~blank[code]
    renumbered = (np.cumsum(~blank) - 1).astype(np.int32)
    lines = [line for line, empty in zip(distinct, blank, strict=True) if not empty]
    return lines, renumbered[code[kept]], numbers[kept]


def _json_array(path: Path, text: str) -> Table:
    try:
        records = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}: line {error.lineno} is not JSON: {error.msg}") from None
    row = np.arange(len(records), dtype=np.int32)
    return _json_table(path, records, row, row + 1, unit="entry")


def _json_table(path, records, row, numbers, *, unit) -> Table:
    wrong = np.array([not isinstance(record, dict) for record in records], bool)[row]
    if wrong.any():
        raise DataError(f"{path}: {unit} {numbers[wrong][0]} is not a JSON object")
    names = dict.fromkeys(name for record in records for name in record)
    columns = {name: functools.partial(_json_column, records, name, row) for name in names}
    return _filled(Table(str(path), columns, numbers, unit=unit))


def _json_column(objects: list[dict], name: str, row: Int32[np.ndarray, "N"]) -> Column:
    entries = []
    for record in objects:
        value = record.get(name)
        if isinstance(value, list | dict):
            entries.append(json.dumps(value))
        else:
            entries.append("" if value is None else str(value).strip())
    values, codes = Column.of(entries)
    return Column(values, codes[row])


def _parquet(path: Path) -> Table:
    try:
        import pyarrow.parquet
    except ImportError:
        raise DataError(
            f"{path}: reading Parquet needs pyarrow; install the extra 'ratings', or convert the "
            "file to CSV"
        ) from None
    try:
        stored = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a readable Parquet file: {error}") from error
    columns = {name: functools.partial(_arrow_column, stored, name) for name in stored.column_names}
    numbers = np.arange(1, stored.num_rows + 1)
    return _filled(Table(str(path), columns, numbers, unit="row"))


def _arrow_column(stored: Any, name: str) -> Column:
    encoded = stored[name].combine_chunks().dictionary_encode(null_encoding="encode")
    values = [
        "" if value is None else str(value).strip() for value in encoded.dictionary.to_pylist()
    ]
    different, codes = Column.of(values)
    return Column(different, codes[encoded.indices.to_numpy(zero_copy_only=False)])


def _filled(table: Table) -> Table:
    if not len(table):
        raise DataError(f"{table.source}: there is a header but no row")
    return table
