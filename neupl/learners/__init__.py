"""Learners: how the conditional network improves its strategies."""

from neupl.learners.exact import make_exact_learner

__all__ = ["make_exact_learner"]
