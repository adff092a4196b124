"""`scripts/plan_scale.py`: a step by hand; the page has the plans of the measured costs."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COSTS = {
    "run": "by_hand", "strategies": 8, "episodes": 4, "evaluate_every": 5, "broadcast_bytes": 100,
    "episode_bytes": 50, "block_s": 1.0, "episode_s": 2.0, "join_s": 0.5, "update_s": 3.0,
    "evaluate_s": 10.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def plan_scale():
    path = ROOT / "scripts" / "plan_scale.py"
    spec = importlib.util.spec_from_file_location("plan_scale", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_a_step_is_planned_as_by_hand(plan_scale):
    """In one block two actors take 1 + 2 * 4 seconds, in two 1 + 2 * 2, in four twice 1 + 2."""
    cluster = plan_scale.Cluster(nodes=2, cores=1, bytes_per_s=100.0, item_s=0.1)
    step = plan_scale.plan_step(COSTS, cluster)
    assert (step.blocks, step.actors) == (2, 5.0)
    assert step.items == pytest.approx(0.2)
    # Parameters to two nodes, and four episodes.
    assert step.network == pytest.approx((2 * 100 + 4 * 50) / 100)
    assert (step.learner, step.evaluation) == (3.5, 2.0)
    assert step.in_turns == pytest.approx(5.0 + 0.2 + 4.0 + 3.5 + 2.0)
    assert step.beside == pytest.approx(0.2 + 4.0 + 3.5 + 2.0)
    assert step.limit == "actors"
    assert plan_scale.step_alone(COSTS) == 1.0 + 2.0 * 4 + 3.0 + 2.0


def test_a_slow_network_asks_for_few_nodes(plan_scale):
    """One node is sent 100 bytes, and sends 200."""
    slow = plan_scale.Cluster(nodes=100, cores=1, bytes_per_s=10.0, item_s=0.1)
    step = plan_scale.plan_step(COSTS, slow)
    assert (step.blocks, step.network, step.limit) == (1, 30.0, "network")


def test_evaluations_are_planned_as_by_hand(plan_scale):
    """Four episodes in two parts: 3 seconds stay, a part takes 1 + 2 * 2, parameters go to two
    nodes. The measurement, a wave and a half in parts of 5,000: four of them, then two.
    """
    costs = {
        "episodes": 4, "evaluate_s": 12.0, "evaluate_stays_s": 3.0, "evaluate_part_s": 1.0,
        "evaluate_episode_s": 2.0, "evaluate_episode_bytes": 5, "told_bytes": 100,
        "final_episodes": 30_000, "measure_stays_s": 1.0, "measure_part_s": 0.5,
        "measure_episode_s": 0.001, "measure_episode_bytes": 0,
    }  # fmt: skip
    cluster = plan_scale.Cluster(nodes=2, cores=1, bytes_per_s=1000.0, item_s=0.1)
    parts, seconds = plan_scale.plan_evaluation(costs, cluster)
    assert parts == 2 and seconds == pytest.approx(3.0 + 5.0 + 0.2 + 0.22)
    parts, seconds = plan_scale.plan_measurement(costs, cluster)
    assert parts == 4 and seconds == pytest.approx((1 + 11 + 0.4 + 0.2) + (1 + 5.5 + 0.2 + 0.2))
    assert plan_scale.evaluation_alone(costs) == (12.0, pytest.approx(2 * 1.5 + 30.0))


def test_payoffs_are_planned_as_by_hand(plan_scale):
    """Six pairs of three strategies, two at a time."""
    cell = {"cell_s": 3.0, "cell_bytes": 10.0}
    cluster = plan_scale.Cluster(nodes=1, cores=2, bytes_per_s=100.0, item_s=0.1)
    assert plan_scale.plan_payoffs(cell, 3, cluster) == (9.0, "actors")
    slow = plan_scale.Cluster(nodes=1, cores=2, bytes_per_s=1.0, item_s=0.1)
    assert plan_scale.plan_payoffs(cell, 3, slow) == (60.0, "network")


def test_solver_seconds_follow_the_largest_sizes(plan_scale):
    """Twice the size took eight times as long: so does the next doubling."""
    costs = [{"strategies": 8, "solve_s": 9.0}, {"strategies": 16, "solve_s": 1.0},
             {"strategies": 32, "solve_s": 8.0}]  # fmt: skip
    assert plan_scale.solver_seconds(costs, 64) == pytest.approx(64.0)
    assert plan_scale.solver_seconds(costs, 20) == 8.0


def test_the_page_has_the_plans_of_the_measured_costs(plan_scale):
    results = json.loads((ROOT / "docs" / "results" / "scale.json").read_text())
    page = (ROOT / "docs" / "scaling.md").read_text()
    assert plan_scale.tables(results, cores=16, bytes_per_s=1.25e9) in page
