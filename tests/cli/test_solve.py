"""`neupl solve` through the command line: solutions that OpenSpiel confirms, clear refusals, and
the folder that every other command can use.
"""

import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pyspiel
import pytest
from safetensors.numpy import load_file, save_file

from games.registry import load_tree
from neupl.cli import main
from neupl.stored_population import load_population
from solvers.regret import solve_cfr


@pytest.fixture
def solve(capfd, tmp_path):
    """Runs `neupl solve ARGUMENTS` in this process; returns its JSON object."""

    def run(*arguments, out="run"):
        code = main(["solve", *map(str, arguments), "--out", str(tmp_path / out), "--json"])
        printed = capfd.readouterr()
        assert code == 0, printed.err
        return json.loads(printed.out)

    return run


def command(capfd, *arguments):
    """Exit code, stdout and stderr of a command."""
    code = main([str(argument) for argument in arguments])
    return code, *capfd.readouterr()


def metrics(path):
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]


def test_linear_program_finds_the_value_of_kuhn_poker(solve, tmp_path):
    """The first player of Kuhn poker loses 1/18 (Kuhn 1950)."""
    report = solve("kuhn_poker", "--method", "lp")
    certificate = report["certificate"]
    assert certificate["quantity"] == "nash_conv"
    assert certificate["value"] < 1e-12
    assert abs(certificate["openspiel_value"]) < 1e-12
    (line,) = metrics(tmp_path / "run")
    assert line["solution/value_of_seat_0"] == pytest.approx(-1 / 18, abs=1e-12)
    population = load_population(tmp_path / "run")
    np.testing.assert_allclose(population.payoffs, [[[-1 / 18, 1 / 18]]], atol=1e-12)
    table = pyspiel.TabularPolicy(population.to_open_spiel("nash").to_dict())
    assert pyspiel.nash_conv(pyspiel.load_game("kuhn_poker"), table) < 1e-12


@pytest.mark.parametrize("method", ["cfr", "cfr+", "lcfr", "dcfr", "pcfr+"])
def test_average_policy_is_that_of_one_uninterrupted_call(method, solve, tmp_path):
    """The command works in pieces of time; their number must not matter to the last bit."""
    report = solve("kuhn_poker", "--method", method, "--iterations", 300)
    tree = load_tree("kuhn_poker")
    alone = solve_cfr(tree, variant=method, iterations=300)
    # Realised once more from the table, hence not to the last bit.
    assert report["certificate"]["value"] == pytest.approx(alone.nash_conv, abs=1e-14)
    assert report["certificate"]["openspiel_value"] == pytest.approx(alone.nash_conv, abs=1e-9)
    np.testing.assert_array_equal(load_population(tmp_path / "run").tabulate()[0], alone.policy)
    lines = metrics(tmp_path / "run")
    assert lines[-1]["eval/nash_conv"] == alone.nash_conv
    assert [line["step"] for line in lines][:10] == [1, 2, 3, 4, 5, 6, 7, 8, 10, 12]


@pytest.mark.parametrize("method", ["psro", "jpsro-cce", "jpsro-ce"])
def test_responses_solve_kuhn_poker(method, solve):
    report = solve("kuhn_poker", "--method", method)
    assert report["stopped"] in ("tolerance", "nothing new to add")
    assert report["certificate"]["value"] < 1e-9
    assert report["certificate"]["openspiel_value"] < 1e-9
    assert report["openspiel"]["agrees"]


