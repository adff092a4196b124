"""`neupl verify`: the exact gap of a population, by our solver and by OpenSpiel's."""

import dataclasses
from pathlib import Path

import tyro

from neupl.cli.options import OutputOptions
from neupl.cli.output import print_json, print_table


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verify(OutputOptions):
    """Reloads a population from disk and certifies its mixture, by our solver and by OpenSpiel's.

    The network is asked on tensors of live OpenSpiel states, OpenSpiel rebuilds the mixture with
    its own aggregator, and both measure NashConv per player. Exit code 1 if they disagree by more
    than 1e-6.
    """

    population: tyro.conf.Positional[Path]
    """A run folder, or a population exported by `neupl export`."""


def run(command: Verify) -> int:
    """Certifies and prints both numbers."""
    from games.registry import load_tree
    from neupl.population import load_population
    from neupl.progress import Progress
    from neupl.verification import verify_population

    population = load_population(command.population)
    with Progress(f"compiling {population.game}", quiet=command.quiet, patience_s=1.0) as progress:
        tree = load_tree(population.game, progress=lambda nodes: progress.update(nodes, None))
    verification = verify_population(population, tree, name=command.population.resolve().name)
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
    return 0
