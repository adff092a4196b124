"""How networks learn: the section `learner` of a run's configuration."""

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class LearnerConfig:
    """How the network learns."""

    kind: Literal["exact", "ppo", "mpo"] = "exact"
    """`exact`: action values on the compiled game tree; `ppo`: proximal policy optimisation on
    episodes, in a process that never sees a tree unless `evaluation.payoffs` is `exact`; `mpo`:
    maximum a posteriori policy optimisation on replayed episodes, likewise, of networks with a
    critic of action values; what is said of PPO's keys and defaults holds for it.
    """
    rule: Literal["soft_improvement", "policy_gradient"] = "soft_improvement"
    """Exact: `soft_improvement`: cross-entropy to the entropy-regularised greedy policy of the
    current exact action values; `policy_gradient`: the gradient of the entropy-regularised return
    at every information state, without the factor of the owner's own reach.
    """
    learning_rate: float = 2e-3
    """Adam's step size at the start; it falls linearly over the run. PPO: 0.006."""
    final_learning_rate: float = 2e-4
    """Adam's step size at the end."""
    max_gradient_norm: float = 1.0
    """Gradients are clipped to this global norm."""
    updates_per_target: int = 4
    """Exact: gradient steps on one evaluation of the tree."""
    importance: Literal["coplayers", "play"] = "coplayers"
    """Exact: what an information state counts in learning to respond: how likely it is as far as
    chance and co-players go (`coplayers`), or in an episode (`play`) in which the seat plays as the
    strategy does, half of the time, or else uniformly.
    """
    sample: int = 0
    """Exact: information states of a gradient step, each with a strategy, drawn by what they count;
    0 is all of them with all strategies. Large trees. Conditional networks.
    """
    episodes: int = 4096
    """PPO: episodes of one step."""
    blocks: int = 1
    """PPO: parts in which the episodes of one step are played, which divides their number: what
    `--workers` and `--ray` share out of them. Other numbers are other random draws.
    """
    devices: int = 1
    """PPO: devices of this machine that share the episodes of a compiled game and the decisions of
    every minibatch; 0 is all that JAX sees.
    """
    horizon: int = 0
    """PPO: steps of the game that each lane plays instead of one episode, for long ones: finished
    episodes are followed by others, the last one is cut off there. 0 is one episode.
    """
    epochs: int = 2
    """PPO: how often each step goes over its episodes."""
    unroll: int = 64
    """PPO with a memory: most steps through which gradients reach back in time; longer episodes are
    cut into parts that start from the memory as it was when they were played.
    """
    minibatch: int = 1024
    """PPO: decisions of one gradient step; MPO: at most, of whole episodes."""
    replay: int = 4
    """MPO: batches of episodes that are kept to learn from, the newest one among them."""
    improvement: float = 0.1
    """MPO: how far the improved policy of an E-step may diverge from the current one, in nats."""
    samples: int = 16
    """MPO: actions that are drawn at each decision to improve it, where they are continuous."""
    movement: float = 0.02
    """MPO: how far a step may move the policy, as its divergence from the one before, in nats."""
    clip: float = 0.2
    """PPO: how far the probability of an action may move in one step, as a share of it."""
    mirror: float = 0.0
    """PPO: weight of the divergence from the policy that played the batch, as a fraction of the
    payoff range per nat: magnetic mirror descent, whose magnet is the uniform policy.
    """
    symmetry: bool = False
    """PPO: half of the decisions of every gradient step, drawn anew for each, are shown as their
    mirror image, in games that have one.
    """
    game: str = ""
    """PPO: the game whose rewards are learned from, with the seats, actions and observations of the
    run's `game`: the same one with shaped rewards, such as `soccer/duel(body=boxhead,shaped=1)`.
    Payoffs, graph and certificate stay those of `game`, from the episodes of evaluations alone.
    Empty is the run's `game`.
    """
    start: str = ""
    """PPO: the run or folder of a population whose network, of the same shape, goes on
    learning; empty starts with random parameters.
    """
    start_parts: Literal["all", "memory"] = "all"
    """What `start` hands on: `all`, or only encoder and recurrent core (`memory`), under heads that
    start anew; that population may be of another size.
    """
    imitate: str = ""
    """PPO: whom the network imitates before it improves: `RUN` or `RUN#k`, strategy 0 or k of
    another population with the same observations and actions, of the same seat where it has as
    many; or `package.module:function` that makes a `games.Policy`, such as `soccer.bots:Walker`.
    """
    imitation_steps: int = 20
    """Steps of the run that imitate."""
    imitation_std: float = 0.15
    """Standard deviation of the noise with which continuous actions are demonstrated, and of the
    policy that comes of it.
    """
    imitation_learning_rate: float = 1e-3
    """Adam's step size while imitating."""
    teachers: tuple[str, ...] = ()
    """PPO: whom the network is distilled from: `RUN` or `RUN#k`, as in `imitate`, populations
    without a memory. All of them together are imitated first, for `imitation_steps`; then the
    policy is drawn to whoever holds, with a weight of each that falls while the network does better
    than they did, and rises while it does worse. Games of one player.
    """
    teacher_choice: str = ""
    """Which of several teachers holds: `package.module:function` of one observation, in JAX, that
    returns its number in the list, such as `soccer.chained:by_being_down`.
    """
    teacher_rate: float = 0.1
    """By how much the weight of a teacher, 0 to 1, falls with a batch in which the network does
    better than they did by one standard deviation of its advantages.
    """
    discount: float = 1.0
    """PPO: what the return of a seat's next decision counts in that of this one, in (0, 1]."""
    trace: float = 0.95
    """PPO: lambda of generalised advantage estimation, in [0, 1]."""
    critic_weight: float = 0.1
    """Weight of the critic's squared error, with values divided by the payoff range; 0 leaves the
    critic untrained.
    """
    readout_weight: float = 1.0
    """Weight of the cross-entropy of the read-out (`network.readout_sizes`), which has parameters
    of its own; with a memory it shapes the memory too.
    """
