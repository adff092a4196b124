"""The redundancy audit: copies in an evaluation, and what copies would do to each rating method."""

from evaluation.redundancy.audit import audit
from evaluation.redundancy.clones import clone_stress
from evaluation.redundancy.copy_stress import copy_stress
from evaluation.redundancy.near_copies import measured_noise, near_copies
from evaluation.redundancy.recovery import Recovery, recovery
from evaluation.redundancy.types import (
    BRADLEY_TERRY,
    CCE,
    CCE_FOUND,
    CCE_GROUPED,
    RATERS,
    WIN_RATE,
    Audit,
    CloneEffect,
    CopyClass,
    NearCopies,
    NearPair,
    Rater,
    StressCurve,
    StressPoint,
)

__all__ = [
    "BRADLEY_TERRY",
    "CCE",
    "CCE_FOUND",
    "CCE_GROUPED",
    "RATERS",
    "WIN_RATE",
    "Audit",
    "CloneEffect",
    "CopyClass",
    "NearCopies",
    "NearPair",
    "Rater",
    "Recovery",
    "StressCurve",
    "StressPoint",
    "audit",
    "clone_stress",
    "copy_stress",
    "measured_noise",
    "near_copies",
    "recovery",
]
