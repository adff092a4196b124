"""(C)CE gaps of joints against OpenSpiel, slow sums over profiles, and worked games."""

import functools
import itertools

import numpy as np
import pyspiel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from games.normal_form import NormalForm
from games.open_spiel_tree import compile_open_spiel
from solvers.best_response import best_response, coplayer_weights
from solvers.correlated_gaps import cce_gap, ce_gap, correlated_gains, returns_of_joint
from solvers.gaps import gains
from solvers.sequence_form import mix, realization_plan
from solvers.values import expected_returns, payoffs

GAMES = (
    "kuhn_poker",
    "kuhn_poker(players=3)",
    "kuhn_poker(players=4)",
    "leduc_poker",
    "liars_dice(numdice=1,dice_sides=3)",
    "goofspiel(imp_info=True,num_cards=3,points_order=descending,returns_type=total_points)",
    "goofspiel(imp_info=True,num_cards=3,players=3,points_order=descending)",
    "sheriff(num_rounds=1)",
    "sheriff(num_rounds=2)",
    "trade_comm(num_items=2)",
    "tiny_hanabi",
    "dark_hex(board_size=2)",
    "matrix_pd",
    "matching_pennies_3p",
)
KINDS = ("deterministic", "stochastic", "mixed")
# Numbers of strategies per seat; unequal, so that no axis can be taken for another.
SIZES = {2: (3, 2), 3: (3, 2, 2), 4: (2, 1, 2, 1)}


def strategies_of(tree, kind, seed):
    """Per seat `[K_p, S, A]`: pure rows, Dirichlet rows, or a pure first one and Dirichlet rest."""
    rng = np.random.default_rng(seed)
    found = []
    for size in SIZES[tree.num_players]:
        weight = rng.gamma(1.0, size=(size, *tree.legal_mask.shape))
        weight = np.where(tree.legal_mask, weight, 0.0)
        pure = (weight == weight.max(axis=2, keepdims=True)).astype(np.float64)
        dense = weight / weight.sum(axis=2, keepdims=True)
        if kind == "mixed":
            dense[0] = pure[0]
        found.append(pure if kind == "deterministic" else dense)
    return found


def joint_of(tree, seed):
    """Uneven, with one profile left out."""
    sizes = SIZES[tree.num_players]
    joint = np.random.default_rng(seed).dirichlet(np.full(int(np.prod(sizes)), 0.7)).reshape(sizes)
    joint[(0,) * tree.num_players] = 0.0
    return joint / joint.sum()


def profile_table(tree, policies, profile):
    seats = np.stack([own[k] for own, k in zip(policies, profile, strict=True)])
    return seats[tree.infoset_player, np.arange(tree.num_infosets)]


def plans_of(tree, policies):
    return [realization_plan(tree, own) for own in policies]


def by_open_spiel(tree, game, policies, joint, distance, table_of):
    device = [
        (float(joint[profile]), table_of(tree, profile_table(tree, policies, profile)))
        for profile in np.ndindex(*joint.shape)
        if joint[profile] > 0
    ]
    return distance(game, device)


def against_draw(tree, policies, joint, player, policy):
    """What `policy` earns `player` while the others play the profiles that `joint` draws."""
    total = 0.0
    for profile in np.ndindex(*joint.shape):
        if joint[profile]:
            table = profile_table(tree, policies, profile)
            own = tree.infoset_player == player
            table[own] = policy[own]
            total += joint[profile] * expected_returns(tree, table)[player]
    return total


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", GAMES)
def test_cce_values_agree_with_openspiel(name, kind, tree_of, turn_based, open_spiel_table):
    tree = tree_of(name)
    policies, joint = strategies_of(tree, kind, 1), joint_of(tree, 2)
    theirs = by_open_spiel(
        tree, turn_based(name), policies, joint, pyspiel.cce_dist, open_spiel_table
    )
    ours = correlated_gains(tree, plans_of(tree, policies), joint)
    scale = max(1.0, tree.payoff_range)
    np.testing.assert_allclose(ours.best_values, theirs.best_response_values, atol=1e-12 * scale)
    np.testing.assert_allclose(ours.on_policy_values, theirs.on_policy_values, atol=1e-12 * scale)
    certificate = cce_gap(tree, policies, joint)
    assert certificate.value == pytest.approx(theirs.dist_value, abs=1e-11 * scale)
    np.testing.assert_allclose(certificate.per_player, ours.gains, atol=1e-13 * scale)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", GAMES)
