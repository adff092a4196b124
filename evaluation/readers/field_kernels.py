"""Fields of a large plain CSV as columns of categories, in one pass over its bytes, compiled by
Numba.
"""

import numba
import numpy as np

_NEWLINE = 10
# What an entry of the hash table has: hash, start and length of the text, field, number in it.
_HASH, _START, _LENGTH, _FIELD, _NUMBER = range(5)


@numba.njit(cache=True)
def encode_fields(content, begin, delimiter, codes, lines, multiplier):
    """Numbers the different entries of every field in the order of their first occurrence.

    One open hash table for all fields, doubled when half full; entries of equal hash are compared
    byte by byte. Lines of nothing but blanks are left out.

    Args:
      content: UTF-8 `[n]`, without quotes; the last line may end with a newline or not.
      begin: where the first line starts.
      delimiter: between fields, a byte.
      codes: `[F, N]`, with room for all lines; is filled with the number of every entry.
      lines: `[N]`; is filled with the number of the line of every row, from 0.
      multiplier: of the hash, odd; drawn anew each time, so that no file can be made slow.

    Returns:
      Rows; the field, number, start and end of every different entry `[D, 4]`; and how many fields
      the first row has that has another number of them, 0 if none has: nothing is read after it.
    """
    n, num_fields = len(content), len(codes)
    size = 1024
    table = np.full((size, 5), -1, np.int64)
    counts = np.zeros(num_fields, np.int64)
    known, row, line, start, ragged = 0, 0, 0, begin, 0
    while start < n:
        end, field, first, blank = start, 0, start, True
        value = np.uint64(1)
        while True:
            byte = content[end] if end < n else np.uint8(_NEWLINE)
            over = byte == _NEWLINE
            if over or byte == delimiter:
                if over and blank:
                    break
                if field < num_fields:
                    codes[field, row], slot = _number(
                        content, table, counts, field, first, end, np.int64(value)
                    )
                    if slot:
                        known += 1
                        if 2 * known >= size:
                            table, size = _doubled(table), 2 * size
                field += 1
                first, value = end + 1, np.uint64(field + 1)
                if over:
                    break
                blank = False
            else:
                value = (value ^ np.uint64(byte)) * multiplier
                blank &= byte <= 32
            end += 1
        if field:
            lines[row] = line
            row += 1
            if field != num_fields:
                ragged = field
                break
        line += 1
        start = end + 1
    entries = np.empty((known, 4), np.int64)
    k = 0
    for slot in range(size):
        if table[slot, _NUMBER] >= 0:
            entries[k, 0], entries[k, 1] = table[slot, _FIELD], table[slot, _NUMBER]
            entries[k, 2] = table[slot, _START]
            entries[k, 3] = table[slot, _START] + table[slot, _LENGTH]
            k += 1
    return row, entries, ragged


@numba.njit(cache=True)
def _number(content, table, counts, field, start, end, mark):
    """The number of an entry of a field, and whether it is a new one."""
    length, last = end - start, len(table) - 1
    slot = (mark >> 32) & last
    while True:
        entry = table[slot]
        if entry[_NUMBER] < 0:
            entry[_HASH], entry[_START], entry[_LENGTH] = mark, start, length
            entry[_FIELD], entry[_NUMBER] = field, counts[field]
            counts[field] += 1
            return entry[_NUMBER], True
        if entry[_HASH] == mark and entry[_LENGTH] == length and entry[_FIELD] == field:
            shift, k = entry[_START] - start, start
            while k < end and content[k] == content[k + shift]:
                k += 1
            if k == end:
                return entry[_NUMBER], False
        slot = (slot + 1) & last


@numba.njit(cache=True)
def _doubled(table):
    size = 2 * len(table)
    longer = np.full((size, 5), -1, np.int64)
    for old in range(len(table)):
        if table[old, _NUMBER] >= 0:
            slot = (table[old, _HASH] >> 32) & (size - 1)
            while longer[slot, _NUMBER] >= 0:
                slot = (slot + 1) & (size - 1)
            longer[slot] = table[old]
    return longer
