"""Teams as players: every seat of a player is played by its strategy, learned from and paid for."""

import dataclasses
import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from games.jax_lanes import JaxLanes
from games.teams import by_player
from neupl.config import NetworkConfig
from neupl.interaction_graph import first_equal_row
from neupl.learners import make_mpo_learner, make_ppo_learner
from neupl.learners.first_parameters import first_parameters
from neupl.member_policy import MemberPolicy
from neupl.networks import make_network
from neupl.population_actor import Playing, PopulationActor, Seen, apply_network, remember
from neupl.recurrent_network import no_recall
from neupl.rollout import make_actor_play, make_play
from neupl.types import Objective, Rows

_spec = importlib.util.spec_from_file_location(
    "role_game", Path(__file__).with_name("role_game.py")
)
role_game = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(role_game)
RoleGame = role_game.RoleGame

EPISODES, SIZE = 5, 3
NETWORK = NetworkConfig(hidden_sizes=(8,), embedding_size=4, critic_hidden_size=4)


@dataclasses.dataclass(frozen=True)
class Counting:
    """Remembers how often it moved, and says 1 where that and what it is told are large."""

    least: float

    def initial_memory(self, batch):
        return jnp.zeros(batch)

    def act(self, memory, observation, mask, key):
        action = (memory + observation[:, 2] > self.least).astype(jnp.int32)
        return action, jax.nn.one_hot(action, 2), memory + 1


@pytest.mark.parametrize("hosted", [False, True])
def test_an_episode_is_lanes_of_what_the_seats_did(hosted):
    """The same game of four players, each team's policy twice, is the oracle."""
    teams, seats = (RoleGame(uneven=True, teams=teams) for teams in (True, False))
    if hosted:
        teams, seats = JaxLanes(teams), JaxLanes(seats)
    first, second, key = Counting(0.5), Counting(1.2), jax.random.key(0)
    found = make_play(teams, (first, second), record=True)(EPISODES, key)
    wanted = make_play(seats, (first, second) * 2, record=True)(EPISODES, key)
    by_seat = np.asarray(wanted.returns)
    assert (by_seat[:, 2] != by_seat[:, 0]).any()
    for b in range(EPISODES):
        means = [(by_seat[b, p] + by_seat[b, p + 2]) / 2 for p in (0, 1)]
        np.testing.assert_array_equal(found.returns[b], means)
    np.testing.assert_array_equal(found.length, wanted.length)
    lanes, old = found.trajectory, wanted.trajectory
    for b, j, p in np.ndindex(EPISODES, 2, 2):
        lane, seat = 2 * b + j, p + 2 * j
        for name in ("observation", "legal_mask", "to_move", "action", "log_prob", "member"):
            own, other = getattr(lanes, name)[:, lane, p], getattr(old, name)[:, b, seat]
            np.testing.assert_array_equal(own, other, err_msg=name)
        np.testing.assert_array_equal(lanes.discount[:, lane], old.discount[:, b])
        paid = (np.asarray(old.rewards)[:, b, p] + np.asarray(old.rewards)[:, b, p + 2]) / 2
        np.testing.assert_array_equal(lanes.rewards[:, lane, p], paid)


def test_a_mixture_draws_one_strategy_for_all_seats_of_a_player():
    def every(observation, mask):
        """Strategy 0 says 0, strategy 1 says 1."""
        return jnp.tile(jnp.eye(2)[:, None], (1, len(observation), 1))

    mixture = MemberPolicy(every, jnp.array([0.5, 0.5]))
    lanes = make_play(RoleGame(), (mixture, mixture), record=True)(64, jax.random.key(1)).trajectory
    actions = np.asarray(lanes.action)
    np.testing.assert_array_equal(actions, lanes.member)
    by_episode = actions.reshape(-1, 64, 2, 2)
    assert (by_episode == by_episode[:, :, :1]).all()
    # Players draw apart: all four pairs of strategies are met.
    assert len(np.unique(by_episode[0, :, 0], axis=0)) == 4


class OneOfTwo:
    """Strategy 0: a fair coin of each player says what it says; see `DrawnSink`."""

    def draw(self, batch, key):
        return jax.random.bernoulli(key, 0.5, (batch, 2)).astype(jnp.int32)

    def probabilities(self, seen, member):
        return jax.nn.one_hot(member, 2)


def make_case(sink, game):
    rng = np.random.default_rng(0)
    network = make_network(NETWORK, 2)
    joint = rng.dirichlet(np.ones(SIZE), (2, SIZE)).astype(np.float32)
    rows = Rows(jnp.asarray(joint), jnp.asarray(first_equal_row(joint)))
    params = network.init(jax.random.key(2), jnp.zeros((1, 3)), jnp.zeros((1, 2)), rows, rows.joint)
    return PopulationActor(game.info, network, num_tables=2, sink=sink), network, params, rows


