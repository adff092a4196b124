"""What is measured by `reproduce_transfer.py`: batches, mixtures, learning rates."""

import dataclasses

# What learns: the population's network, and a plain one from scratch.
STARTS = ("population", "scratch")
# How populations are trained: on the rows of the interaction graph, or half of the time on mixtures
# drawn from the simplex (Simplex-NeuPL).
KINDS = {"rows": (), "simplex": ("--set", "graph.simplex_share=0.5")}


@dataclasses.dataclass(frozen=True)
class Batches:
    """A size of batch, and after how many of them the gap is measured.

    Attributes:
      episodes: of one batch.
      fine_tuning: numbers of batches, ascending.
      scratch: numbers of batches, ascending.
      few: batches of fine-tuning that are to beat `many` from scratch; one of `fine_tuning`.
      many: one of `scratch`.
    """

    episodes: int
    fine_tuning: tuple[int, ...] = (1, 5, 10, 30)
    scratch: tuple[int, ...] = (1, 5, 10, 30, 100)
    few: int = 10
    many: int = 100

    def steps(self, start: str) -> tuple[int, ...]:
        """The numbers of batches of one of `STARTS`."""
        return self.scratch if start == "scratch" else self.fine_tuning

    def judged(self, start: str) -> int:
        """The number of batches after which one of `STARTS` is judged."""
        return self.many if start == "scratch" else self.few

    def only_judged(self) -> "Batches":
        """The same without the other measurements."""
        return dataclasses.replace(self, fine_tuning=(self.few,), scratch=(self.many,))


@dataclasses.dataclass(frozen=True)
class Setting:
    """An experiment.

    Attributes:
      preset: a file of `configs/`.
      train: further arguments of `neupl train`.
      per_seat: mixtures for either seat.
      tuning_per_seat: mixtures for either seat on which learning rates are chosen.
      temperature: entropy weight of all responses, as a fraction of the payoff range per nat.
      learning_rates: from which all learners choose.
      batches: the sizes.
    """

    preset: str = "leduc_poker_ppo.yaml"
    train: tuple[str, ...] = ()
    per_seat: int = 16
    tuning_per_seat: int = 4
    temperature: float = 0.005
    learning_rates: tuple[float, ...] = (1e-3, 3e-3, 1e-2, 3e-2)
    batches: tuple[Batches, ...] = (
        Batches(512),
        Batches(4096),
    )


FULL = Setting()
QUICK = Setting(
    preset="kuhn_poker_ppo.yaml",
    train=("--set", "training.steps=60", "--set", "evaluation.final_episodes=4096"),
    per_seat=2,
    tuning_per_seat=2,
    learning_rates=(1e-2,),
    batches=(Batches(128, fine_tuning=(1, 2), scratch=(1, 4), few=2, many=4),),
)
