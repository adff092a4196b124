"""Index arrays of a tree for regret minimisation.

Sequences are renumbered so that a seat's lie together (*slots*): the empty sequences come first, as
in the tree, then the sequences of the first seat's information states by own depth, then the
second's. Terminals with the same last sequences of all seats are one *entry* that carries the sum
of their chance-weighted returns. For two seats, entries that connect few sequences with few are
gathered into dense matrices, and equal matrices are kept once: in card and dice games a matrix is
one public ending, and an update is many small matrix-vector products without an index per entry.
"""

import weakref
from typing import NamedTuple

import numpy as np
import scipy.sparse
import scipy.sparse.csgraph
from jaxtyping import Float64, Int, UInt32

from games.game_tree import GameTree
from solvers.regret_kernels import LANES

# A connected group of entries becomes a dense matrix where at least this share of it is filled and
# neither side is longer than this.
LEAST_FILL, MAX_SIDE = 0.4, 64


class RegretForm(NamedTuple):
    """Index arrays of a tree in slot order, unsigned because a signed index costs a test for
    negative numbers at every access. `E` entries, `R` rows (a row is a seat's last sequence
    with its entries), all seats' rows one after the other.

    Attributes:
      infoset_start: first information state of each seat in slot order, `[P + 1]`.
      first_slot: first slot of each information state, `[S + 1]`.
      parent_slot: slot of the owner's sequence before each information state, `[S]`.
      row_start: first row of each seat, `[P + 1]`.
      row_slot: slot of each row, `[R]`.
      entry_start: first entry of each row, `[R + 1]`.
      entry_amount: chance-weighted return of the row's owner, `[E]`, in game points.
      entry_others: slots of the other seats' last sequences, `[E, P - 1]`.
      block_start: first dense block of each seat, `[P + 1]`; none unless two seats.
      block_row: first position in `block_row_slot` of each block, and the end, `[blocks + 1]`.
      block_column: first position in `block_column_slot` of each block, and the end.
      block_matrix: first line of each block in `matrices`.
      block_row_slot: the owner's slots of all blocks, padded by the number of sequences.
      block_column_slot: the co-player's slots of all blocks.
      matrices: all blocks' matrices in strips of `LANES` rows, one column of a strip per line,
        `[lines, LANES]`.
    """

    infoset_start: UInt32[np.ndarray, "..."]
    first_slot: UInt32[np.ndarray, "..."]
    parent_slot: UInt32[np.ndarray, "S"]
    row_start: UInt32[np.ndarray, "..."]
    row_slot: UInt32[np.ndarray, "R"]
    entry_start: UInt32[np.ndarray, "..."]
    entry_amount: Float64[np.ndarray, "E"]
    entry_others: UInt32[np.ndarray, "E others"]
    block_start: UInt32[np.ndarray, "..."]
    block_row: UInt32[np.ndarray, "..."]
    block_column: UInt32[np.ndarray, "..."]
    block_matrix: UInt32[np.ndarray, "..."]
    block_row_slot: UInt32[np.ndarray, "..."]
    block_column_slot: UInt32[np.ndarray, "..."]
    matrices: Float64[np.ndarray, "lines lanes"]


class SlotForm(NamedTuple):
    """A `RegretForm` and the way between slots and the tree's sequences.

    Attributes:
      form: what the compiled loops read.
      slot_of_sequence: slot of each of the tree's sequences, `[Q]`.
    """

    form: RegretForm
    slot_of_sequence: Int[np.ndarray, "Q"]


_FORMS: weakref.WeakKeyDictionary[GameTree, SlotForm] = weakref.WeakKeyDictionary()


def slot_form(tree: GameTree) -> SlotForm:
    """The index arrays of `tree`, built on first use and kept as long as the tree lives."""
    form = _FORMS.get(tree)
    if form is None:
        form = _FORMS[tree] = _build(tree)
    return form


class _Rows(NamedTuple):
    """Sparse rows of one seat."""

    slot: Int[np.ndarray, "R"]
    count: Int[np.ndarray, "R"]
    amount: Float64[np.ndarray, "E"]
    others: Int[np.ndarray, "E others"]


class _Blocks(NamedTuple):
    """Dense matrices of one seat; see `RegretForm`, with numbers of rows instead of positions."""

    num_rows: Int[np.ndarray, "blocks"]
    num_columns: Int[np.ndarray, "blocks"]
    matrix: Int[np.ndarray, "blocks"]
    row_slot: Int[np.ndarray, "..."]
    column_slot: Int[np.ndarray, "..."]
    matrices: Float64[np.ndarray, "..."]