def test_joint_of_three_players_has_the_gap_that_open_spiel_measures(solve, tmp_path):
    """Stopped early, so that the gap is not zero; the device is built from the saved tables."""
    report = solve("kuhn_poker(players=3)", "--method", "jpsro-cce", "--iterations", 4)
    assert report["stopped"] == "iterations"
    population = load_population(tmp_path / "run")
    device = [
        (weight, pyspiel.TabularPolicy(population.to_open_spiel(tuple(profile)).to_dict()))
        for profile, weight in zip(population.profiles.tolist(), population.weights, strict=True)
    ]
    theirs = pyspiel.cce_dist(pyspiel.load_game("kuhn_poker(players=3)"), device)
    assert theirs.dist_value > 1e-3
    assert report["certificate"]["value"] == pytest.approx(theirs.dist_value, abs=1e-9)
    assert report["certificate"]["openspiel_value"] == pytest.approx(theirs.dist_value, abs=1e-9)
    assert report["checked"] == "OpenSpiel measured the CCE distance of the whole joint"


def test_correlated_equilibrium_of_sheriff(solve, tmp_path):
    """The heaviest profiles are checked where the whole joint takes OpenSpiel too long."""
    report = solve("sheriff", "--method", "jpsro-ce", "--open-spiel-limit-s", "2")
    assert report["certificate"]["quantity"] == "ce_gap"
    assert report["certificate"]["value"] < 1e-7
    assert report["openspiel"]["concept"] == "ce"
    assert report["openspiel"]["agrees"]
    card = (tmp_path / "run" / "population" / "MODEL_CARD.md").read_text()
    assert "solved by jpsro-ce" in card
    assert "after it has heard its own strategy" in card


def test_regret_minimisers_leave_the_joint_that_was_certified(solve, tmp_path):
    report = solve("kuhn_poker(players=3)", "--method", "regret-cce", "--iterations", 40)
    last = metrics(tmp_path / "run")[-1]
    # From sums over iterations there, from the saved tables and their joint here.
    assert report["certificate"]["value"] == pytest.approx(last["eval/cce_gap"], abs=1e-12)
    assert report["certificate"]["openspiel_value"] == pytest.approx(last["eval/cce_gap"], abs=1e-9)
    assert report["sizes"] == [40, 40, 40]
    assert report["profiles"] == 40


def test_copies_may_weigh(solve):
    """Uniform rows forever find the same responses again and again."""
    options = ("kuhn_poker", "--method", "psro", "--iterations", 6, "--meta-solver", "uniform")
    weighed = solve(*options, "--repeats", "weigh", out="weighed")
    dropped = solve(*options, "--repeats", "drop", out="dropped")
    assert weighed["iterations"] == 6
    assert dropped["stopped"] == "nothing new to add"
    assert max(dropped["sizes"]) < 6


def test_tolerance_and_time_limit_stop(solve):
    loose = solve("kuhn_poker", "--method", "cfr+", "--tolerance", "0.1", out="loose")
    assert loose["stopped"] == "tolerance"
    assert loose["certificate"]["value"] <= 0.1
    late = solve("leduc_poker", "--method", "psro", "--time-limit-s", "1e-6", out="late")
    assert late["stopped"] == "time limit"
    assert late["iterations"] <= 1
    assert late["certificate"]["value"] > 1


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["kuhn_poker", "--method", "cf+"], "unknown method 'cf+' (did you mean 'cfr+'?)"),
        (["kuhn_pokr", "--method", "lp"], "unknown OpenSpiel game 'kuhn_pokr'"),
        (["kuhn_poker(players=3)", "--method", "lp"], "a 3-player zero-sum game"),
        (["sheriff", "--method", "psro"], "a 2-player general-sum game"),
        (["kuhn_poker", "--method", "cfr", "--meta-solver", "nash"], "not for cfr"),
        (["kuhn_poker", "--method", "lp", "--repeats", "drop"], "not for lp"),
        (["kuhn_poker", "--method", "lp", "--iterations", "9"], "none to limit"),
        (["kuhn_poker", "--method", "psro", "--meta-solver", "mgcce"], "independent mixtures"),
        (["kuhn_poker", "--method", "jpsro-ce", "--meta-solver", "mgc"], "did you mean 'mgce'"),
        (["kuhn_poker", "--method", "cfr", "--iterations", "0"], "must be at least 1"),
        (["kuhn_poker", "--method", "cfr", "--tolerance", "-1"], "must be at least 0"),
        (["kuhn_poker", "--method", "cfr", "--tolerance", "nan"], "must be at least 0"),
        (["kuhn_poker", "--method", "cfr", "--time-limit-s", "0"], "must be above 0"),
        (["kuhn_poker", "--method", "lp", "--max-nodes", "10"], "10"),
        (["leduc_poker", "--method", "regret-cce", "--iterations", "9999999"], "GiB of tables"),
    ],
)
def test_what_does_not_apply_is_one_clear_error(arguments, expected, capfd, tmp_path):
    path = tmp_path / "run"
    code, out, err = command(capfd, "solve", *arguments, "--out", path)
    assert code == 2
    assert out == ""
    errors = [line for line in err.splitlines() if not line.startswith("hint: ")]
    assert len(errors) == 1
    assert errors[0].startswith("error: ")
    assert expected in errors[0]
    assert not path.exists()


