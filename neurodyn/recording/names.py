"""Names of units, channels and intervals, each once where they tell things apart, and columns of what else is known."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from neurodyn.errors import InputError, unknown_name


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


def places_of(chosen: Iterable[str], names: Sequence[str], kind: str) -> tuple[tuple[str, ...], list[int]]:
    """Chosen names as a tuple, and where each stands among all.

    Raises
    ------
    InputError
        If one is not there.
    """
    place, chosen = {name: index for index, name in enumerate(names)}, tuple(chosen)
    for name in chosen:
        if name not in place:
            raise unknown_name(kind, name, names)
    return chosen, [place[name] for name in chosen]


def columns(given: Mapping[str, ArrayLike], rows: int, owner: str, what: str, row: str) -> dict[str, np.ndarray]:
    """What else is known of each unit or interval, as arrays.

    Parameters
    ----------
    given
        One array over units or intervals per name.
    rows
        How many units or intervals there are.
    owner, what, row
        What they belong to, what one column and what one of its rows is called, for messages.

    Raises
    ------
    InputError
        If an array does not have one value for each of them.
    """
    arrays = {name: np.asarray(values) for name, values in given.items()}
    for name, values in arrays.items():
        if values.shape != (rows,):
            raise InputError(
                f"{what} '{name}' of {owner} has {values.size} values for {rows} {row}s: give one per {row}"
            )
    return arrays


def file_name(path: Path) -> str:
    """Name of a recording after its file, as text: bytes that are not a text in this locale become question marks."""
    return path.stem.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
