"""`neupl doctor`: what is installed, which devices there are, what is missing for what."""

import dataclasses
import os
import shutil
from pathlib import Path
from typing import Any, NamedTuple

from neupl.cli.options import OutputOptions
from neupl.cli.output import print_json, print_table

_GIB = 1024**3


class Extra(NamedTuple):
    """An optional part of the installation.

    Attributes:
      purpose: what it is for.
      packages: distributions that must all be present.
    """

    purpose: str
    packages: tuple[str, ...]


EXTRAS = {
    "soccer": Extra(
        "humanoid soccer in MuJoCo, and its bridges",
        ("dm_control", "mujoco", "mujoco-mjx", "pettingzoo"),
    ),
    "ray": Extra("workers on several machines", ("ray",)),
    "cuda": Extra("training on NVIDIA GPUs", ("jax-cuda12-plugin",)),
    "bench": Extra(
        "comparisons with other libraries",
        (
            "clarabel",
            "cvxopt",
            "cvxpy",
            "ecos",
            "evalica",
            "nashpy",
            "networkx",
            "pgx",
            "piqp",
            "polarix",
        ),
    ),
    "psro": Extra("OpenSpiel's PSRO with learned responses, for comparison", ("dm-haiku", "rlax")),
    "film": Extra("replays as MP4", ("imageio-ffmpeg",)),
    "ratings": Extra("reading Parquet", ("pyarrow",)),
    "test": Extra("the test suite", ("beartype", "hypothesis", "pytest", "pytest-xdist", "ruff")),
}

CORE = (
    "chex", "flax", "jax", "jaxtyping", "matplotlib", "numba", "numpy", "open_spiel", "optax",
    "pillow", "pyyaml", "rich", "safetensors", "scipy", "tensorboard", "tyro",
)  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class Doctor(OutputOptions):
    """Shows what is installed, which devices there are, and what is missing for what.

    The exit code is 1 when a package of the core is missing or JAX finds no device.
    """


def run(command: Doctor) -> int:
    """Prints the diagnosis; 1 when the core does not work."""
    found = diagnosis()
    if command.json:
        print_json(found)
    else:
        _print(found)
    return 0 if not found["missing"] and found["devices"] else 1


def diagnosis() -> dict[str, Any]:
    """Everything the command reports, as plain JSON."""
    from games.cache_folder import cache_folder
    from neupl.provenance import usable_cores, versions

    packages = versions(CORE)
    extras = {}
    for name, extra in EXTRAS.items():
        present = versions(extra.packages)
        missing = [package for package in extra.packages if present[package] is None]
        extras[name] = {
            "purpose": extra.purpose,
            "missing": missing,
            "install": f"pip install -c constraints.txt -e '.[{name}]'" if missing else None,
        }
    devices, device_error = _jax_devices()
    total, available = _memory_bytes()
    return {
        "versions": packages,
        "missing": [package for package in CORE if packages[package] is None],
        "devices": devices,
        "device_error": device_error,
        "gpu_without_jax": _has_nvidia_gpu() and all(d.startswith("cpu") for d in devices),
        "extras": extras,
        "cores": usable_cores(),
        "cpu_quota": _cpu_quota(),
        "memory_bytes": total,
        "memory_available_bytes": available,
        "cache": str(cache_folder()),
    }


def _print(found: dict[str, Any]) -> None:
    print_table(
        ((name, version or "MISSING") for name, version in found["versions"].items()),
        header=("package", "version"),
    )
    print()
    rows = [("devices", ", ".join(found["devices"]) or f"none: {found['device_error']}")]
    quota = "" if found["cpu_quota"] is None else f", limited to {found['cpu_quota']:g} of them"
    rows.append(("cores", f"{found['cores']}{quota}"))
    if found["memory_bytes"]:
        free, total = found["memory_available_bytes"] / _GIB, found["memory_bytes"] / _GIB
        rows.append(("memory", f"{free:.1f} GiB free of {total:.1f} GiB"))
    rows.append(("compiled games and programs", found["cache"]))
    print_table(rows)
    print()
    print_table(
        (
            (f"[{name}]", extra["purpose"], extra["install"] or "installed")
            for name, extra in found["extras"].items()
        ),
        header=("extra", "for", "to install"),
    )
    if found["gpu_without_jax"]:
        print("\nThis machine has an NVIDIA GPU that JAX does not see: install the [cuda] extra.")
    if found["missing"]:
        print(f"\nMissing from the core: {', '.join(found['missing'])}")


def _jax_devices() -> tuple[list[str], str | None]:
    try:
        import jax

        return [f"{d.platform}:{d.id} ({d.device_kind})" for d in jax.devices()], None
    except (ImportError, RuntimeError) as error:
        return [], " ".join(str(error).split())


def _has_nvidia_gpu() -> bool:
    return Path("/dev/nvidia0").exists() or shutil.which("nvidia-smi") is not None


def _cpu_quota() -> float | None:
    """Cores' worth of time that the control group grants; `None` without a limit."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return None
    return None if quota == "max" else int(quota) / int(period)


def _memory_bytes() -> tuple[int, int]:
    """Total and available bytes of memory within the control group's limit; zeros if unknown."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
        total, available = sizes["MemTotal"], sizes["MemAvailable"]
    except (OSError, KeyError, ValueError, IndexError):
        try:
            total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        except (ValueError, OSError):
            total = 0
        available = total
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
    except (OSError, ValueError):
        return total, available
    return min(total, limit), min(available, max(limit - used, 0))
