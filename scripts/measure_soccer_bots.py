"""Measures the scripted soccer robots: how they walk, get up, score on an empty goal and play.

Intervals are 95 %: Wilson's of shares, 1.96 standard errors of means. The figures of the scripted
robot of Haarnoja et al. 2024 (arXiv 2304.13653, Table 1) stand beside ours; they are of a real
robot. `walking` to `kicking` are the protocols of `soccer.protocols`; a robot
that did not do it counts in `_done` alone.
"""

import os
import sys
from collections.abc import Mapping
from typing import Any

os.environ.setdefault("MUJOCO_GL", "disabled")

import bench_report
import numpy as np

from games.registry import load_game
from games.types import Policy
from soccer import bots, exhibition, protocols, rewards
from soccer.pitch import CONTROL_STEP
from soccer.scene import read_scene

# The paper's scripted robot.
SCRIPTED = {"walking": 0.20, "turning": 0.71, "get_up_from_the_face": 2.52, "kicking": 2.07}


def walking(policy: Policy, seeds: np.ndarray) -> list[dict[str, Any]]:
    """Speed towards targets while on the feet, and falls."""
    results = exhibition.play(load_game("soccer/walk_to_target"), [policy], seeds)
    seconds = results.steps * CONTROL_STEP
    return [
        mean("walk_to_target", results.returns[:, 0] / seconds, "m/s"),
        share("walks_20_s_without_a_fall", seconds >= 20),
    ]


def walking_skills(
    policy: Policy, seeds: np.ndarray, *, peers: Mapping[str, float], peer_name: str
) -> list[dict[str, Any]]:
    """Walking straight on and turning by `soccer.protocols`, figures of others beside them."""
    return [
        *_skill("walking", protocols.walking_speed(policy, seeds), "m/s", peers, peer_name),
        *_skill("turning", protocols.turning_rate(policy, seeds), "rad/s", peers, peer_name),
    ]


def getting_up_skills(
    policy: Policy, seeds: np.ndarray, *, peers: Mapping[str, float], peer_name: str
) -> list[dict[str, Any]]:
    """Getting up by `soccer.protocols`, figures of others beside it."""
    rows = []
    for name, on_back in (("get_up_from_the_face", False), ("get_up_from_the_back", True)):
        seconds = protocols.get_up_seconds(policy, seeds, on_back=on_back)
        rows += _skill(name, seconds, "s", peers, peer_name)
    return rows


def getting_up(policy: Policy, seeds: np.ndarray) -> list[dict[str, Any]]:
    """Whether a robot that lies anyhow is up within 10 s and stays so."""
    results = exhibition.play(load_game("soccer/get_up"), [policy], seeds, record=len(seeds))
    late = results.recording[-20:]
    coordinates = late.reshape(late.shape[0] * late.shape[1], -1).astype(np.float64)
    scene = read_scene(coordinates, np.zeros((len(coordinates), 26)), 1)
    up = (rewards.shoulder_height(scene) >= rewards.SHOULDERS_UP).reshape(late.shape[:2])
    return [share("up_after_10_s", up.all(axis=0))]


def kicking_skills(
    policy: Policy, seeds: np.ndarray, *, peers: Mapping[str, float], peer_name: str
) -> list[dict[str, Any]]:
    """Kicking by `soccer.protocols`, figures of others beside it."""
    return _skill("kicking", protocols.kick_speed(policy, seeds), "m/s", peers, peer_name)


def scoring(policy: Policy, seeds: np.ndarray) -> list[dict[str, Any]]:
    """Goals on an empty goal from 0.3 to 1.5 m behind, beside or before the ball, the time they
    take, and the ball's greatest speed over 0.2 s.
    """
    results = exhibition.play(load_game("soccer/score"), [policy], seeds, record=len(seeds))
    scored, seconds = results.returns[:, 0] > 0, results.steps * CONTROL_STEP
    ball = results.recording[..., -7:-5].astype(np.float64)
    rows = [share("scores_on_an_empty_goal", scored)]
    if scored.sum() > 1:
        rows.append(mean("seconds_to_a_goal", seconds[scored], "s"))
    return [*rows, mean("fastest_ball", protocols.fastest(ball), "m/s")]


