"""One stream of random numbers per lane as plain arrays: any set of lanes draws in a few array
passes.

The stream of a lane is SplitMix64 (Steele, Lea and Flood 2014, with Stafford's thirteenth mix): a
finaliser applied to a counter times an odd constant. It is a function of the lane's seed and of the
number of draws alone.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int, UInt64

_INCREMENT = np.uint64(0x9E3779B97F4A7C15)
_FIRST_FACTOR = np.uint64(0xBF58476D1CE4E5B9)
_SECOND_FACTOR = np.uint64(0x94D049BB133111EB)


class LaneStreams(NamedTuple):
    """The streams of `B` lanes; `position` is changed in place.

    Attributes:
      position: the counter of each lane, which every draw raises by a constant.
    """

    position: UInt64[np.ndarray, "B"]

    def uniform(self, lanes: Int[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
        """Draws one number in [0, 1) for each of some different lanes, with 53 random bits."""
        position = self.position[lanes] + _INCREMENT
        self.position[lanes] = position
        return (_mix(position) >> np.uint64(11)) * 2.0**-53

    def uniforms(self, lanes: Int[np.ndarray, "n"], count: int) -> Float64[np.ndarray, "n count"]:
        """Draws `count` numbers in [0, 1) for each of some different lanes: those of as many calls
        of `uniform`.
        """
        steps = np.arange(1, count + 1, dtype=np.uint64) * _INCREMENT
        position = self.position[lanes][:, None] + steps
        self.position[lanes] = position[:, -1]
        return (_mix(position) >> np.uint64(11)) * 2.0**-53


def make_streams(seeds: UInt64[np.ndarray, "B"]) -> LaneStreams:
    """Starts one stream per seed; neighbouring seeds start at unrelated counters."""
    return LaneStreams(_mix(seeds))


def _mix(bits: UInt64[np.ndarray, "..."]) -> UInt64[np.ndarray, "..."]:
    bits = (bits ^ (bits >> np.uint64(30))) * _FIRST_FACTOR
    bits = (bits ^ (bits >> np.uint64(27))) * _SECOND_FACTOR
    return bits ^ (bits >> np.uint64(31))
