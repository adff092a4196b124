"""The payoff head: a small network from the strategies that play to the payoffs of all seats, so
that payoffs are read off without playing every profile (the payoff estimator of Liu et al. 2022,
arXiv 2202.07415, algorithm 5).

It is regressed on the returns of episodes, not on the critic's values, which are wrong where the
critic is. The squared error over episodes is, up to a constant, that over the mean returns of the
profiles, each weighted by its number of episodes: a gradient step takes in all episodes that still
count and costs as much as there are profiles.

A strategy enters by its row of the interaction graph and by an embedding of its index. The latter
starts from zero: of a strategy that has just got a row, the row tells all there is.
"""

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Float64

from games.types import GameInfo
from neupl.conditional_network import coplayer_marginals

EMBEDDING_SIZE, HIDDEN_SIZES = 32, (64, 64)
LEARNING_RATE = 3e-3
# Gradient steps of one call of `fit`.
FIT_STEPS = 50


class HeadState(NamedTuple):
    """Parameters of the network and of its optimiser."""

    params: Any
    optimizer: Any


class PayoffHead(NamedTuple):
    """Pure functions for one game. Payoffs are `[K, ..., K, P]` in game points, the `joint` rows of
    the interaction graph `[P, K, M]`.

    Attributes:
      init: `(key) -> state`; consumes `key`.
      predict: `(state, joint) -> payoffs`, in float64.
      fit: `(state, joint, count, payoffs) -> state`: some gradient steps on the mean returns of the
        profiles, from `count` `[K, ..., K]` episodes each.
      restart: `(state, strategy) -> state`: of a strategy that has got a new row.
    """

    init: Callable[[Any], HeadState]
    predict: Callable[..., Float64[np.ndarray, "..."]]
    fit: Callable[..., HeadState]
    restart: Callable[[HeadState, int], HeadState]


class PayoffNetwork(nn.Module):
    """What `arrange` makes the payoffs of all profiles of, in payoff ranges.

    Attributes:
      num_outputs: one per seat, or one alone for two seats whose payoffs are opposite.
      num_tables: tables of strategies: one per seat, or one for all.
    """

    num_outputs: int
    num_tables: int

    @nn.compact
    def __call__(self, joint: Float[Array, "P K M"]) -> Float[Array, "... N"]:
        """Returns `[K, ..., K, num_outputs]`."""
        num_players, num_strategies, _ = joint.shape
        # As in the conditional network: entries of a row shrink as the population grows.
        rows = coplayer_marginals(joint[: self.num_tables]) * math.sqrt(num_strategies)
        shape = (self.num_tables, num_strategies, EMBEDDING_SIZE)
        index = self.param("index_embedding", nn.initializers.zeros, shape)
        strategy = jnp.concatenate([rows, index], axis=-1)
        hidden = 0.0
        for seat in range(num_players):
            own = nn.Dense(HIDDEN_SIZES[0], name=f"seat_{seat}")(strategy[seat % self.num_tables])
            hidden = hidden + jnp.expand_dims(own, [s for s in range(num_players) if s != seat])
        hidden = nn.tanh(hidden)
        for layer, size in enumerate(HIDDEN_SIZES[1:]):
            hidden = nn.tanh(nn.Dense(size, name=f"hidden_{layer}")(hidden))
        small = nn.initializers.variance_scaling(1e-2, "fan_in", "normal")
        return nn.Dense(self.num_outputs, kernel_init=small, name="payoffs")(hidden)


