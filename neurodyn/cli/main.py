"""The command ``neurodyn``: one module per sub-command, errors in one line, exit code 2."""

import argparse
import sys
from collections.abc import Sequence

import neurodyn
from neurodyn.cli import inspect
from neurodyn.errors import NeurodynError

# Each module offers add_parser(subparsers), which sets the default `run` to a function of the arguments.
COMMANDS = (inspect,)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser with every sub-command."""
    parser = argparse.ArgumentParser(prog="neurodyn", description=neurodyn.__doc__)
    parser.add_argument("--version", action="version", version=f"neurodyn {neurodyn.__version__}")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 2 for input that cannot be used."""
    arguments = build_parser().parse_args(argv)
    try:
        return arguments.run(arguments)
    except NeurodynError as error:
        print(f"neurodyn: error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
