"""Selected correlated equilibria against other solvers, on random games and on real populations."""

import numpy as np
import pytest
import scipy.sparse as sparse

from solvers.meta.correlated import solve_correlated
from solvers.meta.deviation import deviation_gains, swap_gains
from solvers.meta.dominance import undominated

GABRIELE = (
    "sheriff(item_penalty=1.0,item_value=5.0,max_bribe=2,max_items=10,num_rounds=2,"
    "sheriff_penalty=1.0)"
)


def piqp_joint(payoffs, rows):
    """Maximum Gini by PIQP, a proximal interior-point method."""
    piqp = pytest.importorskip("piqp")
    size = rows.shape[1]
    solver = piqp.SparseSolver()
    for name in ("eps_abs", "eps_duality_gap_abs"):
        setattr(solver.settings, name, 1e-11)
    for name in ("eps_rel", "eps_duality_gap_rel"):
        setattr(solver.settings, name, 0.0)
    solver.settings.max_iter = 300
    solver.setup(
        sparse.csc_matrix(sparse.eye(size) * size),
        np.zeros(size),
        sparse.csc_matrix(np.ones((1, size))),
        np.ones(1),
        sparse.csc_matrix(rows / np.abs(rows).max()),
        None,
        np.zeros(len(rows)),
        np.zeros(size),
        None,
    )
    solver.solve()
    return solver.result.x.reshape(payoffs.shape[:-1])


def clarabel_joint(payoffs, rows, maximise):
    """Maximum Gini or entropy by Clarabel, a homogeneous interior-point method."""
    clarabel = pytest.importorskip("clarabel")
    size, num_rows = rows.shape[1], len(rows)
    rows = rows / np.abs(rows).max()
    settings = clarabel.DefaultSettings()
    settings.verbose, settings.max_iter = False, 500
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-11
    if maximise == "gini":
        matrix = sparse.vstack([np.ones((1, size)), rows, -sparse.eye(size)])
        right = np.append(1.0, np.zeros(num_rows + size))
        cones = [clarabel.ZeroConeT(1), clarabel.NonnegativeConeT(num_rows + size)]
        quadratic, linear = sparse.eye(size) * size, np.zeros(size)
    else:
        # (-t, x, 1) in the exponential cone: x log x <= t.
        top = sparse.hstack([sparse.csc_matrix(np.ones((1, size))), sparse.csc_matrix((1, size))])
        middle = sparse.hstack([sparse.csc_matrix(rows), sparse.csc_matrix((num_rows, size))])
        lines = sparse.lil_matrix((3 * size, 2 * size))
        lines[3 * np.arange(size), size + np.arange(size)] = 1.0
        lines[3 * np.arange(size) + 1, np.arange(size)] = -1.0
        matrix = sparse.vstack([top, middle, lines])
        right = np.concatenate([[1.0], np.zeros(num_rows), np.tile([0.0, 0.0, 1.0], size)])
        cones = [clarabel.ZeroConeT(1), clarabel.NonnegativeConeT(num_rows)]
        cones += [clarabel.ExponentialConeT()] * size
        quadratic = sparse.csc_matrix((2 * size, 2 * size))
        linear = np.append(np.zeros(size), np.ones(size))
    solver = clarabel.DefaultSolver(
        sparse.csc_matrix(quadratic), linear, sparse.csc_matrix(matrix), right, cones, settings
    )
    joint = np.array(solver.solve().x)[:size]
    return joint.reshape(payoffs.shape[:-1])


def check_gini(payoffs, concept, deviation_matrix):
    """Ours is feasible, and its sum of squares is that of both others to 1e-7."""
    rows = deviation_matrix(payoffs, concept)
    result = solve_correlated(payoffs, concept=concept)
    gains = (deviation_gains if concept == "cce" else swap_gains)(payoffs, result.joint)
    assert np.maximum(gains, 0).sum() <= 1e-9 * np.ptp(payoffs)
    ours = np.sum(result.joint**2)
    for theirs in (piqp_joint(payoffs, rows), clarabel_joint(payoffs, rows, "gini")):
        assert np.sum(theirs**2) == pytest.approx(ours, rel=1e-7)
        np.testing.assert_allclose(theirs, result.joint, atol=1e-6)


@pytest.mark.parametrize("shape", [(12, 12), (5, 5, 5), (20, 20)])
def test_cce_of_random_games(shape, deviation_matrix):
    payoffs = np.random.default_rng(shape[0]).normal(size=(*shape, len(shape)))
    check_gini(payoffs, "cce", deviation_matrix)