def test_every_seat_plays_its_players_strategy():
    game = RoleGame()
    actor, network, params, rows = make_case(OneOfTwo(), game)
    profile = np.array([[0, 1], [1, 0], [0, 0], [2, 1], [1, 2]] * 8, np.int32)
    play = make_actor_play(game, actor, record=True)
    lanes = jax.tree.map(np.asarray, play(40, jax.random.key(3), Playing(params, rows, profile)))
    lanes = lanes.trajectory
    np.testing.assert_array_equal(lanes.member[0], profile.repeat(2, axis=0))
    sizes = lanes.action.shape
    for p in (0, 1):
        # The critic is told the opponent's strategy.
        both = np.tile(profile.repeat(2, axis=0)[:, [p, 1 - p]], (sizes[0], 1))
        seen = Seen(
            jnp.asarray(lanes.observation[:, :, p].reshape(-1, 3)),
            jnp.asarray(lanes.legal_mask[:, :, p].reshape(-1, 2)),
            jnp.full(len(both), p),
            jnp.asarray(both),
        )
        policy, value = apply_network(network, params, rows, seen, num_tables=2)
        action, of_network = lanes.action[:, :, p].reshape(-1), both[:, 0] > 0
        likely = np.asarray(policy)[np.arange(len(both)), action]
        found = lanes.log_prob[:, :, p].reshape(-1)
        plays = lanes.to_move[:, :, p].reshape(-1)
        np.testing.assert_allclose(found[of_network & plays], likely[of_network & plays], atol=1e-5)
        np.testing.assert_allclose(
            lanes.value[:, :, p].reshape(-1)[plays], np.asarray(value)[plays], atol=1e-5
        )
        drawn = lanes.action[:2, profile.repeat(2, axis=0)[:, p] == 0, p]
        drawn = drawn.reshape(2, -1, 2)
        assert (drawn == drawn[:1, :, :1]).all() and 0 < drawn.mean() < 1


@pytest.mark.parametrize("kind", ["ppo", pytest.param("mpo", marks=pytest.mark.slow)])
def test_all_seats_of_the_focal_team_are_learned_from(small_config, kind):
    game = RoleGame(uneven=True)
    critic = {"critic": "action_values"} if kind == "mpo" else {}
    config = small_config(
        "role_game:RoleGame",
        population={"size": SIZE},
        network=critic,
        learner={"kind": kind, "episodes": EPISODES, "minibatch": 64, "trace": 1.0},
    )
    network = make_network(config.network, 2)
    actor = PopulationActor(game.info, network, num_tables=2, sink=None)
    make_learner = make_ppo_learner if kind == "ppo" else make_mpo_learner
    learner = make_learner(game, actor, config)
    joint = np.full((2, SIZE, SIZE), 1 / SIZE, np.float32)
    ones, rows = np.ones((2, SIZE), np.float32), Rows(joint, first_equal_row(joint))
    state = learner.init(jax.random.key(4))
    objective = Objective(rows, 0 * ones, ones, 0 * ones, state.params)
    batch = learner.collect(state.params, objective, jax.random.key(5))
    focal, lanes = batch.matches.seat, np.arange(EPISODES)
    assert batch.matches.profile.shape == batch.returns.shape == (EPISODES, 2)
    earned = batch.returns[lanes, focal] / 4
    strategy = batch.matches.profile[lanes, focal]
    if kind == "ppo":
        found = batch.decisions
        observation, seat = found.seen.observation, found.seen.seat
        profile, target = found.seen.profile, found.target
        shape = (role_game.ROUNDS, EPISODES, 2)
    else:
        found = batch.played
        observation, seat, profile = found.observation, found.seat, found.profile
        target = np.stack([found.reward.sum(axis=0), found.reward[1]])
        shape = (role_game.ROUNDS, EPISODES, 2)
        seat, profile = np.tile(seat, 2), np.tile(profile, (2, 1))
    observation = np.asarray(observation).reshape(*shape, 3)
    # Both seats, in each round: who is the second one, and which round it is.
    for t, b, j in np.ndindex(shape):
        assert observation[t, b, j, 0] == j and observation[t, b, j, 1] == t
    assert (np.asarray(seat).reshape(shape) == focal[:, None]).all()
    assert (np.asarray(profile).reshape(*shape, 2)[..., 0] == strategy[:, None]).all()
    # A team is paid the mean of its seats, and both learn from that.
    target = np.asarray(target).reshape(shape)
    np.testing.assert_allclose(target[0], np.stack([earned, earned], axis=1), atol=1e-6)
    after, metrics = learner.update(state, batch, jax.random.key(6))
    assert int(after.step) == 1 and all(np.isfinite(list(metrics.values())))


@pytest.mark.slow
def test_every_seat_has_a_memory_of_its_own(small_config):
    """What is recorded before the second round is what the network makes of each seat's first."""
    game, memory = RoleGame(), {"memory": "gru", "memory_size": 6, "encoder_sizes": (8,)}
    config = small_config(
        "role_game:RoleGame", population={"size": SIZE}, network=memory, learner={"kind": "ppo"},
        evaluation={"payoffs": "sampled"},
    )  # fmt: skip
    network, info = make_network(config.network, 2), by_player(game.info)
    params = first_parameters(network, None, jax.random.key(7), config=config, info=info)
    actor = PopulationActor(game.info, network, num_tables=2, sink=None)
    play = make_actor_play(game, actor, record=True, stretch=1)
    profile = np.array([[0, 1], [2, 2], [1, 0]], np.int32)
    joint = np.full((2, SIZE, SIZE), 1 / SIZE, np.float32)
    rows = Rows(jnp.asarray(joint), jnp.asarray(first_equal_row(joint)))
    found = play(3, jax.random.key(8), Playing(params, rows, profile)).trajectory
    hidden = np.asarray(found.memory.hidden)
    assert hidden.shape == (2, 6, 2, 6) and not hidden[0].any()
    np.testing.assert_array_equal(found.memory.action[1], found.action[0])
    for p in (0, 1):
        both = profile.repeat(2, axis=0)[:, [p, 1 - p]]
        seen = Seen(
            jnp.asarray(found.observation[0, :, p]), jnp.asarray(found.legal_mask[0, :, p]),
            jnp.full(6, p), jnp.asarray(both),
        )  # fmt: skip
        wanted = remember(network, params, seen, no_recall(6, 6), num_tables=2)
        np.testing.assert_allclose(hidden[1, :, p], wanted, atol=1e-5)
