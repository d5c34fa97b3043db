r"""Long sums in single precision that lose nothing: with what rounding took away carried along.

A running sum in float32 stands still once it is 2^24 times what is added, and is off by percents long before. With
the sum s and the correction c, one step adds x as

1. ``t = s + x``;
2. ``c + ((s - t) + x)`` if ``|s| >= |x|``, else ``c + ((x - t) + s)``: what step 1 has rounded away, exactly;

and ``s + c`` is the sum to a rounding error of its own, however many terms there are.

Reference: Neumaier (1974), Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen, ZAMM 54.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float


class Sum(NamedTuple):
    """A running sum, elementwise, and what rounding has taken from it."""

    total: Float[Array, "*shape"]
    correction: Float[Array, "*shape"]

    def value(self) -> Float[Array, "*shape"]:
        """The sum, rounded once."""
        return self.total + self.correction


def nothing(like: Float[Array, "*shape"]) -> Sum:
    """The sum of no terms."""
    return Sum(jnp.zeros_like(like), jnp.zeros_like(like))


def add(running: Sum, term: Float[Array, "*shape"]) -> Sum:
    """One more term."""
    total = running.total + term
    larger = jnp.abs(running.total) >= jnp.abs(term)
    lost = jnp.where(larger, (running.total - total) + term, (term - total) + running.total)
    # A sum that is infinite is infinite: the difference of two infinities is no correction.
    return Sum(total, running.correction + jnp.where(jnp.isfinite(total), lost, jnp.zeros_like(lost)))


def along_first(terms: Float[Array, "n *shape"]) -> Float[Array, "*shape"]:
    """Sum along the first axis."""
    return lax.scan(lambda running, term: (add(running, term), None), nothing(terms[0]), terms)[0].value()
