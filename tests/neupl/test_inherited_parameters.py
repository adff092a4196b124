"""A start from another population: what is inherited, and from whom one can inherit."""

import dataclasses
import importlib.util
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from neupl.config import Config, LearnerConfig
from neupl.errors import UserError
from neupl.population_trainer import PopulationTrainer
from neupl.problem import make_playing_learner

_spec = importlib.util.spec_from_file_location("aim_game", Path(__file__).with_name("aim_game.py"))
aim_game = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(aim_game)


def test_a_network_goes_on_where_another_one_was(small_config, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "aim_game", aim_game)
    config = small_config(
        "aim_game:AimGame",
        population={"size": 1, "sink": "none"},
        graph={"kind": "self_play"},
        network={"normalise": True},
        learner={"kind": "ppo", "episodes": 64, "minibatch": 64, "epochs": 1},
        evaluation={"episodes": 4, "final_episodes": 4},
    )
    config = dataclasses.replace(
        config, training=dataclasses.replace(config.training, steps=1, evaluate_every=1)
    )
    trainer = PopulationTrainer(config)
    parent = trainer.train(trainer.initial_state(), on_evaluation=lambda *_: None)
    trainer.export(tmp_path / "parent", parent)
    heir = dataclasses.replace(
        config,
        seed=1,
        learner=dataclasses.replace(config.learner, start=str(tmp_path / "parent")),
    )
    found = PopulationTrainer(heir).initial_state().learner
    jax.tree.map(np.testing.assert_array_equal, found.params, parent.learner.params)
    assert found.params["params"]["policy"]["kernel"].ndim == 2
    assert int(found.step) == 0

    wider = dataclasses.replace(heir, network=dataclasses.replace(heir.network, hidden_sizes=(9,)))
    with pytest.raises(UserError, match=r"learner.start is .*, whose network is another one: "):
        PopulationTrainer(wider).initial_state()


def test_only_what_plays_by_ppo_inherits():
    with pytest.raises(ValueError, match=r"learner.start is 'somewhere': .* learner.kind is ppo"):
        Config(learner=LearnerConfig(start="somewhere"))
    learner = LearnerConfig(kind="ppo", start="no/such/run")
    config = Config(game="soccer/walk_to_target", learner=learner)
    with pytest.raises(UserError):
        PopulationTrainer(config)


def test_memory_alone_is_inherited_by_populations_of_another_size(small_config, tmp_path):
    """Encoder and recurrent core; heads are as they would be without."""
    config = small_config(
        "kuhn_poker",
        population={"size": 3},
        network={"memory": "gru", "memory_size": 8, "encoder_sizes": (8,)},
        learner={"kind": "ppo", "episodes": 64, "minibatch": 64, "epochs": 1},
        evaluation={"episodes": 4, "final_episodes": 4},
    )
    trainer = PopulationTrainer(config)
    parent = trainer.initial_state()
    trainer.export(tmp_path / "parent", parent)
    other = dataclasses.replace(config, population=dataclasses.replace(config.population, size=2))
    start = {"start": str(tmp_path / "parent"), "start_parts": "memory"}
    heir = dataclasses.replace(other, learner=dataclasses.replace(other.learner, **start))
    key = jax.random.key(1)
    fresh, found = (make_playing_learner(own).init(key).params["params"] for own in (other, heir))
    inherited = {name for name in found if name.startswith(("encoder", "core"))}
    assert inherited == {"encoder_0", "core_input", "core_state"}
    for name in found:
        source = parent.learner.params["params"] if name in inherited else fresh
        jax.tree.map(np.testing.assert_array_equal, found[name], source[name])
    assert (found["core_input"]["kernel"] != fresh["core_input"]["kernel"]).any()

    wider = dataclasses.replace(heir, network=dataclasses.replace(heir.network, memory_size=9))
    with pytest.raises(UserError, match=r"core_input/bias is \(24,\), here \(27,\)"):
        make_playing_learner(wider).init(key)
    with pytest.raises(ValueError, match=r"learner.start_parts is 'memory': .* learner.start"):
        Config(learner=LearnerConfig(kind="ppo", start_parts="memory"))
