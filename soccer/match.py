"""Soccer in C MuJoCo: `SoccerTask` plays a `soccer.scenario.Scenario` on `games.mujoco_host`.

A control step of 25 ms: actions become filtered position targets, five physics steps follow, the
ball is thrown in where it left the pitch, goals and fouls are noted, rewards are paid, sensors are
read. All arrays are of some lanes `n` and robots `P`; seat i of the game is robot i.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from games.mujoco_host import Lanes, MujocoStates
from soccer import bots, observations, pitch, randomisation, residual, rewards, rules, vision
from soccer.items import size_of
from soccer.observations import Before, Sensors
from soccer.randomisation import Push
from soccer.scenario import End, Scenario, game_info
from soccer.scene import Scene, read_scene

# A target counts as reached within this distance, metres.
TARGET_REACHED = 0.2


class Memory(NamedTuple):
    """What a lane remembers beside its simulation; arrays of all lanes, changed in place.

    Attributes:
      command: what the servos follow: filtered position targets, the state of the filter.
      history: stacked items of the last control steps, newest first.
      measured: what was measured at the last control steps, newest first.
      now: what is observed once, delayed like the rest.
      looks: with vision, what the camera told at the last control steps, newest first.
      before: what differences are taken from.
      sensors: what differs between robots, of this episode.
      delay_weights: by which measurements are mixed.
      push: the next of each robot.
      target: place to walk to.
      score: goals of the home and of the away team in this episode.
      lead: where a script leads the robots, what it does now.
    """

    command: Float64[np.ndarray, "B P A"]
    history: Float64[np.ndarray, "B P 5 stacked"]
    measured: Float64[np.ndarray, "B P steps measured"]
    now: Float64[np.ndarray, "B P current"]
    looks: Float64[np.ndarray, "B P looks current"]
    before: Before
    sensors: Sensors
    delay_weights: Float64[np.ndarray, "B P steps"]
    push: Push
    target: Float64[np.ndarray, "B P 2"]
    score: Int64[np.ndarray, "B 2"]
    lead: residual.Lead | tuple[()]


class SoccerTask:
    """A `Scenario` as a `games.mujoco_host.MujocoTask`."""

    substeps = pitch.SUBSTEPS
    observation_kind = "soccer_robot"

    def __init__(
        self, scenario: Scenario, *, randomise: bool = False, shaped: bool = False
    ) -> None:
        """Makes the task.

        Args:
          scenario: what it is.
          randomise: whether robots differ and are pushed, see `soccer.randomisation`.
          shaped: whether the shaping terms are paid instead of the payoff.
        """
        self.scenario, self.randomise, self.shaped = scenario, randomise, shaped
        teams = np.array(scenario.teams)
        self.num_robots = len(teams)
        self.attack = rules.attack_sign(teams)
        self.opponents: Bool[np.ndarray, "P P"] = teams[:, None] != teams
        self.mates: Bool[np.ndarray, "P P"] = ~self.opponents & ~np.eye(len(teams), dtype=bool)
        self.weights = scenario.shaping if shaped else scenario.payoff
        self.xml = pitch.match_xml(scenario.teams, ball=scenario.ball, body=scenario.body)
        self.info = game_info(scenario, randomise=randomise, shaped=shaped)
        # Scripts always begin with the same foot.
        self.mirror = (
            None
            if scenario.residual
            else observations.mirror_of(
                scenario.extras, body=scenario.body, critic=scenario.privileged
            )
        )
        self._script = bots.SCRIPTS[scenario.residual]() if scenario.residual else None
        self._sensed = size_of(observations.sensed(scenario.body))
        self._torsos = [1 + i * scenario.body.num_links for i in range(self.num_robots)]

    def allocate(self, batch: Any) -> Memory:
        """See `MujocoTask`."""
        B, P, body = batch.nsim, self.num_robots, self.scenario.body
        steps, sensed = randomisation.DELAY_STEPS, self._sensed
        known = size_of(self.scenario.shown_once)
        current = size_of((*observations.CURRENT, *self.scenario.extras))
        looks = (vision.DELAY + 1) * self.scenario.vision
        if self.randomise:
            for field in ("geom_friction", "body_mass", "body_ipos", "body_inertia"):
                batch.expand(field)
        nominal = randomisation.nominal(B, P, num_joints=body.num_joints)
        return Memory(
            command=np.zeros((B, P, body.num_actions)),
            history=np.zeros((B, P, observations.HISTORY, size_of(body.stacked))),
            measured=np.zeros((B, P, steps, sensed + known)),
            now=np.zeros((B, P, current)),
            looks=np.zeros((B, P, looks, current)),
            before=Before(*(np.zeros((B, P, 3)) for _ in range(3)), np.zeros((B, 3))),
            sensors=nominal.sensors,
            delay_weights=nominal.delay_weights,
            push=Push(
                np.full((B, P), self.info.max_steps + 1), np.full((B, P), self.info.max_steps + 1),
                np.zeros((B, P, 3)), np.zeros((B, P, 3)),
            ),
            target=np.zeros((B, P, 2)),
            score=np.zeros((B, 2), np.int64),
            lead=() if self._script is None else residual.first_lead(self._script, B, P),
        )  # fmt: skip

    def begin(self, states: MujocoStates, lanes: Lanes) -> None:
        """See `MujocoTask`."""
        memory: Memory = states.memory
        scenario, P = self.scenario, self.num_robots
        numbers = np.arange(len(states.over))[lanes]
        start = scenario.start(states.streams.uniforms(numbers, scenario.start_numbers))
        states.qpos[lanes, : P * scenario.body.num_positions] = start.robots.reshape(
            len(numbers), -1
        )
        if scenario.ball:
            ball = np.column_stack([start.ball, np.full(len(numbers), pitch.BALL_RADIUS)])
            self._put_ball(states, numbers, ball)
        if self.randomise:
            self._randomise(states, numbers)
        memory.command[lanes] = scenario.body.first_command(start.robots)
        memory.score[lanes] = 0
        scene = self.scene(states, lanes)
        if scenario.target:
            self._draw_targets(states, numbers, np.ones((len(numbers), P), bool))
        _write(memory.before, lanes, observations.remember(scene))
        measured = self._measure(memory, lanes, scene)
        memory.measured[lanes] = measured[:, :, None]
        if scenario.vision:
            memory.looks[lanes] = self._look(states, lanes, scene)[:, :, None]
        self._perceive(memory, lanes)
        # All steps before the first were like it.
        memory.history[lanes] = memory.history[lanes][:, :, :1]
        if self._script is not None:
            residual.write(memory.lead, lanes, residual.first_lead(self._script, len(numbers), P))
            self._ask_script(memory, lanes)

    def command(
        self, states: MujocoStates, lanes: Lanes, actions: Float32[np.ndarray, "n P A"]
    ) -> None:
        """See `MujocoTask`."""
        memory: Memory = states.memory
        if self._script is not None:
            actions = residual.corrected(memory.lead.action[lanes], actions)
        command = self.scenario.body.next_command(memory.command[lanes], actions)
        memory.command[lanes] = command
        told = self._told(memory, lanes)
        states.ctrl[lanes] = told.reshape(len(told), -1)
        if self.randomise:
            self._push(states, lanes)

    def settle(
        self, states: MujocoStates, lanes: Lanes
    ) -> tuple[Float64[np.ndarray, "n P"], Bool[np.ndarray, "n"]]:
        """See `MujocoTask`."""
        memory: Memory = states.memory
        if self.scenario.ball:
            self._throw_in(states, lanes)
        scene = self.scene(states, lanes)
        moment, over = self._judge(memory, lanes, scene)
        rewards_now = rewards.weighted_sum(
            moment,
            self.weights,
            fouls_earn_nothing=self.shaped and self.scenario.fouls_earn_nothing,
        )
        memory.score[lanes] += np.stack([moment.scored > 0, moment.scored < 0], axis=1)
        if self.scenario.target:
            reached = np.linalg.norm(moment.target - scene.position[..., :2], axis=-1)
            self._draw_targets(states, np.arange(len(states.over))[lanes], reached < TARGET_REACHED)
        measured = self._measure(memory, lanes, scene)
        memory.measured[lanes] = np.concatenate(
            [measured[:, :, None], memory.measured[lanes][:, :, :-1]], axis=2
        )
        if self.scenario.vision:
            memory.looks[lanes] = np.concatenate(
                [
                    self._look(states, lanes, scene)[:, :, None],
                    memory.looks[lanes][:, :, :-1],
                ],
                axis=2,
            )
        self._perceive(memory, lanes)
        _write(memory.before, lanes, observations.remember(scene))
        return rewards_now, over

    def observe(self, states: MujocoStates) -> Float32[np.ndarray, "B P O"]:
        """See `MujocoTask`; the layout is that of `observations.layout(scenario.extras)`."""
        memory: Memory = states.memory
        B, P = memory.command.shape[:2]
        observation = np.empty((B, P, self.info.observation_size[0]), np.float32)
        stacked = observations.HISTORY * size_of(self.scenario.body.stacked)
        observation[..., :stacked] = memory.history.reshape(B, P, -1)
        observation[..., stacked:] = memory.now
        return observation

    def observe_privileged(self, states: MujocoStates) -> Float32[np.ndarray, "B P C"]:
        """Returns what a critic may know beside the observations: `scenario.privileged`."""
        left = 1 - states.steps / self.info.max_steps
        scene = self.scene(states, slice(None))
        known = observations.privileged(scene, opponents=self.opponents, time_left=left)
        if self.scenario.vision:
            exact = states.memory.measured[:, :, 0, self._sensed :]
            known = np.concatenate([known, exact], axis=-1)
        return known.astype(np.float32)

    def scene(self, states: MujocoStates, lanes: Lanes) -> Scene:
        """Who is where in some lanes."""
        return read_scene(
            states.qpos[lanes], states.qvel[lanes], self.num_robots, body=self.scenario.body
        )

    def _told(self, memory: Memory, lanes: Lanes) -> Float64[np.ndarray, "n P A"]:
        """Commands as the servos understand them: an encoder that reports too much makes its servo
        stop too early.
        """
        command = memory.command[lanes]
        return command - memory.sensors.joint_offset[lanes] if self.randomise else command

    def _judge(
        self, memory: Memory, lanes: Lanes, scene: Scene
    ) -> tuple[rewards.Moment, Bool[np.ndarray, "n"]]:
        """What happened, and whether it ends the episode."""
        down, off = rules.down(scene), rules.off_pitch(scene)
        area = rules.in_goal_area(scene)
        scored = np.zeros(len(scene.ball), np.int64)
        if self.scenario.ball:
            scored = rules.scoring_team(scene.ball)
        moment = rewards.Moment(
            scene=scene,
            attack=self.attack,
            opponents=self.opponents,
            scored=scored,
            foul=down | off | area,
            torque=self.scenario.body.torque(self._told(memory, lanes), scene.joints),
            target=memory.target[lanes],
            before=memory.before.position[lanes][..., :2],
        )
        ends: dict[End, np.ndarray] = {
            "goal": scored != 0,
            "down": down.any(axis=1),
            "off_pitch": off.any(axis=1),
            "goal_area": area.any(axis=1),
        }
        over = np.zeros(len(scored), bool)
        for end in self.scenario.ends:
            over |= ends[end]
        return moment, over

    def _measure(
        self, memory: Memory, lanes: Lanes, scene: Scene
    ) -> Float64[np.ndarray, "n P measured"]:
        """What the sensors say at this moment: `observations.sensed`, then what is shown once."""
        before = Before(*(part[lanes] for part in memory.before))
        sensors = Sensors(*(part[lanes] for part in memory.sensors))
        parts = [
            observations.sense_body(scene, before, sensors),
            observations.sense_game(
                scene, before, attack=self.attack, opponents=self.opponents, mates=self.mates,
                ball=self.scenario.ball,
                target=memory.target[lanes] if self.scenario.target else None,
            ),
        ]  # fmt: skip
        return np.concatenate(parts, axis=-1)

    def _perceive(self, memory: Memory, lanes: Lanes) -> None:
        """Brings measurements, late as they are, to where they are observed."""
        measured = memory.measured[lanes]
        if self.randomise:
            late = np.einsum("nps,npsm->npm", memory.delay_weights[lanes], measured)
        else:
            late = measured[:, :, 0]
        sensed = self._sensed
        memory.history[lanes] = observations.stack_newest(
            memory.history[lanes], late[..., :sensed], memory.command[lanes]
        )
        now = late[..., sensed:]
        if self.scenario.vision:
            now = vision.beside_goals(memory.looks[lanes][:, :, -1], now)
        memory.now[lanes, :, : now.shape[-1]] = now
        if self._script is not None:
            self._ask_script(memory, lanes)

    def _ask_script(self, memory: Memory, lanes: Lanes) -> None:
        """Has the script say what it does now, and shows it."""
        items = size_of(residual.ITEMS)
        history, now = memory.history[lanes], memory.now[lanes, :, :-items]
        plain = np.concatenate([history.reshape(*now.shape[:2], -1), now], axis=-1)
        memory.now[lanes, :, -items:] = residual.go_on(
            memory.lead, self._script, lanes, plain.astype(np.float32)
        )

    def _look(
        self, states: MujocoStates, lanes: Lanes, scene: Scene
    ) -> Float64[np.ndarray, "n P current"]:
        """What the cameras tell at this moment of what has just been measured."""
        seen = vision.things_seen(scene, opponents=self.opponents, mates=self.mates)
        shape = (*seen.shape, vision.NUMBERS_PER_THING)
        numbers = np.arange(len(states.over))[lanes]
        uniform = states.streams.uniforms(numbers, int(np.prod(shape[1:]))).reshape(shape)
        return vision.look(states.memory.measured[lanes][:, :, 0, self._sensed :], seen, uniform)

    def _throw_in(self, states: MujocoStates, lanes: Lanes) -> None:
        """Puts balls that left the pitch back to rest inside."""
        ball = states.qpos[lanes][:, -7:-4]
        out = rules.ball_out(ball)
        if out.any():
            numbers = np.arange(len(states.over))[lanes][out]
            place = rules.throw_in(ball[out])
            self._put_ball(states, numbers, place)
            # It was carried, not kicked: nobody sees a velocity.
            states.memory.before.ball[numbers] = place

    def _put_ball(
        self, states: MujocoStates, numbers: np.ndarray, place: Float64[np.ndarray, "n 3"]
    ) -> None:
        states.qpos[numbers, -7:-4] = place
        states.qpos[numbers, -4:] = (1, 0, 0, 0)
        states.qvel[numbers, -6:] = 0

    def _draw_targets(
        self, states: MujocoStates, numbers: np.ndarray, wanted: Bool[np.ndarray, "n P"]
    ) -> None:
        """Draws places 0.5 to 3 m away for the robots that want one."""
        some = wanted.any(axis=1)
        if not some.any():
            return
        memory, numbers, wanted = states.memory, numbers[some], wanted[some]
        uniform = states.streams.uniforms(numbers, 2 * self.num_robots)
        uniform = uniform.reshape(len(numbers), self.num_robots, 2)
        distance, angle = 0.5 + 2.5 * uniform[..., 0], 2 * np.pi * uniform[..., 1]
        way = distance[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        place = self.scene(states, numbers).position[..., :2] + way
        memory.target[numbers] = np.where(wanted[..., None], place, memory.target[numbers])

    def _randomise(self, states: MujocoStates, numbers: np.ndarray) -> None:
        """Makes the robots and the floor of some lanes differ."""
        memory, batch, P = states.memory, states.batch, self.num_robots
        uniform = states.streams.uniforms(numbers, randomisation.numbers_needed(P))
        drawn = randomisation.draw(uniform, P)
        _write(memory.sensors, numbers, drawn.sensors)
        memory.delay_weights[numbers] = drawn.delay_weights
        mass, com, inertia = randomisation.with_extra_mass(drawn.extra_mass, drawn.mass_place)
        batch.expand("geom_friction")[numbers, 0, 0] = drawn.floor_friction
        rows = numbers[:, None]
        batch.expand("body_mass")[rows, self._torsos] = mass
        batch.expand("body_ipos")[rows, self._torsos] = com
        batch.expand("body_inertia")[rows, self._torsos] = inertia
        batch.set_const(numbers)
        everybody = (len(numbers), P)
        push = self._next_push(states, numbers, np.zeros(everybody, np.int64))
        _write(memory.push, numbers, push)

    def _next_push(self, states: MujocoStates, numbers: np.ndarray, now: np.ndarray) -> Push:
        count = randomisation.NUMBERS_PER_PUSH
        uniform = states.streams.uniforms(numbers, count * self.num_robots)
        return randomisation.draw_push(uniform.reshape(*now.shape, count), now)

    def _push(self, states: MujocoStates, lanes: Lanes) -> None:
        """Applies the pushes of this step and draws those that follow on ended ones."""
        memory: Memory = states.memory
        numbers = np.arange(len(states.over))[lanes]
        push = Push(*(part[lanes] for part in memory.push))
        now = np.repeat(states.steps[lanes, None].astype(np.int64), self.num_robots, axis=1)
        pushed = (push.start <= now) & (now < push.end)
        wrench = np.concatenate([push.force, np.cross(push.place, push.force)], axis=-1)
        states.xfrc[numbers[:, None], self._torsos] = np.where(pushed[..., None], wrench, 0.0)
        ended = push.end <= now
        some = ended.any(axis=1)
        if some.any():
            fresh = self._next_push(states, numbers[some], now[some])
            for part, new in zip(memory.push, fresh, strict=True):
                mask = ended[some].reshape(*ended[some].shape, *(1,) * (new.ndim - 2))
                part[numbers[some]] = np.where(mask, new, part[numbers[some]])


def _write(memory: tuple, lanes: Lanes, values: tuple) -> None:
    """Copies arrays of some lanes into those of all."""
    for part, value in zip(memory, values, strict=True):
        part[lanes] = value
