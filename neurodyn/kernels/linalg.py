"""Small linear-algebra helpers shared by the kernels."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

BLOCK = 8
"""Triangles up to this size are inverted row by row; larger ones from their blocks."""
LAPACK = 32
"""Matrices up to this size are factored by LAPACK as they are: of 64 it takes five times as long as of 32."""


def symmetrise(matrix: Float[Array, "*batch n n"]) -> Float[Array, "*batch n n"]:
    """Average a matrix with its transpose, so that rounding cannot build up an antisymmetric part."""
    return (matrix + jnp.swapaxes(matrix, -1, -2)) / 2


def congruence(outer: Float[Array, "..."], inner: Float[Array, "*batch m m"]) -> Float[Array, "..."]:
    """``outer @ inner @ outer.T``, the covariance of a linear image; outer is n x m, with or without batch axes."""
    return outer @ inner @ jnp.swapaxes(outer, -1, -2)


def complement(matrix: Float[Array, "*batch n n"]) -> Float[Array, "*batch n n"]:
    """``I - matrix``."""
    return jnp.eye(matrix.shape[-1], dtype=matrix.dtype) - matrix


@jax.custom_vjp
def spectral_norm(matrix: Float[Array, "n m"]) -> Float[Array, ""]:
    """Largest singular value, by squaring the Gram matrix until only its largest eigenvalue is left.

    ``sigma^2 = lim trace((M' M)^p)^(1/p)``, p doubled until the rest is below rounding: a few dozen small products,
    where a singular value decomposition waits for LAPACK. With P the limit of ``(M' M)^p`` over its trace, the
    projection on the singular vector, the derivative is ``M P / sigma``.
    """
    return _norm_forward(matrix)[0]


def _norm_forward(matrix):
    precision = jnp.finfo(matrix.dtype)

    def double(_: Array, state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        power, log, weight = state
        power = power @ power
        scale = jnp.maximum(jnp.trace(power), precision.tiny)
        return power / scale, log + weight * jnp.log(scale), weight / 2

    start = (matrix.T @ matrix, jnp.zeros((), matrix.dtype), jnp.ones((), matrix.dtype))
    scale = jnp.maximum(jnp.trace(start[0]), precision.tiny)
    start = (start[0] / scale, jnp.log(scale), start[2] / 2)
    projection, log, _ = lax.fori_loop(0, precision.nmant + 5, double, start)
    norm = jnp.exp(log / 2)
    return norm, (matrix, projection, norm)


def _norm_backward(saved, norm_bar):
    matrix, projection, norm = saved
    return ((norm_bar / norm) * (matrix @ projection),)


spectral_norm.defvjp(_norm_forward, _norm_backward)


def inverse_cholesky(matrix: Float[Array, "*batch n n"]) -> Float[Array, "*batch n n"]:
    """``L^-1`` of the Cholesky factorisation ``M = L L'``, so that ``M^-1 = L^-T L^-1``.

    Large ones from their blocks: factor the first, ``B = M21 L11^-T``, factor the rest, ``M22 - B B'``.
    """
    size = matrix.shape[-1]
    if size <= LAPACK:
        # The inputs here are symmetric as computed: XLA's own averaging with the transpose is left out.
        return inverse_triangular(lax.linalg.cholesky(matrix, symmetrize_input=False))
    half = size // 2
    first = inverse_cholesky(matrix[..., :half, :half])
    below = matrix[..., half:, :half] @ jnp.swapaxes(first, -1, -2)
    last = inverse_cholesky(matrix[..., half:, half:] - below @ jnp.swapaxes(below, -1, -2))
    return _lower_blocks(first, -(last @ below) @ first, last)


def _lower_blocks(first: Array, below: Array, last: Array) -> Array:
    """``[[first, 0], [below, last]]``."""
    rest = jnp.zeros((*first.shape[:-1], last.shape[-1]), first.dtype)
    above = jnp.concatenate([first, rest], axis=-1)
    return jnp.concatenate([above, jnp.concatenate([below, last], axis=-1)], axis=-2)


def inverse_triangular(lower: Float[Array, "*batch n n"]) -> Float[Array, "*batch n n"]:
    """Inverse of lower-triangular matrices from products of their blocks.

    ``[[A, 0], [B, C]]^-1 = [[A^-1, 0], [-C^-1 B A^-1, C^-1]]``, both diagonal blocks at once. For the sizes that
    matter here this is four times as fast as a triangular solve per matrix.
    """
    size = lower.shape[-1]
    if size <= BLOCK:
        return _invert_rows(lower)
    if size % 2:
        padded = jnp.pad(lower, [(0, 0)] * (lower.ndim - 2) + [(0, 1), (0, 1)])
        return inverse_triangular(padded.at[..., size, size].set(1))[..., :size, :size]
    half = size // 2
    first, last = inverse_triangular(jnp.stack([lower[..., :half, :half], lower[..., half:, half:]]))
    return _lower_blocks(first, -(last @ (lower[..., half:, :half] @ first)), last)


def _invert_rows(lower: Float[Array, "*batch n n"]) -> Float[Array, "*batch n n"]:
    """Forward substitution on the identity: row i of the inverse from the rows before it."""
    size = lower.shape[-1]
    eye = jnp.eye(size, dtype=lower.dtype)
    inverse = jnp.broadcast_to(eye[:1], (*lower.shape[:-2], 1, size)) / lower[..., :1, :1]
    for i in range(1, size):
        known = jnp.sum(lower[..., i, :i, None] * inverse, axis=-2)
        row = (eye[i] - known) / lower[..., i, i, None]
        inverse = jnp.concatenate([inverse, row[..., None, :]], axis=-2)
    return inverse


def masked_mean(values: Float[Array, "*shape"], mask: Bool[Array, "*shape"]) -> Float[Array, ""]:
    """Mean over the entries where the mask is True; zero if there is none."""
    count = jnp.sum(mask.astype(values.dtype))
    total = jnp.sum(jnp.where(mask, values, jnp.zeros_like(values)))
    return total / jnp.maximum(count, jnp.ones_like(count))
