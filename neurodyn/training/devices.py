"""Several devices on one step: each takes its share of the trials, the parameters are the same on all of them.

Where several runs are trained together, each device takes its share of the runs instead.

XLA splits the compiled step by where its inputs lie, so that a model needs no line of code for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

Tree = TypeVar("Tree")


@dataclass(frozen=True)
class Placement:
    """Where arrays of a training run lie: on the default device, or on the devices of a mesh.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from neurodyn.training import Placement
    >>> Placement().split(jnp.ones((4, 8)), axis=1).shape
    (4, 8)
    """

    mesh: Mesh | None = None

    @classmethod
    def for_trials(cls, trials: int, devices: Sequence[Any] | None = None) -> "Placement":
        """All devices that can take equal shares of so many trials; one device if none can.

        Parameters
        ----------
        trials
            In each step.
        devices
            To choose from; all of the default backend if None.
        """
        found = jax.devices() if devices is None else list(devices)
        return cls(Mesh(np.array(found), ("trial",))) if len(found) > 1 and trials % len(found) == 0 else cls()

    def everywhere(self, tree: Tree) -> Tree:
        """A whole copy of every array on every device."""
        return tree if self.mesh is None else jax.device_put(tree, NamedSharding(self.mesh, PartitionSpec()))

    def split(self, array: jax.Array, axis: int) -> jax.Array:
        """An array of which each device has a part along an axis."""
        if self.mesh is None:
            return array
        return jax.device_put(array, NamedSharding(self.mesh, PartitionSpec(*[None] * axis, "trial")))
