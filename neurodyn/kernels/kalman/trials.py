"""Covariances that all trials share, or that each trial has its own of: axes, products and blocks."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

Tree = TypeVar("Tree")

CACHED = 2**17
"""Numbers of a batch of matrices (512 KiB) that are worked on best at once, where each trial has its own."""

SMALLEST_BLOCK = 4
"""Matrices worked on at once, however large they are."""


def apply(matrices: Float[Array, "..."], vectors: Float[Array, "..."]) -> Float[Array, "..."]:
    """Products of each trial's vectors with matrices that trials share or have one each of.

    Parameters
    ----------
    matrices
        ([time,] n, k) if shared; (trial, [time,] n, k) if not.
    vectors
        (trial, [time,] k).

    Examples
    --------
    >>> apply(2 * jnp.eye(2), jnp.ones((3, 2))).shape
    (3, 2)
    """
    if matrices.ndim <= vectors.ndim:
        return jnp.einsum("...ij,b...j->b...i", matrices, vectors)
    return jnp.einsum("b...ij,b...j->b...i", matrices, vectors)


def next_bin(values: Float[Array, "..."], last: Float[Array, "..."], axis: int) -> Float[Array, "..."]:
    """The entry of bin t + 1 at bin t, and ``last`` at the last bin.

    Examples
    --------
    >>> next_bin(jnp.array([1.0, 2.0, 3.0]), jnp.array(9.0), axis=0).tolist()
    [2.0, 3.0, 9.0]
    """
    return jnp.concatenate([lax.slice_in_dim(values, 1, None, axis=axis), jnp.expand_dims(last, axis)], axis=axis)


def time_first(array: Array, without_trials: int) -> Array:
    """Swap trials and time, in which scans run; an array that all trials share has time first already.

    Parameters
    ----------
    array
        (time, ...) if shared, (trial, time, ...) if not.
    without_trials
        Number of axes by which a shared one is recognised.

    Examples
    --------
    >>> time_first(jnp.zeros((3, 5, 2)), 2).shape, time_first(jnp.zeros((5, 2)), 2).shape
    ((5, 3, 2), (5, 2))
    """
    return array if array.ndim == without_trials else jnp.swapaxes(array, 0, 1)


def in_blocks(function: Callable[..., Tree], n: int, *arrays: Any) -> Tree:
    """Apply a function of batches of trials to so few at a time that a bin's matrices stay in the processor's cache.

    Parameters
    ----------
    function
        Takes and returns trees of arrays whose first axis is trials.
    n
        Size of the state: each trial has matrices of n x n.
    arrays
        Arguments of the function. Trials that fill up the last block are zero: nothing in them is observed.

    Examples
    --------
    >>> in_blocks(lambda trials: 2 * trials, 1, jnp.arange(3.0)).tolist()
    [0.0, 2.0, 4.0]
    """
    trials = len(jax.tree.leaves(arrays)[0])
    size = max(SMALLEST_BLOCK, CACHED // n**2)
    if trials <= size:
        return function(*arrays)
    extra = -trials % size

    def fold(array: Array) -> Array:
        return jnp.pad(array, [(0, extra), *[(0, 0)] * (array.ndim - 1)]).reshape(-1, size, *array.shape[1:])

    results = lax.map(lambda block: function(*block), jax.tree.map(fold, arrays))
    return jax.tree.map(lambda array: array.reshape(-1, *array.shape[2:])[:trials], results)


def is_parallel(choice: bool | None) -> bool:
    """Whether recursions run in logarithmic depth: a processor pays for their extra work, an accelerator hides it.

    Examples
    --------
    >>> is_parallel(True)
    True
    """
    return jax.default_backend() != "cpu" if choice is None else choice
