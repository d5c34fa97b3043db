"""Read a recording for a command: any format, and what looks wrong in it said in a line each."""

import argparse
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from neurodyn.display import either
from neurodyn.errors import InputError
from neurodyn.recording import (
    ImplausibleWarning,
    Layout,
    Recording,
    Repeated,
    doubts,
    read_layout,
    read_recording,
    with_support,
)
from neurodyn.recording.files import format_names

WAYS = tuple(way.value for way in Repeated)


def file_help() -> str:
    """Which files and folders are read, for the help of every command that reads one.

    Examples
    --------
    >>> file_help()
    'NWB, HDF5, recorded session, MATLAB 5 or 7.3, XDF, NumPy or CSV file, or a folder of Kilosort or phy'
    """
    return f"{either(format_names())} file, or a folder of {either(format_names(folders=True))}"


def add_reading_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how a file is read; every command that reads one has them."""
    parser.add_argument("--layout", metavar="FILE", help="YAML file: which variables hold what")
    parser.add_argument(
        "--skip", metavar="NAME", action="append", help="item to leave out; 'trials[17]' is a row (repeatable)"
    )
    parser.add_argument(
        "--repeated", choices=WAYS, help="what becomes of samples that repeat a time: mean, first of them, or drop all"
    )
    parser.add_argument(
        "--support", metavar="NAME", help="intervals (a table or a label) outside of which no unit was recorded"
    )


def read(
    path: Path,
    *,
    skip: Iterable[str] | None = (),
    layout: Layout | Path | str | None = None,
    repeated: str | None = None,
    support: str | None = None,
    strict: bool = False,
) -> Recording:
    """Read a recording and print each doubt about it on standard error.

    Parameters
    ----------
    path, skip, repeated
        As in `read_recording`.
    layout
        The layout, or its file.
    support
        Table of intervals, or label in one, outside of which no unit was recorded (`with_support`).
    strict
        Whether one item that cannot be used is an error; else only asking for it is one.

    Raises
    ------
    InputError
        If it cannot be read, or has no such intervals or no spikes to which they apply.
    """
    if isinstance(layout, str | Path):
        layout = read_layout(Path(layout))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ImplausibleWarning)
        recording = read_recording(path, skip=skip or (), layout=layout, repeated=repeated, strict=strict)
    before = doubts(recording) if support is not None else []
    if support is not None:
        recording = _supported(recording, support)
    after = doubts(recording) if support is not None else []
    for warning in caught:
        if not issubclass(warning.category, ImplausibleWarning):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
        elif not any(str(warning.message).endswith(doubt) for doubt in before if doubt not in after):
            print(f"neurodyn: warning: {warning.message}", file=sys.stderr)
    for doubt in after:
        if doubt not in before:
            print(f"neurodyn: warning: recording '{recording.name}': {doubt}", file=sys.stderr)
    return recording


def _supported(recording: Recording, name: str) -> Recording:
    if not recording.spikes:
        raise InputError(f"--support says when units were recorded, and recording '{recording.name}' has no spikes")
    return with_support(recording, name)


def read_given(path: Path, arguments: Any, *, strict: bool = False) -> Recording:
    """Read a recording as the options of `add_reading_options` say, from the command line or from a configuration."""
    return read(
        path,
        skip=arguments.skip,
        layout=arguments.layout,
        repeated=arguments.repeated,
        support=arguments.support,
        strict=strict,
    )
