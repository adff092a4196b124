"""What the JPSRO loop carries from one evaluation to the next; arrays throughout."""

from typing import Any, NamedTuple

import numpy as np

from neupl.types import LearnerState


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


class JointState(NamedTuple):
    """Everything that the loop carries.

    Attributes:
      learner: parameters and optimiser.
      frozen: parameters when the iteration began; the co-players play by them.
      sizes: `[P]` strategies of each seat.
      payoffs: `[K, ..., K, P]` of the frozen strategies, in game points.
      joint: `[K, ..., K]` what is responded to in this iteration.
      best: `[P, R]` exact value of the best response to each mixture, times the probability of the
        advice that it follows, in game points.
      follow: `[P, R]` value of following the advice, times its probability.
      heard: `[P, R]` probability of the advice; 1 under `cce`.
      slot: `[P]` strategy that the response becomes; -1 while that is open, 0 for none.
      responder: `[P]` which response becomes it.
      novel: whether ties are broken at random in this iteration.
      mixtures: `[P, K, M]` what each strategy was a response to.
      iteration: counted from 1.
      started: step at which it began.
      best_so_far: the population with the least gap so far.
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
