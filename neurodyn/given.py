"""What a caller may write for a duration, a number or names, the same on the command line, in a file and in a call."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import yaml

from neurodyn.errors import InputError

_UNITS = {"ms": 1e-3, "s": 1.0}
_T = TypeVar("_T")


def names(value: Any) -> tuple[str, ...]:
    """Names from ``"a,b"`` or a list."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
        raise InputError(f"expected names separated by commas, got {value!r}")
    stripped = tuple(part.strip() for part in parts)
    if not stripped or not all(stripped):
        raise InputError(f"expected names separated by commas, got {value!r}")
    return stripped


def seconds(value: Any) -> float:
    """Seconds from a number, ``"0.05"``, ``"50ms"`` or ``"2 s"``; 0 or more."""
    text = str(value).strip().lower()
    unit = next((unit for unit in _UNITS if text.endswith(unit)), "")
    found = number(text.removesuffix(unit), f"expected seconds like 0.05 or 50ms, got {value!r}")
    if found < 0:
        raise InputError(f"expected seconds, 0 or more, got {value!r}")
    return found * _UNITS.get(unit, 1.0)


def width(value: Any) -> float:
    """Seconds, more than 0."""
    if (result := seconds(value)) > 0:
        return result
    raise InputError(f"expected more than 0 seconds, got {value!r}")


def count(value: Any) -> int:
    """Whole number of 1 or more."""
    if (found := whole(value)) >= 1:
        return found
    raise InputError(f"expected a whole number of 1 or more, got {value!r}")


def whole(value: Any) -> int:
    """Whole number, of whatever sign."""
    message = f"expected a whole number, got {value!r}"
    found = number(None if isinstance(value, bool) else value, message)
    if found != int(found):
        raise InputError(message)
    return int(found)


def number(value: Any, message: str) -> float:
    """Finite number, or an error with this message."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        raise InputError(message) from None
    if not math.isfinite(found):
        raise InputError(message)
    return found


def argument_named(name: str, parse: Callable[[Any], _T], value: Any) -> _T:
    """Argument of a function, read by one of the above; the error says which argument it is.

    Examples
    --------
    >>> from neurodyn.given import argument_named, seconds
    >>> argument_named("width", seconds, "50ms")
    0.05
    """
    try:
        return parse(value)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


def read_yaml(path: Path, what: str) -> Any:
    """What a YAML file holds: mappings, lists and plain values, nothing that reading would execute.

    Parameters
    ----------
    path
        Of the file.
    what
        What it is called in the error, as "configuration".

    Raises
    ------
    InputError
        If it cannot be read, or is not YAML.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    # Nested a thousand deep, it is the parser that gives up; a date that there is not is a bad value.
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(f"cannot read the {what} '{path}': {' '.join(cause.split())}") from error
