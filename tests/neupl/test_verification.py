"""Certificates from files alone: they agree with the trainer and OpenSpiel, and notice changes."""

import dataclasses
import re
from pathlib import Path

import jax
import numpy as np
import pytest

from games.normal_form import NormalForm
from games.payoff_files import write_payoffs
from neupl.evaluation import normalise
from neupl.stored_population import load_population
from neupl.training_problem import rows_of
from neupl.verification import verify_population

ROOT = Path(__file__).parents[2]

GOOFSPIEL = "goofspiel(imp_info=True,num_cards=3,points_order=descending)"


@pytest.fixture
def certify(small_config, train_config, export_run, tmp_path):
    """Trains a little on a game, exports, and verifies the files."""

    def run(game, *, num_evaluations=4):
        config = small_config(game, population={"size": 3})
        trained = train_config(config, num_evaluations=num_evaluations)
        export_run(trained, tmp_path / "population")
        population = load_population(tmp_path / "population")
        return trained, verify_population(population, trained.problem.tables.tree, name="a_run")

    return run


def assert_certifies(trained, verification):
    best = trained.states[-1].best
    certificate = verification.certificate
    np.testing.assert_allclose(certificate.per_player, best.gains, atol=1e-6)
    assert certificate.value == pytest.approx(sum(certificate.per_player))
    assert certificate.object == "meta-strategy mixture of a_run"
    assert certificate.method == "exact" and certificate.interval is None
    policies = trained.problem.tables.policies(best.params, rows_of(best.joint))
    np.testing.assert_allclose(verification.policies, normalise(np.asarray(policies)), atol=1e-6)


def assert_open_spiel_agrees(verification):
    assert verification.check.agrees
    value = verification.certificate.value
    assert verification.certificate.openspiel_value == pytest.approx(value, abs=1e-6)
    assert verification.to_json()["openspiel"]["agrees"]


def test_trained_population_is_certified(kuhn_run, kuhn_folder):
    verification = verify_population(
        load_population(kuhn_folder), kuhn_run.problem.tables.tree, name="a_run"
    )
    assert_certifies(kuhn_run, verification)
    assert_open_spiel_agrees(verification)
    assert verification.certificate.value < 0.05


def test_perturbed_parameters_change_the_certificate(kuhn_run, kuhn_folder):
    """The stored tables are not what is certified: the network is."""
    population = load_population(kuhn_folder)
    params = jax.tree.map(np.copy, population.params)
    params["params"]["policy"]["kernel"] += 0.2 * np.sign(params["params"]["policy"]["kernel"])
    population = dataclasses.replace(population, params=params)
    verification = verify_population(population, kuhn_run.problem.tables.tree, name="x")
    assert abs(verification.certificate.value - kuhn_run.states[-1].best.gains.sum()) > 1e-3
    assert_open_spiel_agrees(verification)


def test_three_players(three_player_run, export_run, tmp_path):
    export_run(three_player_run, tmp_path / "population")
    verification = verify_population(
        load_population(tmp_path), three_player_run.problem.tables.tree, name="a_run"
    )
    assert_certifies(three_player_run, verification)
    assert_open_spiel_agrees(verification)


@pytest.mark.slow
def test_simultaneous_game(certify):
    trained, verification = certify(GOOFSPIEL)
    assert_certifies(trained, verification)
    assert_open_spiel_agrees(verification)


def test_payoff_file(certify, tmp_path):
    """Two strategies against three: one action is illegal for seat 0."""
    matrix = np.array([[1.0, -2.0, 0.5], [-1.0, 1.5, 0.0]])
    path = tmp_path / "game.nfg"
    write_payoffs(NormalForm(np.stack([matrix, -matrix], axis=-1)), path)
    trained, verification = certify(str(path))
    assert_certifies(trained, verification)
    assert_open_spiel_agrees(verification)
    own = trained.problem.tables.tree.infoset_player == 0
    assert not verification.policies[:, own, 2].any()


def test_own_game_that_open_spiel_does_not_know(certify, tmp_path, monkeypatch):
    """The example of the documentation; our certificate stands alone and says so."""
    (code,) = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs" / "games.md").read_text(), re.DOTALL
    )
    (tmp_path / "one_pile_to_verify.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    trained, verification = certify("one_pile_to_verify:make")
    assert_certifies(trained, verification)
    assert verification.check is None
    assert verification.certificate.openspiel_value is None
    assert verification.to_json().keys() == {"certificate", "method"}
