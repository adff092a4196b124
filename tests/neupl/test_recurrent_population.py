"""A population with a memory on disk: it plays as its network does, step by step."""

import dataclasses
import subprocess
import sys
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from evaluation.replay_states import check_replay
from evaluation.tournament import Item, Setup, play_item
from games.registry import load_lanes, load_simulator
from games.types import PolicySpec
from neupl.entrants import make_entrants
from neupl.errors import UserError
from neupl.export import export_population
from neupl.networks import make_network
from neupl.play import opponents_of
from neupl.recurrent_network import no_recall
from neupl.stored_population import load_population
from neupl.training_problem import rows_of
from neupl.training_state import Snapshot

SIZE, HIDDEN, LANES, STEPS = 3, 6, 5, 4
GAME = "kuhn_poker"


class Exported(NamedTuple):
    """What was written, and where."""

    network: Any
    params: Any
    joint: np.ndarray
    folder: Any


@pytest.fixture(scope="module")
def exported(small_config, tmp_path_factory):
    """Three strategies per seat of Kuhn poker, of random parameters."""
    config = small_config(
        GAME,
        population={"size": SIZE, "sink": "none"},
        graph={"kind": "self_play", "simplex_share": 0.5},
        network={
            "memory": "gru", "memory_size": HIDDEN, "encoder_sizes": (4,), "hidden_sizes": (4,),
            "embedding_size": 4, "critic_hidden_size": 4,
        },
        learner={"kind": "ppo"},
    )  # fmt: skip
    info = load_simulator(GAME).info
    network = make_network(config.network, info.num_actions[0])
    rng = np.random.default_rng(0)
    joint = rng.dirichlet(np.ones(SIZE), (2, SIZE))
    rows = jax.tree.map(jnp.asarray, rows_of(joint))
    shapes = jax.eval_shape(
        lambda key: network.init(
            key, jnp.zeros((1, info.observation_size[0])), jnp.zeros((1, 2)),
            no_recall(1, HIDDEN), rows, jnp.zeros((1, 2, SIZE)), method="first",
        ),
        jax.random.key(0),
    )  # fmt: skip
    params = jax.tree.map(lambda x: rng.normal(0, 0.8, x.shape).astype(np.float32), shapes)
    payoffs = np.zeros((SIZE, SIZE, 2))
    best = Snapshot(
        params=params, joint=joint, meta_strategy=np.full((2, SIZE), 1 / SIZE),
        gains=np.zeros(2), gains_error=np.float64(0), payoffs=payoffs, payoff_errors=payoffs,
        running_payoffs=payoffs, running_errors=payoffs, episodes=np.int64(100),
        num_admitted=np.int64(SIZE), step=np.int64(7),
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("recurrent") / "population"
    export_population(folder, info=info, config=config, best=best, compiled=None)
    return Exported(network, params, joint, folder)


def play_along(policy, observations, mask):
    """Probabilities and actions of every step."""
    memory, found, actions = policy.initial_memory(LANES), [], []
    for step, observation in enumerate(observations):
        action, probabilities, memory = policy.act(memory, observation, mask, jax.random.key(step))
        found.append(np.asarray(probabilities))
        actions.append(np.asarray(action))
    return np.stack(found), np.stack(actions), memory


def expected_probabilities(exported, observations, actions, *, seat, rows, strategy):
    """By one unroll over what was seen and done."""
    previous = np.concatenate([np.full((1, LANES), -1, np.int32), actions[:-1]])
    one_hot = jnp.tile(jnp.eye(2)[seat], (LANES, 1))
    shape = (STEPS, LANES)
    memory = exported.network.apply(
        exported.params, jnp.asarray(observations), one_hot, jnp.asarray(previous),
        start=jnp.zeros((LANES, HIDDEN)), fresh=jnp.zeros(shape, bool), moved=jnp.ones(shape, bool),
        method="unroll",
    ).reshape(-1, HIDDEN)  # fmt: skip
    one_hot = jnp.tile(one_hot, (STEPS, 1))
    logits, _ = exported.network.apply(exported.params, memory, one_hot, rows, rows.every)
    return np.asarray(jax.nn.softmax(logits[strategy])).reshape(STEPS, LANES, -1)


@pytest.mark.slow
def test_policies_remember_what_they_saw_and_did(exported):
    population = load_population(exported.folder)
    info = load_simulator(GAME).info
    rng = np.random.default_rng(1)
    observations = rng.normal(size=(STEPS, LANES, info.observation_size[0])).astype(np.float32)
    mask = np.ones((LANES, 2), bool)
    rows = jax.tree.map(jnp.asarray, rows_of(exported.joint))
    mixture = np.array([0.2, 0.5, 0.3])
    asked = rows._replace(asked=jnp.tile(jnp.asarray(mixture, jnp.float32), (2, 1, 1)))
    cases = [
        (population.policy(2, seat=1), 1, rows, 2),
        (population.best_response_to(mixture, seat=0), 0, asked, SIZE),
    ]
    for policy, seat, told, strategy in cases:
        found, actions, _ = play_along(policy, observations, mask)
        expected = expected_probabilities(
            exported, observations, actions, seat=seat, rows=told, strategy=strategy
        )
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
        # The same observation is answered by what came before it.
        assert np.abs(found[-1] - play_along(policy, observations[-1:], mask)[0][0]).max() > 1e-3


def test_a_member_is_drawn_once_per_episode(exported):
    spec = PolicySpec("neupl.stored_population:load_policy", str(exported.folder), "0:nash")
    policy = spec.load()
    observation = np.zeros((LANES, load_simulator(GAME).info.observation_size[0]), np.float32)
    mask = np.ones((LANES, 2), bool)
    _, _, first = play_along(policy, observation[None], mask)
    _, _, memory = play_along(policy, np.tile(observation, (STEPS, 1, 1)), mask)
    np.testing.assert_array_equal(policy.member(memory), policy.member(first))
    assert set(np.asarray(policy.member(memory))) <= set(range(SIZE))
    assert (np.asarray(policy.member(policy.initial_memory(LANES))) == -1).all()


def test_what_does_not_follow_from_one_observation_is_not_told(exported):
    population = load_population(exported.folder)
    observation = np.zeros((1, load_simulator(GAME).info.observation_size[0]), np.float32)
    with pytest.raises(ValueError, match="memory"):
        population.probabilities(0, observation, np.ones((1, 2), bool))
    with pytest.raises(UserError, match="memory"):
        population.tabulate()


@pytest.mark.slow
def test_a_run_with_a_memory_ends_with_a_bound_by_a_trained_response(tmp_path):
    """Kuhn poker from the command line: 40 s of training and as much of certifying."""
    settings = {
        "learner.kind": "ppo", "learner.episodes": 256, "network.memory": "gru",
        "network.memory_size": 16, "network.hidden_sizes": "[16]", "population.size": 3,
        "evaluation.episodes": 256, "evaluation.final_episodes": 1000,
        "evaluation.response_s": 20, "training.steps": 30,
    }  # fmt: skip
    command = [sys.executable, "-m", "neupl", "train", "--game", GAME, "--out", str(tmp_path / "r")]
    command += [f"--set={key}={value}" for key, value in settings.items()]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert '"trained_best_response"' in done.stdout


def test_it_plays_tournaments_as_a_policy_and_not_as_a_table(exported):
    lanes = load_lanes(GAME)
    memory, uniform = make_entrants((f"{exported.folder}#1", "openspiel:random"), GAME, lanes)
    assert memory.table is None and uniform.table is not None
    setup = Setup(GAME, (memory, uniform), 0, 8, None, 2, 1000)
    played = play_item(setup, Item((0, 1), 0))
    assert not played.forfeits and np.isin(np.abs(played.returns), (1, 2)).all()
    again = play_item(dataclasses.replace(setup), Item((0, 1), 0))
    np.testing.assert_array_equal(played.returns, again.returns)
    for replay in played.replays:
        assert check_replay(replay) == []
        told = [m.probabilities for s in replay.steps for m in s.moves if m.seat >= 0]
        assert all(abs(sum(shares) - 1) < 1e-5 for shares in told)
    with pytest.raises(UserError, match="has a memory"):
        opponents_of(str(exported.folder), lanes)
