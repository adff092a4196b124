"""The rules of running-with-scissors: where things stand, what a joint action does, what it pays.

Rock-paper-scissors spread over a grid and an episode (Vezhnevets et al. 2020, "OPtions as
REsponses", ICML; the first domain of NeuPL with partial observation, Liu et al. 2022, arXiv
2202.07415). Two players walk, see four cells by four, pick up rocks, papers and scissors, mostly
out of the other's sight, and are paid by the shares of the three in both inventories when one tags
the other.

Taken from the 58 episodes that the authors of NeuPL published as films: grid, spots, fixed
resources, first inventory, no respawning, payoff, end by a tag, shapes of beam and view, and that
a missed beam costs nothing and leaves resources where they are. Assumptions, where the films show
nothing or not enough:

* Every movement seen is one action: a step in each direction with the face kept, a step back or
  aside that turns the face there, a quarter turn, staying, tagging.
* Beams come first: who stands in one when the step begins is tagged, and nobody moves any more.
  Resources do not stop beams, and the next beam needs no rest.
* A player stays where it is, though it may turn, when its step leads into a wall, into the cell
  where the other stands, or into the one that the other steps to. So a step holds no chance.
* The types of the free spots are independent and uniform; players start on different cells without
  a resource and face anywhere, all with the same probability.
* An episode that lasts until the step limit is paid as if it ended by a tag.
"""

import enum
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float32, Int, Int8, Int32, Key

STEP_LIMIT = 500

# What lies on a cell.
EMPTY, ROCK, PAPER, SCISSORS, WALL = range(5)
# Payoff of a row's type against a column's, by types in the order of the line above.
BEATS = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], np.int32)
PAYOFF_SCALE = 100

# Resources lie on 36 spots, of which 18 always hold the same: r, p and s. Those marked ? are drawn.
BOARD = """\
#######################
#..r..r..?...?..p..p..#
#.....................#
#..r..r..?...?..p..p..#
#.....................#
#..r..r..?...?..p..p..#
#.....................#
#.....................#
#.....................#
#..s..s..?...?..?..?..#
#.....................#
#..s..s..?...?..?..?..#
#.....................#
#..s..s..?...?..?..?..#
#######################
""".splitlines()
HEIGHT, WIDTH = len(BOARD), len(BOARD[0])
_MARKS = np.array([list(line) for line in BOARD])
# Row and column of each spot, row by row, and what lies there at the start; `EMPTY` is drawn.
SPOTS = np.argwhere(np.isin(_MARKS, list("rps?"))).astype(np.int32)
FIXED = np.array(["?rps".index(mark) for mark in _MARKS[tuple(SPOTS.T)]], np.int8)
NUM_SPOTS = len(SPOTS)

# Facings, clockwise, and one step in each, in rows and columns.
NORTH, EAST, SOUTH, WEST = range(4)
DIRECTIONS = np.array([(-1, 0), (0, 1), (1, 0), (0, -1)], np.int32)

# The 16 cells that a player sees, farthest row first, each row from left to right, as steps ahead
# and to the right: its own cell is the third of the last row.
VIEW = np.array([(ahead, right) for ahead in (3, 2, 1, 0) for right in (-2, -1, 0, 1)], np.int32)


class Action(enum.IntEnum):
    """What a player can do; sides are seen from where it faces."""

    STAY = 0
    FORWARD = 1
    BACK = 2
    LEFT = 3
    RIGHT = 4
    TURN_AND_GO_BACK = 5
    TURN_AND_GO_LEFT = 6
    TURN_AND_GO_RIGHT = 7
    TURN_LEFT = 8
    TURN_RIGHT = 9
    TAG = 10


# By action: whether it steps, the side to which it steps in clockwise quarter turns from the face,
# and by how many the face turns.
_STEPS = np.array([0, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0], np.int32)
_SIDE = np.array([0, 0, 2, 3, 1, 2, 3, 1, 0, 0, 0], np.int32)
_TURN = np.array([0, 0, 0, 0, 0, 2, 3, 1, 3, 1, 0], np.int32)


class State(NamedTuple):
    """Where an episode stands.

    Attributes:
      resources: what lies on each of `SPOTS`: `ROCK`, `PAPER`, `SCISSORS`, or `EMPTY` once it was
        picked up.
      position: row and column of each player.
      facing: `NORTH`, `EAST`, `SOUTH` or `WEST`, of each player.
      inventory: rocks, papers and scissors of each player.
      steps: number of steps so far.
      over: whether the episode has ended.
    """

    resources: Int8[Array, "36"]
    position: Int32[Array, "2 2"]
    facing: Int32[Array, "2"]
    inventory: Int32[Array, "2 3"]
    steps: Int32[Array, ""]
    over: Bool[Array, ""]


def _ground() -> Int32[np.ndarray, "rows columns"]:
    """By row and column, as far beyond the grid as a view reaches: the number of the spot there, or
    `NUM_SPOTS + EMPTY` on bare floor, or `NUM_SPOTS + WALL`.
    """
    ground = np.where(_MARKS == "#", NUM_SPOTS + WALL, NUM_SPOTS + EMPTY).astype(np.int32)
    ground[tuple(SPOTS.T)] = np.arange(NUM_SPOTS)
    return np.pad(ground, _MARGIN, constant_values=NUM_SPOTS + WALL)


