"""Distillation: how the weights of teachers move, what a student keeps of a good one and what it
unlearns of a bad one, and whom one may name.
"""

import dataclasses
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import jax.numpy as jnp
import numpy as np
import pytest

from games.registry import load_game
from neupl.config import Config, LearnerConfig, NetworkConfig
from neupl.errors import UserError
from neupl.learners.decisions import Decisions
from neupl.learners.distillation import Teaching, make_teach, moved_weights
from neupl.population_actor import Seen
from neupl.population_files import MANIFEST_FILE
from neupl.population_trainer import PopulationTrainer
from neupl.stored_population import load_population
from neupl.teachers import load_teachers
from neupl.training_problem import rows_of
from neupl.training_state import from_arrays, to_arrays

_spec = importlib.util.spec_from_file_location("aim_game", Path(__file__).with_name("aim_game.py"))
aim_game = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(aim_game)

# Of the entropy, in points per nat: the best policy has a variance of half as much.
TEMPERATURE = 0.08
STD = 0.2
IMITATION, STEPS, EVALUATE_EVERY = 10, 40, 10


def good(observation, mask):
    """The best policy of the game."""
    return _normal(observation[0] / 2, -0.3)


def bad(observation, mask):
    """Aims 0.6 too high."""
    return _normal(observation[0] / 2, 0.3)


def by_sign(observation):
    """The first teacher where x is negative."""
    return (observation[0] > 0).astype(jnp.int32)


def _normal(first, second):
    return jnp.array([first, second, jnp.log(STD), jnp.log(STD)])


@pytest.fixture(scope="module")
def config(small_config):
    """A player alone that is yet to be given teachers."""
    made = small_config(
        "aim_game:AimGame",
        population={"size": 1, "sink": "none"},
        graph={"kind": "self_play"},
        network={"normalise": True, "critic_reads": "observation"},
        temperature={"scale": TEMPERATURE / 2, "floor": 0.0},
        learner={
            "kind": "ppo", "episodes": 1024, "minibatch": 256, "epochs": 2, "critic_weight": 1.0,
            "learning_rate": 1e-2, "final_learning_rate": 1e-3, "imitation_learning_rate": 1e-2,
            "imitation_steps": IMITATION, "imitation_std": STD, "teacher_rate": 0.5,
        },
        evaluation={"episodes": 16, "final_episodes": 16},
    )  # fmt: skip
    steps = {"steps": STEPS, "evaluate_every": EVALUATE_EVERY}
    return dataclasses.replace(made, training=dataclasses.replace(made.training, **steps))


@pytest.fixture(scope="module")
def modules():
    """The game and the teachers can be named."""
    module = ModuleType("lessons")
    module.good, module.bad, module.by_sign = good, bad, by_sign
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "aim_game", aim_game)
        patch.setitem(sys.modules, "lessons", module)
        yield


@pytest.fixture(scope="module")
def teachers(config, modules, tmp_path_factory):
    """Folders of populations whose strategy 0 is one of the functions above."""
    trainer, folder = PopulationTrainer(config), tmp_path_factory.mktemp("teachers")
    state = trainer.initial_state()
    for name in ("good", "bad"):
        trainer.export(folder / name, state)
        file = folder / name / MANIFEST_FILE
        file.write_text(json.dumps(json.loads(file.read_text()) | {"sink": f"lessons:{name}"}))
    return folder


def taught(config, *names, choice=""):
    learner = dataclasses.replace(
        config.learner, teachers=tuple(map(str, names)), teacher_choice=choice
    )
    return dataclasses.replace(config, learner=learner)


def test_a_weight_falls_by_how_much_the_student_does_better():
    """Teacher 0: (0.5 - 0.1) / 2 = 0.2, times 0.1; teacher 1 is below, and at its bound; teacher 2
    falls past 0; teacher 3 holds nowhere.
    """
    better = np.array([0.5, -0.1, -2.0, 9.0], np.float32)
    weight, means = moved_weights(
        np.array([0.9, 0.95, 0.3, 0.4], np.float32), better, np.array([0, 0, 1, 2]), rate=0.1
    )
    np.testing.assert_allclose(means, [0.2, -2.0, 9.0, 0.0], rtol=1e-6)
    np.testing.assert_allclose(weight, [0.88, 1.0, 0.0, 0.4], rtol=1e-6)
    assert weight.dtype == np.float32


