"""A population of tables on disk: what was written comes back, and a joint is never taken for the
product of its marginals.
"""

import hashlib
import json
import shutil

import jax
import numpy as np
import pyspiel
import pytest
from safetensors.numpy import load_file, save_file

import neupl
from games.registry import load_tree
from games.tree_game import TreeGame
from neupl.errors import UserError
from neupl.population import Population
from neupl.population_files import ARRAYS_FILE, MANIFEST_FILE
from neupl.rollout import make_play
from neupl.stored_population import load_policy, load_population
from neupl.tabular_population import TabularPopulation, make_tabular, write_tabular
from neupl.tabular_verification import gains_of, verify_tabular
from solvers.correlated_gaps import cce_gap
from solvers.gaps import gains
from solvers.sequence_form import mix
from solvers.values import payoffs

GAME = "kuhn_poker(players=3)"


def random_policies(tree, sizes, seed=0):
    rng = np.random.default_rng(seed)
    shape = (tree.num_infosets, tree.num_actions)
    found = []
    for size in sizes:
        drawn = rng.random((size, *shape)) * tree.legal_mask
        found.append(drawn / drawn.sum(axis=-1, keepdims=True))
    return tuple(found)


def population_of(tree, sizes, joint, concept, *, game=GAME, seed=0):
    policies = random_policies(tree, sizes, seed)
    profiles = np.argwhere(joint)
    return make_tabular(
        tree,
        game=game,
        method="by hand",
        concept=concept,
        policies=policies,
        profiles=profiles,
        weights=joint[tuple(profiles.T)],
        payoffs=payoffs(tree, policies),
    )


@pytest.fixture(scope="module")
def tree():
    return load_tree(GAME)


@pytest.fixture(scope="module")
def correlated(tree):
    """Eight of twelve profiles of 2, 3 and 2 strategies."""
    rng = np.random.default_rng(1)
    joint = rng.random((2, 3, 2)) * (np.arange(12).reshape(2, 3, 2) % 3 != 0)
    return population_of(tree, (2, 3, 2), joint / joint.sum(), "cce")


@pytest.fixture(scope="module")
def product():
    """Independent mixtures of 2 and 3 strategies."""
    tree = load_tree("kuhn_poker")
    joint = np.outer([0.25, 0.75], [0.5, 0.0, 0.5])
    return population_of(tree, (2, 3), joint, "nash", game="kuhn_poker")


@pytest.fixture
def folder(correlated, tmp_path):
    path = tmp_path / "population"
    write_tabular(path, correlated, model_card="# by hand\n", facts={"iterations": 3})
    return path


def rehash(folder, arrays):
    """Replaces the arrays as somebody would who knows about the hash."""
    save_file(arrays, folder / ARRAYS_FILE)
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    manifest["arrays_sha256"] = hashlib.sha256((folder / ARRAYS_FILE).read_bytes()).hexdigest()
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest))


def test_what_was_written_comes_back_to_the_last_bit(correlated, tree, folder):
    found = neupl.load_population(folder)
    assert isinstance(found, TabularPopulation)
    assert not isinstance(found, Population)
    assert found.sizes == (2, 3, 2)
    for seat, (mine, own) in enumerate(zip(found.policies, correlated.policies, strict=True)):
        rows = tree.infoset_player == seat
        np.testing.assert_array_equal(mine[:, rows], own[:, rows])
        np.testing.assert_array_equal(mine[0, ~rows], tree.uniform_policy()[~rows])
    for name in ("profiles", "weights", "payoffs", "joint"):
        np.testing.assert_array_equal(getattr(found, name), getattr(correlated, name))
    assert found.concept == "cce"
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    assert (manifest["kind"], manifest["iterations"]) == ("tabular", 3)


