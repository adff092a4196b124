"""Learners: how the conditional network improves its strategies."""

from neupl.learners.exact import make_exact_learner
from neupl.learners.mpo import make_mpo_learner
from neupl.learners.ppo import make_ppo_learner

__all__ = ["make_exact_learner", "make_mpo_learner", "make_ppo_learner"]
