"""`neupl verify`: the gap of a population, exactly or by a trained best response."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from neupl.cli.options import OutputOptions, WorkerOptions
from neupl.cli.output import print_json, print_table
from neupl.errors import UserError

if TYPE_CHECKING:
    from games.game_tree import GameTree
    from neupl.population import Population
    from neupl.profile_distribution import ProfileDistribution
    from neupl.trained_response import TrainedResponses
    from neupl.verification import SampledReturns
    from neupl.workers import Workers

DEFAULT_BUDGET_S = 60.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verify(WorkerOptions, OutputOptions):
    """Reloads a population from disk and certifies its mixture, by our solver and by OpenSpiel's.

    The network is asked on tensors of live OpenSpiel states, OpenSpiel rebuilds the mixture with
    its own aggregator, and both measure NashConv per player. Tables that `neupl solve` left are
    measured by NashConv where seats mix independently, and by the CCE or CE gap where one draw is
    for all seats; the output says what OpenSpiel checked. `--episodes` also plays a trained mixture
    against itself and compares the mean returns with the exact ones. Exit code 1 if the NashConvs
    disagree by more than 1e-6, or a mean return by more than chance allows.

    `--method trained-br` is for games of which there is no tree: a fresh response of every seat is
    trained against the mixture and measured in episodes. What it gains is a lower bound of the gap.
    """

    population: tyro.conf.Positional[Path]
    """A run folder, or a population exported by `neupl export`."""

    method: Literal["exact", "trained-br"] = "exact"
    """`exact`: on the compiled game; `trained-br`: a lower bound, by a best response that is
    trained for it in episodes."""

    budget: Annotated[float | None, tyro.conf.arg(metavar="S")] = None
    """trained-br: seconds of wall-clock time to train, choose and measure the responses, 60 by
    default."""

    batches: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """trained-br: exactly so many batches of training instead, for a figure that can be computed
    again."""

    restarts: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """trained-br: trainings from different random numbers, each with the whole budget, 1 by
    default; every seat keeps the best. Restarts are what --workers and --ray share out."""

    episodes: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Episodes of the mixture against itself to play besides, at least 2; 0 for none. A mean return
    may differ from the exact one by about 6 standard errors: a correct one differs by more with
    probability below 1e-8 per seat (Bernstein's inequality)."""

    episode_seed: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Seed of the episodes, and of all training of trained-br; 0 to 4294967295."""


def run(command: Verify) -> int:
    """Certifies and prints both numbers, and those of the episodes."""
    _check_options(command)
    shared_out = command.restarts is not None and command.restarts > 1
    workers = command.make_workers() if shared_out else None
    from neupl.population import Population
    from neupl.profile_distribution import ProfileDistribution
    from neupl.progress import Progress
    from neupl.stored_population import load_population
    from neupl.verification import verify_population

    population = load_population(command.population)
    if getattr(population, "num_players", 2) == 1:
        raise UserError(
            f"{population.game} has one player: nobody can respond, and no gap is left to certify",
            hint="its mean return is in the run's certificate.json and in the model card",
        )
    if command.method == "trained-br":
        return _verify_by_response(command, population, workers)
    if isinstance(population, Population):
        population.check_tabular()
    tree = _compile(command, population)
    if isinstance(population, ProfileDistribution):
        return _verify_joint(command, population, tree)
    title = f"playing {population.game}"
    with Progress(title, quiet=command.quiet, patience_s=1.0) as progress:
        verification = verify_population(
            population,
            tree,
            name=command.population.resolve().name,
            num_episodes=command.episodes,
            episode_seed=command.episode_seed,
            on_episodes=lambda done: progress.update(done, command.episodes),
        )
    if command.json:
        print_json(verification.to_json())
        return 0
    certificate, check = verification.certificate, verification.check
    rows = [("seat", "ours", "OpenSpiel")]
    for player, gain in enumerate(certificate.per_player):
        theirs = f"{check.openspiel_per_player[player]:.12f}" if check else "not asked"
        rows.append((str(player), f"{gain:.12f}", theirs))
    theirs = f"{check.openspiel_nash_conv:.12f}" if check else "not asked"
    rows.append(("NashConv", f"{certificate.value:.12f}", theirs))
    print_table(rows[1:], header=rows[0], title=f"{certificate.object}, {certificate.game}, exact")
    if check is None:
        print(f"OpenSpiel does not know {certificate.game}: our solver alone")
    else:
        print(
            f"agreed: gaps to 1e-6, mixtures to {check.largest_policy_difference:.1e} "
            f"({certificate.seconds:.1f} s)"
        )
    for name, found in verification.payoffs.items():
        print(f"{name} payoffs: off the exact ones by {found.describe()}")
    if verification.sampled is not None:
        _print_sampled(verification.sampled)
    return 0


def _compile(command: Verify, population: "Population | ProfileDistribution") -> "GameTree":
    from games.tree_walk import GameTooLargeError
    from neupl.progress import Progress

    title = f"compiling {population.game}"
    try:
        with Progress(title, quiet=command.quiet, patience_s=1.0) as progress:
            return population.tree(progress=lambda nodes: progress.update(nodes, None))
    except GameTooLargeError as error:
        hint = "--method trained-br bounds the gap without a tree"
        raise UserError(str(error), hint=hint) from error


def _verify_by_response(
    command: Verify,
    population: "Population | ProfileDistribution",
    workers: "Workers | None",
) -> int:
    from neupl.progress import Progress
    from neupl.response_budget import Budget
    from neupl.trained_response import train_responses
    from neupl.workers import THIS_PROCESS

    if command.batches is not None:
        budget = Budget(batches=command.batches)
    else:
        seconds = DEFAULT_BUDGET_S if command.budget is None else command.budget
        budget = Budget(seconds=seconds)
    workers = workers or THIS_PROCESS
    title = f"responding in {population.game}"
    with Progress(title, quiet=command.quiet, patience_s=1.0) as progress:
        responses = train_responses(
            population,
            name=command.population.resolve().name,
            budget=budget,
            seed=command.episode_seed,
            restarts=command.restarts or 1,
            workers=workers,
            on_progress=lambda done, total, stage: progress.update(done, total, stage=stage),
        )
    if command.json:
        print_json(responses.to_json() | {"incidents": dataclasses.asdict(workers.incidents)})
        return 0
    _print_responses(responses)
    if incidents := workers.incidents.describe():
        print(incidents)
    return 0


def _print_responses(responses: "TrainedResponses") -> None:
    from neupl.certificate_words import QUANTITY_NAMES

    certificate = responses.certificate
    rows = [
        (
            player,
            f"{seat.gain:.6f} ± {seat.gain_error:.6f}",
            f"{seat.response_return:.6f} ± {seat.response_error:.6f}",
            f"{seat.mixture_return:.6f} ± {seat.mixture_error:.6f}",
            f"{seat.episodes:,}",
            seat.response,
        )
        for player, seat in enumerate(responses.seats)
    ]
    print_table(
        rows,
        header=("seat", "gain", "response", "mixture", "episodes", "chosen"),
        title=f"{certificate.object}, {certificate.game}: trained best responses",
    )
    low, high = certificate.interval
    quantity = QUANTITY_NAMES[certificate.quantity]
    print(
        f"{quantity} is at least {certificate.value:.6f} by estimate "
        f"(95 % interval of this lower bound: {low:.6f} to {high:.6f})"
    )
    print(
        f"{responses.restarts:,} restarts, {responses.batches:,} batches, "
        f"{responses.training_episodes:,} episodes of training; {responses.seconds:.1f} s; "
        "not exact: a better response may gain more"
    )


def _verify_joint(command: Verify, population: "ProfileDistribution", tree: "GameTree") -> int:
    from neupl.certificate_words import QUANTITY_NAMES
    from neupl.cli.solve import agreement_rows
    from neupl.jpsro.played_population import PlayedJointPopulation
    from neupl.jpsro.population import JointPopulation
    from neupl.jpsro.verification import verify_joint, verify_played_joint
    from neupl.tabular_verification import announce, verify_tabular

    if command.episodes:
        raise UserError(
            "--episodes plays independent mixtures of trained populations; this one is of exact "
            "tables or of a joint"
        )
    verify = verify_tabular
    if isinstance(population, JointPopulation):
        verify = verify_joint
    elif isinstance(population, PlayedJointPopulation):
        verify = verify_played_joint
    verification = verify(
        population,
        tree,
        name=command.population.resolve().name,
        on_open_spiel=None if command.quiet else announce,
    )
    if command.json:
        print_json(verification.to_json())
        return 0
    certificate = verification.certificate
    rows = [("game", certificate.game), ("certified", f"{certificate.object}, exactly")]
    rows += [(f"seat {p}", f"{gain:.12f}") for p, gain in enumerate(certificate.per_player)]
    rows.append((QUANTITY_NAMES[certificate.quantity], f"{certificate.value:.12f}, by our solver"))
    for source, found in getattr(verification, "payoffs", {}).items():
        rows.append((f"{source} payoffs", f"off the exact ones by {found.describe()}"))
    print_table([*rows, *agreement_rows(verification)])
    return 0


def _check_options(command: Verify) -> None:
    if command.episodes < 0 or command.episodes == 1:
        raise UserError(
            f"--episodes is {command.episodes}: it must be 0, or at least 2 for a standard error"
        )
    if not 0 <= command.episode_seed < 2**32:
        raise UserError(f"--episode-seed is {command.episode_seed}: it must be 0 to {2**32 - 1}")
    budget, batches, restarts = command.budget, command.batches, command.restarts
    if command.method == "exact":
        for name in ("budget", "batches", "restarts"):
            if getattr(command, name) is not None:
                raise UserError(
                    f"--{name} is of --method trained-br; the exact method needs no budget"
                )
        command.refuse_workers("is of --method trained-br; the exact method is one short piece")
        return
    if restarts is not None and restarts < 1:
        raise UserError(f"--restarts is {restarts}: it must be at least 1")
    if restarts in (None, 1):
        command.refuse_workers("shares out restarts: give --restarts N with N above 1")
    if command.episodes:
        raise UserError("--episodes is of the exact method; trained-br plays as its budget allows")
    if budget is not None and batches is not None:
        raise UserError("--budget and --batches are two ways to say how long; give one of them")
    if budget is not None and not 0 < budget < float("inf"):
        raise UserError(f"--budget is {budget}: it must be a positive number of seconds")
    if batches is not None and batches < 1:
        raise UserError(f"--batches is {batches}: it must be at least 1")


def _print_sampled(sampled: "SampledReturns") -> None:
    columns = (
        sampled.mean_returns,
        sampled.standard_errors,
        sampled.exact_returns,
        sampled.allowed_differences,
    )
    rows = [
        (
            seat,
            f"{mean:.6f} ± {error:.6f}",
            f"{exact:.6f}",
            f"{abs(mean - exact):.6f}",
            f"{most:.6f}",
        )
        for seat, (mean, error, exact, most) in enumerate(zip(*columns, strict=True))
    ]
    print_table(
        rows,
        header=("seat", "mean return", "exact", "difference", "allowed"),
        title=f"returns of the mixture in {sampled.episodes:,} episodes",
    )
    print(f"agreed: all differences are within what chance allows ({sampled.seconds:.1f} s)")
