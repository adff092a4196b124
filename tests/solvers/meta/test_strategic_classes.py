"""Classes of strategies that nobody can tell apart."""

import numpy as np

from solvers.meta.strategic_classes import strategic_classes, without_copies


def test_copies_of_every_player_are_found_and_removed():
    rng = np.random.default_rng(0)
    game = rng.normal(size=(3, 2, 2, 3))
    copied = game[[0, 1, 0, 2, 1]][:, [0, 1, 1]]
    classes = strategic_classes(copied)
    assert [own.member.tolist() for own in classes] == [[0, 1, 0, 2, 1], [0, 1, 1], [0, 1]]
    assert [own.first.tolist() for own in classes] == [[0, 1, 3], [0, 1], [0, 1]]
    assert np.array_equal(without_copies(copied, classes), game)
    assert classes[0].totals(np.array([1.0, 2, 4, 8, 16])).tolist() == [5, 18, 8]


def test_strategies_that_differ_for_others_only_are_no_copies():
    """The row player is indifferent; what it plays matters to the other one."""
    game = np.zeros((2, 2, 2))
    game[1, 0, 1] = 1.0
    assert strategic_classes(game)[0].member.tolist() == [0, 1]


def test_a_negative_zero_is_a_zero():
    game = np.zeros((2, 1, 2))
    game[1] = -0.0
    assert strategic_classes(game)[0].member.tolist() == [0, 0]
