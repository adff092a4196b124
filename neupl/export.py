"""Writes a population and its model card: what a colleague needs, and nothing of the trainer."""

import dataclasses
from pathlib import Path

import jax
import numpy as np

from games.game_tree import GameTree
from neupl.config import Config
from neupl.interaction_graph import effective_size
from neupl.population_files import check_replaceable, write_files
from neupl.training_state import Snapshot


def export_population(
    folder: Path,
    *,
    tree: GameTree,
    config: Config,
    best: Snapshot,
    sink_table: np.ndarray | None,
    policies: np.ndarray,
) -> None:
    """Writes the best-certified population to `folder`, replacing a population that is there.

    Args:
      folder: created where absent; written beside and renamed, so that it is whole or absent.
      tree: the game.
      config: what it was trained with.
      best: the population.
      sink_table: `[S, A]` strategy 0 where it is neither uniform nor the network's.
      policies: `[K, S, A]` the policy tables.

    Raises:
      UserError: `folder` holds something that is not a population.
    """
    check_replaceable(folder)
    num_admitted = int(best.num_admitted)
    leaves, _ = jax.tree_util.tree_flatten_with_path(best.params)
    arrays = {
        "network/" + jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf)
        for path, leaf in leaves
    }
    arrays |= {
        "joint": best.joint,
        "meta_strategy": best.meta_strategy,
        "payoffs": best.payoffs,
        "policies": np.asarray(policies, np.float32),
    }
    if sink_table is not None:
        arrays |= {
            "sink/player": tree.infoset_player,
            "sink/observation": tree.observation,
            "sink/probabilities": np.asarray(sink_table, np.float32),
        }
    sink = "table" if sink_table is not None else config.population.sink
    manifest = {
        "game": config.game,
        "num_players": tree.num_players,
        "num_actions": tree.num_actions,
        "num_nodes": tree.num_nodes,
        "observation_kind": tree.observation_kind,
        "symmetric": config.population.symmetric,
        "sink": sink,
        "network": dataclasses.asdict(config.network),
        "num_admitted": num_admitted,
        "effective_size": effective_size(best.joint, num_admitted),
        "step": int(best.step),
        "gains": best.gains.tolist(),
        "information_states": list(tree.infoset_name),
    }
    card = _model_card(tree, config, best, sink)
    write_files(folder, manifest=manifest, arrays=arrays, model_card=card)


def _model_card(tree: GameTree, config: Config, best: Snapshot, sink: str) -> str:
    num_admitted = int(best.num_admitted)
    num_parameters = sum(np.size(leaf) for leaf in jax.tree.leaves(best.params))
    gains = ", ".join(f"{gain:.6g}" for gain in best.gains)
    mixtures = "\n".join(
        f"| {player} | " + " | ".join(f"{share:.4f}" for share in row[:num_admitted]) + " |"
        for player, row in enumerate(best.meta_strategy)
    )
    header = " | ".join(str(k) for k in range(num_admitted))
    return f"""# A population of {num_admitted} strategies per seat for {config.game}

| | |
| --- | --- |
| Game | `{config.game}`, {tree.num_players} players, {tree.utility.replace("_", "-")}, \
{tree.num_infosets} information states |
| Method | NeuPL, one conditional network, graph `{config.graph.kind}`, \
{config.training.admission} admission, exact learner (`{config.learner.rule}`) |
| Network | {num_parameters:,} parameters; strategy 0 is the sink (`{sink}`) |
| Effective size | {effective_size(best.joint, num_admitted)} distinct strategies per seat |
| Trained for | {int(best.step)} of {config.training.steps} gradient steps, seed {config.seed} |
| NashConv of the mixture | {best.gains.sum():.6g} game points, exact (per seat {gains}); \
payoff range {tree.payoff_range:g} |
| Selection | the snapshot with the least exact NashConv among the evaluations of one run |

The mixture that was certified, drawn once per episode by every seat:

| seat | {header} |
| --- | {" | ".join("---" for _ in range(num_admitted))} |
{mixtures}

Load it with `neupl.load_population(folder)`; check it with `neupl verify folder`.

Limits: the certificate is about the mixture, not about any single strategy; strategies other than
those with weight in the mixture may be far from optimal on their own. Nothing is claimed for other
games or other rules of this one.
"""
