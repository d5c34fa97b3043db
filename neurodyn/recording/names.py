"""Names of units, channels and intervals: text, and where they tell things apart, each once."""

from collections.abc import Iterable
from pathlib import Path

from neurodyn.errors import InputError


def unique_names(names: Iterable[str], expected: int, owner: str, kind: str) -> tuple[str, ...]:
    """Names as a tuple of text.

    Parameters
    ----------
    names
        Of the units or channels.
    expected
        How many there must be.
    owner, kind
        What they belong to and what they are, for messages.

    Raises
    ------
    InputError
        If there are more or fewer, one is not text, or one stands twice.
    """
    names = texts(names, owner, kind)
    if len(names) != expected:
        raise InputError(f"{owner} has {expected} {kind}s and {len(names)} {kind} names: give one per {kind}")
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InputError(f"{owner} has two {kind}s called '{name}': names must be unique")
        seen.add(name)
    return names


def texts(names: Iterable[str], owner: str, kind: str) -> tuple[str, ...]:
    """Names as a tuple of text, which may repeat.

    Raises
    ------
    InputError
        If one is not text.
    """
    names = tuple(names)
    for name in names:
        if not isinstance(name, str):
            raise InputError(f"{kind} names of {owner} must be text, got {name!r}")
    return tuple(str(name) for name in names)  # NumPy's own kind of text becomes Python's


def file_name(path: Path) -> str:
    """Name of a recording after its file, as text: bytes that are no text in this locale become question marks."""
    return path.stem.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
