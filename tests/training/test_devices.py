"""Two devices train as one does."""

import os
import subprocess
import sys

import jax
import pytest

from neurodyn.training import Placement

PROGRAM = """
import sys
import jax
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
import numpy as np
from oracles.small_decoder import fit_small, lorenz
from neurodyn.training import Placement

assert jax.device_count() == int(sys.argv[1])
assert (Placement.for_trials(8).mesh is None) == (jax.device_count() == 1)
fitted = fit_small(lorenz()[0].with_trials(np.arange(16)), epochs=2).fitted_
leaves = jax.tree.leaves(fitted.network.parameters)
np.savez(sys.argv[2], *leaves, loss=fitted.history.loss, validation=fitted.history.validation)
"""


def fit_on(devices: int, path) -> dict:
    import numpy as np

    tests = os.path.dirname(os.path.dirname(__file__))
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    paths = os.pathsep.join([tests, os.path.dirname(tests), os.environ.get("PYTHONPATH", "")])
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(devices), str(path)],
        env={**os.environ, "XLA_FLAGS": flags, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return dict(np.load(path))


@pytest.mark.slow
def test_two_devices_give_the_parameters_of_one_to_rounding(tmp_path):
    import numpy as np

    one, two = (fit_on(n, tmp_path / f"{n}.npz") for n in (1, 2))
    assert one.keys() == two.keys()
    for name in one:
        np.testing.assert_allclose(two[name], one[name], rtol=1e-8, atol=1e-10, err_msg=name)


def test_trials_that_cannot_be_shared_equally_stay_on_one_device():
    devices = jax.devices() * 3
    assert Placement.for_trials(8, devices).mesh is None
    assert Placement.for_trials(8, devices[:1]).mesh is None


def test_on_one_device_arrays_are_left_where_they_are():
    array = jax.numpy.zeros(4)
    assert Placement().everywhere(array) is array
    assert Placement().split(array, 0) is array