def _build(tree: GameTree) -> SlotForm:
    P, Q = tree.num_players, tree.num_sequences
    # A stable sort leaves each seat's information states in the tree's order, by own depth.
    infosets = np.argsort(tree.infoset_player, kind="stable")
    size = np.diff(tree.infoset_first_sequence, append=Q)[infosets]
    first_slot = _positions(size, P)
    within = np.arange(P, Q) - np.repeat(first_slot[:-1], size)
    slot_of_sequence = np.arange(Q)
    slot_of_sequence[np.repeat(tree.infoset_first_sequence[infosets], size) + within] = np.arange(
        P, Q
    )
    last, amount = _merge(tree, slot_of_sequence)
    component = _dense_components(last, amount, Q) if P == 2 else np.full(len(last), -1)
    rows = [_rows(last, amount, component, p) for p in range(P)]
    blocks = [_blocks(last, amount, component, p, Q) for p in range(2 if P == 2 else 0)]
    sizes = np.cumsum([0] + [len(b.matrices) // LANES for b in blocks])
    per_seat = [len(b.matrix) for b in blocks] if P == 2 else [0] * P
    form = RegretForm(
        infoset_start=np.searchsorted(tree.infoset_player[infosets], np.arange(P + 1)),
        first_slot=first_slot,
        parent_slot=slot_of_sequence[tree.infoset_parent_sequence[infosets]],
        row_start=_positions([len(r.slot) for r in rows]),
        row_slot=_joined([r.slot for r in rows]),
        entry_start=_positions(_joined([r.count for r in rows])),
        entry_amount=_joined([r.amount for r in rows]),
        entry_others=_joined([r.others for r in rows]),
        block_start=_positions(per_seat),
        block_row=_positions(_joined([b.num_rows for b in blocks])),
        block_column=_positions(_joined([b.num_columns for b in blocks])),
        block_matrix=_joined([b.matrix + at for b, at in zip(blocks, sizes[:-1], strict=True)]),
        block_row_slot=_joined([b.row_slot for b in blocks]),
        block_column_slot=_joined([b.column_slot for b in blocks]),
        matrices=_joined([b.matrices for b in blocks]).astype(np.float64).reshape(-1, LANES),
    )
    narrow = [a if a.dtype == np.float64 else a.astype(np.uint32) for a in form]
    return SlotForm(RegretForm(*map(np.ascontiguousarray, narrow)), slot_of_sequence)


def _merge(tree: GameTree, slot_of_sequence):
    """Last slots `[E, P]` and summed chance-weighted returns `[E, P]`, without all-zero entries."""
    last = slot_of_sequence[tree.terminal_sequence]
    expected = tree.terminal_probability[:, None] * tree.terminal_returns
    order = np.lexsort(last.T[::-1])
    last, expected = last[order], expected[order]
    new = np.append(True, (np.diff(last, axis=0) != 0).any(axis=1))
    amount = np.add.reduceat(expected, np.flatnonzero(new), axis=0)
    used = amount.any(axis=1)
    return last[new][used], amount[used]


def _rows(last, amount, component, player: int) -> _Rows:
    """The seat's entries that lie in no dense matrix, sorted by its own slot."""
    used = np.flatnonzero((component < 0) & (amount[:, player] != 0))
    used = used[np.argsort(last[used, player], kind="stable")]
    slot, count = np.unique(last[used, player], return_counts=True)
    others = np.delete(last[used], player, axis=1)
    return _Rows(slot=slot, count=count, amount=amount[used, player], others=others)


def _dense_components(last, amount, num_slots: int) -> Int[np.ndarray, "E"]:
    """Number of the connected group of sequences that each entry joins; -1 where not dense."""
    ones = np.ones(len(last), np.int8)
    graph = scipy.sparse.coo_array((ones, (last[:, 0], last[:, 1])), shape=(num_slots, num_slots))
    number, of_slot = scipy.sparse.csgraph.connected_components(graph, directed=False)
    component = of_slot[last[:, 0]]
    entries = np.bincount(component, minlength=number)
    height, width = (
        np.bincount(of_slot[np.unique(last[:, seat])], minlength=number) for seat in range(2)
    )
    dense = (entries >= LEAST_FILL * height * width) & (np.maximum(height, width) <= MAX_SIDE)
    return np.where(dense[component], component, -1)


def _blocks(last, amount, component, player: int, num_slots: int) -> _Blocks:
    """The seat's dense matrices, equal ones stored once."""
    used = np.flatnonzero(component >= 0)
    _, block = np.unique(component[used], return_inverse=True)
    count = int(block.max(initial=-1)) + 1
    own, num_rows, row = _ranked(block, last[used, player], count)
    other, num_columns, column = _ranked(block, last[used, 1 - player], count)
    height = -(-num_rows // LANES) * LANES
    start = _positions(num_columns * height)
    dense = np.zeros(start[-1])
    part = row // LANES * num_columns[block] + column
    dense[start[block] + part * LANES + row % LANES] = amount[used, player]
    padded = np.full(height.sum(), num_slots)
    padded[
        np.repeat(_positions(height)[:-1] - _positions(num_rows)[:-1], num_rows)
        + np.arange(len(own))
    ] = own
    known: dict[tuple[int, bytes], int] = {}
    matrix, kept, size = np.empty(count, np.int64), [], 0
    for b in range(count):
        piece = dense[start[b] : start[b + 1]]
        key = (int(height[b]), piece.tobytes())
        if key not in known:
            known[key] = size
            kept.append(piece)
            size += len(piece) // LANES
        matrix[b] = known[key]
    return _Blocks(
        num_rows=height,
        num_columns=num_columns,
        matrix=matrix,
        row_slot=padded,
        column_slot=other,
        matrices=_joined(kept),
    )


def _ranked(block, slot, count: int):
    """Distinct slots of all blocks, how many each block has, each entry's rank within its block."""
    pairs, where = np.unique(np.stack([block, slot], axis=1), axis=0, return_inverse=True)
    per_block = np.bincount(pairs[:, 0], minlength=count)
    return pairs[:, 1], per_block, where.reshape(-1) - _positions(per_block)[block]


def _positions(sizes, start: int = 0) -> Int[np.ndarray, "..."]:
    """Where pieces of the given sizes begin when laid end to end, and the end."""
    return start + np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])


def _joined(pieces):
    """Concatenation; an empty integer array of nothing."""
    return np.concatenate(pieces) if pieces else np.zeros(0, np.int64)
