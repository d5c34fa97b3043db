"""Every public function of the Kalman room has an example, and every example says what comes out."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

from neurodyn.binning import likelihood, likelihoods
from neurodyn.kernels import kalman

NAMES = [found.name for found in pkgutil.iter_modules(kalman.__path__)]
MODULES = [importlib.import_module(f"neurodyn.kernels.kalman.{name}") for name in NAMES]


def functions_of(module):
    """Public functions and classes that are defined in a module."""
    for name, value in vars(module).items():
        if not name.startswith("_") and callable(value) and getattr(value, "__module__", "") == module.__name__:
            yield name, value


@pytest.mark.parametrize("module", [*MODULES, likelihood, likelihoods], ids=lambda module: module.__name__)
def test_the_examples_say_what_comes_out(module):
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_public_function_has_an_example(module):
    names = dict(functions_of(module))
    assert names
    for name, value in names.items():
        if not inspect.isclass(value):
            assert ">>>" in (inspect.getdoc(value) or ""), f"{module.__name__}.{name} has no example"
