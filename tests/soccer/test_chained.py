"""Chained policies: who plays when, and what each of them remembers."""

import numpy as np

from soccer import observations
from soccer.chained import DOWN_LATELY, STEADY, Chained, by_being_down

GRAVITY = next(place for name, _, place in observations.layout() if name == "gravity[0]")


class Says:
    """Answers a number plus how often it has been asked since it began."""

    def __init__(self, number):
        self.number = number

    def initial_memory(self, batch):
        return np.zeros(batch)

    def act(self, memory, observation, mask, key):
        action = np.repeat((self.number + memory)[:, None], 20, axis=1)
        return action.astype(np.float32), np.zeros(len(memory), np.float32), memory + 1


def test_one_gets_up_until_the_robot_has_been_upright_for_a_while_and_begins_anew():
    """Lane 0 stands, falls at step 2, lies until step 3, and is upright from step 4 on; lane 1
    only leans, which is no fall.
    """
    policy = Chained(Says(100), Says(0))
    memory, said = policy.initial_memory(2), []
    tilts = [0.0, 0.1, 1.2, 1.5, *[0.1] * (STEADY + 2)]
    for tilt in tilts:
        seen = np.zeros((2, 267), np.float32)
        angles = np.array([tilt, 0.9])
        seen[:, GRAVITY] = np.stack([np.sin(angles), 0 * angles, -np.cos(angles)], axis=1)
        action, likely, memory = policy.act(memory, seen, None, None)
        assert action.shape == (2, 20) and likely.shape == (2,)
        said.append(action[:, 0])
    lies = 2 + STEADY - 1
    expected = [0, 1, *(100 + np.arange(lies)), *range(len(tilts) - 2 - lies)]
    np.testing.assert_array_equal([row[0] for row in said], expected)
    np.testing.assert_array_equal([row[1] for row in said], range(len(tilts)))


def test_who_teaches_is_chosen_by_the_greatest_tilt_that_is_shown():
    """Upright at all five moments; down now; down at the oldest moment; leaning just less, as it
    may while it walks.
    """
    gravities = [place for name, _, place in observations.layout() if name.startswith("gravity[")]
    assert len(gravities) == observations.HISTORY
    chosen = []
    for tilts in ([0.1] * 5, [1.2, *[0.1] * 4], [*[0.1] * 4, 0.5], [DOWN_LATELY - 0.01] * 5):
        seen = np.zeros(267, np.float32)
        for place, tilt in zip(gravities, tilts, strict=True):
            seen[place] = (np.sin(tilt), 0, -np.cos(tilt))
        chosen.append(int(by_being_down(seen)))
    assert chosen == [1, 0, 0, 1]