def test_ce_values_agree_with_openspiel(name, kind, tree_of, turn_based, open_spiel_table):
    """No two strategies of a seat are copies here, except where it has none to tell apart."""
    tree = tree_of(name)
    policies, joint = strategies_of(tree, kind, 3), joint_of(tree, 4)
    for player, own in enumerate(policies):
        rows = own[:, tree.infoset_player == player].reshape(len(own), -1)
        if len(np.unique(rows, axis=0)) < len(own):
            policies[player] = own[:1].repeat(len(own), axis=0)
            joint = joint.sum(axis=player, keepdims=True) * np.eye(len(own))[0].reshape(
                [-1 if axis == player else 1 for axis in range(joint.ndim)]
            )
    theirs = by_open_spiel(
        tree, turn_based(name), policies, joint, pyspiel.ce_dist, open_spiel_table
    )
    ours = correlated_gains(tree, plans_of(tree, policies), joint, concept="ce")
    scale = max(1.0, tree.payoff_range)
    np.testing.assert_allclose(ours.best_values, theirs.best_response_values, atol=1e-12 * scale)
    np.testing.assert_allclose(ours.on_policy_values, theirs.on_policy_values, atol=1e-12 * scale)
    assert ce_gap(tree, policies, joint).value == pytest.approx(
        theirs.dist_value, abs=1e-11 * scale
    )


@pytest.mark.parametrize("ties", ["lowest", "uniform"])
@pytest.mark.parametrize("concept", ["cce", "ce"])
@pytest.mark.parametrize("name", ["kuhn_poker", "kuhn_poker(players=3)", "sheriff(num_rounds=1)"])
def test_responses_earn_what_is_claimed_against_the_draw(name, concept, ties, tree_of):
    """Summed profile by profile, per advice, and no other strategy earns more."""
    tree = tree_of(name)
    policies, joint = strategies_of(tree, "mixed", 5), joint_of(tree, 6)
    found = correlated_gains(tree, plans_of(tree, policies), joint, concept=concept, responses=ties)
    others = np.random.default_rng(7).dirichlet(
        np.ones(tree.num_actions), size=(5, tree.num_infosets)
    )
    others = np.where(tree.legal_mask, others, 0.0)
    others /= others.sum(axis=2, keepdims=True)
    for player, seat in enumerate(found.deviations):
        assert seat.policies.shape == (len(seat.advice), tree.num_infosets, tree.num_actions)
        if concept == "cce":
            assert seat.advice.tolist() == [-1]
        for i, advice in enumerate(seat.advice):
            heard = joint.copy()
            if concept == "ce":
                heard[:] = 0.0
                kept = (slice(None),) * player + (advice,)
                heard[kept] = joint[kept]
            assert heard.sum() == pytest.approx(seat.probability[i], abs=1e-15)
            value = against_draw(tree, policies, heard, player, seat.policies[i])
            assert value == pytest.approx(seat.best_values[i], abs=1e-12)
            for other in (*others, *policies[player]):
                assert against_draw(tree, policies, heard, player, other) <= value + 1e-12
        assert seat.best_values.sum() == pytest.approx(found.best_values[player], abs=1e-13)
        assert seat.gains.sum() == pytest.approx(found.gains[player], abs=1e-12)


def test_best_value_is_that_of_the_best_pure_strategy(tree_of):
    """All 2^6 pure strategies of a seat of Kuhn poker, profile by profile."""
    tree = tree_of("kuhn_poker")
    policies, joint = strategies_of(tree, "stochastic", 8), joint_of(tree, 9)
    found = correlated_gains(tree, plans_of(tree, policies), joint)
    for player in range(2):
        own = np.flatnonzero(tree.infoset_player == player)
        pure = tree.uniform_policy()
        values = []
        for actions in itertools.product(range(2), repeat=len(own)):
            pure[own] = np.eye(2)[list(actions)]
            values.append(against_draw(tree, policies, joint, player, pure))
        assert found.best_values[player] == pytest.approx(max(values), abs=1e-13)


