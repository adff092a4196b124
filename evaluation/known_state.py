"""What one seat knows of a state, in words and as a scene: what a person may see who sits there."""

import copy
from typing import Any

import pyspiel

from evaluation.replay_frames import scene_of
from evaluation.replay_states import observed_text


def known_scene(game: str, state: Any, seat: int) -> dict[str, Any] | None:
    """The scene of a state with the cards of other seats turned over; `None` where a scene would
    show what the seat does not know.
    """
    scene = scene_of(game, state, str(state))
    if scene is None:
        return None
    if scene["kind"] == "cards":
        hidden = copy.deepcopy(scene)
        for number, place in enumerate(hidden["seats"]):
            if number != seat and place["card"]:
                place |= {"card": "?", "hidden": True}
        return hidden
    return scene if _sees_everything(state) else None


def known_text(game: str, state: Any, seat: int) -> str:
    """What the seat knows, in words."""
    if _sees_everything(state):
        return str(state)
    scene = known_scene(game, state, seat)
    if scene is None:
        return observed_text(state, seat)
    words = [f"your card: {scene['seats'][seat]['card']}"]
    if scene["public"]:
        words.append(f"on the table: {' '.join(scene['public'])}")
    words += [f"seat {k} has put in {place['chips']:g}" for k, place in enumerate(scene["seats"])]
    return "; ".join(words)


def _sees_everything(state: Any) -> bool:
    information = state.get_game().get_type().information
    return information == pyspiel.GameType.Information.PERFECT_INFORMATION
