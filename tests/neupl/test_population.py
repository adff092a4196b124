"""A population on disk plays as its trainer did, keeps the contract, and says what is wrong."""

import hashlib
import json
import pickle
import shutil
import subprocess
import sys

import jax
import numpy as np
import pyspiel
import pytest
from safetensors.numpy import load_file, save_file

from games.types import PolicySpec
from neupl.errors import UserError
from neupl.evaluation import normalise
from neupl.population_files import ARRAYS_FILE, MANIFEST_FILE
from neupl.stored_population import load_policy, load_population
from neupl.training_problem import rows_of
from tests.conftest import command_environment


@pytest.fixture(scope="module")
def kuhn_population(kuhn_folder):
    return load_population(kuhn_folder)


@pytest.fixture
def broken(kuhn_folder, tmp_path):
    """A copy of the population to break."""
    return shutil.copytree(kuhn_folder, tmp_path / "population")


def trainers_policies(run):
    best = run.states[-1].best
    return np.asarray(run.problem.tables.policies(best.params, rows_of(best.joint)))


def test_plays_as_the_trainer_did(kuhn_run, kuhn_population):
    tree, expected = kuhn_run.problem.tables.tree, trainers_policies(kuhn_run)
    for seat in range(2):
        own = tree.infoset_player == seat
        found = kuhn_population.probabilities(seat, tree.observation[own], tree.legal_mask[own])
        np.testing.assert_allclose(found, expected[:, own], atol=1e-6)
    np.testing.assert_allclose(kuhn_population.tabulate(), normalise(expected), atol=1e-6)
    np.testing.assert_array_equal(kuhn_population.payoffs, kuhn_run.states[-1].best.payoffs)
    assert kuhn_population.num_strategies == 5


def test_three_seats_are_told_apart(three_player_run, export_run, tmp_path):
    export_run(three_player_run, tmp_path / "population")
    population = load_population(tmp_path)
    np.testing.assert_allclose(
        population.tabulate(), normalise(trainers_policies(three_player_run)), atol=1e-6
    )


def test_realised_mixture_has_the_certified_nash_conv_in_open_spiel(kuhn_run, kuhn_population):
    policy = kuhn_population.to_open_spiel("nash")
    table = pyspiel.TabularPolicy(policy.to_dict())
    nash_conv = pyspiel.nash_conv(pyspiel.load_game("kuhn_poker"), table)
    assert nash_conv == pytest.approx(kuhn_run.states[-1].best.gains.sum(), abs=1e-6)


def test_single_strategy_in_open_spiel(kuhn_run, kuhn_population):
    """The sink is the uniform policy, whose NashConv in Kuhn poker is 11/12."""
    table = pyspiel.TabularPolicy(kuhn_population.to_open_spiel(0).to_dict())
    game = pyspiel.load_game("kuhn_poker")
    assert pyspiel.nash_conv(game, table) == pytest.approx(11 / 12, abs=1e-6)
    state = game.new_initial_state()
    for action in (0, 1):
        state.apply_action(action)
    found = kuhn_population.to_open_spiel(3).action_probabilities(state)
    tree = kuhn_run.problem.tables.tree
    row = tree.infoset_name.index(state.information_state_string())
    expected = trainers_policies(kuhn_run)[3, row]
    np.testing.assert_allclose([found[0], found[1]], expected, atol=1e-6)


def test_mixture_is_drawn_once_per_episode_with_its_frequencies(kuhn_run, kuhn_population):
    """Counts stay within 6 standard deviations: a false alarm has a probability below 1e-6."""
    tree, batch = kuhn_run.problem.tables.tree, 20000
    weights = kuhn_population.meta_strategy[0]
    policy = kuhn_population.policy("nash", seat=0)
    row = int(np.flatnonzero(tree.infoset_player == 0)[0])
    observation = np.tile(tree.observation[row], (batch, 1))
    mask = np.tile(tree.legal_mask[row], (batch, 1))
    memory = policy.initial_memory(batch)
    action, probabilities, memory = policy.act(memory, observation, mask, jax.random.key(1))
    drawn = np.bincount(memory, minlength=5)
    spread = 6 * np.sqrt(batch * weights * (1 - weights)) + 1e-9
    assert (weights > 0.05).sum() >= 2
    assert (np.abs(drawn - batch * weights) <= spread).all()
    # Each lane plays what the strategy drawn for it plays, and samples from it.
    table = trainers_policies(kuhn_run)[:, row]
    np.testing.assert_allclose(probabilities, table[np.asarray(memory)], atol=1e-6)
    bets = float(weights @ table[:, 1])
    assert np.mean(action) == pytest.approx(bets, abs=6 * np.sqrt(bets * (1 - bets) / batch))
    _, _, later = policy.act(memory, observation, mask, jax.random.key(2))
    np.testing.assert_array_equal(later, memory)


