"""How the values of options are written, on the command line and in YAML files."""

import argparse
import math
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from neurodyn.binning.features import FEATURES
from neurodyn.cli.reading import WAYS
from neurodyn.errors import InputError, unknown_name
from neurodyn.given import count, integer, names, number, seconds, width

__all__ = [
    "LARGEST_SEED",
    "Subparsers",
    "argument",
    "bands",
    "count",
    "feature",
    "interval",
    "names",
    "repeated",
    "seconds",
    "seed",
    "switch",
    "text",
    "width",
]


@runtime_checkable
class Subparsers(Protocol):
    """What a command adds itself to; the class that argparse makes for it has no public name."""

    def add_parser(self, name: str, **settings: Any) -> argparse.ArgumentParser:
        """Add a command and return its parser."""
        ...


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
    return tuple((number(low, message), number(high, message)) for low, high in pairs)


def feature(value: Any) -> str:
    """Name of a feature of a field."""
    if value in FEATURES:
        return value
    raise unknown_name("feature of a field", str(value), FEATURES)


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


def text(value: Any) -> str:
    """Text that is not empty."""
    if isinstance(value, str) and value.strip():
        return value
    raise InputError(f"expected text, got {value!r}")


def repeated(value: Any) -> str:
    """Name of what is done with repeated times."""
    if value in WAYS:
        return value
    raise InputError(f"expected one of {', '.join(WAYS)}, got {value!r}")


def switch(value: Any) -> bool:
    """``true`` or ``false``, as YAML has them."""
    if isinstance(value, bool):
        return value
    raise InputError(f"expected true or false, got {value!r}")


LARGEST_SEED = 2**31 - 2**24
"""Seeds are whole numbers of 32 bits, some are counted up from here, and there has to be room for that."""


def seed(value: Any) -> int:
    """Whole number from 0 to about two thousand million."""
    if 0 <= (found := integer(value)) <= LARGEST_SEED:
        return found
    raise InputError(f"expected a whole number from 0 to {LARGEST_SEED}, got {value!r}")


def argument(parse: Callable[[Any], Any]) -> Callable[[str], Any]:
    """Make a parser's complaint one that argparse prints with the name of the option."""

    def convert(text: str) -> Any:
        try:
            return parse(text)
        except InputError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return convert
