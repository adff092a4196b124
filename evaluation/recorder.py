"""Records the first lanes of a match as replays."""

import dataclasses
import importlib.metadata
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from evaluation.beliefs import belief, table_of
from evaluation.players import Choice, Player
from evaluation.replay import (
    CHANCE,
    Belief,
    Forfeit,
    Move,
    Replay,
    Step,
    bytes_of,
    observation_hash,
)
from evaluation.replay_states import driver_of, observed_text
from games.mujoco_host import MujocoHost
from games.open_spiel_host import OpenSpielHost
from games.tree_lanes import TreeLanes
from games.types import HostGame


class Recorder:
    """Watches a match; costs nothing where no replay was asked for."""

    def __init__(
        self,
        lanes: HostGame,
        states: Any,
        seeds: np.ndarray,
        names: Sequence[str],
        num_replays: int,
        players: Sequence[Player],
    ) -> None:
        """Records the first `num_replays` lanes; what seats believe follows from who plays."""
        self._lanes, self._seeds, self._names = lanes, seeds, tuple(names)
        self._steps: list[list[Step]] = [[] for _ in range(num_replays)]
        self._driver = driver_of(lanes) if num_replays else "seed"
        self._start = [b""] * num_replays
        if isinstance(lanes, MujocoHost):
            self._start = [bytes_of(states.qpos[lane]) for lane in range(num_replays)]
        self._tables: list[np.ndarray | None] = []
        if num_replays and isinstance(lanes, TreeLanes):
            self._tables = [table_of(player, lanes.tree) for player in players]

    def decided(
        self,
        states: Any,
        deciding: Sequence[np.ndarray],
        legal: np.ndarray,
        told: Sequence[Choice | None],
        playing: np.ndarray,
    ) -> None:
        """Notes what was decided in lanes that still play, before they are stepped."""
        if not self._steps or self._lanes.info.continuous:
            return
        seen = np.asarray(self._lanes.observe(states))
        for lane, steps in enumerate(self._steps):
            if not playing[lane]:
                continue
            moves = []
            for seat, (asked, choice) in enumerate(zip(deciding, told, strict=True)):
                row = int(np.searchsorted(asked, lane))
                if choice is None or row == len(asked) or asked[row] != lane:
                    continue
                allowed = np.flatnonzero(legal[lane, seat])
                shares = choice.probabilities
                moves.append(
                    Move(
                        seat=seat,
                        action=int(choice.action[row]),
                        legal=tuple(allowed.tolist()),
                        probabilities=None
                        if shares is None
                        else tuple(np.asarray(shares)[row, allowed].astype(float).tolist()),
                        observation=self._observed(states, lane, seat, seen),
                    )
                )
            steps.append(Step(tuple(moves), belief=self._belief(states, lane)))

    def stepped(
        self,
        states: Any,
        actions: np.ndarray,
        rewards: Float[np.ndarray, "B P"],
        playing: np.ndarray,
    ) -> None:
        """Notes what the last decisions brought."""
        for lane, steps in enumerate(self._steps):
            if playing[lane] and self._lanes.info.continuous:
                physics = isinstance(self._lanes, MujocoHost)
                moment = bytes_of(states.qpos[lane]) if physics else b""
                steps.append(Step((), coordinates=moment, commands=bytes_of(actions[lane])))
            if playing[lane] and rewards[lane].any():
                paid = tuple(map(float, rewards[lane]))
                steps[-1] = dataclasses.replace(steps[-1], rewards=paid)

    def replays(
        self, states: Any, returns: np.ndarray, lost: Mapping[int, Forfeit]
    ) -> tuple[Replay, ...]:
        """The replays at the end of a match."""
        if not self._steps:
            return ()
        programs = ["open_spiel", "jax", "numpy"]
        if isinstance(self._lanes, MujocoHost):
            programs.append("mujoco")
        versions = {name: importlib.metadata.version(name) for name in programs}
        return tuple(
            Replay(
                game=self._lanes.info.name,
                driver=self._driver,
                seed=int(self._seeds[lane]),
                seats=self._names,
                steps=tuple(self._with_chance(states, lane, steps)),
                returns=tuple(map(float, returns[lane])),
                forfeit=lost.get(lane),
                versions=versions,
                start=self._start[lane],
            )
            for lane, steps in enumerate(self._steps)
        )

    def _belief(self, states: Any, lane: int) -> Belief | None:
        if not isinstance(self._lanes, TreeLanes):
            return None
        return belief(self._lanes.tree, self._tables, int(self._lanes.infosets(states)[lane]))

    def _observed(self, states: Any, lane: int, seat: int, seen: np.ndarray) -> str:
        lanes = self._lanes
        if isinstance(lanes, TreeLanes):
            name = lanes.tree.infoset_name[int(lanes.infosets(states)[lane])]
            return observation_hash(name.encode())
        if isinstance(lanes, OpenSpielHost):
            return observation_hash(observed_text(lanes.state_of(states, lane), seat).encode())
        return observation_hash(np.ascontiguousarray(seen[lane, seat]).tobytes())

    def _with_chance(self, states: Any, lane: int, decisions: list[Step]) -> list[Step]:
        """The decisions with the chance events between them, as far as decisions were recorded."""
        lanes = self._lanes
        if isinstance(lanes, TreeLanes):
            history = lanes.history(states, lane)
        elif isinstance(lanes, OpenSpielHost):
            played = lanes.state_of(states, lane).full_history()
            history = [(int(move.player), int(move.action)) for move in played]
        else:
            return decisions
        steps, left = [], iter(decisions)
        for player, action in history:
            if player < 0:
                steps.append(Step((Move(CHANCE, action),)))
                continue
            step = next(left, None)
            if step is None:
                break
            steps.append(step)
        return steps
