"""Episodes worked by hand, the same from a tree and from OpenSpiel's states, and what a trajectory
promises.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from games.open_spiel_host import OpenSpielHost
from games.tree_game import TreeGame
from games.types import GameError
from neupl import rollout
from neupl.rollout import make_play
from neupl.stored_population import load_population
from solvers.sequence_form import mix
from solvers.values import expected_returns

PASS, BET = 0, 1

# Simultaneous moves, moves of one seat after another, and rewards on the way.
HOST_GAMES = ("goofspiel(imp_info=True,num_cards=4)", "connect_four", "coop_box_pushing")


class Script(NamedTuple):
    """Plays the listed actions, one after another; the memory counts the moves made."""

    actions: tuple[int, ...]

    def initial_memory(self, batch):
        return jnp.zeros(batch, jnp.int32)

    def act(self, memory, observation, mask, key):
        action = jnp.asarray(self.actions)[memory]
        return action, jax.nn.one_hot(action, mask.shape[1]), memory + 1


class Uniform:
    """Every legal action with the same probability."""

    def initial_memory(self, batch):
        return ()

    def act(self, memory, observation, mask, key):
        action = jax.random.categorical(key, jnp.where(mask, 0.0, -jnp.inf))
        return action, mask / mask.sum(axis=1, keepdims=True), memory


class UniformOutsideJax:
    """The same in NumPy, as a program written without JAX would; its memory is its random number
    of the last move.
    """

    def initial_memory(self, batch):
        return np.zeros(batch, np.float64)

    def act(self, memory, observation, mask, key):
        draw = np.random.default_rng(np.asarray(jax.random.key_data(key))).random(len(mask))
        share = mask / mask.sum(axis=1, keepdims=True)
        action = (share.cumsum(axis=1) <= draw[:, None]).sum(axis=1)
        return action.astype(np.int32), share.astype(np.float32), draw


@pytest.fixture(scope="module")
def game(tree_of):
    """`(kind, name)`: a game as a tree or on OpenSpiel's states, each made once."""

    @functools.cache
    def make(kind, name):
        return TreeGame(tree_of(name)) if kind == "tree" else OpenSpielHost(name)

    return make


@pytest.fixture(scope="module")
def population_episodes(game, kuhn_folder):
    """`(kind)`: recorded episodes of the mixture on Kuhn poker, and the population that played."""

    @functools.cache
    def play(kind):
        population = load_population(kuhn_folder)
        policies = [population.policy("nash", seat=seat) for seat in range(2)]
        run = make_play(game(kind, "kuhn_poker"), policies, record=True)
        return jax.device_get(run(2048, jax.random.key(0))), population

    return play


def cards(trajectory):
    """The cards of both seats, from what each saw at its first move (card at entries 2 to 4)."""
    return np.stack([trajectory.observation[seat, :, seat, 2:5].argmax(axis=1) for seat in (0, 1)])


@pytest.mark.parametrize("kind", ["tree", "host"])
@pytest.mark.parametrize(
    ("first", "second", "length", "stake"),
    [
        # Pass and pass: a showdown for the ante. Bet and bet: a showdown for two chips.
        ((PASS,), (PASS,), 2, 1),
        ((BET,), (BET,), 2, 2),
        # Pass, bet, bet: the second own move of seat 0 is a call. A memory that also counted the
        # other seat's moves would fold.
        ((PASS, BET, PASS), (BET,), 3, 2),
    ],
)
def test_showdowns_in_kuhn_poker_by_hand(game, kind, first, second, length, stake):
    play = make_play(game(kind, "kuhn_poker"), [Script(first), Script(second)], record=True)
    episodes = jax.device_get(play(64, jax.random.key(1)))
    own, other = cards(episodes.trajectory)
    assert {0, 1, 2} == set(own.tolist()) == set(other.tolist()) and (own != other).all()
    expected = np.where(own > other, stake, -stake)
    np.testing.assert_array_equal(episodes.returns, np.stack([expected, -expected], axis=1))
    np.testing.assert_array_equal(episodes.length, np.full(64, length))


