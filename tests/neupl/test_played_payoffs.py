"""Payoffs of all pairs of strategies, played, against those worked out from what they do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from games.registry import load_simulator, load_tree
from neupl.config import NetworkConfig
from neupl.member_policy import MemberPolicy
from neupl.networks import make_network
from neupl.played_payoffs import cross_payoffs, played_payoffs
from neupl.population import Population
from neupl.training_problem import rows_of

SIZE, EPISODES = 3, 4000
GAME = "matrix_rps"


@pytest.fixture(scope="module")
def population():
    """Three strategies of rock-paper-scissors by random parameters, the first one uniform."""
    info = load_simulator(GAME).info
    config = NetworkConfig(hidden_sizes=(4,), embedding_size=4, critic_hidden_size=4)
    rng = np.random.default_rng(2)
    joint = rng.dirichlet(np.ones(SIZE), (2, SIZE))
    rows = jax.tree.map(jnp.asarray, rows_of(joint))
    shapes = jax.eval_shape(
        lambda key: make_network(config, 3).init(
            key, jnp.zeros((1, info.observation_size[0])), jnp.zeros((1, 1)), rows.tables(1),
            profile=jnp.zeros((1, 2, SIZE)),
        ),
        jax.random.key(0),
    )  # fmt: skip
    params = jax.tree.map(lambda x: rng.normal(0, 1.5, x.shape).astype(np.float32), shapes)
    return Population(
        game=GAME, num_players=2, num_actions=3, symmetric=True, sink="uniform", network=config,
        params=params, joint=joint, meta_strategy=np.full((2, SIZE), 1 / SIZE),
        payoffs=np.zeros((SIZE, SIZE, 2)), step=0, num_nodes=None, max_nodes=100,
    )  # fmt: skip


def test_played_payoffs_are_those_of_the_policies(population):
    """Either seat has its own observation. Within five standard errors, which are the exact ones up
    to a tenth.
    """
    tree, mask = load_tree(GAME, cache=False), np.ones((1, 3), bool)
    own = [tree.observation[tree.infoset_player == seat] for seat in (0, 1)]
    first, second = (
        np.array(population.probabilities(seat, seen, mask)[:, 0]) for seat, seen in enumerate(own)
    )
    first[0] = second[0] = 1 / 3
    wins = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])
    won = first @ wins @ second.T
    expected = (won - won.T) / 2
    found = played_payoffs(population, SIZE, episodes=EPISODES, seed=0)
    np.testing.assert_array_equal(found.payoffs, -found.payoffs.T)
    above = np.triu_indices(SIZE, 1)
    apart = (found.payoffs - expected)[above] / found.errors[above]
    assert np.abs(expected[1, 2]) > 0.2, "something to be found"
    assert np.abs(apart).max() < 5
    ended = first @ wins**2 @ second.T
    spread = np.sqrt(((ended + ended.T) / 2 - expected**2) / EPISODES)
    np.testing.assert_allclose(found.errors[above], spread[above], rtol=0.1)


def test_pairs_are_of_symmetric_populations_that_have_them(population):
    with pytest.raises(ValueError, match="num_strategies is 4"):
        played_payoffs(population, SIZE + 1, episodes=2, seed=0)


def always(*probabilities):
    """A policy of rock-paper-scissors in either seat."""
    row = jnp.asarray(probabilities, jnp.float32)
    return MemberPolicy(lambda seen, mask: jnp.tile(row, (1, len(seen), 1)), jnp.ones(1))


def test_two_populations_meet_in_either_seat():
    """Rock and paper against scissors, paper and a coin of both, who then earns 0 from paper or
    loses 1 to it with a chance of one half.
    """
    rock, paper, scissors = (always(*row) for row in np.eye(3))
    coin = always(0, 0.5, 0.5)
    game = load_simulator(GAME)
    found = cross_payoffs(game, [rock, paper], [scissors, paper, coin], episodes=1000, seed=1)
    np.testing.assert_array_equal(found.payoffs[:, :2], [[1, -1], [-1, 0]])
    np.testing.assert_array_equal(found.errors[:, :2], 0)
    # Returns of 1 and -1, and of 0 and -1, alike: within five standard errors.
    expected, spread = np.array([0, -0.5]), np.array([1, 0.5]) / np.sqrt(1000)
    assert (np.abs(found.payoffs[:, 2] - expected) < 5 * spread).all()
    np.testing.assert_allclose(found.errors[:, 2], spread, rtol=0.1)


@pytest.mark.parametrize("episodes", [0, 3])
def test_pairs_sit_in_either_seat_alike(episodes):
    rock = always(1, 0, 0)
    with pytest.raises(ValueError, match=f"episodes is {episodes}: it must be an even number"):
        cross_payoffs(load_simulator(GAME), [rock], [rock], episodes=episodes, seed=0)