def test_decisions_are_told_what_who_holds_would_do_and_what_it_counts(teachers):
    """Asked about two at a time, of five; the critic says what is observed, of a spread of 0.5."""
    settings = LearnerConfig(
        kind="ppo", teachers=(str(teachers / "good#0"), str(teachers / "bad#0")),
        teacher_choice="lessons:by_sign",
    )  # fmt: skip
    found = load_teachers(settings, aim_game.AimGame.info)
    x = np.array([-0.4, 0.2, 0.6, -0.8, 0.0], np.float32)
    seen = Seen(
        x[:, None], np.ones((5, 2), bool), np.zeros(5, np.int64), np.zeros((5, 1), np.int32)
    )
    nothing = np.zeros(5, np.float32)
    decisions = Decisions(
        seen, np.zeros((5, 2), np.float32), nothing, nothing,
        target=x + np.array([0.1, 0.2, 0.3, 0.1, 0.1], np.float32),
        temperature=nothing, respond=nothing + 1, hold=nothing, counts=nothing + 1,
    )  # fmt: skip
    teach = make_teach(
        found, lambda shift, rows, part: shift + part.observation[:, 0],
        observed=1, rate=0.1, size=2,
    )  # fmt: skip
    teaching = Teaching(np.array([0.5, 0.5], np.float32), np.float32(0))
    after, told, metrics = teach(teaching, decisions, rows_of(np.ones((1, 1, 1))), np.float32(0.5))
    means = [0.1 / 0.5, 0.25 / 0.5]
    np.testing.assert_allclose(after.weight, [0.5 - 0.1 * mean for mean in means], rtol=1e-5)
    assert metrics["teachers/exceeded_by_1"] == pytest.approx(means[1], rel=1e-5)
    assert metrics["teachers/share_0"] == pytest.approx(0.6)
    np.testing.assert_array_equal(told.teacher_weight, after.weight[[0, 1, 1, 0, 0]])
    aims = [good, bad, bad, good, good]
    expected = [aim(own, None) for aim, own in zip(aims, x[:, None], strict=True)]
    np.testing.assert_allclose(told.taught, expected, rtol=1e-6)


@pytest.mark.slow
def test_a_good_teacher_is_kept_and_a_bad_one_left_behind(config, teachers, tmp_path):
    """Where x is negative the student can be as good as who holds there, and no better; elsewhere
    it has learned to aim too high, and unlearns it. What was interrupted goes on to the bit.
    """
    own = taught(config, teachers / "good#0", teachers / "bad#0", choice="lessons:by_sign")
    trainer, states, lines = PopulationTrainer(own), [], []

    def on_evaluation(state, metrics):
        states.append(state)
        lines.append(metrics)

    final = trainer.train(trainer.initial_state(), on_evaluation=on_evaluation)
    taught_first, last = lines[1], lines[-1]
    assert 0 <= taught_first["teachers/weight_1"] < taught_first["teachers/weight_0"] < 1
    # In standard deviations of the advantages.
    assert abs(last["teachers/exceeded_by_0"]) < 0.3 and last["teachers/exceeded_by_1"] > 2
    assert last["teachers/weight_1"] == 0 and 0.4 < last["teachers/share_0"] < 0.6
    trainer.export(tmp_path / "student", final)
    policy = load_population(tmp_path / "student").policy(0, seat=0)
    x = np.linspace(-0.9, 0.9, 6, dtype=np.float32)[:, None]
    parameters = np.asarray(policy.every(x, np.ones((6, 2), bool)))[0]
    np.testing.assert_allclose(parameters[:, :1], x / 2, atol=0.12)
    np.testing.assert_allclose(parameters[:3, 1], -0.3, atol=0.1)
    assert (np.abs(parameters[4:, 1] + 0.3) < 0.2).all()

    late = states[-2]
    assert len(to_arrays(late)["learner/teaching/weight"]) == 2
    resumed = from_arrays(trainer.initial_state(), to_arrays(late))
    again = trainer.train(resumed, on_evaluation=lambda *_: None)
    for name, array in to_arrays(final).items():
        np.testing.assert_array_equal(to_arrays(again)[name], array, err_msg=name)


