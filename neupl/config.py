"""The configuration of a run: frozen dataclasses are the only schema.

Every quantity in game points is given as a fraction of the game's payoff range, so that one set of
defaults serves games of any scale. The text under a field is its help. Sampled runs start from
other defaults, `PPO_DEFAULTS`; the help of a field ends with its default there where it differs.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from neupl.config_checks import check_config
from neupl.jpsro_config import JPSROConfig
from neupl.learner_config import LearnerConfig


@dataclasses.dataclass(frozen=True)
class PopulationConfig:
    """Who is in the population."""

    size: int = 8
    """Strategies per seat, the sink (strategy 0) included."""
    sink: str = "uniform"
    """Strategy 0: `uniform` (legal actions with equal probability), `none` (strategy 0 is trained
    like the others), or a policy to start from: a JSON file of `{information state:
    [probabilities]}` or `RUN#k`; for runs that only play, `package.module:function` of one
    observation and its legal actions. Of continuous actions `uniform` is a normal distribution as
    wide as the uniform one, and the function returns means and log standard deviations.
    """
    symmetric: bool = False
    """One table of strategies for all seats; an error unless the game is symmetric."""


@dataclasses.dataclass(frozen=True)
class GraphConfig:
    """Which mixture of the others every strategy responds to."""

    kind: Literal[
        "psro",
        "rectified",
        "fictitious_play",
        "first_quarter",
        "latest",
        "strategic_cycle",
        "self_play",
        "jpsro",
    ] = "psro"
    """`psro`: the meta-solver's mixture of the earlier strategies; `rectified`: that mixture
    restricted to opponents that the strategy before it beats; `fictitious_play`: uniform over the
    earlier ones; `first_quarter`: uniform over the first quarter of them, rounded up, as self-play
    with early snapshots does (needs a network per strategy, whose rows may be equal); `latest`: the
    strategy before it; `strategic_cycle`: the next strategy in a circle; `self_play`: uniform over
    all strategies; `jpsro`: a joint of all seats, as NeuPL-JPSRO does (see the keys `jpsro.*`).
    Where nothing is said, `neupl train` takes `psro` for two-player zero-sum games, else `jpsro`;
    of runs that see no game tree, for up to four seats and where no other key speaks against it.
    """
    meta_solver: str = "auto"
    """Solves the payoffs of `psro`, `rectified` and `jpsro`; `auto` is `mgcce` (`mgce`) for
    `jpsro`, else `nash` for two-player zero-sum games and `uniform` for others.
    """
    exploration: float = 0.5
    """Share of the uniform mixture over the earlier strategies in `psro` and `rectified` rows;
    every other readmission (`training.readmit`) responds to the meta-solver's mixture alone.
    """
    temperature: float = 0.0
    """Entropy regularisation of the meta-solver `nash`, as a fraction of the payoff range per nat;
    0 is none. Estimated payoffs determine a regularised equilibrium better. PPO: 0.005.
    """
    simplex_share: float = 0.0
    """Simplex-NeuPL: how much of what responds, in [0, 1), responds to mixtures of the strategies
    drawn anew for every step instead of to its row, so that the population answers any mixture
    afterwards; the paper's is 0.5. Two players, a conditional network.
    """
    simplex_mixtures: int = 16
    """Simplex-NeuPL: mixtures per seat that are drawn for a step."""


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """The network that plays the population."""

    kind: Literal["conditional", "separate", "continued"] = "conditional"
    """`conditional`: one network plays all strategies; baselines with a network per strategy:
    `separate`, where a new strategy starts from a fresh one, and `continued`, where it starts as
    its predecessor is (`graph.kind=jpsro`: as the response before it ended).
    """
    hidden_sizes: tuple[int, ...] = (128, 128)
    """Widths of the hidden layers of the policy; with a memory, of those behind it."""
    memory: Literal["none", "gru"] = "none"
    """`gru`: the network remembers the episode so far in a gated recurrent unit, for games whose
    observations do not tell it; one conditional network tells strategies apart behind the memory.
    PPO, and MPO of a conditional network; payoffs from episodes.
    """
    memory_size: int = 128
    """Width of the memory."""
    encoder_sizes: tuple[int, ...] = (64,)
    """Widths of the layers between observation and memory."""
    embedding_size: int = 64
    """Conditional: width of the strategy embedding, the floats that each table gains with a
    strategy.
    """
    use_index: bool = True
    """Conditional: embed the index of a strategy beside its row of the graph."""
    critic_hidden_size: int = 64
    """Width of the critic's hidden layer."""
    critic: Literal["values", "action_values"] = "values"
    """What the critic tells: values of what is seen, or of every action there, for
    `learner.kind=mpo`, whose critic shapes the policy's features.
    """
    readout_sizes: tuple[int, ...] = ()
    """Conditional: widths of the hidden layers of a head that reads from what a seat has seen, or
    remembers, which strategy its opponent plays; none has no such head. Two players.
    """
    critic_reads: Literal["features", "observation", "privileged"] = "features"
    """What the critic reads: the policy's last hidden layer, or the memory where there is one;
    without a memory also the `observation` itself, which may tell of the value what no action hangs
    on; or besides all that what the game shows critics alone (`privileged`; PPO, conditional),
    which the policy never needs.
    """
    normalise: bool = False
    """Shift and scale observations by their running mean and standard deviation, for those in
    physical units; networks per strategy have their own, and no memory then.
    """


