"""Selected correlated equilibria: worked numbers, certificates, invariances, bounds."""

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st

import solvers.meta.projector as projector
from solvers.meta.correlated import extend_duals, solve_correlated
from solvers.meta.deviation import deviation_gains, swap_gains
from solvers.types import SolverError

COMMON = {"cce": deviation_gains, "ce": swap_gains}


def random_game(seed: int, players: int | None = None) -> np.ndarray:
    """A game of 1 to 3 players; half of the games have integer payoffs, full of ties."""
    rng = np.random.default_rng(seed)
    players = players or int(rng.integers(1, 4))
    shape = (*rng.integers(1, 6 if players < 3 else 4, size=players), players)
    return rng.normal(size=shape) if seed % 2 else rng.integers(-2, 3, size=shape).astype(float)


def test_maximum_gini_ce_of_chicken_by_hand(chicken):
    """Payoffs (6,6), (2,7), (7,2), (0,0); by symmetry the joint is a, b, b, d.

    Told to dare, a player knows the other dares with weight d, swerves with b: swerving must not
    gain, (6b + 2d) - 7b <= 0, so 2d <= b. Told to swerve: a (7 - 6) + b (0 - 2) <= 0, so a <= 2b.
    The first binds: a + 2b + d = 1 with d = b/2 leaves a = 1 - 2.5b; a^2 + 2b^2 + b^2/4 is least at
    2.5 (1 - 2.5b) = 2.25b, so b = 2.5/8.5.
    """
    b = 2.5 / 8.5
    expected = [[1 - 2.5 * b, b], [b, b / 2]]
    result = solve_correlated(chicken, concept="ce")
    np.testing.assert_allclose(result.joint, expected, atol=1e-12)
    assert result.concept == "ce"
    assert result.objective == pytest.approx(1 - np.sum(np.square(expected)), abs=1e-12)


def test_maximum_entropy_ce_of_chicken_against_a_scan(chicken):
    """On the binding face d = b/2 the entropy is a function of b alone."""
    b = np.linspace(1e-6, 0.4 - 1e-6, 400_001)
    parts = np.stack([1 - 2.5 * b, b, b, b / 2])
    best = b[np.argmax(-np.sum(parts * np.log(parts), axis=0))]
    result = solve_correlated(chicken, concept="ce", maximise="entropy")
    np.testing.assert_allclose(result.joint[0, 1], best, atol=2e-6)


def test_unconstrained_games_keep_the_ideal():
    indifferent = np.zeros((2, 3, 2))
    target = np.array([[0.1, 0.2, 0.3], [0.2, 0.1, 0.1]])
    np.testing.assert_allclose(solve_correlated(indifferent).joint, 1 / 6)
    result = solve_correlated(indifferent, maximise="entropy", target=target)
    np.testing.assert_allclose(result.joint, target, atol=1e-12)
    assert result.objective == pytest.approx(0.0, abs=1e-12)


def test_coordination_with_a_margin_by_hand():
    """In a common-interest 2x2 game with payoff 1 for agreeing, the joint (x/2, (1-x)/2; ...)
    pays x and any fixed choice 1/2: deviating loses x - 1/2.

    `x^2/2 + (1-x)^2/2 + 2 (1/2 - x)` falls until x = 1: the least-epsilon answer is full agreement.
    """
    payoffs = np.stack([np.eye(2), np.eye(2)], axis=-1)
    result = solve_correlated(payoffs, epsilon="min")
    np.testing.assert_allclose(result.joint, np.eye(2) / 2, atol=1e-9)
    assert result.epsilon == pytest.approx(-0.5, abs=1e-9)
    np.testing.assert_allclose(solve_correlated(payoffs).joint, 0.25, atol=1e-12)


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("maximise", ["gini", "entropy"])
@pytest.mark.parametrize("concept", ["cce", "ce"])
def test_certificate(seed, concept, maximise):
    payoffs = random_game(seed)
    result = solve_correlated(payoffs, concept=concept, maximise=maximise)
    scale = max(np.ptp(payoffs), 1e-300)
    gap = np.maximum(COMMON[concept](payoffs, result.joint), 0).sum()
    assert result.gap == pytest.approx(gap, abs=1e-15)
    assert gap <= 1e-9 * scale
    assert (result.joint >= 0).all()
    assert result.joint.sum() == pytest.approx(1, abs=1e-12)
    assert (result.duals >= 0).all()
    assert result.residual <= 1e-9


