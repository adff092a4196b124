"""Where the payoffs of a run come from, and what such a run is called wherever it is shown."""

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from neupl.config import Config

PayoffSource = Literal["exact", "sampled", "learned"]


def payoff_source(learner: str, payoffs: str) -> PayoffSource:
    """What `evaluation.payoffs` stands for.

    Args:
      learner: `learner.kind`.
      payoffs: `evaluation.payoffs`.
    """
    if payoffs == "auto":
        return "exact" if learner == "exact" else "sampled"
    return payoffs


def joint_payoff_source(payoffs: str) -> PayoffSource:
    """What `evaluation.payoffs` stands for with `graph.kind=jpsro`, whoever learns."""
    return "exact" if payoffs == "auto" else payoffs


def method_name(learner: str, payoffs: str, responses: int = 0) -> str:
    """How a population was trained, in words; see `payoff_source` for the first arguments.

    Runs that play, but take payoffs, gate, meta-strategy and selection from a game tree, are called
    exact-gated: they cannot be compared with runs that never see one.

    Args:
      learner: `learner.kind`.
      payoffs: `evaluation.payoffs`.
      responses: `evaluation.responses`.
    """
    if learner == "exact":
        return "exact learner"
    gated = {"exact": ", exact-gated", "sampled": "", "learned": ", payoffs learned"}
    chosen = ", mixture chosen against trained responses" if responses else ""
    return f"{learner.upper()} on episodes{gated[payoff_source(learner, payoffs)]}{chosen}"


def method_of(config: "Config") -> str:
    """The same of a configuration of rows of the opponent, not of a joint."""
    evaluation = config.evaluation
    return method_name(config.learner.kind, evaluation.payoffs, evaluation.responses)