@dataclasses.dataclass(frozen=True)
class TemperatureConfig:
    """Entropy regularisation: response number i is trained at max(scale / i ** power, floor) x
    payoff range, times what the run has left of it, and warmer when it begins.
    """

    scale: float = 0.154
    """Temperature of the first response, as a fraction of the payoff range per nat."""
    power: float = 1.0
    """How fast the temperature falls with the number of responses so far."""
    floor: float = 0.0001
    """Least temperature, as a fraction of the payoff range per nat. PPO: 0.004."""
    final: float = 1.0
    """Share of every temperature that is left at the end of the run; it falls geometrically over
    the steps. For runs in which nobody is admitted, such as self-play.
    """
    warmth: float = 0.0
    """Temperature of a new response when it begins, on top of the other, as a fraction of the
    payoff range per nat; it falls linearly (`temperature.cooling`). Episodes show what an action is
    worth only where it is tried. The first response, whose network is still untrained, gets it only
    where `graph.kind` is `jpsro`; 0.02 there where `learner.kind` is `ppo`.
    """
    cooling: int = 0
    """Steps after which nothing is left of the warmth; 0 stands for half of
    `training.max_steps_per_row`.
    """


@dataclasses.dataclass(frozen=True)
class EvaluationConfig:
    """How the population is evaluated, above all from episodes."""

    payoffs: Literal["auto", "exact", "sampled", "learned"] = "auto"
    """Payoffs of the strategies against each other. `exact`: from the compiled game tree; gate,
    meta-strategy and selection are then exact too. `sampled`: mean returns of episodes; `learned`:
    a small network fitted to them; the process then never sees a tree. `auto`: `exact` for the
    exact learner, which allows nothing else, and where `graph.kind=jpsro` is given, which allows
    the others too; `sampled` for PPO otherwise.
    """
    episodes: int = 4096
    """Episodes played at every evaluation besides those of training, where the meta-strategy hangs
    on the payoffs most. Of `jpsro`: two thirds in pairs with and without a response; when an
    iteration ends, eight times as many in such pairs, and four times as many for the payoffs.
    """
    final_episodes: int = 400_000
    """Episodes from which the payoffs and the meta-strategy of the population that is kept are
    estimated afresh at the end; `jpsro`, where an episode tells more: 50000.
    """
    blocks: int = 1
    """Parts in which the episodes of an evaluation are played: what `--workers` and `--ray` share
    out of them. Other numbers are other random draws. `jpsro` plays in parts anyway.
    """
    response_s: float = 30.0
    """Seconds for the best response that is trained to bound the gap from below at the end, where
    the game has no tree of at most `max_nodes`.
    """
    responses: int = 0
    """Rounds in which responses are trained against the mixture of the population that is kept,
    once it is done, and the mixture is chosen anew so that it loses least to all of them: an
    equilibrium of the population alone knows no opponent outside of it. 0: that equilibrium.
    Two-player zero-sum games of discrete actions, payoffs from episodes, no memory.
    """
    response_batches: int = 200
    """Batches by which the responses of the first round learn; those of others go on from there
    with three tenths of them.
    """
    memory: float = 0.7
    """Share of the episodes so far that still counts after an evaluation, for strategies in
    training; those that are held lose a tenth of what these lose.
    """
    window: int = 4
    """Evaluations over which a strategy must have stopped improving to be ready."""
    improvement: float = 0.01
    """Improvement over the window, as a fraction of the payoff range, that is worth waiting for:
    the next strategy is admitted when the lower confidence bound of all improvements is below.
    """


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """The population loop."""

    steps: int = 3000
    """Steps of the run: gradient steps (exact) or batches of episodes (PPO). PPO: 1000."""
    closing_steps: int = 0
    """Steps after these in which all strategies go on learning, each against its row, at the last
    learning rate: every strategy that comes after another moves it a little, although that one is
    held (PPO and MPO, gated admission).
    """
    evaluate_every: int = 20
    """Steps between evaluations (payoffs, certificate, admission); a multiple of
    `updates_per_target` for the exact learner. PPO: 10.
    """
    admission: Literal["gated", "concurrent"] = "gated"
    """`gated`: a strategy is admitted when those before it are near-best responses, and its row is
    frozen; `concurrent`: all strategies train from the start and the graph follows the payoffs.
    """
    gate: float = 0.1
    """Largest gain left to any training strategy in its own regularised objective when the next one
    is admitted, as a multiple of its temperature (nats).
    """
    max_steps_per_row: int = 60
    """Steps after which the next strategy is admitted whether or not the gate is met. PPO: 20."""
    steps_of_first_rows: tuple[int, ...] = ()
    """The same for the first responses one by one, before `max_steps_per_row` holds: those that
    meet one opponent may need fewer steps than those that meet several.
    """
    renew_row: float = 0.0
    """Share of these steps after which the row of the strategy that learns is made again, below 1;
    0: never. When it was admitted its predecessor had only just learned what it does, and payoffs
    from episodes lagged behind (gated admission only).
    """
    rehearse: bool = True
    """While the population grows, train the strategies admitted before as well; else they are held
    in place while a new one responds to them, as in PSRO (gated admission only). PPO: false.
    """
    readmit: bool = True
    """When the population is full, give the strategy with least weight in the meta-strategy a new
    row, again and again, while the others are held in place (gated admission only).
    """
    settle: float = 0.2
    """Share of the steps at the end for which the best-certified population comes back and only the
    critic goes on learning, and answers to mixtures (`graph.simplex_share`; exact learner, gated
    admission only).
    """
    staleness: int = 0
    """PPO: steps that the parameters which played an episode may be behind those that learn from
    it. 0: collection and update take turns, reproducibly; above, actors (`--workers`, `--ray`) play
    beside the learner, and what is older is dropped.
    """
    keep: Literal["best", "newest"] = "best"
    """Which population is exported: the `best`, of least NashConv as far as the run knows, or the
    `newest` as it is, which may lose more.
    """
    checkpoint_every_s: float = 20.0
    """Seconds between checkpoints."""

    @property
    def all_steps(self) -> int:
        """Steps of the run, the closing ones among them."""
        return self.steps + self.closing_steps

    def most_steps(self, response: int) -> int:
        """Steps after which response number `response`, from 1 on, has had its time."""
        steps = (0, *self.steps_of_first_rows)
        return steps[response] if response < len(steps) else self.max_steps_per_row


