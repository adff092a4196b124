"""Which runs get a joint of all seats, and what such runs do not do."""

import dataclasses

import pytest

from neupl.config import PPO_DEFAULTS, Config
from neupl.config_io import load_config
from neupl.errors import UserError
from neupl.jpsro.trainer import JointTrainer
from neupl.training_run import default_graph

GAME = "kuhn_poker(players=3)"


def test_games_of_more_than_two_opponents_get_a_joint_without_being_told():
    config = dataclasses.replace(PPO_DEFAULTS, game=GAME)
    assert default_graph(config) == ("graph.kind=jpsro", "evaluation.payoffs=sampled")
    exact = dataclasses.replace(config.evaluation, payoffs="exact")
    gated = dataclasses.replace(config, evaluation=exact)
    assert default_graph(gated) == ("graph.kind=jpsro",)
    assert default_graph(Config(game=GAME)) == ("graph.kind=jpsro",)
    for other in (gated, config):
        assert default_graph(dataclasses.replace(other, game="kuhn_poker")) == ()
    # What a joint does not do, or too many profiles.
    baseline = dataclasses.replace(config.network, kind="separate")
    assert default_graph(dataclasses.replace(config, network=baseline)) == ()
    assert default_graph(dataclasses.replace(config, game="kuhn_poker(players=5)")) == ()


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("jpsro.coplayers=product", "leave jpsro.coplayers at joint"),
        ("population.size=200", "8,000,000 profiles of its 3 seats"),
    ],
)
def test_what_such_runs_do_not_do_is_refused(setting, says):
    given = ["graph.kind=jpsro", "learner.kind=ppo", "evaluation.payoffs=sampled"]
    with pytest.raises(UserError) as error:
        JointTrainer(load_config(Config, None, [*given, f"game={GAME}", setting]))
    assert says in f"{error.value} {error.value.hint}"
