"""`learner.game`: rewards are those of another game, payoffs those of the run's."""

import dataclasses
import importlib.util
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from neupl.errors import UserError
from neupl.problem import make_problem
from neupl.training import initial_state, train
from neupl.training_problem import objective_of

_spec = importlib.util.spec_from_file_location("aim_game", Path(__file__).with_name("aim_game.py"))
aim_game = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(aim_game)

PAID = 7.0


class PaysAlways(aim_game.AimGame):
    """The same game, but whatever one does is worth as much."""

    info = aim_game.AimGame.info._replace(name="pays_always:PaysAlways")

    def _time_step(self, state, reward):
        paid = np.float32(PAID) * state.over
        return super()._time_step(state, paid)


class SeesTwo(aim_game.AimGame):
    """Another observation."""

    info = aim_game.AimGame.info._replace(observation_size=(2,))


@pytest.fixture
def learns_from(small_config, monkeypatch):
    """`(name) -> Config` of a player alone."""
    monkeypatch.setitem(sys.modules, "aim_game", aim_game)
    monkeypatch.setitem(sys.modules, "other", sys.modules[__name__])

    def make(name):
        config = small_config(
            "aim_game:AimGame",
            population={"size": 1, "sink": "none"},
            graph={"kind": "self_play"},
            temperature={"scale": 0.0, "floor": 0.0},
            learner={"kind": "ppo", "episodes": 32, "minibatch": 32, "epochs": 1, "game": name},
            evaluation={"episodes": 16, "final_episodes": 32},
        )
        steps = dataclasses.replace(config.training, steps=2, evaluate_every=1)
        return dataclasses.replace(config, training=steps)

    return make


def test_it_is_learned_from_and_pays_nothing(learns_from):
    problem, _ = make_problem(learns_from("other:PaysAlways"))
    state = initial_state(problem)
    played = problem.learner.collect(
        state.learner.params, objective_of(problem, state), jax.random.key(0)
    )
    np.testing.assert_allclose(played.decisions.target, PAID / problem.info.payoff_range)
    assert played.returns.shape == (0, 1) and played.matches.profile.shape == (0, 1)
    lines = []
    final = train(problem, state, on_evaluation=lambda *told: lines.append(told[-1]))
    assert all(-2 <= line["eval/mean_return"] <= 0 for line in lines)
    assert int(final.best.episodes) == 32 and -2 < final.best.payoffs[0, 0] < 0


def test_it_must_look_like_the_game(learns_from, small_config):
    with pytest.raises(UserError, match=r"observation_size is \(2,\), but that of aim_game"):
        make_problem(learns_from("other:SeesTwo"))
    with pytest.raises(ValueError, match=r"learner.game is 'x': it must be empty unless"):
        small_config("kuhn_poker", learner={"game": "x"})
