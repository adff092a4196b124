"""Writes a NeuPL-JPSRO population and its model card."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from games.game_tree import GameTree
from games.types import GameInfo
from neupl.config import Config
from neupl.evaluation import normalise
from neupl.jpsro.played_population import PLAYED_JOINT
from neupl.jpsro.population import JOINT, own_tables
from neupl.jpsro.row_network import ROWS
from neupl.jpsro.state import JointSnapshot
from neupl.payoff_calibration import Calibration, PayoffEstimates
from neupl.payoff_source import joint_payoff_source, method_name
from neupl.population_files import check_replaceable, network_arrays, write_files
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
    facts = _facts(config, best, meta_solver) | {
        "kind": JOINT,
        "observation_kind": tree.observation_kind,
    }
    write_tabular(
        folder,
        population,
        model_card=_model_card(tree, config, best, meta_solver),
        facts=facts,
        more_arrays=network_arrays(best.params) | {"mixtures": best.mixtures},
    )


def export_played_joint(
    folder: Path, *, info: GameInfo, config: Config, best: JointSnapshot, meta_solver: str
) -> None:
    """Writes the population that a run kept which only played, replacing a population that is
    there.

    Args:
      folder: created where absent; whole or absent.
      info: of the game.
      config: what it was trained with.
      best: the population.
      meta_solver: name of the solver that found its joint.

    Raises:
      UserError: `folder` holds something that is not a population.
    """
    check_replaceable(folder)
    profiles, estimates = np.argwhere(best.joint > 0), _estimates(info, best)
    agreement = estimates.against_fresh_episodes()
    manifest = _facts(config, best, meta_solver) | {
        "kind": PLAYED_JOINT,
        "game": config.game,
        "num_players": info.num_players,
        "num_actions": info.num_actions[0],
        "num_nodes": None,
        "max_nodes": config.max_nodes,
        "method": joint_method(config),
        "concept": config.jpsro.concept,
        "sizes": best.sizes.tolist(),
        "num_profiles": len(profiles),
        "gains_are": "estimated" if np.isfinite(best.gains).all() else "unknown",
        "gain_errors": best.estimated.gain_errors.tolist(),
        "payoffs_are": "sampled",
        "payoff_episodes": estimates.episodes,
        "payoff_calibration": None if agreement is None else agreement._asdict(),
    }
    arrays = network_arrays(best.params) | {
        "profiles": profiles.astype(np.int32),
        "weights": best.joint[tuple(profiles.T)],
        "mixtures": best.mixtures,
        "payoffs": estimates.payoffs,
        "payoff_errors": estimates.errors,
        "running_payoffs": estimates.running,
        "running_errors": estimates.running_errors,
        "payoffs_apart": estimates.apart,
    }
    card = _played_card(info, config, best, meta_solver, agreement)
    write_files(folder, manifest=manifest, arrays=arrays, model_card=card)


def _facts(config: Config, best: JointSnapshot, meta_solver: str) -> dict[str, Any]:
    """What is written of every population of a joint."""
    return {
        "network": dataclasses.asdict(config.network),
        "form": config.jpsro.form,
        "capacity": config.population.size,
        "step": int(best.step),
        "iteration": int(best.iteration),
        "meta_solver": meta_solver,
        "gains": best.gains.tolist() if np.isfinite(best.gains).all() else None,
        "values": best.values.tolist(),
    }


def _estimates(info: GameInfo, best: JointSnapshot) -> PayoffEstimates:
    inside, known = tuple(slice(size) for size in best.sizes), best.estimated
    # In a zero-sum game the last seat gets what is left.
    seats = np.arange(info.num_players) < info.num_players - (info.utility == "zero_sum")
    return PayoffEstimates(
        payoffs=best.payoffs[inside],
        errors=known.payoff_errors[inside],
        running=known.running_payoffs[inside],
        running_errors=known.running_errors[inside],
        apart=np.broadcast_to(seats, best.payoffs[inside].shape).copy(),
        episodes=int(known.episodes),
    )


def joint_method(config: Config) -> str:
    """How such a population was trained, in words."""
    learner = method_name(config.learner.kind, joint_payoff_source(config.evaluation.payoffs))
    return f"NeuPL-JPSRO ({config.jpsro.concept.upper()}), {learner}"


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


def _played_card(
    info: GameInfo,
    config: Config,
    best: JointSnapshot,
    meta_solver: str,
    agreement: Calibration | None,
) -> str:
    concept = config.jpsro.concept.upper()
    num_parameters = sum(np.size(leaf) for leaf in network_arrays(best.params).values())
    sizes = ", ".join(map(str, best.sizes.tolist()))
    worth = "unknown: nobody was trained to respond"
    if np.isfinite(best.gains).all():
        gap = float(np.maximum(best.gains, 0.0).sum())
        each = zip(best.gains, best.estimated.gain_errors, strict=True)
        gains = ", ".join(f"{gain:.4g} ± {error:.2g}" for gain, error in each)
        worth = (
            f"at least {gap:.4g} game points: what responses trained in the run gained, by "
            f"estimate (per seat {gains}); payoff range {info.payoff_range:g}"
        )
    values = ", ".join(f"{value:.4g}" for value in best.values)
    running = ""
    if agreement is not None:
        running = f"| Payoffs while training | off the measured ones by {agreement.describe()} |\n"
    return f"""# A population for {config.game}, with a joint over its profiles

| | |
| --- | --- |
| Game | `{config.game}`, {info.num_players} players, {info.utility.replace("_", "-")}, \
never compiled |
| Method | {joint_method(config)}; one network of {num_parameters:,} parameters |
| Strategies | {sizes} by seat; strategy 0 plays all legal actions alike |
| Joint | {concept} of the strategies' estimated payoffs by `{meta_solver}`, \
{np.count_nonzero(best.joint):,} profiles |
| {concept} gap | {worth} |
| Values | {values} by seat, {float(best.values.sum()):.4g} in sum, estimated from \
{int(best.estimated.episodes):,} episodes |
{running}| Trained for | {int(best.iteration)} iterations, {int(best.step)} of \
{config.training.steps} batches, seed {config.seed} |
| Selection | the newest iteration whose estimated gap is not shown to be greater than the least |

One profile is drawn for all seats before the game, and every seat plays its strategy of it to the
end. What seats do separately is the product of the marginals, another object with another gap.

Load it with `neupl.load_population(folder)`; check it with `neupl verify folder`.
"""
