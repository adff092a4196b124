"""The interaction graph of runs whose seats differ."""

import numpy as np

from neupl.graph_history import marginal_graphs


def test_seats_with_unequal_numbers_of_strategies_have_a_graph_each():
    joint = np.zeros((2, 3, 3))
    joint[0, :2] = [[0.5, 0.25, 0.25], [0, 0, 1]]
    joint[1] = [[1, 0, 0], [0.5, 0.5, 0], [0, 1, 0]]
    first, second = marginal_graphs(joint, (2, 3))
    np.testing.assert_array_equal(first.rows, joint[0, :2])
    np.testing.assert_array_equal(second.rows, joint[1, :, :2])
