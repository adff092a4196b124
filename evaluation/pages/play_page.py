"""A page on which a person plays against policy tables; the game's tree is in it, too."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from evaluation.known_state import known_scene, known_text
from evaluation.pages.page import Section, page, text
from evaluation.replay_frames import scene_of
from evaluation.replay_states import driver_of
from evaluation.types import DataError
from games.game_tree import GameTree
from games.open_spiel_tree import load_open_spiel, representative_states
from games.tree_lanes import TreeLanes

# Above so many nodes a page would take long to load.
MAX_NODES = 60_000
ASSETS = ("replay.css", "play.css", "scenes.js", "play.js")


def play_page(
    lanes: TreeLanes, opponents: Mapping[str, Float[np.ndarray, "S A"]], *, title: str
) -> str:
    """The page of a game and of who can be played against.

    Args:
      lanes: the compiled game.
      opponents: tables by name, rows of all seats.
      title: plain text.

    Raises:
      DataError: the game's tree is too large for a page.
    """
    tree = lanes.tree
    if tree.num_nodes > MAX_NODES:
        raise DataError(
            f"{tree.name} has {tree.num_nodes:,} nodes, a page holds at most {MAX_NODES:,}; play "
            "it in the terminal"
        )
    body = """<noscript><p>Playing needs JavaScript.</p></noscript>
<div class="viewer" id="table">
<div class="controls">
<label>Against <select id="opponent"></select></label>
<label>Your seat <select id="seat"></select></label>
<button type="button" id="new">New game</button>
<span id="score"></span>
</div>
<div class="stage" tabindex="0" role="region" aria-label="What you see">
<svg id="scene" role="img" aria-label="The game as you see it; it is told below in words"></svg>
<pre id="words"></pre>
</div>
<div>
<h3 id="prompt"></h3>
<div id="actions" class="actions" role="group" aria-label="Your actions"></div>
<h3>What happened</h3>
<ol id="log" class="log"></ol>
</div>
</div>
<p class="keys">Keys: <kbd>1</kbd> to <kbd>9</kbd> choose an action, <kbd>n</kbd> a new game. What
your opponents thought is told when the game is over.</p>"""
    lead = f'<p class="lead">{text(tree.name)}: every policy is in this page.</p>'
    embedded = play_content(lanes, opponents)
    sections = [Section("play", "Play", body)]
    return page(title, sections, lead=lead, embedded=embedded, assets=ASSETS)


def play_content(
    lanes: TreeLanes, opponents: Mapping[str, Float[np.ndarray, "S A"]]
) -> dict[str, Any]:
    """The game and the tables as the page's script reads them; nodes are those of the tree."""
    tree = lanes.tree
    scenes: list[Any] = []
    known: dict[str, int] = {}

    def scene_number(scene: dict[str, Any] | None) -> int:
        if scene is None:
            return -1
        key = repr(scene)
        if key not in known:
            known[key] = len(scenes)
            scenes.append(scene)
        return known[key]

    words, labels, infoset_scene = _infosets(tree, driver_of(lanes) == "open_spiel", scene_number)
    end_words, end_scene = _ends(tree, driver_of(lanes) == "open_spiel", scene_number)
    return {
        "game": tree.name,
        "players": tree.num_players,
        "player": tree.node_player.tolist(),
        "parent": tree.node_parent.tolist(),
        "action": tree.node_action.tolist(),
        "probability": [float(f"{share:.6g}") for share in tree.node_probability],
        "infoset": tree.node_infoset.tolist(),
        "terminal": tree.node_terminal.tolist(),
        "returns": tree.terminal_returns.tolist(),
        "words": words,
        "labels": labels,
        "infoset_scene": infoset_scene,
        "end_words": end_words,
        "end_scene": end_scene,
        "scenes": scenes,
        "opponents": [
            {"name": name, "table": [[float(f"{p:.5g}") for p in row] for row in table]}
            for name, table in opponents.items()
        ],
    }


def _infosets(tree: GameTree, is_open_spiel: bool, scene_number: Any) -> tuple[list, list, list]:
    """By information state: words, names of the actions by id, and the number of its scene."""
    if not is_open_spiel:
        labels = [
            {str(a): f"action {a}" for a in np.flatnonzero(mask).tolist()}
            for mask in tree.legal_mask
        ]
        return list(tree.infoset_name), labels, [-1] * tree.num_infosets
    game = load_open_spiel(tree.name).turn_based
    words, labels, scenes = [], [], []
    for state in representative_states(game, tree):
        seat = state.current_player()
        words.append(known_text(tree.name, state, seat))
        legal = state.legal_actions()
        labels.append({str(a): state.action_to_string(seat, a) for a in legal})
        scenes.append(scene_number(known_scene(tree.name, state, seat)))
    return words, labels, scenes


def _ends(tree: GameTree, is_open_spiel: bool, scene_number: Any) -> tuple[list, list]:
    """By terminal: the whole state in words and as a scene."""
    if not is_open_spiel:
        return [""] * tree.num_terminals, [-1] * tree.num_terminals
    words, scenes = [""] * tree.num_terminals, [-1] * tree.num_terminals
    game = load_open_spiel(tree.name).turn_based
    for node in np.flatnonzero(tree.node_terminal >= 0).tolist():
        path, at = [], node
        while at > 0:
            path.append(int(tree.node_action[at]))
            at = int(tree.node_parent[at])
        state = game.new_initial_state()
        for action in reversed(path):
            state.apply_action(action)
        terminal = int(tree.node_terminal[node])
        scene = scene_of(tree.name, state, str(state))
        scenes[terminal] = scene_number(scene)
        words[terminal] = "" if scene is not None and scene["kind"] == "cards" else str(state)
    return words, scenes
