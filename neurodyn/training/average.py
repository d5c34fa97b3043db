"""The running average of the parameters, which is what is validated and kept."""

from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

Tree = TypeVar("Tree")


def running_average(average: Tree, parameters: Tree, step: Int[Array, ""], decay: float) -> Tree:
    """Exponential running average whose first steps forget the random start faster; without one, the parameters.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from neurodyn.training import running_average
    >>> round(float(running_average(jnp.asarray(0.0), jnp.asarray(1.0), jnp.asarray(1000), decay=0.9)), 2)
    0.1
    """
    if not decay:
        return parameters
    count = step.astype(jnp.result_type(float))
    weight = jnp.minimum(decay, (1 + count) / (10 + count))
    return jax.tree.map(lambda a, p: weight * a + (1 - weight) * p, average, parameters)
