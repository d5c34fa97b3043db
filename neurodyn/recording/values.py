"""Values of variables as what they have to be: matrices, vectors, numbers, text; or an error says what they are."""

from math import prod
from typing import Any

import numpy as np

from neurodyn.errors import InputError
from neurodyn.recording.lazy import LazyArray
from neurodyn.recording.paths import Many, shape_of
from neurodyn.recording.support import TimeSupport


def in_memory(value: Any) -> Any:
    """The value, read if it lies in a file."""
    return np.asarray(value) if isinstance(value, LazyArray) else value


def matrix(value: Any, what: str, columns: int | None = None) -> np.ndarray:
    """Matrix of real numbers; an empty one has `columns` columns.

    Raises
    ------
    InputError
        If it is not a matrix of real numbers.
    """
    value = in_memory(value)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf" or value.ndim != 2:
        raise InputError(f"'{what}' must be a matrix of real numbers, samples x channels, it is a {shape_of(value)}")
    # MATLAB keeps no axes of an empty matrix that it was given as [].
    return value.reshape(0, columns or 0) if value.size == 0 and value.shape[0] == 0 else value


def vector(value: Any, what: str) -> np.ndarray:
    """Vector of real numbers from a matrix of one row or column.

    Raises
    ------
    InputError
        If it is not a vector of real numbers.
    """
    value = in_memory(value)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf" or value.size != prod(value.shape[-2:]):
        raise InputError(f"'{what}' must be a vector of real numbers, it is a {shape_of(value)}")
    if value.size and min(value.shape) != 1 and value.ndim > 1:
        raise InputError(f"'{what}' must be a vector, got a matrix of shape {value.shape}")
    return value.ravel() if value.size else np.zeros(0)


def number(value: Any, what: str) -> float:
    """One number.

    Raises
    ------
    InputError
        If it is not one number.
    """
    value = in_memory(value)
    if not isinstance(value, np.ndarray) or value.size != 1 or value.dtype.kind not in "iuf":
        raise InputError(f"'{what}' must be a number: the file is damaged, or of another layout")
    return float(value.item())


def text(value: Any, what: str) -> str:
    """Text; an empty array is empty text.

    Raises
    ------
    InputError
        If it is not a text.
    """
    if isinstance(value, np.ndarray) and value.size == 0:
        return ""
    if not isinstance(value, str):
        raise InputError(f"'{what}' must be text: the file is damaged, or of another layout")
    return value


def cells(value: Any, what: str) -> list[Any]:
    """Elements of a cell array, down its columns.

    Raises
    ------
    InputError
        If it is not a cell array.
    """
    if isinstance(value, np.ndarray) and (value.dtype == object or value.size == 0):
        return list(value.ravel(order="F"))
    raise InputError(f"'{what}' must be a cell array")


def texts(value: Any, what: str) -> tuple[str, ...]:
    """Texts of a cell array or list of them.

    Raises
    ------
    InputError
        If an element is not a text.
    """
    if isinstance(value, str):
        return (value,)
    items = value if isinstance(value, list) else cells(value, what)
    return tuple(text(item, what) for item in items)


def support(value: Any, what: str, per_second: float = 1.0) -> TimeSupport | tuple[TimeSupport, ...] | None:
    """Time support from starts and stops for all units, or a cell array of them per unit; None if there is nothing.

    Parameters
    ----------
    value
        Matrix of (stretches x 2), or cells with one per unit; an empty matrix states nothing.
    what
        What to call it in messages.
    per_second
        Units of the numbers in a second.

    Raises
    ------
    InputError
        If it is neither.
    """
    value = in_memory(value)
    if value is None or (isinstance(value, np.ndarray) and value.size == 0):
        return None
    if isinstance(value, list) or (isinstance(value, np.ndarray) and value.dtype == object):
        rows = value if isinstance(value, list) else cells(value, what)
        return tuple(TimeSupport.of(matrix(row, what, columns=2) / per_second) for row in rows)
    return TimeSupport.of(matrix(value, what) / per_second)


def labels(value: Any, what: str) -> tuple[str, ...]:
    """Labels from texts, without the spaces that fill the rows of a character matrix, or from numbers.

    Raises
    ------
    InputError
        If they are neither.
    """
    if isinstance(value, Many):
        value = list(value.values)
    value = in_memory(value)
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return tuple(f"{entry:g}" for entry in vector(value, what).tolist())
    return tuple(entry.strip() for entry in texts(value, what))
