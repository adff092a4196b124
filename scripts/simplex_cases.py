"""What `reproduce_simplex.py` trains and measures."""

import dataclasses

# Ways of training that are compared, by the share of simplex sampling.
SHARES = {"simplex": 0.5, "rows alone": 0.0}


@dataclasses.dataclass(frozen=True)
class Case:
    """A game.

    Attributes:
      name: in the report.
      train: arguments of `neupl train`.
      per_seat: mixtures that are measured for either seat.
    """

    name: str
    train: tuple[str, ...]
    per_seat: int = 100


GOOFSPIEL = (
    "goofspiel(imp_info=True,num_cards=5,points_order=descending,returns_type=point_difference)"
)
# The first one is the paper's, and gives the figure at the top of the report.
FULL = (
    Case(
        "goofspiel_5",
        ("--game", GOOFSPIEL, "--set", "training.steps=2000", "--set", "graph.simplex_mixtures=8"),
    ),
    Case(
        "goofspiel_4",
        (
            "configs/goofspiel_4.yaml",
            "--set",
            "training.steps=2000",
            "--set",
            "graph.simplex_mixtures=8",
        ),
    ),
    Case("leduc_poker", ("configs/leduc_poker.yaml", "--set", "graph.simplex_mixtures=8")),
    Case("kuhn_poker", ("configs/kuhn_poker.yaml", "--set", "training.steps=4000")),
)
QUICK = (
    Case("kuhn_poker", ("configs/kuhn_poker.yaml", "--set", "training.steps=240"), per_seat=10),
)
