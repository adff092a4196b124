"""`scripts/reproduce_transfer.py`: what it trains and measures, on Kuhn poker."""

import dataclasses
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import jax
import numpy as np
import pytest

from games.registry import load_tree
from neupl.config import NetworkConfig
from neupl.population import Population
from neupl.types import Objective
from solvers.values import expected_returns

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
NETWORK = NetworkConfig(hidden_sizes=(16,), embedding_size=4, critic_hidden_size=8)
SIZE, EPISODES = 3, 256


@pytest.fixture(scope="module")
def scripts() -> dict[str, ModuleType]:
    """The script's modules; scripts are no package, but import each other."""
    sys.path.insert(0, str(SCRIPTS))
    try:
        names = ("reproduce_transfer", "transfer_learning", "transfer_mixtures", "transfer_cases")
        return {name: importlib.import_module(name) for name in names}
    finally:
        sys.path.remove(str(SCRIPTS))


@pytest.fixture(scope="module")
def untrained() -> Population:
    """Three strategies of Kuhn poker, two of them of a network without parameters."""
    joint = np.zeros((2, SIZE, SIZE))
    joint[:, 1, 0] = 1.0
    joint[:, 2, :2] = 0.5
    return Population(
        game="kuhn_poker",
        num_players=2,
        num_actions=2,
        symmetric=False,
        sink="uniform",
        network=NETWORK,
        params=None,
        joint=joint,
        meta_strategy=np.full((2, SIZE), 1 / SIZE),
        payoffs=np.zeros((SIZE, SIZE, 2)),
        step=0,
        num_nodes=None,
        max_nodes=1000,
    )


@pytest.fixture(scope="module")
def responses(scripts, untrained):
    return scripts["transfer_learning"].Responses(untrained, temperature=0.005, episodes=EPISODES)


@pytest.fixture(scope="module")
def population(untrained, responses) -> Population:
    return dataclasses.replace(untrained, params=decided(responses, 5))


def decided(responses, seed: int):
    """Parameters that nobody trained, but with policies far from uniform."""
    params = jax.tree.map(np.array, responses.initial(jax.random.key(seed)))
    params["params"]["policy"]["kernel"] *= 30
    return params


def mixture_of(scripts, seat: int, *weights: float):
    return scripts["transfer_mixtures"].Mixture(seat, 1.0, np.array(weights, np.float64))


def test_mixtures_are_of_admitted_strategies_and_far_from_all_rows(scripts, population):
    module = scripts["transfer_mixtures"]
    joint = population.joint.copy()
    joint[0, 2] = 0.0
    drawn = module.draw_mixtures(joint, per_seat=20, seed=1)
    again = module.draw_mixtures(joint, per_seat=20, seed=1)
    assert [m.seat for m in drawn] == [0] * 20 + [1] * 20
    assert [m.concentration for m in drawn[:4]] == [0.3, 3.0, 0.3, 3.0]
    for one, same in zip(drawn, again, strict=True):
        np.testing.assert_array_equal(one.weights, same.weights)
        assert one.weights.sum() == pytest.approx(1)
        for row in joint[one.seat, 1:]:
            if row.any():
                assert 0.5 * np.abs(row - one.weights).sum() >= module.LEAST_DISTANCE
    # Seat 0 has no strategy 2, so that nobody in seat 1 meets it.
    assert all((m.weights[2] > 0) == (m.seat == 0) for m in drawn)
    with pytest.raises(ValueError, match="per_seat is 3, expected an even number"):
        module.draw_mixtures(joint, per_seat=3, seed=1)


def test_gaps_of_uniform_against_uniform_are_its_nash_conv(scripts, population):
    """0.916667 in Kuhn poker."""
    exact = scripts["transfer_mixtures"].ExactGaps(load_tree("kuhn_poker"), population)
    uniform = [mixture_of(scripts, seat, 1, 0, 0) for seat in range(2)]
    gaps = [exact.gaps(mixture, exact.tables[:1])[0] for mixture in uniform]
    assert sum(gaps) == pytest.approx(11 / 12)


def test_an_index_is_lent_by_payoffs(scripts, population):
    payoffs = np.zeros((SIZE, SIZE, 2))
    payoffs[:, :, 0] = [[9, 9, 9], [1, 0, 0], [0, 2, 0]]
    payoffs[:, :, 1] = -payoffs[:, :, 0]
    population = dataclasses.replace(population, payoffs=payoffs)
    # Seat 0: strategies 1 and 2 earn 0.6 and 0.8; seat 1, against 0.1, 0.3, 0.6 of the strategies
    # of seat 0: -0.9 and -0.9 - 1.2.
    first, second = (mixture_of(scripts, 0, 0.6, 0.4, 0), mixture_of(scripts, 1, 0.1, 0.3, 0.6))
    for mixture in (first, second):
        told = scripts["transfer_learning"].tell(population, mixture)
        assert told.number == 2
        np.testing.assert_allclose(told.rows.joint[mixture.seat, 2], mixture.weights)


