"""Games: what they are, OpenSpiel games as flat arrays, normal-form games, and the registry that
loads all by name.

The public names are imported when first used, so that `import games` needs neither JAX nor
OpenSpiel.
"""

import importlib

_MODULE_OF = {
    "CHANCE": "types",
    "TERMINAL": "types",
    "Game": "types",
    "GameError": "types",
    "GameInfo": "types",
    "HostGame": "types",
    "Policy": "types",
    "PolicySpec": "types",
    "TimeStep": "types",
    "GameTree": "game_tree",
    "MujocoHost": "mujoco_host",
    "MujocoTask": "mujoco_host",
    "NormalForm": "normal_form",
    "OpenSpielHost": "open_spiel_host",
    "TreeGame": "tree_game",
    "compile_states": "tree_compile",
    "describe_game": "catalogue",
    "list_games": "catalogue",
    "load_game": "registry",
    "load_lanes": "registry",
    "load_simulator": "registry",
    "load_tree": "registry",
}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str):
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'games' has no attribute {name!r}")
    return getattr(importlib.import_module(f"games.{_MODULE_OF[name]}"), name)
