"""A population trained by NeuPL-JPSRO as it lies on disk: the network, the tables that it plays on
the compiled game, and the joint over its profiles that was certified.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from games.game_tree import GameTree
from neupl.config import NetworkConfig
from neupl.jpsro.asked_network import AskedNetwork, form_of
from neupl.jpsro.networks import Form
from neupl.networks import network_config
from neupl.population_files import network_params
from neupl.tabular_population import TabularPopulation, assemble_tabular

# `kind` in the manifest.
JOINT = "joint"


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class JointPopulation(AskedNetwork, TabularPopulation):
    """`K_p` strategies per seat in one network, or one each, with the joint over their profiles.

    Its tables are what the network plays; its policies and `probabilities` ask the network.

    Attributes:
      network: the network's configuration.
      form: how responses became strategies; says what the network is beside its configuration.
      capacity: strategies per seat that the network has room for.
      params: the network's variables: its parameters, and what else it plays by.
      mixtures: `[P, capacity, capacity ** (P - 1)]` what each strategy was a response to.
      step: gradient steps of training.
    """

    network: NetworkConfig
    form: Form
    capacity: int
    params: Any
    mixtures: Float[np.ndarray, "P C M"]
    step: int

    @property
    def num_actions(self) -> int:
        """Number of action ids `A`."""
        return self.legal_mask.shape[1]


def own_tables(
    tree: GameTree, policies: Float[np.ndarray, "K S A"], sizes: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Per seat its strategies `[K_p, S, A]`, other seats' rows uniform."""
    uniform = tree.uniform_policy()
    mine = [tree.infoset_player[:, None] == player for player in range(tree.num_players)]
    return tuple(
        np.where(own, policies[:size], uniform) for own, size in zip(mine, sizes, strict=True)
    )


def assemble_joint(
    manifest: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> JointPopulation:
    """The population of the files that `export_joint` wrote.

    Raises:
      KeyError, ValueError: something is missing or does not fit together.
    """
    tables = assemble_tabular(manifest, arrays)
    return JointPopulation(
        **{field.name: getattr(tables, field.name) for field in dataclasses.fields(tables)},
        network=network_config(manifest),
        form=form_of(manifest),
        capacity=manifest["capacity"],
        params=network_params(arrays),
        mixtures=arrays["mixtures"],
        step=manifest["step"],
    )