@pytest.mark.parametrize("seat, share", [(0, 0.0), (1, 0.0), (0, 0.5), (1, 0.5)])
def test_episodes_are_those_of_the_response_against_the_frozen_mixture(
    scripts, population, responses, seat, share
):
    """The mean return is the exact one of the network that learns, told the mixture, against the
    population's mixture: five standard errors, false alarm below 1e-6.
    """
    module = scripts["transfer_learning"]
    mixture = mixture_of(scripts, seat, 0.2, 0.3, 0.5)
    population = dataclasses.replace(population, simplex_share=share)
    told = module.tell(population, mixture)
    params = decided(responses, 8)
    tree, learning = load_tree("kuhn_poker"), dataclasses.replace(population, params=params)
    mine = (tree.infoset_player == seat)[:, None]
    own = np.zeros((tree.num_infosets, tree.num_actions))
    own[mine[:, 0]] = learning.response_probabilities(
        mixture.weights,
        seat=seat,
        observation=tree.observation[mine[:, 0]],
        mask=tree.legal_mask[mine[:, 0]],
    )
    expected = sum(
        share * expected_returns(tree, np.where(mine, own, member))[seat]
        for share, member in zip(mixture.weights, population.tabulate(), strict=True)
    )
    respond = np.zeros(told.rows.every.shape[:2], np.float32)
    respond[seat, told.number] = 1.0
    objective = Objective(told.rows, respond, respond, 0 * respond, params)
    collect = responses.against(population).collect[seat]
    returns = np.concatenate(
        [collect(params, objective, jax.random.key(i)).returns[:, seat] for i in range(60)]
    )
    assert abs(returns.mean() - expected) < 5 * returns.std() / np.sqrt(len(returns))


@pytest.mark.slow
def test_a_plain_network_never_learns_what_it_is_told(scripts, population, responses):
    """After training, all rows and indices give the same policy; the rest has moved."""
    module = scripts["transfer_learning"]
    fresh = responses.plain(jax.random.key(1), seat=0)
    mixture = mixture_of(scripts, 0, 0.2, 0.3, 0.5)
    opponents = responses.against(population)
    (after,) = responses.respond(
        fresh, mixture, opponents, learning_rate=1e-2, steps=[3], key=jax.random.key(2)
    )
    own = load_tree("kuhn_poker").infoset_player == 0
    other_rows = np.asarray(module.tell(population, mixture).rows.joint)
    tables = [
        dataclasses.replace(population, params=after, joint=joint).tabulate()[1:, own]
        for joint in (population.joint, other_rows)
    ]
    same = np.broadcast_to(tables[0][0], (2, *tables[0].shape))
    np.testing.assert_array_equal(tables, same)
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), fresh["params"], after["params"])
    assert moved["policy"] == {"kernel": True, "bias": True}
    assert moved["inject_critic"]["kernel"]
    assert not moved["inject_0"]["kernel"]
    assert not np.asarray(after["params"]["inject_0"]["kernel"]).any()


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_responses_learn(scripts, population, responses, share):
    population = dataclasses.replace(population, simplex_share=share)
    subject = scripts["reproduce_transfer"].Subject(population, {EPISODES: responses}, seed=0)
    mixture = mixture_of(scripts, 1, 0.2, 0.3, 0.5)
    before = subject.without_training(mixture)
    batches = scripts["transfer_cases"].Batches(EPISODES, fine_tuning=(1, 25), scratch=(1, 25))
    shared = dict(number=0, learning_rate=1e-2)
    scratch = subject.curve(mixture, "scratch", batches, **shared)
    tuned = subject.curve(mixture, "population", batches, **shared)
    assert scratch == subject.curve(mixture, "scratch", batches, **shared)
    assert scratch[1] < 0.5 * scratch[0]
    assert tuned[1] < 0.5 * before["zero_shot"]


def test_claims_by_hand(scripts):
    def measured(members, zero_shot, few, many):
        curves = [
            {"start": "population", "episodes": 8, "steps": [1, 2], "gaps": [9.0, few]},
            {"start": "scratch", "episodes": 8, "steps": [1, 4], "gaps": [0.0, many]},
        ]
        return {"members": members, "zero_shot": zero_shot, "curves": curves}

    mixtures = [measured([5.0, 2.0], 2.1, 1.0, 2.0), measured([1.0, 4.0], 1.3, 2.0, 1.5)]
    batches = scripts["transfer_cases"].Batches(8, (1, 2), (1, 4), few=2, many=4)
    claims = scripts["reproduce_transfer"].claims_of(mixtures, [batches])
    # 1.7 against 1.1 x 1.5; then 1.5 against 1.75.
    assert [claim["gap"] for claim in claims] == pytest.approx([1.7, 1.5])
    assert [claim["limit"] for claim in claims] == pytest.approx([1.65, 1.75])
    assert [claim["met"] for claim in claims] == [False, True]
    assert [claim["share"] for claim in claims] == [0.5, 0.5]


def reproduce(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, [str(SCRIPTS.parent), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, SCRIPTS / "reproduce_transfer.py", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.slow
def test_quick_run_writes_the_report_and_goes_on_from_its_parts(tmp_path):
    out, runs = tmp_path / "report", tmp_path / "runs"
    done = reproduce("--quick", "--out", out, "--runs", runs, "--json")
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    assert content == json.loads((out / "transfer.json").read_text())
    assert str(tmp_path) not in done.stdout, "a report belongs into a repository"
    assert [result["kind"] for result in content["populations"]] == ["rows", "simplex"]
    assert all(len(result["mixtures"]) == 4 for result in content["populations"])
    page = (out / "transfer.md").read_text()
    assert "quick run" in page
    assert (out / "transfer_gaps.png").read_bytes().startswith(b"\x89PNG")
    # The same numbers without measuring anything, and from the run folder that was trained.
    again = reproduce("--quick", "--out", out, "--runs", runs, "--json")
    assert not again.stderr
    assert json.loads(again.stdout)["populations"] == content["populations"]
    full = reproduce("--out", out, "--runs", runs)
    assert full.returncode == 1
    assert "parts of another experiment" in full.stderr


def test_bad_options_are_one_clear_error(tmp_path):
    done = reproduce("--seeds", "0", "--out", tmp_path)
    assert done.returncode == 2
    assert "--seeds is 0, expected at least 1" in done.stderr
    assert not list(tmp_path.iterdir())
