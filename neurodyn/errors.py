"""Errors a user can act on: what was expected, what came, what to do."""

import difflib
import importlib
import importlib.util
from collections.abc import Iterable, Mapping
from types import ModuleType


class NeurodynError(Exception):
    """Base of every error neurodyn raises on purpose; the command line prints it in one line.

    Examples
    --------
    >>> from neurodyn.errors import InputError, MissingExtraError, NeurodynError, NumericalError
    >>> [issubclass(error, NeurodynError) for error in (InputError, NumericalError, MissingExtraError)]
    [True, True, True]
    """


class InputError(NeurodynError, ValueError):
    """The data, options or files given cannot be used; nothing has been computed or written yet.

    Examples
    --------
    >>> import neurodyn as nd
    >>> session = nd.simulate_foraging(nd.simulation.ForagingSettings(seconds=20.0), seed=0)
    >>> nd.to_bins(session, width="50 hours")
    Traceback (most recent call last):
        ...
    neurodyn.errors.InputError: width: expected seconds like 0.05 or 50ms, got '50 hours'
    """


class NumericalError(NeurodynError, ArithmeticError):
    """A computation left the finite numbers; the message says what was kept and what to try.

    Examples
    --------
    >>> from neurodyn.errors import NumericalError
    >>> issubclass(NumericalError, ArithmeticError)
    True
    """


class MissingExtraError(NeurodynError, ImportError):
    """An optional package is needed for this feature; the message names the extra that brings it.

    Examples
    --------
    >>> from neurodyn.errors import MissingExtraError, import_extra
    >>> try:
    ...     import_extra("not_there", "plot")
    ... except MissingExtraError as error:
    ...     print(str(error)[:38])
    this needs the package 'not_there': in
    """


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
        raise MissingExtraError(f"this needs {_how_to_install([module], [extra])}") from error


REPORT = {"matplotlib": "plot", "jinja2": "report"}
"""Packages that pages with figures need, and the extras that bring them."""


def missing_extras(extras: Mapping[str, str]) -> str:
    """What is not installed of some optional packages, and how to install all of it at once; "" if nothing is missing.

    Parameters
    ----------
    extras
        Name of the extra by the package that it brings.
    """
    missing = [module for module in extras if importlib.util.find_spec(module) is None]
    return _how_to_install(missing, list(dict.fromkeys(extras[module] for module in missing))) if missing else ""


def require_extras(extras: Mapping[str, str]) -> None:
    """Refuse to begin without optional packages, all that are missing named at once.

    Raises
    ------
    MissingExtraError
        If one is not installed.
    """
    if missing := missing_extras(extras):
        raise MissingExtraError(f"this needs {missing}")


def _how_to_install(modules: list[str], extras: list[str]) -> str:
    """Packages by name, and the command that brings them: neurodyn is installed from a clone."""
    names = " and ".join(f"'{module.split('.')[0]}'" for module in modules)
    what = "package" if len(modules) == 1 else "packages"
    return f"the {what} {names}: in your clone of neurodyn, run  pip install '.[{','.join(extras)}]'"


def unknown_name(kind: str, name: str, known: Iterable[str]) -> InputError:
    """Error for a name that is not there, with the nearest names that are."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    if not known:
        return InputError(f"unknown {kind} '{name}': there is none")
    hint = f"did you mean {' or '.join(repr(n) for n in near)}?" if near else f"there are: {', '.join(known)}"
    return InputError(f"unknown {kind} '{name}': {hint}")