def test_policy_of_a_member_is_that_member_and_respects_the_mask(kuhn_run, kuhn_population):
    tree = kuhn_run.problem.tables.tree
    own = tree.infoset_player == 1
    policy = kuhn_population.policy(2, seat=1)
    memory = policy.initial_memory(int(own.sum()))
    mask = tree.legal_mask[own].copy()
    mask[0, 1] = False
    action, probabilities, memory = policy.act(
        memory, tree.observation[own], mask, jax.random.key(0)
    )
    expected = trainers_policies(kuhn_run)[2, own]
    np.testing.assert_allclose(probabilities[1:], expected[1:], atol=1e-6)
    np.testing.assert_array_equal(probabilities[0], [1, 0])
    assert action[0] == 0 and action.dtype == np.int32
    np.testing.assert_array_equal(memory, 2)


def test_policy_spec_loads_in_another_process(kuhn_run, kuhn_folder):
    spec = PolicySpec("neupl.stored_population:load_policy", str(kuhn_folder), "1:3")
    program = """
import pickle, sys
import jax, numpy as np
spec, observation, mask = pickle.load(sys.stdin.buffer)
policy = spec.load()
memory = policy.initial_memory(len(mask))
_, probabilities, _ = policy.act(memory, observation, mask, jax.random.key(0))
print(np.asarray(probabilities).tolist())
"""
    tree = kuhn_run.problem.tables.tree
    own = tree.infoset_player == 1
    result = subprocess.run(
        [sys.executable, "-c", program],
        input=pickle.dumps((spec, tree.observation[own], tree.legal_mask[own])),
        env=command_environment(),
        capture_output=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr.decode()
    expected = trainers_policies(kuhn_run)[3, own]
    np.testing.assert_allclose(json.loads(result.stdout), expected, atol=1e-6)


def test_member_of_another_population_as_sink(
    kuhn_run, kuhn_folder, small_config, train_config, export_run, tmp_path
):
    """The table travels with the new population, which needs the old one no longer."""
    config = small_config("kuhn_poker", population={"size": 2, "sink": f"{kuhn_folder}#nash"})
    run = train_config(config, num_evaluations=1)
    export_run(run, tmp_path / "population")
    population = load_population(tmp_path / "population")
    assert population.sink == "table"
    np.testing.assert_allclose(population.tabulate()[0], run.sink, atol=1e-6)
    np.testing.assert_allclose(population.tabulate(), normalise(trainers_policies(run)), atol=1e-6)


@pytest.mark.parametrize("member", [-1, 5, "best"])
def test_unknown_members_are_named(member, kuhn_population):
    with pytest.raises((ValueError, TypeError), match="member"):
        kuhn_population.policy(member, seat=0)


def test_unknown_seats_and_shapes_are_named(kuhn_run, kuhn_population):
    tree = kuhn_run.problem.tables.tree
    with pytest.raises(ValueError, match="seat is 2: kuhn_poker has seats 0 to 1"):
        kuhn_population.policy("nash", seat=2)
    with pytest.raises(ValueError, match="seat is -1"):
        kuhn_population.probabilities(-1, tree.observation, tree.legal_mask)
    with pytest.raises(ValueError, match=r"kuhn_poker takes \[B, 11\] and \[B, 2\]"):
        kuhn_population.probabilities(0, tree.observation[:, :4], tree.legal_mask)


@pytest.mark.parametrize("member", ["nash", "0", "0:best", "x:1", "0:-1"])
def test_policy_spec_with_a_malformed_member(member, kuhn_folder):
    with pytest.raises(ValueError, match="it must be 'seat:k' or 'seat:nash'"):
        load_policy(str(kuhn_folder), member)


def test_missing_population(tmp_path):
    with pytest.raises(UserError, match="there is no population at"):
        load_population(tmp_path)
    with pytest.raises(UserError, match="there is no population at"):
        load_population(tmp_path / "absent")


def test_broken_populations(broken):
    whole = (broken / ARRAYS_FILE).read_bytes()
    (broken / ARRAYS_FILE).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="is broken"):
        load_population(broken)
    flipped = bytearray(whole)
    flipped[-1] ^= 1
    (broken / ARRAYS_FILE).write_bytes(bytes(flipped))
    with pytest.raises(UserError, match="does not match the hash"):
        load_population(broken)
    arrays = dict(load_file_from(whole, broken))
    del arrays["joint"]
    save_file(arrays, broken / ARRAYS_FILE)
    manifest = json.loads((broken / MANIFEST_FILE).read_text())
    digest = hashlib.sha256((broken / ARRAYS_FILE).read_bytes()).hexdigest()
    (broken / MANIFEST_FILE).write_text(json.dumps(manifest | {"arrays_sha256": digest}))
    with pytest.raises(UserError, match="is broken: 'joint'"):
        load_population(broken)
    (broken / ARRAYS_FILE).unlink()
    with pytest.raises(UserError, match="is broken"):
        load_population(broken)
    (broken / MANIFEST_FILE).write_text("{")
    with pytest.raises(UserError, match="is broken"):
        load_population(broken)


def load_file_from(content, folder):
    (folder / ARRAYS_FILE).write_bytes(content)
    return load_file(folder / ARRAYS_FILE)


def test_population_of_another_version_is_named_before_its_arrays_are_read(broken):
    manifest = json.loads((broken / MANIFEST_FILE).read_text())
    (broken / MANIFEST_FILE).write_text(json.dumps(manifest | {"schema_version": 99}))
    (broken / ARRAYS_FILE).unlink()
    with pytest.raises(UserError, match="has format 99, this version reads 1"):
        load_population(broken)