@pytest.mark.parametrize("kind", ["tree", "host"])
def test_folds_in_kuhn_poker_by_hand(game, kind):
    """Bet and pass wins seat 0 the ante; pass, bet and pass loses it."""
    kuhn = game(kind, "kuhn_poker")
    bluff = make_play(kuhn, [Script((BET,)), Script((PASS,))])(8, jax.random.key(0))
    fold = make_play(kuhn, [Script((PASS, PASS)), Script((BET,))])(8, jax.random.key(0))
    np.testing.assert_array_equal(bluff.returns, np.tile([1, -1], (8, 1)))
    np.testing.assert_array_equal(fold.returns, np.tile([-1, 1], (8, 1)))
    np.testing.assert_array_equal(np.stack([bluff.length, fold.length]), [[2] * 8, [3] * 8])
    assert bluff.trajectory is None


def test_both_seats_move_at_once_in_rock_paper_scissors():
    host = OpenSpielHost("matrix_rps")
    episodes = make_play(host, [UniformOutsideJax(), Script((1,))], record=True)(
        100, jax.random.key(0)
    )
    steps = episodes.trajectory
    assert steps.to_move.shape == (1, 100, 2) and steps.to_move.all()
    # Rock, paper, scissors against paper.
    np.testing.assert_array_equal(
        episodes.returns[:, 0], np.array([-1, 0, 1])[steps.action[0, :, 0]]
    )
    assert set(steps.action[0, :, 0].tolist()) == {0, 1, 2}
    np.testing.assert_allclose(steps.log_prob[0, :, 0], np.log(1 / 3), atol=1e-6)
    assert not steps.log_prob[0, :, 1].any()


def check_trajectory(episodes, max_steps):
    """What holds for every trajectory of every game."""
    steps = episodes.trajectory
    T = len(steps.action)
    assert episodes.length.max() <= T <= max_steps
    np.testing.assert_allclose(steps.rewards.sum(axis=0), episodes.returns, atol=1e-4)
    alive = np.arange(T)[:, None] < episodes.length
    np.testing.assert_array_equal(steps.discount, np.arange(T)[:, None] + 1 < episodes.length)
    np.testing.assert_array_equal(steps.to_move.any(axis=2), alive)
    chosen = np.take_along_axis(steps.legal_mask, steps.action[..., None], axis=3)[..., 0]
    assert chosen.all()
    idle = ~steps.to_move
    for field in (steps.observation, steps.action, steps.log_prob):
        assert not field[idle].any()
    assert (steps.legal_mask[idle] == (np.arange(steps.legal_mask.shape[3]) == 0)).all()
    assert not steps.rewards[~alive].any()
    assert (steps.log_prob <= 0).all() and np.isfinite(steps.log_prob).all()
    assert (steps.member == steps.member[0]).all()


@pytest.mark.parametrize("kind", ["tree", "host"])
def test_population_trajectory(game, population_episodes, kind):
    """One strategy per seat and episode: its probabilities explain every action of the episode.

    The population was traced by JAX before it is asked here for the first time.
    """
    episodes, population = population_episodes(kind)
    check_trajectory(episodes, game(kind, "kuhn_poker").info.max_steps)
    steps = episodes.trajectory
    for seat in range(2):
        moves = steps.to_move[:, :, seat]
        seen, mask = steps.observation[moves, seat], steps.legal_mask[moves, seat]
        every = population.probabilities(seat, seen, mask)
        member, action = steps.member[moves, seat], steps.action[moves, seat]
        expected = np.log(every[member, np.arange(len(member)), action])
        np.testing.assert_allclose(steps.log_prob[moves, seat], expected, atol=1e-4)
        # Both move in every episode of Kuhn poker, so each has drawn; 6 standard errors.
        weights = population.meta_strategy[seat]
        drawn = np.bincount(steps.member[0, :, seat], minlength=len(weights)) / 2048
        slack = 6 * np.sqrt(weights * (1 - weights) / 2048) + 1e-6
        assert (np.abs(drawn - weights) <= slack).all()
    assert (population.meta_strategy > 0.05).sum() > 2, "the mixture hardly mixes"


