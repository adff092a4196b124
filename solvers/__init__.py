"""Solvers: exact values, responses and gaps on trees, meta-solvers, the check against OpenSpiel.

The public names are imported when first used, so that `import solvers` needs neither SciPy nor
OpenSpiel. `solvers.best_response` and `solvers.psro` are modules that hold a function of that name.
"""

import importlib

_MODULE_OF = {
    "BestResponse": "best_response",
    "Certificate": "types",
    "OpenSpielCheck": "open_spiel_check",
    "PSROResult": "psro",
    "Reference": "psro",
    "SolverError": "types",
    "SolverResult": "types",
    "best_reference": "psro",
    "check_mixture": "open_spiel_check",
    "expected_returns": "values",
    "exploitability": "gaps",
    "gains": "gaps",
    "meta_solver": "meta.registry",
    "mix": "sequence_form",
    "nash_conv": "gaps",
    "payoffs": "values",
    "solve_nash": "meta.nash",
}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str):
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'solvers' has no attribute {name!r}")
    return getattr(importlib.import_module(f"solvers.{_MODULE_OF[name]}"), name)
