"""Eigenvalues and eigenvectors of many matrices at once, and the times and frequencies that they stand for."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from jaxtyping import Complex, Float

from neurodyn.threads import one_blas_thread


def eigen(
    matrices: Float[np.ndarray, "points size size"], *, vectors: bool
) -> tuple[
    Complex[np.ndarray, "points size"],
    Complex[np.ndarray, "points size size"] | None,
    Complex[np.ndarray, "points size size"] | None,
]:
    """Eigenvalues by decreasing length, right eigenvectors as columns and left ones as rows, in double precision.

    LAPACK takes one matrix at a time and leaves Python's lock alone, so the points are shared out to a thread per core.
    """
    if not vectors:
        values = _threaded(np.linalg.eigvals, matrices)[0].astype(np.complex128)
        return np.take_along_axis(values, _order(values), axis=1), None, None
    values, right = (part.astype(np.complex128) for part in _threaded(np.linalg.eig, matrices))
    order = _order(values)
    values, right = np.take_along_axis(values, order, axis=1), np.take_along_axis(right, order[:, None], axis=2)
    return values, right, _threaded(_inverse, right)[0]


def decay_seconds(eigenvalues: Complex[np.ndarray, "..."], dt: float) -> Float[np.ndarray, "..."]:
    """``-dt / log |lambda|``: infinite on the unit circle, 0 for an eigenvalue of 0, negative outside the circle."""
    with np.errstate(divide="ignore"):
        return -dt / np.log(np.abs(eigenvalues))


def frequency_hertz(eigenvalues: Complex[np.ndarray, "..."], dt: float) -> Float[np.ndarray, "..."]:
    """``|arg lambda| / (2 pi dt)``."""
    return np.abs(np.angle(eigenvalues)) / (2 * np.pi * dt)


def _order(values: np.ndarray) -> np.ndarray:
    """By decreasing length; of a conjugate pair the one above the real axis first."""
    return np.lexsort((-np.imag(values), -np.round(np.abs(values), 12)), axis=1)


def _inverse(matrices: np.ndarray) -> np.ndarray:
    """Inverses; NaN where the columns are dependent to within the square root of the precision."""
    found = np.full_like(matrices, np.nan)
    for index, matrix in enumerate(matrices):
        try:
            inverse = np.linalg.inv(matrix)
        except np.linalg.LinAlgError:
            continue
        if np.abs(inverse).max() < 1e8:  # columns have length 1
            found[index] = inverse
    return found


def _threaded(function: Callable[[np.ndarray], Any], matrices: np.ndarray) -> tuple[np.ndarray, ...]:
    """Apply a function of stacked matrices to parts of the stack, side by side.

    With threads of its own, BLAS would have those here wait for each other.
    """
    workers = max(1, min(os.cpu_count() or 1, len(matrices)))
    with one_blas_thread(), ThreadPoolExecutor(workers) as pool:
        parts = list(pool.map(function, np.array_split(matrices, workers)))
    parts = [part if isinstance(part, tuple) else (part,) for part in parts]
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))
