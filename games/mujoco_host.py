"""MuJoCo simulations as a `HostGame`: many lanes of one model, stepped by C MuJoCo's thread pool.

A `MujocoTask` says what is simulated and what it means: model, starts, commands, rewards, what
players observe. `MujocoHost` does what all of them need: lanes with random streams of their own,
physics to the same bits for any number of threads, the end of finished lanes, and a guard that
turns a simulation gone wrong into an ended episode and a count, never into a crash.

MuJoCo is imported when the first episode starts; the static facts of a game need none.
"""

import importlib.util
import os
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, Int64, UInt64

from games.lane_streams import LaneStreams, make_streams
from games.types import GameError, GameInfo, Mirror, TimeStep

if TYPE_CHECKING:
    import mujoco

INSTALL = "pip install -c constraints.txt -e '.[soccer]'"

# Some lanes: their numbers in ascending order, or `slice(None)` for all of them. Either selects
# from an array of all lanes and can be assigned to.
Lanes = np.ndarray | slice


class MujocoStates(NamedTuple):
    """The states of `B` lanes. Arrays are changed in place; the first five are the simulations
    themselves.

    Attributes:
      qpos: coordinates.
      qvel: velocities.
      ctrl: what the actuators are told.
      xfrc: force (N) and torque (Nm) on each body at its centre of mass, in the world's frame.
      batch: the `mujoco.batch.Batch` they belong to.
      streams: random numbers of each lane.
      steps: control steps since the start of the episode.
      over: whether the episode has ended.
      broken: how many episodes of the lane were ended by the guard, see `MujocoHost.step`.
      memory: what the task keeps.
    """

    qpos: Float64[np.ndarray, "B nq"]
    qvel: Float64[np.ndarray, "B nv"]
    ctrl: Float64[np.ndarray, "B nu"]
    xfrc: Float64[np.ndarray, "B bodies 6"]
    batch: Any
    streams: LaneStreams
    steps: Int32[np.ndarray, "B"]
    over: Bool[np.ndarray, "B"]
    broken: Int64[np.ndarray, "B"]
    memory: Any


@runtime_checkable
class MujocoTask(Protocol):
    """What is simulated and what it means.

    Attributes:
      info: static facts; actions are continuous.
      xml: the model as MJCF.
      substeps: physics steps in a control step.
      observation_kind: what observations are, in a word.

    A task whose mirror image is the task itself may have a `games.types.Mirror` as `mirror`; one
    whose `info.privileged_size` is not 0 has `observe_privileged` beside `observe`.
    """

    info: GameInfo
    xml: str
    substeps: int
    observation_kind: str

    def allocate(self, batch: Any) -> Any:
        """Returns the memory of all lanes of a `mujoco.batch.Batch`; contents do not matter yet.

        Fields of the model that vary by lane are made here, by the batch's `expand`.
        """
        ...

    def begin(self, states: MujocoStates, lanes: Lanes) -> None:
        """Writes coordinates, velocities and memory of some lanes that start an episode, drawing
        from their streams. The simulations come at the model's defaults, at rest.
        """
        ...

    def command(
        self, states: MujocoStates, lanes: Lanes, actions: Float32[np.ndarray, "n P A"]
    ) -> None:
        """Writes controls and forces of some lanes for the coming control step."""
        ...

    def settle(
        self, states: MujocoStates, lanes: Lanes
    ) -> tuple[Float64[np.ndarray, "n P"], Bool[np.ndarray, "n"]]:
        """Returns the rewards of a control step and where the episode is over, after the physics
        of some lanes; the limit of `info.max_steps` is added by the host.
        """
        ...

    def observe(self, states: MujocoStates) -> Float32[np.ndarray, "B P O"]:
        """Returns what all seats of all lanes observe."""
        ...


