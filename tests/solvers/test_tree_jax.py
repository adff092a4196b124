"""The float32 passes against the float64 functions and against slow loops from the definition."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from games.normal_form import NormalForm
from solvers.best_response import (
    best_response,
    coplayer_weights,
    information_state_reach,
    objective,
)
from solvers.gaps import gains
from solvers.sequence_form import coplayer_reach, realization_plan, sequence_values
from solvers.tree_jax import TreePasses

NUM_STRATEGIES = 3

GAMES = (
    "kuhn_poker",
    "kuhn_poker(players=3)",
    "leduc_poker",
    "goofspiel(imp_info=True,num_cards=3,points_order=descending,returns_type=total_points)",
    "sheriff(max_bribe=2,max_items=2,num_rounds=2)",
    "a random 2x4x3 game",
)


@functools.cache
def random_normal_form():
    return NormalForm(np.random.default_rng(3).normal(size=(2, 4, 3, 3))).to_tree()


@pytest.fixture(params=GAMES)
def tree(request, tree_of):
    return random_normal_form() if "random" in request.param else tree_of(request.param)


@functools.cache
def jitted(tree):
    """The passes of a tree, each compiled once for all tests."""
    passes = TreePasses(tree)

    def values(policies, rows, played, temperature):
        reach = passes.coplayer_reach(passes.plans(policies), rows)
        return reach, passes.action_values(reach, played, temperature)

    return passes, jax.jit(values)


def strategies_last(policies):
    """`[K, S, A]` float64 as the passes take it: `[S, A, K]` float32."""
    return jnp.asarray(np.moveaxis(policies, 0, -1), jnp.float32)


def correlated_rows(tree, seed):
    """Rows over joint profiles of the co-players, sparse, so far from any product; one is pure."""
    rng = np.random.default_rng(seed)
    shape = (tree.num_players, NUM_STRATEGIES, NUM_STRATEGIES ** (tree.num_players - 1))
    rows = rng.gamma(0.2, size=shape)
    rows[:, -1] = np.eye(shape[-1])[rng.integers(shape[-1])]
    return rows / rows.sum(axis=-1, keepdims=True)


def exact_reach(tree, policies, rows):
    """`[P, K, Z]` in float64."""
    cube = (NUM_STRATEGIES,) * (tree.num_players - 1)
    return np.array(
        [
            coplayer_weights(tree, policies, player, own.reshape(len(own), *cube))
            for player, own in enumerate(rows)
        ]
    )


def slow_action_values(tree, policy, weights, player, temperature):
    """Action values of one seat by a loop over its information states, the last ones first."""
    values = sequence_values(tree, player, weights)
    reach = information_state_reach(tree, player, weights)
    action = np.zeros((tree.num_infosets, tree.num_actions))
    for s in reversed(np.flatnonzero(tree.infoset_player == player)):
        legal = np.flatnonzero(tree.legal_mask[s])
        first = tree.infoset_first_sequence[s]
        action[s, legal] = values[first : first + len(legal)]
        played = policy[s, legal]
        entropy = -sum(p * np.log(p) for p in played if p > 0)
        up = played @ action[s, legal] + temperature * reach[s] * entropy
        values[tree.infoset_parent_sequence[s]] += up
    return reach, action, values[player]


def test_plans_are_products_of_own_probabilities(tree, random_policies):
    policies = random_policies(tree, 0, NUM_STRATEGIES)
    plans = jitted(tree)[0].plans(strategies_last(policies))
    np.testing.assert_allclose(plans.T, realization_plan(tree, policies), rtol=1e-5, atol=1e-7)


def test_coplayer_reach_is_that_of_the_joint_draw(tree, random_policies):
    policies, rows = random_policies(tree, 1, NUM_STRATEGIES), correlated_rows(tree, 1)
    passes, _ = jitted(tree)
    plans = passes.plans(strategies_last(policies))
    reach = passes.coplayer_reach(plans, jnp.asarray(rows, jnp.float32))
    expected = exact_reach(tree, policies, rows)
    assert len(reach) == tree.num_players
    for player in range(tree.num_players):
        np.testing.assert_allclose(reach[player].T, expected[player], rtol=1e-4, atol=1e-7)


def test_correlated_coplayers_are_not_the_product_of_their_marginals(tree_of):
    """In three-player Kuhn poker, co-players who both bet or both pass, never one of each.

    Strategy 0 always takes its first action (pass), strategy 1 its last (bet). The first mover
    passes; under the joint the others then both bet or both pass, so the history `pass, pass, bet`
    of the third seat betting after the second has passed has no reach.
    """
    tree = tree_of("kuhn_poker(players=3)")
    policies = np.zeros((2, tree.num_infosets, 2))
    policies[0, :, 0] = policies[1, :, 1] = 1.0
    passes, _ = jitted(tree)
    plans = passes.plans(strategies_last(policies))
    both = jnp.array([[[0.5, 0.0, 0.0, 0.5]] * 2] * 3, jnp.float32)
    independent = jnp.full((3, 2, 4), 0.25, jnp.float32)
    mixed = np.isin(tree.sequence_action[tree.terminal_sequence[:, 1]], 0) & np.isin(
        tree.sequence_action[tree.terminal_sequence[:, 2]], 1
    )
    assert not np.asarray(passes.coplayer_reach(plans, both)[0])[mixed].any()
    assert np.asarray(passes.coplayer_reach(plans, independent)[0])[mixed].any()


@pytest.mark.parametrize("regularised", [False, True])
def test_values_of_a_policy(regularised, tree, random_policies):
    policies, rows = random_policies(tree, 2, NUM_STRATEGIES), correlated_rows(tree, 2)
    rng = np.random.default_rng(2)
    temperature = rng.uniform(0.01, 0.3, (tree.num_players, NUM_STRATEGIES)) * tree.payoff_range
    temperature *= regularised
    played = strategies_last(policies)
    _, found = jitted(tree)[1](
        played, jnp.asarray(rows, jnp.float32), played, jnp.asarray(temperature, jnp.float32)
    )
    expected = exact_reach(tree, policies, rows)
    atol = 3e-6 * max(tree.payoff_range, 1.0)
    for player, k in np.ndindex(*temperature.shape):
        own = tree.infoset_player == player
        weights, tau = expected[player, k], temperature[player, k]
        reach, action, root = slow_action_values(tree, policies[k], weights, player, tau)
        np.testing.assert_allclose(found.reach[own, k], reach[own], atol=3e-6)
        np.testing.assert_allclose(found.action[own, :, k], action[own], atol=atol)
        exact = objective(tree, player, policies[k], weights=weights, temperature=tau)
        assert root == pytest.approx(exact, abs=1e-9 * max(tree.payoff_range, 1.0))
        assert float(found.root[player, k]) == pytest.approx(exact, abs=atol)
    assert not np.asarray(found.action)[~tree.legal_mask].any()


def test_soft_best_responses(tree, random_policies):
    policies, rows = random_policies(tree, 4, NUM_STRATEGIES), correlated_rows(tree, 4)
    rng = np.random.default_rng(4)
    temperature = rng.uniform(0.005, 0.2, (tree.num_players, NUM_STRATEGIES)) * tree.payoff_range
    _, found = jitted(tree)[1](
        strategies_last(policies),
        jnp.asarray(rows, jnp.float32),
        None,
        jnp.asarray(temperature, jnp.float32),
    )
    weights = exact_reach(tree, policies, rows)
    for player, k in np.ndindex(*temperature.shape):
        tau = temperature[player, k]
        exact = best_response(tree, player, weights[player, k], temperature=tau)
        assert float(found.root[player, k]) == pytest.approx(
            exact.value, abs=5e-6 * max(tree.payoff_range, 1.0)
        )
        reach = np.asarray(found.reach[..., k], np.float64)
        likely = (tree.infoset_player == player) & (reach > 1e-3)
        scaled = np.asarray(found.action[..., k], np.float64)[likely]
        scaled = np.where(tree.legal_mask[likely], scaled / (tau * reach[likely])[:, None], -np.inf)
        chosen = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        chosen /= chosen.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(chosen, exact.policy[likely], atol=2e-3)


def test_entropy_relative_to_a_magnet_is_minus_the_divergence_from_it(tree, random_policies):
    """With the policy as its own magnet nothing is paid; the uniform one costs `tau log(n)` less
    the entropy, by the slow loop with `log(n)` taken off each decision.
    """
    policies = random_policies(tree, 2, NUM_STRATEGIES)
    rows, passes = correlated_rows(tree, 3), jitted(tree)[0]
    played = strategies_last(policies)
    reach = jax.jit(lambda policies, met: passes.coplayer_reach(passes.plans(policies), met))(
        played, jnp.asarray(rows, jnp.float32)
    )
    action_values = jax.jit(passes.action_values)
    warm = jnp.full(rows.shape[:2], 0.5, jnp.float32)
    cold = action_values(reach, played, jnp.zeros_like(warm))
    own = jnp.log(jnp.where(played > 0, played, 1.0))
    found = action_values(reach, played, warm, magnet=own)
    scale = tree.payoff_range * 1e-5
    np.testing.assert_allclose(found.root, cold.root, atol=scale)
    uniform = jnp.log(jnp.asarray(tree.uniform_policy(), jnp.float32) + ~tree.legal_mask)
    found = action_values(reach, played, warm, magnet=uniform[:, :, None] + 0 * played)
    best = action_values(reach, None, warm, magnet=uniform[:, :, None] + 0 * played)
    entropic = action_values(reach, played, warm)
    # Each decision pays the logarithm of its number of actions more than under the entropy.
    assert (np.asarray(found.root) <= np.asarray(entropic.root) + scale).all()
    assert (np.asarray(best.root) >= np.asarray(found.root) - scale).all()
    if tree.num_infosets == tree.num_players:  # one decision each: by hand
        paid = 0.5 * np.log(tree.legal_mask.sum(axis=1))[:, None]
        np.testing.assert_allclose(entropic.root - found.root, paid + 0 * rows[:, :, 0], atol=scale)


def test_states_that_nobody_lets_happen_have_no_value(tree_of):
    """Against an opponent of Kuhn poker that always passes, nothing that follows its bet counts."""
    tree = tree_of("kuhn_poker")
    policies = np.zeros((1, tree.num_infosets, 2))
    policies[0, :, 0] = 1.0
    _, values = jitted(tree)
    rows = jnp.ones((2, 1, 1), jnp.float32)
    _, found = values(strategies_last(policies), rows, None, jnp.full((2, 1), 0.1, jnp.float32))
    bet_to = [name.endswith("b") for name in tree.infoset_name]
    assert sum(bet_to) == 6
    assert not np.asarray(found.reach)[bet_to].any()
    assert not np.asarray(found.action)[bet_to].any()
    assert np.isfinite(np.asarray(found.root)).all()


@pytest.mark.parametrize("temperature", [0.0, 0.3])
@pytest.mark.parametrize("name", ["kuhn_poker(players=3)", GAMES[4]])
def test_gradient_of_a_value_is_that_of_finite_differences(name, temperature, tree_of):
    """Along random directions that keep every row a distribution, all seats moving at once."""
    tree = tree_of(name)
    passes, _ = jitted(tree)
    rng = np.random.default_rng(5)
    weight = np.where(tree.legal_mask, rng.uniform(0.5, 1.5, tree.legal_mask.shape), 0.0)
    policy = weight / weight.sum(axis=1, keepdims=True)

    def value(policy, player):
        reach = passes.coplayer_reach(passes.plans(policy), jnp.ones((tree.num_players, 1, 1)))
        tau = jnp.full((tree.num_players, 1), temperature)
        return passes.action_values(reach, policy, tau).root[player, 0]

    def exact(policy, player):
        weights = coplayer_reach(tree, realization_plan(tree, policy))[player]
        return float(objective(tree, player, policy, weights=weights, temperature=temperature))

    gradient = jax.jit(jax.grad(value), static_argnums=1)
    for player in range(tree.num_players):
        found = np.asarray(gradient(strategies_last(policy[None]), player))[..., 0]
        for _ in range(5):
            move = np.where(tree.legal_mask, rng.normal(size=policy.shape), 0.0)
            move -= tree.uniform_policy() * move.sum(axis=1, keepdims=True)
            step = 1e-5
            slope = exact(policy + step * move, player) - exact(policy - step * move, player)
            assert (found * move).sum() == pytest.approx(
                slope / (2 * step), rel=1e-4, abs=1e-4 * tree.payoff_range
            )


def test_gains_of_many_policies_are_those_in_float64(tree, random_policies):
    policies = np.concatenate([random_policies(tree, 6, 4), tree.uniform_policy()[None]])
    found = jax.jit(jitted(tree)[0].gains)(strategies_last(policies))
    atol = 5e-6 * max(tree.payoff_range, 1.0)
    np.testing.assert_allclose(found.T, gains(tree, policies), atol=atol)


@pytest.mark.parametrize("name", [*GAMES[:3], GAMES[4]])
def test_gradient_of_nash_conv_is_that_of_finite_differences(name, tree_of):
    """At random policies, where best responses are unique, along random directions."""
    tree = tree_of(name)
    passes, rng = jitted(tree)[0], np.random.default_rng(7)
    gradient = jax.jit(jax.grad(lambda policy: passes.gains(policy).sum()))
    for _ in range(3):
        weight = np.where(tree.legal_mask, rng.uniform(0.5, 1.5, tree.legal_mask.shape), 0.0)
        policy = weight / weight.sum(axis=1, keepdims=True)
        found = np.asarray(gradient(strategies_last(policy[None])), np.float64)[..., 0]
        move = np.where(tree.legal_mask, rng.normal(size=policy.shape), 0.0)
        move -= tree.uniform_policy() * move.sum(axis=1, keepdims=True)
        step = 1e-6
        slope = gains(tree, policy + step * move).sum() - gains(tree, policy - step * move).sum()
        assert (found * move).sum() == pytest.approx(
            slope / (2 * step), rel=1e-3, abs=1e-4 * tree.payoff_range
        )
        assert abs(slope / (2 * step)) > 1e-3
