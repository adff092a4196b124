"""Our games as PettingZoo environments: PettingZoo's own test, seeds, ends, errors."""

import numpy as np
import pytest

from games.types import GameError

pytest.importorskip("mujoco", reason="MuJoCo is not installed: the extra [soccer]")
pytest.importorskip("pettingzoo", reason="PettingZoo is not installed: the extra [soccer]")

from pettingzoo.test import parallel_api_test

from soccer import tasks
from soccer.adapters.parallel_env import GameParallelEnv, parallel_env

NAMES = (
    "soccer/duel", "soccer/team(body=boxhead)", "soccer/score(randomise=1)",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_pettingzoo_s_own_test_passes(name, capsys):
    parallel_api_test(parallel_env(name), num_cycles=30)
    assert "Passed Parallel API test" in capsys.readouterr().out


@pytest.mark.slow
def test_pettingzoo_s_own_test_passes_in_a_jax_game():
    parallel_api_test(parallel_env("toy_soccer(step_limit=20)"), num_cycles=30)


def episode(env, seed, steps):
    rng = np.random.default_rng(1)
    seen, _ = env.reset(seed=seed)
    rows = [seen]
    for _ in range(steps):
        actions = {a: rng.uniform(-1, 1, env.action_space(a).shape) for a in env.agents}
        seen, *_ = env.step(actions)
        rows.append(seen)
    return np.array([[row[agent] for agent in env.possible_agents] for row in rows])


def test_an_episode_is_that_of_its_seed_and_of_the_game():
    env = parallel_env("soccer/duel(body=boxhead)")
    one, same, other = episode(env, 5, 6), episode(env, 5, 6), episode(env, 6, 6)
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0.1
    # An episode that follows is the second of its seed.
    env.reset(seed=5)
    second, _ = env.reset()
    assert np.abs(second["player_0"] - one[0, 0]).max() > 0.1
    # The game itself, by the first number of the seed's stream.
    game = env.game
    drawn = np.random.default_rng(5).integers(2**64, size=1, dtype=np.uint64)
    np.testing.assert_array_equal(game.observe(game.init(drawn))[0], one[0])


def test_the_end_is_told_apart_from_the_limit_of_steps():
    game = tasks.duel(body="boxhead", num_threads=1)
    game.info = game.info._replace(max_steps=2)
    env = GameParallelEnv(game)
    still = {agent: np.zeros(3, np.float32) for agent in env.possible_agents}
    env.reset(seed=0)
    env.step(still)
    seen, rewards, terminated, truncated, infos = env.step(still)
    assert truncated == {"player_0": True, "player_1": True} and not any(terminated.values())
    assert not any(numbers.any() for numbers in seen.values()) and not env.agents
    assert rewards == {"player_0": 0.0, "player_1": 0.0} and infos.keys() == rewards.keys()
    with pytest.raises(ValueError, match="reset first"):
        env.step(still)
    env.reset(seed=0)
    # The ball behind the line: the home team, whose goal is at negative x, has scored.
    env._states.qpos[0, -7:-4] = [2.55, 0, 0.09]
    env._states.qvel[0, -6] = 3.0
    _, rewards, terminated, truncated, _ = env.step(still)
    assert rewards == {"player_0": 1.0, "player_1": -1.0}
    assert all(terminated.values()) and not any(truncated.values())


def test_what_cannot_be_an_environment_or_an_action_says_so():
    with pytest.raises(GameError, match="kuhn_poker is not played with continuous actions"):
        parallel_env("kuhn_poker")
    env = parallel_env("soccer/duel(body=boxhead)")
    env.reset(seed=0)
    with pytest.raises(ValueError, match="there is no action of player_1"):
        env.step({"player_0": np.zeros(3)})
    with pytest.raises(ValueError, match="player 1 is not finite"):
        env.step({"player_0": np.zeros(3), "player_1": np.full(3, np.nan)})