@pytest.mark.parametrize("shape", [(8, 8), (4, 4, 4)])
def test_ce_of_random_games(shape, deviation_matrix):
    payoffs = np.random.default_rng(shape[0]).normal(size=(*shape, len(shape)))
    check_gini(payoffs, "ce", deviation_matrix)


def test_cce_of_leduc_population(leduc_population, deviation_matrix):
    check_gini(leduc_population(25), "cce", deviation_matrix)


@pytest.mark.slow
def test_cce_of_greater_leduc_population(leduc_population, deviation_matrix):
    """The case on which a first-order or badly damped dual method ends 4e-6 from the optimum."""
    check_gini(leduc_population(60), "cce", deviation_matrix)


@pytest.mark.parametrize(
    ("name", "rounds"), [("kuhn_poker(players=3)", 5), (GABRIELE, 5), ("tiny_hanabi", 3)]
)
@pytest.mark.parametrize("concept", ["cce", "ce"])
def test_joint_populations(name, rounds, concept, joint_population, deviation_matrix):
    check_gini(joint_population(name, rounds), concept, deviation_matrix)


@pytest.mark.parametrize("concept", ["cce", "ce"])
def test_maximum_entropy_by_an_exponential_cone(concept, deviation_matrix):
    payoffs = np.random.default_rng(3).normal(size=(5, 6, 2))
    theirs = clarabel_joint(payoffs, deviation_matrix(payoffs, concept), "entropy")
    result = solve_correlated(payoffs, concept=concept, maximise="entropy")
    np.testing.assert_allclose(result.joint, theirs, atol=1e-6)


def test_maximum_entropy_of_a_zero_sum_population(leduc_population, joint_population):
    """Equilibria of zero-sum games force zeros, and multipliers without bound: bounded all the
    same, and no equilibrium on the segment to another one has more entropy.
    """
    for payoffs in (leduc_population(25), joint_population(GABRIELE, 4)):
        result = solve_correlated(payoffs, maximise="entropy")
        assert result.gap <= 1e-9 * np.ptp(payoffs)
        even = solve_correlated(payoffs).joint
        for share in (1e-4, 1e-2, 0.1):
            mixed = (1 - share) * result.joint + share * even
            used = mixed > 0
            relative = np.sum(mixed[used] * np.log(mixed[used] * mixed.size))
            assert -relative <= result.objective + 1e-9


SOLVERS = (
    ("mgcce", {"concept": "cce"}),
    ("mgce", {"concept": "ce"}),
    ("min_epsilon_mgcce", {"concept": "cce", "epsilon": "min"}),
    ("min_epsilon_mgce", {"concept": "ce", "epsilon": "min"}),
    ("approx_mgcce", {"concept": "cce", "epsilon": "approx"}),
    ("approx_mgce", {"concept": "ce", "epsilon": "approx"}),
)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "options"), SOLVERS)
def test_openspiel_jpsro(name, options):
    """With and without repeats. CVXOPT and OSQP end some 1e-5 from the optimum.

    OpenSpiel eliminates dominated strategies for CE, also where epsilon allows them and counts them
    in the mean that `approx` is a hundredth of: there the game has none.
    """
    pytest.importorskip("cvxpy")
    jpsro = pytest.importorskip("open_spiel.python.algorithms.jpsro")
    theirs = getattr(jpsro, f"_{name}")
    payoffs = np.random.default_rng(1).normal(size=(3, 4, 2))
    if name == "approx_mgce":
        # Every strategy is best against one of the other's.
        payoffs[[0, 1, 2], [0, 1, 2], 0] += 5.0
        payoffs[[0, 1, 2, 2], [1, 2, 0, 3], 1] += 5.0
        assert [len(kept) for kept in undominated(payoffs)] == [3, 4]
    else:
        payoffs[1, :, 0] = payoffs[0, :, 0] - 1.0
        assert len(undominated(payoffs)[0]) < 3
    for repeats in ([np.ones(3), np.ones(4)], [np.array([2.0, 1, 3]), np.array([1.0, 4, 1, 2])]):
        copies = [own.copy() for own in repeats]
        expected, _ = theirs(np.moveaxis(payoffs, -1, 0), copies)
        result = solve_correlated(payoffs, repeats=repeats, **options)
        np.testing.assert_allclose(result.joint, expected, atol=1e-4)
