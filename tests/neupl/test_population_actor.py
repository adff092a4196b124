"""All seats by one network: what is played, with which probability, is what the network says of all
strategies.
"""

import functools
import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from games.normal_form import NormalForm
from games.open_spiel_host import OpenSpielHost
from games.tree_game import TreeGame
from neupl.config import NetworkConfig
from neupl.interaction_graph import first_equal_row
from neupl.networks import make_network
from neupl.population_actor import Playing, PopulationActor, Seen, uniform_sink
from neupl.rollout import make_actor_play
from neupl.types import Rows

NUM_STRATEGIES = 3
NETWORK = NetworkConfig(hidden_sizes=(16,), embedding_size=8, critic_hidden_size=8)
GOOFSPIEL = "goofspiel(imp_info=True,num_cards=3,points_order=descending)"


class Case(NamedTuple):
    """A game, its network with parameters of unit size, and random rows.

    Attributes:
      game: what is played.
      network: the conditional network.
      params: its parameters.
      rows: random rows, correlated between co-players.
      num_tables: tables of strategies.
    """

    game: object
    network: object
    params: object
    rows: Rows
    num_tables: int


def make_case(game, *, num_tables=None, seed=0):
    info, rng = game.info, np.random.default_rng(seed)
    num_tables = num_tables or info.num_players
    network = make_network(NETWORK, info.num_actions[0])
    profiles = NUM_STRATEGIES ** (info.num_players - 1)
    shape = (info.num_players, NUM_STRATEGIES, profiles)
    joint = rng.dirichlet(np.full(profiles, 0.3), size=shape[:2])
    rows = Rows(joint.astype(np.float32), first_equal_row(joint))
    few = rows.tables(num_tables)
    template = jax.eval_shape(
        network.init,
        jax.random.key(0),
        jnp.zeros((1, info.observation_size[0])),
        jnp.zeros((1, num_tables)),
        few,
        few.joint,
    )
    params = jax.tree.map(
        lambda leaf: rng.normal(0.0, 0.5, leaf.shape).astype(np.float32), template
    )
    return Case(game, network, params, rows, num_tables)


@functools.cache
def all_strategies_fn(network):
    return jax.jit(network.apply)


def oracle(case, seat, observation, legal_mask, met):
    """Probabilities `[K, N, A]` and values `[K, N]` of all strategies of one seat, the values
    against the joint profile number `met` of the co-players, by the other form of the network.
    """
    few = case.rows.tables(case.num_tables)
    table = np.zeros((len(observation), case.num_tables), np.float32)
    table[:, seat if case.num_tables > 1 else 0] = 1
    against = np.zeros_like(few.joint)
    against[..., met] = 1
    logits, value = all_strategies_fn(case.network)(case.params, observation, table, few, against)
    odds = np.where(legal_mask, np.exp(np.asarray(logits, np.float64)), 0.0)
    return odds / odds.sum(axis=-1, keepdims=True), np.asarray(value)


def make_actor(case, *, sink=uniform_sink):
    return PopulationActor(case.game.info, case.network, num_tables=case.num_tables, sink=sink)


def all_profiles(num_players, repeat):
    return np.array(
        list(itertools.product(range(NUM_STRATEGIES), repeat=num_players)) * repeat, np.int32
    )


@pytest.fixture(scope="module")
def case_of(tree_of):
    """`(kind, name, turn_based) -> Case`, each made once; a tree can be declared not turn-based."""

    @functools.cache
    def make(kind, name, turn_based):
        if kind == "host":
            return make_case(OpenSpielHost(name, turn_based=turn_based))
        game = TreeGame(tree_of(name))
        game.info = game.info._replace(turn_based=turn_based)
        return make_case(game)

    return make


