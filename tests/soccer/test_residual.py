"""Robots that a script leads: no correction is the script, and policies are the same either way."""

import numpy as np
import pytest

from games import load_game
from games.types import GameError
from neupl.entrants import _bots_of
from soccer import bots, residual

pytest.importorskip("mujoco", reason="MuJoCo is not installed: the extra [soccer]")

SEEDS = np.arange(4, dtype=np.uint64)


class Nothing:
    """Corrects nothing."""

    def initial_memory(self, batch):
        return ()

    def act(self, memory, observation, mask, key):
        return np.zeros((len(observation), 20), np.float32), np.zeros(len(observation)), ()


class Sways:
    """Corrects by what it sees, and by how long it has played."""

    def initial_memory(self, batch):
        return np.zeros(batch)

    def act(self, memory, observation, mask, key):
        own = 0.3 * observation[:, -23:-3] + 0.5 * np.sin(memory / 5)[:, None]
        return (own + 0.4 * observation[:, -3:-2]).astype(np.float32), memory, memory + 1


def places(game, policy, steps):
    """Coordinates after every step, both robots by one policy; lane 0 starts over after half."""
    states, seen = game.init(SEEDS), []
    now = game.restart(states)
    memories = [policy.initial_memory(len(SEEDS)) for _ in range(2)]
    over = SEEDS == 0
    for step in range(steps):
        observation = game.observe(states)
        actions = np.zeros((len(SEEDS), 2, 20), np.float32)
        for seat in range(2):
            actions[:, seat], _, memories[seat] = policy.act(
                memories[seat], observation[:, seat], now.legal_mask[:, seat], None
            )
        states, now = game.step(states, actions)
        seen.append(states.qpos.copy())
        if step == steps // 2:
            states, now = game.reset_where(states, over)
            fresh = policy.initial_memory(len(SEEDS))
            memories = [where(over, fresh, memory) for memory in memories]
    return np.stack(seen)


def where(mask, new, old):
    if isinstance(new, tuple):
        parts = [where(mask, one, other) for one, other in zip(new, old, strict=True)]
        return type(new)(*parts) if hasattr(new, "_fields") else tuple(parts)
    return np.where(mask, new, old)


@pytest.mark.parametrize("policy", [Nothing(), Sways()])
def test_a_policy_plays_the_same_led_and_asking_the_script_itself(policy):
    """To the bit, from all starts, standing and lying, and after a start in the middle; without
    corrections that is the script alone.
    """
    led = load_game("soccer/duel(residual=kicker,num_threads=1)")
    name, alone = residual.plain(led.info.name, policy)
    assert name == "soccer/duel"
    game = load_game("soccer/duel(num_threads=1)")
    expected = places(led, policy, 50)
    np.testing.assert_array_equal(places(game, alone, 50), expected)
    scripted = places(game, bots.Kicker(), 50)
    assert (scripted == expected).all() == isinstance(policy, Nothing)


def test_what_the_script_does_is_shown():
    game = load_game("soccer/score(residual=chaser,num_threads=1)")
    states = game.init(SEEDS)
    assert game.info.name == "soccer/score(residual=chaser)" and game.mirror is None
    other = load_game("soccer/score(num_threads=1)")
    plain = other.observe(other.init(SEEDS))
    seen = game.observe(states)[:, 0]
    np.testing.assert_array_equal(seen[:, :267], plain[:, 0, :267])
    script = bots.Chaser()
    action, _, memory = script.act(script.initial_memory(4), seen[:, :267], None, None)
    np.testing.assert_array_equal(seen[:, 267:287], np.clip(action, -1, 1))
    np.testing.assert_allclose(seen[:, 287], np.sin(memory.phase), rtol=1e-6)
    np.testing.assert_allclose(seen[:, 288], np.cos(memory.phase), rtol=1e-6)
    assert not seen[:, 289].any()


def test_a_correction_adds_its_share_within_the_bounds():
    action = np.array([0.5, -0.9, 0.0], np.float32)
    found = residual.corrected(action, np.array([0.5, -1.0, 3.0], np.float32))
    np.testing.assert_allclose(found, [0.65, -1.0, 0.3], rtol=1e-6)


@pytest.mark.parametrize(
    ("game", "expected"),
    [
        ("soccer/score(residual=kicker)", "soccer/score"),
        ("soccer/duel(residual=kicker,seconds=30)", "soccer/duel(seconds=30)"),
        ("soccer/duel(seconds=30)", "soccer/duel(seconds=30)"),
    ],
)
def test_the_plain_task_of_a_name(game, expected):
    name, policy = residual.plain(game, Nothing())
    assert name == expected
    assert isinstance(policy, residual.Corrected) == ("residual" in game)


def test_parameters_are_checked_and_tournaments_know_the_script():
    with pytest.raises(
        GameError, match="residual is stand, allowed are none, walker, chaser, kicker"
    ):
        load_game("soccer/duel(residual=stand)")
    with pytest.raises(GameError, match="residual is of humanoids"):
        load_game("soccer/duel(body=boxhead,residual=kicker)")
    with pytest.raises(GameError, match="no residual="):
        load_game("soccer/duel(vision=1,residual=kicker)")
    assert list(_bots_of("soccer/duel(residual=kicker)")) == ["script"]