@pytest.mark.parametrize("name", ["kuhn_poker(players=3)", "kuhn_poker(players=4)", "leduc_poker"])
def test_cce_response_is_the_best_response_to_the_joint_coplayers(name, tree_of, random_policies):
    """The pass over products of plans and the one over weights of terminals are the same."""
    tree = tree_of(name)
    policies = random_policies(tree, 10, 3)
    shape = (3,) * tree.num_players
    joint = np.random.default_rng(11).dirichlet(np.ones(3**tree.num_players)).reshape(shape)
    plans = [realization_plan(tree, policies)] * tree.num_players
    for ties in ("lowest", "uniform"):
        found = correlated_gains(tree, plans, joint, responses=ties)
        for player, seat in enumerate(found.deviations):
            weights = coplayer_weights(tree, policies, player, joint.sum(axis=player))
            expected = best_response(tree, player, weights, ties=ties)
            assert seat.best_values[0] == pytest.approx(float(expected.value), abs=1e-12)
            np.testing.assert_allclose(seat.policies[0], expected.policy, atol=1e-15)


@pytest.mark.parametrize("name", ["kuhn_poker", "kuhn_poker(players=3)", "goofspiel(num_cards=3)"])
def test_independent_draws_give_the_gains_of_the_mixture(name, tree_of, random_policies):
    tree = tree_of(name)
    policies = random_policies(tree, 12, 3)
    weights = np.random.default_rng(13).dirichlet(np.ones(3), size=tree.num_players)
    joint = np.ones(())
    for own in weights:
        joint = joint[..., None] * own
    found = correlated_gains(tree, [realization_plan(tree, policies)] * tree.num_players, joint)
    mixture = mix(tree, policies, weights)
    np.testing.assert_allclose(found.gains, gains(tree, mixture), atol=1e-12)
    np.testing.assert_allclose(found.on_policy_values, expected_returns(tree, mixture), atol=1e-12)


@functools.cache
def kuhn_of_three():
    """Hypothesis takes no fixture that is made anew for every test."""
    return compile_open_spiel("kuhn_poker(players=3)", cache=False)


@given(seed=st.integers(0, 10**6), concentration=st.floats(0.05, 2.0))
def test_order_copies_and_coarseness(seed, concentration):
    """Renumbering strategies or splitting one into copies changes no CCE gain; hearing one's advice
    never hurts a deviator; under `"ce"` no gain is negative; payoffs give the same returns."""
    tree = kuhn_of_three()
    rng = np.random.default_rng(seed)
    policies = strategies_of(tree, "mixed", seed)
    sizes = tuple(map(len, policies))
    joint = rng.dirichlet(np.full(int(np.prod(sizes)), concentration)).reshape(sizes)
    plans = plans_of(tree, policies)
    found = correlated_gains(tree, plans, joint)
    order = [rng.permutation(size) for size in sizes]
    shuffled = correlated_gains(
        tree, [own[k] for own, k in zip(plans, order, strict=True)], joint[np.ix_(*order)]
    )
    np.testing.assert_allclose(shuffled.gains, found.gains, atol=1e-13)
    share = rng.uniform(size=joint[:1].shape)
    split = np.concatenate([joint[:1] * share, joint[1:], joint[:1] * (1 - share)])
    copied = [np.concatenate([plans[0], plans[0][:1]]), *plans[1:]]
    np.testing.assert_allclose(correlated_gains(tree, copied, split).gains, found.gains, atol=1e-13)
    told = correlated_gains(tree, plans, joint, concept="ce")
    assert (told.gains >= -1e-13).all()
    assert (told.best_values >= found.best_values - 1e-13).all()
    for seat in told.deviations:
        assert (seat.gains >= -1e-13).all()
    tensor = payoffs(tree, policies)
    expected = np.tensordot(joint, tensor, axes=(range(3), range(3)))
    np.testing.assert_allclose(found.on_policy_values, expected, atol=1e-13)
    np.testing.assert_allclose(returns_of_joint(tree, plans, joint), expected, atol=1e-13)


