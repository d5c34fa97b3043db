"""Every example in a docstring runs and says what comes out."""

import doctest
import importlib
import pkgutil

import pytest

import neurodyn

FINDER = doctest.DocTestFinder(exclude_empty=True)
# The Kalman room has a test of its own, which also asks for an example in each function.
NAMES = [
    found.name
    for found in pkgutil.walk_packages(neurodyn.__path__, "neurodyn.")
    if "__main__" not in found.name and not found.name.startswith("neurodyn.kernels.kalman")
]


@pytest.mark.parametrize("name", NAMES)
def test_examples_say_what_comes_out(name):
    module = importlib.import_module(name)
    examples = [found for found in FINDER.find(module) if found.examples]
    runner = doctest.DocTestRunner(verbose=False)
    for example in examples:
        assert runner.run(example).failed == 0, example.name
