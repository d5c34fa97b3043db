"""Times in seconds, as every container of a recording checks them."""

import numpy as np
from numpy.typing import ArrayLike

from neurodyn.errors import InputError


def seconds(values: ArrayLike, owner: str) -> np.ndarray:
    """Times as an array in double precision; text, complex numbers and ragged lists are refused."""
    try:
        array = np.asarray(values)
    except ValueError:  # lists of different lengths
        array = np.asarray("ragged")
    # An empty list of nothing is an empty list of times.
    if array.dtype.kind not in "iuf" and array.size:
        raise InputError(f"{owner} needs numbers of seconds as times, got {array.dtype}")
    return array.astype(np.float64, copy=False) if array.size else np.zeros(array.shape)


def check_span(start: float, stop: float) -> None:
    """Refuse a stretch of time that ends before it starts."""
    if not start <= stop:
        raise InputError(f"expected start <= stop in seconds, got {start} and {stop}")