def test_joint_is_not_said_to_be_the_product_of_its_marginals(correlated, tmp_path, folder):
    for ask in (
        lambda: correlated.meta_strategy,
        lambda: correlated.policy("nash", seat=0),
        lambda: correlated.to_open_spiel("nash"),
        lambda: load_policy(str(folder), "1:nash"),
    ):
        with pytest.raises(UserError, match=r"is correlated and .* product of its marginals"):
            ask()
    marginals = [correlated.marginal(seat) for seat in range(3)]
    for seat, marginal in enumerate(marginals):
        axes = tuple(axis for axis in range(3) if axis != seat)
        np.testing.assert_allclose(marginal, correlated.joint.sum(axis=axes), atol=1e-15)
    with pytest.raises(ValueError, match="cannot be Nash"):
        population_of(load_tree(GAME), (2, 3, 2), correlated.joint, "nash")


def test_profiles_are_drawn_as_often_as_the_joint_says(correlated):
    """Each frequency within 5.5 standard errors: false alarm below 1e-6 for eight profiles."""
    rng, draws = np.random.default_rng(3), 20_000
    counts = np.zeros((2, 3, 2))
    for _ in range(draws):
        counts[correlated.draw_profile(rng)] += 1
    joint = correlated.joint
    error = np.sqrt(joint * (1 - joint) / draws)
    assert (np.abs(counts / draws - joint) <= 5.5 * error + 1e-12).all()


def test_joint_too_large_for_one_array_is_refused_and_still_measured(tree):
    """One profile per strategy, as regret minimisers leave it; the dense way is the oracle."""
    size = 12
    weights = np.arange(1, size + 1) / np.arange(1, size + 1).sum()
    joint = np.zeros((size,) * 3)
    joint[np.arange(size), np.arange(size), np.arange(size)] = weights
    policies = random_policies(tree, (size,) * 3)
    expected = cce_gap(tree, policies, joint).per_player
    fields = {"game": GAME, "method": "by hand", "concept": "cce", "payoffs": None}
    # 288 strategies per seat have more profiles than fit; the same ones 24 times do not matter.
    repeated = tuple(np.tile(own, (24, 1, 1)) for own in policies)
    profiles = np.repeat(np.arange(24 * size)[:, None], 3, axis=1)
    large = make_tabular(
        tree, policies=repeated, profiles=profiles, weights=np.tile(weights, 24) / 24, **fields
    )
    np.testing.assert_allclose(gains_of(large, tree), expected, atol=1e-12)
    with pytest.raises(UserError, match="too large for one array"):
        _ = large.joint
    found = verify_tabular(large, tree, name="large", open_spiel_limit_s=0.3)
    assert found.check.method == "heaviest_profiles"
    assert found.check.num_profiles == 288
    assert 0 < found.check.checked_profiles < 288
    assert found.check.checked_mass < 1
    assert found.check.agrees
    assert found.certificate.openspiel_value is None
    assert "heaviest of 288 profiles" in found.checked


def test_seats_with_fewer_strategies_repeat_their_last_one(product):
    tree = load_tree("kuhn_poker")
    tables, mixture = product.tabulate(), product.meta_strategy
    assert tables.shape[0] == 3
    np.testing.assert_allclose(mixture, [[0.25, 0.75, 0.0], [0.5, 0.0, 0.5]], atol=1e-15)
    own = tree.infoset_player == 0
    np.testing.assert_array_equal(tables[2, own], product.policies[0][1, own])
    np.testing.assert_array_equal(tables[2, ~own], product.policies[1][2, ~own])
    certified = verify_tabular(product, tree, name="by hand")
    assert certified.certificate.quantity == "nash_conv"
    expected = gains(tree, mix(tree, tables, mixture)).sum()
    assert certified.certificate.value == pytest.approx(expected, abs=1e-12)
    table = pyspiel.TabularPolicy(product.to_open_spiel("nash").to_dict())
    theirs = pyspiel.nash_conv(pyspiel.load_game("kuhn_poker"), table)
    assert certified.certificate.openspiel_value == pytest.approx(theirs, abs=1e-12)


