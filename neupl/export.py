"""Writes a population and its model card: what a colleague needs, and nothing of the trainer."""

import dataclasses
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from games.game_tree import GameTree
from games.types import GameInfo
from neupl.config import Config
from neupl.interaction_graph import effective_size
from neupl.payoff_calibration import Calibration, PayoffEstimates, estimated_apart
from neupl.payoff_source import method_of, payoff_source
from neupl.population_files import check_replaceable, network_arrays, write_files
from neupl.training_state import Snapshot

# How the model card calls the kinds of `NetworkConfig`.
NETWORKS = {
    "conditional": "NeuPL, one conditional network",
    "separate": "a network per strategy, each from scratch",
    "continued": "a network per strategy, each continued from its predecessor",
}


class CompiledParts(NamedTuple):
    """What only a game tree tells of a population.

    Attributes:
      tree: the game.
      sink_table: `[S, A]` strategy 0 where it is neither uniform nor the network's.
      policies: `[K, S, A]` the policy tables.
    """

    tree: GameTree
    sink_table: np.ndarray | None
    policies: np.ndarray


def export_population(
    folder: Path,
    *,
    info: GameInfo,
    config: Config,
    best: Snapshot,
    compiled: CompiledParts | None,
) -> None:
    """Writes the best-certified population to `folder`, replacing a population that is there.

    Args:
      folder: created where absent; written beside and renamed, so that it is whole or absent.
      info: of the game.
      config: what it was trained with.
      best: the population.
      compiled: what is known of a compiled game; `None` where training only played.

    Raises:
      UserError: `folder` holds something that is not a population.
    """
    check_replaceable(folder)
    num_admitted, known = int(best.num_admitted), bool(np.isfinite(best.gains).all())
    arrays = network_arrays(best.params) | {
        "joint": best.joint,
        "meta_strategy": best.meta_strategy,
        "payoffs": best.payoffs,
    }
    manifest = {
        "game": config.game,
        "num_players": info.num_players,
        "num_actions": info.num_actions[0],
        "continuous": info.continuous,
        "num_nodes": None,
        "max_nodes": config.max_nodes,
        "symmetric": config.population.symmetric,
        "sink": config.population.sink,
        "network": dataclasses.asdict(config.network),
        "simplex_share": config.graph.simplex_share,
        "num_admitted": num_admitted,
        "effective_size": effective_size(best.joint, num_admitted),
        "step": int(best.step),
        "gains": best.gains.tolist() if known else None,
        "gains_are": "exact" if compiled else "estimated" if known else "unknown",
        "payoffs_are": payoff_source(config.learner.kind, config.evaluation.payoffs),
        "method": method_of(config),
    }
    agreement = None
    if compiled is None:
        estimates = _estimates(info, config, best)
        agreement = estimates.against_fresh_episodes()
        manifest |= {
            "payoff_episodes": estimates.episodes,
            "payoff_calibration": None if agreement is None else agreement._asdict(),
        }
        arrays |= {
            "payoff_errors": estimates.errors,
            "running_payoffs": estimates.running,
            "running_errors": estimates.running_errors,
            "payoffs_apart": estimates.apart,
        }
    else:
        tree = compiled.tree
        arrays["policies"] = np.asarray(compiled.policies, np.float32)
        manifest |= {
            "num_nodes": tree.num_nodes,
            "observation_kind": tree.observation_kind,
            "information_states": list(tree.infoset_name),
        }
        if compiled.sink_table is not None:
            manifest["sink"] = "table"
            arrays |= {
                "sink/player": tree.infoset_player,
                "sink/observation": tree.observation,
                "sink/probabilities": np.asarray(compiled.sink_table, np.float32),
            }
    if info.num_players == 1:
        card = _card_of_one(info, config, best)
    else:
        card = _model_card(info, config, best, compiled, manifest["sink"], agreement)
    write_files(folder, manifest=manifest, arrays=arrays, model_card=card)


def _estimates(info: GameInfo, config: Config, best: Snapshot) -> PayoffEstimates:
    apart = estimated_apart(
        info.num_players,
        config.population.size,
        int(best.num_admitted),
        zero_sum=info.utility == "zero_sum",
        symmetric=config.population.symmetric,
    )
    return PayoffEstimates(
        payoffs=best.payoffs,
        errors=best.payoff_errors,
        running=best.running_payoffs,
        running_errors=best.running_errors,
        apart=apart,
        episodes=int(best.episodes),
    )


