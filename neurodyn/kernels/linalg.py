"""Small linear-algebra helpers shared by the kernels."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def symmetrise(matrix: Float[Array, "*batch n n"]) -> Float[Array, "*batch n n"]:
    """Average a matrix with its transpose, so that rounding cannot build up an antisymmetric part."""
    return (matrix + jnp.swapaxes(matrix, -1, -2)) / 2


def congruence(outer: Float[Array, "*batch n m"], inner: Float[Array, "*batch m m"]) -> Float[Array, "*batch n n"]:
    """``outer @ inner @ outer.T``, the covariance of a linear image."""
    return outer @ inner @ jnp.swapaxes(outer, -1, -2)
