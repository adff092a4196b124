"""A tree as a JAX game: a Kuhn episode by hand, the contract, OpenSpiel's returns, exact means."""

import dataclasses
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from games.chance_tables import alias_table, uniform_index
from games.normal_form import NormalForm
from games.open_spiel_tree import compile_open_spiel, load_open_spiel
from games.tree_game import TreeGame, TreeState
from games.types import CHANCE, TERMINAL, Game

GAMES = (
    "kuhn_poker(players=3)",
    "leduc_poker",
    "liars_dice(numdice=1,dice_sides=3)",
    "goofspiel(imp_info=True,num_cards=3,players=3)",
    "sheriff(num_rounds=1)",
    "first_sealed_auction(max_value=4)",
)


# One batch of episodes per game serves all tests, so that each game is compiled by JAX once.
LANES = 4096


@cache
def _game(name):
    return TreeGame(compile_open_spiel(name, cache=False))


def _place_of(tree, *actions):
    """The place reached by a history, in the numbering of `TreeGame`."""
    node = 0
    for action in actions:
        (node,) = np.flatnonzero((tree.node_parent == node) & (tree.node_action == action))
    order = np.concatenate(
        [np.flatnonzero(tree.node_player >= 0), np.flatnonzero(tree.node_player == TERMINAL)]
    )
    return int(np.flatnonzero(order == node)[0])


def test_a_kuhn_episode_by_hand():
    """Player 0 holds the king (2), player 1 the jack (0): pass, bet, call wins player 0 two chips.

    The observation is OpenSpiel's: seat (2), own card (3), then pass/bet one-hots of three moves.
    """
    game = _game("kuhn_poker")
    state = TreeState(jnp.int32(_place_of(game.tree, 2, 0)))
    start = game.restart(state)
    np.testing.assert_array_equal(start.to_move, [True, False])
    np.testing.assert_array_equal(start.legal_mask, [[True, True], [True, False]])
    np.testing.assert_array_equal(game.observe(state, 0), [1, 0, 0, 0, 1] + [0] * 6)
    np.testing.assert_array_equal(game.observe(state, 1), np.zeros(11))
    key = jax.random.key(0)
    state, after_pass = game.step(state, jnp.array([0, 1]), key)
    np.testing.assert_array_equal(after_pass.to_move, [False, True])
    np.testing.assert_array_equal(game.observe(state, 1), [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0])
    state, after_bet = game.step(state, jnp.array([0, 1]), key)
    np.testing.assert_array_equal(after_bet.rewards, [0, 0])
    np.testing.assert_array_equal(game.observe(state, 0), [1, 0, 0, 0, 1, 1, 0, 0, 1, 0, 0])
    state, end = game.step(state, jnp.array([1, 0]), key)
    np.testing.assert_array_equal(end.rewards, [2, -2])
    assert end.discount == 0 and not end.to_move.any()
    np.testing.assert_array_equal(end.legal_mask, [[True, False]] * 2)
    stay, nothing = game.step(state, jnp.array([1, 1]), key)
    assert stay == state and nothing.discount == 0
    np.testing.assert_array_equal(nothing.rewards, [0, 0])


@cache
def _play(name):
    """Uniformly random episodes of all lanes: places `[T, B]`, actions `[T, B]`, time steps and
    observations.
    """
    game = _game(name)

    def move(carry, key):
        state, time_step = carry
        action_key, step_key = jax.random.split(key)
        logits = jnp.where(time_step.legal_mask, 0.0, -1e9)
        actions = jax.random.categorical(action_key, logits).astype(jnp.int32)
        seen = jax.vmap(lambda player: game.observe(state, player))(
            jnp.arange(game.info.num_players)
        )
        new = game.step(state, actions, step_key)
        return new, (state.place, actions, time_step, seen, new[0].place, new[1])

    def episode(key):
        start_key, play_key = jax.random.split(key)
        state = game.init(start_key)
        keys = jax.random.split(play_key, game.info.max_steps)
        return jax.lax.scan(move, (state, game.restart(state)), keys)[1]

    keys = jax.random.split(jax.random.key(1), LANES)
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(episode))(keys))


@pytest.mark.parametrize("name", GAMES)
def test_contract_holds_along_random_episodes(name):
    game = _game(name)
    assert isinstance(game, Game)
    place, _, before, seen, after_place, after = _play(name)
    running = before.discount == 1
    assert before.legal_mask.any(axis=-1).all()
    np.testing.assert_array_equal(before.to_move.sum(axis=-1), running.astype(int))
    # A seat that is not to move has the one dummy action 0 and sees zeros.
    idle = ~before.to_move
    assert before.legal_mask[idle][:, 0].all() and not before.legal_mask[idle][:, 1:].any()
    assert not seen[idle].any()
    # Every episode ends within max_steps and is paid once.
    assert (after.discount[:, -1] == 0).all()
    assert not after.rewards[after.discount == 1].any()
    assert not after.rewards[~running].any()
    np.testing.assert_array_equal(place[~running], after_place[~running])


