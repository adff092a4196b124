"""Wrong input to `neupl train`: one clear error that says what is allowed; nothing is created."""

import json
import re

import numpy as np
import pytest

# Arguments of `neupl train`, and what the one error or its hint must say.
WRONG = {
    "unknown game": (["--game", "kuhn_pokr"], ["'kuhn_pokr'", "did you mean 'kuhn_poker'"]),
    "too large": (["--game", "go"], ["go has more than 5,000,000 nodes", "raise max_nodes"]),
    "unknown key": (
        ["--game", "kuhn_poker", "--set", "learner.learning_rat=1"],
        ["--set: unknown key learner.learning_rat", "did you mean learner.learning_rate?"],
    ),
    "unknown key in a file": (
        ["wrong_key.yaml"],
        ["wrong_key.yaml: unknown key trainig", "did you mean training?"],
    ),
    "wrong type": (
        ["--game", "kuhn_poker", "--set", "training.steps=many"],
        ["training.steps must be int, not str many"],
    ),
    "wrong value": (
        ["--game", "kuhn_poker", "--set", "population.size=1"],
        ["population.size is 1: it must be at least 2"],
    ),
    "absent file": (["absent.yaml"], ["cannot read the configuration absent.yaml"]),
    "nothing to train": ([], ["nothing to train", "give a configuration file or --game NAME"]),
    "sink of another game": (
        ["--game", "kuhn_poker", "--set", "population.sink=sink.json"],
        ["sink.json names the information state '7pb'; kuhn_poker has '0'"],
    ),
    "sink of a wrong length": (
        ["--game", "kuhn_poker", "--set", "population.sink=short.json"],
        ["short.json: '0' must have 2 probabilities"],
    ),
    "not symmetric": (
        ["--game", "kuhn_poker", "--set", "population.symmetric=true"],
        ["kuhn_poker is not known to be a symmetric game", "leave population.symmetric at false"],
    ),
    "payoffs with NaN": (
        ["--game", "nan.npy"],
        ["nan.npy: the payoff of player 0 at profile (0, 1) is nan"],
    ),
    "unsolvable meta-game": (
        ["--game", "matrix_pd", "--set", "graph.meta_solver=nash"],
        ["matrix_pd is not a two-player zero-sum game", "prd or uniform"],
    ),
    "unknown meta-solver": (
        ["--game", "kuhn_poker", "--set", "graph.meta_solver=nsh"],
        ["graph.meta_solver: unknown meta-solver 'nsh' (did you mean 'nash'?)"],
    ),
    "file in place of a folder": (
        ["--game", "matrix_mp", "--out", "sink.json/run"],
        ["cannot create the run folder sink.json/run"],
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_one_clear_error_and_leaves_nothing_behind(case, tiny, tmp_path):
    arguments, expected = WRONG[case]
    (tmp_path / "wrong_key.yaml").write_text("game: kuhn_poker\ntrainig:\n  steps: 3\n")
    (tmp_path / "sink.json").write_text('{"0": [0.5, 0.5], "7pb": [1, 0]}')
    (tmp_path / "short.json").write_text('{"0": [1]}')
    np.save(tmp_path / "nan.npy", np.array([[[1, -1], [np.nan, 0]], [[0, 0], [1, -1]]]))
    before = sorted(tmp_path.iterdir())
    done = tiny.forked("train", *arguments, "--json", folder=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    (error,) = re.findall(r"^error: (.*)$", done.stderr, re.MULTILINE)
    for text in expected:
        assert text in done.stderr
    # `loads` takes exactly one object.
    assert json.loads(done.stdout) == {"error": error, "exit_code": 2}
    assert sorted(tmp_path.iterdir()) == before
