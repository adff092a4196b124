"""Where payoffs come from and what such runs are called."""

import pytest

from neupl.config import Config
from neupl.config_io import load_config
from neupl.errors import UserError
from neupl.payoff_source import method_name, payoff_source


def test_auto_is_what_the_learner_has_at_hand():
    assert payoff_source("exact", "auto") == "exact"
    assert payoff_source("ppo", "auto") == "sampled"
    for given in ("exact", "sampled", "learned"):
        assert payoff_source("ppo", given) == given


def test_names_tell_apart_what_saw_a_tree():
    assert method_name("exact", "auto") == method_name("exact", "exact") == "exact learner"
    assert method_name("ppo", "auto") == method_name("ppo", "sampled") == "PPO on episodes"
    assert method_name("ppo", "exact") == "PPO on episodes, exact-gated"
    assert method_name("ppo", "learned") == "PPO on episodes, payoffs learned"


def test_exact_learner_takes_exact_payoffs_alone():
    for payoffs in ("sampled", "learned"):
        allowed = "it must be auto or exact with learner.kind=exact"
        with pytest.raises(UserError, match=f"evaluation.payoffs is '{payoffs}'.*{allowed}"):
            load_config(Config, None, [f"evaluation.payoffs={payoffs}"])
        changed = ["learner.kind=ppo", f"evaluation.payoffs={payoffs}"]
        assert load_config(Config, None, changed).evaluation.payoffs == payoffs
