"""Simplex-NeuPL: what a population of strategies answers to mixtures that it never trained on.

Trains populations by the exact learner with and without simplex sampling, at equal numbers of
steps, draws mixtures uniform on the simplex of the distinct strategies of the opponent, and
measures answers against each on the game tree: of the network told the mixture (*informed*; drawn
from its probabilities, or the likeliest action alone), of the network told the uniform mixture
(*uninformed*), of the seat's own Nash mixture, and of its best member. All are compared with the
exact best response, which knows the mixture and infers who it meets by Bayes' rule; and so is what
the network reads out of an episode about whom it meets. Populations of both kinds are compared by
relative performance. Writes `simplex.md` and `simplex.json`. Exit code 1 if a full run misses a
claim.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import simplex_report as report
from neupl_command import ROOT, CommandFailed, run_command
from reproduction_report import described
from simplex_ablation import compare_populations
from simplex_cases import FULL, METHODS, QUICK, SETTINGS, Case
from simplex_posteriors import Posteriors
from transfer_mixtures import ExactGaps, Mixture

from games.registry import load_tree
from neupl.durable_files import write_durably
from neupl.evaluation import normalise
from neupl.interaction_graph import effective_size, first_equal_row
from neupl.population import Population
from neupl.simplex_sampling import CONCENTRATION, distinct, draw_mixtures
from neupl.stored_population import load_population
from solvers.sequence_form import mix

MIXTURE_SEED = 2022
# How far from the Nash mixture to the best response informed answers are to be, and what makes the
# question a fair one.
LEAST_FRACTION, LEAST_EFFECTIVE_SIZE, LEAST_ROOM = 0.9, 6, 0.2
NUM_BINS = 4
# How far the posterior that is read out may be from Bayes' rule, in total variation, and what part
# of the prior's own distance that may be.
MOST_VARIATION, MOST_OF_PRIOR = 0.05, 0.25


def train(case: Case, method: str, seed: int, runs: Path) -> dict[str, Any]:
    """Trains and measures one population; what is there already is not done again."""
    name = run_name(case, method, seed)
    path = runs / f"{name}.measured.json"
    if path.exists():
        return json.loads(path.read_text())
    settings = (*SETTINGS, *METHODS[method], *case.settings)
    changes = [part for setting in settings for part in ("--set", setting)]
    options = ["--out", name, "--seed", str(seed), "--json", "--quiet"]
    content, _, cpu_s = run_command(
        ["train", "--game", case.game, *changes, *options], runs=runs, log=name, single_core=True
    )
    found = {
        "method": method,
        "seed": seed,
        "nash_conv": content["certificate"]["value"],
        "steps": content["steps"],
        "cpu_seconds": cpu_s,
        **measure_answers(load_population(runs / name), per_seat=case.per_seat),
    }
    write_durably(path, json.dumps(found).encode())
    print(f"{name}: {found['informed_fraction']:.3f}, {cpu_s:.0f} CPU-s", file=sys.stderr)
    return found


def run_name(case: Case, method: str, seed: int) -> str:
    """The folder of a population among the runs."""
    return f"{case.name}-{method.replace(' ', '_')}-{seed}"


def compare_methods(case: Case, seeds: int, runs: Path) -> dict[str, Any]:
    """With simplex sampling against without: relative population performance, seed by seed."""
    pairs = [
        tuple(load_population(runs / run_name(case, m, seed)).tabulate() for m in METHODS)
        for seed in range(seeds)
    ]
    return compare_populations(load_tree(case.game), pairs)


def measure_answers(population: Population, *, per_seat: int) -> dict[str, Any]:
    """Gaps to the exact best response of all answers to mixtures of the population, in game points.

    Returns:
      Means over the mixtures, the same per bin of their entropy, and what makes them worth asking
      about.
    """
    tree = load_tree(population.game)
    exact = ExactGaps(tree, population)
    posteriors = Posteriors(tree, population, exact.tables)
    nash = mix(tree, exact.tables, population.meta_strategy)
    identity, size = first_equal_row(population.joint), population.num_strategies
    # Strategies that were never admitted have the empty row of strategy 0, and are not distinct.
    vertices = [distinct(identity[1 - seat], size) for seat in (0, 1)]
    rng = np.random.default_rng(MIXTURE_SEED)
    gaps, entropy, read = [], [], []
    for seat in (0, 1):
        uninformed = response_table(tree, population, vertices[seat] / vertices[seat].sum(), seat)
        members = exact.tables[distinct(identity[seat], size)]
        for weights in draw_mixtures(rng, vertices[seat], per_seat):
            informed = response_table(tree, population, weights, seat)
            likeliest = response_table(tree, population, weights, seat, likeliest=True)
            asked = Mixture(seat, CONCENTRATION, weights)
            found = exact.gaps(asked, [informed, likeliest, uninformed, nash, *members])
            gaps.append([*found[:4], found[4:].min()])
            entropy.append(entropy_share(weights, int(vertices[seat].sum())))
            read.append(posteriors.compare(weights, informed, seat=seat, vertices=vertices[seat]))
    gaps = np.array(gaps)
    read_out, prior, revealed = np.mean(read, axis=0)
    bins = []
    for part in np.array_split(np.argsort(entropy), NUM_BINS):
        low, high = np.take(entropy, part[[0, -1]])
        bins.append({"entropy": [float(low), float(high)], **_means(gaps[part])})
    return {
        "payoff_range": tree.payoff_range,
        "effective_size": effective_size(population.joint, size),
        "mixtures": len(gaps),
        **_means(gaps),
        "read_out_variation": float(read_out),
        "prior_variation": float(prior),
        "decisions_after_a_reveal": float(revealed),
        "bins": bins,
    }


def response_table(
    tree: Any, population: Population, weights: np.ndarray, seat: int, *, likeliest: bool = False
) -> np.ndarray:
    """`[S, A]` what the network answers to a mixture, uniform at the other seat's states."""
    own = tree.infoset_player == seat
    table = tree.uniform_policy()
    found = population.response_probabilities(
        weights,
        seat=seat,
        observation=tree.observation[own],
        mask=tree.legal_mask[own],
        likeliest=likeliest,
    )
    table[own] = normalise(found)
    return table