def pure_strategies(tree):
    """Every action of a one-shot game as a strategy, per seat."""
    found = []
    for player in range(tree.num_players):
        row = int(np.flatnonzero(tree.infoset_player == player)[0])
        own = np.tile(tree.uniform_policy(), (int(tree.legal_mask[row].sum()), 1, 1))
        own[:, row] = 0.0
        for action in range(len(own)):
            own[action, row, action] = 1.0
        found.append(own)
    return found


def test_chicken_by_hand():
    """Aumann (1974): dare/dare 0, dare/yield 7 and 2, yield/yield 6.

    One third each on everything but dare/dare is a correlated equilibrium worth 5. Uniform over all
    four profiles is worth 15/4 and daring against a coin flip 7/2, yielding 4: a gain of 1/4 for
    each seat as a coarse deviation. Told to dare, yielding earns 4 instead of 7/2 half of the time:
    1/4 again; told to yield, 4 is already best.
    """
    tree = NormalForm(np.array([[[0, 0], [7, 2]], [[2, 7], [6, 6]]], np.float64)).to_tree()
    strategies = pure_strategies(tree)
    light = np.array([[0, 1], [1, 1]]) / 3
    for gap in (cce_gap, ce_gap):
        assert gap(tree, strategies, light).value == pytest.approx(0.0, abs=1e-14)
        np.testing.assert_allclose(
            gap(tree, strategies, np.full((2, 2), 0.25)).per_player, [0.25, 0.25], atol=1e-14
        )
    found = correlated_gains(
        tree, plans_of(tree, strategies), np.full((2, 2), 0.25), concept="ce", responses="lowest"
    )
    np.testing.assert_allclose(found.on_policy_values, [3.75, 3.75], atol=1e-14)
    np.testing.assert_allclose(found.deviations[0].gains, [0.25, 0.0], atol=1e-14)
    row = int(np.flatnonzero(tree.infoset_player == 0)[0])
    np.testing.assert_array_equal(found.deviations[0].policies[:, row], [[0, 1], [0, 1]])


def test_signed_gains_are_reported_and_positive_parts_summed():
    """Both seats like to agree (1 or nothing), seat 1 also has a safe third action worth 3/4.

    The joint agrees on a fair coin. Seat 0 would earn 1/2 by deciding beforehand: gain -1/2. Seat 1
    gains 3/4 - 1 = -1/4. With a safe action worth 2 it gains 1, and the gap is 1, not 1/2.
    """
    for safe, expected in ((0.75, [-0.5, -0.25]), (2.0, [-0.5, 1.0])):
        table = np.zeros((2, 3, 2))
        table[0, 0] = table[1, 1] = 1.0
        table[:, 2, 1] = safe
        tree = NormalForm(table).to_tree()
        joint = np.array([[0.5, 0, 0], [0, 0.5, 0]])
        certificate = cce_gap(tree, pure_strategies(tree), joint)
        np.testing.assert_allclose(certificate.per_player, expected, atol=1e-14)
        assert certificate.value == pytest.approx(sum(max(g, 0) for g in expected), abs=1e-14)
        assert certificate.quantity == "cce_gap"


def test_correlation_is_not_the_product_of_marginals():
    """Three seats; seat 0 wins 1 for naming the common bit of the other two, else nothing.

    If they flip one coin, no commitment beats 1/2. If they flip two, bits differ half of the time.
    """
    table = np.zeros((2, 2, 2, 3))
    table[0, 0, 0, 0] = table[1, 1, 1, 0] = 1.0
    tree = NormalForm(table).to_tree()
    strategies = pure_strategies(tree)
    one_coin, two_coins = np.zeros((2, 2, 2)), np.zeros((2, 2, 2))
    one_coin[0, 0, 0] = one_coin[0, 1, 1] = 0.5
    two_coins[0] = 0.25
    plans = plans_of(tree, strategies)
    assert correlated_gains(tree, plans, one_coin).best_values[0] == pytest.approx(0.5, abs=1e-15)
    assert correlated_gains(tree, plans, two_coins).best_values[0] == pytest.approx(0.25, abs=1e-15)


