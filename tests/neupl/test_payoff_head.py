"""The payoff head: what it can say by construction, what it learns, and what it forgets."""

import itertools

import jax
import numpy as np
import pytest

from games.types import GameInfo
from neupl.payoff_head import arrange, make_payoff_head

SIZE = 3


def make_info(num_players=2, utility="zero_sum", least=-2.0, greatest=2.0):
    ones = (1,) * num_players
    return GameInfo("a game", num_players, ones, ones, utility, True, least, greatest, 1)


def make_joint(rng, num_players, size=SIZE):
    profiles = size ** (num_players - 1)
    return rng.dirichlet(np.ones(profiles), size=(num_players, size))


def fitted(head, joint, count, payoffs, *, times=30):
    state = head.init(jax.random.key(0))
    for _ in range(times):
        state = head.fit(state, joint, count, payoffs)
    return state


def test_opposed_and_symmetric_outputs_by_hand():
    """The output 5 at (0, 1) and 1 at (1, 0): the first seat gets (5 - 1) / 2 = 2 at (0, 1), the
    second -2; a strategy gets 0 from itself, whatever the outputs there.
    """
    outputs = np.array([[7.0, 5.0], [1.0, -3.0]])[..., None]
    opposed = arrange(outputs, opposed=True, symmetric=False)
    np.testing.assert_array_equal(opposed[0, 1], [5, -5])
    found = arrange(outputs, opposed=True, symmetric=True)
    np.testing.assert_array_equal(found, [[[0, 0], [2, -2]], [[-2, 2], [0, 0]]])


def test_exchanged_seats_exchange_payoffs():
    """Three seats: whoever plays strategy k where the others play l and m gets the same."""
    outputs = np.random.default_rng(0).normal(size=(SIZE,) * 3 + (3,))
    found = arrange(outputs, opposed=False, symmetric=True)
    for profile in itertools.product(range(SIZE), repeat=3):
        for seats in itertools.permutations(range(3)):
            moved = tuple(profile[seat] for seat in seats)
            np.testing.assert_allclose(found[moved], found[profile][list(seats)], atol=1e-15)
    # The average over all six: by hand for one profile and the seat that plays 0.
    same = [outputs[0, 1, 2, 0], outputs[0, 2, 1, 0], outputs[1, 0, 2, 1], outputs[2, 0, 1, 1],
            outputs[1, 2, 0, 2], outputs[2, 1, 0, 2]]  # fmt: skip
    np.testing.assert_allclose(found[0, 1, 2, 0], np.mean(same))


@pytest.mark.parametrize("symmetric", [True, False])
def test_zero_sum_payoffs_are_opposite_to_the_bit(symmetric):
    """Where seats share a table they are antisymmetric in the strategies as well; else not."""
    rng = np.random.default_rng(1)
    head = make_payoff_head(make_info(), SIZE, symmetric=symmetric)
    joint = make_joint(rng, 2)
    first = rng.normal(size=(SIZE, SIZE))
    state = fitted(head, joint, np.ones((SIZE, SIZE)), np.stack([first, -first], -1), times=3)
    payoffs = head.predict(state, joint)
    assert payoffs.dtype == np.float64 and len(np.unique(np.abs(payoffs))) > SIZE
    np.testing.assert_array_equal(payoffs[..., 1], -payoffs[..., 0])
    if symmetric:
        np.testing.assert_array_equal(payoffs[..., 0], -payoffs[..., 0].T)
        np.testing.assert_array_equal(np.diagonal(payoffs[..., 0]), 0)
    else:
        assert np.abs(payoffs[..., 0] + payoffs[..., 0].T).max() > 0.1


@pytest.mark.parametrize(
    ("num_players", "utility"), [(2, "zero_sum"), (2, "general_sum"), (3, "general_sum")]
)
def test_any_payoffs_can_be_learned(num_players, utility):
    """Of games far from zero too, every seat with an output of its own."""
    rng = np.random.default_rng(2)
    middle = 0.0 if utility == "zero_sum" else 100.0
    info = make_info(num_players, utility, middle - 2, middle + 2)
    head = make_payoff_head(info, SIZE, symmetric=False)
    joint = make_joint(rng, num_players)
    payoffs = middle + rng.uniform(-2, 2, size=(SIZE,) * num_players + (num_players,))
    if utility == "zero_sum":
        payoffs[..., 1] = -payoffs[..., 0]
    count = rng.uniform(1, 3, size=(SIZE,) * num_players)
    found = head.predict(fitted(head, joint, count, payoffs), joint)
    np.testing.assert_allclose(found, payoffs, atol=0.05)


def test_profiles_that_were_not_played_are_inferred_from_the_others():
    """Skills 0 to 4 against each other earn the difference: what (0, 4) earns is known from all
    the rest, within a tenth of the range although no payoff as low was ever seen.
    """
    size = 5
    skill = np.linspace(-1, 1, size)
    first = skill[:, None] - skill[None, :]
    payoffs = np.stack([first, -first], axis=-1)
    head = make_payoff_head(make_info(), size, symmetric=False)
    joint = make_joint(np.random.default_rng(3), 2, size)
    count = np.ones((size, size))
    count[0, 4] = 0
    found = head.predict(fitted(head, joint, count, payoffs), joint)
    assert abs(found[0, 4, 0] - -2.0) < 0.4 and np.abs(found - payoffs)[count > 0].max() < 0.05
    # What stands at a profile without episodes is not read.
    expected = head.predict(fitted(head, joint, count, payoffs, times=2), joint)
    payoffs[0, 4] = 99.0
    found = head.predict(fitted(head, joint, count, payoffs, times=2), joint)
    np.testing.assert_array_equal(found, expected)


def test_new_strategies_are_known_by_their_rows_alone():
    """Two strategies that were told apart play alike once both have started over with equal rows;
    what is said of the others stays.
    """
    rng = np.random.default_rng(4)
    head = make_payoff_head(make_info(), SIZE, symmetric=False)
    joint = make_joint(rng, 2)
    joint[:, 2] = joint[:, 1]
    first = rng.normal(size=(SIZE, SIZE))
    state = fitted(head, joint, np.ones((SIZE, SIZE)), np.stack([first, -first], -1))
    before = head.predict(state, joint)
    assert np.abs(before[1] - before[2]).max() > 0.1
    once = head.restart(state, 2)
    after = head.predict(once, joint)
    np.testing.assert_array_equal(after[:2, :2], before[:2, :2])
    assert (after[2] != before[2]).any() and (after[:, 2] != before[:, 2]).any()
    both = head.predict(head.restart(once, 1), joint)
    np.testing.assert_allclose(both[1], both[2], atol=1e-6)
    np.testing.assert_allclose(both[:, 1], both[:, 2], atol=1e-6)
    # The optimiser has no memory of them either: without data nothing moves them.
    moments = once.optimizer
    for tree in (once.params, moments.mu, moments.nu):
        assert not np.asarray(tree["params"]["index_embedding"])[:, 2].any()
    assert np.asarray(moments.mu["params"]["index_embedding"])[:, 1].any()
