"""dm_control's soccer as a game here: MuJoCo Football of Liu et al. 2019 (arXiv 1902.07151).

Two teams of boxheads on a pitch whose size is drawn for every episode, a goal ends it; two versus
two is the game on which NeuPL (Liu et al. 2022, arXiv 2202.07415) trained. Nothing of it is ours
but the bridge, so that populations can be compared on the original: an environment of dm_control's
steps one lane, in Python, and takes most of its time for what it observes and for compiling the
model of each new pitch. `soccer/team(body=boxhead)` is the like of it that is quick.
"""

import contextlib
import importlib.util
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int32, UInt64

from games.teams import two_teams
from games.types import GameError, GameInfo, TimeStep

INSTALL = "pip install -c constraints.txt -e '.[soccer]'"
CONTROL_STEP = 0.025
NUM_ACTIONS = 3
MAX_TEAM_SIZE = 11
# Numbers that a boxhead observes: of itself, the ball and the pitch, and of each other player.
_OWN_NUMBERS, _NUMBERS_OF_ANOTHER = 48, 21
# Statistics for shaping rewards, which are no part of what a player sees.
_STATISTICS = "stats_"


class DmSoccerStates(NamedTuple):
    """The lanes; all of them belong to the latest `init` alone.

    Attributes:
      lanes: environments of dm_control's, one per lane.
      seen: what all seats observe now.
      steps: since the start of the episode.
      over: whether the episode has ended.
      number: of the `init` they come from.
    """

    lanes: list[Any]
    seen: Float32[np.ndarray, "B P O"]
    steps: Int32[np.ndarray, "B"]
    over: Bool[np.ndarray, "B"]
    number: int


