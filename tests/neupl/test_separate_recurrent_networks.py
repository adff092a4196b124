"""A network with a memory per strategy: every memory is its owner's, and only who learns moves."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file

from neupl.config import Config, NetworkConfig
from neupl.config_io import load_config
from neupl.errors import UserError
from neupl.interaction_graph import first_equal_row
from neupl.learners import make_ppo_learner
from neupl.networks import make_network, observation_size
from neupl.population_actor import PopulationActor, uniform_sink
from neupl.recurrent_network import Recall, no_recall
from neupl.separate_recurrent_networks import PlainRecurrentNetwork
from neupl.stored_population import load_population
from neupl.types import Objective, Rows

_spec = importlib.util.spec_from_file_location("cue_game", Path(__file__).with_name("cue_game.py"))
cue_game = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(cue_game)

TABLES, SIZE, NUM_ACTIONS, OBSERVED, HIDDEN, STEPS = 2, 3, 3, 5, 6, 4
CONFIG = NetworkConfig(
    kind="separate",
    memory="gru",
    memory_size=HIDDEN,
    encoder_sizes=(8,),
    hidden_sizes=(7,),
    critic_hidden_size=4,
)
NETWORK = make_network(CONFIG, NUM_ACTIONS)
PLAIN = PlainRecurrentNetwork(
    num_actions=NUM_ACTIONS, encoder_sizes=(8,), memory_size=HIDDEN, continuous=False,
    normalise=False, hidden_sizes=(7,), critic_hidden_size=4,
)  # fmt: skip
JOINT = np.random.default_rng(7).dirichlet(np.ones(SIZE), (TABLES, SIZE))
ROWS = Rows(jnp.asarray(JOINT, jnp.float32), jnp.asarray(first_equal_row(JOINT)))


@pytest.fixture(scope="module")
def params():
    """Random parameters, none near zero."""
    shapes = jax.eval_shape(
        lambda: NETWORK.init(
            jax.random.key(0), jnp.zeros((1, OBSERVED)), jnp.zeros((1, TABLES)),
            no_recall(1, HIDDEN), ROWS, jnp.zeros((1, 2, SIZE)), method="first",
        )
    )  # fmt: skip
    rng = np.random.default_rng(1)
    return jax.tree.map(lambda x: rng.normal(0, 0.5, x.shape).astype(np.float32), shapes)


def drawn(lanes, rng):
    """Tables, profiles, observations and what is carried to them."""
    table, profile = rng.integers(0, TABLES, lanes), rng.integers(0, SIZE, (lanes, 2))
    observation = rng.normal(size=(lanes, OBSERVED)).astype(np.float32)
    hidden = rng.normal(size=(lanes, HIDDEN)).astype(np.float32)
    action = rng.integers(-1, NUM_ACTIONS, lanes).astype(np.int32)
    return (
        table,
        profile,
        jnp.asarray(observation),
        Recall(jnp.asarray(hidden), jnp.asarray(action)),
    )


@pytest.mark.parametrize("lanes", [1, 37, 700])
def test_each_decision_is_by_the_memory_and_the_heads_of_its_owner(params, lanes):
    table, profile, observation, recall = drawn(lanes, np.random.default_rng(lanes))
    seat, strategy = jax.nn.one_hot(table, TABLES), jnp.asarray(profile[:, 0])
    memory = NETWORK.apply(params, observation, seat, recall, strategy, method="remember")
    one_hot = jax.nn.one_hot(profile, SIZE)
    logits, value = NETWORK.apply(params, memory, seat, ROWS, profile=one_hot)
    for lane in range(lanes):
        owner = table[lane] * SIZE + profile[lane, 0]
        own = {"params": jax.tree.map(lambda x, k=owner: x[k], params["params"]["networks"])}
        at = slice(lane, lane + 1)
        carried = jax.tree.map(lambda x, at=at: x[at], recall)
        expected = PLAIN.apply(own, observation[at], jnp.zeros((1, 0)), carried, method="remember")
        np.testing.assert_allclose(memory[at], expected, atol=1e-5)
        outputs = PLAIN.apply(own, expected, one_hot[at, 1])
        np.testing.assert_allclose(logits[at], outputs[0], atol=1e-5)
        np.testing.assert_allclose(value[at], outputs[1], atol=1e-5)


def test_unrolls_remember_step_by_step(params):
    """Also where episodes begin in between, and where the seat does not move."""
    lanes, rng = 11, np.random.default_rng(3)
    table, profile, _, recall = drawn(lanes, rng)
    seat, strategy = jax.nn.one_hot(table, TABLES), jnp.asarray(profile[:, 0])
    observation = jnp.asarray(rng.normal(size=(STEPS, lanes, OBSERVED)), jnp.float32)
    previous = jnp.asarray(rng.integers(-1, NUM_ACTIONS, (STEPS, lanes)), jnp.int32)
    fresh, moved = rng.random((STEPS, lanes)) < 0.3, rng.random((STEPS, lanes)) < 0.7
    found = NETWORK.apply(
        params, observation, seat, previous, start=recall.hidden, fresh=jnp.asarray(fresh),
        moved=jnp.asarray(moved), strategy=strategy, method="unroll",
    )  # fmt: skip
    hidden = recall.hidden
    for step in range(STEPS):
        hidden = jnp.where(fresh[step][:, None], 0.0, hidden)
        told = (observation[step], seat, Recall(hidden, previous[step]), strategy)
        after = NETWORK.apply(params, *told, method="remember")
        hidden = jnp.where(moved[step][:, None], after, hidden)
        np.testing.assert_allclose(found[step], hidden, atol=1e-5)


def test_the_size_of_observations_is_known(params):
    assert observation_size(CONFIG, params, TABLES, num_actions=NUM_ACTIONS) == OBSERVED


@pytest.mark.slow
def test_who_learns_remembers_the_cue_and_nobody_else_moves(small_config):
    """Strategy 1 of seat 0 responds to strategy 0; by chance a return is 0 on average."""
    rates = {"learning_rate": 2e-2, "final_learning_rate": 2e-2, "max_gradient_norm": 10.0}
    config = small_config(
        "cue",
        population={"size": SIZE},
        network={
            "kind": "separate", "memory": "gru", "memory_size": 8, "encoder_sizes": (8,),
            "hidden_sizes": (8,), "critic_hidden_size": 8,
        },
        learner=rates
        | {"kind": "ppo", "episodes": 128, "minibatch": 512, "unroll": 8, "critic_weight": 0.5},
    )  # fmt: skip
    game = cue_game.CueGame()
    network = make_network(config.network, 2)
    actor = PopulationActor(game.info, network, num_tables=2, sink=uniform_sink)
    learner = make_ppo_learner(game, actor, config)
    joint, respond = np.zeros((2, SIZE, SIZE), np.float32), np.zeros((2, SIZE), np.float32)
    joint[:, 1, 0] = respond[0, 1] = 1.0
    state = first = learner.init(jax.random.key(0))
    returns = []
    for number in range(60):
        objective = Objective(
            Rows(joint, first_equal_row(joint)), np.full((2, SIZE), 0.01, np.float32), respond,
            np.zeros((2, SIZE), np.float32), state.params,
        )  # fmt: skip
        collect_key, update_key = jax.random.split(jax.random.key(1 + number))
        experience = learner.collect(state.params, objective, collect_key)
        state, _ = learner.update(state, experience, update_key)
        returns.append(experience.returns[:, 0].mean())
    assert abs(returns[0]) < 0.5 and np.mean(returns[-5:]) > 0.9
    for before, after in zip(
        jax.tree.leaves(first.params), jax.tree.leaves(state.params), strict=True
    ):
        moved = [bool((before[k] != after[k]).any()) for k in range(2 * SIZE)]
        assert moved == [False, True] + [False] * (2 * SIZE - 2)


def test_a_run_ends_with_a_population_that_plays(tmp_path):
    """Two steps of Kuhn poker from the command line; a drawn member plays by its own memory."""
    settings = {
        "learner.kind": "ppo", "learner.episodes": 32, "learner.minibatch": 64,
        "network.kind": "continued", "network.memory": "gru", "network.memory_size": 4,
        "network.encoder_sizes": "[4]", "network.hidden_sizes": "[4]",
        "network.critic_hidden_size": 4, "population.size": 3, "evaluation.episodes": 32,
        "evaluation.final_episodes": 100, "evaluation.response_s": 0.1, "training.steps": 4,
        "training.evaluate_every": 1, "training.max_steps_per_row": 2,
    }  # fmt: skip
    path = tmp_path / "run"
    command = [sys.executable, "-m", "neupl", "train", "--game", "kuhn_poker", "--out", str(path)]
    command += [f"--set={key}={value}" for key, value in settings.items()]
    done = subprocess.run([*command, "--quiet"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    population = load_population(path)
    arrays = load_file(path / "population" / "arrays.safetensors")
    kernels = [array for name, array in arrays.items() if name.endswith("core_state/kernel")]
    assert [kernel.shape for kernel in kernels] == [(6, 4, 12)]
    policy = population.policy("nash", seat=1)
    memory, mask = policy.initial_memory(5), np.ones((5, 2), bool)
    seen = np.random.default_rng(0).normal(size=(5, population.observation_size))
    _, likely, memory = policy.act(memory, seen.astype(np.float32), mask, jax.random.key(0))
    np.testing.assert_allclose(likely.sum(axis=1), 1, atol=1e-5)
    _, again, after = policy.act(memory, seen.astype(np.float32), mask, jax.random.key(1))
    np.testing.assert_array_equal(policy.member(memory), policy.member(after))
    trained = np.asarray(policy.member(memory)) > 0
    assert trained.any() and (np.abs(again - likely).max(axis=1)[trained] > 1e-6).all()


def test_what_needs_one_memory_is_refused():
    given = ["learner.kind=ppo", "network.kind=separate", "network.memory=gru"]
    for change, key in (
        ("learner.imitate=RUN#1", "learner.imitate"),
        ("learner.start=RUN learner.start_parts=memory", "learner.start_parts"),
        ("network.readout_sizes=[8]", "network.readout_sizes"),
        ("learner.kind=mpo network.critic=action_values", "learner.kind"),
    ):
        with pytest.raises(UserError, match=key.replace(".", r"\.")):
            load_config(Config, None, [*given, *change.split()])
