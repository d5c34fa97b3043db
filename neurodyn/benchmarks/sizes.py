"""The sizes of a benchmark as options of its command: one per field of a dataclass with defaults."""

import argparse
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from neurodyn.cli.parsers import argument
from neurodyn.given import count, count_or_none, number_or_none

Sizes = TypeVar("Sizes")


def add_sizes(parser: argparse.ArgumentParser, kind: Any, texts: Mapping[str, str] | None = None) -> None:
    """Add an option for each field of a dataclass, of the type of its default.

    Parameters
    ----------
    parser
        Of the benchmark.
    kind
        The dataclass.
    texts
        What the fields are, by name.
    """
    for each in fields(kind):
        text = f"{texts[each.name]} (%(default)s)" if texts else "(%(default)s)"
        default: Any = each.default
        parse: Any = type(default)
        if type(default) is int and "(0:" in text:  # it says what none stands for
            parse = argument(count_or_none)
        elif type(default) is int and default > 0:
            parse = argument(count)
        elif type(default) is float:
            parse = argument(number_or_none)
        parser.add_argument(f"--{each.name}", metavar="N", type=parse, default=default, help=text)


def chosen(arguments: argparse.Namespace, kind: type[Sizes]) -> Sizes:
    """The dataclass with what the command line says."""
    return kind(**{each.name: getattr(arguments, each.name) for each in fields(kind)})  # type: ignore[arg-type]
