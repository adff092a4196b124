"""Running-with-scissors: the published board, episodes by hand, and what no episode can change."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from games.registry import load_game, load_simulator, load_tree
from games.running_with_scissors import rules
from games.running_with_scissors.game import MAX_RETURN, RunningWithScissors
from games.running_with_scissors.rules import EAST, NORTH, SOUTH, WEST, Action
from games.types import Game, GameError

KEY = jax.random.key(0)
GAME = RunningWithScissors()
start = jax.jit(rules.start)
step = jax.jit(GAME.step)
observe = jax.jit(GAME.observe)
batched_step = jax.jit(jax.vmap(GAME.step, in_axes=(0, 0, None)))
batched_observe = jax.jit(jax.vmap(GAME.observe, in_axes=(0, None)))


@functools.cache
def starts(number):
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(rules.start))(jax.random.split(KEY, number)))


def a_state(*players, inventory=((1, 1, 1), (1, 1, 1)), resources=None, steps=0):
    """A state with players given as (row, column, facing), on a board with rocks on all free
    spots.
    """
    drawn = np.where(rules.FIXED == 0, rules.ROCK, rules.FIXED)
    return rules.State(
        resources=jnp.asarray(drawn if resources is None else resources, jnp.int8),
        position=jnp.array([player[:2] for player in players], jnp.int32),
        facing=jnp.array([player[2] for player in players], jnp.int32),
        inventory=jnp.array(inventory, jnp.int32),
        steps=jnp.int32(steps),
        over=jnp.bool_(False),
    )


def play(state, *pairs):
    """Plays pairs of actions; returns the last state and time step."""
    now = GAME.restart(state)
    for pair in pairs:
        assert now.discount == 1
        state, now = step(state, jnp.array(pair, jnp.int32), KEY)
    return state, now


def test_board_is_the_published_one():
    """As decoded from the films: 23 by 15 cells with the wall; spots on the crossings of rows 1, 3,
    5, 9, 11, 13 and columns 3, 6, 9, 13, 16, 19; rocks, papers and scissors fixed in three corners.
    """
    assert (rules.WIDTH, rules.HEIGHT) == (23, 15)
    top, bottom = (1, 3, 5), (9, 11, 13)
    crossings = list(itertools.product((*top, *bottom), (3, 6, 9, 13, 16, 19)))
    assert rules.SPOTS.tolist() == [list(crossing) for crossing in crossings]
    fixed = {
        **dict.fromkeys(itertools.product(top, (3, 6)), rules.ROCK),
        **dict.fromkeys(itertools.product(top, (16, 19)), rules.PAPER),
        **dict.fromkeys(itertools.product(bottom, (3, 6)), rules.SCISSORS),
    }
    assert len(fixed) == 18
    assert rules.FIXED.tolist() == [fixed.get(crossing, rules.EMPTY) for crossing in crossings]


def test_starts_are_drawn_as_assumed():
    """Of `n` draws with probability `p` the count is within `6 sqrt(n p (1 - p))` of `n p`; the
    normal tail beyond 6 is 2e-9 and some 50 counts are compared: false alarms below 1e-6.
    """
    number = 6000
    state = starts(number)
    free = rules.FIXED == 0
    np.testing.assert_array_equal(
        state.resources[:, ~free], np.tile(rules.FIXED[~free], (number, 1))
    )
    assert set(np.unique(state.resources[:, free])) == {1, 2, 3}
    on_floor = {(r, c) for r in range(1, 14) for c in range(1, 22)} - set(
        map(tuple, rules.SPOTS.tolist())
    )
    cells = [set(map(tuple, state.position[:, p].tolist())) for p in range(2)]
    assert cells == [on_floor, on_floor] and len(on_floor) == 237
    assert (state.position[:, 0] != state.position[:, 1]).any(axis=1).all()

    def near(count, p):
        assert abs(count - number * p) < 6 * np.sqrt(number * p * (1 - p))

    for spot, kind in itertools.product(np.flatnonzero(free)[:12], (1, 2, 3)):
        near((state.resources[:, spot] == kind).sum(), 1 / 3)
    for player, facing in itertools.product(range(2), range(4)):
        near((state.facing[:, player] == facing).sum(), 1 / 4)
    assert (state.inventory == 1).all() and not state.steps.any() and not state.over.any()


@pytest.mark.parametrize(
    ("action", "to", "facing"),
    [
        (Action.STAY, (7, 10), EAST),
        (Action.FORWARD, (7, 11), EAST),
        (Action.BACK, (7, 9), EAST),
        (Action.LEFT, (6, 10), EAST),
        (Action.RIGHT, (8, 10), EAST),
        (Action.TURN_AND_GO_BACK, (7, 9), WEST),
        (Action.TURN_AND_GO_LEFT, (6, 10), NORTH),
        (Action.TURN_AND_GO_RIGHT, (8, 10), SOUTH),
        (Action.TURN_LEFT, (7, 10), NORTH),
        (Action.TURN_RIGHT, (7, 10), SOUTH),
        (Action.TAG, (7, 10), EAST),
    ],
)
def test_each_action_of_a_player_that_faces_east(action, to, facing):
    state, now = play(a_state((7, 10, EAST), (2, 2, NORTH)), (action, Action.STAY))
    assert (*state.position[0].tolist(), state.facing[0]) == (*to, facing)
    assert (*state.position[1].tolist(), state.facing[1]) == (2, 2, NORTH)
    assert now.discount == 1 and not now.rewards.any()


@pytest.mark.parametrize("facing", range(4))
def test_beam_strikes_nine_cells(facing):
    """Relative to a player that faces north: three ahead; to both sides of it and of the two cells
    before it.
    """
    struck = {(-1, 0), (-2, 0), (-3, 0)} | {(-a, s) for a in (0, 1, 2) for s in (-1, 1)}
    for _ in range(facing):
        struck = {(column, -row) for row, column in struck}  # a quarter turn clockwise
    offsets = [o for o in itertools.product(range(-4, 5), repeat=2) if o != (0, 0)]
    states = [a_state((7, 11, facing), (7 + r, 11 + c, NORTH)) for r, c in offsets]
    batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    actions = jnp.tile(jnp.array([Action.TAG, Action.STAY], jnp.int32), (len(states), 1))
    _, now = batched_step(batch, actions, KEY)
    assert {o for o, d in zip(offsets, now.discount, strict=True) if d == 0} == struck


def test_nobody_enters_a_wall_or_the_other():
    at = lambda state: state.position.tolist()  # noqa: E731
    forward, stay = Action.FORWARD, Action.STAY
    # Into the wall; the turn happens all the same.
    state, _ = play(a_state((1, 1, EAST), (7, 7, EAST)), (Action.TURN_AND_GO_LEFT, stay))
    assert at(state)[0] == [1, 1] and state.facing[0] == NORTH
    # Into the other, who stays or leaves; changing places; both onto one cell.
    state, _ = play(a_state((7, 7, EAST), (7, 8, EAST)), (forward, stay))
    assert at(state) == [[7, 7], [7, 8]]
    state, _ = play(a_state((7, 7, EAST), (7, 8, EAST)), (forward, forward))
    assert at(state) == [[7, 7], [7, 9]]
    state, _ = play(a_state((7, 7, EAST), (7, 8, WEST)), (forward, forward))
    assert at(state) == [[7, 7], [7, 8]]
    state, _ = play(a_state((7, 7, EAST), (7, 9, WEST)), (forward, forward))
    assert at(state) == [[7, 7], [7, 9]]


def test_an_episode_by_hand():
    """Player 0 takes the rock at (1, 3), player 1 the paper at (1, 16), and comes back.

    Shares are (2, 1, 1) / 4 and (1, 2, 1) / 4. Rock against paper and scissors earns
    2 (1 - 2) = -2, paper against rock and scissors 1 (1 - 1) = 0, scissors against paper and rock
    1 (2 - 1) = 1: in all -1 of 16, or -6.25 points, whoever tags.
    """
    state = a_state((2, 3, NORTH), (1, 15, EAST))
    state, now = play(state, (Action.FORWARD, Action.FORWARD))
    assert not now.rewards.any()
    np.testing.assert_array_equal(state.inventory, [[2, 1, 1], [1, 2, 1]])
    assert state.resources[0] == rules.EMPTY and state.resources[4] == rules.EMPTY
    assert (state.resources != rules.EMPTY).sum() == 34
    # Nothing is there any more; the first beam misses and changes nothing.
    state, _ = play(state, (Action.BACK, Action.TAG), (Action.FORWARD, Action.STAY))
    np.testing.assert_array_equal(state.inventory, [[2, 1, 1], [1, 2, 1]])
    near = state._replace(position=jnp.array([(7, 7), (7, 10)], jnp.int32))
    near = near._replace(facing=jnp.array([EAST, EAST], jnp.int32))
    for pair in ((Action.TAG, Action.FORWARD), (Action.TAG, Action.TAG)):
        end, now = play(near, pair)
        np.testing.assert_array_equal(now.rewards, [-6.25, 6.25])
        assert now.discount == 0 and not now.to_move.any() and end.over
        # Beams come first: nobody has moved.
        np.testing.assert_array_equal(end.position, near.position)
    # Player 1 looks away.
    _, now = play(near, (Action.STAY, Action.TAG))
    assert now.discount == 1


def test_the_step_limit_pays_like_a_tag():
    inventory = ((2, 1, 1), (1, 2, 1))
    state = a_state((7, 7, EAST), (2, 2, EAST), inventory=inventory, steps=498)
    state, now = play(state, (Action.STAY, Action.STAY))
    assert now.discount == 1 and not now.rewards.any()
    state, now = play(state, (Action.STAY, Action.STAY))
    assert now.discount == 0 and state.steps == 500
    np.testing.assert_array_equal(now.rewards, [-6.25, 6.25])


def test_an_observation_by_hand():
    """Player 0 stands at (2, 4) and faces north, so that it sees rows -1 to 2 of columns 2 to 5:
    two rows of wall, the rock at (1, 3), and player 1 to its left, who faces west.
    """
    state = a_state((2, 4, NORTH), (2, 2, WEST), inventory=((4, 1, 2), (1, 1, 1)))
    rock, paper, scissors, wall, other = np.split(np.asarray(observe(state, 0))[:80], 5)
    np.testing.assert_array_equal(rock.reshape(4, 4)[2], [0, 1, 0, 0])
    assert rock.sum() == 1 and not paper.any() and not scissors.any()
    np.testing.assert_array_equal(wall.reshape(4, 4).sum(axis=1), [4, 4, 0, 0])
    np.testing.assert_array_equal(other.reshape(4, 4)[3], [1, 0, 0, 0])
    assert other.sum() == 1
    rest = observe(state, 0)[80:]
    np.testing.assert_allclose(rest, [0, 0, 0, 1, 2, 0, 1], rtol=1e-6)
    # Player 1 looks west and does not see player 0.
    assert not observe(state, 1)[64:84].any()


@given(row=st.integers(1, 13), column=st.integers(1, 21), seed=st.integers(0, 50))
def test_the_view_turns_with_the_player(row, column, seed):
    """The window around a player, turned until it faces north, is what it sees."""
    resources = np.random.default_rng(seed).integers(0, 4, rules.NUM_SPOTS)
    board = np.full((rules.HEIGHT, rules.WIDTH), rules.WALL)
    board[1:-1, 1:-1] = rules.EMPTY
    board[tuple(rules.SPOTS.T)] = resources
    padded = np.pad(board, 3, constant_values=rules.WALL)
    for facing in range(4):
        window = np.rot90(padded[row : row + 7, column : column + 7], facing)
        state = a_state((row, column, facing), (13, 21, NORTH), resources=resources)
        planes = np.asarray(observe(state, 0))[:64].reshape(4, 4, 4)
        seen = (planes * np.arange(1, 5)[:, None, None]).sum(axis=0)
        np.testing.assert_array_equal(seen, window[:4, 1:5])


@functools.cache
def crowd(number=2048):
    """States in which most players are near each other and hold something, and actions of both."""
    state = jax.tree.map(lambda leaf: jnp.asarray(leaf[:number]), starts(6000))
    offset_key, action_key, held_key = jax.random.split(jax.random.key(5), 3)
    offsets = jax.random.randint(offset_key, (number, 2), -3, 4)
    second = jnp.clip(state.position[:, 0] + offsets, 1, jnp.array([13, 21]))
    apart = (second != state.position[:, 0]).any(axis=1)[:, None]
    position = state.position.at[:, 1].set(jnp.where(apart, second, state.position[:, 1]))
    actions = jax.random.randint(action_key, (number, 2), 0, len(Action))
    inventory = jax.random.randint(held_key, (number, 2, 3), 1, 8)
    return state._replace(position=position, inventory=inventory), actions


def _swapped(state):
    players = ("position", "facing", "inventory")
    return state._replace(**{name: getattr(state, name)[:, ::-1] for name in players})


def _turned(state):
    """The board turned by half a circle, on which it maps spots to spots."""
    corner = jnp.array([rules.HEIGHT - 1, rules.WIDTH - 1], jnp.int32)
    return state._replace(
        resources=state.resources[:, ::-1],
        position=corner - state.position,
        facing=(state.facing + 2) % 4,
    )


def _equal(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_players_are_interchangeable_to_the_bit():
    state, actions = crowd()
    after, now = batched_step(state, actions, KEY)
    assert (now.discount == 0).sum() > 50 and now.rewards.any(axis=1).sum() > 50
    swapped_after, swapped = batched_step(_swapped(state), actions[:, ::-1], KEY)
    _equal(swapped_after, _swapped(after))
    _equal(swapped.rewards, now.rewards[:, ::-1])
    np.testing.assert_array_equal(now.rewards.sum(axis=1), 0)
    for player in range(2):
        _equal(batched_observe(_swapped(after), player), batched_observe(after, 1 - player))


def test_players_cannot_tell_the_board_from_the_turned_one():
    state, actions = crowd()
    after, now = batched_step(state, actions, KEY)
    turned_after, turned = batched_step(_turned(state), actions, KEY)
    _equal(turned_after, _turned(after))
    _equal(turned, now)
    for player in range(2):
        _equal(batched_observe(_turned(after), player), batched_observe(after, player))


def test_steps_are_deterministic_whatever_the_key():
    state, actions = crowd()
    _equal(batched_step(state, actions, KEY), batched_step(state, actions, jax.random.key(9)))


@given(seed=st.integers(0, 2**31 - 1))
def test_resources_move_into_inventories_and_nowhere_else(seed):
    state = start(jax.random.key(seed))
    every = np.bincount(state.resources, minlength=4)[1:]
    rng = np.random.default_rng(seed)
    for pair in rng.integers(0, Action.TAG, (40, 2)):  # nobody tags
        state, _ = step(state, jnp.asarray(pair, jnp.int32), KEY)
    left = np.bincount(state.resources, minlength=4)[1:]
    picked_up = np.asarray(state.inventory).sum(axis=0) - 2
    np.testing.assert_array_equal(left + picked_up, every)


def test_no_inventories_pay_more_than_the_greatest_return():
    """Who collects only rocks meets one who collects only scissors: with 15 of each, 12 fixed and
    18 drawn, `100 (15 / 18)^2`. Other inventories are drawn at random from what can be held.
    """
    best = rules.payoff(jnp.array([(16, 1, 1), (1, 1, 16)], jnp.int32))
    np.testing.assert_allclose(best, [MAX_RETURN, -MAX_RETURN], rtol=1e-6)
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(18, np.full(3, 1 / 3), size=20_000)
    drawn[:5000] = rng.multinomial(18, (0.5, 0.0, 0.5), size=5000)
    first = rng.binomial(6 + drawn, rng.choice([0.0, 0.1, 0.9, 1.0], drawn.shape))
    second = rng.binomial(6 + drawn - first, rng.choice([0.0, 0.1, 1.0], drawn.shape))
    held = jnp.asarray(1 + np.stack([first, second], axis=1), jnp.int32)
    paid = jax.jit(jax.vmap(rules.payoff))(held)
    assert 0.8 * MAX_RETURN < np.abs(paid).max() <= MAX_RETURN * (1 + 1e-6)


def test_it_loads_by_name_with_its_parameters():
    game = load_game("running_with_scissors(step_limit=7)")
    assert isinstance(game, RunningWithScissors) and isinstance(game, Game)
    info = game.info
    assert info.name == "running_with_scissors(step_limit=7)" and info.max_steps == 7
    assert load_simulator(info.name).info == info
    assert load_simulator("running_with_scissors").info == GAME.info
    assert (info.num_players, info.num_actions) == (2, (11, 11))
    assert info.symmetric and info.utility == "zero_sum" and not info.turn_based
    assert info.observation_size == (len(observe(start(KEY), 0)),) * 2
    with pytest.raises(GameError, match="has no game tree"):
        load_tree("running_with_scissors")
    for wrong in ("(size=3)", "(step_limit=x)", "(step_limit=3", "(step_limit=-3)"):
        with pytest.raises(GameError, match=r"by default running_with_scissors\(step_limit=500\)"):
            load_game(f"running_with_scissors{wrong}")
    with pytest.raises(GameError, match="step_limit is 0: it must be at least 1"):
        load_game("running_with_scissors(step_limit=0)")
