"""What the outputs of a policy network mean: probabilities of action ids, or a normal distribution
over vectors of numbers.

Everything that is the same for both (rollouts, learners, members of a population) asks one of the
two objects here. Their `parameters` are one row of numbers per decision: log-probabilities `[N, A]`
of ids, means and log standard deviations `[N, 2 A]` of numbers.

A continuous action is a diagonal normal variate, of which the game takes what lies between -1 and
1: unlike one that is squashed, it has its entropy and its divergences in closed form, which
temperature, teacher and mirror descent are made of. Its mean is squashed instead, so that it cannot
drift to where actions no longer change anything. Its standard deviations are outputs of the network
like the mean, bounded on both sides: a strategy is a row of the graph, not a set of parameters, so
that one without own parameters for its spread must get it from the network.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from games.types import GameInfo
from neupl.networks import masked_log_probs

# What a probability of zero counts as before its logarithm is taken.
TINY = 1e-30
# Standard deviations of continuous actions, in halves of their range: least, greatest, and at
# outputs of zero.
LEAST_STD, GREATEST_STD, FIRST_STD = 0.05, 1.0, 0.4

_LOG_LEAST, _LOG_GREATEST = float(np.log(LEAST_STD)), float(np.log(GREATEST_STD))
_FIRST_SHARE = (float(np.log(FIRST_STD)) - _LOG_LEAST) / (_LOG_GREATEST - _LOG_LEAST)
_FIRST_LOGIT = float(np.log(_FIRST_SHARE / (1 - _FIRST_SHARE)))
# Of the uniform distribution from -1 to 1.
_LOG_UNIFORM_STD = -0.5 * float(np.log(3.0))
_LOG_ROOT_TAU = 0.5 * float(np.log(2 * np.pi))


class Categorical:
    """Action ids, of which some are legal."""

    # How many of its parameters' parts move on their own; see `parts`.
    num_parts = 1

    def num_outputs(self, num_actions: int) -> int:
        """Numbers that a network gives for a decision."""
        return num_actions

    def parameters(
        self, outputs: Float[Array | np.ndarray, "*n A"], legal: Bool[Array | np.ndarray, "... A"]
    ) -> Float[Array | np.ndarray, "*n A"]:
        """Log-probabilities of unmasked logits."""
        return masked_log_probs(outputs, legal)

    def of_sink(self, played: Float[Array | np.ndarray, "N A"]) -> Float[Array | np.ndarray, "N A"]:
        """Log-probabilities of a fixed strategy's probabilities."""
        return jnp.log(jnp.maximum(played, TINY))

    def uniform(self, legal: Bool[Array | np.ndarray, "N A"]) -> Float[Array | np.ndarray, "N A"]:
        """All legal actions alike, as a fixed strategy plays them: probabilities."""
        return legal / legal.sum(axis=-1, keepdims=True)

    def played(
        self,
        parameters: Float[Array | np.ndarray, "*n A"],
        legal: Bool[Array | np.ndarray, "... A"],
    ) -> Float[Array | np.ndarray, "*n A"]:
        """What a fixed strategy would return to play the same: probabilities."""
        return jnp.where(legal, jnp.exp(parameters), 0.0)

    def silence(
        self, parameters: Float[Array | np.ndarray, "N A"], legal: Bool[Array | np.ndarray, "N A"]
    ) -> Float[Array | np.ndarray, "N A"]:
        """The same with illegal actions impossible."""
        return jnp.where(legal, parameters, -jnp.inf)

    def sample(
        self, parameters: Float[Array | np.ndarray, "N A"], key: Any
    ) -> Int[Array | np.ndarray, "N"]:
        """Draws actions of `silence`d parameters; consumes `key`."""
        return jax.random.categorical(key, parameters, axis=-1).astype(jnp.int32)

    def log_prob(
        self, parameters: Float[Array | np.ndarray, "N A"], action: Int[Array | np.ndarray, "N"]
    ) -> Array:
        """Log-probability of each action, in nats."""
        return jnp.take_along_axis(parameters, action[:, None], axis=1)[:, 0]

    def entropy(
        self, parameters: Float[Array | np.ndarray, "N A"], legal: Bool[Array | np.ndarray, "N A"]
    ) -> Float[Array | np.ndarray, "N"]:
        """In nats."""
        return -self.divergence(parameters, jnp.zeros_like(parameters), legal)

    def divergence(
        self,
        one: Float[Array | np.ndarray, "N A"],
        other: Float[Array | np.ndarray, "N A"],
        legal: Bool[Array | np.ndarray, "N A"],
    ) -> Float[Array | np.ndarray, "N"]:
        """KL of `other` from `one`, in nats; differentiable in both. Log-probabilities of 0
        everywhere as `other` give the negative entropy.
        """
        probabilities = self.played(one, legal)
        return jnp.sum(jnp.where(legal, probabilities * (one - other), 0.0), axis=1)

    def parts(
        self, new: Float[Array, "N A"], old: Float[Array, "N A"]
    ) -> tuple[Float[Array, "N A"], ...]:
        """`old` with one part after the other as in `new`: there is one alone."""
        return (new,)

    def distance(
        self, one: Float[np.ndarray, "N A"], other: Float[np.ndarray, "N A"]
    ) -> Float[np.ndarray, "N"]:
        """Total variation between what two strategies play (`played`), 0 to 1."""
        return 0.5 * np.abs(one - other).sum(axis=-1)


