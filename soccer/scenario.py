"""What a task is: who plays with what body, where episodes start and end, what is paid."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float64

from games.types import GameInfo, UtilityType
from soccer import observations, pitch, residual
from soccer.body import HUMANOID, Body
from soccer.items import Item, size_of

End = Literal["goal", "down", "off_pitch", "goal_area"]


class Start(NamedTuple):
    """Where an episode starts.

    Attributes:
      robots: coordinates of each robot.
      ball: place of the ball on the floor, read where there is one.
    """

    robots: Float64[np.ndarray, "n P coordinates"]
    ball: Float64[np.ndarray, "n 2"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scenario:
    """What a task is.

    Attributes:
      name: without the parameters.
      teams: of each robot, 0 (home) or 1.
      body: what the robots are.
      vision: whether they see ball and robots as a camera does, see `soccer.vision`.
      residual: the script that leads them, see `soccer.residual`; none if empty.
      ball: whether there is a ball, with goals.
      seconds: longest episode.
      usual_seconds: of tasks whose length can be chosen, what it is if nothing is said.
      start: makes the start from numbers in [0, 1), `[n, start_numbers]`.
      start_numbers: how many it needs.
      payoff: weights of the reward terms that the game pays.
      shaping: weights of the terms that are paid instead when rewards are shaped.
      utility: how the payoffs of the seats relate.
      returns: least and greatest return by `payoff`.
      ends: what ends an episode before its time, besides nothing.
      target: whether robots are given places to walk to.
      fouls_earn_nothing: see `rewards.weighted_sum`.
      falls: whether robots also start lying, where else they stand, and falls end nothing.
    """

    name: str
    teams: tuple[int, ...]
    ball: bool
    seconds: float
    start: Callable[[Float64[np.ndarray, "n numbers"]], Start]
    start_numbers: int
    payoff: Mapping[str, float]
    shaping: Mapping[str, float]
    utility: UtilityType
    returns: tuple[float, float]
    ends: frozenset[End] = frozenset()
    target: bool = False
    usual_seconds: float | None = None
    fouls_earn_nothing: bool = False
    falls: bool = False
    body: Body = HUMANOID
    vision: bool = False
    residual: str = ""

    @property
    def shown_once(self) -> tuple[Item, ...]:
        """What is shown once of the game, without vision."""
        two_teams = len(self.teams) > len(set(self.teams)) > 1
        return (*observations.CURRENT, *observations.TEAM * two_teams)

    @property
    def extras(self) -> tuple[Item, ...]:
        """The task's own items of an observation."""
        extras = self.shown_once[len(observations.CURRENT) :]
        things = 4 if extras else 2
        seen = observations.SEEN[:things] * self.vision
        return (*extras, *seen, *residual.ITEMS * bool(self.residual))

    @property
    def privileged(self) -> tuple[Item, ...]:
        """What critics see: with vision also, exact, what is shown once without it."""
        return (*observations.privileged_items(self.body), *self.shown_once * self.vision)


def game_info(scenario: Scenario, *, randomise: bool, shaped: bool) -> GameInfo:
    """Static facts of the game that a scenario is."""
    P = len(scenario.teams)
    on = {
        "randomise": randomise, "shaped": shaped, "vision": scenario.vision,
        "falls": scenario.falls,
    }  # fmt: skip
    given = [name for name in on if on[name]]
    unusual = scenario.usual_seconds not in (None, scenario.seconds)
    parameters = ",".join(
        [f"body={scenario.body.name}"] * (scenario.body is not HUMANOID)
        + [f"residual={scenario.residual}"] * bool(scenario.residual)
        + [f"seconds={scenario.seconds:g}"] * unusual
        + [f"{name}=1" for name in given]
    )
    layout = observations.layout(scenario.extras, body=scenario.body)
    # Shaping terms have no proven bounds: those of the payoff stand for the scale.
    return GameInfo(
        name=scenario.name + (f"({parameters})" if parameters else ""),
        num_players=P,
        num_actions=(scenario.body.num_actions,) * P,
        observation_size=(layout[-1][2].stop,) * P,
        utility="general_sum" if shaped else scenario.utility,
        symmetric=True,
        min_return=scenario.returns[0],
        max_return=scenario.returns[1],
        max_steps=round(scenario.seconds / pitch.CONTROL_STEP),
        continuous=True,
        privileged_size=size_of(scenario.privileged),
        seat_players=scenario.teams if P > 2 else (),
    )
