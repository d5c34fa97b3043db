"""Oracles run in float64 with strict dtype promotion; each test that needs float32 asks for it."""

import importlib.util
import mmap
import os
from pathlib import Path

# Tests compile much and compute little, so XLA need not optimise: a third less time, and without its newer emitters of
# fused loops a third less again. One thread per worker, in XLA and in BLAS, keeps parallel test processes from fighting
# over two cores. The libraries read these when they are imported, so they are set before anything else; processes that
# tests start inherit them. XLA ends a process that names a flag which it does not know: newer versions may drop one.
WANTED = {
    "xla_cpu_multi_thread_eigen": "false",
    "xla_backend_optimization_level": "0",
    "xla_cpu_use_fusion_emitters": "false",
}


def known_flags(wanted):
    """Those flags of XLA whose names are in its library."""
    (folder,) = importlib.util.find_spec("jaxlib").submodule_search_locations
    libraries = sorted(Path(folder).glob("*.so"), key=lambda path: path.stat().st_size)
    with open(libraries[-1], "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return [f"--{name}={value}" for name, value in wanted.items() if content.find(name.encode()) >= 0]


if "XLA_FLAGS" not in os.environ:
    os.environ["XLA_FLAGS"] = " ".join(known_flags(WANTED))
for _library in ("OPENBLAS", "OMP", "MKL"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")

import jax  # noqa: E402
import pytest  # noqa: E402

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")


MANY_MAPS = 25_000
"""Pieces of memory at which compiled programs are let go: Linux gives a process 65,530, and XLA dies without one."""


@pytest.fixture(scope="module", autouse=True)
def few_programs():
    """Each compiled program holds several pieces of memory, and a run of all tests compiles thousands of programs."""
    yield
    try:
        with open("/proc/self/maps") as maps:
            many = sum(1 for _ in maps) > MANY_MAPS
    except OSError:  # not Linux
        return
    if many:
        jax.clear_caches()


@pytest.fixture
def float32():
    """Run the test as users do: in single precision."""
    jax.config.update("jax_enable_x64", False)
    yield
    jax.config.update("jax_enable_x64", True)


@pytest.fixture
def real_data():
    """Folder of the real recordings, or a skip that says why."""
    folder = os.environ.get("NEURODYN_DATA")
    if not folder:
        pytest.skip("NEURODYN_DATA is not set: no real recordings to test on")
    return Path(folder)


@pytest.fixture(scope="session")
def lorenz_batch():
    """Training and test trials of a short Lorenz recording."""
    from oracles.small_decoder import lorenz

    return lorenz()


@pytest.fixture(scope="session")
def decoder(lorenz_batch):
    """A small decoder fitted on both modalities of the training trials, in double precision."""
    from oracles.small_decoder import fit_small

    return fit_small(lorenz_batch[0], epochs=30)


@pytest.fixture(scope="session")
def spikes_decoder(lorenz_batch):
    """A small decoder fitted on the spikes alone."""
    from oracles.small_decoder import fit_small

    return fit_small(lorenz_batch[0].with_modalities(["spikes"]), epochs=5)
