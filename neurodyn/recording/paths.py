"""Find a value in the variables of a file by a path as MATLAB writes it: ``data.lfp``, ``cells{1}{:}.times(:,1)``."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurodyn.errors import InputError, unknown_name
from neurodyn.recording.lazy import LazyArray

LONGEST = 500
"""Most characters of a path."""
_TOKEN = re.compile(r"\.(?P<member>[^.{}()\s]+)|\{(?P<cell>[^{}]*)\}|\((?P<part>[^()]*)\)")
_HEAD = re.compile(r"[^.{}()]+")
_INDEX = re.compile(r"\s*(?:(?P<first>\d+)(?:\s*:\s*(?P<last>\d+))?|(?P<all>:))\s*")


@dataclass(frozen=True)
class Many:
    """Values that a path leads to where it leads to more than one: elements of a cell array, structs of an array.

    Parameters
    ----------
    labels
        Where each of them lies, counted from 1, as ``1/3``.
    values
        What lies there.
    """

    labels: tuple[str, ...]
    values: tuple[Any, ...]


def resolve(variables: Mapping[str, Any], path: str) -> Any:
    """Value at a path.

    Parameters
    ----------
    variables
        By name: arrays, text, object arrays (cells), mappings (structs), lists of mappings (struct arrays).
    path
        Name of a variable, and what follows it.

    Returns
    -------
    The value, or `Many`.

    Raises
    ------
    InputError
        If there is no such variable, member or element, with the nearest that is.
    """
    if path in variables:
        return variables[path]
    head = _HEAD.match(path)
    if head is None or len(path) > LONGEST:
        raise InputError(f"cannot understand the path '{path[:80]}': write it like  data.lfp  or  cells{{1}}(:,2)")
    name = head.group().strip()
    if name not in variables:
        raise unknown_name("variable", name, variables)
    value, place = variables[name], head.end()
    while place < len(path):
        token = _TOKEN.match(path, place)
        if token is None:
            raise InputError(f"cannot understand '{path[place:]}' in the path '{path}'")
        value = _step(value, token, path[:place])
        place = token.end()
    return value


def shape_of(value: Any) -> str:
    """What a value is, in a few words: ``matrix of 600 x 30 (uint8)``, ``array of 20 structs``."""
    if isinstance(value, Many):
        return f"{len(value.values)} values"
    if isinstance(value, Mapping):
        return f"struct with the members {', '.join(value)}" if value else "struct without members"
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        return f"array of {len(value)} structs"
    if isinstance(value, str):
        return "text"
    if isinstance(value, list):
        return f"list of {len(value)} texts"
    if isinstance(value, np.ndarray | LazyArray):
        size = " x ".join(str(length) for length in value.shape)
        return f"cell array of {size}" if value.dtype == object else f"matrix of {size} ({value.dtype})"
    return "something that is not read (an object of a class, a function, or a sparse matrix)"


def _step(value: Any, token: re.Match[str], before: str) -> Any:
    if isinstance(value, Many):
        return _each(value, lambda item, label: _step(item, token, f"{before} [{label}]"))
    if token.group("member") is not None:
        return _member(value, token.group("member"), before)
    if token.group("cell") is not None:
        return _cell(value, token.group("cell"), before)
    return _part(value, token.group("part"), before)


def _each(many: Many, step: Callable[[Any, str], Any]) -> Many:
    """The same for each value; an empty one (a cell that nothing was put in) is left out, many in many make a row."""
    labels, values = [], []
    for label, item in zip(many.labels, many.values, strict=True):
        if item is None or (isinstance(item, np.ndarray | list) and np.size(item) == 0):
            continue
        found = step(item, label)
        if isinstance(found, Many):
            labels += [f"{label}/{inner}" for inner in found.labels]
            values += found.values
        else:
            labels.append(label)
            values.append(found)
    return Many(tuple(labels), tuple(values))


def _member(value: Any, name: str, before: str) -> Any:
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        labels = tuple(str(row + 1) for row in range(len(value)))
        return _each(Many(labels, tuple(value)), lambda item, label: _member(item, name, f"{before}({label})"))
    if not isinstance(value, Mapping):
        raise InputError(f"'{before}' has no member '{name}': it is a {shape_of(value)}")
    if name not in value:
        error = str(unknown_name("member", name, value)).partition(": ")[2]
        raise InputError(f"'{before}' has no member '{name}': {error}")
    return value[name]


def _cell(value: Any, index: str, before: str) -> Any:
    if not (isinstance(value, np.ndarray) and value.dtype == object):
        raise InputError(f"'{before}' is a {shape_of(value)}, no cell array: {{{index}}} asks for an element of one")
    chosen = _chosen(value, index, before)
    if chosen.size == 1 and ":" not in index:
        return chosen.ravel()[0]
    # MATLAB counts down the columns.
    flat = chosen.ravel(order="F")
    return Many(tuple(str(row + 1) for row in range(flat.size)), tuple(flat))


def _part(value: Any, index: str, before: str) -> Any:
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        rows = _chosen(np.arange(len(value))[None], index, before).ravel().tolist()
        return value[rows[0]] if len(rows) == 1 and ":" not in index else [value[row] for row in rows]
    value = np.asarray(value) if isinstance(value, LazyArray) else value
    if not isinstance(value, np.ndarray):
        raise InputError(f"'{before}' is a {shape_of(value)}: ({index}) asks for a part of a matrix")
    return _chosen(value, index, before)


def _chosen(array: np.ndarray, index: str, before: str) -> np.ndarray:
    """Part of an array; the axes stay, one index counts down the columns."""
    parts = index.split(",")
    if len(parts) == 1:
        flat = array.ravel(order="F")
        chosen = flat[_slice(parts[0], flat.size, before)]
        return chosen[None] if array.ndim == 2 and array.shape[0] == 1 else chosen[:, None]
    if len(parts) != array.ndim:
        raise InputError(f"'{before}' has {array.ndim} axes, ({index}) names {len(parts)}")
    return array[tuple(_slice(part, size, before) for part, size in zip(parts, array.shape, strict=True))]


def _slice(text: str, size: int, before: str) -> slice:
    found = _INDEX.fullmatch(text)
    if found is None:
        raise InputError(f"cannot understand the index '{text}' after '{before}': write 2, 1:3 or :")
    if found.group("all"):
        return slice(None)
    first = int(found.group("first"))
    last = int(found.group("last") or first)
    if not 1 <= first <= last <= size:
        raise InputError(
            f"'{before}' has {size} elements there, index {text.strip()} is not among them (counted from 1)"
        )
    return slice(first - 1, last)
