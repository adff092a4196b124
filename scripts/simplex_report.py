"""The page of `reproduce_simplex.py`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reproduction_report import number, preamble, table


def write(folder: Path, content: Mapping[str, Any]) -> None:
    """Writes `simplex.md` and `simplex.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "simplex.json").write_text(json.dumps(content, indent=1) + "\n")
    (folder / "simplex.md").write_text(markdown(content))


def markdown(content: Mapping[str, Any]) -> str:
    """The report as a page."""
    parts = preamble("Simplex-NeuPL: answers to mixtures never trained on", content)
    parts += [
        "Mixtures are uniform on the simplex of the opponent's distinct strategies. The "
        "opponent draws one of them, hidden, for a whole episode. *Fraction* is how far an "
        "answer comes from the seat's own Nash mixture (0) to the exact best response (1), by "
        "mean gaps over all mixtures; gaps in game points, exact. *Likeliest actions*: the "
        "informed answer plays these alone. *Simplex*: half of the "
        "training responds to random mixtures (`graph.simplex_share=0.5`), and in the last 0.6 of "
        "the steps the population stays as it is. *Rows alone*: none "
        "does; an unseen mixture is then answered by the index of the strategy that earns most "
        "against it. *Read-out*: mean total variation distance between the posterior over the "
        "opponent's strategies that the network reads out and the exact one, by how likely "
        "information states are under the informed answer, where not all strategies of the "
        "opponent make them equally likely; *prior*: the same of the mixture itself.",
        "## Claims",
        "Of the median population.",
        table(
            ("game", "claim", "value", "limit", "met"),
            [
                (c["game"], c["claim"], number(c["value"]), _limit(c), _yes(c["met"]))
                for c in content["claims"]
            ],
        ),
    ]
    for name, populations in content["games"].items():
        parts += _game_part(name, populations)
        parts.append(_relative(content["relative_performance"][name]))
    return "\n\n".join(parts) + "\n"


def summary(content: Mapping[str, Any]) -> str:
    """What a terminal shows at the end."""
    return "\n".join(
        f"{claim['game']:12s} {claim['claim']}: {number(claim['value'])}, {_limit(claim)}: "
        f"{_yes(claim['met'])}"
        for claim in content["claims"]
    )


def _game_part(name: str, populations: list[Mapping[str, Any]]) -> list[str]:
    header = (
        "population", "NashConv", "effective size", "informed: gap", "fraction",
        "likeliest actions", "uninformed", "best member", "Nash mixture: gap", "read-out", "prior",
        "CPU-s",
    )  # fmt: skip
    rows = [
        (
            f"{p['method']}, seed {p['seed']}",
            number(p["nash_conv"]),
            p["effective_size"],
            number(p["informed"]),
            f"{p['informed_fraction']:.3f}",
            f"{p['likeliest_fraction']:.3f}",
            f"{p['uninformed_fraction']:.3f}",
            f"{p['best_member_fraction']:.3f}",
            number(p["nash"]),
            f"{p['read_out_variation']:.3f}",
            f"{p['prior_variation']:.3f}",
            f"{p['cpu_seconds']:.0f}",
        )
        for p in populations
    ]
    first = populations[0]
    bins = [
        (
            f"{p['method']}, seed {p['seed']}",
            *(f"{b['informed_fraction']:.3f} / {b['uninformed_fraction']:.3f}" for b in p["bins"]),
        )
        for p in populations
    ]
    return [
        f"## {name}",
        f"{first['mixtures']} mixtures, {first['steps']} steps, payoff range "
        f"{first['payoff_range']:g}.",
        table(header, rows),
        "Fractions by the entropy of the mixture, informed / uninformed, a quarter of the mixtures "
        "each, sharpest first:",
        table(("population", "first quarter", "second", "third", "last"), bins),
    ]


def _relative(found: Mapping[str, Any]) -> str:
    each = ", ".join(f"{value:.4f}" for value in found["each"])
    interval = ""
    if "low" in found:
        interval = f", Student's 95 % interval over seeds {found['low']:.4f} to {found['high']:.4f}"
    return (
        "Relative population performance of simplex over rows alone (value of the game between the "
        f"strategies of both, seats averaged out, exact, payoff ranges): {found['mean']:.4f}"
        f"{interval}; by seed {each}."
    )


def _limit(claim: Mapping[str, Any]) -> str:
    if "most" in claim:
        return f"at most {number(claim['most'])}"
    return f"at least {number(claim['least'])}"


def _yes(met: bool) -> str:
    return "yes" if met else "no"
