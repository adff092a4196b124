"""`neupl verify --episodes`: play agrees with the exact returns, by chance alone, or says so."""

import dataclasses
import json
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from games.registry import load_tree
from neupl.errors import CheckFailed
from neupl.population import Population
from neupl.stored_population import load_population
from neupl.verification import sample_returns, verify_population
from solvers.sequence_form import mix
from solvers.values import expected_returns


@pytest.fixture(scope="module")
def run_path(tiny, tmp_path_factory):
    """A finished tiny run."""
    path = tmp_path_factory.mktemp("episodes") / "run"
    done = tiny.forked(*tiny.training(path), "--set=training.steps=80")
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture(scope="module")
def kuhn(run_path):
    """Its game, the population reloaded, and its tables."""
    population = load_population(run_path)
    return load_tree("kuhn_poker", cache=False), population, population.tabulate()


def test_report_holds_sampled_and_exact_returns(tiny, run_path, kuhn):
    """5000 episodes are two batches, the second in part."""
    done = tiny.forked("verify", run_path, "--episodes", "5000", "--episode-seed", "3", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["openspiel"]["agrees"]
    sampled = report["sampled"]
    assert sampled["episodes"] == 5000 and sampled["agrees"]
    tree, population, tables = kuhn
    policy = mix(tree, tables, population.meta_strategy)
    exact = expected_returns(tree, policy)
    np.testing.assert_allclose(sampled["exact_returns"], exact, atol=1e-6)
    mean, error = np.array(sampled["mean_returns"]), np.array(sampled["standard_errors"])
    assert mean.sum() == pytest.approx(0, abs=1e-9)
    # Every return is 1 or 2 chips, won or lost, and whole: 5000 times the mean is an integer.
    np.testing.assert_allclose(5000 * mean, np.round(5000 * mean), atol=1e-6)
    assert ((error > 0.9 / np.sqrt(5000)) & (error <= 2.01 / np.sqrt(5000))).all()
    assert (np.abs(mean - exact) <= 6 * error).all()
    # Bernstein's bound at 1e-8 is 6.2 standard errors, and a little for few episodes.
    ratio = np.array(sampled["allowed_differences"]) / error
    assert ((ratio > 5.9) & (ratio < 7.2)).all()
    again = tiny.forked("verify", run_path, "--episodes", "5000", "--episode-seed", "3", "--json")
    assert json.loads(again.stdout)["sampled"]["mean_returns"] == sampled["mean_returns"]


def test_table_shows_them_and_the_default_plays_none(tiny, run_path):
    done = tiny.forked("verify", run_path, "--episodes", "100")
    assert done.returncode == 0, done.stderr
    assert "returns of the mixture in 100 episodes" in done.stdout
    assert "agreed: all differences are within what chance allows" in done.stdout
    silent = tiny.forked("verify", run_path, "--json")
    assert silent.returncode == 0 and "sampled" not in json.loads(silent.stdout)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--episodes", "1"), "--episodes is 1: it must be 0, or at least 2"),
        (("--episodes", "-5"), "--episodes is -5"),
        (("--episodes", "9", "--episode-seed", "-1"), "--episode-seed is -1: it must be 0 to"),
    ],
)
def test_bad_options_are_explained(tiny, run_path, options, message):
    done = tiny.forked("verify", run_path, *options)
    assert done.returncode == 2 and message in done.stderr


class Fold(NamedTuple):
    """Seat 0 passes and folds, seat 1 bets."""

    action: int

    def initial_memory(self, batch):
        return ()

    def act(self, memory, observation, mask, key):
        action = jnp.full(len(mask), self.action)
        return action, jax.nn.one_hot(action, mask.shape[1]), memory


class Misplaying(Population):
    """Its network, and so its tables, are right; what it plays is not."""

    def policy(self, member, *, seat):
        return Fold(seat)


def test_a_population_that_plays_something_else_fails(kuhn):
    """Seat 0 loses its ante every time."""
    tree, population, _ = kuhn
    fields = {f.name: getattr(population, f.name) for f in dataclasses.fields(population)}
    with pytest.raises(CheckFailed, match=r"mean returns of 1000 episodes are \(-1.0, 1.0\)") as e:
        verify_population(Misplaying(**fields), tree, name="x", num_episodes=1000)
    report = e.value.report
    assert not report["sampled"]["agrees"] and report["openspiel"]["agrees"]
    assert report["sampled"]["exact_returns"][0] > -0.5


def test_returns_that_never_vary_agree_exactly(kuhn):
    tree, population, tables = kuhn
    constant = np.tile([2.0, -2.0], (tree.num_terminals, 1))
    fixed = dataclasses.replace(tree, terminal_returns=constant)
    sampled = sample_returns(population, fixed, tables, num_episodes=50, key=jax.random.key(0))
    assert sampled.agrees
    assert sampled.mean_returns == (2.0, -2.0) and sampled.standard_errors == (0.0, 0.0)


def test_a_return_too_rare_to_be_seen_is_no_alarm(kuhn):
    """One deep terminal pays, and five episodes do not reach it: the standard error is 0 while
    the exact mean is not.
    """
    tree, population, tables = kuhn
    rare = dataclasses.replace(tree, terminal_returns=np.zeros_like(tree.terminal_returns))
    rare.terminal_returns[-1] = [2.0, -2.0]
    sampled = sample_returns(population, rare, tables, num_episodes=5, key=jax.random.key(0))
    assert sampled.mean_returns == (0.0, 0.0) == sampled.standard_errors
    assert sampled.exact_returns[0] > 1e-3 and sampled.agrees