def test_folder_that_holds_a_run_is_left_alone(solve, capfd, tmp_path):
    solve("kuhn_poker", "--method", "lp")
    before = (tmp_path / "run" / "provenance.json").read_bytes()
    code, _, err = command(
        capfd, "solve", "kuhn_poker", "--method", "lp", "--out", tmp_path / "run"
    )
    assert code == 2
    assert "already holds a run" in err
    assert (tmp_path / "run" / "provenance.json").read_bytes() == before


def test_regrets_without_a_guarantee_are_said_to_have_none(capfd, caplog, tmp_path):
    arguments = ("kuhn_poker(players=3)", "--method", "cfr", "--iterations", 10)
    code, out, _ = command(capfd, "solve", *arguments, "--out", tmp_path / "run")
    assert code == 0
    assert "NashConv" in out
    assert "nothing guarantees" in caplog.text


def test_other_commands_know_what_was_solved(solve, capfd, tmp_path):
    report = solve("kuhn_poker", "--method", "psro", "--iterations", 3)
    run, exported = tmp_path / "run", tmp_path / "exported"
    code, out, _ = command(capfd, "info", run)
    assert code == 0
    assert ["solved", "by", "psro"] in [line.split() for line in out.splitlines()]
    assert "nash_conv" in out
    assert command(capfd, "export", run, "--out", exported)[0] == 0
    for path in (run, exported):
        code, out, _ = command(capfd, "verify", path, "--json")
        assert code == 0
        found = json.loads(out)
        assert found["certificate"]["value"] == report["certificate"]["value"]
        assert found["openspiel"]["agrees"]
    code, out, _ = command(capfd, "verify", exported)
    assert "OpenSpiel rebuilt the mixture" in out
    assert "the two agree" in out
    code, _, err = command(capfd, "verify", exported, "--episodes", 10)
    assert code == 2
    assert "exact tables" in " ".join(err.split())
    assert (run / "report" / "convergence.png").read_bytes().startswith(b"\x89PNG")
    # A finished run is resumed to the same end.
    code, out, _ = command(capfd, "resume", run, "--json")
    assert code == 0
    assert json.loads(out)["certificate"]["value"] == report["certificate"]["value"]


def test_tampered_population_fails_cleanly(solve, capfd, tmp_path):
    solve("kuhn_poker", "--method", "psro", "--iterations", 3)
    arrays_path = tmp_path / "run" / "population" / "arrays.safetensors"
    arrays = load_file(arrays_path)
    arrays["policies/0"][0, 0] = [0.9, 0.1]
    save_file(arrays, arrays_path)
    code, out, err = command(capfd, "verify", tmp_path / "run")
    assert code == 2
    assert out == ""
    (line,) = err.splitlines()
    assert "does not match the hash" in line


