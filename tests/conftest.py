"""Oracles run in float64 with strict dtype promotion; each test that needs float32 asks for it."""

import os

# One device thread pool per worker keeps parallel test processes from fighting over two cores.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")

import jax
import pytest

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")


@pytest.fixture
def float32():
    """Run the test as users do: in single precision."""
    jax.config.update("jax_enable_x64", False)
    yield
    jax.config.update("jax_enable_x64", True)


@pytest.fixture
def real_data():
    """Folder of the real recordings, or a skip that says why."""
    from pathlib import Path

    folder = os.environ.get("NEURODYN_DATA")
    if not folder:
        pytest.skip("NEURODYN_DATA is not set: no real recordings to test on")
    return Path(folder)
