"""One program on several devices: parts of a processor stand for them, in a process of its own."""

import os
import subprocess
import sys

import pytest

from neupl.config import Config
from neupl.config_io import load_config
from neupl.device_mesh import DeviceMesh
from neupl.errors import UserError

# Learns one batch on one device and on four, and compares what was played and what was learned.
LEARN = """
import jax, numpy as np
from neupl.config import Config
from neupl.config_io import load_config
from neupl.problem import make_playing_learner
from neupl.types import Objective, Rows

assert len(jax.devices()) == 4
joint, respond = np.zeros((2, 3, 3), np.float32), np.zeros((2, 3), np.float32)
joint[:, 1, 0], respond[:, 1] = 1.0, 1.0
rows = Rows(joint, np.tile(np.array([0, 1, 0], np.int32), (2, 1)))
left = []
for devices in (1, 4):
    config = load_config(Config, None, (
        "learner.kind=ppo", "learner.episodes=64", "learner.minibatch=50", "population.size=3",
        "network.hidden_sizes=[8]", f"learner.devices={devices}",
    ))
    learner = make_playing_learner(config)
    state = learner.init(jax.random.key(0))
    task = Objective(rows, np.full((2, 3), 0.1, np.float32), respond, 0 * respond, state.params)
    experience = learner.collect(state.params, task, jax.random.key(1))
    state, metrics = learner.update(state, experience, jax.random.key(2))
    left.append((experience.decisions, state.params, metrics))
    kernel = jax.tree.leaves(state.params)[0]
    assert len(kernel.sharding.device_set) == devices and kernel.sharding.is_fully_replicated
one, four = left
np.testing.assert_array_equal(one[0].action, four[0].action)
# To rounding; unequal decisions would differ in the second digit.
jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), one, four)
print("same")
"""


def test_four_devices_learn_what_one_does():
    flags = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    ended = subprocess.run([sys.executable, "-c", LEARN], env=flags, capture_output=True, text=True)
    assert ended.stdout.strip() == "same", ended.stderr


def test_more_devices_than_there_are_is_one_error():
    with pytest.raises(UserError, match=r"learner\.devices is 64, but JAX sees 1 cpu device here"):
        DeviceMesh(64)


@pytest.mark.parametrize("settings", [("learner.kind=exact",), ("learner.kind=mpo",)])
def test_devices_are_of_ppo_alone(settings):
    with pytest.raises(UserError, match=r"learner\.devices is 2"):
        load_config(Config, None, (*settings, "learner.devices=2"))


def test_one_device_is_no_mesh():
    mesh, arrays = DeviceMesh(1), {"a": [1, 2, 3]}
    assert mesh.spread(arrays) is mesh.copied(arrays) is mesh.kept_spread(arrays) is arrays
