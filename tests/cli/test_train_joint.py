"""NeuPL-JPSRO through the command line: a game with other than opposed seats gets a joint, which
OpenSpiel confirms and every other command understands.
"""

import json
import shutil

import numpy as np
import pyspiel
import pytest
from safetensors.numpy import load_file, save_file

import neupl
from neupl.cli import main
from neupl.jpsro.population import JointPopulation

GAME = "trade_comm(num_items=2)"
SMALL = (
    "training.steps=600", "training.max_steps_per_row=100", "population.size=5",
    "network.hidden_sizes=[32, 32]", "network.embedding_size=16",
    "training.checkpoint_every_s=0", "evaluation.response_s=1",
)  # fmt: skip


def command(capfd, *arguments):
    """Exit code, stdout and stderr of a command."""
    code = main([str(argument) for argument in arguments])
    return code, *capfd.readouterr()


def settings(*more):
    return [word for setting in (*SMALL, *more) for word in ("--set", setting)]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run; not to be written to."""
    path = tmp_path_factory.mktemp("joint") / "run"
    assert main(["train", "--game", GAME, *settings(), "--out", str(path), "--quiet"]) == 0
    return path


def test_a_game_of_common_interest_gets_a_joint_without_being_told(run):
    config = (run / "config.yaml").read_text()
    assert "kind: jpsro" in config
    certificate = json.loads((run / "certificate.json").read_text())["certificate"]
    assert certificate["quantity"] == "cce_gap"
    assert certificate["method"] == "exact"
    assert (run / "report" / "summary.png").read_bytes().startswith(b"\x89PNG")


def test_openspiel_finds_the_same_gap_on_the_exported_profiles(run):
    """By `cce_dist` on tables that this test builds itself."""
    population = neupl.load_population(run)
    assert isinstance(population, JointPopulation)
    game = pyspiel.load_game(GAME)
    device = [
        (weight, pyspiel.TabularPolicy(population.to_open_spiel(tuple(profile)).to_dict()))
        for profile, weight in zip(population.profiles.tolist(), population.weights, strict=True)
    ]
    theirs = pyspiel.cce_dist(game, device)
    report = json.loads((run / "certificate.json").read_text())
    gains = np.array(theirs.best_response_values) - theirs.on_policy_values
    np.testing.assert_allclose(report["certificate"]["per_player"], gains, atol=1e-6)
    np.testing.assert_allclose(report["values"], theirs.on_policy_values, atol=1e-6)


def test_policies_and_tables_are_those_of_the_network(run):
    population = neupl.load_population(run)
    tree = population.tree()
    for seat in range(2):
        own = tree.infoset_player == seat
        asked = population.probabilities(seat, tree.observation[own], tree.legal_mask[own])
        np.testing.assert_allclose(asked, population.policies[seat][:, own], atol=1e-5)
        mixture = population.marginal(1 - seat)
        response = population.respond(seat, mixture, tree.observation[own], tree.legal_mask[own])
        np.testing.assert_allclose(response.sum(axis=1), 1, atol=1e-5)
        assert not response[~tree.legal_mask[own]].any()
    with pytest.raises(ValueError, match="mixture has shape"):
        population.respond(0, np.ones(7), tree.observation, tree.legal_mask)


def test_other_commands_know_the_run(run, capfd, tmp_path):
    code, out, _ = command(capfd, "verify", run, "--json")
    assert code == 0
    found, kept = json.loads(out), json.loads((run / "certificate.json").read_text())
    assert found["certificate"]["value"] == pytest.approx(kept["certificate"]["value"], abs=1e-9)
    assert found["certificate"]["openspiel_value"] == pytest.approx(
        found["certificate"]["value"], abs=1e-6
    )
    code, out, _ = command(capfd, "info", run)
    assert code == 0
    assert "NeuPL-JPSRO (CCE)" in out
    assert command(capfd, "export", run, "--out", tmp_path / "exported")[0] == 0
    assert "by `m" in (tmp_path / "exported" / "MODEL_CARD.md").read_text()
    code, out, _ = command(capfd, "verify", tmp_path / "exported", "--json")
    assert json.loads(out)["certificate"]["value"] == found["certificate"]["value"]


def test_a_network_that_plays_otherwise_than_its_tables_fails(run, capfd, tmp_path):
    import hashlib

    folder = tmp_path / "population"
    shutil.copytree(run / "population", folder)
    arrays = load_file(folder / "arrays.safetensors")
    arrays["network/params/policy/bias"] = (
        arrays["network/params/policy/bias"]
        + np.float32([3, 0])[np.arange(arrays["network/params/policy/bias"].size) % 2]
    )
    save_file(arrays, folder / "arrays.safetensors")
    manifest = json.loads((folder / "population.json").read_text())
    content = (folder / "arrays.safetensors").read_bytes()
    manifest["arrays_sha256"] = hashlib.sha256(content).hexdigest()
    (folder / "population.json").write_text(json.dumps(manifest))
    code, _, err = command(capfd, "verify", folder)
    assert code == 1
    assert "other probabilities than the tables" in err


def test_resumed_run_ends_with_the_same_numbers(run, capfd, tmp_path):
    """As after a kill: without the certificate and with the last checkpoint but one."""
    path = tmp_path / "run"
    shutil.copytree(run, path)
    (path / "certificate.json").unlink()
    shutil.rmtree(path / "population")
    newest = max((path / "checkpoints").iterdir(), key=lambda p: p.name)
    stem = newest.name.split(".")[0]
    for file in (path / "checkpoints").glob(f"{stem}*"):
        shutil.rmtree(file) if file.is_dir() else file.unlink()
    assert command(capfd, "resume", path, "--quiet")[0] == 0
    before, after = (load_file(p / "population" / "arrays.safetensors") for p in (run, path))
    assert before.keys() == after.keys()
    for name, array in before.items():
        np.testing.assert_array_equal(after[name], array, err_msg=name)


def test_smoke_run_must_have_closed_a_part_of_the_gap(capfd, tmp_path):
    stuck = settings("learner.learning_rate=1e-9", "learner.final_learning_rate=1e-9")
    arguments = ("--game", GAME, "--smoke", *stuck, "--set", "training.steps=40")
    code, _, err = command(capfd, "train", *arguments, "--out", tmp_path / "stuck", "--quiet")
    assert code == 1
    assert "the population has learned nothing" in err


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("jpsro.form=distilled", "direct"),
        ("population.sink=none", "plays all legal actions alike"),
        ("jpsro.judge=mwcc", "did you mean 'mwcce'?"),
        ("jpsro.fit=-1", "at least 0"),
    ],
)
def test_what_the_loop_does_not_do_is_refused(setting, says, capfd, tmp_path):
    arguments = ("--game", GAME, "--set", "graph.kind=jpsro", "--set", setting)
    code, _, err = command(capfd, "train", *arguments, "--out", tmp_path / "run")
    assert code == 2
    assert says in err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_responses_from_episodes_are_gated_exactly_and_said_to_be(capfd, tmp_path):
    """Two iterations by PPO: certificate, model card and `info` name the method."""
    sampled = (
        "graph.kind=jpsro", "learner.kind=ppo", "learner.episodes=256", "training.steps=8",
        "training.evaluate_every=2", "training.max_steps_per_row=4",
    )  # fmt: skip
    path = tmp_path / "run"
    arguments = ("--game", GAME, *settings(*sampled), "--out", path, "--quiet")
    assert command(capfd, "train", *arguments)[0] == 0
    assert "kind: jpsro" in (path / "config.yaml").read_text()
    report = json.loads((path / "certificate.json").read_text())
    assert report["method"] == "NeuPL-JPSRO (CCE), PPO on episodes, exact-gated"
    assert report["certificate"]["openspiel_value"] == pytest.approx(
        report["certificate"]["value"], abs=1e-6
    )
    assert "PPO on episodes, exact-gated" in command(capfd, "info", path)[1]
    card = path / "population" / "MODEL_CARD.md"
    assert "PPO on episodes, exact-gated" in card.read_text()
    assert command(capfd, "verify", path)[0] == 0


@pytest.mark.slow
def test_two_player_zero_sum_games_keep_their_mixtures(capfd, tmp_path):
    arguments = ("--game", "kuhn_poker", "--set", "training.steps=20", "--quiet")
    assert command(capfd, "train", *arguments, "--out", tmp_path / "run")[0] == 0
    assert "kind: psro" in (tmp_path / "run" / "config.yaml").read_text()