@pytest.mark.slow
def test_a_taught_student_is_ahead_of_one_that_learns_alone(config, teachers):
    """After as many batches; what the best policy earns is minus twice its variance. The weight
    stays: nobody does better than this teacher.
    """
    earned, lines = [], []
    for own in (taught(config, teachers / "good#0"), config):
        learner = dataclasses.replace(own.learner, teacher_rate=0.1)
        evaluation = dataclasses.replace(own.evaluation, final_episodes=4000)
        training = dataclasses.replace(own.training, steps=15, evaluate_every=15)
        trainer = PopulationTrainer(
            dataclasses.replace(own, learner=learner, evaluation=evaluation, training=training)
        )
        state = trainer.train(
            trainer.initial_state(), on_evaluation=lambda _, metrics: lines.append(metrics)
        )
        earned.append(float(state.best.payoffs[0, 0]))
    # Two standard errors of 4,000 episodes are 0.003.
    assert abs(earned[0] + 2 * STD**2) < 0.004 and earned[1] < earned[0] - 0.004
    assert lines[0]["teachers/weight_0"] > 0.8 and "teachers/weight_0" not in lines[1]


@pytest.mark.parametrize(
    ("name", "choice", "message"),
    [
        ("soccer.bots:Walker", "", "a script: only strategies of populations"),
        ("no/such/run", "", "there is no population"),
        ("good#3", "", "the strategy must be 0 to 0"),
        ("good#0", "lessons:good", "is no function of one observation"),
        ("good#0", "lessons:nobody", "is no function of one observation"),
        ("good#0", "numpy:sum", "is no function of one observation"),
    ],
)
def test_who_cannot_teach_is_an_error(name, choice, message, teachers):
    place = teachers / name if name.startswith("good") else name
    settings = LearnerConfig(kind="ppo", teachers=(str(place),), teacher_choice=choice)
    with pytest.raises(UserError, match=message):
        load_teachers(settings, aim_game.AimGame.info)


def test_teachers_of_other_games_or_of_several_players_are_an_error(teachers):
    settings = LearnerConfig(kind="ppo", teachers=(str(teachers / "good"),))
    with pytest.raises(UserError, match="whose observations or actions are not those"):
        load_teachers(settings, load_game("soccer/get_up").info)
    with pytest.raises(UserError, match="has 2 players: what teachers are worth"):
        load_teachers(settings, load_game("soccer/duel").info)


def test_a_choice_of_nobody_is_an_error(teachers):
    settings = LearnerConfig(
        kind="ppo", teachers=(str(teachers / "good"),), teacher_choice="lessons:by_sign"
    )
    found = load_teachers(settings, aim_game.AimGame.info)
    assert found.holding(np.full((2, 1), -1, np.float32)).tolist() == [0, 0]
    with pytest.raises(UserError, match="chose teacher 0 or 1: there are 0 to 0"):
        found.holding(np.array([[-1], [1]], np.float32))


@pytest.mark.parametrize(
    ("settings", "network", "key"),
    [
        ({"kind": "mpo"}, {"critic": "action_values"}, "teachers"),
        ({"kind": "ppo"}, {"memory": "gru"}, "teachers"),
        ({"kind": "ppo"}, {"kind": "separate"}, "teachers"),
        ({"kind": "ppo", "symmetry": True}, {}, "teachers"),
        ({"kind": "ppo", "imitate": "a#1"}, {}, "imitate"),
        ({"kind": "ppo", "teachers": ("a", "b")}, {}, "teacher_choice"),
        ({"kind": "ppo", "teacher_choice": "a:b"}, {}, "teacher_choice"),
        ({"kind": "ppo", "teacher_rate": 0.0}, {}, "teacher_rate"),
    ],
)
def test_what_does_not_go_with_teachers_is_an_error(settings, network, key):
    Config(learner=LearnerConfig(kind="ppo", teachers=("a",)))
    learner = LearnerConfig(**{"teachers": ("a",)} | settings)
    with pytest.raises(ValueError, match=rf"^learner\.{key} is"):
        Config(learner=learner, network=NetworkConfig(**network))
