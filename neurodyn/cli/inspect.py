"""``neurodyn inspect FILE``: what is in a recording, as a table."""

import argparse
import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from neurodyn.cli import COMMANDS
from neurodyn.cli.parsers import Subparsers
from neurodyn.cli.reading import add_reading_options, file_help, read, read_given
from neurodyn.cli.tables import Column, fitted, screen
from neurodyn.errors import InputError
from neurodyn.recording import ItemSummary, Layout, Recording, describe, layout_text, read_variables
from neurodyn.recording.propose import counts_without_width, propose_layout
from neurodyn.recording.tree import TreeRow, tree_rows
from neurodyn.writing import write_text

_COLUMNS = (
    Column("item", least=8, middle=True),
    Column("kind", whole=True),
    Column("size"),
    Column("rate (Hz)"),
    Column("time (s)"),
    Column("missing", whole=True),
    Column("unit", least=6, middle=True),
    Column("what", least=10),
)
_TREE = (
    Column("variable", least=20, middle=True),
    Column("size"),
    Column("class", whole=True),
    Column("what", least=20),
)


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser("inspect", help=COMMANDS["inspect"])
    parser.add_argument("files", metavar="FILE", nargs="+", type=Path, help=file_help())
    add_reading_options(parser)
    parser.add_argument("--json", action="store_true", help="print everything as JSON instead, nothing shortened")
    parser.add_argument(
        "--save-layout", metavar="FILE", type=Path, help="write the layout that is proposed to this file, to be edited"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print one table per file; nothing is printed unless every file can be read."""
    if arguments.save_layout is not None and len(arguments.files) != 1:
        raise InputError("--save-layout needs exactly one file")
    found = [_look(path, arguments) for path in arguments.files]
    if arguments.save_layout is not None:
        _save_layout(found[0], arguments.save_layout)
    if arguments.json:
        print(json.dumps([look.to_json() for look in found], indent=2, allow_nan=False, ensure_ascii=True))
        return 0
    console = screen()
    for look in found:
        look.print(console)
        console.print()
    return 0


class _Look:
    """What there is to say of a file: its recording, or its variables and a layout that is proposed."""

    def __init__(
        self,
        path: Path,
        recording: Recording | None,
        tree: list[TreeRow] | None = None,
        layout: Layout | None = None,
        counts: str | None = None,
    ) -> None:
        self.path, self.recording, self.tree, self.layout, self.counts = path, recording, tree, layout, counts

    def print(self, console: Console) -> None:
        if self.tree is not None:
            _say(console, f"{self.path.name}: its format does not say what is what")
            console.print(_tree_table(self.path.name, self.tree, console.width))
            if self.counts is not None:
                _say(
                    console,
                    f"\n'{self.counts}' looks like counts in bins, and nothing says how long a bin is: describe it in a"
                    f" layout as\n\n    counts: {{variable: {self.counts}, width: SECONDS}}",
                )
            elif self.layout is None:
                _say(console, "\nnothing here looks like a recording: describe it with a layout (recording/README.md)")
            if self.layout is None:
                return
            _say(
                console, "\nproposed layout, a guess: check it, edit it, and give it to any command with  --layout FILE"
            )
            _say(console, "(write it to a file with  --save-layout FILE)\n")
            _say(console, layout_text(self.layout))
        if self.recording is not None:
            print_recording(console, self.recording)

    def to_json(self) -> dict[str, Any]:
        content: dict[str, Any] = {"file": str(self.path)}
        if self.recording is not None:
            content |= recording_json(self.recording)
        if self.tree is not None:
            content["variables"] = [asdict(row) for row in self.tree]
            content["proposed_layout"] = None if self.layout is None else layout_text(self.layout)
        return content


def _look(path: Path, arguments: argparse.Namespace) -> _Look:
    variables = None if arguments.layout else read_variables(path)
    if variables is None:
        return _Look(path, read_given(path, arguments))
    layout = propose_layout(variables)
    recording = None
    if layout is not None:
        recording = read(
            path, skip=arguments.skip, layout=layout, repeated=arguments.repeated, support=arguments.support
        )
    return _Look(path, recording, tree_rows(variables), layout, counts_without_width(variables))


def _save_layout(look: _Look, path: Path) -> None:
    if look.tree is None:
        raise InputError(f"'{look.path}' says itself what is what: it needs no layout")
    if look.layout is None:
        raise InputError(f"there is nothing in '{look.path}' that looks like a recording: write the layout by hand")
    if path.exists():
        raise InputError(f"'{path}' is there already: choose another name")
    write_text(path, layout_text(look.layout))


def print_recording(console: Console, recording: Recording) -> None:
    """Table of a recording, and below it what of its file cannot be used or is not read."""
    console.print(summary_table(recording.name, describe(recording), console.width))
    for item in recording.unusable:
        _say(console, f"cannot be used: {item.kind} '{item.name}': {item.reason}")
    if recording.unread:
        _say(console, f"not read: {unread_text(recording)}")


def unread_text(recording: Recording) -> str:
    """How many items of which type a file has besides."""
    return ", ".join(f"{count} {name}" for name, count in recording.unread.items())


def recording_json(recording: Recording) -> dict[str, Any]:
    """What is in a recording, for a program: NaN is null."""
    return {
        "name": recording.name,
        "items": [_plain({**asdict(item), "kind": item.kind.value}) for item in describe(recording)],
        "unusable": [asdict(item) for item in recording.unusable],
        "not_read": dict(recording.unread),
    }


def summary_table(name: str, items: list[ItemSummary], width: int = 80) -> Table:
    """Lay a recording's items out as a table.

    Parameters
    ----------
    name
        Title of the table.
    items
        One per row.
    width
        Characters that it may have.

    Returns
    -------
    rich.table.Table
        For ``rich.print`` or a console.
    """
    table = fitted(name, _COLUMNS, [_cells(item) for item in items], width)
    if not items:
        table.caption = "nothing here that neurodyn reads"
    return table


def _tree_table(name: str, rows: list[TreeRow], width: int) -> Table:
    return fitted(name, _TREE, [("  " * row.depth + row.path, row.size, row.kind, row.notes) for row in rows], width)


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _plain(item: Any) -> Any:
    if isinstance(item, dict):
        return {key: _plain(value) for key, value in item.items()}
    if isinstance(item, list | tuple):
        return [_plain(value) for value in item]
    return None if isinstance(item, float) and not math.isfinite(item) else item


def _cells(item: ItemSummary) -> tuple[str, ...]:
    missing = "" if item.missing is None else f"{item.missing:.1%}"
    return item.name, item.kind.value, _size(item), _rate(item), _time(item), missing, item.unit, item.notes


def _size(item: ItemSummary) -> str:
    if item.samples is None:
        return f"{item.members:,}"
    if item.rate is None:
        units, spikes = "s" * (item.members != 1), "s" * (item.samples != 1)
        return f"{item.members:,} unit{units}, {item.samples:,} spike{spikes}"
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
