"""Populations of strategies in one conditional network, trained by game-theoretic mixtures.

The public names are imported when first used, so that `neupl --help` needs neither JAX nor
OpenSpiel.
"""

import importlib

__version__ = "0.1.0"

_MODULE_OF = {
    "Population": "population",
    "TabularPopulation": "tabular_population",
    "load_population": "stored_population",
    "load_policy": "stored_population",
    "Config": "config",
    "load_config": "config_io",
    "verify_population": "verification",
}

__all__ = ["__version__", *sorted(_MODULE_OF)]


def __getattr__(name: str):
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'neupl' has no attribute {name!r}")
    return getattr(importlib.import_module(f"neupl.{_MODULE_OF[name]}"), name)
