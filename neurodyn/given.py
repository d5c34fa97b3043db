"""Parsers of arguments: durations, numbers and names, the same on the command line, in files and in calls."""

import math
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
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
    """Parse an integer of 1 or more."""
    if (found := integer(value)) >= 1:
        return found
    raise InputError(f"expected a whole number of 1 or more, got {value!r}")


def count_or_none(value: Any) -> int:
    """Parse an integer of 0 or more."""
    if (found := integer(value)) < 0:
        raise InputError(f"expected a whole number of 0 or more, got {value!r}")
    return found


def number_or_none(value: Any) -> float:
    """Parse a finite number of 0 or more."""
    message = f"expected a number of 0 or more, got {value!r}"
    if (found := number(value, message)) < 0:
        raise InputError(message)
    return found


def integer(value: Any) -> int:
    """Parse an integer of any sign."""
    message = f"expected a whole number, got {value!r}"
    found = number(None if isinstance(value, bool) else value, message)
    if found != int(found):
        raise InputError(message)
    return int(found)


def number(value: Any, message: str) -> float:
    """Parse a finite number; raise InputError with this message otherwise."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        raise InputError(message) from None
    if not math.isfinite(found):
        raise InputError(message)
    return found


def parse_sequence(values: Any, parse: Callable[[Any], _T], message: str) -> tuple[_T, ...]:
    """Parse every entry of a sequence of at least one; raise InputError with this message if that fails."""
    try:
        found = tuple(parse(value) for value in values)
    except (InputError, TypeError):
        found = ()
    if not found:
        raise InputError(message)
    return found


def positive_integers(value: Any) -> tuple[int, ...]:
    """Whole numbers of 1 or more, such as the widths of layers: ``64``, ``"64,32"`` or a list; () for none."""
    return tuple(count(part) for part in _parts(value))


def durations(value: Any) -> tuple[float, ...]:
    """Seconds, each a number or text like ``"100ms"``: one, ``"100ms,10s"`` or a list; () for none.

    A number that cannot be a duration is left to whoever knows what it is for.
    """
    return tuple(duration(part) for part in _parts(value))


def duration(value: Any) -> float:
    """Seconds from a number, which is taken as it is, or from text like ``"50ms"``."""
    return (
        seconds(value) if isinstance(value, str) else real(value, f"expected seconds like 0.05 or 50ms, got {value!r}")
    )


def real(value: Any, message: str) -> float:
    """Number as it is, or read from text, or an error with this message; True and False are not taken for numbers."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    return number(None if isinstance(value, bool) else value, message)


def any_number(value: Any) -> float:
    """Number as it is, or read from text."""
    return real(value, f"expected a number, got {value!r}")


def boolean(value: Any) -> bool:
    """True or False: text is not taken, for every text is true."""
    if isinstance(value, bool | np.bool_) or (isinstance(value, int) and value in (0, 1)):
        return bool(value)
    raise InputError(f"expected True or False, got {value!r}")


def file_path(value: Any) -> Path:
    """Path of a file or folder from text or a path."""
    if isinstance(value, str | os.PathLike):
        return Path(os.fspath(value))
    raise InputError(f"expected the path of a file or folder, got a {type(value).__name__}")


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, str):
        return value.split(",")
    return value if isinstance(value, Iterable) else (value,)


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


def keep_read(owner: object, parse: Callable[[Any], Any], names: Iterable[str]) -> None:
    """Keep fields of a frozen dataclass as one of the above reads them, from its ``__post_init__``.

    Parameters
    ----------
    owner
        The object.
    parse
        Reads a value.
    names
        Of the fields.

    Raises
    ------
    InputError
        If one cannot be read; the message names it.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Sizes:
    ...     hidden: int
    ...     def __post_init__(self):
    ...         keep_read(self, count, ["hidden"])
    >>> Sizes("8").hidden
    8
    """
    for name in names:
        given = getattr(owner, name)
        value = argument_named(name, parse, given)
        if type(value) is not type(given) or value != given:  # else the very object stays: scikit-learn asks for it
            object.__setattr__(owner, name, value)


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