def entropy_share(weights: np.ndarray, number: int) -> float:
    """Entropy as a share of the greatest there can be."""
    some = weights[weights > 0]
    return float(-(some * np.log(some)).sum() / np.log(number)) if number > 1 else 0.0


def _means(gaps: np.ndarray) -> dict[str, float]:
    """Mean gaps, and how far from the Nash mixture to the best response answers are."""
    informed, likeliest, uninformed, nash, member = gaps.mean(axis=0)
    return {
        "informed": float(informed),
        "likeliest": float(likeliest),
        "uninformed": float(uninformed),
        "nash": float(nash),
        "best_member": float(member),
        "informed_fraction": float(1 - informed / nash),
        "likeliest_fraction": float(1 - likeliest / nash),
        "uninformed_fraction": float(1 - uninformed / nash),
        "best_member_fraction": float(1 - member / nash),
    }


def claims_of(name: str, populations: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The claims about a game: of the median population."""
    asked = [p for p in populations if p["method"] == "simplex"]
    alone = [p for p in populations if p["method"] != "simplex"]

    def median(key: str, of: Sequence[dict[str, Any]] = asked) -> float:
        return statistics.median(p[key] for p in of)

    sharp = statistics.median(
        p["bins"][0]["informed_fraction"] - p["bins"][0]["uninformed_fraction"] for p in asked
    )
    rows = [
        (
            "informed, from Nash mixture to best response",
            median("informed_fraction"),
            LEAST_FRACTION,
        ),
        (
            "the same where the likeliest actions alone are played",
            median("likeliest_fraction"),
            LEAST_FRACTION,
        ),
        ("informed minus uninformed, quarter of sharpest mixtures", sharp, 0.0),
        (
            "informed with simplex sampling minus without",
            median("informed_fraction") - median("informed_fraction", alone),
            0.0,
        ),
        ("effective size", median("effective_size"), LEAST_EFFECTIVE_SIZE),
        (
            "best response minus Nash mixture, in payoff ranges",
            median("nash") / asked[0]["payoff_range"],
            LEAST_ROOM,
        ),
    ]
    read, prior = median("read_out_variation"), median("prior_variation")
    most = [
        ("read-out from Bayes' rule after a reveal, total variation", read, MOST_VARIATION),
        ("the same as a part of the prior's", read / prior, MOST_OF_PRIOR),
    ]
    return [
        {"game": name, "claim": claim, "value": value, "least": least, "met": value >= least}
        for claim, value, least in rows
    ] + [
        {"game": name, "claim": claim, "value": value, "most": limit, "met": value <= limit}
        for claim, value, limit in most
    ]


def measure(options: argparse.Namespace, runs: Path) -> dict[str, Any]:
    """Runs everything, writes the report and returns its content."""
    cases = QUICK if options.quick else FULL
    cases = [case for case in cases if case.name in (options.only or [case.name])]
    results, claims, relative = {}, [], {}
    for case in cases:
        results[case.name] = [
            train(case, method, seed, runs) for seed in range(options.seeds) for method in METHODS
        ]
        claims += claims_of(case.name, results[case.name])
        relative[case.name] = compare_methods(case, options.seeds, runs)
    content = {
        "informed_fraction_of_best_response": claims[0]["value"],
        **described(command_of(options), options),
        "games": results,
        "relative_performance": relative,
        "claims": claims,
    }
    report.write(options.out, content)
    return content


def command_of(options: argparse.Namespace) -> str:
    """The command line that repeats a report, without where it was written."""
    parts = ["python scripts/reproduce_simplex.py", *(["--quick"] if options.quick else [])]
    parts += [f"--seeds {options.seeds}", *(["--only", *options.only] if options.only else [])]
    return " ".join(parts)


def parse_options() -> argparse.Namespace:
    """Reads the command line; ends with code 2 where it cannot be followed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="under 50 s: Kuhn poker, few steps, 20 mixtures"
    )
    parser.add_argument("--seeds", type=int, help="populations of each kind (3; quick: 1)")
    parser.add_argument("--only", nargs="+", choices=[case.name for case in FULL], help="games")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results", help="report folder")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument(
        "--runs", type=Path, help="keep what is measured here; what is there is not repeated"
    )
    options = parser.parse_args()
    if options.quick and options.only:
        parser.error("--only does not go with --quick, which has one game")
    if options.seeds is None:
        options.seeds = 1 if options.quick else 3
    if options.seeds < 1:
        parser.error(f"--seeds is {options.seeds}, expected at least 1")
    options.jobs = 1
    return options


def main() -> int:
    """Runs the experiment and prints what was met, or the whole report as JSON."""
    options = parse_options()
    with tempfile.TemporaryDirectory(prefix="neupl-") as temporary:
        runs = (options.runs or Path(temporary)).resolve()
        runs.mkdir(parents=True, exist_ok=True)
        try:
            content = measure(options, runs)
        except CommandFailed as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    print(json.dumps(content) if options.json else report.summary(content))
    missed = [claim for claim in content["claims"] if not claim["met"]]
    return int(bool(missed) and not options.quick)


if __name__ == "__main__":
    sys.exit(main())