@pytest.mark.parametrize("concept", ["cce", "ce"])
@pytest.mark.parametrize("seed", range(12))
def test_no_feasible_direction_improves(seed, concept, deviation_matrix):
    """A linear program over the set of equilibria finds no profile mixture that descends.

    For a convex objective `f`, the joint is optimal exactly if `grad f . (other - joint) >= 0` for
    every other equilibrium.
    """
    payoffs = random_game(seed)
    rows = deviation_matrix(payoffs, concept).reshape(-1, int(np.prod(payoffs.shape[:-1])))
    for maximise in ("gini", "entropy"):
        joint = solve_correlated(payoffs, concept=concept, maximise=maximise).joint.reshape(-1)
        slope = joint if maximise == "gini" else np.log(np.maximum(joint, 1e-12))
        found = scipy.optimize.linprog(
            slope,
            A_ub=rows if len(rows) else None,
            b_ub=np.zeros(len(rows)) if len(rows) else None,
            A_eq=np.ones((1, len(joint))),
            b_eq=[1.0],
            method="highs",
        )
        assert found.fun >= slope @ joint - 1e-7


@settings(max_examples=50)
@given(seed=st.integers(0, 10_000), concept=st.sampled_from(["cce", "ce"]))
def test_renaming_strategies_and_players_renames_the_answer(seed, concept):
    payoffs = random_game(seed)
    rng = np.random.default_rng(seed)
    num_players = payoffs.shape[-1]
    orders = [rng.permutation(k) for k in payoffs.shape[:-1]]
    players = rng.permutation(num_players)
    renamed = payoffs[np.ix_(*orders)].transpose(*players, num_players)[..., players]
    for maximise in ("gini", "entropy"):
        joint = solve_correlated(payoffs, concept=concept, maximise=maximise).joint
        other = solve_correlated(renamed, concept=concept, maximise=maximise).joint
        np.testing.assert_allclose(other, joint[np.ix_(*orders)].transpose(players), atol=2e-6)


@given(seed=st.integers(0, 10_000), concept=st.sampled_from(["cce", "ce"]))
def test_units_and_what_others_decide_do_not_matter(seed, concept):
    """Nor does scaling a player or adding what only the others decide change a gain's sign."""
    payoffs = random_game(seed)
    rng = np.random.default_rng(seed)
    changed = payoffs * rng.uniform(0.01, 100, size=payoffs.shape[-1])
    for player in range(payoffs.shape[-1]):
        shape = [1 if p == player else k for p, k in enumerate(payoffs.shape[:-1])]
        changed[..., player] += rng.normal(size=shape)
    joint = solve_correlated(payoffs, concept=concept).joint
    np.testing.assert_allclose(solve_correlated(changed, concept=concept).joint, joint, atol=1e-6)


@settings(max_examples=50)
@given(seed=st.integers(0, 10_000), concept=st.sampled_from(["cce", "ce"]))
def test_repeats_are_copies_written_out(seed, concept):
    """Solving with repeats is solving the game with copied strategies and adding the copies up."""
    payoffs = random_game(seed)
    rng = np.random.default_rng(seed)
    repeats = [rng.integers(1, 4, size=k) for k in payoffs.shape[:-1]]
    copied = payoffs
    for player, own in enumerate(repeats):
        copied = np.repeat(copied, own, axis=player)
    for options in ({}, {"epsilon": 0.1}, {"maximise": "entropy"}, {"epsilon": "min"}):
        if concept == "ce" and options.get("epsilon") == "min":
            # Swapping a strategy for its copy gains 0, never less: copies forbid a margin.
            continue
        expected = solve_correlated(copied, concept=concept, **options).joint
        for player, own in enumerate(repeats):
            starts = np.cumsum(own) - own
            expected = np.add.reduceat(expected, starts, axis=player)
        found = solve_correlated(payoffs, concept=concept, repeats=repeats, **options).joint
        np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize("concept", ["cce", "ce"])