class DmSoccer:
    """See `games.types.HostGame` for the contract. Seats of the home team come first."""

    observation_kind = "dm_control_observables"

    def __init__(self, *, team_size: int = 2, seconds: int = 45) -> None:
        """Makes the game; dm_control is imported when the first episode starts.

        Args:
          team_size: players of each team.
          seconds: after which an episode without a goal ends, with nothing for anybody.

        Raises:
          GameError: a parameter is out of its range.
        """
        for name, value, most in (
            ("team_size", team_size, MAX_TEAM_SIZE),
            ("seconds", seconds, 900),
        ):
            if not 1 <= value <= most:
                raise GameError(f"dm_soccer: {name} is {value}, allowed is from 1 to {most}")
        given = {"team_size": (team_size, 2), "seconds": (seconds, 45)}
        changed = [f"{name}={value}" for name, (value, usual) in given.items() if value != usual]
        P = 2 * team_size
        self.team_size = team_size
        self.info = GameInfo(
            name=f"dm_soccer({','.join(changed)})" if changed else "dm_soccer",
            num_players=P,
            num_actions=(NUM_ACTIONS,) * P,
            observation_size=(_OWN_NUMBERS + (P - 1) * _NUMBERS_OF_ANOTHER,) * P,
            utility="zero_sum",
            symmetric=True,
            min_return=-1.0,
            max_return=1.0,
            max_steps=round(seconds / CONTROL_STEP),
            continuous=True,
            seat_players=two_teams(team_size),
        )
        # Making an environment takes longer than an episode's start: they are used again.
        self._lanes: list[Any] = []
        self._number = 0

    @property
    def missing(self) -> str | None:
        """What has to be installed to play; None where nothing is missing."""
        if importlib.util.find_spec("dm_control") is None:
            return f"needs dm_control ({INSTALL})"
        return None

    def init(self, seeds: UInt64[np.ndarray, "B"]) -> DmSoccerStates:
        """Starts one episode per seed; states of an earlier `init` cannot be stepped any more.

        Raises:
          GameError: dm_control is not installed.
        """
        if self.missing:
            raise GameError(f"{self.info.name} {self.missing}")
        while len(self._lanes) < len(seeds):
            self._lanes.append(_environment(self.team_size))
        self._number += 1
        lanes = self._lanes[: len(seeds)]
        shape = (len(seeds), self.info.num_players, self.info.observation_size[0])
        states = DmSoccerStates(
            lanes=lanes, seen=np.zeros(shape, np.float32), steps=np.zeros(len(seeds), np.int32),
            over=np.zeros(len(seeds), bool), number=self._number,
        )  # fmt: skip
        for lane, seed in enumerate(seeds.tolist()):
            lanes[lane].random_state.seed([seed & 0xFFFFFFFF, seed >> 32])
            self._begin(states, lane)
        return states

    def restart(self, states: DmSoccerStates) -> TimeStep:
        """Returns the time step of all lanes on arrival from `init`."""
        return self._time_step(states, np.zeros((len(states.over), self.info.num_players)))

    def step(
        self, states: DmSoccerStates, actions: Float32[np.ndarray, "B P 3"]
    ) -> tuple[DmSoccerStates, TimeStep]:
        """Applies the actions, clipped to -1 and 1: accelerate, turn, kick; finished lanes stay.

        Raises:
          ValueError: actions of the wrong shape or not finite, or states of an earlier `init`.
        """
        actions = np.asarray(actions)
        expected = (len(states.over), self.info.num_players, NUM_ACTIONS)
        if actions.shape != expected:
            raise ValueError(f"actions have shape {actions.shape}, expected {expected}")
        wrong = np.argwhere(~np.isfinite(actions).all(axis=2) & ~states.over[:, None])
        if len(wrong):
            lane, player = wrong[0].tolist()
            raise ValueError(f"lane {lane}: the action of player {player} is not finite")
        self._check_current(states)
        rewards = np.zeros(expected[:2])
        for lane in np.flatnonzero(~states.over).tolist():
            moved = states.lanes[lane].step(list(np.clip(actions[lane], -1, 1).astype(np.float64)))
            rewards[lane] = np.array(moved.reward, np.float64)
            states.steps[lane] += 1
            states.over[lane] = moved.last() or states.steps[lane] >= self.info.max_steps
            states.seen[lane] = _flat(moved.observation)
        return states, self._time_step(states, rewards)

    def reset_where(
        self, states: DmSoccerStates, done: Bool[np.ndarray, "B"]
    ) -> tuple[DmSoccerStates, TimeStep]:
        """Starts a new episode in the lanes where `done`, from each lane's own stream."""
        self._check_current(states)
        for lane in np.flatnonzero(done).tolist():
            self._begin(states, lane)
        return states, self.restart(states)

    def observe(self, states: DmSoccerStates) -> Float32[np.ndarray, "B P O"]:
        """Returns what every seat observes; zeros where the episode is over.

        dm_control's observables of a player without the statistics, in the alphabetical order of
        their names.
        """
        return np.where(states.over[:, None, None], np.float32(0), states.seen)

    def _begin(self, states: DmSoccerStates, lane: int) -> None:
        first = states.lanes[lane].reset()
        states.steps[lane], states.over[lane] = 0, False
        states.seen[lane] = _flat(first.observation)

    def _check_current(self, states: DmSoccerStates) -> None:
        if states.number != self._number:
            raise ValueError(f"{self.info.name}: these lanes were taken over by a later init")

    def _time_step(self, states: DmSoccerStates, rewards: np.ndarray) -> TimeStep:
        to_move = np.repeat(~states.over[:, None], self.info.num_players, axis=1)
        legal_mask = np.repeat(to_move[..., None], NUM_ACTIONS, axis=2)
        # At the end one dummy, as everywhere.
        legal_mask[..., 0] = True
        return TimeStep(
            rewards=rewards.astype(np.float32),
            discount=(~states.over).astype(np.float32),
            to_move=to_move,
            legal_mask=legal_mask,
        )


def _flat(players: list[dict[str, np.ndarray]]) -> Float32[np.ndarray, "P O"]:
    return np.stack(
        [
            np.concatenate(
                [np.ravel(seen[name]) for name in sorted(seen) if not name.startswith(_STATISTICS)]
            )
            for seen in players
        ]
    ).astype(np.float32)


def _environment(team_size: int) -> Any:
    with _without_windows():
        from dm_control.locomotion import soccer

    return soccer.load(
        team_size, time_limit=float("inf"), random_state=np.random.RandomState(0),
        walker_type=soccer.WalkerType.BOXHEAD,
    )  # fmt: skip


@contextlib.contextmanager
def _without_windows() -> Iterator[None]:
    """dm_control looks for a way to draw when it is imported, and warns where there is no screen;
    MuJoCo, imported before, keeps its own way.
    """
    import mujoco  # noqa: F401

    before = os.environ.get("MUJOCO_GL")
    os.environ["MUJOCO_GL"] = "disabled"
    try:
        yield
    finally:
        if before is None:
            del os.environ["MUJOCO_GL"]
        else:
            os.environ["MUJOCO_GL"] = before
