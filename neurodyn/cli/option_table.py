"""One table of a command's options: fields of a dataclass, read from the command line and from YAML files alike."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from neurodyn.cli import parsers
from neurodyn.errors import InputError, unknown_name


@dataclass(frozen=True)
class Option:
    """How one option is written; the metadata of its field.

    Parameters
    ----------
    parse
        From what the command line or the YAML file says to the value. An option of `neurodyn.cli.parsers.switch` takes
        no value on the command line.
    help
        What it does. Its default is put behind it.
    metavar
        What its value is called in the help; empty for a switch, and for an option that every command that reads a
        file has (:func:`neurodyn.cli.reading.add_reading_options`).
    default
        The default in words; empty if the help says nothing of it.
    without_value
        The value where the option is given without one; None: it needs one.
    """

    parse: Callable[[Any], Any]
    help: str = ""
    metavar: str = ""
    default: str = ""
    without_value: Any = None


def option(
    default: Any,
    parse: Callable[[Any], Any],
    metavar: str = "",
    help: str = "",
    words: str | None = None,
    bare: Any = None,
) -> Any:
    """Field of a dataclass that is an option.

    Parameters
    ----------
    default
        Of the field.
    parse, metavar, help
        See `Option`.
    words
        The default in words; None for the number itself.
    bare
        The value where the option is given without one.

    Returns
    -------
    Any
        What `dataclasses.field` makes.
    """
    words = f"{default}" if words is None else words
    return field(default=default, metadata={"option": Option(parse, help, metavar, words, bare)})


def options_of(table: type) -> dict[str, Option]:
    """Options of a dataclass by the name of their field."""
    return {each.name: each.metadata["option"] for each in fields(table)}


def add_to(parser: argparse.ArgumentParser, options: Mapping[str, Option]) -> None:
    """Add options to a command; one that is not given is None."""
    for name, one in options.items():
        flag = f"--{name.replace('_', '-')}"
        text = f"{one.help} ({one.default})" if one.default else one.help
        if one.parse is parsers.switch:
            parser.add_argument(flag, dest=name, action="store_true", default=None, help=text)
        elif one.metavar:
            bare = {} if one.without_value is None else {"nargs": "?", "const": one.without_value}
            convert = parsers.argument(one.parse)
            parser.add_argument(flag, dest=name, metavar=one.metavar, type=convert, default=None, help=text, **bare)


def parsed(loaded: Any, path: Path, options: Mapping[str, Option]) -> dict[str, Any]:
    """Values of the options that were read from a file; a key without a value counts as not given.

    Parameters
    ----------
    loaded
        What the file, or a part of it, holds; None for nothing. Its keys may have hyphens, as on the command line.
    path
        The file.
    options
        Those of the command.

    Raises
    ------
    InputError
        If it is not a mapping, has an unknown key (with the nearest names) or a bad value.
    """
    if loaded is None:
        return {}
    if not isinstance(loaded, Mapping):
        raise InputError(f"'{path}' must hold 'option: value' lines, got a {type(loaded).__name__}")
    found = {}
    for key, value in loaded.items():
        name = str(key).replace("-", "_")
        if name not in options:
            raise unknown_name("option in the configuration", str(key), options)
        if value is None:
            continue
        try:
            found[name] = options[name].parse(value)
        except InputError as error:
            raise InputError(f"'{key}' in '{path}': {error}") from error
    return found
