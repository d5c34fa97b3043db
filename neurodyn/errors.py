"""Errors a user can act on: what was expected, what came, what to do."""

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType


class NeurodynError(Exception):
    """Base of every error neurodyn raises on purpose; the command line prints it in one line."""


class InputError(NeurodynError, ValueError):
    """The data, options or files given cannot be used; nothing has been computed or written yet."""


class NumericalError(NeurodynError, ArithmeticError):
    """A computation left the finite numbers; the message says what was kept and what to try."""


class MissingExtraError(NeurodynError, ImportError):
    """An optional package is needed for this feature; the message names the extra that brings it."""


def import_extra(module: str, extra: str) -> ModuleType:
    """Import an optional dependency, or say which extra installs it.

    Raises
    ------
    MissingExtraError
        If the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
            raise
        raise MissingExtraError(
            f"this needs the package '{module}': install it with  pip install 'neurodyn[{extra}]'"
        ) from error


def unknown_name(kind: str, name: str, known: Iterable[str]) -> InputError:
    """Error for a name that is not there, with the nearest names that are."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    if not known:
        return InputError(f"unknown {kind} '{name}': there is none")
    hint = f"did you mean {' or '.join(repr(n) for n in near)}?" if near else f"there are: {', '.join(known)}"
    return InputError(f"unknown {kind} '{name}': {hint}")
