"""Bins worked on a few at a time, where all of them at once would take several times the recording's memory."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

MANY = 2**24
"""Numbers from which a layer is worked on in pieces (64 MiB)."""
PIECE = 2**21
"""Numbers that are worked on at once then (8 MiB)."""


def in_pieces(function: Callable[..., Any], arrays: tuple[Array, ...], numbers: int) -> Any:
    """What a function says of each piece of some bins, one after the other: pieces first.

    What happens within a piece is done once more for the derivative, and not kept.

    Parameters
    ----------
    function
        Of the bins of a piece, one array for each of ``arrays``: (bins, ...).
    arrays
        (trial, time, ...) each.
    numbers
        That it works on for each bin.
    """
    trials, time = arrays[0].shape[:2]
    bins = trials * time
    size = _size(bins, max(1, PIECE // numbers))
    pieces = -(-bins // size)

    def laid(array: Array) -> Array:
        flat = array.reshape(bins, *array.shape[2:])
        flat = jnp.pad(flat, [(0, pieces * size - bins), *[(0, 0)] * (flat.ndim - 1)]) if bins % size else flat
        return flat.reshape(pieces, size, *flat.shape[1:])

    return jax.lax.map(jax.checkpoint(lambda piece: function(*piece)), tuple(map(laid, arrays)))


def _size(bins: int, most: int) -> int:
    """Bins of a piece: such that all are full where that is possible, for what is filled up is copied."""
    if bins <= most:
        return bins
    return next((size for size in range(most, most // 4, -1) if bins % size == 0), most)


def as_bins(pieces: Array, trials: int, time: int) -> Array:
    """What :func:`in_pieces` found of each bin, as (trial, time, ...) again."""
    flat = pieces.reshape(-1, *pieces.shape[2:])
    return flat[: trials * time].reshape(trials, time, *flat.shape[1:])