@pytest.mark.parametrize("seed", range(8))
def test_margin_is_kept_by_every_undominated_deviation(seed, concept):
    payoffs = np.random.default_rng(seed).normal(size=(3, 4, 2))
    result = solve_correlated(payoffs, concept=concept, epsilon="min")
    assert result.epsilon <= 0
    assert COMMON[concept](payoffs, result.joint).max() <= 1e-9
    if concept == "cce":
        assert deviation_gains(payoffs, result.joint).max() <= result.epsilon + 1e-9
    # Fixing epsilon at another value is no better.
    score = result.objective - 2 * result.epsilon
    assert score >= solve_correlated(payoffs, concept=concept).objective - 1e-9


def test_relaxing_helps_until_the_ideal_is_reached():
    payoffs = np.random.default_rng(5).normal(size=(4, 4, 2))
    allowed = [0.0, 0.05, 0.2, 1.0, 10.0]
    results = [solve_correlated(payoffs, epsilon=e) for e in allowed]
    objectives = [r.objective for r in results]
    assert objectives == sorted(objectives)
    np.testing.assert_allclose(results[-1].joint, 1 / 16, atol=1e-12)
    for epsilon, result in zip(allowed, results, strict=True):
        assert deviation_gains(payoffs, result.joint).max() <= epsilon + 1e-12


def test_approx_allows_a_hundredth_of_the_greatest_gain_from_uniform(deviation_matrix):
    payoffs = np.random.default_rng(6).normal(size=(4, 3, 2))
    for concept in ("cce", "ce"):
        expected = 0.01 * deviation_matrix(payoffs, concept).mean(axis=1).max()
        result = solve_correlated(payoffs, concept=concept, epsilon="approx")
        assert result.epsilon == pytest.approx(expected)


@pytest.mark.parametrize("concept", ["cce", "ce"])
def test_duals_of_the_answer_solve_it_again_at_once(concept):
    payoffs = np.random.default_rng(7).normal(size=(8, 8, 2))
    first = solve_correlated(payoffs, concept=concept)
    again = solve_correlated(payoffs, concept=concept, duals=first.duals)
    assert again.iterations <= 1
    np.testing.assert_allclose(again.joint, first.joint, atol=1e-9)


@pytest.mark.parametrize("concept", ["cce", "ce"])
def test_extended_duals_belong_to_the_same_deviations(concept):
    payoffs = np.random.default_rng(8).normal(size=(3, 4, 2))
    first = solve_correlated(payoffs, concept=concept)
    grown = np.full((4, 6, 2), -100.0)
    grown[:3, :4] = payoffs
    duals = extend_duals(first.duals, concept, shape=(3, 4), new_shape=(4, 6))
    assert duals.sum() == pytest.approx(first.duals.sum())
    result = solve_correlated(grown, concept=concept, duals=duals)
    assert result.gap <= 1e-9 * np.ptp(grown)


def test_a_solver_that_is_stopped_early_says_so(monkeypatch, leduc_population):
    for name in ("MAX_INTERIOR_STEPS", "MAX_POLISHING_STEPS"):
        monkeypatch.setattr(projector, name, 1)
    monkeypatch.setattr(projector, "zero_sum_face", lambda operator: None)
    with pytest.raises(
        SolverError, match=r"45x45 game within 1e-08; reached a residual of [0-9.]+"
    ):
        solve_correlated(leduc_population(45))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"concept": "nash"}, "neither 'cce' nor 'ce'"),
        ({"maximise": "welfare"}, "neither 'gini' nor 'entropy'"),
        ({"epsilon": -0.1}, "at least 0 game points"),
        ({"epsilon": "max"}, "neither a number, 'min' nor 'approx'"),
        ({"target": np.full((2, 2), 0.25)}, "needs maximise='entropy'"),
        ({"maximise": "entropy", "target": np.full((2, 2), 0.3)}, "sum 1.2"),
        ({"maximise": "entropy", "target": np.array([[0.5, 0.5], [0.0, 0.0]])}, "least entry 0"),
        ({"repeats": [[1, 2], [1]]}, "2 and 2 of them"),
        ({"repeats": [[1, 2], [1, 0]]}, "positive"),
        ({"duals": np.zeros(3)}, "4 non-negative numbers"),
    ],
)
def test_options_out_of_range_are_refused(chicken, options, message):
    with pytest.raises(ValueError, match=message):
        solve_correlated(chicken, **options)