def test_mixture_that_is_too_slow_to_rebuild_is_measured_as_realised(product):
    """Kuhn poker has 58 nodes: 2.4 ms are enough for one strategy, not for four."""
    tree = load_tree("kuhn_poker")
    found = verify_tabular(product, tree, name="by hand", open_spiel_limit_s=0.0024)
    assert found.checked == "OpenSpiel measured the NashConv of the mixture that we realised"
    assert found.check.agrees
    none = verify_tabular(product, tree, name="by hand", open_spiel_limit_s=1e-4)
    assert none.check is None
    assert none.certificate.openspiel_value is None
    assert none.certificate.value == pytest.approx(found.certificate.value, abs=1e-12)


def test_single_strategy_in_open_spiel_and_as_a_policy(correlated, tree):
    found = correlated.to_open_spiel((1, 2, 0))
    by_number = correlated.to_open_spiel(1)
    state = pyspiel.load_game(GAME).new_initial_state()
    for action in (0, 1, 2):
        state.apply_action(action)
    row = tree.infoset_name.index(state.information_state_string())
    for policy, expected in ((found, 1), (by_number, 1)):
        probabilities = policy.action_probabilities(state)
        np.testing.assert_allclose(
            [probabilities[0], probabilities[1]], correlated.policies[0][expected, row]
        )
    for seat in range(3):
        own = tree.infoset_player == seat
        policy = correlated.policy(1, seat=seat)
        memory = policy.initial_memory(int(own.sum()))
        key = jax.random.key(0)
        _, seen, memory = policy.act(memory, tree.observation[own], tree.legal_mask[own], key)
        np.testing.assert_allclose(seen, correlated.policies[seat][1, own], atol=1e-6)
        assert (np.asarray(policy.member(memory)) == 1).all()


def test_mixture_earns_in_play_what_the_payoffs_say(product):
    """20,000 episodes; 5 standard errors of a return between -2 and 2: false alarm below 1e-6."""
    policies = [product.policy("nash", seat=seat) for seat in range(2)]
    play = make_play(TreeGame(load_tree("kuhn_poker")), policies)
    returns = np.asarray(play(20_000, jax.random.key(1)).returns, np.float64)
    exact = np.tensordot(product.joint, product.payoffs, axes=2)
    error = returns.std(axis=0) / np.sqrt(len(returns))
    assert (np.abs(returns.mean(axis=0) - exact) <= 5 * error).all()


@pytest.mark.parametrize("member", [2, -1, "mixture", True + 1])
def test_member_that_is_not_there_is_refused(correlated, member):
    with pytest.raises(ValueError, match="it must be 'nash' or 0 to 1"):
        correlated.policy(member, seat=0)
    with pytest.raises(ValueError, match="seats 0 to 2"):
        correlated.policy(0, seat=3)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("weights", lambda a: a * 2, "must sum to 1"),
        ("weights", lambda a: a[:-1] / a[:-1].sum(), "is broken"),
        ("profiles", lambda a: a + 1, "do not name strategies"),
        ("payoffs", lambda a: a[1:], "payoffs have shape"),
        ("policies/1", lambda a: a[:, 1:], "is broken"),
        ("infoset_player", None, "infoset_player"),
    ],
)
def test_broken_arrays_are_one_clear_error(folder, name, change, message):
    arrays = load_file(folder / ARRAYS_FILE)
    if change is None:
        del arrays[name]
    else:
        arrays[name] = np.ascontiguousarray(change(arrays[name]))
    rehash(folder, arrays)
    with pytest.raises(UserError, match=message):
        load_population(folder)


def test_tables_that_are_no_policies_are_refused_where_they_are_measured(folder, tree):
    arrays = load_file(folder / ARRAYS_FILE)
    arrays["policies/2"] = arrays["policies/2"] * 0.9
    rehash(folder, arrays)
    with pytest.raises(UserError, match="that sum to 1"):
        verify_tabular(load_population(folder), tree, name="broken")


def test_written_over_only_what_is_a_population(correlated, folder, tmp_path):
    write_tabular(folder, correlated, model_card="# again\n", facts={})
    assert (folder / "MODEL_CARD.md").read_text() == "# again\n"
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").touch()
    with pytest.raises(UserError, match="not a population"):
        write_tabular(other, correlated, model_card="", facts={})
    shutil.rmtree(folder)
    with pytest.raises(UserError, match="there is no population"):
        load_population(folder)
