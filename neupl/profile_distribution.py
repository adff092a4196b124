"""A distribution over profiles of strategies of any kind, and who plays by it.

It is kept as a list of profiles with their probabilities. It may be a product of independent
mixtures (`concept` is `"nash"`) or correlated (`"cce"`, `"ce"`): then chance draws one profile for
all seats before the game, and no seat can play its part alone. What seats do separately is the
product of the marginals, another object with another gap.
"""

import functools
import math
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64, Int

from games.types import Policy
from neupl.errors import UserError
from neupl.member_policy import MemberPolicy

Concept = Literal["nash", "cce", "ce"]
QUANTITY = {"nash": "nash_conv", "cce": "cce_gap", "ce": "ce_gap"}

# Entries of a joint that are worth being written out as one array.
MAX_DENSE = 2**24
# How far a joint may be from the product of its marginals and still count as one.
PRODUCT_TOLERANCE = 1e-9


class ProfileDistribution:
    """What is the same for populations of tables and of networks.

    Attributes:
      game: what `games.load_game` accepts.
      method: how it was made.
      concept: what the joint is meant to be, which names the gap that certifies it.
      sizes: number of strategies of each seat `K_p`.
      profiles: `[N, P]` profiles that have probability.
      weights: `[N]` their probabilities.
    """

    game: str
    method: str
    concept: Concept
    sizes: tuple[int, ...]
    profiles: Int[np.ndarray, "N P"]
    weights: Float64[np.ndarray, "N"]

    @property
    def num_players(self) -> int:
        """Number of seats `P`."""
        return self.profiles.shape[1]

    @property
    def num_strategies(self) -> int:
        """The largest number of strategies of a seat `K`."""
        return max(self.sizes)

    @property
    def correlated(self) -> bool:
        """Whether the joint is one draw for all seats instead of independent mixtures."""
        return self.concept != "nash"

    @property
    def joint(self) -> Float64[np.ndarray, "..."]:
        """The distribution over profiles as one array `[K_0, ..., K_{P-1}]`.

        Raises:
          UserError: it would not fit; `profiles` and `weights` say the same.
        """
        if math.prod(self.sizes) > MAX_DENSE:
            raise UserError(
                f"the joint over {self.sizes} strategies is too large for one array",
                hint="read `profiles` and `weights` instead",
            )
        joint = np.zeros(self.sizes)
        np.add.at(joint, tuple(self.profiles.T), self.weights)
        return joint

    def marginal(self, seat: int) -> Float64[np.ndarray, "K"]:
        """How often the joint draws each strategy of a seat; says nothing about who meets whom."""
        self._check_seat(seat)
        return np.bincount(self.profiles[:, seat], self.weights, minlength=self.sizes[seat])

    @property
    def meta_strategy(self) -> Float64[np.ndarray, "P K"]:
        """Each seat's mixture; seats with fewer than `K` strategies end in zeros.

        Raises:
          UserError: the joint is correlated.
        """
        self._refuse_correlated("has no mixture per seat")
        mixture = np.zeros((self.num_players, self.num_strategies))
        for seat, size in enumerate(self.sizes):
            mixture[seat, :size] = self.marginal(seat)
        return mixture / mixture.sum(axis=1, keepdims=True)

    def draw_profile(self, generator: np.random.Generator) -> tuple[int, ...]:
        """Draws one strategy per seat from the joint, which each seat then plays to the end."""
        return tuple(self.profiles[generator.choice(len(self.weights), p=self.weights)].tolist())

    def policy(self, member: int | str, *, seat: int) -> Policy:
        """A strategy of a seat (or `"nash"`, its mixture in a product) as a `games.Policy`.

        Raises:
          ValueError: there is no such member or seat.
          UserError: `"nash"` of a correlated joint.
        """
        self._check_seat(seat)
        self._check_member(member, seat)
        if member == "nash":
            weights = self.meta_strategy[seat, : self.sizes[seat]]
        else:
            weights = np.eye(self.sizes[seat])[member]
        return MemberPolicy(self._table_fn(seat), jnp.asarray(weights, jnp.float32))

    def _is_product(self) -> bool:
        factors = [self.marginal(seat)[self.profiles[:, seat]] for seat in range(self.num_players)]
        product = functools.reduce(np.multiply, factors)
        # A product has its whole mass on the listed profiles, each with its own share.
        return bool(np.abs(product - self.weights).sum() <= PRODUCT_TOLERANCE)

    def _refuse_correlated(self, why: str) -> None:
        if self.correlated:
            raise UserError(
                f"the joint of this {self.method} population is correlated and {why}: the product "
                "of its marginals is another object",
                hint="draw a profile for all seats at once (`draw_profile`), and play its members",
            )

    def _check_member(self, member: int | str, seat: int) -> None:
        size = self.sizes[seat]
        if member == "nash":
            self._refuse_correlated("cannot be played by one seat alone")
        elif not (isinstance(member, int) and 0 <= member < size):
            raise ValueError(
                f"member of seat {seat} is {member!r}: it must be 'nash' or 0 to {size - 1}"
            )

    def _check_seat(self, seat: int) -> None:
        if not 0 <= seat < self.num_players:
            raise ValueError(f"seat is {seat}: {self.game} has seats 0 to {self.num_players - 1}")

    def _table_fn(self, seat: int) -> Any:
        """`(observation [B, O], mask [B, A]) -> [K_p, B, A]`: all strategies of a seat."""
        raise NotImplementedError