def playing(seeds: np.ndarray) -> list[dict[str, Any]]:
    """Matches of one versus one; a draw counts one half."""
    rows = []
    for name, opponent in (("stand", bots.Stand()), ("keeper", bots.Keeper())):
        half = len(seeds) // 2
        home = exhibition.play(load_game("soccer/duel"), [bots.Chaser(), opponent], seeds[:half])
        away = exhibition.play(load_game("soccer/duel"), [opponent, bots.Chaser()], seeds[half:])
        earned = np.concatenate([home.returns[:, 0], away.returns[:, 1]])
        rows.append(mean(f"chaser_against_{name}", (earned + 1) / 2, "points per match"))
        rows.append(share(f"chaser_against_{name}_decided", earned != 0))
    return rows


def _skill(
    name: str, values: np.ndarray, unit: str, peers: Mapping[str, float], peer_name: str
) -> list[dict[str, Any]]:
    """What was measured of the robots that did it, and how many did."""
    done, peer = np.isfinite(values), peers.get(name)
    found = [share(f"{name}_done", done)]
    if done.sum() > 1:
        found.insert(0, mean(name, values[done], unit, peer=peer, peer_name=peer_name))
    return found


def mean(
    name: str, values: np.ndarray, unit: str, *, peer: float | None = None, peer_name: str = ""
) -> dict[str, Any]:
    """A mean and its interval."""
    if len(values) < 2:
        raise SystemExit(f"{name}: {len(values)} episodes, an interval needs 2; more seeds")
    middle, error = values.mean(), 1.96 * values.std(ddof=1) / np.sqrt(len(values))
    ends = (middle - error, middle + error)
    return _row(name, unit, middle, ends, len(values), peer, peer_name)


def share(
    name: str, happened: np.ndarray, *, peer: float | None = None, peer_name: str = ""
) -> dict[str, Any]:
    """A share and its interval."""
    n, p, z = len(happened), float(np.mean(happened)), 1.96
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return _row(name, "share", p, (middle - half, middle + half), n, peer, peer_name)


def _row(
    name: str,
    unit: str,
    value: float,
    ends: tuple[float, float],
    count: int,
    peer: float | None = None,
    peer_name: str = "",
) -> dict[str, Any]:
    low, high = map(float, ends)
    return bench_report.row(
        name, float(value), peer, peer_name=None if peer is None else peer_name, unit=unit,
        more_is_better=unit != "s", low=low, high=high, episodes=float(count),
    )  # fmt: skip


def main() -> None:
    """Reads the command line, plays, prints and writes the report."""
    options = bench_report.parse_options(
        "measure_soccer_bots",
        description=__doc__,
        quick="eight episodes of each",
        seeds="episodes of each, and matches against each opponent",
        default_seeds=64,
    )
    seeds = np.arange(8 if options.quick else options.seeds, dtype=np.uint64)
    walker, beside = bots.Walker(), {"peers": SCRIPTED, "peer_name": "paper, scripted"}
    rows = [
        *walking_skills(walker, seeds, **beside),
        *getting_up_skills(walker, seeds, **beside),
        *kicking_skills(bots.Kicker(), seeds, **beside),
        *walking(walker, seeds),
        *getting_up(walker, seeds),
        *scoring(bots.Chaser(), seeds),
        *({**row, "name": f"kicker_{row['name']}"} for row in scoring(bots.Kicker(), seeds)),
        *playing(seeds),
    ]
    bench_report.finish(
        "measure_soccer_bots", options, rows, title="Scripted soccer robots", about=__doc__,
        packages=("mujoco", "numpy"),
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
