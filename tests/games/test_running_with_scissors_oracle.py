"""Running-with-scissors beside a slow implementation of its rules, on random play.

The oracle is written from the rules as the documentation has them, with other means: cells and
facings are complex numbers, resources a dictionary, and nothing is an array.
"""

import itertools
import math
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from games.running_with_scissors.game import RunningWithScissors
from games.running_with_scissors.rules import Action

LANES, STEPS, LIMIT = 96, 160, 150
NORTH, RIGHT_TURN = -1j, 1j
FACINGS = [NORTH, 1, 1j, -1]  # rows grow to the south
ROCK, PAPER, SCISSORS = "rps"
# Turn first, then step in the direction given by the second factor; 0 is no step.
MOVES = {
    Action.STAY: (1, 0),
    Action.FORWARD: (1, 1),
    Action.BACK: (1, -1),
    Action.LEFT: (1, -1j),
    Action.RIGHT: (1, 1j),
    Action.TURN_AND_GO_BACK: (-1, 1),
    Action.TURN_AND_GO_LEFT: (-1j, 1),
    Action.TURN_AND_GO_RIGHT: (1j, 1),
    Action.TURN_LEFT: (-1j, 0),
    Action.TURN_RIGHT: (1j, 0),
    Action.TAG: (1, 0),
}
# What a player sees when it faces north, `@` being itself, and where its beam strikes.
VIEW = ["....", "....", "....", "..@."]
BEAM = [".*.", "***", "***", "*@*"]


def is_wall(cell) -> bool:
    return not (1 <= cell.real <= 21 and 1 <= cell.imag <= 13)


def shape(picture, marks) -> list[complex]:
    """Offsets of the marked cells from `@`, row by row."""
    cells = {complex(x, y): mark for y, line in enumerate(picture) for x, mark in enumerate(line)}
    (own,) = [cell for cell, mark in cells.items() if mark == "@"]
    return [cell - own for cell, mark in cells.items() if mark in marks]


class Oracle:
    """One episode."""

    def __init__(self, resources, cells, facings) -> None:
        self.resources, self.cells, self.facings = resources, cells, facings
        self.held = [{ROCK: 1, PAPER: 1, SCISSORS: 1} for _ in range(2)]
        self.steps, self.over = 0, False

    def step(self, actions) -> tuple[Fraction, Fraction]:
        """Returns what both players earn."""
        if self.over:
            return Fraction(0), Fraction(0)
        self.steps += 1
        if any(actions[p] == Action.TAG and self.strikes(p) for p in range(2)):
            self.over = True
            return self.worth()
        targets = []
        for p in range(2):
            turn, step = MOVES[actions[p]]
            target = self.cells[p] + self.facings[p] * turn * step
            targets.append(self.cells[p] if is_wall(target) else target)
            self.facings[p] *= turn
        free = [targets[p] != self.cells[1 - p] and targets[p] != targets[1 - p] for p in range(2)]
        for p in range(2):
            if free[p]:
                self.cells[p] = targets[p]
            found = self.resources.pop(self.cells[p], None)
            if found:
                self.held[p][found] += 1
        self.over = self.steps == LIMIT
        return self.worth() if self.over else (Fraction(0), Fraction(0))

    def strikes(self, p) -> bool:
        """Whether the other player stands where the beam of `p` goes."""
        turned = self.facings[p] / NORTH
        return self.cells[1 - p] in [self.cells[p] + turned * cell for cell in shape(BEAM, "*")]

    def worth(self) -> tuple[Fraction, Fraction]:
        beaten = {ROCK: SCISSORS, PAPER: ROCK, SCISSORS: PAPER}
        mine, other = self.held
        both = sum(mine.values()) * sum(other.values())
        won = sum(mine[kind] * other[beaten[kind]] for kind in beaten)
        lost = sum(other[kind] * mine[beaten[kind]] for kind in beaten)
        return Fraction(100 * (won - lost), both), Fraction(100 * (lost - won), both)

    def observe(self, p) -> list[float]:
        if self.over:
            return [0.0] * 87
        turned = self.facings[p] / NORTH
        cells = [self.cells[p] + turned * cell for cell in shape(VIEW, ".@")]
        planes = [[self.resources.get(cell) == kind for cell in cells] for kind in "rps"]
        planes.append([is_wall(cell) for cell in cells])
        planes.append([cell == self.cells[1 - p] for cell in cells])
        relative = self.facings[1 - p] / self.facings[p]
        faces = [any(planes[-1]) and relative == RIGHT_TURN**k for k in range(4)]
        held = [math.log2(self.held[p][kind]) for kind in "rps"]
        return [float(x) for x in [*itertools.chain(*planes), *faces, *held]]


@pytest.fixture(scope="module")
def play():
    """Random episodes: states and observations before every step, actions, rewards, discounts.

    In every other lane the players start in the middle, two steps apart, so that they meet.
    """
    game = RunningWithScissors(step_limit=LIMIT)
    logits = jnp.zeros(len(Action)).at[Action.TAG].set(-0.5).at[Action.FORWARD].set(1.0)

    def move(state, key):
        actions = jax.random.categorical(key, logits, shape=(2,)).astype(jnp.int32)
        seen = jnp.stack([game.observe(state, player) for player in range(2)])
        after, now = game.step(state, actions, key)
        return after, (state, seen, actions, now.rewards, now.discount)

    def episode(key, near):
        start_key, play_key = jax.random.split(key)
        state = game.init(start_key)
        middle = jnp.array([(7, 10), (7, 12)], jnp.int32)
        state = state._replace(position=jnp.where(near, middle, state.position))
        return jax.lax.scan(move, state, jax.random.split(play_key, STEPS))[1]

    keys = jax.random.split(jax.random.key(0), LANES)
    near = jnp.arange(LANES) % 2 == 0
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(episode))(keys, near))


def oracle_of(state, lane) -> Oracle:
    """The oracle in the first state of a lane."""
    spots = [complex(x, y) for y in (1, 3, 5, 9, 11, 13) for x in (3, 6, 9, 13, 16, 19)]
    kinds = ["", *"rps"]
    resources = {
        cell: kinds[kind] for cell, kind in zip(spots, state.resources[lane, 0], strict=True)
    }
    cells = [complex(column, row) for row, column in state.position[lane, 0].tolist()]
    return Oracle(resources, cells, [FACINGS[facing] for facing in state.facing[lane, 0]])


def test_random_episodes_are_those_of_the_oracle(play):
    state, seen, actions, rewards, discount = play
    tagged = np.flatnonzero(discount[:, LIMIT - 2] == 0)
    assert 0.25 * LANES < len(tagged) < 0.75 * LANES  # both ways to end are seen
    assert rewards.any(axis=(1, 2)).sum() > 0.5 * LANES
    for lane in range(LANES):
        oracle = oracle_of(state, lane)
        for t in range(STEPS):
            for player in range(2):
                np.testing.assert_allclose(seen[lane, t, player], oracle.observe(player), atol=1e-6)
            earned = oracle.step([Action(a) for a in actions[lane, t]])
            np.testing.assert_allclose(rewards[lane, t], np.float64(earned), rtol=1e-6)
            assert discount[lane, t] == (not oracle.over)
            if oracle.over:
                break


def test_finished_episodes_stay_as_they_are(play):
    state, seen, _, rewards, discount = play
    over = discount[:, :-2] == 0
    assert over.any()
    for field in state:
        np.testing.assert_array_equal(field[:, 2:][over], field[:, 1:-1][over])
    assert not rewards[:, 1:-1][over].any() and not seen[:, 1:-1][over].any()
