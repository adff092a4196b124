"""Games in lanes: trees by NumPy and JAX games as host games keep the contract and the rules."""

import numpy as np
import pytest

from games.jax_lanes import JaxLanes
from games.registry import load_game, load_lanes, load_tree
from games.tree_lanes import OVER, TreeLanes
from games.types import HostGame
from solvers.values import expected_returns


def seeds(number: int) -> np.ndarray:
    return np.arange(number, dtype=np.uint64)


def uniform_actions(legal: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    weights = generator.random(legal.shape) * legal
    return weights.argmax(axis=-1).astype(np.int32)


def played(game: HostGame, number: int, *, seed: int = 0) -> np.ndarray:
    """Returns of uniformly random play, `[B, P]`."""
    generator = np.random.default_rng(seed)
    states = game.init(seeds(number))
    now = game.restart(states)
    returns = np.zeros((number, game.info.num_players))
    for _ in range(game.info.max_steps):
        if not now.discount.any():
            break
        states, now = game.step(states, uniform_actions(now.legal_mask, generator))
        returns += now.rewards
    assert not now.discount.any()
    return returns


@pytest.mark.parametrize("name", ["kuhn_poker", "leduc_poker", "kuhn_poker(players=3)"])
def test_random_play_on_tree_lanes_earns_what_the_tree_says(name):
    """Means of 20,000 games lie within 6 standard errors: a false alarm below 1e-7."""
    lanes = load_lanes(name)
    returns = played(lanes, 20_000)
    exact = expected_returns(lanes.tree, lanes.tree.uniform_policy())
    errors = returns.std(axis=0) / np.sqrt(len(returns))
    assert (np.abs(returns.mean(axis=0) - exact) < 6 * errors).all()


def test_chance_of_unequal_probabilities_is_drawn_as_the_tree_says():
    """Two rolls of a loaded three-sided die, by frequency, within 6 standard errors."""
    lanes = TreeLanes(load_tree("liars_dice(dice_sides=3,numdice=1)"))
    place = lanes.init(seeds(30_000)).place
    found = np.bincount(place, minlength=9)[:9] / 30_000
    assert np.abs(found - 1 / 9).max() < 6 * np.sqrt(1 / 9 * 8 / 9 / 30_000)


def test_history_and_infoset_of_a_lane_are_those_of_open_spiel():
    import pyspiel

    lanes, generator = load_lanes("leduc_poker"), np.random.default_rng(1)
    states = lanes.init(seeds(50))
    now = lanes.restart(states)
    game = pyspiel.load_game("leduc_poker")
    while now.discount.any():
        for lane, infoset in enumerate(lanes.infosets(states)):
            state = game.new_initial_state()
            for player, action in lanes.history(states, lane):
                assert state.current_player() == player
                state.apply_action(action)
            if infoset == OVER:
                assert state.is_terminal()
            else:
                assert state.information_state_string() == lanes.tree.infoset_name[infoset]
        states, now = lanes.step(states, uniform_actions(now.legal_mask, generator))


@pytest.mark.parametrize("name", ["kuhn_poker", "running_with_scissors(step_limit=5)"])
def test_a_lane_depends_on_its_own_seed_alone(name):
    lanes = load_lanes(name)
    whole, alone = lanes.init(seeds(6)), lanes.init(seeds(6)[4:5])
    np.testing.assert_array_equal(lanes.observe(whole)[4], lanes.observe(alone)[0])
    actions = np.zeros((6, 2), np.int32)
    whole, now = lanes.step(whole, actions)
    alone, now_alone = lanes.step(alone, actions[:1])
    np.testing.assert_array_equal(now.legal_mask[4], now_alone.legal_mask[0])
    np.testing.assert_array_equal(lanes.observe(whole)[4], lanes.observe(alone)[0])


def test_jax_lanes_refuse_what_is_illegal_and_stop_at_the_end():
    lanes = load_lanes("running_with_scissors(step_limit=2)")
    assert isinstance(lanes, JaxLanes) and isinstance(lanes, HostGame)
    states = lanes.init(seeds(3))
    with pytest.raises(ValueError, match="lane 1: action 99"):
        lanes.step(states, np.array([[0, 0], [99, 0], [0, 0]], np.int32))
    for _ in range(2):
        states, now = lanes.step(states, np.zeros((3, 2), np.int32))
    assert not now.discount.any() and not now.to_move.any()
    states, now = lanes.reset_where(states, np.array([True, False, True]))
    assert now.discount.tolist() == [1, 0, 1]


def test_tree_lanes_refuse_what_is_illegal():
    lanes = load_lanes("leduc_poker")
    with pytest.raises(ValueError, match="lane 0: action 0 of player 0 is illegal"):
        lanes.step(lanes.init(seeds(1)), np.zeros((1, 2), np.int32))


def test_games_too_large_for_a_tree_are_played_on_open_spiel():
    lanes = load_lanes("tic_tac_toe", max_nodes=1000)
    assert isinstance(lanes, HostGame) and not isinstance(lanes, TreeLanes)
    assert load_game("tic_tac_toe", max_nodes=1000).info.max_steps == lanes.info.max_steps