def _model_card(
    info: GameInfo,
    config: Config,
    best: Snapshot,
    compiled: CompiledParts | None,
    sink: str,
    agreement: Calibration | None,
) -> str:
    num_admitted = int(best.num_admitted)
    num_parameters = sum(np.size(leaf) for leaf in jax.tree.leaves(best.params))
    gains = ", ".join(f"{gain:.6g}" for gain in best.gains)
    mixtures = "\n".join(
        f"| {player} | " + " | ".join(f"{share:.4f}" for share in row[:num_admitted]) + " |"
        for player, row in enumerate(best.meta_strategy)
    )
    header = " | ".join(str(k) for k in range(num_admitted))
    method = method_of(config)
    per_seat = f"(per seat {gains}); payoff range {info.payoff_range:g}"
    if compiled is None:
        size, learner, steps = "never compiled", method, "batches"
        worth = (
            f"Gain of the newest response | {best.gains.sum():.6g} game points over the mixture "
        )
        worth += f"without it, estimated from episodes {per_seat}"
        selection = "the newest snapshot whose newest response is not shown to gain more"
        if not np.isfinite(best.gains).all():
            worth = "Gain of a response | unknown: nobody was trained to respond"
            selection = "the last one of the run"
        if config.evaluation.responses:
            selection += f", and the mixture that loses least to {config.evaluation.responses} "
            selection += "trained responses per seat"
    else:
        size = f"{compiled.tree.num_infosets} information states"
        if config.learner.kind == "exact":
            learner, steps = f"{method} (`{config.learner.rule}`)", "gradient steps"
        else:
            learner, steps = f"{method}: the game tree gave payoffs, gate and selection", "batches"
        worth = f"NashConv of the mixture | {best.gains.sum():.6g} game points, exact {per_seat}"
        selection = "the snapshot with the least exact NashConv among the evaluations of one run"
        answers = config.graph.simplex_share > 0 and config.training.admission == "gated"
        if answers and config.learner.kind == "exact" and config.training.settle > 0:
            selection += ", held from then on while answers to mixtures were learned"
    return f"""# A population of {num_admitted} strategies per seat for {config.game}

| | |
| --- | --- |
| Game | `{config.game}`, {info.num_players} players, {info.utility.replace("_", "-")}, {size} |
| Method | {NETWORKS[config.network.kind]}, graph `{config.graph.kind}`, \
{config.training.admission} admission{_simplex(config)}, {learner} |
| Network | {num_parameters:,} parameters; strategy 0 is the sink (`{sink}`) |
| Effective size | {effective_size(best.joint, num_admitted)} distinct strategies per seat |
| Trained for | {int(best.step)} of {config.training.all_steps} {steps}, seed {config.seed} |
| {worth} |
| Selection | {selection} |
{_calibration_row(agreement)}{_start_rows(config)}
The mixture that was certified, drawn once per episode by every seat:

| seat | {header} |
| --- | {" | ".join("---" for _ in range(num_admitted))} |
{mixtures}

Load it with `neupl.load_population(folder)`; check it with `neupl verify folder`.

Limits: the certificate is about the mixture, not about any single strategy; strategies other than
those with weight in the mixture may be far from optimal on their own. Nothing is claimed for other
games or other rules of this one.
"""


def _card_of_one(info: GameInfo, config: Config, best: Snapshot) -> str:
    """The model card of a player alone."""
    num_parameters = sum(np.size(leaf) for leaf in jax.tree.leaves(best.params))
    value, error = float(best.payoffs[0, 0]), float(best.payoff_errors[0, 0])
    actions = "continuous actions" if info.continuous else "actions"
    return f"""# A strategy for {config.game}, which one player plays alone

| | |
| --- | --- |
| Game | `{config.game}`, {info.num_actions[0]} {actions} |
| Method | {method_of(config)} |
| Network | {num_parameters:,} parameters |
| Trained for | {int(best.step)} of {config.training.all_steps} batches, seed {config.seed} |
| Mean return | {value:.6g} ± {error:.2g} game points (standard error), estimated from \
{int(best.episodes)} episodes of the policy that explores |
| Selection | the last one of the run |
{_start_rows(config)}
Load it with `neupl.load_population(folder).policy(0, seat=0)`.

Limits: nothing is claimed for other games or other rules of this one.
"""


def _simplex(config: Config) -> str:
    share = config.graph.simplex_share
    return f", {share:.0%} simplex sampling (`best_response_to`)" if share else ""


def _start_rows(config: Config) -> str:
    start, imitate = config.learner.start, config.learner.imitate
    rows = f"| Starts from | `{start}` |\n" if start else ""
    if config.learner.game:
        rows += f"| Rewards learned from | those of `{config.learner.game}` |\n"
    if imitate:
        steps = config.learner.imitation_steps
        rows += f"| Imitates | `{imitate}`, for the first {steps} batches |\n"
    if config.learner.teachers:
        names = ", ".join(f"`{name}`" for name in config.learner.teachers)
        choice = config.learner.teacher_choice
        rows += f"| Distilled from | {names}{f', as `{choice}` chooses' if choice else ''} |\n"
    return rows


def _calibration_row(agreement: Calibration | None) -> str:
    if agreement is None:
        return ""
    return f"| Payoffs while training | off the measured ones by {agreement.describe()} |\n"
