"""Populations as they lie on disk.

A folder `population/` holds `population.json` (what it is), `arrays.safetensors` (parameters, rows,
meta-strategy, payoffs, and for compiled games the policy tables) and `MODEL_CARD.md`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError

from games.types import Policy
from neupl.errors import UserError
from neupl.jpsro.played_population import (
    PLAYED_JOINT,
    PlayedJointPopulation,
    assemble_played_joint,
)
from neupl.jpsro.population import JOINT, assemble_joint
from neupl.networks import network_config
from neupl.payoff_calibration import PayoffEstimates
from neupl.population import Population
from neupl.population_files import find_folder, network_params, read_files
from neupl.tabular_population import TABULAR, TabularPopulation, assemble_tabular


def load_population(path: str | Path) -> Population | TabularPopulation | PlayedJointPopulation:
    """Loads a population, trained or solved, from its folder or from the run that made it. One that
    was trained to a joint of all seats is a `JointPopulation`, which is a `TabularPopulation`, or,
    where training never saw a game tree, a `PlayedJointPopulation`.

    Raises:
      UserError: there is no population, or its files are broken.
    """
    folder = find_folder(Path(path))
    try:
        manifest, arrays = read_files(folder)
        if manifest.get("kind") == TABULAR:
            return assemble_tabular(manifest, arrays)
        if manifest.get("kind") == JOINT:
            return assemble_joint(manifest, arrays)
        if manifest.get("kind") == PLAYED_JOINT:
            return assemble_played_joint(manifest, arrays)
        return _assemble(manifest, arrays)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"the population at {folder} is broken: {error}") from error


def load_policy(path: str, member: str) -> Policy:
    """Loader of a `games.PolicySpec`: `member` is `seat:k` or `seat:nash`.

    Raises:
      UserError: there is no intact population at `path`.
      ValueError: there is no such member.
    """
    seat, _, name = member.partition(":")
    if not seat.isdigit() or not (name == "nash" or name.isdigit()):
        raise ValueError(f"member is {member!r}: it must be 'seat:k' or 'seat:nash', e.g. '0:nash'")
    return load_population(path).policy("nash" if name == "nash" else int(name), seat=int(seat))


def _assemble(manifest: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Population:
    sink_table = {
        name.removeprefix("sink/"): array
        for name, array in arrays.items()
        if name.startswith("sink/")
    }
    return Population(
        game=manifest["game"],
        num_players=manifest["num_players"],
        num_actions=manifest["num_actions"],
        symmetric=manifest["symmetric"],
        sink=manifest["sink"],
        network=network_config(manifest),
        params=network_params(arrays),
        joint=arrays["joint"],
        meta_strategy=arrays["meta_strategy"],
        payoffs=arrays["payoffs"],
        step=manifest["step"],
        num_nodes=manifest["num_nodes"],
        max_nodes=manifest["max_nodes"],
        observation_kind=manifest.get("observation_kind"),
        sink_table=sink_table or None,
        simplex_share=manifest.get("simplex_share", 0.0),
        method=manifest.get("method"),
        estimates=_estimates(manifest, arrays),
        continuous=manifest.get("continuous", False),
    )


def _estimates(
    manifest: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> PayoffEstimates | None:
    if "payoff_episodes" not in manifest:
        return None
    return PayoffEstimates(
        payoffs=arrays["payoffs"],
        errors=arrays["payoff_errors"],
        running=arrays["running_payoffs"],
        running_errors=arrays["running_errors"],
        apart=arrays["payoffs_apart"],
        episodes=manifest["payoff_episodes"],
    )
