"""A population of tables, as exact solvers leave it: per seat its strategies, and a distribution
over profiles of them that a certificate is about (`neupl.profile_distribution`).

The profiles are a list because the time average of a regret minimiser has one per iteration and no
room for `K ** P` numbers.
"""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float64, Int, Int32

from games.game_tree import GameTree
from games.registry import load_tree
from neupl.errors import UserError
from neupl.population_files import write_files
from neupl.profile_distribution import QUANTITY, Concept, ProfileDistribution
from solvers.sequence_form import check_distribution, check_policies, mix

# `kind` in the manifest.
TABULAR = "tabular"


@dataclasses.dataclass(frozen=True, eq=False)
class TabularPopulation(ProfileDistribution):
    """`K_p` strategies per seat as exact tables, with the distribution over their profiles.

    Attributes:
      game: what `games.load_game` accepts.
      num_nodes: size of the game tree.
      method: how it was made, e.g. `"jpsro-cce"`.
      concept: what the joint is meant to be, which names the gap that certifies it.
      policies: per seat, its strategies at all information states `[K_p, S, A]`; rows of other
        seats are uniform and mean nothing.
      profiles: `[N, P]` profiles that have probability.
      weights: `[N]` their probabilities.
      payoffs: `[K_0, ..., K_{P-1}, P]` in game points; `None` where there are too many profiles.
      information_states: the game's own names, `[S]`.
      infoset_player: owner of each information state.
      legal_mask: legal actions of each information state.
    """

    game: str
    num_nodes: int
    method: str
    concept: Concept
    policies: tuple[Float64[np.ndarray, "_ S A"], ...]
    profiles: Int[np.ndarray, "N P"]
    weights: Float64[np.ndarray, "N"]
    payoffs: Float64[np.ndarray, "..."] | None
    information_states: tuple[str, ...]
    infoset_player: Int32[np.ndarray, "S"]
    legal_mask: Bool[np.ndarray, "S A"]

    def __post_init__(self) -> None:
        """Raises `ValueError` where the parts do not fit together."""
        if self.concept not in QUANTITY:
            raise ValueError(f"concept is {self.concept!r}, expected one of {', '.join(QUANTITY)}")
        check_distribution(self.weights, "weights of the profiles")
        sizes = np.array(self.sizes)
        if (
            self.profiles.shape != (len(self.weights), len(self.policies))
            or ((self.profiles < 0) | (self.profiles >= sizes)).any()
        ):
            raise ValueError(f"profiles do not name strategies of {self.sizes} per seat")
        if self.payoffs is not None and self.payoffs.shape != (*self.sizes, self.num_players):
            raise ValueError(f"payoffs have shape {self.payoffs.shape}, strategies {self.sizes}")
        if self.concept == "nash" and not self._is_product():
            raise ValueError("the joint is not the product of its marginals, so it cannot be Nash")

    @property
    def max_nodes(self) -> int:
        """Largest tree that its game may have to be compiled."""
        return self.num_nodes

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of strategies of each seat `K_p`."""
        return tuple(len(own) for own in self.policies)

    def tabulate(self) -> Float64[np.ndarray, "K S A"]:
        """Slice k holds strategy k of every seat; seats that have fewer repeat their last one."""
        tables = np.empty((self.num_strategies, *self.legal_mask.shape))
        for seat, own in enumerate(self.policies):
            rows = self.infoset_player == seat
            strategy = np.minimum(np.arange(len(tables)), len(own) - 1)
            tables[:, rows] = own[strategy][:, rows]
        return tables

    def profile_table(self, profile: tuple[int, ...]) -> Float64[np.ndarray, "S A"]:
        """The rows of all seats when each plays its strategy of a profile."""
        seats = np.stack([own[k] for own, k in zip(self.policies, profile, strict=True)])
        return seats[self.infoset_player, np.arange(len(self.infoset_player))]

    def to_open_spiel(self, member: int | str | tuple[int, ...]) -> Any:
        """A profile, strategy k of every seat, or the exactly realised mixture (`"nash"`), as
        OpenSpiel's `TabularPolicy` of the game in turn-based form.

        Raises:
          ValueError: there is no such member.
          UserError: `"nash"` of a correlated joint.
        """
        from open_spiel.python.policy import TabularPolicy

        from solvers.open_spiel_check import find_judge

        tree = self.tree()
        if not isinstance(member, tuple):
            for seat in range(self.num_players):
                self._check_member(member, seat)
        if member == "nash":
            table = mix(tree, self.tabulate(), self.meta_strategy)
        elif isinstance(member, tuple):
            table = self.profile_table(member)
        else:
            table = self.profile_table((member,) * self.num_players)
        judge = find_judge(tree)
        policy = TabularPolicy(judge.game)
        for row, name in enumerate(judge.names):
            policy.action_probability_array[policy.state_lookup[name]] = table[row]
        return policy

    def tree(self, progress: Callable[[int], None] | None = None) -> GameTree:
        """The game, compiled.

        Raises:
          UserError: it is not the game that the tables were made for.
        """
        tree = load_tree(self.game, max_nodes=self.num_nodes, progress=progress)
        self.check_tree(tree)
        return tree

    def check_tree(self, tree: GameTree) -> None:
        """Raises `UserError` unless the tables are policies of `tree`."""
        same = (
            tree.infoset_name == self.information_states
            and np.array_equal(tree.infoset_player, self.infoset_player)
            and np.array_equal(tree.legal_mask, self.legal_mask)
        )
        if not same:
            raise UserError(
                f"the tables were made for another version of {self.game}: its information states "
                "or legal actions are not those of the game that is installed here"
            )
        for strategies in self.policies:
            try:
                check_policies(tree, strategies)
            except ValueError as error:
                raise UserError(f"the population of {self.game} is broken: {error}") from error

    def _table_fn(self, seat: int) -> Any:
        """`(observation [B, O], mask [B, A]) -> [K_p, B, A]` by the nearest known observation."""
        tree = self.tree()
        own = tree.infoset_player == seat
        known = np.asarray(tree.observation[own], np.float32)
        tables = np.asarray(self.policies[seat][:, own], np.float32)

        @jax.jit
        def table(observation: Array, mask: Array) -> Array:
            # One observation at a time: all pairs at once would not fit in memory for large games.
            row = jax.lax.map(lambda seen: jnp.argmin(jnp.abs(known - seen).sum(-1)), observation)
            return jnp.asarray(tables)[:, row]

        return table


def make_tabular(
    tree: GameTree,
    *,
    game: str,
    method: str,
    concept: Concept,
    policies: tuple[Float[np.ndarray, "_ S A"], ...],
    profiles: Int[np.ndarray, "N P"],
    weights: Float[np.ndarray, "N"],
    payoffs: Float[np.ndarray, "..."] | None,
) -> TabularPopulation:
    """The population of what a solver found; arguments are the attributes.

    Raises:
      ValueError: the parts do not fit together.
    """
    uniform = tree.uniform_policy()
    own = (tree.infoset_player[:, None] == player for player in range(tree.num_players))
    return TabularPopulation(
        game=game,
        num_nodes=tree.num_nodes,
        method=method,
        concept=concept,
        policies=tuple(np.where(m, given, uniform) for m, given in zip(own, policies, strict=True)),
        profiles=np.asarray(profiles, np.int32),
        weights=np.asarray(weights, np.float64),
        payoffs=payoffs,
        information_states=tree.infoset_name,
        infoset_player=tree.infoset_player,
        legal_mask=tree.legal_mask,
    )


def write_tabular(
    folder: Path,
    population: TabularPopulation,
    *,
    model_card: str,
    facts: Mapping[str, Any],
    more_arrays: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Writes a population to `folder`, replacing one that is there.

    Args:
      folder: created where absent; whole or absent.
      population: what to write.
      model_card: Markdown.
      facts: plain JSON to be kept with it: how it was made, what was certified.
      more_arrays: what else it consists of.

    Raises:
      UserError: `folder` holds something that is not a population.
    """
    arrays = {
        "profiles": population.profiles,
        "weights": population.weights,
        "infoset_player": population.infoset_player,
        "legal_mask": population.legal_mask,
    }
    for seat, strategies in enumerate(population.policies):
        arrays[f"policies/{seat}"] = strategies[:, population.infoset_player == seat]
    if population.payoffs is not None:
        arrays["payoffs"] = population.payoffs
    manifest = {
        "kind": TABULAR,
        "game": population.game,
        "num_players": population.num_players,
        "num_actions": population.legal_mask.shape[1],
        "num_nodes": population.num_nodes,
        "method": population.method,
        "concept": population.concept,
        "sizes": list(population.sizes),
        "num_profiles": len(population.weights),
        **facts,
        "information_states": list(population.information_states),
    }
    arrays |= more_arrays or {}
    write_files(folder, manifest=manifest, arrays=arrays, model_card=model_card)


def assemble_tabular(
    manifest: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> TabularPopulation:
    """The population of the files that `write_tabular` wrote.

    Raises:
      KeyError, ValueError: something is missing or does not fit together.
    """
    infoset_player, legal_mask = arrays["infoset_player"], arrays["legal_mask"]
    uniform = legal_mask / legal_mask.sum(axis=1, keepdims=True)
    policies = []
    for seat in range(manifest["num_players"]):
        own = arrays[f"policies/{seat}"]
        policies.append(np.tile(uniform, (len(own), 1, 1)))
        policies[-1][:, infoset_player == seat] = own
    return TabularPopulation(
        game=manifest["game"],
        num_nodes=manifest["num_nodes"],
        method=manifest["method"],
        concept=manifest["concept"],
        policies=tuple(policies),
        profiles=arrays["profiles"],
        weights=arrays["weights"],
        payoffs=arrays.get("payoffs"),
        information_states=tuple(manifest["information_states"]),
        infoset_player=infoset_player,
        legal_mask=legal_mask,
    )