@dataclasses.dataclass(frozen=True)
class Config:
    """A population run."""

    game: str = "kuhn_poker"
    """An OpenSpiel game string, `running_with_scissors`, a payoff file (.nfg, .json, .npz, .npy),
    or `pkg.mod:make`.
    """
    max_nodes: int = 5_000_000
    """Largest game tree to compile, in nodes."""
    seed: int = 0
    """Seed of every random stream."""
    population: PopulationConfig = PopulationConfig()
    graph: GraphConfig = GraphConfig()
    network: NetworkConfig = NetworkConfig()
    temperature: TemperatureConfig = TemperatureConfig()
    learner: LearnerConfig = LearnerConfig()  # noqa: RUF009 - it is frozen too
    evaluation: EvaluationConfig = EvaluationConfig()
    training: TrainingConfig = TrainingConfig()
    jpsro: JPSROConfig = JPSROConfig()  # noqa: RUF009 - likewise

    @staticmethod
    def defaults(given: Mapping[str, Any]) -> "Config":
        """What a configuration starts from: that of the loop and of the learner that it names."""
        if _named(given, "learner", "mpo"):
            return MPO_DEFAULTS
        plays = _named(given, "learner", "ppo")
        if _named(given, "graph", "jpsro"):
            return JPSRO_PPO_DEFAULTS if plays else JPSRO_DEFAULTS
        return PPO_DEFAULTS if plays else Config()

    def __post_init__(self) -> None:
        check_config(self)


def _named(given: Mapping[str, Any], group: str, kind: str) -> bool:
    found = given.get(group)
    return isinstance(found, Mapping) and found.get("kind") == kind


# Episodes are noisy and dear: strategies learn one at a time, against mixtures that noise does not
# upset.
PPO_DEFAULTS = Config(
    graph=GraphConfig(temperature=0.005),
    temperature=TemperatureConfig(floor=0.004),
    learner=LearnerConfig(kind="ppo", learning_rate=6e-3),
    training=TrainingConfig(steps=1000, evaluate_every=10, max_steps_per_row=20, rehearse=False),
)

# The same by MPO, whose critic has more to tell, and is heard by the policy's features.
MPO_DEFAULTS = dataclasses.replace(
    PPO_DEFAULTS,
    network=NetworkConfig(critic="action_values"),
    learner=LearnerConfig(kind="mpo", learning_rate=3e-3, critic_weight=5.0),
)

# Responses to a joint are all but deterministic, each one learned at full speed.
JPSRO_DEFAULTS = Config(
    population=PopulationConfig(size=16),
    graph=GraphConfig(kind="jpsro"),
    temperature=TemperatureConfig(scale=0.01),
    learner=LearnerConfig(learning_rate=3e-3, final_learning_rate=3e-4),
    training=TrainingConfig(steps=12_000, max_steps_per_row=400),
)

# The same from episodes; the co-players stand still, so that the policy may move fast.
JPSRO_PPO_DEFAULTS = Config(
    population=PopulationConfig(size=16),
    graph=GraphConfig(kind="jpsro"),
    temperature=TemperatureConfig(scale=0.01, floor=0.001, warmth=0.02),
    learner=LearnerConfig(
        kind="ppo", learning_rate=6e-3, final_learning_rate=3e-4, episodes=2048, clip=0.5
    ),
    evaluation=EvaluationConfig(final_episodes=50_000),
    training=TrainingConfig(steps=1000, evaluate_every=5, max_steps_per_row=60),
    jpsro=JPSROConfig(tolerance=0.002, drift=0.005),
)
