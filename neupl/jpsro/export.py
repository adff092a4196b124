"""Writes a NeuPL-JPSRO population and its model card."""

import dataclasses
from pathlib import Path

import numpy as np

from games.game_tree import GameTree
from neupl.config import Config
from neupl.evaluation import normalise
from neupl.jpsro.population import JOINT, own_tables
from neupl.jpsro.row_network import ROWS
from neupl.jpsro.state import JointSnapshot
from neupl.payoff_source import method_name
from neupl.population_files import check_replaceable, network_arrays
from neupl.tabular_population import make_tabular, write_tabular


def export_joint(
    folder: Path,
    *,
    tree: GameTree,
    config: Config,
    best: JointSnapshot,
    policies: np.ndarray,
    meta_solver: str,
) -> None:
    """Writes the best-certified population to `folder`, replacing a population that is there.

    Args:
      folder: created where absent; whole or absent.
      tree: the game.
      config: what it was trained with.
      best: the population.
      policies: `[K, S, A]` what its network plays.
      meta_solver: name of the solver that found its joint.

    Raises:
      UserError: `folder` holds something that is not a population.
    """
    check_replaceable(folder)
    sizes = best.sizes.tolist()
    inside = tuple(slice(size) for size in sizes)
    profiles = np.argwhere(best.joint > 0)
    population = make_tabular(
        tree,
        game=config.game,
        method=joint_method(config),
        concept=config.jpsro.concept,
        policies=own_tables(tree, normalise(policies), best.sizes),
        profiles=profiles,
        weights=best.joint[tuple(profiles.T)],
        payoffs=best.payoffs[inside],
    )
    facts = {
        "kind": JOINT,
        "network": dataclasses.asdict(config.network),
        "form": config.jpsro.form,
        "capacity": config.population.size,
        "step": int(best.step),
        "iteration": int(best.iteration),
        "meta_solver": meta_solver,
        "observation_kind": tree.observation_kind,
        "gains": best.gains.tolist(),
        "values": best.values.tolist(),
    }
    write_tabular(
        folder,
        population,
        model_card=_model_card(tree, config, best, meta_solver),
        facts=facts,
        more_arrays=network_arrays(best.params) | {"mixtures": best.mixtures},
    )


def joint_method(config: Config) -> str:
    """How such a population was trained, in words."""
    learner = method_name(config.learner.kind, "exact")
    name = f"NeuPL-JPSRO ({config.jpsro.concept.upper()}), {learner}"
    if config.network.kind != "conditional":
        return f"{name}, a network per strategy"
    return name if config.jpsro.form == "distil" else f"{name}, responses trained as strategies"


def _model_card(tree: GameTree, config: Config, best: JointSnapshot, meta_solver: str) -> str:
    concept = config.jpsro.concept.upper()
    parameters = {name: part for name, part in best.params.items() if name != ROWS}
    num_parameters = sum(np.size(leaf) for leaf in network_arrays(parameters).values())
    networks = "one network" if config.network.kind == "conditional" else "networks"
    sizes = ", ".join(map(str, best.sizes.tolist()))
    gains = ", ".join(f"{gain:.6g}" for gain in best.gains)
    values = ", ".join(f"{value:.6g}" for value in best.values)
    gap = float(np.maximum(best.gains, 0.0).sum())
    utility = tree.utility.replace("_", "-")
    return f"""# A population for {config.game}, with a joint over its profiles

| | |
| --- | --- |
| Game | `{config.game}`, {tree.num_players} players, {utility}, {tree.num_infosets} \
information states |
| Method | {joint_method(config)}; {networks} of {num_parameters:,} parameters |
| Strategies | {sizes} by seat; strategy 0 plays all legal actions alike |
| Joint | {concept} of the strategies' payoffs by `{meta_solver}`, \
{np.count_nonzero(best.joint):,} profiles |
| {concept} gap | {gap:.6g} game points, exact (per seat {gains}); payoff range \
{tree.payoff_range:g} |
| Values | {values} by seat, {float(best.values.sum()):.6g} in sum |
| Trained for | {int(best.iteration)} iterations, {int(best.step)} of {config.training.steps} \
gradient steps, seed {config.seed} |
| Selection | least exact gap among the iterations of one run; where gaps are below \
{config.jpsro.tolerance:g} of the payoff range, the greatest sum of values |

One profile is drawn for all seats before the game, and every seat plays its strategy of it to the
end. What seats do separately is the product of the marginals, another object with another gap.

Load it with `neupl.load_population(folder)`; check it with `neupl verify folder`.
"""
