"""The different lines of a file, found in the bytes at once instead of line by line.

Lines are compared by 64-bit fingerprints with multipliers drawn anew each time, so that no file can
be made to confuse two lines; by chance that happens to a million lines with probability 3e-8.
"""

import secrets
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

_WORD = 8
# The bits of a word that belong to a line with so many bytes left.
_KEPT = np.array([(1 << 8 * k) - 1 for k in range(_WORD + 1)], np.uint64)
# Longer lines are different anyway, and are compared as text.
MAX_LENGTH = 256


class Lines(NamedTuple):
    """Lines of a text.

    Attributes:
      distinct: the different ones, in the order of their first occurrence.
      code: which of them each line is, `[N]`.
    """

    distinct: list[str]
    code: Int[np.ndarray, "N"]


def distinct_lines(text: str) -> Lines | None:
    """The lines of a text, which ends with a line's last character; `None` if some are long."""
    raw = text.encode() + bytes(_WORD)
    content = np.frombuffer(raw, np.uint8)[: len(raw) - _WORD]
    ends = np.append(np.flatnonzero(content == ord("\n")), len(content))
    starts = np.append(0, ends[:-1] + 1)
    length = ends - starts
    if length.max() > MAX_LENGTH:
        return None
    # The eight bytes from every place on.
    words = np.ndarray((len(content) + 1,), "<u8", raw, strides=(1,))
    fingerprint = length.astype(np.uint64)
    for offset in range(0, int(length.max()), _WORD):
        left = np.clip(length - offset, 0, _WORD)
        place = np.minimum(starts + offset, len(content))
        fingerprint ^= words[place] & _KEPT[left]
        fingerprint *= np.uint64(secrets.randbits(64) | 1)
        fingerprint ^= fingerprint >> np.uint64(31)
    _, first, code = np.unique(fingerprint, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    chosen = first[order]
    bounds = zip(starts[chosen].tolist(), ends[chosen].tolist(), strict=True)
    return Lines([raw[start:end].decode() for start, end in bounds], rank[code])
