"""`neupl evaluate`: a game's own protocols, on the populations that are shipped."""

import json
from pathlib import Path

import numpy as np
import pytest

from games import load_game
from soccer import boxhead_bots, exhibition, measurements

pytest.importorskip("mujoco", reason="MuJoCo is not installed: the extra [soccer]")

SHIPPED = Path(__file__).parents[2] / "results"


def test_a_robot_that_gets_up_is_measured_as_its_page_says(tiny):
    """Getting up does not vary: four episodes are enough."""
    done = tiny.run("evaluate", SHIPPED / "soccer" / "get_up_faster", "--episodes", "4", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["game"] == "soccer/get_up(shaped=1)"
    (measured,) = found["strategies"]
    figures = {figure["name"]: figure for figure in measured["figures"]}
    page = json.loads(
        (SHIPPED / "soccer" / "get_up_faster" / "measure_soccer_policy.json").read_text()
    )
    there = {row["name"]: row["ours"] for row in page["rows"]}
    assert figures.keys() == there.keys() and measured["strategy"] == 0
    for name, figure in figures.items():
        assert figure["value"] == pytest.approx(there[name], rel=0.02), name
        assert figure["interval"][0] <= figure["value"] <= figure["interval"][1]
        assert figure["episodes"] == 4
    assert figures["get_up_from_the_face"]["published"] == 0.73


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("soccer/boxhead_duel", "--strategy", "4"), "--strategy is 4, allowed are 0 to 3"),
        (("running_with_scissors",), "running_with_scissors has no protocols of its own"),
    ],
)
def test_what_cannot_be_measured_is_one_error(tiny, arguments, message):
    done = tiny.run("evaluate", SHIPPED / arguments[0], *arguments[1:])
    assert done.returncode == 2 and message in done.stderr and not done.stdout


def test_points_count_goals_of_both_seats():
    """Worked out from the same matches, each seat by itself: a win is 1, a draw 1/2."""
    game, seeds = "soccer/duel(body=boxhead,seconds=8)", np.arange(2, dtype=np.uint64)
    chaser = boxhead_bots.Chaser()
    points, decided = measurements.playing(game, chaser, seeds, against=("stand",))
    host, stand, earned = load_game(game), boxhead_bots.Stand(), []
    for seed in seeds:
        seats = [chaser, stand] if seed < 1 else [stand, chaser]
        home, away = exhibition.play(host, seats, np.array([seed])).score[0]
        goals = (home - away) * (1 if seed < 1 else -1)
        earned.append((goals + 1) / 2)
    assert points.value == np.mean(earned) and points.episodes == 2
    assert decided.value == np.mean(np.array(earned) != 0.5) > 0
    assert points.high - points.low == pytest.approx(2 * 1.96 * np.std(earned, ddof=1) / 2**0.5)


def test_wilsons_interval_of_a_share():
    """Wilson 1927, worked by hand: 8 of 10, z = 1.96."""
    found = measurements.share("x", np.arange(10) < 8)
    assert (found.low, found.high) == pytest.approx((0.4901, 0.9433), abs=1e-4)
    assert found.value == 0.8
