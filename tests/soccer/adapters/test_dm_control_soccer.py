"""dm_control's soccer as a game: the contract, seeds, what is seen, a goal."""

import os
import subprocess
import sys

import numpy as np
import pytest

from games.registry import load_game
from games.types import GameError, HostGame

pytest.importorskip("mujoco", reason="MuJoCo is not installed: the extra [soccer]")
pytest.importorskip("dm_control", reason="dm_control is not installed: the extra [soccer]")


def test_facts_need_no_dm_control():
    game = load_game("dm_soccer(seconds=10)")
    info = game.info
    assert isinstance(game, HostGame) and info.name == "dm_soccer(seconds=10)"
    assert (info.num_players, info.num_actions, info.max_steps) == (4, (3,) * 4, 400)
    assert info.utility == "zero_sum" and info.symmetric and info.continuous
    with pytest.raises(GameError, match="team_size is 12, allowed is from 1 to 11"):
        load_game("dm_soccer(team_size=12)")
    code = (
        "import sys; sys.modules['dm_control'] = None\nimport numpy as np\n"
        "from games.registry import load_game\ngame = load_game('dm_soccer')\n"
        "try:\n    game.init(np.zeros(1, np.uint64))\nexcept ValueError as error:\n    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.stdout.startswith("dm_soccer needs dm_control (pip install"), done.stderr


@pytest.mark.slow
def test_lanes_depend_on_their_own_seeds_and_are_used_again():
    """Two lanes, then one of them alone in an environment that was used by the other."""
    game = load_game("dm_soccer(team_size=1,seconds=1)")
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1, 1, (60, 2, 2, 3)).astype(np.float32)

    def steps_of(seeds, order, steps):
        states = game.init(np.array(seeds, np.uint64))
        seen = [game.observe(states)]
        for joint in actions[:steps]:
            states, now = game.step(states, joint[order])
            seen.append(game.observe(states))
        return np.stack(seen), states, now

    both, first_states, _ = steps_of([3, 2**40 + 4], [0, 1], 12)
    alone, states, _ = steps_of([2**40 + 4], [1], 12)
    np.testing.assert_array_equal(alone[:, 0], both[:, 1])
    assert both.shape[2:] == (2, game.info.observation_size[0])
    assert np.isfinite(both).all() and np.abs(both[:, 0] - both[:, 1]).max() > 0.1
    with pytest.raises(ValueError, match="taken over by a later init"):
        game.step(first_states, actions[0])
    for joint in actions[12:40]:
        states, now = game.step(states, joint[[1]])
    assert states.steps[0] == 40 and not now.discount.any() and not game.observe(states).any()
    states, now = game.reset_where(states, np.array([True]))
    assert now.discount.all() and game.observe(states).any()


@pytest.mark.slow
def test_a_ball_in_a_goal_pays_the_teams_and_ends_the_episode():
    game = load_game("dm_soccer(team_size=2)")
    states = game.init(np.array([0], np.uint64))
    assert states.seen.shape == (1, 4, game.info.observation_size[0])
    env = states.lanes[0]
    goal = env.task.arena.away_goal
    middle = (np.array(goal.lower) + np.array(goal.upper)) / 2
    env.task.ball.set_pose(env.physics, [middle[0], middle[1], 0.35])
    states, now = game.step(states, np.zeros((1, 4, 3), np.float32))
    np.testing.assert_array_equal(now.rewards, [[1, 1, -1, -1]])
    assert not now.discount.any() and not now.to_move.any()
