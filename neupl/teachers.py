"""Whom a network is distilled from (`learner.teachers`): strategies of populations, one of which
holds at every observation.

Haarnoja et al. 2024 (arXiv 2304.13653) have two, of which one holds in a set U of upright states
and the other outside it. Here any function of the observation chooses among any number.
"""

import importlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from games.registry import is_dotted_path
from games.types import GameInfo, Policy
from neupl.action_distribution import action_distribution
from neupl.demonstrators import find_strategy
from neupl.errors import UserError
from neupl.learner_config import LearnerConfig
from neupl.member_policy import ContinuousMemberPolicy, MemberPolicy

Member = MemberPolicy | ContinuousMemberPolicy
KEY, CHOICE_KEY = "learner.teachers", "learner.teacher_choice"


class Teachers:
    """Strategies of seat 0 that teach, and who of them holds where."""

    def __init__(self, policies: tuple[Member, ...], choose: Any, info: GameInfo) -> None:
        """`policies` are members of populations with one strategy drawn, as numbered by
        `choose`, `(observation [O]) -> []` int, of which JAX can make a program.
        """
        self._policies = policies
        self._choose = jax.jit(jax.vmap(choose))
        self._distribution = action_distribution(info)
        self.together: Policy = _Together(policies, self._choose)

    @property
    def number(self) -> int:
        """How many there are."""
        return len(self._policies)

    def holding(self, observation: Float[np.ndarray, "N O"]) -> Int[np.ndarray, "N"]:
        """Who holds.

        Raises:
          UserError: the choice is none of the teachers.
        """
        found = np.asarray(self._choose(observation))
        if len(found) and not 0 <= found.min() <= found.max() < self.number:
            raise UserError(
                f"{CHOICE_KEY} chose teacher {found.min()} or {found.max()}: there are "
                f"0 to {self.number - 1}"
            )
        return found

    def parameters(
        self,
        observation: Float[np.ndarray, "N O"],
        legal: Bool[np.ndarray, "N A"],
        holding: Int[np.ndarray, "N"],
    ) -> Float[np.ndarray, "N D"]:
        """What whoever holds would do: parameters of action distributions."""
        every = [
            self._distribution.of_sink(
                policy.every(jnp.asarray(observation), jnp.asarray(legal))[policy.weights.argmax()]
            )
            for policy in self._policies
        ]
        return np.asarray(jnp.stack(every))[holding, np.arange(len(holding))]


class _Together:
    """All teachers as one policy, to be imitated: whoever holds plays."""

    def __init__(self, policies: tuple[Member, ...], choose: Any) -> None:
        self._policies, self._choose = policies, choose
        self._act = jax.jit(self._asked)

    def initial_memory(self, batch: int) -> tuple:
        """See `games.types.Policy`."""
        return tuple(policy.initial_memory(batch) for policy in self._policies)

    def act(
        self, memory: tuple, observation: Any, mask: Any, key: Any
    ) -> tuple[Array, Array, tuple]:
        """See `games.types.Policy`; each is given a key of its own."""
        return self._act(memory, observation, mask, key)

    def _asked(
        self, memory: tuple, observation: Any, mask: Any, key: Any
    ) -> tuple[Array, Array, tuple]:
        keys = jax.random.split(key, len(self._policies))
        found = [
            policy.act(own, observation, mask, own_key)
            for policy, own, own_key in zip(self._policies, memory, keys, strict=True)
        ]
        holding = self._choose(jnp.asarray(observation))
        lanes = jnp.arange(len(holding))
        actions, likely = (
            jnp.stack(part)[holding, lanes] for part in list(zip(*found, strict=True))[:2]
        )
        return actions, likely, tuple(after for _, _, after in found)


def load_teachers(settings: LearnerConfig, info: GameInfo) -> Teachers:
    """The teachers of a run. Of those with continuous actions the likeliest ones are imitated.

    Args:
      settings: `teachers` and `teacher_choice` are read.
      info: of the game that is learned from.

    Raises:
      UserError: the game has several players, there is no such strategy or function, it does not
        fit the game, or it has no distribution to teach.
    """
    if info.num_players != 1:
        raise UserError(
            f"{KEY} are given, but {info.name} has {info.num_players} players: what teachers are "
            "worth there hangs on whom they meet",
            hint="distil them in a game of one player, and let the population imitate what comes "
            "of it (learner.imitate)",
        )
    policies = tuple(_teacher(name, info) for name in settings.teachers)
    return Teachers(policies, _choice(settings.teacher_choice, info), info)


def _teacher(name: str, info: GameInfo) -> Member:
    if is_dotted_path(name):
        raise UserError(
            f"{KEY} has {name!r}, a script: only strategies of populations have means and standard "
            "deviations, or probabilities, to teach",
            hint="let a population imitate it first (learner.imitate), and name that population",
        )
    population, member = find_strategy(name, info, key=KEY)
    if population.network.memory != "none":
        raise UserError(
            f"{KEY} has {name!r}, whose network has a memory: what it would do where the student "
            "is does not follow from what is observed there"
        )
    return population.policy(member, seat=0, likeliest=info.continuous)


def _choice(name: str, info: GameInfo) -> Any:
    if not name:
        return lambda observation: jnp.zeros((), jnp.int32)
    module, _, function = name.partition(":")
    try:
        choose = getattr(importlib.import_module(module), function)
        seen = jax.ShapeDtypeStruct((info.observation_size[0],), np.float32)
        found = jax.eval_shape(choose, seen)
    except (ImportError, AttributeError, TypeError, IndexError, ValueError) as error:
        raise UserError(
            f"{CHOICE_KEY} is {name!r}, which is no function of one observation of {info.name} "
            f"that JAX can follow: {error}"
        ) from error
    if getattr(found, "shape", None) != () or not jnp.issubdtype(found.dtype, jnp.integer):
        raise UserError(f"{CHOICE_KEY} is {name!r}: it must return the number of a teacher")
    return choose
