"""Populations of strategies in one conditional network, trained by game-theoretic mixtures."""

__version__ = "0.1.0"
