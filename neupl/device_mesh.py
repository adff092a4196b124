"""One program on several devices: lanes and decisions are shared out, parameters are on all.

The compiler does the rest (`jax.sharding`; Xu et al. 2021, GSPMD, arXiv 2105.04663): what is summed
over decisions is summed on every device first. Sums then have another order, and figures differ in
their last digits from those of one device.
"""

from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from neupl.errors import UserError


class DeviceMesh:
    """Devices of this process along which the first axis of arrays is cut into equal parts."""

    def __init__(self, devices: int) -> None:
        """Takes the first `devices` that there are, 0 for all.

        Raises:
          UserError: there are fewer.
        """
        there = jax.local_devices()
        if devices > len(there):
            raise UserError(
                f"learner.devices is {devices}, but JAX sees {len(there)} "
                f"{there[0].platform} device{'s'[: len(there) > 1]} here",
                hint="set learner.devices=0 for all there are; processors of this machine count as "
                "several with XLA_FLAGS=--xla_force_host_platform_device_count=N",
            )
        self.size = devices or len(there)
        mesh = Mesh(np.asarray(there[: self.size]), ("lanes",))
        self._parts = NamedSharding(mesh, PartitionSpec("lanes"))
        self._everywhere = NamedSharding(mesh, PartitionSpec())

    def spread(self, arrays: Any) -> Any:
        """Puts an equal part of the first axis on each device; the identity for one device."""
        return arrays if self.size == 1 else jax.device_put(arrays, self._parts)

    def copied(self, arrays: Any) -> Any:
        """Puts arrays whole on each device, those that are not there yet; the identity for one."""
        return arrays if self.size == 1 else jax.device_put(arrays, self._everywhere)

    def kept_spread(self, arrays: Any) -> Any:
        """Within a compiled program: `spread`, where the first axis divides."""
        if self.size == 1 or len(jax.tree.leaves(arrays)[0]) % self.size:
            return arrays
        return jax.lax.with_sharding_constraint(arrays, self._parts)

    def kept_copied(self, arrays: Any) -> Any:
        """Within a compiled program: `copied`."""
        return (
            arrays if self.size == 1 else jax.lax.with_sharding_constraint(arrays, self._everywhere)
        )
