"""A trained population: act with it, ask it, hand it to OpenSpiel. No trainer needed."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from games.game_tree import GameTree
from games.open_spiel_tree import observe_as_played
from games.registry import load_tree
from games.types import Policy
from neupl.action_distribution import CATEGORICAL, GAUSSIAN, ActionDistribution
from neupl.config import NetworkConfig
from neupl.errors import UserError
from neupl.fixed_strategy import fixed_strategy, is_fixed_strategy
from neupl.interaction_graph import first_equal_row
from neupl.member_policy import ContinuousMemberPolicy, MemberPolicy, RecurrentMemberPolicy
from neupl.networks import (
    make_network,
    memory_size,
    observation_size,
)
from neupl.opponent_readout import log_likelihoods, log_posterior, make_readout
from neupl.payoff_calibration import PayoffEstimates
from neupl.recurrent_network import Recall
from neupl.types import Rows
from solvers.sequence_form import mix

# A strategy by index, or the meta-strategy's mixture, drawn once per episode.
Member = int | Literal["nash"]


@dataclasses.dataclass(frozen=True, eq=False)
class Population:
    """`K` strategies per seat in one network, with the mixture over them that was certified.

    Attributes:
      game: what `games.load_game` accepts.
      num_players: number of seats `P`.
      num_actions: number of action ids `A`; of continuous actions, the length.
      symmetric: whether all seats share one table of strategies.
      sink: how strategy 0 plays: `"uniform"`, `"none"` (by the network), `"table"`, or the function
        at a path `"package.module:function"`.
      network: the network's configuration.
      params: the network's parameters.
      joint: `[P, K, M]` rows of the interaction graph.
      meta_strategy: `[P, K]` each seat's mixture.
      payoffs: `[K, ..., K, P]` in game points.
      step: gradient steps of training.
      num_nodes: size of the game tree; `None` where training only played.
      max_nodes: largest tree that the game may have to be compiled.
      observation_kind: where the observations come from that the network was trained on; `None`
        where training only played.
      sink_table: for `sink == "table"`: `player [S]`, `observation [S, O]`, `probabilities [S, A]`.
      simplex_share: how much of the training responded to random mixtures; see
        `neupl.simplex_sampling`.
      method: how it was trained, in words; see `neupl.payoff_source`.
      estimates: how the payoffs were estimated; `None` where they are exact.
      continuous: whether actions are vectors of numbers from -1 to 1.
    """

    game: str
    num_players: int
    num_actions: int
    symmetric: bool
    sink: str
    network: NetworkConfig
    params: Any
    joint: Float[np.ndarray, "P K M"]
    meta_strategy: Float[np.ndarray, "P K"]
    payoffs: Float[np.ndarray, "..."]
    step: int
    num_nodes: int | None
    max_nodes: int
    observation_kind: str | None = None
    sink_table: Mapping[str, np.ndarray] | None = None
    simplex_share: float = 0.0
    method: str | None = None
    estimates: PayoffEstimates | None = None
    continuous: bool = False

    @property
    def distribution(self) -> ActionDistribution:
        """How the network's outputs choose actions."""
        return GAUSSIAN if self.continuous else CATEGORICAL

    @property
    def num_strategies(self) -> int:
        """Number of strategies per seat `K`, the sink included."""
        return self.joint.shape[1]

    @property
    def observation_size(self) -> int:
        """Numbers in an observation."""
        return observation_size(
            self.network, self.params, self._num_tables, num_actions=self.num_actions
        )

    def probabilities(
        self, seat: int, observation: Float[np.ndarray, "B O"], mask: Bool[np.ndarray, "B A"]
    ) -> Float[np.ndarray, "K B A"]:
        """Action probabilities of all strategies of a seat, float32.

        Raises:
          ValueError: the seat, the size of the observation or of the mask is not the game's, or the
            network has a memory: what it does does not follow from one observation.
        """
        self._check_memoryless("probabilities")
        self._check_seat(seat)
        self._check_shapes(observation, mask)
        return np.asarray(self._forward(seat, jnp.asarray(observation), jnp.asarray(mask)))

    def response_probabilities(
        self,
        mixture: Float[np.ndarray, "K"],
        *,
        seat: int,
        observation: Float[np.ndarray, "B O"],
        mask: Bool[np.ndarray, "B A"],
        likeliest: bool = False,
    ) -> Float[np.ndarray, "B A"]:
        """Action probabilities of `best_response_to`, float32; see there."""
        every = self._responding(mixture, seat, likeliest=likeliest)
        self._check_memoryless("response_probabilities")
        self._check_shapes(observation, mask)
        return np.asarray(every(jnp.asarray(observation), jnp.asarray(mask)))[0]

    def best_response_to(
        self, mixture: Float[np.ndarray, "K"], *, seat: int, likeliest: bool = False
    ) -> Policy:
        """What the network answers to any mixture of the opponent's strategies, without training
        (Simplex-NeuPL, Liu et al. 2022, arXiv 2205.15879): the opponent draws one strategy, hidden,
        for a whole episode.

        A mixture that is nobody's row has no index. A population trained without
        `graph.simplex_share` never saw one without: it lends the mixture the index of the strategy
        that earns most against it by the population's payoffs, and promises little.

        Args:
          mixture: weights of the opponent's strategies.
          seat: who responds.
          likeliest: play the likeliest action instead of a draw: some best response does nothing
            else, and what is learned keeps a temperature.

        Raises:
          ValueError: there is no such seat, the mixture is none, or the population has not two
            players or no conditional network.
        """
        every = self._responding(mixture, seat, likeliest=likeliest)
        return self._policy(every, np.ones(1), seat)

    def opponent_posterior(
        self,
        mixture: Float[np.ndarray, "K"],
        *,
        seat: int,
        seen: Float[np.ndarray, "B O"],
    ) -> Float[np.ndarray, "B K"]:
        """Which strategy the opponent plays, by what a seat has seen and the mixture that the
        strategy was drawn from: the network's read-out, float32.

        Args:
          mixture: weights of the opponent's strategies, the prior.
          seat: who has seen it.
          seen: observations; of a network with a memory, what it remembers (`recall.hidden` of the
            memory that its policies return).

        Raises:
          ValueError: the population has no read-out, or there is no such seat or mixture.
        """
        readout = make_readout(self.network, self.num_strategies)
        if readout is None:
            raise ValueError(
                f"the population of {self.game} was trained without a read-out of the opponent: "
                "set network.readout_sizes, to [128, 128] for example"
            )
        self._check_seat(seat)
        prior = jnp.asarray(self._check_mixture(mixture), jnp.float32)
        table = np.eye(self._num_tables, dtype=np.float32)[0 if self.symmetric else seat]
        told = jnp.asarray(seen)
        found = log_likelihoods(readout, self.params, told, jnp.tile(table, (len(told), 1)))
        return np.asarray(jnp.exp(log_posterior(found, prior)))

    def policy(self, member: Member, *, seat: int, likeliest: bool = False) -> Policy:
        """A strategy (or `"nash"`, the certified mixture) of a seat as a `games.Policy`.

        Args:
          member: which.
          seat: whose.
          likeliest: of continuous actions: whether to play their mean instead of a draw.

        Raises:
          ValueError: there is no such member or seat, or actions are not continuous.
        """
        self._check(member)
        self._check_seat(seat)
        if member == "nash":
            weights = self.meta_strategy[seat]
        else:
            weights = np.eye(self.num_strategies)[member]
        every = functools.partial(self._forward, seat)
        if likeliest and not self.continuous:
            raise ValueError(f"likeliest is of continuous actions; {self.game} has action ids")
        return self._policy(every, weights, seat, likeliest=likeliest)

    def tree(self, progress: Callable[[int], None] | None = None) -> GameTree:
        """The compiled game, with the observations that the network was trained on.

        Raises:
          GameError: the game cannot be compiled.
        """
        tree = load_tree(self.game, max_nodes=self.max_nodes, progress=progress)
        if self.observation_kind == tree.observation_kind:
            return tree
        return observe_as_played(tree)

    def check_tabular(self) -> None:
        """Raises `UserError` where the network has a memory: we have no tables of what it does."""
        if self.network.memory != "none":
            raise UserError(
                f"the population of {self.game} has a memory, and only networks without one are "
                "written as tables of the game tree",
                hint="`neupl verify --method trained-br` bounds what it can lose from below",
            )

    def tabulate(self) -> Float[np.ndarray, "K S A"]:
        """All strategies at all information states of the compiled game, normalised in float64.

        Raises:
          UserError: see `check_tabular`.
        """
        self.check_tabular()
        tree = self.tree()
        tables = np.zeros((self.num_strategies, tree.num_infosets, tree.num_actions))
        for seat in range(self.num_players):
            own = tree.infoset_player == seat
            tables[:, own] = self.probabilities(seat, tree.observation[own], tree.legal_mask[own])
        return tables / tables.sum(axis=-1, keepdims=True)

    def to_open_spiel(self, member: Member) -> Any:
        """A strategy of every seat, or the exactly realised mixture, as OpenSpiel's
        `TabularPolicy`.

        The policy belongs to the game in turn-based form.
        """
        from open_spiel.python.policy import TabularPolicy

        from solvers.open_spiel_check import find_judge

        self._check(member)
        tree, tables = self.tree(), self.tabulate()
        table = mix(tree, tables, self.meta_strategy) if member == "nash" else tables[member]
        judge = find_judge(tree)
        policy = TabularPolicy(judge.game)
        for row, name in enumerate(judge.names):
            policy.action_probability_array[policy.state_lookup[name]] = table[row]
        return policy

    def _responding(self, mixture: Float[np.ndarray, "K"], seat: int, *, likeliest: bool) -> Any:
        """`(observation, mask) -> [1, B, A]`: how the network answers a mixture."""
        self._check_seat(seat)
        self._check_ids("best_response_to")
        if self.num_players != 2 or self.network.kind != "conditional":
            raise ValueError(
                f"only a conditional network of two players answers mixtures; {self.game} has "
                f"{self.num_players} players and the network is {self.network.kind}"
            )
        weights = self._check_mixture(mixture)
        asked = self.simplex_share > 0
        lent = None if asked else self.index_lent_to(weights, seat=seat)
        number = self.num_strategies if lent is None else lent

        def answer(*seen: Array) -> Array:
            told = jnp.asarray(weights, jnp.float32)
            every = self._forward(seat, *seen, mixture=told, slot=lent)
            found = every[number : number + 1]
            if likeliest:
                return jax.nn.one_hot(jnp.argmax(found, axis=-1), found.shape[-1])
            return found

        return answer

    def index_lent_to(self, mixture: Float[np.ndarray, "K"], *, seat: int) -> int:
        """The trained strategy of a seat that earns most against a mixture of the opponent's, by
        the payoffs that the population brings along; two players.
        """
        earned = np.moveaxis(self.payoffs[..., seat], seat, 0) @ mixture
        trained = self.joint[0 if self.symmetric else seat].sum(axis=-1) > 0
        return int(np.argmax(np.where(trained, earned, -np.inf)))

    def _policy(
        self, every: Any, weights: Float[np.ndarray, "N"], seat: int, *, likeliest: bool = False
    ) -> Policy:
        """Draws one of `every` by the weights, and remembers where the network does."""
        weights = jnp.asarray(weights, jnp.float32)
        size = memory_size(self.network)
        if size is None and self.continuous:
            return ContinuousMemberPolicy(every, weights, likeliest)
        if size is None:
            return MemberPolicy(every, weights)
        remember = functools.partial(self._remember, seat)
        length = self.num_actions if self.continuous else None
        return RecurrentMemberPolicy(every, remember, size, weights, length, likeliest)

    def sink_probabilities(
        self, seat: int, observation: Float[Array, "B O"], mask: Bool[Array, "B A"]
    ) -> Float[Array, "B D"]:
        """What a fixed strategy 0 does, as a `Sink` says it; not where `sink` is `"none"`."""
        return jnp.asarray(self._sink_rows(seat, observation, mask))

    def _check_mixture(self, mixture: Float[np.ndarray, "K"]) -> Float[np.ndarray, "K"]:
        weights = np.asarray(mixture, np.float64)
        if weights.shape != (self.num_strategies,) or not np.isfinite(weights).all():
            raise ValueError(
                f"mixture must be {self.num_strategies} finite weights, one a strategy"
            )
        if weights.min() < 0 or abs(weights.sum() - 1) > 1e-6:
            raise ValueError(f"mixture must be at least 0 and sum to 1, not to {weights.sum():g}")
        return weights

    def _check_ids(self, what: str) -> None:
        if self.continuous:
            raise ValueError(f"{what} is of action ids; those of {self.game} are continuous")

    def _check_memoryless(self, what: str) -> None:
        self._check_ids(what)
        if self.network.memory != "none":
            raise ValueError(
                f"{what} of one observation are asked of a network with a memory: play its policy"
            )

    def _check_shapes(self, observation: np.ndarray, mask: np.ndarray) -> None:
        size = self.observation_size
        if observation.shape[1:] != (size,) or mask.shape[1:] != (self.num_actions,):
            raise ValueError(
                f"observation and mask have shapes {observation.shape} and {mask.shape}: "
                f"{self.game} takes [B, {size}] and [B, {self.num_actions}]"
            )

    @property
    def _num_tables(self) -> int:
        return 1 if self.symmetric else self.num_players

    def _check(self, member: Member) -> None:
        if member != "nash" and not (isinstance(member, int) and 0 <= member < self.num_strategies):
            raise ValueError(
                f"member is {member!r}: it must be 'nash' or 0 to {self.num_strategies - 1}"
            )

    def _check_seat(self, seat: int) -> None:
        if not 0 <= seat < self.num_players:
            raise ValueError(f"seat is {seat}: {self.game} has seats 0 to {self.num_players - 1}")

    @functools.cached_property
    def _forward(self) -> Any:
        distribution = self.distribution
        module = make_network(
            self.network,
            distribution.num_outputs(self.num_actions),
            continuous=self.continuous,
        )
        joint = self.joint[: self._num_tables]
        first_equal = first_equal_row(joint)
        table_of = np.eye(self._num_tables, dtype=np.float32)

        @functools.partial(jax.jit, static_argnums=0, static_argnames="slot")
        def forward(
            seat: int,
            observation: Array,
            mask: Array,
            remembered: Array | None = None,
            *,
            mixture: Array | None = None,
            slot: int | None = None,
        ) -> Array:
            """All strategies; a mixture as one more of them, or in the place of row `slot`."""
            # Made in here: the first call may come from a program that JAX is tracing.
            rows = Rows(jnp.asarray(joint, jnp.float32), jnp.asarray(first_equal))
            table = 0 if self.symmetric else seat
            if slot is not None:
                rows = rows._replace(
                    joint=rows.joint.at[table, slot].set(mixture),
                    identity=rows.identity.at[table, slot].set(slot),
                )
            elif mixture is not None:
                rows = rows._replace(asked=jnp.tile(mixture, (self._num_tables, 1, 1)))
            one_hot = jnp.tile(table_of[table], (len(observation), 1))
            told = observation if remembered is None else remembered
            outputs, _ = module.apply(self.params, told, one_hot, rows, rows.every)
            played = distribution.played(distribution.parameters(outputs, mask), mask)
            if self.sink == "none":
                return played
            return played.at[0].set(self._sink_rows(seat, observation, mask))

        return forward

    @functools.cached_property
    def _remember(self) -> Any:
        module = make_network(
            self.network,
            self.distribution.num_outputs(self.num_actions),
            continuous=self.continuous,
        )
        table_of = np.eye(self._num_tables, dtype=np.float32)

        @functools.partial(jax.jit, static_argnums=0)
        def remember(seat: int, observation: Array, recall: Recall, member: Array) -> Array:
            table = table_of[0 if self.symmetric else seat]
            one_hot = jnp.tile(table, (len(observation), 1))
            told = (observation, one_hot, recall, member)
            return module.apply(self.params, *told, method="remember")

        return remember

    def _sink_rows(self, seat: int, observation: Array, mask: Array) -> Array:
        if self.sink == "uniform":
            return self.distribution.uniform(mask)
        if is_fixed_strategy(self.sink):
            return fixed_strategy(self.sink)(observation, mask)
        own = self.sink_table["player"] == seat
        known = jnp.asarray(self.sink_table["observation"][own])
        # One observation at a time: all pairs at once would not fit in memory for larger games.
        same = jax.lax.map(lambda seen: jnp.argmin(jnp.abs(known - seen).sum(axis=-1)), observation)
        return jnp.asarray(self.sink_table["probabilities"][own], jnp.float32)[same]
