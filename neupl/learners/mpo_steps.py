"""The two steps of MPO (Abdolmaleki et al. 2018, arXiv 1806.06920) at candidates: at every decision
`N` actions, each with what it is worth.

Candidates are all actions where these are ids, with the policy's own probabilities as weights, so
that sums over them are exact; where actions are continuous they are draws of the policy, all of the
same weight. What a candidate is worth is its value less temperature times its log-probability:
weights times worth add up to value plus temperature times entropy.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

# The multiplier of the E-step is looked for between these, in payoff ranges per nat.
LEAST_ETA, MOST_ETA, HALVINGS = 1e-5, 1e2, 30
# How fast the multipliers of the M-step's bounds grow or fall, a step, and where they end.
ALPHA_RATE, LEAST_ALPHA, MOST_ALPHA = 0.05, 1e-3, 1e3
# Weights of candidates that are none.
SILENT = -1e9


def improved_log_weights(
    log_weights: Float[Array, "*N C"],
    worth: Float[Array, "*N C"],
    temperature: Float[Array, "..."],
    there: Bool[Array, "*N C"],
    eta: Float[Array, ""],
) -> Float[Array, "*N C"]:
    """The E-step: what maximises value plus temperature times entropy minus `eta` times the
    divergence from the policy. For all actions, `softmax((Q + eta log pi) / (eta + tau))`.

    Args:
      log_weights: of the candidates under the policy.
      worth: what they are worth, in payoff ranges.
      temperature: weight of the entropy, tau; 0 is the paper's.
      there: which candidates are any.
      eta: multiplier of the bound.
    """
    scaled = log_weights + worth / (eta + temperature)
    return jax.nn.log_softmax(jnp.where(there, scaled, SILENT))


def find_eta(
    log_weights: Float[Array, "*N C"],
    worth: Float[Array, "*N C"],
    temperature: Float[Array, "..."],
    there: Bool[Array, "*N C"],
    *,
    weight: Float[Array, "*N"],
    bound: float,
) -> Float[Array, ""]:
    """The multiplier with which the improved policy diverges by `bound` nats from the policy, on
    the weighted mean; the least one where it never does. It minimises the dual of the E-step.
    """

    def diverges(eta: Array) -> Array:
        improved = improved_log_weights(log_weights, worth, temperature, there, eta)
        apart = jnp.where(there, jnp.exp(improved) * (improved - log_weights), 0.0).sum(axis=-1)
        return jnp.sum(weight * apart) / jnp.maximum(weight.sum(), 1.0)

    def halve(_: Array, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = 0.5 * (low + high)
        too_far = diverges(jnp.exp(middle)) > bound
        return jnp.where(too_far, middle, low), jnp.where(too_far, high, middle)

    ends = (jnp.log(jnp.float32(LEAST_ETA)), jnp.log(jnp.float32(MOST_ETA)))
    return jnp.exp(jax.lax.fori_loop(0, HALVINGS, halve, ends)[1])


def next_alpha(
    alpha: Float[Array, "*n"], movement: Float[Array, "*n"], *, bound: float
) -> Float[Array, "*n"]:
    """The multipliers of the M-step after a step: greater where the policy has moved too far."""
    excess = jnp.clip(movement / bound - 1.0, -1.0, 1.0)
    return jnp.clip(alpha * jnp.exp(ALPHA_RATE * excess), LEAST_ALPHA, MOST_ALPHA)


def retrace(
    value: Float[Array, "D L"],
    done: Float[Array, "D L"],
    ratio: Float[Array, "D L"],
    reward: Float[Array, "D L"],
    decided: Bool[Array, "D L"],
    *,
    trace: float,
) -> Float[Array, "D L"]:
    """Retrace targets of the values of what was done (Munos et al. 2016, arXiv 1606.02647, equation
    4), without discounting, in payoff ranges. The return of a decision holds the entropies of the
    seat's decisions after it.

    Args:
      value: of the target policy at each decision, its entropy there included.
      done: values of the actions that were done.
      ratio: their probabilities under the target policy, as a multiple of those they were done
        with.
      reward: what they brought until the next decision.
      decided: where there is a decision.
      trace: lambda; 0 takes one step.
    """
    kept = trace * jnp.minimum(1.0, ratio)

    def before(after: Array, at: tuple) -> tuple[Array, Array]:
        reward, value, kept, done, decided = at
        target = reward + after
        # What this decision lends to the one before; nothing where there is none.
        return jnp.where(decided, value + kept * (target - done), 0.0), target

    fields = (reward, value, kept, done, decided)
    return jax.lax.scan(before, jnp.zeros(reward.shape[1]), fields, reverse=True)[1]
