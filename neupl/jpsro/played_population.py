"""A population of NeuPL-JPSRO from a run that only played, as it lies on disk: the network, the
joint over its profiles, and payoffs by estimate. It knows no information states; where the game has
a tree, `compiled` asks the network for its tables.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Float64, Int32

from games.game_tree import GameTree
from games.open_spiel_tree import observe_as_played
from games.registry import load_tree
from neupl.config import NetworkConfig
from neupl.evaluation import normalise
from neupl.jpsro.asked_network import AskedNetwork, form_of
from neupl.jpsro.networks import Form
from neupl.jpsro.population import JointPopulation, own_tables
from neupl.networks import network_config
from neupl.payoff_calibration import Calibration, PayoffEstimates
from neupl.population_files import network_params
from neupl.profile_distribution import Concept, ProfileDistribution
from solvers.sequence_form import check_distribution, realization_plan
from solvers.values import payoffs_of_plans

# `kind` in the manifest.
PLAYED_JOINT = "played_joint"


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class PlayedJointPopulation(AskedNetwork, ProfileDistribution):
    """`K_p` strategies per seat in one network, with a joint over their profiles.

    Attributes:
      game: what `games.load_simulator` accepts.
      max_nodes: largest tree that the game may have to be compiled.
      num_actions: number of action ids `A`.
      method: how it was trained, in words.
      concept: what the joint is meant to be, which names the gap that certifies it.
      sizes: number of strategies of each seat `K_p`; strategy 0 plays all legal actions alike.
      profiles: `[N, P]` profiles that have probability.
      weights: `[N]` their probabilities.
      estimates: payoffs `[K_0, ..., K_{P-1}, P]`, in game points.
      network: the network's configuration.
      form: how its responses became strategies.
      capacity: strategies per seat that the network has embeddings for.
      params: the network's parameters.
      mixtures: `[P, capacity, capacity ** (P - 1)]` what each strategy was a response to.
      step: batches of episodes of training.
    """

    game: str
    max_nodes: int
    num_actions: int
    method: str
    concept: Concept
    sizes: tuple[int, ...]
    profiles: Int32[np.ndarray, "N P"]
    weights: Float64[np.ndarray, "N"]
    estimates: PayoffEstimates
    network: NetworkConfig
    form: Form
    capacity: int
    params: Any
    mixtures: Float[np.ndarray, "P C M"]
    step: int

    def __post_init__(self) -> None:
        """Raises `ValueError` where the parts do not fit together."""
        check_distribution(self.weights, "weights of the profiles")
        inside = (self.profiles >= 0) & (self.profiles < np.array(self.sizes))
        if self.profiles.shape != (len(self.weights), len(self.sizes)) or not inside.all():
            raise ValueError(f"profiles do not name strategies of {self.sizes} per seat")
        if self.payoffs.shape != (*self.sizes, len(self.sizes)):
            raise ValueError(f"payoffs have shape {self.payoffs.shape}, strategies {self.sizes}")

    @property
    def payoffs(self) -> Float64[np.ndarray, "..."]:
        """`[K_0, ..., K_{P-1}, P]`, in game points; estimated."""
        return self.estimates.payoffs

    @property
    def values(self) -> Float64[np.ndarray, "P"]:
        """What each seat earns under the joint by these payoffs, in game points."""
        return self.weights @ self.payoffs[tuple(self.profiles.T)]

    @property
    def observation_size(self) -> int:
        """How many numbers the network observes."""
        return self.params["params"]["layers_0"]["kernel"].shape[0] - self.num_players

    def tree(self, progress: Callable[[int], None] | None = None) -> GameTree:
        """The compiled game, with the observations that the network was trained on.

        Raises:
          GameError: the game cannot be compiled.
        """
        return observe_as_played(load_tree(self.game, max_nodes=self.max_nodes, progress=progress))

    def compiled(self, tree: GameTree) -> JointPopulation:
        """The same with what the network plays on the game's tree, and exact payoffs."""
        tables = np.zeros((self.num_strategies, tree.num_infosets, tree.num_actions))
        tables[:] = tree.uniform_policy()
        for seat, size in enumerate(self.sizes):
            own = tree.infoset_player == seat
            asked = self.probabilities(seat, tree.observation[own], tree.legal_mask[own])
            tables[:size, own] = normalise(asked)
        plans = realization_plan(tree, tables)
        return JointPopulation(
            game=self.game,
            num_nodes=tree.num_nodes,
            method=self.method,
            concept=self.concept,
            policies=own_tables(tree, tables, np.array(self.sizes)),
            profiles=self.profiles,
            weights=self.weights,
            payoffs=payoffs_of_plans(tree, [plans[:size] for size in self.sizes]),
            information_states=tree.infoset_name,
            infoset_player=tree.infoset_player,
            legal_mask=tree.legal_mask,
            network=self.network,
            form=self.form,
            capacity=self.capacity,
            params=self.params,
            mixtures=self.mixtures,
            step=self.step,
        )

    def against_exact(self, exact: Float[np.ndarray, "..."]) -> Mapping[str, Calibration]:
        """How far the estimated payoffs are from exact ones."""
        return self.estimates.against_exact(exact)

    def tabulate(self) -> Float64[np.ndarray, "K S A"]:
        """Slice k holds strategy k of every seat on the compiled game; seats that have fewer repeat
        their last one.
        """
        return self.compiled(self.tree()).tabulate()

    def to_open_spiel(self, member: int | str | tuple[int, ...]) -> Any:
        """See `TabularPopulation.to_open_spiel`."""
        return self.compiled(self.tree()).to_open_spiel(member)


def assemble_played_joint(
    manifest: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> PlayedJointPopulation:
    """The population of the files that `export_played_joint` wrote.

    Raises:
      KeyError, ValueError: something is missing or does not fit together.
    """
    estimates = PayoffEstimates(
        payoffs=arrays["payoffs"],
        errors=arrays["payoff_errors"],
        running=arrays["running_payoffs"],
        running_errors=arrays["running_errors"],
        apart=arrays["payoffs_apart"],
        episodes=manifest["payoff_episodes"],
    )
    return PlayedJointPopulation(
        game=manifest["game"],
        max_nodes=manifest["max_nodes"],
        num_actions=manifest["num_actions"],
        method=manifest["method"],
        concept=manifest["concept"],
        sizes=tuple(manifest["sizes"]),
        profiles=arrays["profiles"],
        weights=arrays["weights"],
        estimates=estimates,
        network=network_config(manifest),
        form=form_of(manifest),
        capacity=manifest["capacity"],
        params=jax.tree.map(np.asarray, network_params(arrays)),
        mixtures=arrays["mixtures"],
        step=manifest["step"],
    )
