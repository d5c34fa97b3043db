"""Layouts from and to YAML, their keys and values checked one by one."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from neurodyn.errors import InputError, unknown_name
from neurodyn.given import read_yaml
from neurodyn.recording.layout import (
    AXES,
    STAMPS,
    TIME_UNITS,
    CountsLayout,
    IntervalsLayout,
    Layout,
    SignalLayout,
    SpikesLayout,
)


def read_layout(path: Path) -> Layout:
    """Layout from a YAML file, its keys those of `Layout` and of what is in it.

    Raises
    ------
    InputError
        If the file cannot be read, or has an unknown key or a value of the wrong kind.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "layout.yaml")
    ...     _ = path.write_text("spikes: data.spikes")
    ...     read_layout(path).spikes
    'data.spikes'
    """
    return layout_of(read_yaml(path, "layout"), f"'{path}'")


def layout_of(loaded: Any, where: str = "the layout") -> Layout:
    """Layout from plain mappings and lists.

    Parameters
    ----------
    loaded
        As YAML gives it.
    where
        What to call it in messages.

    Raises
    ------
    InputError
        If it has an unknown key, or a value of the wrong kind.
    """
    table = dict(_mapping(loaded, where, Layout))
    for key, kind in (("fields", SignalLayout), ("behaviour", SignalLayout), ("intervals", IntervalsLayout)):
        rows = table.get(key, [])
        if not isinstance(rows, list):
            raise InputError(f"'{key}' in {where} must be a list of {'signals' if kind is SignalLayout else 'tables'}")
        table[key] = tuple(_made(kind, row, where) for row in rows)
    if isinstance(table.get("spikes"), Mapping):
        table["spikes"] = _made(SpikesLayout, table["spikes"], where)
    if table.get("counts") is not None:
        counts = table["counts"]
        table["counts"] = _made(CountsLayout, {"variable": counts} if isinstance(counts, str) else counts, where)
    for key, check in _CHECKS[Layout].items():
        if key in table:
            _check(key, table[key], check, where)
    return Layout(**table)


def layout_text(layout: Layout) -> str:
    """YAML of a layout, for `read_layout`; what is as usual is left out.

    Examples
    --------
    >>> from neurodyn.recording import Layout, SpikesLayout, layout_text
    >>> print(layout_text(Layout(spikes=SpikesLayout("times", cluster="unit"))).strip())
    spikes: {variable: times, cluster: unit}
    """
    return yaml.safe_dump(_plain(layout), sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)


def _plain(item: Any) -> Any:
    if isinstance(item, tuple):
        return [_plain(part) for part in item]
    if not hasattr(item, "__dataclass_fields__"):
        return dict(item) if isinstance(item, Mapping) else item
    return {
        field.name: _plain(getattr(item, field.name))
        for field in fields(item)
        if getattr(item, field.name) != field.default and getattr(item, field.name) not in ((), None)
    }


def _made(kind: type, row: Any, where: str) -> Any:
    values = dict(_mapping(row, where, kind))
    for key in (field.name for field in fields(kind) if field.name in _NEEDED[kind]):
        if key not in values:
            what = {SignalLayout: "signal", IntervalsLayout: "table of intervals"}.get(kind, "group of units")
            raise InputError(f"a {what} in {where} has no '{key}': say which variable holds its {_NEEDED[kind][key]}")
    for key, value in values.items():
        _check(key, value, _CHECKS[kind][key], where)
        if isinstance(value, list):
            values[key] = tuple(map(str, value))
    return kind(**values)


def _mapping(value: Any, where: str, kind: type) -> Mapping[str, Any]:
    known = [field.name for field in fields(kind)]
    if not isinstance(value, Mapping):
        raise InputError(f"{where} must hold 'key: value' lines with the keys {', '.join(known)}")
    for key in value:
        if key not in known:
            raise unknown_name(f"key in {where}", str(key), known)
    return value


def _check(key: str, value: Any, check: tuple[Callable[[Any], bool], str], where: str) -> None:
    fits, expected = check
    if not fits(value):
        raise InputError(f"'{key}' in {where} must be {expected}, got {value!r}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _one_of(*known: str) -> tuple[Callable[[Any], bool], str]:
    return lambda value: value in known, f"one of {', '.join(known)}"


_TEXT = (lambda value: isinstance(value, str), "text")
_TRUTH = (lambda value: isinstance(value, bool), "true or false")
_NUMBER = (_is_number, "a number")
_RATE = (lambda value: value is None or isinstance(value, str) or _is_number(value), "a number, or a variable's name")
_NAMES = (lambda value: isinstance(value, str | list), "a list of names, or a variable's name")
_PATHS = (
    lambda value: (
        isinstance(value, str) or (isinstance(value, list) and bool(value) and all(isinstance(v, str) for v in value))
    ),
    "text, or a list of variables",
)
_AXES = (
    lambda value: isinstance(value, str) and (not value or _good_axes(value.split())),
    "names of axes in order, like 'trial time channel' or 'channel time'",
)
_TABLE = (
    lambda value: value is None or (isinstance(value, dict) and all(isinstance(v, str) for v in value.values())),
    "'name: variable' lines",
)


def _good_axes(axes: list[str]) -> bool:
    return len(set(axes)) == len(axes) and set(axes) <= set(AXES) and "time" in axes and len(axes) > 1


_CHECKS: dict[type, dict[str, tuple[Callable[[Any], bool], str]]] = {
    SignalLayout: {
        "variable": _PATHS, "name": _TEXT, "time": _TEXT, "time_unit": _one_of(*TIME_UNITS), "rate": _RATE,
        "start": _NUMBER, "unit": _TEXT, "channels": _NAMES, "channels_first": _TRUTH, "axes": _AXES,
        "binned": _TRUTH, "stamp": _one_of(*STAMPS),
    },
    SpikesLayout: {
        "variable": _TEXT, "name": _TEXT, "cluster": _TEXT, "time_unit": _one_of(*TIME_UNITS), "rate": _RATE,
        "channels": _TEXT, "unsorted": _TRUTH, "support": _TEXT,
    },
    CountsLayout: {
        "variable": _PATHS, "name": _TEXT, "width": _RATE, "time": _TEXT, "time_unit": _one_of("s", "ms", "us"),
        "start": _NUMBER, "stamp": _one_of(*STAMPS), "rates": _TRUTH, "units": _NAMES, "axes": _AXES,
    },
    IntervalsLayout: {
        "name": _TEXT, "starts": _TEXT, "stops": _TEXT, "labels": _TEXT, "columns": _TABLE,
        "time_unit": _one_of("s", "ms", "us"),
    },
    Layout: {
        "spikes": (lambda value: isinstance(value, str | SpikesLayout), "text, or the keys of SpikesLayout"),
        "channels": _TEXT, "unsorted": _TRUTH, "trials": _TEXT, "gap": _NUMBER,
    },
}  # fmt: skip
_NEEDED: dict[type, dict[str, str]] = {
    SignalLayout: {"variable": "values"},
    SpikesLayout: {"variable": "times"},
    CountsLayout: {"variable": "counts"},
    IntervalsLayout: {"name": "name", "starts": "starts", "stops": "stops"},
}
