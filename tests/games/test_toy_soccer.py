"""Toy soccer: an episode by hand, mirror images, both teams alike, payoffs, scripted players."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from games.registry import load_game, load_tree
from games.toy_soccer import bots, rules
from games.toy_soccer.game import MAX_PROGRESS, ToySoccer
from games.types import Game, GameError

FLIP = np.array([1, -1], np.float32)


@functools.cache
def jitted(team_size: int):
    game = ToySoccer(team_size=team_size, shaped=1)
    seats = range(2 * team_size)
    step = jax.jit(jax.vmap(lambda state, actions: game.step(state, actions, jax.random.key(0))))
    see = jax.jit(jax.vmap(lambda state: jnp.stack([game.observe(state, s) for s in seats])))
    return game, step, see


def started(game: ToySoccer, lanes: int) -> rules.State:
    keys = jax.random.split(jax.random.key(3), lanes)
    return jax.tree.map(np.asarray, jax.vmap(game.init)(keys))


def placed(position, velocity, ball) -> rules.State:
    """One lane of a state with a ball at rest."""
    state = rules.State(
        np.array(position, np.float32), np.array(velocity, np.float32), np.array(ball, np.float32),
        np.zeros(2, np.float32), np.int32(0), np.int32(0), np.bool_(False),
    )  # fmt: skip
    return jax.tree.map(lambda part: np.asarray(part)[None], state)


def test_a_goal_by_hand():
    """A player runs at its greatest speed, 1 m/s, where drag takes what a force of 1 gives.

    It starts 0.245 m from the ball and is 0.195 m from it after 0.05 s, less than both radii, 0.24:
    the ball is moved to 2.05 + 0.24 = 2.29 and gets 1.8 m/s. It loses 3.85 % per step: at 1.7307
    m/s it comes to 2.3765 at the end of the first step of the game, then to 2.3765 + 0.05 (1.6641 +
    1.6000) = 2.5397, behind the line. The way of the ball to the line is paid besides, 0.2 a metre.
    """
    _, step, _ = jitted(1)
    state = placed([[2.0, 0], [-1, 1]], [[1, 0], [0, 0]], [2.245, 0])
    forces = np.array([[[1, 0], [0, 0]]], np.float32)
    state, now = step(state, forces)
    np.testing.assert_allclose(state.position[0, 0], [2.1, 0], atol=1e-6)
    np.testing.assert_allclose(state.velocity[0, 0], [1, 0], atol=1e-6)
    np.testing.assert_allclose(state.ball[0], [2.37653, 0], atol=1e-5)
    np.testing.assert_allclose(state.ball_velocity[0], [1.7307, 0], atol=1e-5)
    np.testing.assert_allclose(now.rewards[0], 0.2 * 0.131535 * FLIP, atol=1e-6)
    assert now.discount[0] == 1
    state, now = step(state, forces)
    np.testing.assert_allclose(state.ball[0], [2.53974, 0], atol=1e-5)
    np.testing.assert_allclose(now.rewards[0], (1 + 0.2 * 0.123465) * FLIP, atol=1e-6)
    assert state.scored[0] == 1 and now.discount[0] == 0 and not now.to_move.any()
    same, now = step(state, forces)
    assert not now.rewards.any()
    jax.tree.map(np.testing.assert_array_equal, same, state)


def test_players_push_each_other_and_boards_hold():
    """At rest a force of 1 gives 0.1 m/s after 0.05 s, 0.19 m/s after 0.1 s: 14.5 mm, the other
    way for the away team.

    Two that run at each other at 1 m/s, 0.36 m apart, are 0.27 m apart after 0.05 s: both are put
    0.15 m from the middle and stand. Without a force the third runs 0.9 x 0.05 m into the board.
    """
    _, step, _ = jitted(1)
    ahead = np.tile(np.float32([1, 0]), (1, 2, 1))
    state, _ = step(placed([[-1, 1], [1, 1]], np.zeros((2, 2)), [0, 0]), ahead)
    np.testing.assert_allclose(state.position[0], [[-0.9855, 1], [0.9855, 1]], atol=1e-6)
    np.testing.assert_allclose(state.velocity[0], [[0.19, 0], [-0.19, 0]], atol=1e-6)
    clash = placed([[-0.18, 1], [0.18, 1]], [[1, 0], [-1, 0]], [0, 0])
    state, _ = step(clash, np.zeros((1, 2, 2), np.float32))
    np.testing.assert_allclose(state.position[0], [[-0.15, 1], [0.15, 1]], atol=1e-6)
    np.testing.assert_allclose(state.velocity[0], 0, atol=1e-6)
    run = placed([[2.32, 1], [0, 1]], [[1, 0], [0, 0]], [0, 0])
    state, _ = step(run, np.zeros((1, 2, 2), np.float32))
    np.testing.assert_allclose(state.position[0, 0], [2.35, 1], atol=1e-6)
    np.testing.assert_allclose(state.velocity[0, 0], 0, atol=1e-6)


def mirrored(state: rules.State) -> rules.State:
    parts = ("position", "velocity", "ball", "ball_velocity")
    return state._replace(**{name: getattr(state, name) * FLIP for name in parts})


def exchanged(state: rules.State) -> rules.State:
    """Turned by half a turn, the teams in each other's seats."""
    P = state.position.shape[1]
    seats = np.roll(np.arange(P), P // 2)
    return state._replace(
        position=-state.position[:, seats], velocity=-state.velocity[:, seats],
        ball=-state.ball, ball_velocity=-state.ball_velocity, scored=-state.scored,
    )  # fmt: skip


@pytest.mark.parametrize("team_size", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_mirror_images_and_both_teams_are_alike(team_size):
    """40 steps in which forces lead to the ball, so that there are contacts; the mirror image is
    the same to the bit, and so are teams of one, where no sum has another order.
    """
    game, step, see = jitted(team_size)
    state = started(game, 64)
    rng, P = np.random.default_rng(0), 2 * team_size
    seats, tolerance = np.roll(np.arange(P), team_size), 0 if team_size == 1 else 1e-5
    sign = game.mirror.observation_sign
    paid = np.zeros(64)
    first_ball = state.ball[:, 0]
    for _ in range(40):
        seen = np.asarray(see(state))
        forces = (seen[..., 4:6] + rng.normal(0, 0.5, seen[..., 4:6].shape)).astype(np.float32)
        after, now = step(state, forces)
        image, image_now = step(mirrored(state), forces * game.mirror.action_sign)
        jax.tree.map(np.testing.assert_array_equal, image, mirrored(after))
        np.testing.assert_array_equal(image_now.rewards, now.rewards)
        np.testing.assert_array_equal(np.asarray(see(mirrored(state))), seen * sign)
        turned, turned_now = step(exchanged(state), forces[:, seats])
        for part, wanted in zip(turned, exchanged(after), strict=True):
            np.testing.assert_allclose(part, wanted, rtol=0, atol=tolerance)
        np.testing.assert_allclose(turned_now.rewards, now.rewards[:, seats], atol=tolerance)
        np.testing.assert_allclose(see(exchanged(state)), seen[:, seats], atol=tolerance)
        np.testing.assert_array_equal(np.asarray(now.rewards).sum(axis=1), 0)
        paid += np.asarray(now.rewards)[:, 0]
        state = after
    ball = np.clip(np.asarray(state.ball)[:, 0], -2.5, 2.5)
    np.testing.assert_allclose(
        paid, np.asarray(state.scored) + 0.5 * (ball - first_ball) / 2.5, atol=1e-5
    )
    assert np.abs(ball - first_ball).max() > 0.5 and np.abs(paid).max() <= 1 + MAX_PROGRESS


def test_starts_are_in_the_own_half_and_teams_in_strips():
    game, _, see = jitted(2)
    state = started(game, 64)
    home, away = state.position[:, :2], state.position[:, 2:]
    assert (home[..., 0] <= -0.8).all() and (away[..., 0] >= 0.8).all()
    # One in each half of the pitch, not always the same.
    sides = np.sign(home[..., 1])
    assert (sides.sum(axis=1) == 0).all() and np.abs(sides.mean(axis=0)).max() < 0.5
    # The nearest opponent comes first, after the team-mate.
    seen = np.asarray(see(state))
    away_from = np.linalg.norm(seen[..., [12, 13, 16, 17]].reshape(64, 4, 2, 2), axis=-1)
    assert (away_from[..., 0] <= away_from[..., 1]).all()
    np.testing.assert_allclose(seen[:, 0, 8:10], home[:, 1] - home[:, 0], atol=1e-6)


@pytest.mark.slow
def test_the_chaser_scores_on_who_stands_and_less_on_a_keeper():
    game, legal = ToySoccer(), jnp.ones(2, bool)

    def play(key, players):
        def one(state, _):
            actions = [bot(game.observe(state, s), legal)[:2] for s, bot in enumerate(players)]
            state, now = game.step(state, jnp.stack(actions), key)
            return state, now.rewards[0]

        return jax.lax.scan(one, game.init(key), length=300)[1].sum()

    keys = jax.random.split(jax.random.key(0), 24)
    scored = {
        bot: float(
            jax.jit(jax.vmap(lambda key, bot=bot: play(key, (bots.chaser, bot))))(keys).mean()
        )
        for bot in (bots.stand, bots.keeper)
    }
    assert scored[bots.stand] > 0.8 and -0.2 < scored[bots.keeper] < 0.5


def test_scripts_want_what_they_say():
    """Behind a ball in front of the goal the chaser runs at it; in front of it, around it; the
    keeper goes back to between ball and goal; who stands brakes.
    """
    legal = jnp.ones(2, bool)

    def force(bot, here, velocity, ball):
        seen = np.concatenate([here, velocity, ball, np.zeros(6)]).astype(np.float32)
        told = np.asarray(bot(jnp.asarray(seen), legal))
        np.testing.assert_allclose(told[2:], np.log(bots.STD), rtol=1e-6)
        assert np.linalg.norm(told[:2]) <= 1 + 1e-6
        return told[:2]

    np.testing.assert_allclose(force(bots.chaser, [1, 0], [0, 0], [0.5, 0]), [1, 0], atol=1e-6)
    back = force(bots.chaser, [1, 0.1], [0, 0], [-0.5, 0])
    assert back[0] < -0.5 and abs(back[1]) > 0.2
    np.testing.assert_allclose(force(bots.keeper, [1, 0], [0, 0], [1, 0]), [-1, 0], atol=1e-6)
    np.testing.assert_allclose(force(bots.stand, [1, 0], [0.5, -0.2], [1, 0]), [-0.5, 0.2])


def test_names_parameters_and_facts():
    game = load_game("toy_soccer(team_size=2,shaped=1,step_limit=50)")
    info = game.info
    assert isinstance(game, Game) and info.name == "toy_soccer(team_size=2,shaped=1,step_limit=50)"
    assert (info.num_players, info.utility, info.symmetric) == (4, "zero_sum", True)
    assert info.max_return == -info.min_return == pytest.approx(1.58)
    assert load_game("toy_soccer").info.symmetric and load_game("toy_soccer").info.continuous
    with pytest.raises(GameError, match="team_size is 5, allowed is from 1 to 4"):
        load_game("toy_soccer(team_size=5)")
    with pytest.raises(GameError, match="step_limit is 0, allowed is at least 1"):
        load_game("toy_soccer(step_limit=0)")
    with pytest.raises(GameError, match="no game tree"):
        load_tree("toy_soccer")
