"""What the JPSRO loop carries from one evaluation to the next; arrays throughout."""

from typing import Any, NamedTuple

import numpy as np

from neupl.types import LearnerState


class KeptEstimates(NamedTuple):
    """How well a population is known that was measured by episodes.

    Attributes:
      gain_errors: `[P]` standard errors of the gains, in game points.
      payoff_errors: `[K, ..., K, P]` standard errors of the payoffs.
      running_payoffs: `[K, ..., K, P]` payoffs as training had them when the population was kept.
      running_errors: their standard errors.
      episodes: from which the payoffs were measured after training; 0 until then.
    """

    gain_errors: np.ndarray
    payoff_errors: np.ndarray
    running_payoffs: np.ndarray
    running_errors: np.ndarray
    episodes: np.ndarray


class JointSnapshot(NamedTuple):
    """A population with the joint that was measured of it.

    Attributes:
      params: of the network.
      sizes: `[P]` strategies of each seat.
      joint: `[K, ..., K]` distribution over profiles.
      judged: whether the joint is that of `jpsro.judge`, not of the meta-solver.
      payoffs: `[K, ..., K, P]`, in game points.
      gains: `[P]` what each seat gains by deviating, signed; infinite before there is any.
      values: `[P]` what each seat earns.
      mixtures: `[P, K, M]` what each strategy was a response to.
      iteration: of the run.
      step: of the run.
      estimated: how well payoffs and gains are known, `KeptEstimates`; empty where they are exact.
    """

    params: Any
    sizes: np.ndarray
    joint: np.ndarray
    judged: np.ndarray
    payoffs: np.ndarray
    gains: np.ndarray
    values: np.ndarray
    mixtures: np.ndarray
    iteration: np.ndarray
    step: np.ndarray
    estimated: Any = ()


class JointState(NamedTuple):
    """Everything that the loop carries.

    Attributes:
      learner: parameters and optimiser.
      frozen: parameters when the iteration began; the co-players play by them.
      sizes: `[P]` strategies of each seat.
      payoffs: `[K, ..., K, P]` of the frozen strategies, in game points.
      joint: `[K, ..., K]` what is responded to in this iteration.
      best: `[P, R]` in runs that see the game tree, else 0: exact value of the best
        response to each mixture, times the probability of the advice that it follows, in game
        points.
      follow: `[P, R]` likewise, value of following the advice, times its probability.
      heard: `[P, R]` probability of the advice; 1 under `cce`.
      slot: `[P]` strategy that the response becomes; -1 while that is open, 0 for none.
      responder: `[P]` which response becomes it.
      novel: whether ties are broken at random in this iteration.
      mixtures: `[P, K, M]` what each strategy was a response to.
      iteration: counted from 1.
      started: step at which it began.
      best_so_far: the population with the least gap so far.
      estimates: what the evaluator carries from one evaluation to the next.
    """

    learner: LearnerState
    frozen: Any
    sizes: np.ndarray
    payoffs: np.ndarray
    joint: np.ndarray
    best: np.ndarray
    follow: np.ndarray
    heard: np.ndarray
    slot: np.ndarray
    responder: np.ndarray
    novel: np.ndarray
    mixtures: np.ndarray
    iteration: np.ndarray
    started: np.ndarray
    best_so_far: JointSnapshot
    estimates: Any = ()
