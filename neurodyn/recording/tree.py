"""What variables a file holds, as a tree: for files whose format says nothing about what is what."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurodyn.recording.lazy import LazyArray
from neurodyn.recording.paths import Many

MOST_ROWS = 300
_DEEPEST = 6
_LOOKED_AT = 200_000
"""Values of an array that are looked at to say what is in it."""
_TEXT = 40


@dataclass(frozen=True)
class Leaf:
    """One variable, member or element.

    Parameters
    ----------
    path
        As a layout writes it.
    value
        What lies there; `Many` for a member of a struct array.
    """

    path: str
    value: Any


@dataclass(frozen=True)
class TreeRow:
    """One line of the tree.

    Parameters
    ----------
    path
        As a layout writes it.
    depth
        Containers around it.
    size
        Shape, like ``600 x 30``, or how many there are.
    kind
        Class: ``double``, ``uint8``, ``cell``, ``struct``, ``text``.
    notes
        What is in it, in short.
    """

    path: str
    depth: int
    size: str
    kind: str
    notes: str = ""


def tree_rows(variables: Mapping[str, Any]) -> list[TreeRow]:
    """Lines of the tree, at most `MOST_ROWS`; of cells and struct arrays the first element stands for all."""
    rows: list[TreeRow] = []
    for name, value in variables.items():
        for row in _rows(name, value, 0):
            if len(rows) == MOST_ROWS:
                rows.append(TreeRow("...", 0, "", "", "and more"))
                return rows
            rows.append(row)
    return rows


def leaves(variables: Mapping[str, Any]) -> list[Leaf]:
    """Everything that is not a struct, with the path that leads to it."""
    found: list[Leaf] = []
    for name, value in variables.items():
        for leaf in _leaves(name, value, 0):
            if len(found) >= 10 * MOST_ROWS:
                return found
            found.append(leaf)
    return found


def _rows(path: str, value: Any, depth: int) -> Iterator[TreeRow]:
    yield TreeRow(path, depth, _size(value), _kind(value), _notes(value))
    if depth >= _DEEPEST:
        return
    if isinstance(value, Mapping):
        for name, member in value.items():
            yield from _rows(f"{path}.{name}", member, depth + 1)
    elif _is_struct_array(value):
        for name, member in value[0].items():
            yield from _rows(f"{path}.{name}", member, depth + 1)
    elif isinstance(value, np.ndarray) and value.dtype == object and value.size:
        first = next((row for row, item in enumerate(value.ravel(order="F")) if np.size(item)), 0)
        yield from _rows(f"{path}{{{first + 1}}}", value.ravel(order="F")[first], depth + 1)


def _leaves(path: str, value: Any, depth: int) -> Iterator[Leaf]:
    if depth > _DEEPEST:
        return
    if isinstance(value, Mapping):
        for name, member in value.items():
            yield from _leaves(f"{path}.{name}", member, depth + 1)
    elif _is_struct_array(value):
        labels = tuple(str(row + 1) for row in range(len(value)))
        for name in value[0]:
            yield Leaf(f"{path}.{name}", Many(labels, tuple(row.get(name) for row in value)))
    else:
        yield Leaf(path, value)


def _is_struct_array(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], Mapping)


def _size(value: Any) -> str:
    if isinstance(value, np.ndarray | LazyArray):
        return " x ".join(f"{length:,}" for length in value.shape)
    if isinstance(value, Mapping):
        return "1"
    return f"{len(value):,}" if isinstance(value, list) else ""


def _kind(value: Any) -> str:
    if isinstance(value, Mapping) or _is_struct_array(value):
        return "struct"
    if isinstance(value, np.ndarray | LazyArray):
        names = {"float64": "double", "float32": "single", "object": "cell", "bool": "logical"}
        return names.get(str(value.dtype), str(value.dtype))
    return "text" if isinstance(value, str | list) else "not read"


def _notes(value: Any) -> str:
    if isinstance(value, str):
        return f"'{value[:_TEXT]}'" + ("..." if len(value) > _TEXT else "")
    if _is_struct_array(value):
        return "an element per trial? its members follow, of the first"
    if isinstance(value, list):
        return ", ".join(text.strip()[:_TEXT] for text in value[:3]) + (", ..." if len(value) > 3 else "")
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf" or not value.size:
        return ""
    if value.size == 1:
        return f"{value.item():g}"
    some = value.ravel()[:_LOOKED_AT].astype(np.float64)
    known = some[np.isfinite(some)]
    if not known.size:
        return "all missing"
    missing = ", some missing" if known.size < some.size else ""
    whole = "whole numbers, " if value.dtype.kind == "f" and (known == np.round(known)).all() else ""
    order = ""
    if min(value.shape) == 1 and known.size > 1:
        steps = np.diff(known)
        regular = (steps > 0).all() and np.ptp(steps) < 0.01 * np.median(steps)
        order = f", in steps of {np.median(steps):.4g}" if regular else ", increasing" if (steps >= 0).all() else ""
    return f"{whole}{known.min():.4g} to {known.max():.4g}{order}{missing}"
