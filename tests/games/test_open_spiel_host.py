"""Lanes of OpenSpiel states: independence of lanes and of what is remembered, OpenSpiel's own
returns, chance, the turn-based form, and errors.
"""

import numpy as np
import pytest

from games.open_spiel_host import OpenSpielHost
from games.registry import load_tree
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


def _choose(time_step, numbers):
    """Per seat the legal action that a lane's number picks."""
    counts = time_step.legal_mask.sum(axis=2)
    rank = numbers[:, None] % counts
    return (time_step.legal_mask.cumsum(axis=2) <= rank[..., None]).sum(axis=2).astype(np.int32)


def _run(host, seeds, length):
    """Everything that `length` steps show; a lane's actions depend on its seed alone."""
    numbers = np.array([np.random.default_rng(int(s)).integers(0, 5040, length) for s in seeds])
    states = host.init(seeds)
    time_step, rows = host.restart(states), []
    for number in numbers.T:
        seen = host.observe(states)
        actions = _choose(time_step, number)
        states, after = host.step(states, actions)
        rows.append((seen, *time_step, actions, after.rewards, after.discount))
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
def test_episodes_do_not_depend_on_what_is_remembered(name):
    """Cold, warm, without memory, and with one that fills up on the way: the same bits."""
    seeds = np.arange(20, dtype=np.uint64)
    host = OpenSpielHost(name)
    cold = _run(host, seeds, 40)
    before = len(host.visited)
    assert _same(cold, _run(host, seeds, 40)) and len(host.visited) == before
    _run(host, seeds + np.uint64(20), 40)
    assert len(host.visited) > before
    assert _same(cold, _run(host, seeds, 40))
    nothing = OpenSpielHost(name, max_bytes=0)
    assert _same(cold, _run(nothing, seeds, 40)) and len(nothing.visited) == 0
    # Room for half of what the cold run visited.
    used = OpenSpielHost(name)
    _run(used, seeds, 40)
    small = OpenSpielHost(name, max_bytes=used.visited.num_bytes // 2)
    assert _same(cold, _run(small, seeds, 40))
    assert _same(cold, _run(small, seeds, 40))
    assert small.visited.full and 0 < len(small.visited) < before
    assert small.visited.num_bytes <= used.visited.num_bytes // 2


def _same(first, second):
    return all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))


def test_only_what_was_visited_is_known():
    """One lane of Kuhn poker: the root and both deals by chance, then one history per move; in the
    end the whole tree.
    """
    host = OpenSpielHost("kuhn_poker")
    assert len(host.visited) == 1
    states = host.init(_seeds(3))
    assert len(host.visited) == 3
    states, time_step = host.step(states, np.zeros((1, 2), np.int32))
    assert len(host.visited) == 4 and time_step.discount[0] == 1
    _run(host, np.arange(500, dtype=np.uint64), 40)
    assert len(host.visited) == load_tree("kuhn_poker").num_nodes


def test_lanes_that_discover_a_history_together_share_it():
    """1000 lanes of Kuhn poker, all passing: no history is stored twice."""
    host = OpenSpielHost("kuhn_poker")
    states = host.init(np.arange(1000, dtype=np.uint64))
    assert len(host.visited) == 1 + 3 + 6
    for added in (6, 6):
        before = len(host.visited)
        states, time_step = host.step(states, np.zeros((1000, 2), np.int32))
        assert len(host.visited) == before + added
    assert not time_step.discount.any()