def test_hidden_draw_is_kept_during_the_game(tree_of):
    """A responder may learn from what it sees which profile was drawn.

    In Kuhn poker seat 0's strategies are "always bet" and "bet with the jack only". Facing a bet,
    a per-state average would bet half of the time with each better card; the exact response to the
    draw is the one to the mixture of the plans.
    """
    tree = tree_of("kuhn_poker")
    always = np.tile([0.0, 1.0], (tree.num_infosets, 1))
    jack = np.tile([1.0, 0.0], (tree.num_infosets, 1))
    jack[tree.infoset_name.index("0")] = [0.0, 1.0]
    policies = [np.stack([always, jack]), tree.uniform_policy()[None]]
    joint = np.array([[0.5], [0.5]])
    found = correlated_gains(tree, plans_of(tree, policies), joint, responses="lowest")
    pure = found.deviations[1].policies[0]
    value = against_draw(tree, policies, joint, 1, pure)
    averaged = tree.uniform_policy()
    own = tree.infoset_player == 0
    averaged[own] = 0.5 * (always + jack)[own]
    averaged[~own] = pure[~own]
    assert value == pytest.approx(found.best_values[1], abs=1e-14)
    assert abs(expected_returns(tree, averaged)[1] - value) > 1e-3


def test_responses_where_all_actions_tie(tree_of):
    """Against an opponent that never bets, what follows a bet never happens."""
    tree = tree_of("kuhn_poker")
    never = np.tile([1.0, 0.0], (tree.num_infosets, 1))
    policies = [never[None], never[None]]
    joint = np.ones((1, 1))
    rows = [tree.infoset_name.index(name) for name in ("0pb", "1pb", "2pb")]
    for ties, expected in (("lowest", [1.0, 0.0]), ("uniform", [0.5, 0.5])):
        found = correlated_gains(tree, plans_of(tree, policies), joint, responses=ties)
        np.testing.assert_array_equal(found.deviations[0].policies[0][rows], [expected] * 3)


def test_advice_without_mass_is_never_heard(tree_of):
    tree = tree_of("kuhn_poker")
    policies = strategies_of(tree, "deterministic", 14)
    joint = np.array([[0.25, 0.0], [0.0, 0.0], [0.5, 0.25]])
    found = correlated_gains(tree, plans_of(tree, policies), joint, concept="ce")
    assert found.deviations[0].advice.tolist() == [0, 2]
    np.testing.assert_allclose(found.deviations[0].probability, [0.25, 0.75])
    assert found.deviations[1].advice.tolist() == [0, 1]
    assert found.deviations[0].policies is None


def test_known_returns_are_taken_over(tree_of):
    tree = tree_of("kuhn_poker(players=3)")
    policies, joint = strategies_of(tree, "stochastic", 15), joint_of(tree, 16)
    plans = plans_of(tree, policies)
    known = np.tensordot(joint, payoffs(tree, policies), axes=(range(3), range(3)))
    for concept in ("cce", "ce"):
        np.testing.assert_allclose(
            correlated_gains(tree, plans, joint, concept=concept, on_policy_values=known).gains,
            correlated_gains(tree, plans, joint, concept=concept).gains,
            atol=1e-13,
        )


def test_meaningless_joints_are_refused(tree_of):
    tree = tree_of("kuhn_poker")
    policies = strategies_of(tree, "deterministic", 17)
    with pytest.raises(ValueError, match=r"joint has shape \(2, 3\).*\(3, 2\) strategies"):
        cce_gap(tree, policies, np.full((2, 3), 1 / 6))
    with pytest.raises(ValueError, match="joint must sum to 1"):
        cce_gap(tree, policies, np.full((3, 2), 0.2))
    with pytest.raises(ValueError, match="non-negative"):
        ce_gap(tree, policies, np.array([[1.5, -0.5], [0, 0], [0, 0]]))
    with pytest.raises(ValueError, match="sum to 1"):
        ce_gap(tree, [1.4 * policies[0], policies[1]], np.full((3, 2), 1 / 6))