def make_payoff_head(info: GameInfo, num_strategies: int, *, symmetric: bool) -> PayoffHead:
    """Builds the head of one game.

    Two-player zero-sum games have one output, the first seat's payoff; the second's is its
    negative. Other games have one per seat. With `symmetric`, where all seats use one table of
    strategies, payoffs move with the strategies when seats are exchanged; in a two-player zero-sum
    game they are then antisymmetric, and 0 where a strategy meets itself.

    Args:
      info: of the game.
      num_strategies: per seat.
      symmetric: whether all seats share one table of strategies.
    """
    players, zero_sum = info.num_players, info.utility == "zero_sum"
    opposed = players == 2 and zero_sum
    network = PayoffNetwork(
        num_outputs=1 if opposed else players, num_tables=1 if symmetric else players
    )
    middle = 0.0 if zero_sum else (info.min_return + info.max_return) / 2
    optimizer = optax.scale_by_adam(eps=1e-6)
    outputs = jax.jit(network.apply)

    def init(key: Any) -> HeadState:
        joint = jnp.zeros((players, num_strategies, num_strategies ** (players - 1)))
        params = jax.jit(network.init)(key, joint)
        return HeadState(params, optimizer.init(params))

    def predict(state: HeadState, joint: Any) -> Float64[np.ndarray, "..."]:
        # In float64 on the host, where what must be equal to the bit is.
        found = np.asarray(outputs(state.params, jnp.asarray(joint, jnp.float32)), np.float64)
        return middle + info.payoff_range * arrange(found, opposed=opposed, symmetric=symmetric)

    def loss(params: Any, joint: Array, weight: Array, target: Array) -> Array:
        found = arrange(network.apply(params, joint), opposed=opposed, symmetric=symmetric)
        return (weight[..., None] * (found - target) ** 2).sum()

    @jax.jit
    def descend(state: HeadState, joint: Array, weight: Array, target: Array) -> HeadState:
        def step(carried: HeadState, rate: Array) -> tuple[HeadState, None]:
            gradient = jax.grad(loss)(carried.params, joint, weight, target)
            change, moments = optimizer.update(gradient, carried.optimizer)
            change = jax.tree.map(lambda leaf: -rate * leaf, change)
            return HeadState(optax.apply_updates(carried.params, change), moments), None

        # To zero every time, so that what is read off does not hang on the last step.
        rates = LEARNING_RATE * jnp.linspace(1.0, 0.0, FIT_STEPS, endpoint=False)
        return jax.lax.scan(step, state, rates)[0]

    def fit(state: HeadState, joint: Any, count: Any, payoffs: Any) -> HeadState:
        weight = count / max(count.sum(), 1.0)
        target = (payoffs - middle) / info.payoff_range
        return descend(state, *(jnp.asarray(x, jnp.float32) for x in (joint, weight, target)))

    return PayoffHead(init=init, predict=predict, fit=fit, restart=_restart)


def arrange(
    outputs: Float[Array | np.ndarray, "... N"], *, opposed: bool, symmetric: bool
) -> Float[Array | np.ndarray, "... P"]:
    """Payoffs `[K, ..., K, P]` of the outputs of a network, JAX or NumPy.

    Args:
      outputs: `[K, ..., K, P]`, or `[K, K, 1]` where two seats are opposed.
      opposed: whether the second of two seats gets the negative of the first one's.
      symmetric: whether to average over the permutations of seats, strategies and all.
    """
    payoffs = outputs * np.array([1.0, -1.0], outputs.dtype) if opposed else outputs
    if not symmetric:
        return payoffs
    num_players = payoffs.shape[-1]
    total = sum(
        payoffs.transpose(*seats, num_players)[..., np.array(seats)]
        for seats in itertools.permutations(range(num_players))
    )
    return total / math.factorial(num_players)


def _restart(state: HeadState, strategy: int) -> HeadState:
    """Forgets the index of a strategy in all tables, and what the optimiser knew of it."""

    def forgotten(tree: Any) -> Any:
        index = np.array(tree["params"]["index_embedding"])
        index[:, strategy] = 0.0
        return {"params": {**tree["params"], "index_embedding": index}}

    moments = state.optimizer
    moments = moments._replace(mu=forgotten(moments.mu), nu=forgotten(moments.nu))
    return HeadState(forgotten(state.params), moments)
