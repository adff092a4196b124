"""How a population grows by responses to a joint: the section `jpsro` of a run's configuration."""

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class JPSROConfig:
    """Runs of `graph.kind=jpsro`: strategies grow by responses to a joint meta-strategy."""

    concept: Literal["cce", "ce"] = "cce"
    """Which deviations are responded to: `cce`: one before the draw, a response per seat; `ce`: one
    after each recommendation, of which the response that gains most joins.
    """
    form: Literal["distil", "direct"] = "distil"
    """How a response becomes a strategy of the conditional network: `distil`: the response head
    teaches an embedding; `direct`: it is trained as a row of its own, conditioned on index and
    mixture, and that row is the strategy. A network per strategy (`network.kind`) has nothing to
    distil either.
    """
    coplayers: Literal["joint", "product"] = "joint"
    """What responses respond to: the `joint`, correlated as it is, or the `product` of its
    marginals, as methods for two players do; for more of them that is another object.
    """
    judge: str = "mwcce"
    """Meta-solver of a second joint that is measured after every iteration; of the two the
    better one is kept, and named. `none`: the meta-strategy alone.
    """
    tolerance: float = 5e-4
    """Gaps below this share of the payoff range are none: of such joints the one of greatest
    welfare is kept, and responses look for something new (`novelty`). 0.002 where
    `learner.kind` is `ppo`.
    """
    fit: float = 3e-4
    """An iteration is over when its responses diverge by no more than this from the regularised
    greedy policy of their own action values, and the new strategies from the responses, in nats at
    an information state. For responses from episodes `shortfall` says when.
    """
    shortfall: float = 0.1
    """PPO: an iteration may end when neither responses nor the new strategies miss more than this
    share of what an exact best response would gain, or more than `tolerance`. With sampled payoffs:
    when the new strategies are shown to miss no more of what the responses gain; that these have
    learned enough, `evaluation.window` says.
    """
    drift: float = 1e-3
    """Largest change of a payoff between earlier strategies, as a share of the payoff range, with
    which an iteration may end; they are rehearsed until then. With sampled payoffs, the largest
    that is more than noise. 0.005 where `learner.kind` is `ppo`.
    """
    repeat: float = 0.02
    """A response is a repeat of a strategy when no sequence of its own actions differs by more in
    probability; it then refines that strategy instead of becoming a new one. With sampled payoffs
    sequences are compared that episodes came by.
    """
    ties: Literal["even", "lowest"] = "even"
    """What responses do where nothing tells actions apart, also where the co-players never let the
    seat arrive: all of them with the same probability, or the one of lowest number.
    """
    novelty: Literal["equilibrium", "always", "never"] = "equilibrium"
    """When responses break ties at random instead: in `equilibrium` (no seat gains, or the last
    iteration brought nothing new), where they also respond to the joint of `judge`; `always`;
    `never`.
    """
    magnet: float = 5.0
    """How strongly responses are drawn to the lowest actions (logit between neighbours), or to
    those of a random policy (standard deviation of its logits). Logits count in temperatures: where
    `ties` is `lowest` and there are many actions, the last of them must be worth `magnet` times
    their number times the temperature more than the first.
    """
    break_ties: float = 0.0
    """PPO: what strategies are taught is the response times the policy that breaks ties to this
    power. Responses from episodes hardly feel it where actions are worth the same, and stay mixed.
    """
    rehearsed: int = 8
    """Earlier strategies per seat that a gradient step rehearses; they stand for all."""
    hold_weight: float = 1.0
    """Weight of each earlier strategy beside the new one; 0 lets them drift."""
    off_path: float = 0.5
    """Exact: share of a strategy's weight, where it is taught and held, that is spread evenly over
    all information states of its seat; the rest goes by how its own play leads there, which is what
    payoffs depend on.
    """
