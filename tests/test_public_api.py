"""What ``import neurodyn as nd`` promises, and what it costs."""

import importlib
import subprocess
import sys

import pytest

import neurodyn


@pytest.mark.parametrize("name", neurodyn.__all__)
def test_every_public_name_is_there(name):
    assert getattr(neurodyn, name) is not None
    assert name in dir(neurodyn)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = neurodyn.nonsense


@pytest.mark.parametrize("name", sorted(n for n in neurodyn.__all__ if n in neurodyn._PACKAGES))
def test_every_name_of_a_package_is_there(name):
    package = importlib.import_module(f"neurodyn.{name}")
    for public in getattr(package, "__all__", []):
        assert getattr(package, public) is not None


def loaded_by(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after a statement."""
    program = f"import sys; {statement}; print(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return set(result.stdout.split())


def test_importing_the_package_loads_nothing_heavy():
    heavy = {"jax", "flax", "optax", "numpyro", "xarray", "scipy", "numpy", "matplotlib", "pynwb", "h5py"}
    assert not heavy & loaded_by("import neurodyn")


@pytest.mark.parametrize("statement", ["from neurodyn import to_bins, read_nwb", "from neurodyn import CausalRidge"])
def test_recordings_and_baselines_need_no_jax(statement):
    loaded = loaded_by(statement)
    assert "numpy" in loaded
    assert not {"jax", "flax", "numpyro", "matplotlib", "pynwb"} & loaded
