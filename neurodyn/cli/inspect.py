"""``neurodyn inspect FILE``: what is in a recording, as a table."""

import argparse
import math
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from neurodyn.cli.reading import read
from neurodyn.recording import ItemSummary, describe

# Least width of each column, so that words stay whole in 80 columns; None: never broken.
_COLUMNS = {
    "item": None,
    "kind": None,
    "size": 9,
    "rate (Hz)": 9,
    "time (s)": 8,
    "missing": None,
    "unit": None,
    "what": 10,
}
_WIDTH_OFF_SCREEN = 120


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser("inspect", help="show what is in a recording, as a table")
    parser.add_argument("files", metavar="FILE", nargs="+", type=Path, help="NWB, HDF5 or MATLAB file")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print one table per file; nothing is printed unless every file can be read."""
    recordings = [read(path) for path in arguments.files]
    console = Console()
    if not console.is_terminal:  # a pipe or a file has no width: do not squeeze the table into 80 columns
        console = Console(width=max(console.width, _WIDTH_OFF_SCREEN))
    for recording in recordings:
        console.print(summary_table(recording.name, describe(recording)))
        console.print()
    return 0


def summary_table(name: str, items: list[ItemSummary]) -> Table:
    """Lay a recording's items out as a table.

    Parameters
    ----------
    name
        Title of the table.
    items
        One per row.

    Returns
    -------
    rich.table.Table
        For ``rich.print`` or a console.
    """
    table = Table(title=escape(name), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for column, width in _COLUMNS.items():
        table.add_column(column, min_width=width, no_wrap=width is None, overflow="fold")
    for item in items:
        table.add_row(*(escape(cell) for cell in _cells(item)))
    if not items:
        table.caption = "nothing here that neurodyn reads"
    return table


def _cells(item: ItemSummary) -> tuple[str, ...]:
    missing = "" if item.missing is None else f"{item.missing:.1%}"
    return item.name, item.kind.value, _size(item), _rate(item), _time(item), missing, item.unit, item.notes


def _size(item: ItemSummary) -> str:
    if item.samples is None:
        return f"{item.members:,}"
    if item.rate is None:
        return f"{item.members:,} units, {item.samples:,} spikes"
    return f"{item.samples:,} x {item.members:,}"


def _rate(item: ItemSummary) -> str:
    if item.firing_rates is not None:
        low, _, high = item.firing_rates
        return f"{low:.2g} to {high:.2g}"
    if item.rate is None:
        return ""
    if item.gaps:
        return f"{item.rate:.6g}, {item.gaps:,} gap{'s' * (item.gaps > 1)}"
    return f"{item.rate:.6g}" if item.regular else f"{item.rate:.4g} irregular"


def _time(item: ItemSummary) -> str:
    return "" if math.isnan(item.start) else f"{item.start:.2f} to {item.stop:.2f}"
