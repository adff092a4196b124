"""Random numbers per lane: the published generator, independence of lanes, uniformity."""

import numpy as np

from games.lane_streams import LaneStreams, make_streams


def test_numbers_are_those_of_splitmix64():
    """The first outputs of SplitMix64 from state 1234567, as published with its C code's ports."""
    words = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    streams = LaneStreams(np.array([1234567], np.uint64))
    drawn = [float(streams.uniform(np.array([0]))[0]) for _ in words]
    assert drawn == [(word >> 11) / 2**53 for word in words]


def test_a_lane_draws_the_same_numbers_in_any_company():
    lanes = np.arange(50)
    together = make_streams(np.arange(50, dtype=np.uint64))
    rows = np.stack([together.uniform(lanes) for _ in range(20)])
    alone = make_streams(np.array([7], np.uint64))
    np.testing.assert_array_equal([alone.uniform(np.array([0]))[0] for _ in range(20)], rows[:, 7])
    some = make_streams(np.arange(50, dtype=np.uint64))
    for row in rows:
        order = np.array([31, 2, 7])
        np.testing.assert_array_equal(some.uniform(order), row[order])


def test_numbers_of_neighbouring_seeds_are_uniform_and_uncorrelated():
    """A million numbers: 6 standard errors for 20 cells, and for correlations with the next number
    and with the next seed; a false alarm has probability below 1e-7.
    """
    streams = make_streams(np.arange(1000, dtype=np.uint64))
    drawn = np.stack([streams.uniform(np.arange(1000)) for _ in range(1000)])
    assert drawn.min() >= 0 and drawn.max() < 1
    cells = np.histogram(drawn, 20, (0, 1))[0]
    assert (np.abs(cells - 50_000) < 6 * np.sqrt(1e6 * 0.05 * 0.95)).all()
    centred = (drawn - 0.5) * np.sqrt(12)
    for product in (centred[1:] * centred[:-1], centred[:, 1:] * centred[:, :-1]):
        assert abs(product.mean()) < 6 / np.sqrt(product.size)


def test_many_numbers_at_once_are_those_of_single_draws():
    lanes = np.array([4, 0])
    singly, at_once = (make_streams(np.arange(5, dtype=np.uint64)) for _ in range(2))
    rows = np.stack([singly.uniform(lanes) for _ in range(7)], axis=1)
    np.testing.assert_array_equal(at_once.uniforms(lanes, 7), rows)
    np.testing.assert_array_equal(at_once.uniform(np.arange(5)), singly.uniform(np.arange(5)))
