"""What a policy of a task of soccer can do, in figures with intervals: the paper's table.

The protocols of `soccer.protocols`, and what whole episodes of the task show. Intervals are 95 %:
Wilson's of shares, 1.96 standard errors of means. Likeliest actions are the policy's business.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt64

from games.registry import load_game
from games.types import GameError, Policy
from soccer import bots, boxhead_bots, exhibition, protocols, rewards
from soccer.boxhead import BOXHEAD
from soccer.pitch import CONTROL_STEP
from soccer.residual import plain
from soccer.scene import read_scene

# Standard deviations on either side of an interval.
INTERVAL = 1.96
# Of Haarnoja et al. 2024 (arXiv 2304.13653, Table 1): the scripted robot, which is a real one, and
# the learned one in simulation.
PUBLISHED_SCRIPTED = {
    "walking": 0.20, "turning": 0.71, "get_up_from_the_face": 2.52, "kicking": 2.07,
}  # fmt: skip
PUBLISHED_LEARNED = {
    "walking": 0.51, "turning": 3.19, "get_up_from_the_face": 0.73, "kicking": 2.12,
}  # fmt: skip


class Figure(NamedTuple):
    """What was measured.

    Attributes:
      name: what it is.
      unit: of all numbers.
      value: the figure.
      low: where its interval begins.
      high: where it ends.
      episodes: that it is of.
    """

    name: str
    unit: str
    value: float
    low: float
    high: float
    episodes: int


def measure(game: str, policy: Policy, seeds: UInt64[np.ndarray, "n"]) -> list[Figure]:
    """What a policy of a game can do; one that corrects a script is measured in the plain task.

    Raises:
      GameError: there is no protocol for the game, or an interval needs more seeds.
    """
    game, policy = plain(game, policy)
    task, found = game.partition("(")[0], []
    if task == "soccer/walk_to_target":
        found += [*walking_skills(policy, seeds), *walking(policy, seeds)]
    if task == "soccer/score":
        found += [*kicking_skills(policy, seeds), *scoring(policy, seeds)]
    if task == "soccer/get_up" or "falls=1" in game:
        found += [*getting_up_skills(policy, seeds), *getting_up(policy, seeds)]
    if task == "soccer/duel":
        found += playing(game, policy, seeds)
    if not found:
        raise GameError(
            f"there is no protocol for {game}: there are some for soccer/walk_to_target, "
            "soccer/get_up, soccer/score and soccer/duel"
        )
    return found


def walking_skills(policy: Policy, seeds: UInt64[np.ndarray, "n"]) -> list[Figure]:
    """Walking straight on and turning by `soccer.protocols`."""
    return [
        *_skill("walking", protocols.walking_speed(policy, seeds), "m/s"),
        *_skill("turning", protocols.turning_rate(policy, seeds), "rad/s"),
    ]


def walking(policy: Policy, seeds: UInt64[np.ndarray, "n"]) -> list[Figure]:
    """Speed towards targets while on the feet, and falls."""
    results = exhibition.play(load_game("soccer/walk_to_target"), [policy], seeds)
    seconds = results.steps * CONTROL_STEP
    return [
        mean("walk_to_target", results.returns[:, 0] / seconds, "m/s"),
        share("walks_20_s_without_a_fall", seconds >= 20),
    ]


def getting_up_skills(policy: Policy, seeds: UInt64[np.ndarray, "n"]) -> list[Figure]:
    """Getting up by `soccer.protocols`."""
    found = []
    for name, on_back in (("get_up_from_the_face", False), ("get_up_from_the_back", True)):
        found += _skill(name, protocols.get_up_seconds(policy, seeds, on_back=on_back), "s")
    return found


def getting_up(policy: Policy, seeds: UInt64[np.ndarray, "n"]) -> list[Figure]:
    """Whether a robot that lies anyhow is up within 10 s and stays so."""
    results = exhibition.play(load_game("soccer/get_up"), [policy], seeds, record=len(seeds))
    late = results.recording[-20:]
    coordinates = late.reshape(late.shape[0] * late.shape[1], -1).astype(np.float64)
    scene = read_scene(coordinates, np.zeros((len(coordinates), 26)), 1)
    up = (rewards.shoulder_height(scene) >= rewards.SHOULDERS_UP).reshape(late.shape[:2])
    return [share("up_after_10_s", up.all(axis=0))]


def kicking_skills(policy: Policy, seeds: UInt64[np.ndarray, "n"]) -> list[Figure]:
    """Kicking by `soccer.protocols`."""
    return _skill("kicking", protocols.kick_speed(policy, seeds), "m/s")


def scoring(policy: Policy, seeds: UInt64[np.ndarray, "n"]) -> list[Figure]:
    """Goals on an empty goal from 0.3 to 1.5 m behind, beside or before the ball, the time they
    take, and the ball's greatest speed over 0.2 s.
    """
    results = exhibition.play(load_game("soccer/score"), [policy], seeds, record=len(seeds))
    scored, seconds = results.returns[:, 0] > 0, results.steps * CONTROL_STEP
    ball = results.recording[..., -7:-5].astype(np.float64)
    found = [share("scores_on_an_empty_goal", scored)]
    if scored.sum() > 1:
        found.append(mean("seconds_to_a_goal", seconds[scored], "s"))
    return [*found, mean("fastest_ball", protocols.fastest(ball), "m/s")]


def playing(
    game: str,
    policy: Policy,
    seeds: UInt64[np.ndarray, "n"],
    *,
    against: Sequence[str] | None = None,
) -> list[Figure]:
    """Points per match of one versus one against scripted robots, half of the matches in either
    seat; a draw counts one half. And how many matches were decided.

    Args:
      game: `soccer/duel` with its parameters.
      policy: of either seat.
      seeds: of the matches.
      against: names of scripts of the body; by default all.
    """
    host, half, found = load_game(game), len(seeds) // 2, []
    robots = boxhead_bots.BOTS if host.task.scenario.body is BOXHEAD else bots.BOTS
    for name in robots if against is None else against:
        opponent = robots[name]()
        home = exhibition.play(host, [policy, opponent], seeds[:half])
        away = exhibition.play(host, [opponent, policy], seeds[half:])
        earned = np.concatenate([home.returns[:, 0], away.returns[:, 1]])
        found.append(mean(f"against_{name}", (earned + 1) / 2, "points per match"))
        found.append(share(f"against_{name}_decided", earned != 0))
    return found


def mean(name: str, values: Float[np.ndarray, "n"], unit: str) -> Figure:
    """A mean and its interval.

    Raises:
      GameError: fewer than two values.
    """
    count = len(values)
    if count < 2:
        raise GameError(f"{name}: {count} episodes, an interval needs 2; more seeds")
    middle, error = values.mean(), INTERVAL * values.std(ddof=1) / np.sqrt(count)
    return Figure(name, unit, *map(float, (middle, middle - error, middle + error)), count)


def share(name: str, happened: Bool[np.ndarray, "n"]) -> Figure:
    """A share and Wilson's interval."""
    n, p, z = len(happened), float(np.mean(happened)), INTERVAL
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return Figure(name, "share", *map(float, (p, middle - half, middle + half)), n)


def _skill(name: str, values: Float[np.ndarray, "n"], unit: str) -> list[Figure]:
    """What was measured of the robots that did it, and how many did."""
    done = np.isfinite(values)
    found = [share(f"{name}_done", done)]
    if done.sum() > 1:
        found.insert(0, mean(name, values[done], unit))
    return found