@pytest.mark.parametrize("name", GAMES)
def test_episodes_are_open_spiel_histories_with_the_same_returns(name):
    tree = _game(name).tree
    _, actions, before, seen, after_place, after = _play(name)
    order = np.concatenate(
        [np.flatnonzero(tree.node_player >= 0), np.flatnonzero(tree.node_player == TERMINAL)]
    )
    game = load_open_spiel(name).turn_based
    for lane in range(64):
        node, path = int(order[after_place[lane, -1]]), []
        while node > 0:
            path.append(int(tree.node_action[node]))
            node = int(tree.node_parent[node])
        state, t = game.new_initial_state(), 0
        for action in reversed(path):
            if not state.is_chance_node():
                player = state.current_player()
                assert before.to_move[lane, t, player] and actions[lane, t, player] == action
                legal = np.flatnonzero(before.legal_mask[lane, t, player])
                np.testing.assert_array_equal(legal, state.legal_actions())
                tensor = np.float32(state.information_state_tensor(player))
                np.testing.assert_array_equal(seen[lane, t, player], tensor)
                t += 1
            state.apply_action(action)
        assert state.is_terminal() and before.discount[lane, t:].sum() == 0
        np.testing.assert_allclose(after.rewards[lane].sum(axis=0), state.returns(), atol=1e-6)


def _uniform_moments(tree):
    """Exact mean and variance of the returns under uniform play, by a sum over terminals."""
    reach = np.ones(tree.num_nodes)
    chance = tree.node_player == CHANCE
    children = np.bincount(tree.node_parent[1:], minlength=tree.num_nodes)
    for node in range(1, tree.num_nodes):
        parent = tree.node_parent[node]
        share = tree.node_probability[node] if chance[parent] else 1 / children[parent]
        reach[node] = reach[parent] * share
    weight = reach[tree.node_player == TERMINAL]
    mean = weight @ tree.terminal_returns
    return mean, weight @ tree.terminal_returns**2 - mean**2


@pytest.mark.parametrize("name", GAMES)
def test_mean_returns_under_uniform_play_are_the_exact_ones(name):
    """5.2 standard errors for each of at most 3 seats: false alarm below 1e-6 per
    game.
    """
    mean, variance = _uniform_moments(_game(name).tree)
    rewards = _play(name)[-1].rewards.sum(axis=1)
    error = np.sqrt(variance / LANES)
    assert (np.abs(rewards.mean(axis=0) - mean) < 5.2 * error + 1e-6).all()


def test_unequal_chance_after_a_move_is_drawn_by_alias():
    """Sheriff has no chance; a game with odds 0.7, 0.2, 0.1 after the move must pay them out.

    100 000 draws: 6 standard errors of each of three frequencies are a false alarm below 1e-8.
    """
    tree = NormalForm(np.arange(6.0).reshape(2, 3, 1).repeat(2, axis=2)).to_tree()
    odds = np.array([0.7, 0.2, 0.1])
    second = tree.node_player == 1
    reach = np.where(tree.node_player == TERMINAL, odds[tree.node_action], 1.0)
    lottery = dataclasses.replace(
        tree,
        node_player=np.where(second, CHANCE, tree.node_player).astype(np.int8),
        node_infoset=np.where(second, -1, tree.node_infoset),
        node_probability=reach,
    )
    game = TreeGame(lottery)
    keys = jax.random.split(jax.random.key(3), 100_000)
    state = game.init(keys[0])
    pay = jax.jit(jax.vmap(lambda key: game.step(state, jnp.array([1, 0]), key)[1].rewards[0]))(
        keys
    )
    frequency = np.bincount(np.asarray(pay).astype(int), minlength=6)[3:] / len(keys)
    assert (np.abs(frequency - odds) < 6 * np.sqrt(odds * (1 - odds) / len(keys))).all()


def test_alias_tables_reproduce_their_weights_exactly():
    for seed in range(20):
        weights = np.random.default_rng(seed).dirichlet(np.full(seed + 2, 0.3))
        accept, alias = alias_table(weights * len(weights))
        assert ((accept >= 0) & (accept <= 1)).all()
        rebuilt = accept + np.bincount(alias, 1 - accept, minlength=len(weights))
        np.testing.assert_allclose(rebuilt / len(weights), weights, atol=1e-12)


@pytest.mark.parametrize(("count", "largest"), [(3, 3), (60_000, 60_000), (70_000, 70_000)])
def test_uniform_index_stays_in_range_and_is_uniform(count, largest):
    """The mean of 20 000 draws lies within 6 standard errors: false alarm below 1e-8."""
    keys = jax.random.split(jax.random.key(count), 20_000)
    draws = np.asarray(
        jax.jit(jax.vmap(lambda key: uniform_index(key, jnp.int32(count), largest)))(keys), float
    )
    assert draws.min() >= 0 and draws.max() < count
    assert abs(draws.mean() - (count - 1) / 2) < 6 * np.sqrt((count**2 - 1) / 12 / len(keys))


def test_same_key_same_episode():
    first, second = _play(GAMES[0]), _play.__wrapped__(GAMES[0])
    np.testing.assert_array_equal(first[4], second[4])