class MujocoHost:
    """A `MujocoTask` as a `HostGame`; see `games.types.HostGame` for the contract."""

    def __init__(self, task: MujocoTask, *, num_threads: int | None = None) -> None:
        """Makes the game of a task.

        Args:
          task: what is simulated.
          num_threads: threads that step the lanes; by default `$NPROC`, else all usable cores. The
            results are the same to the bit.

        Raises:
          GameError: `num_threads` is below 1.
        """
        if num_threads is not None and num_threads < 1:
            raise GameError(f"num_threads is {num_threads}: it must be at least 1")
        self.task, self.info = task, task.info
        self.observation_kind = task.observation_kind
        self.mirror: Mirror | None = getattr(task, "mirror", None)
        self._num_threads = num_threads
        self._model: mujoco.MjModel | None = None

    @property
    def missing(self) -> str | None:
        """What has to be installed to play; None where nothing is missing."""
        if importlib.util.find_spec("mujoco") is None:
            return f"needs MuJoCo ({INSTALL})"
        return None

    @property
    def model(self) -> "mujoco.MjModel":
        """The compiled model.

        Raises:
          GameError: MuJoCo is not installed.
        """
        if self._model is None:
            if self.missing:
                raise GameError(f"{self.info.name} {self.missing}")
            import mujoco

            self._model = mujoco.MjModel.from_xml_string(self.task.xml)
        return self._model

    def init(self, seeds: UInt64[np.ndarray, "B"]) -> MujocoStates:
        """Starts one episode per seed.

        Raises:
          GameError: MuJoCo is not installed, or too old.
        """
        model = self.model
        try:
            from mujoco.batch import Batch
        except ImportError:
            raise GameError(
                f"{self.info.name} needs MuJoCo 3.17 or later of version 3 ({INSTALL})"
            ) from None

        _silence_log()
        batch = Batch(model, len(seeds), self._num_threads or _usable_threads())
        states = MujocoStates(
            qpos=batch.bind("qpos"),
            qvel=batch.bind("qvel"),
            ctrl=batch.bind("ctrl"),
            xfrc=batch.bind("xfrc_applied"),
            batch=batch,
            streams=make_streams(seeds),
            steps=np.zeros(len(seeds), np.int32),
            over=np.zeros(len(seeds), bool),
            broken=np.zeros(len(seeds), np.int64),
            memory=self.task.allocate(batch),
        )
        self._begin(states, slice(None))
        return states

    def restart(self, states: MujocoStates) -> TimeStep:
        """Returns the time step of all lanes on arrival from `init`."""
        return self._time_step(states, np.zeros((len(states.over), self.info.num_players)))

    def step(
        self, states: MujocoStates, actions: Float32[np.ndarray, "B P A"]
    ) -> tuple[MujocoStates, TimeStep]:
        """Applies the actions, clipped to -1 and 1; finished lanes stay as they are.

        Where the physics warns of coordinates, velocities or accelerations that are not finite or
        out of all bounds, the episode ends without rewards for this step, the simulation is put at
        the model's defaults, and `states.broken` counts it.

        Raises:
          ValueError: actions of the wrong shape, or not finite; the message names lane and seat.
        """
        actions = np.asarray(actions)
        self._check_actions(states, actions)
        lanes = _selected(~states.over)
        rewards = np.zeros((len(states.over), self.info.num_players))
        if not isinstance(lanes, slice) and not len(lanes):
            return states, self._time_step(states, rewards)
        self.task.command(states, lanes, np.clip(actions[lanes], -1, 1))
        broken = self._simulate(states, lanes)
        states.steps[lanes] += 1
        now, over = self.task.settle(states, lanes)
        rewards[lanes], states.over[lanes] = now, over
        states.over[states.steps >= self.info.max_steps] = True
        rewards[broken], states.over[broken] = 0, True
        return states, self._time_step(states, rewards)

    def reset_where(
        self, states: MujocoStates, done: Bool[np.ndarray, "B"]
    ) -> tuple[MujocoStates, TimeStep]:
        """Starts a new episode in the lanes where `done`, from each lane's own stream."""
        if done.any():
            self._begin(states, _selected(done))
        return states, self.restart(states)

    def observe(self, states: MujocoStates) -> Float32[np.ndarray, "B P O"]:
        """Returns what every seat observes; zeros where the episode is over."""
        observation = self.task.observe(states)
        observation[states.over] = 0
        return observation

    def observe_privileged(self, states: MujocoStates) -> Float32[np.ndarray, "B P C"]:
        """Returns what critics may see of every seat besides, of tasks that have it; zeros where
        the episode is over.
        """
        privileged = self.task.observe_privileged(states)
        privileged[states.over] = 0
        return privileged

    def _begin(self, states: MujocoStates, lanes: Lanes) -> None:
        self._put_at_rest(states, lanes)
        states.steps[lanes], states.over[lanes] = 0, False
        self.task.begin(states, lanes)

    def _put_at_rest(self, states: MujocoStates, lanes: Lanes) -> None:
        import mujoco

        states.batch.reset(_numbers(lanes), stage=int(mujoco.mjtStage.mjSTAGE_NONE))

    def _simulate(self, states: MujocoStates, lanes: Lanes) -> Int64[np.ndarray, "n"]:
        """Advances the physics of some lanes; returns those that went wrong, put at rest."""
        from mujoco.batch import SimulationError

        before = states.batch.warning[..., 1].copy()
        wrong = np.zeros(len(states.over), bool)
        try:
            states.batch.step(_numbers(lanes), nstep=self.task.substeps)
        except SimulationError as error:
            wrong[error.ids] = True
        raised = states.batch.warning[..., 1] > before
        wrong |= raised[:, _bad_state_warnings()].any(axis=1)
        wrong[lanes] |= ~np.isfinite(states.qpos[lanes]).all(axis=1)
        wrong[lanes] |= ~np.isfinite(states.qvel[lanes]).all(axis=1)
        broken = np.flatnonzero(wrong)
        if len(broken):
            self._put_at_rest(states, broken)
            states.broken[broken] += 1
        return broken

    def _check_actions(self, states: MujocoStates, actions: np.ndarray) -> None:
        expected = (len(states.over), self.info.num_players, self.info.num_actions[0])
        if actions.shape != expected:
            raise ValueError(f"actions have shape {actions.shape}, expected {expected}")
        finite = np.isfinite(actions).all(axis=2) | states.over[:, None]
        if not finite.all():
            lane, player = map(int, np.argwhere(~finite)[0])
            raise ValueError(f"lane {lane}: the action of player {player} is not finite")

    def _time_step(self, states: MujocoStates, rewards: np.ndarray) -> TimeStep:
        shape = (len(states.over), self.info.num_players)
        to_move = np.broadcast_to(~states.over[:, None], shape).copy()
        legal_mask = np.repeat(to_move[..., None], self.info.num_actions[0], axis=2)
        # At the end one dummy, as everywhere.
        legal_mask[..., 0] = True
        return TimeStep(
            rewards=rewards.astype(np.float32),
            discount=(~states.over).astype(np.float32),
            to_move=to_move,
            legal_mask=legal_mask,
        )


def _silence_log() -> None:
    """Keeps MuJoCo from writing of every broken simulation, also into the working folder: they are
    counted.
    """
    import mujoco

    config = mujoco.MjLogConfig.get()
    config.logto_console = config.logto_file = False
    mujoco.MjLogConfig.set(config)


def _usable_threads() -> int:
    given = os.environ.get("NPROC", "")
    return int(given) if given.isdigit() and int(given) else len(os.sched_getaffinity(0))


def _selected(mask: Bool[np.ndarray, "B"]) -> Lanes:
    return slice(None) if mask.all() else np.flatnonzero(mask)


def _numbers(lanes: Lanes) -> np.ndarray | None:
    return None if isinstance(lanes, slice) else lanes


def _bad_state_warnings() -> list[int]:
    """Columns of the warnings that a state is not finite or out of all bounds."""
    import mujoco

    kinds = mujoco.mjtWarning
    return [int(kinds.mjWARN_BADQPOS), int(kinds.mjWARN_BADQVEL), int(kinds.mjWARN_BADQACC)]