@pytest.mark.parametrize("max_bytes", [0, 1 << 20])
@pytest.mark.parametrize("name", GAMES)
def test_rewards_add_up_to_open_spiels_returns(name, max_bytes):
    host = OpenSpielHost(name, max_bytes=max_bytes)
    states = host.init(_seeds(*range(8)))
    time_step, total = host.restart(states), np.zeros((8, host.info.num_players))
    generator = np.random.default_rng(0)
    for _ in range(host.info.max_steps):
        steps = generator.integers(0, 100, 8)
        states, time_step = host.step(states, _choose(time_step, steps))
        total += time_step.rewards
        for lane in range(8):
            state = host.state_of(states, lane)
            assert time_step.discount[lane] == (not state.is_terminal())
        if not time_step.discount.any():
            break
    assert not time_step.discount.any()
    for lane in range(8):
        returns = host.state_of(states, lane).returns()
        np.testing.assert_allclose(total[lane], returns, atol=1e-5)
    _, nothing = host.step(states, np.zeros((8, host.info.num_players), np.int32))
    assert not nothing.rewards.any() and not nothing.discount.any()
    assert not host.observe(states).any()


@pytest.mark.parametrize("max_bytes", [0, 4000, 1 << 20])
@pytest.mark.parametrize("name", GAMES)
def test_masks_and_observations_are_open_spiels(name, max_bytes):
    host = OpenSpielHost(name, max_bytes=max_bytes)
    states = host.init(_seeds(*range(4)))
    time_step = host.restart(states)
    for step in range(6):
        seen = host.observe(states)
        for lane in range(4):
            state = host.state_of(states, lane)
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
    deals = [tuple(host.state_of(states, lane).history()) for lane in range(6000)]
    counts = np.array([deals.count(pair) for pair in sorted(set(deals))])
    assert len(counts) == 6
    assert (np.abs(counts - 1000) < 6 * np.sqrt(6000 * 5 / 36)).all()


def _decisions(observation, legal_mask, player):
    return {
        (int(p), seen.tobytes(), legal.tobytes())
        for seen, legal, p in zip(observation, legal_mask, player, strict=True)
    }


@pytest.mark.parametrize(
    ("name", "lanes"),
    [
        ("kuhn_poker", 300),
        ("leduc_poker", 300),
        ("goofspiel(imp_info=True,num_cards=4,points_order=descending)", 300),
        ("liars_dice", 100),
    ],
)
def test_turn_based_form_shows_what_the_tree_shows(name, lanes):
    host, tree = OpenSpielHost(name, turn_based=True), load_tree(name)
    assert host.info.turn_based and tree.info().turn_based
    assert host.observation_kind == tree.observation_kind
    for field in ("num_players", "num_actions", "observation_size", "utility"):
        assert getattr(host.info, field) == getattr(tree.info(), field)
    states = host.init(np.arange(lanes, dtype=np.uint64))
    time_step, generator = host.restart(states), np.random.default_rng(1)
    found = set()
    for _ in range(40):
        assert (time_step.to_move.sum(axis=1) == 1).all()
        lane, player = np.nonzero(time_step.to_move)
        seen, legal = host.observe(states)[lane, player], time_step.legal_mask[lane, player]
        found |= _decisions(seen, legal, player)
        actions = _choose(time_step, generator.integers(0, 100, lanes))
        states, time_step = host.step(states, actions)
        states, time_step = host.reset_where(states, time_step.discount == 0)
    expected = _decisions(tree.observation, tree.legal_mask, tree.infoset_player)
    assert found <= expected and len(found) > 10
    if name == "kuhn_poker":
        assert found == expected


def test_whether_a_game_is_turn_based_is_its_dynamics():
    name = "goofspiel(imp_info=True,num_cards=4)"
    together, in_turn = OpenSpielHost(name), OpenSpielHost(name, turn_based=True)
    assert not together.info.turn_based and in_turn.info.turn_based
    assert together.restart(together.init(_seeds(0))).to_move.tolist() == [[True, True]]
    assert in_turn.restart(in_turn.init(_seeds(0))).to_move.tolist() == [[True, False]]
    assert OpenSpielHost("connect_four").info.turn_based


@pytest.mark.parametrize("max_bytes", [0, 1 << 20])
def test_illegal_actions_and_wrong_shapes_are_errors(max_bytes):
    host = OpenSpielHost("connect_four", max_bytes=max_bytes)
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
    with pytest.raises(ValueError, match="max_bytes is -1, expected at least 0"):
        OpenSpielHost("kuhn_poker", max_bytes=-1)
