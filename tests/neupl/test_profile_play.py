"""Parts of the episodes of an evaluation, by hand."""

import jax
import numpy as np

from neupl.population_actor import Seen
from neupl.profile_play import PlayedPart, cut, joined, waves

KEY = jax.random.key(3)


def profiles_of(number: int) -> np.ndarray:
    return np.arange(2 * number).reshape(number, 2)


def test_parts_are_of_one_size_with_keys_of_their_own():
    """Seven episodes by three: the last part is filled up from the beginning."""
    parts = cut(profiles_of(7), KEY, lanes=3, probes=8)
    np.testing.assert_array_equal(
        np.concatenate([part.profiles for part in parts]),
        np.concatenate([profiles_of(7), profiles_of(2)]),
    )
    assert [len(part.profiles) for part in parts] == [3, 3, 3]
    assert [part.probes for part in parts] == [2, 3, 3]
    assert len({part.key.tobytes() for part in parts}) == 3


def test_one_part_is_all_there_is():
    """So a run in one piece is what it was before there were parts."""
    (part,) = cut(profiles_of(7), KEY, lanes=9, probes=4)
    np.testing.assert_array_equal(part.profiles, profiles_of(7))
    np.testing.assert_array_equal(part.key, jax.random.key_data(KEY))
    assert part.probes == 4


def test_what_was_filled_up_is_left_out():
    def played(first: int, probes: int) -> PlayedPart:
        seen = Seen(
            np.full((probes, 1), first), np.ones((probes, 1), bool), *[np.zeros(probes)] * 2
        )
        returns = np.arange(first, first + 3.0)[:, None]
        return PlayedPart(returns, seen if probes else None, None)

    found = joined([played(0, 2), played(3, 0), played(6, 1)], 7)
    np.testing.assert_array_equal(found.returns[:, 0], np.arange(7))
    np.testing.assert_array_equal(found.probes.observation[:, 0], [0, 0, 6])
    assert found.recall is None and joined([played(0, 0)], 3).probes is None


def test_waves_grow_as_far_as_parts_allow():
    assert waves(1000, first=200, parts=1) == [200] * 5
    assert waves(1000, first=200, parts=3) == [200, 200, 400, 200]
    assert waves(2600, first=200, parts=3) == [200, 200, 400, 600, 600, 600]
    assert waves(150, first=200, parts=8) == [150]
