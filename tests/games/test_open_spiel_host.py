"""Lanes of OpenSpiel states: independence of lanes, OpenSpiel's own returns, chance, and errors."""

import numpy as np
import pytest

from games.open_spiel_host import OpenSpielHost
from games.types import GameError, HostGame

GAMES = (
    "leduc_poker",
    "kuhn_poker(players=3)",
    "connect_four",
    "goofspiel(imp_info=True,num_cards=4)",
    "oshi_zumo(coins=4,horizon=5)",
    "coop_box_pushing",
    "blackjack",
)


def _seeds(*values):
    return np.array(values, np.uint64)


def _choose(time_step, steps):
    """A legal action per seat that depends on the lane's own past alone."""
    counts = time_step.legal_mask.sum(axis=2)
    rank = (7 * steps[:, None] + 3) % counts
    return (time_step.legal_mask.cumsum(axis=2) <= rank[..., None]).sum(axis=2).astype(np.int32)


def _run(host, seeds, length):
    states = host.init(seeds)
    time_step, rows = host.restart(states), []
    steps = np.zeros(len(seeds), int)
    for _ in range(length):
        seen = host.observe(states)
        actions = _choose(time_step, steps)
        states, after = host.step(states, actions)
        rows.append((seen, *time_step, actions, after.rewards, after.discount))
        steps += 1
        time_step = after
        if (after.discount == 0).any():
            states, time_step = host.reset_where(states, after.discount == 0)
    return [np.stack(column) for column in zip(*rows, strict=True)]


@pytest.mark.parametrize("name", GAMES)
def test_a_lane_depends_on_its_seed_alone(name):
    host = OpenSpielHost(name)
    assert isinstance(host, HostGame)
    together = _run(host, _seeds(5, 6, 7, 8), 40)
    swapped = _run(host, _seeds(8, 7), 40)
    for first, second in zip(together, swapped, strict=True):
        np.testing.assert_array_equal(first[:, [3, 2]], second)


@pytest.mark.parametrize("name", GAMES)
def test_rewards_add_up_to_open_spiels_returns(name):
    host = OpenSpielHost(name)
    states = host.init(_seeds(*range(8)))
    time_step, total = host.restart(states), np.zeros((8, host.info.num_players))
    generator = np.random.default_rng(0)
    for _ in range(host.info.max_steps):
        steps = generator.integers(0, 100, 8)
        states, time_step = host.step(states, _choose(time_step, steps))
        total += time_step.rewards
        for lane, state in enumerate(states.states):
            assert time_step.discount[lane] == (not state.is_terminal())
        if not time_step.discount.any():
            break
    assert not time_step.discount.any()
    for lane, state in enumerate(states.states):
        np.testing.assert_allclose(total[lane], state.returns(), atol=1e-5)
    _, nothing = host.step(states, np.zeros((8, host.info.num_players), np.int32))
    assert not nothing.rewards.any() and not nothing.discount.any()


@pytest.mark.parametrize("name", GAMES)
def test_masks_and_observations_are_open_spiels(name):
    host = OpenSpielHost(name)
    states = host.init(_seeds(*range(4)))
    time_step = host.restart(states)
    for step in range(6):
        seen = host.observe(states)
        for lane, state in enumerate(states.states):
            for player in range(host.info.num_players):
                legal = [] if state.is_terminal() else state.legal_actions(player)
                assert time_step.to_move[lane, player] == bool(legal)
                found = np.flatnonzero(time_step.legal_mask[lane, player])
                np.testing.assert_array_equal(found, legal or [0])
                if legal:
                    tensor = getattr(state, host.observation_kind)(player)
                    np.testing.assert_array_equal(seen[lane, player], np.float32(tensor))
                else:
                    assert not seen[lane, player].any()
        states, time_step = host.step(states, _choose(time_step, np.full(4, step)))
        states, time_step = host.reset_where(states, time_step.discount == 0)


def test_chance_follows_its_probabilities():
    """Kuhn deals each of six pairs of cards with probability 1/6; 6000 lanes, 6 standard errors
    each.

    A false alarm has probability below 1e-7.
    """
    host = OpenSpielHost("kuhn_poker")
    states = host.init(np.arange(6000, dtype=np.uint64))
    deals = [tuple(state.history()[:2]) for state in states.states]
    counts = np.array([deals.count(pair) for pair in sorted(set(deals))])
    assert len(counts) == 6
    assert (np.abs(counts - 1000) < 6 * np.sqrt(6000 * 5 / 36)).all()


def test_illegal_actions_and_wrong_shapes_are_errors():
    host = OpenSpielHost("connect_four")
    states = host.init(_seeds(0, 1))
    with pytest.raises(ValueError, match=r"lane 1: action 9 of player 0 is illegal; legal are \[0"):
        host.step(states, np.array([[3, 0], [9, 0]], np.int32))
    with pytest.raises(ValueError, match=r"shape \(2, 1\), expected \(2, 2\)"):
        host.step(states, np.zeros((2, 1), np.int32))


def test_games_that_cannot_be_stepped_reproducibly_are_refused():
    with pytest.raises(GameError, match="explicit chance"):
        OpenSpielHost("negotiation")
    with pytest.raises(GameError, match="neither an information-state tensor nor an observation"):
        OpenSpielHost("coin_game")