# A player next to a wall sees two cells beyond it.
_MARGIN = 2
_GROUND = _ground()
_FLOOR = (np.argwhere(_GROUND == NUM_SPOTS + EMPTY) - _MARGIN).astype(np.int32)


def start(key: Key[Array, ""]) -> State:
    """Draws the state in which an episode begins; consumes `key`."""
    type_key, cell_key, facing_key = jax.random.split(key, 3)
    # Remainders of so many bits are uniform to 2e-5.
    drawn = ROCK + jax.random.bits(type_key, (NUM_SPOTS,), jnp.uint16) % 3
    cells = jax.random.bits(cell_key, (2,), jnp.uint32)
    first = cells[0] % len(_FLOOR)
    second = cells[1] % (len(_FLOOR) - 1)
    second = second + (second >= first)
    return State(
        resources=jnp.where(FIXED == EMPTY, drawn.astype(jnp.int8), FIXED),
        position=jnp.asarray(_FLOOR)[jnp.stack([first, second])],
        facing=(jax.random.bits(facing_key, (2,), jnp.uint8) % 4).astype(jnp.int32),
        inventory=jnp.ones((2, 3), jnp.int32),
        steps=jnp.int32(0),
        over=jnp.bool_(False),
    )


def advance(state: State, actions: Int32[Array, "2"], *, step_limit: int) -> State:
    """Applies the actions of both players; a finished episode stays as it is."""
    tags = (actions == Action.TAG) & in_beam(*egocentric(state, state.position[::-1]))
    stopped = state.over | tags.any()
    side = (state.facing + jnp.asarray(_SIDE)[actions]) % 4
    step = jnp.asarray(DIRECTIONS)[side] * jnp.asarray(_STEPS)[actions][:, None]
    target = state.position + step
    into_wall = _ground_at(target) == NUM_SPOTS + WALL
    target = jnp.where(into_wall[:, None], state.position, target)
    into_other = _same_cell(target, state.position[::-1]) | _same_cell(target, target[::-1])
    position = jnp.where((stopped | into_other)[:, None], state.position, target)
    turned = (state.facing + jnp.asarray(_TURN)[actions]) % 4
    reached = _ground_at(position)[:, None] == jnp.arange(NUM_SPOTS)
    found = jnp.where(reached, state.resources, EMPTY).sum(axis=1)
    steps = state.steps + ~state.over
    return State(
        resources=jnp.where(reached.any(axis=0), jnp.int8(EMPTY), state.resources),
        position=position,
        facing=jnp.where(stopped, state.facing, turned),
        inventory=state.inventory + (found[:, None] == jnp.arange(ROCK, SCISSORS + 1)),
        steps=steps,
        over=stopped | (steps >= step_limit),
    )


def payoff(inventory: Int32[Array, "2 3"]) -> Float32[Array, "2"]:
    """What inventories are worth to both players, in game points.

    `100 v' M w` for shares `v` and `w` of rock, paper and scissors and `M = BEATS`; in integers up
    to the division, so that exchanging the players negates it to the bit.
    """
    won = (inventory[0][:, None] * BEATS * inventory[1]).sum()
    first = PAYOFF_SCALE * won / inventory.sum(axis=1).prod()
    return jnp.stack([first, -first])


def egocentric(
    state: State, cell: Int32[Array, "2 2"]
) -> tuple[Int32[Array, "2"], Int32[Array, "2"]]:
    """How far a cell per player, given by row and column, is ahead of that player and to its right,
    in steps.
    """
    offset = cell - state.position
    ahead = jnp.asarray(DIRECTIONS)[state.facing]
    right = jnp.asarray(DIRECTIONS)[(state.facing + 1) % 4]
    return (offset * ahead).sum(axis=1), (offset * right).sum(axis=1)


def in_beam(
    ahead: Int[Array | np.ndarray, "..."], right: Int[Array | np.ndarray, "..."]
) -> Bool[Array, "..."]:
    """Whether a beam hits a cell: one to three steps ahead, or beside the player and up to two
    steps further.
    """
    centre = (right == 0) & (ahead >= 1) & (ahead <= 3)
    sides = (jnp.abs(right) == 1) & (ahead >= 0) & (ahead <= 2)
    return centre | sides


def view_cells(position: Int32[Array, "2"], facing: Int32[Array, ""]) -> Int32[Array, "16 2"]:
    """Rows and columns of the cells that a player sees, in the order of `VIEW`; some may lie beyond
    the wall.
    """
    ahead = jnp.asarray(DIRECTIONS)[facing]
    right = jnp.asarray(DIRECTIONS)[(facing + 1) % 4]
    return position + VIEW[:, :1] * ahead + VIEW[:, 1:] * right


def lying_at(resources: Int8[Array, "36"], cells: Int32[Array, "N 2"]) -> Int8[Array, "N"]:
    """What lies on cells: `EMPTY`, a resource, or `WALL`, also beyond it."""
    bare = jnp.arange(EMPTY, WALL + 1, dtype=jnp.int8)
    return jnp.concatenate([resources, bare])[_ground_at(cells)]


def _ground_at(cells):
    return jnp.asarray(_GROUND)[cells[..., 0] + _MARGIN, cells[..., 1] + _MARGIN]


def _same_cell(cells, others):
    return (cells == others).all(axis=-1)
