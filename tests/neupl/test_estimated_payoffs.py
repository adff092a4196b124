"""Payoffs from episodes, with and without a head: how well they foretell what comes, how near they
are to exact ones, and what they forget.
"""

import jax
import numpy as np
import pytest

from games.tree_game import TreeGame
from neupl.payoff_head import make_payoff_head
from neupl.payoff_statistics import means, standard_errors

SIZE = 3


@pytest.mark.parametrize("payoffs", ["sampled", "learned"])
def test_new_episodes_are_foretold_before_they_count(case_of, payoffs):
    """By a loop over the profiles that got 16 new episodes or more, first seat alone: what was
    known before, and mean and spread of what came.
    """
    case = case_of(payoffs=payoffs) if payoffs == "learned" else case_of()
    carried = case.evaluator.observe(case.evaluator.begin(), case.play_batch())
    evaluation, after = case.evaluate(carried)
    before, range_ = carried.statistics, case.tables.tree.payoff_range
    prior = before.total.sum(axis=(0, 1)) / before.count.sum()
    known = means(before, prior)
    if payoffs == "learned":
        # As fitted to what was known, in the first of the two fits.
        seen = np.maximum(before.count, 1)[..., None]
        info, joint = TreeGame(case.tables.tree).info, case.objective.rows.joint
        head = make_payoff_head(info, SIZE, symmetric=False)
        fitted = head.fit(carried.head, joint, before.count, before.total / seen)
        known = head.predict(fitted, joint)
        assert (known != head.predict(after.head, joint)).any()
        np.testing.assert_array_equal(evaluation.payoffs, head.predict(after.head, joint))
    errors = standard_errors(before, prior, range_)
    differences, scales = [], []
    for cell in np.ndindex(SIZE, SIZE):
        count = after.statistics.count[cell] - before.count[cell]
        if count < 16:
            continue
        total, square = (
            float(getattr(after.statistics, part)[cell][0] - getattr(before, part)[cell][0])
            for part in ("total", "square")
        )
        differences.append(known[cell][0] - total / count)
        spread = np.sqrt((square - total**2 / count) / count)
        scales.append(np.hypot(errors[cell][0], spread / np.sqrt(count)))
    found = evaluation.calibration
    assert found.num == len(differences) > 2
    assert found.bias == pytest.approx(np.mean(differences), abs=1e-9)
    assert found.root_mean_square_error == pytest.approx(np.sqrt(np.mean(np.square(differences))))
    # The spread is taken from all episodes of the profile, old and new.
    assert found.expected_error == pytest.approx(np.sqrt(np.mean(np.square(scales))), rel=0.1)


def test_head_learns_the_exact_payoffs(case_of):
    """As near as the errors of the mean returns say, from the same episodes; antisymmetric to the
    bit; the measurement at the end is from new episodes alone, head or none.
    """
    case = case_of(payoffs="learned")
    carried = case.evaluator.begin()
    for round_ in range(12):
        carried = case.evaluator.observe(carried, case.play_batch(seed=round_))
        evaluation, carried = case.evaluate(carried, key=round_)
    difference = (evaluation.payoffs - case.exact_payoffs())[..., 0]
    errors = evaluation.payoff_errors[..., 0]
    assert np.sqrt((difference**2).mean()) < 1.5 * np.sqrt((errors**2).mean()) < 0.2
    np.testing.assert_array_equal(evaluation.payoffs[..., 0], -evaluation.payoffs[..., 1])
    key, rows = jax.random.key(7), case.objective.rows
    learned, plain = (
        c.evaluator.measure(case.params, rows, num_admitted=SIZE, key=key)
        for c in (case, case_of())
    )
    np.testing.assert_array_equal(plain.payoffs, learned.payoffs)
    assert plain.episodes == 2000 and (plain.payoffs != evaluation.payoffs).any()


def test_new_rows_start_the_head_over(case_of):
    case = case_of(payoffs="learned")
    carried = case.evaluator.observe(case.evaluator.begin(), case.play_batch())
    _, carried = case.evaluate(carried)
    before, after = (
        np.asarray(c.head.params["params"]["index_embedding"])
        for c in (carried, case.evaluator.restart(carried, 1))
    )
    assert before[:, 1].any() and not after[:, 1].any()
    np.testing.assert_array_equal(after[:, [0, 2]], before[:, [0, 2]])
