"""``neurodyn convert IN OUT``: a recording from one format to another, compared after it was written."""

import argparse
import json
from pathlib import Path

from neurodyn.cli import COMMANDS
from neurodyn.cli.inspect import print_recording, recording_json, unread_text
from neurodyn.cli.parsers import Subparsers
from neurodyn.cli.reading import add_reading_options, file_help, read_given
from neurodyn.cli.tables import screen
from neurodyn.errors import InputError
from neurodyn.recording import write_recording


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser("convert", help=COMMANDS["convert"])
    parser.add_argument("source", metavar="IN", type=Path, help=file_help())
    parser.add_argument("target", metavar="OUT", type=Path, help="file to write; its ending names the format")
    add_reading_options(parser)
    parser.add_argument("--force", action="store_true", help="replace a file that is there")
    parser.add_argument("--json", action="store_true", help="print what was written as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Read, write, compare and print what was written."""
    if arguments.target.exists() and not arguments.force:
        raise InputError(f"'{arguments.target}' is there already: choose another name, or say  --force")
    if arguments.target.resolve() == arguments.source.resolve():
        raise InputError("a recording cannot be converted into its own file: choose another name")
    # Nothing is lost silently: an item that cannot be used has to be named with --skip.
    recording = read_given(arguments.source, arguments, strict=True)
    kinds = (recording.spikes, recording.counts, recording.fields, recording.behaviour, recording.intervals)
    if not any(kinds):
        more = f"; it has {unread_text(recording)}, which are not read" if recording.unread else ""
        raise InputError(f"'{arguments.source}' has nothing to convert{more}")
    write_recording(recording, arguments.target)
    if arguments.json:
        print(json.dumps({"file": str(arguments.target), **recording_json(recording)}, indent=2, allow_nan=False))
        return 0
    console = screen()
    print_recording(console, recording)
    console.print(f"\nwritten: {arguments.target}", highlight=False, markup=False, soft_wrap=True)
    return 0
