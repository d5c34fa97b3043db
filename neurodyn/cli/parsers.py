"""How the values of options are written, on the command line and in YAML files."""

import argparse
import math
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from neurodyn.cli.reading import WAYS
from neurodyn.errors import InputError


@runtime_checkable
class Subparsers(Protocol):
    """What a command adds itself to; the class that argparse makes for it has no public name."""

    def add_parser(self, name: str, **settings: Any) -> argparse.ArgumentParser:
        """Add a command and return its parser."""
        ...


_UNITS = {"ms": 1e-3, "s": 1.0}


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
    number = _number(text.removesuffix(unit), f"expected seconds like 0.05 or 50ms, got {value!r}")
    if number < 0:
        raise InputError(f"expected seconds, 0 or more, got {value!r}")
    return number * _UNITS.get(unit, 1.0)


def width(value: Any) -> float:
    """Seconds, more than 0."""
    if (result := seconds(value)) > 0:
        return result
    raise InputError(f"expected more than 0 seconds, got {value!r}")


def bands(value: Any) -> tuple[tuple[float, float], ...]:
    """Bands in Hz from ``"1-4,4-8"`` or a list of pairs; ``"raw"`` is no bands: the signal itself."""
    if isinstance(value, str) and value.strip().lower() == "raw":
        return ()
    message = f"expected bands in Hz like 1-4,4-8 or raw, got {value!r}"
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not parts:
        raise InputError(message)
    pairs = [part.split("-") if isinstance(part, str) else part for part in parts]
    if not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):
        raise InputError(message)
    return tuple((_number(low, message), _number(high, message)) for low, high in pairs)


def interval(value: Any) -> str | tuple[float, float]:
    """Start and stop in seconds from ``"10-600"`` or a pair of numbers, or the name it is."""
    parts = value if isinstance(value, list | tuple) else str(value).split("-")
    try:
        start, stop = (float(part) for part in parts)
    except (TypeError, ValueError):
        if isinstance(value, str) and value.strip():
            return value.strip()
        raise InputError(f"expected the name of an interval or start-stop in seconds, got {value!r}") from None
    if not 0 <= start < stop < math.inf:
        raise InputError(f"expected an interval of seconds with start < stop, got {value!r}")
    return start, stop


def count(value: Any) -> int:
    """Whole number of 1 or more."""
    if (number := _whole(value)) >= 1:
        return number
    raise InputError(f"expected a whole number of 1 or more, got {value!r}")


def text(value: Any) -> str:
    """Text that is not empty."""
    if isinstance(value, str) and value.strip():
        return value
    raise InputError(f"expected text, got {value!r}")


def repeated(value: Any) -> str:
    """Name of what becomes of repeated times."""
    if value in WAYS:
        return value
    raise InputError(f"expected one of {', '.join(WAYS)}, got {value!r}")


LARGEST_SEED = 2**31 - 2**24
"""Seeds are whole numbers of 32 bits, some are counted up from here, and there has to be room for that."""


def seed(value: Any) -> int:
    """Whole number from 0 to about two thousand million."""
    if 0 <= (number := _whole(value)) <= LARGEST_SEED:
        return number
    raise InputError(f"expected a whole number from 0 to {LARGEST_SEED}, got {value!r}")


def argument(parse: Callable[[Any], Any]) -> Callable[[str], Any]:
    """Make a parser's complaint one that argparse prints with the name of the option."""

    def convert(text: str) -> Any:
        try:
            return parse(text)
        except InputError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return convert


def _number(value: Any, message: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise InputError(message) from None
    if not math.isfinite(number):
        raise InputError(message)
    return number


def _whole(value: Any) -> int:
    message = f"expected a whole number, got {value!r}"
    number = _number(None if isinstance(value, bool) else value, message)
    if number != int(number):
        raise InputError(message)
    return int(number)