@pytest.mark.slow
def test_long_games_are_played_in_stretches(game, monkeypatch):
    """The same episodes, and no step more than the longest of them asks for."""
    policies = [Uniform(), Uniform()]
    whole = make_play(game("tree", "leduc_poker"), policies, record=True)(32, jax.random.key(2))
    monkeypatch.setattr(rollout, "STRETCH", 3)
    parts = make_play(game("tree", "leduc_poker"), policies, record=True)(32, jax.random.key(2))
    np.testing.assert_array_equal(parts.returns, whole.returns)
    np.testing.assert_array_equal(parts.length, whole.length)
    T = len(parts.trajectory.action)
    assert whole.length.max() <= T <= whole.length.max() + 2
    for part, field in zip(parts.trajectory, whole.trajectory, strict=True):
        np.testing.assert_array_equal(part, field[:T])
    check_trajectory(parts, game("tree", "leduc_poker").info.max_steps)


@pytest.mark.parametrize("name", HOST_GAMES)
def test_host_trajectory(game, name):
    host = game("host", name)
    policies = [Uniform(), UniformOutsideJax()]
    episodes = make_play(host, policies, record=True)(16, jax.random.key(2))
    check_trajectory(episodes, host.info.max_steps)
    assert (episodes.trajectory.member == -1).all()
    low, high = host.info.min_return, host.info.max_return
    assert ((episodes.returns >= low - 1e-4) & (episodes.returns <= high + 1e-4)).all()


def test_episodes_of_different_length_end_on_their_own(game):
    """Connect four: 7 to 42 moves; who moved last has won, or the board is full."""
    episodes = make_play(game("host", "connect_four"), [Uniform(), Uniform()])(
        64, jax.random.key(3)
    )
    length, won = episodes.length, episodes.returns[:, 0]
    assert length.min() >= 7 and length.max() <= 42 and len(np.unique(length)) > 5
    ended = won != 0
    np.testing.assert_array_equal(won[ended], np.where(length[ended] % 2 == 1, 1, -1))
    assert (length[~ended] == 42).all()


def assert_mean(returns, exact):
    """Within 6 standard errors: a false alarm has probability below 1e-8."""
    returns = np.asarray(returns, np.float64)
    error = returns.std(axis=0, ddof=1) / np.sqrt(len(returns))
    assert (np.abs(returns.mean(axis=0) - exact) <= 6 * error + 1e-6).all()


@pytest.mark.parametrize("kind", ["tree", "host"])
def test_mixture_earns_its_exact_return(tree_of, population_episodes, kind):
    episodes, population = population_episodes(kind)
    tree = tree_of("kuhn_poker")
    mixture = mix(tree, population.tabulate(), population.meta_strategy)
    assert_mean(episodes.returns, expected_returns(tree, mixture))


@pytest.mark.parametrize("kind", ["tree", "host"])
def test_three_seats_earn_their_exact_returns_and_a_key_fixes_the_episodes(game, tree_of, kind):
    name = "kuhn_poker(players=3)"
    play = make_play(game(kind, name), [Uniform()] * 3)
    first, again, other = (play(1024, jax.random.key(seed)).returns for seed in (4, 4, 5))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    tree = tree_of(name)
    exact = expected_returns(tree, tree.uniform_policy())
    assert_mean(np.concatenate([first, other]), exact)


@pytest.mark.parametrize("action", [1, 9, -1])
@pytest.mark.parametrize("kind", ["tree", "host"])
def test_illegal_actions_are_errors(game, tree_of, kind, action):
    """In goofspiel a card can be played once: the second 1 is as illegal as a 9."""
    name = "goofspiel(imp_info=True,num_cards=3,points_order=descending)"
    play = make_play(game(kind, name), [Uniform(), Script((1, action, 0))])
    with pytest.raises(ValueError, match="illegal"):
        play(8, jax.random.key(0))


def test_games_that_outlast_their_limit_and_wrong_numbers_of_policies_are_errors(tree_of):
    for kuhn in (TreeGame(tree_of("kuhn_poker")), OpenSpielHost("kuhn_poker")):
        with pytest.raises(ValueError, match=r"3 policies for kuhn_poker, which has 2 seats"):
            make_play(kuhn, [Uniform()] * 3)
        kuhn.info = kuhn.info._replace(max_steps=1)
        with pytest.raises(GameError, match="goes on after the 1 steps"):
            make_play(kuhn, [Uniform()] * 2)(8, jax.random.key(0))