class Gaussian:
    """Vectors of `A` numbers, all of them legal: means in (-1, 1), then log standard deviations."""

    num_parts = 2

    def num_outputs(self, num_actions: int) -> int:
        """Numbers that a network gives for a decision."""
        return 2 * num_actions

    def parameters(
        self, outputs: Float[Array | np.ndarray, "*n D"], legal: Bool[Array | np.ndarray, "... A"]
    ) -> Float[Array | np.ndarray, "*n D"]:
        """Means and log standard deviations."""
        mean, spread = jnp.split(outputs, 2, axis=-1)
        share = jax.nn.sigmoid(spread + _FIRST_LOGIT)
        log_std = _LOG_LEAST + (_LOG_GREATEST - _LOG_LEAST) * share
        return jnp.concatenate([jnp.tanh(mean), log_std], axis=-1)

    def of_sink(self, played: Float[Array | np.ndarray, "N D"]) -> Float[Array | np.ndarray, "N D"]:
        """A fixed strategy returns means and log standard deviations itself."""
        return played

    def uniform(self, legal: Bool[Array | np.ndarray, "N A"]) -> Float[Array | np.ndarray, "N D"]:
        """Mean and standard deviation of the uniform distribution from -1 to 1."""
        nothing = jnp.zeros(legal.shape)
        return jnp.concatenate([nothing, nothing + _LOG_UNIFORM_STD], axis=-1)

    def played(
        self,
        parameters: Float[Array | np.ndarray, "*n D"],
        legal: Bool[Array | np.ndarray, "... A"],
    ) -> Float[Array | np.ndarray, "*n D"]:
        """What a fixed strategy would return to play the same."""
        return parameters

    def silence(
        self, parameters: Float[Array | np.ndarray, "N D"], legal: Bool[Array | np.ndarray, "N A"]
    ) -> Float[Array | np.ndarray, "N D"]:
        """The same: all actions are legal."""
        return parameters

    def sample(
        self, parameters: Float[Array | np.ndarray, "N D"], key: Any
    ) -> Float[Array | np.ndarray, "N A"]:
        """Draws actions; consumes `key`."""
        mean, log_std = jnp.split(parameters, 2, axis=-1)
        return mean + jnp.exp(log_std) * jax.random.normal(key, mean.shape)

    def log_prob(
        self, parameters: Float[Array | np.ndarray, "N D"], action: Float[Array | np.ndarray, "N A"]
    ) -> Array:
        """Log-density of each action, in nats."""
        mean, log_std = jnp.split(parameters, 2, axis=-1)
        normal = (action - mean) * jnp.exp(-log_std)
        return jnp.sum(-0.5 * normal**2 - log_std - _LOG_ROOT_TAU, axis=-1)

    def entropy(
        self, parameters: Float[Array | np.ndarray, "N D"], legal: Bool[Array | np.ndarray, "N A"]
    ) -> Float[Array | np.ndarray, "N"]:
        """Differential entropy, in nats."""
        _, log_std = jnp.split(parameters, 2, axis=-1)
        return jnp.sum(log_std + 0.5 + _LOG_ROOT_TAU, axis=-1)

    def divergence(
        self,
        one: Float[Array | np.ndarray, "N D"],
        other: Float[Array | np.ndarray, "N D"],
        legal: Bool[Array | np.ndarray, "N A"],
    ) -> Float[Array | np.ndarray, "N"]:
        """KL of `other` from `one`, in nats; differentiable in both."""
        mean, log_std = jnp.split(one, 2, axis=-1)
        other_mean, other_log_std = jnp.split(other, 2, axis=-1)
        narrower = jnp.exp(2 * (log_std - other_log_std))
        apart = ((mean - other_mean) * jnp.exp(-other_log_std)) ** 2
        return jnp.sum(other_log_std - log_std + 0.5 * (narrower + apart - 1), axis=-1)

    def parts(
        self, new: Float[Array, "N D"], old: Float[Array, "N D"]
    ) -> tuple[Float[Array, "N D"], ...]:
        """`old` with the means of `new`, and with its standard deviations."""
        (mean, log_std), (old_mean, old_log_std) = (jnp.split(x, 2, axis=-1) for x in (new, old))
        moved = ((mean, old_log_std), (old_mean, log_std))
        return tuple(jnp.concatenate(part, axis=-1) for part in moved)

    def distance(
        self, one: Float[np.ndarray, "N D"], other: Float[np.ndarray, "N D"]
    ) -> Float[np.ndarray, "N"]:
        """Hellinger distance between what two strategies do with one number of an action, mean over
        the numbers, 0 to 1.
        """
        mean, log_std = np.split(np.asarray(one, np.float64), 2, axis=-1)
        other_mean, other_log_std = np.split(np.asarray(other, np.float64), 2, axis=-1)
        variance = np.exp(2 * log_std) + np.exp(2 * other_log_std)
        overlap = np.sqrt(2 * np.exp(log_std + other_log_std) / variance)
        overlap *= np.exp(-0.25 * (mean - other_mean) ** 2 / variance)
        return np.sqrt(np.maximum(1 - overlap, 0.0)).mean(axis=-1)


ActionDistribution = Categorical | Gaussian

CATEGORICAL, GAUSSIAN = Categorical(), Gaussian()


def action_distribution(info: GameInfo) -> ActionDistribution:
    """What is chosen from in a game."""
    return GAUSSIAN if info.continuous else CATEGORICAL
