"""The command ``neurodyn``: one module per sub-command, errors in one line, exit code 2."""

import argparse
import importlib
import io
import sys
from collections.abc import Collection, Sequence
from typing import NoReturn

import neurodyn
from neurodyn.cli import COMMANDS
from neurodyn.compilation import start_quickly
from neurodyn.errors import InputError, NeurodynError

INTERRUPTED = 130
"""What a shell reports for a command that was stopped with Ctrl-C."""


class _Parser(argparse.ArgumentParser):
    """Reports a wrong option as every other wrong input is reported."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} (see  {self.prog} --help)")


def build_parser(commands: Collection[str] = tuple(COMMANDS)) -> argparse.ArgumentParser:
    """Return the parser with every sub-command.

    Parameters
    ----------
    commands
        Those that are imported and get their options; of the others there is the name.
    """
    parser = _Parser(prog="neurodyn", description=(neurodyn.__doc__ or "").splitlines()[0])
    parser.add_argument("--version", action="version", version=f"neurodyn {neurodyn.__version__}")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, text in COMMANDS.items():
        if name in commands:
            importlib.import_module(f"neurodyn.cli.{name}").add_parser(subparsers)
        else:
            subparsers.add_parser(name, help=text)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 2 for input that cannot be used. Without a command, show the help."""
    if argv is None:  # in a process of its own
        start_quickly()
        _print_any_name()
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        if not words:
            build_parser(()).print_help()
            return 0
        arguments = build_parser(words[:1]).parse_args(words)
        return arguments.run(arguments)
    except NeurodynError as error:
        print(f"neurodyn: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("neurodyn: stopped", file=sys.stderr)
        return INTERRUPTED


def _print_any_name() -> None:
    """Names of files and channels that this locale cannot show are escaped; they are no reason to end with an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
