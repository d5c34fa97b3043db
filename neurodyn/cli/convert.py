"""``neurodyn convert IN OUT``: a recording from one format to another, compared after it was written."""

import argparse
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from neurodyn.cli.inspect import summary_table
from neurodyn.cli.reading import read
from neurodyn.errors import InputError, unknown_name
from neurodyn.recording import MatlabLayout, MatlabSignal, describe, write_recording


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser("convert", help="write a recording in another format: .h5, .nwb or .mat")
    parser.add_argument("source", metavar="IN", type=Path, help="NWB, HDF5 or MATLAB file")
    parser.add_argument("target", metavar="OUT", type=Path, help="file to write; its ending names the format")
    parser.add_argument("--skip", metavar="NAME", action="append", default=[], help="item to leave out (repeatable)")
    parser.add_argument("--layout", metavar="FILE", type=Path, help="YAML file: which MATLAB variables hold what")
    parser.add_argument("--force", action="store_true", help="replace a file that is there")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Read, write, compare and print what was written."""
    if arguments.target.exists() and not arguments.force:
        raise InputError(f"'{arguments.target}' is there already: choose another name, or say  --force")
    if arguments.target.resolve() == arguments.source.resolve():
        raise InputError("a recording cannot be converted into its own file: choose another name")
    layout = None if arguments.layout is None else read_layout(arguments.layout)
    recording = read(arguments.source, skip=arguments.skip, layout=layout)
    write_recording(recording, arguments.target)
    console = Console()
    console.print(summary_table(recording.name, describe(recording)))
    console.print(f"\nwritten: {arguments.target}", highlight=False, markup=False, soft_wrap=True)
    return 0


def read_layout(path: Path) -> MatlabLayout:
    """Layout of a MATLAB file from YAML, its keys those of `MatlabLayout` and `MatlabSignal`.

    Raises
    ------
    InputError
        If the file cannot be read, or has an unknown key or a value of the wrong kind.
    """
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"cannot read the layout '{path}': {' '.join(str(error).split())}") from error
    table = dict(_mapping(loaded, path, MatlabLayout))
    for kind in ("fields", "behaviour"):
        rows = table.get(kind, [])
        if not isinstance(rows, list):
            raise InputError(f"'{kind}' in '{path}' must be a list of signals")
        table[kind] = tuple(MatlabSignal(**_signal(row, path)) for row in rows)
    for key, kind in (("spikes", str), ("channels", str), ("unsorted", bool)):
        if not isinstance(table.get(key, kind()), kind):
            raise InputError(f"'{key}' in '{path}' must be {'text' if kind is str else 'true or false'}")
    return MatlabLayout(**table)


def _signal(row: Any, path: Path) -> dict[str, Any]:
    values = dict(_mapping(row, path, MatlabSignal))
    if "variable" not in values:
        raise InputError(f"a signal in '{path}' has no 'variable': say which one holds its values")
    for key in ("variable", "name", "time", "unit"):
        if not isinstance(values.get(key, ""), str):
            raise InputError(f"'{key}' in '{path}' must be text, got {values[key]!r}")
    channels = values.get("channels", ())
    return {**values, "channels": tuple(map(str, channels)) if isinstance(channels, list) else channels}


def _mapping(value: Any, path: Path, kind: type) -> Mapping[str, Any]:
    known = [field.name for field in fields(kind)]
    if not isinstance(value, Mapping):
        raise InputError(f"'{path}' must hold 'key: value' lines with the keys {', '.join(known)}")
    for key in value:
        if key not in known:
            raise unknown_name(f"key in '{path}'", str(key), known)
    return value
