"""Items of work are computed by one thread, whoever does them.

XLA splits a sum over its threads, so that its last bits depend on their number. Nor is anything
lost: a worker more is worth more than a thread more.
"""

import os

# Read by XLA, by OpenMP and by OpenBLAS when they start.
ONE_THREAD = {"NPROC": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


# What a worker gets to see besides: accelerators are for the process that shares its work out, and
# many workers would fight for them.
WORKER = ONE_THREAD | {"JAX_PLATFORMS": "cpu"}


def compute_by_one_thread() -> None:
    """Makes this process compute as workers do, but for its devices; before NumPy and JAX are
    imported.
    """
    os.environ.update(ONE_THREAD)
