r"""Long sums in single precision that lose nothing: with what rounding took away carried along.

A running sum in float32 stands still once it is 2^24 times what is added, and is off by percents long before. With
the sum s and the correction c, one step adds x as

1. ``t = s + x``, which loses ``e = (s - t) + x`` if ``|s| >= |x|``, else ``e = (x - t) + s``: exactly;
2. ``c + e`` is passed on into the sum, ``s = t + (c + e)``, and what does not fit in stays: ``c = (c + e) - (s - t)``.

The correction stays below one rounding error of the sum, however many terms there are. Without step 2 it would grow
where every step is rounded the same way, as it is when all terms are alike.

References: Neumaier (1974), Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen, ZAMM 54;
Dekker (1971), A floating-point technique for extending the available precision, Numerische Mathematik 18.
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
    correction = running.correction + lost
    whole = total + correction
    left = correction - (whole - total)
    # A sum that is infinite is infinite: the difference of two infinities is not a correction.
    finite = jnp.isfinite(total)
    return Sum(jnp.where(finite, whole, total), jnp.where(finite, left, jnp.zeros_like(left)))


def along_first(terms: Float[Array, "n *shape"]) -> Float[Array, "*shape"]:
    """Sum along the first axis."""
    return lax.scan(lambda running, term: (add(running, term), None), nothing(terms[0]), terms)[0].value()