@pytest.mark.parametrize("sink", [uniform_sink, None])
@pytest.mark.parametrize(
    ("kind", "name", "turn_based"),
    [
        ("tree", "kuhn_poker(players=3)", True),
        ("tree", "kuhn_poker(players=3)", False),
        ("host", "kuhn_poker", True),
        ("host", GOOFSPIEL, True),
        ("host", GOOFSPIEL, False),
    ],
)
def test_every_seat_plays_its_strategy_of_the_network(case_of, kind, name, turn_based, sink):
    """Log-probabilities and values from the network of all strategies at once; actions within 6
    standard errors of the probabilities (false alarms below 1e-6 in all).
    """
    case = case_of(kind, name, turn_based)
    info = case.game.info
    profile = all_profiles(info.num_players, 60)
    play = make_actor_play(case.game, make_actor(case, sink=sink), record=True)
    context = Playing(case.params, case.rows, profile)
    steps = jax.device_get(play(len(profile), jax.random.key(1), context)).trajectory
    np.testing.assert_array_equal(steps.member, np.broadcast_to(profile, steps.member.shape))
    idle = ~steps.to_move
    assert not steps.action[idle].any()
    assert not steps.log_prob[idle].any() and not steps.value[idle].any()
    at_once = 2 if name == GOOFSPIEL and not turn_based else 1
    assert steps.to_move.sum(axis=2).max() == at_once
    for seat, met in itertools.product(
        range(info.num_players), np.ndindex((NUM_STRATEGIES,) * (info.num_players - 1))
    ):
        # All decisions at once, so that the network is compiled for one shape.
        seen, legal = (
            part[:, :, seat].reshape(-1, part.shape[-1])
            for part in (steps.observation, steps.legal_mask)
        )
        entry = int(np.ravel_multi_index(met, (NUM_STRATEGIES,) * len(met)))
        every, values = oracle(case, seat, seen, legal, entry)
        if sink is not None:
            every[0] = legal / legal.sum(axis=1, keepdims=True)
        moved = steps.to_move[:, :, seat] & (np.delete(profile, seat, axis=1) == met).all(axis=1)
        which = np.flatnonzero(moved)
        own = np.tile(profile[:, seat], len(moved))[which]
        action, log_prob, value = (
            part[:, :, seat].reshape(-1)[which]
            for part in (steps.action, steps.log_prob, steps.value)
        )
        expected = every[own, which]
        np.testing.assert_allclose(
            log_prob, np.log(expected[np.arange(len(which)), action]), atol=1e-4
        )
        np.testing.assert_allclose(value, values[own, which], atol=1e-4)
        # Strategies differ, or none of this says much.
        apart = np.abs(every[1, which] - every[2, which]).sum(axis=-1).max()
        assert np.ptp(values[:, which]) > 0.05 and apart > 0.05
        for strategy in range(NUM_STRATEGIES):
            mine = expected[own == strategy]
            drawn = np.eye(every.shape[-1])[action[own == strategy]].sum(axis=0)
            spread = np.sqrt((mine * (1 - mine)).sum(axis=0))
            assert (np.abs(drawn - mine.sum(axis=0)) <= 6 * spread + 1e-3).all()


def test_one_seat_at_a_time_and_all_at_once_give_the_same_decisions(case_of):
    """With temperatures near zero nothing is left to chance: both ways choose the same actions."""
    cases = [case_of("tree", "kuhn_poker(players=3)", turn_based) for turn_based in (True, False)]
    sharp = jax.tree.map(lambda x: x, cases[0].params)
    sharp["params"]["policy"] = jax.tree.map(lambda x: 1e4 * x, sharp["params"]["policy"])
    profile = all_profiles(3, 4)
    found = []
    for case in cases:
        play = make_actor_play(case.game, make_actor(case, sink=None), record=True)
        context = Playing(sharp, case.rows, profile)
        found.append(jax.device_get(play(len(profile), jax.random.key(3), context)))
    first, second = (episodes.trajectory for episodes in found)
    np.testing.assert_array_equal(first.action, second.action)
    np.testing.assert_array_equal(first.to_move, second.to_move)
    np.testing.assert_allclose(first.value, second.value, atol=1e-5)
    np.testing.assert_array_equal(found[0].returns, found[1].returns)
    assert len(np.unique(found[0].returns, axis=0)) > 3


@pytest.mark.parametrize("sink", [uniform_sink, None])
def test_probabilities_of_every_strategy_at_given_decisions(case_of, sink):
    """Whatever the profiles say; two actions of three are legal."""
    case, rng = case_of("host", GOOFSPIEL, True), np.random.default_rng(5)
    number, size = 40, case.game.info.observation_size[0]
    legal = np.ones((number, 3), bool)
    legal[np.arange(number), rng.integers(0, 3, number)] = False
    seen = Seen(
        rng.normal(size=(number, size)).astype(np.float32),
        legal,
        rng.integers(0, 2, number),
        rng.integers(0, NUM_STRATEGIES, (number, 2)).astype(np.int32),
    )
    found = np.asarray(make_actor(case, sink=sink).every_strategy(case.params, case.rows, seen))
    for seat in (0, 1):
        own = seen.seat == seat
        expected, _ = oracle(case, seat, seen.observation[own], legal[own], 0)
        if sink is not None:
            expected[0] = legal[own] / 2
        np.testing.assert_allclose(found[:, own], expected, atol=1e-5)
    assert not found[:, ~legal].any()
    np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-5)


def test_one_table_serves_all_seats_of_a_symmetric_game():
    """Rock, paper, scissors, in which both seats see the same: with a table each they differ."""
    matrix = np.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])
    game = TreeGame(NormalForm(np.stack([matrix, -matrix], axis=-1)).to_tree("rps"))
    seen = Seen(
        np.ones((2, 1), np.float32), np.ones((2, 3), bool), np.array([0, 1]), np.zeros((2, 2), int)
    )
    gap = {}
    for num_tables in (1, 2):
        case = make_case(game, num_tables=num_tables)
        every = np.asarray(make_actor(case).every_strategy(case.params, case.rows, seen))
        expected = [oracle(case, s, seen.observation[:1], seen.legal_mask[:1], 0)[0][:, 0]
                    for s in (0, 1)]  # fmt: skip
        np.testing.assert_allclose(every[1:], np.stack(expected, axis=1)[1:], atol=1e-5)
        gap[num_tables] = np.abs(every[1:, 0] - every[1:, 1]).max()
    assert gap[1] == 0 and gap[2] > 0.05