def test_population_of_another_game_is_refused(solve, capfd, tmp_path):
    solve("kuhn_poker", "--method", "lp")
    manifest_path = tmp_path / "run" / "population" / "population.json"
    manifest = json.loads(manifest_path.read_text())
    manifest_path.write_text(json.dumps({**manifest, "game": "leduc_poker", "num_nodes": 10**6}))
    code, _, err = command(capfd, "verify", tmp_path / "run")
    assert code == 2
    assert "another version of leduc_poker" in err


def results(path: Path):
    """What must not depend on how often a run was interrupted."""
    certificate = json.loads((path / "certificate.json").read_text())["certificate"]
    lines = [{k: v for k, v in line.items() if k != "time/elapsed_s"} for line in metrics(path)]
    population = sorted((path / "population").iterdir())
    return {
        "certificate": {k: v for k, v in certificate.items() if k != "seconds"},
        "metrics": lines,
        "population": {file.name: file.read_bytes() for file in population},
    }


@pytest.mark.parametrize(
    ("options", "accesses"),
    [
        (["kuhn_poker(players=3)", "--method", "jpsro-cce", "--iterations", "9"], (60, 20)),
        pytest.param(
            ["kuhn_poker", "--method", "pcfr+", "--iterations", "500"],
            (110, 35),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["kuhn_poker", "--method", "regret-cce", "--iterations", "60"],
            (75, 30),
            marks=pytest.mark.slow,
        ),
    ],
    ids=lambda options: options[2] if isinstance(options, list) else "",
)
def test_killed_and_resumed_twice_is_uninterrupted(options, accesses, tiny, tmp_path):
    """Killed on the way into a file of the run, while it solves and while it is resumed."""
    whole, broken = tmp_path / "whole" / "run", tmp_path / "broken" / "run"
    options = ["solve", *options, "--checkpoint-every-s", "0", "--open-spiel-limit-s", "0"]
    done = tiny.forked(*options, "--out", whole)
    assert done.returncode == 0, done.stderr
    broken.parent.mkdir()
    for arguments, access in (
        ([*options, "--out", broken], accesses[0]),
        (["resume", broken], accesses[1]),
    ):
        done = tiny.forked(*arguments, kill=(broken, access))
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert list((broken / "checkpoints").glob("step-*.json"))
        assert not (broken / "population").exists()
    done = tiny.forked("resume", broken)
    assert done.returncode == 0, done.stderr
    assert results(broken) == results(whole)


def test_ctrl_c_saves_what_can_be_exported_and_resumed(tiny, tmp_path):
    path = tmp_path / "run"
    pid = tiny.fork(
        "solve", "leduc_poker", "--method", "cfr+", "--iterations", 10**8, "--out", path
    )
    tiny.wait_for_lines(path, 10)
    os.kill(pid, signal.SIGINT)
    done = tiny.reap()
    assert done.returncode == 130
    (message,) = [line for line in done.stderr.splitlines() if line.startswith("interrupted")]
    (checkpoint,) = (path / "checkpoints").glob("step-*.json")
    step = int(checkpoint.stem.removeprefix("step-"))
    assert message == (
        f"interrupted: saved at iteration {step}; continue with `neupl resume {path}`"
    )
    done = tiny.forked("export", path, "--out", tmp_path / "exported")
    assert done.returncode == 0, done.stderr
    population = load_population(tmp_path / "exported")
    tree = load_tree("leduc_poker")
    expected = solve_cfr(tree, variant="cfr+", iterations=step).policy
    np.testing.assert_array_equal(population.tabulate()[0], expected)


def test_checkpoint_of_another_game_is_refused(solve, capfd, tmp_path):
    solve("kuhn_poker", "--method", "cfr+", "--iterations", 4, out="kuhn")
    solve("leduc_poker", "--method", "cfr+", "--iterations", 4, "--open-spiel-limit-s", 0)
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    shutil.copytree(tmp_path / "kuhn" / "checkpoints", tmp_path / "run" / "checkpoints")
    code, _, err = command(capfd, "resume", tmp_path / "run")
    assert code == 2
    assert "the checkpoint does not fit the run" in err
