"""Solvers: exact values, responses and gaps on trees, meta-solvers, the check against OpenSpiel.

The public names are imported when first used, so that `import solvers` needs no Numba, JAX or
OpenSpiel. `solvers.best_response`, `solvers.jpsro` and `solvers.psro` are modules that hold a
function of that name.
"""

import importlib

_MODULE_OF = {
    "BestResponse": "best_response",
    "Certificate": "types",
    "CorrelatedGains": "correlated_gaps",
    "CorrelatedResult": "meta.correlated",
    "JPSROPoint": "jpsro",
    "JPSROState": "jpsro",
    "OpenSpielCheck": "open_spiel_check",
    "OpenSpielJointCheck": "open_spiel_joint",
    "PSROResult": "psro",
    "Reference": "psro",
    "RegretCCE": "regret_cce",
    "RegretResult": "regret",
    "Rule": "regret_state",
    "SequenceLP": "sequence_lp",
    "SolverError": "types",
    "SolverResult": "types",
    "TreePasses": "tree_jax",
    "best_reference": "psro",
    "cce_by_regret": "regret_cce",
    "cce_gap": "correlated_gaps",
    "ce_gap": "correlated_gaps",
    "check_joint": "open_spiel_joint",
    "check_mixture": "open_spiel_check",
    "coplayer_weights": "best_response",
    "correlated_gains": "correlated_gaps",
    "expected_returns": "values",
    "exploitability": "gaps",
    "gains": "gaps",
    "meta_solver": "meta.registry",
    "mix": "sequence_form",
    "nash_conv": "gaps",
    "payoffs": "values",
    "policy_from_plan": "sequence_form",
    "solve_cfr": "regret",
    "solve_correlated": "meta.correlated",
    "solve_nash": "meta.nash",
    "solve_sequence_lp": "sequence_lp",
}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str):
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'solvers' has no attribute {name!r}")
    return getattr(importlib.import_module(f"solvers.{_MODULE_OF[name]}"), name)
