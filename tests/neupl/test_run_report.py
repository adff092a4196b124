"""The parts of a run's page that no run of the other tests needs."""

import numpy as np

from neupl.run_report import _graphs


def test_seats_with_unequal_numbers_of_strategies_have_a_graph_each():
    joint = np.zeros((2, 3, 3))
    joint[0, :2] = [[0.5, 0.25, 0.25], [0, 0, 1]]
    joint[1] = [[1, 0, 0], [0.5, 0.5, 0], [0, 1, 0]]
    first, second = _graphs({"joint": joint}, (2, 3))
    np.testing.assert_array_equal(first.rows, joint[0, :2])
    np.testing.assert_array_equal(second.rows, joint[1, :, :2])


def test_equal_seats_share_a_graph():
    joint = np.zeros((2, 2, 2))
    joint[:, 1, 0] = 1
    (only,) = _graphs({"joint": joint}, (2, 2))
    np.testing.assert_array_equal(only.rows, joint[0])
