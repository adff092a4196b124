"""What `reproduce_simplex.py` trains and measures."""

import dataclasses

# Ways of training that are compared. With simplex sampling the population stays as it is for most
# of the steps and only answers to mixtures are learned: they chase nobody then.
METHODS = {
    "simplex": ("graph.simplex_share=0.5", "training.settle=0.6"),
    "rows alone": ("graph.simplex_share=0", "training.settle=0.2"),
}


@dataclasses.dataclass(frozen=True)
class Case:
    """A game.

    Attributes:
      name: in the report.
      game: what `neupl train --game` takes.
      settings: of `neupl train --set`, beside `SETTINGS`.
      per_seat: mixtures that are measured for either seat.
    """

    name: str
    game: str
    settings: tuple[str, ...]
    per_seat: int = 100


# The paper's population: strategies that respond sharply to the Nash mixture of those before them,
# none of which is replaced.
SETTINGS = (
    "graph.simplex_mixtures=16",
    "graph.exploration=0.1",
    "temperature.scale=0.02",
    "training.readmit=false",
    "learner.final_learning_rate=2e-5",
    "learner.importance=play",
    "network.readout_sizes=[128,128]",
)
GOOFSPIEL = "goofspiel(imp_info=True,num_cards={},points_order=descending)"
# The first one is the paper's, and gives the figure at the top of the report.
FULL = (
    # The tree is large: gradient steps go over some of its information states, and more of them
    # follow an evaluation.
    Case(
        "goofspiel_5",
        GOOFSPIEL.format(5),
        ("training.steps=3000", "learner.sample=4096", "learner.updates_per_target=10"),
    ),
    Case("goofspiel_4", GOOFSPIEL.format(4), ("training.steps=2000",)),
    Case("leduc_poker", "leduc_poker", ("training.steps=2000",)),
    Case("kuhn_poker", "kuhn_poker", ("training.steps=4000",)),
)
QUICK = (Case("kuhn_poker", "kuhn_poker", ("training.steps=240",), per_seat=10),)
