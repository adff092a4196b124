"""Robots that are led by a script: what they are told are corrections of what it does.

Residual policy learning (Silver et al. 2018, arXiv 1812.06298; Johannink et al. 2019, arXiv
1812.03201): an action is added to that of a scripted robot, which knows how to walk, get up and
kick. Who does nothing plays as the script, and who learns begins there. With `residual=kicker` a
task of humanoids is played like that by all robots; `Corrected` is such a policy in the plain task.
"""

import re
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32

from games.mujoco_host import Lanes
from games.types import Policy
from soccer import bots, robot
from soccer.items import Item

# Of a correction, what is added to the action of the script.
SHARE = 0.3

ITEMS = (
    Item("suggestion", "joints", "1", "action of the script, -1 to 1"),
    Item("gait_sine", "number", "1", "sine of the phase of its gait"),
    Item("gait_cosine", "number", "1", "cosine of it"),
    Item("by_key_poses", "number", "1", "1 while it gets up or kicks, else 0"),
)


class Lead(NamedTuple):
    """What scripts do now, and remember: of `n` robots, or of the robots of `n` lanes.

    Attributes:
      action: -1 to 1.
      memory: of the scripts.
    """

    action: Float32[np.ndarray, "*n A"]
    memory: bots.Memory


def lead(
    script: bots.ScriptedRobot, memory: bots.Memory, observation: Float32[np.ndarray, "n O"]
) -> Lead:
    """Asks the script about observations of the plain task."""
    action, _, memory = script.act(memory, observation, None, None)
    return Lead(np.clip(action, -1, 1), memory)


def shown(now: Lead) -> Float32[np.ndarray, "n items"]:
    """What a policy is shown of it, `ITEMS`."""
    phase, keyed = now.memory.phase, now.memory.script >= 0
    numbers = np.stack([np.sin(phase), np.cos(phase), keyed], axis=1)
    return np.concatenate([now.action, numbers], axis=1).astype(np.float32)


def corrected(
    action: Float32[np.ndarray, "*n A"], correction: Float32[np.ndarray, "*n A"]
) -> Float32[np.ndarray, "*n A"]:
    """The action of a robot that is led by `action` and told a correction, -1 to 1."""
    return np.clip(action + SHARE * np.clip(correction, -1, 1), -1, 1)


def first_lead(script: bots.ScriptedRobot, lanes: int, robots: int) -> Lead:
    """Before the scripts have said anything: arrays `[lanes, robots]`."""
    memory = script.initial_memory(lanes * robots)
    action = np.zeros((lanes, robots, robot.NUM_JOINTS), np.float32)
    return Lead(action, bots.Memory(*(part.reshape(lanes, robots) for part in memory)))


def write(all_lanes: Lead, lanes: Lanes, some: Lead) -> None:
    """Copies what belongs to some lanes into the arrays of all."""
    all_lanes.action[lanes] = some.action
    for part, value in zip(all_lanes.memory, some.memory, strict=True):
        part[lanes] = value


def go_on(
    all_lanes: Lead,
    script: bots.ScriptedRobot,
    lanes: Lanes,
    observation: Float32[np.ndarray, "n P O"],
) -> Float32[np.ndarray, "n P items"]:
    """Has the scripts of some lanes say what they do now; returns what is shown of it."""
    robots = observation.shape[:2]
    before = bots.Memory(*(part[lanes].reshape(-1) for part in all_lanes.memory))
    now = lead(script, before, observation.reshape(-1, observation.shape[-1]))
    memory = bots.Memory(*(part.reshape(robots) for part in now.memory))
    write(all_lanes, lanes, Lead(now.action.reshape(*robots, -1), memory))
    return shown(now).reshape(*robots, -1)


class CorrectedMemory(NamedTuple):
    """What a lane remembers: the script, and the policy that corrects it."""

    script: bots.Memory
    policy: Any


class Corrected:
    """A policy of a task with a script as one of the plain task: it asks the script itself."""

    def __init__(self, script: bots.ScriptedRobot, policy: Policy) -> None:
        self._script, self._policy = script, policy

    def initial_memory(self, batch: int) -> CorrectedMemory:
        """See `games.types.Policy`."""
        script = self._script.initial_memory(batch)
        return CorrectedMemory(script, self._policy.initial_memory(batch))

    def act(
        self, memory: CorrectedMemory, observation: Any, mask: Any, key: Any
    ) -> tuple[Any, Any, CorrectedMemory]:
        """See `games.types.Policy`; the policy is given the key."""
        plain = np.asarray(observation)
        now = lead(self._script, memory.script, plain)
        seen = np.concatenate([plain, shown(now)], axis=1)
        correction, likely, policy = self._policy.act(memory.policy, seen, mask, key)
        action = corrected(now.action, np.asarray(correction, np.float32))
        return action, likely, CorrectedMemory(now.memory, policy)


def plain(game: str, policy: Policy) -> tuple[str, Policy]:
    """The plain task of a task by name, and a policy of the one as one of the other; both as they
    are where no script leads.
    """
    name, parameters, _ = re.fullmatch(r"([^(]*)\(?([^)]*)(\)?)", game).groups()
    kept = [part for part in parameters.split(",") if part and not part.startswith("residual=")]
    script = re.search(r"\bresidual=(\w+)", parameters)
    if script is None:
        return game, policy
    plain_game = name + (f"({','.join(kept)})" if kept else "")
    return plain_game, Corrected(bots.SCRIPTS[script[1]](), policy)
