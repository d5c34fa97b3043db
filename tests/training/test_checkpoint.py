"""A checkpoint comes back as it was, is whole or not there, and other files are refused in one line."""

import os
import stat
import subprocess
import sys
import textwrap

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurodyn.errors import InputError
from neurodyn.training import History, load_arrays, load_settings, save_checkpoint

TREE = {
    "weights": np.arange(6.0).reshape(2, 3),
    "step": np.int32(7),
    "nested": {"list": [np.ones(2, np.float32), np.zeros((0, 3))], "pair": (np.array(True), np.array([1 + 2j]))},
}
SETTINGS = {"name": "µ", "rates": [0.1, 1e-17], "best": float("inf"), "none": None, "deep": {"on": True}}


def test_round_trip_is_exact(tmp_path):
    path = tmp_path / "run.h5"
    save_checkpoint(path, TREE, SETTINGS)
    assert load_settings(path) == SETTINGS
    found = load_arrays(path, jax.tree.map(np.zeros_like, TREE))
    assert jax.tree.structure(found) == jax.tree.structure(TREE)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(TREE), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def test_device_arrays_and_a_bare_array(tmp_path):
    save_checkpoint(tmp_path / "a.h5", jnp.arange(3), {})
    np.testing.assert_array_equal(load_arrays(tmp_path / "a.h5", np.zeros(3)), [0, 1, 2])


def test_overwriting_leaves_one_file_with_usual_permissions(tmp_path):
    path = tmp_path / "run.h5"
    for number in range(3):
        save_checkpoint(path, {"x": np.full(4, number)}, {"number": number})
    assert load_settings(path) == {"number": 2}
    assert os.listdir(tmp_path) == ["run.h5"]
    (tmp_path / "other").touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "other").stat().st_mode)


def test_a_failing_write_leaves_the_previous_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "run.h5"
    save_checkpoint(path, {"x": np.ones(3)}, {"number": 1})

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"cannot write '.*run\.h5': No space left on device"):
        save_checkpoint(path, {"x": np.zeros(3)}, {"number": 2})
    assert load_settings(path) == {"number": 1}
    np.testing.assert_array_equal(load_arrays(path, {"x": np.zeros(3)})["x"], np.ones(3))
    assert os.listdir(tmp_path) == ["run.h5"]


KILL = """
import os, random, signal, sys, time
import numpy as np
from pathlib import Path
from neurodyn.training import load_arrays, load_settings, save_checkpoint

path, big, torn = Path(sys.argv[1]), np.ones((64, 4096)), 0

def keep_writing():
    number = 0
    while True:
        number += 1
        save_checkpoint(path, {str(i): number * big for i in range(4)}, {"number": number})

for attempt in range(8):
    path.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        keep_writing()
    while not path.exists():
        time.sleep(0.001)
    time.sleep(random.Random(attempt).uniform(0, 0.1))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    number = load_settings(path)["number"]
    arrays = load_arrays(path, {str(i): big for i in range(4)})
    assert number >= 1 and all((a == number).all() for a in arrays.values()), number
    torn += len([p for p in path.parent.iterdir() if p != path])
    for leftover in path.parent.glob(".*.tmp*"):
        leftover.unlink()
print(f"torn {torn}")
"""


def test_a_kill_at_any_moment_leaves_a_whole_checkpoint(tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(KILL), str(tmp_path / "run.h5")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    # At least one kill must have come in the middle of a write, or this test has shown nothing.
    assert int(result.stdout.split()[-1]) >= 1


def test_files_that_are_no_checkpoint_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"no such file: .*absent\.h5"):
        load_settings(tmp_path / "absent.h5")
    with pytest.raises(InputError, match="no such file"):
        load_settings(tmp_path)
    (tmp_path / "text.h5").write_text("hello")
    with pytest.raises(InputError, match="not an HDF5 file"):
        load_settings(tmp_path / "text.h5")
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(InputError, match="not written by neurodyn"):
        load_arrays(tmp_path / "foreign.h5", {"x": np.zeros(())})


def test_a_truncated_checkpoint_is_refused(tmp_path):
    path = tmp_path / "run.h5"
    save_checkpoint(path, TREE, SETTINGS)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match="damaged"):
        load_settings(path)


def test_a_later_version_is_refused(tmp_path):
    path = tmp_path / "run.h5"
    save_checkpoint(path, TREE, SETTINGS)
    with h5py.File(path, "r+") as file:
        file.attrs["version"] = 99
    with pytest.raises(InputError, match=r"version 99.*update"):
        load_settings(path)


def test_another_structure_is_refused(tmp_path):
    path = tmp_path / "run.h5"
    save_checkpoint(path, {"a": {"b": np.ones(3)}}, {})
    with pytest.raises(InputError, match="no array 'c'"):
        load_arrays(path, {"c": np.ones(3)})
    with pytest.raises(InputError, match="no array 'a'"):
        load_arrays(path, {"a": np.ones(3)})
    with pytest.raises(InputError, match=r"'a/b' has shape \(3,\), this model needs \(4,\)"):
        load_arrays(path, {"a": {"b": np.ones(4)}})


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot write"):
        save_checkpoint(tmp_path / "absent" / "run.h5", TREE, {})


def test_history_knows_its_best():
    assert History().best == float("inf")
    assert History().since_best == 0
    history = History([1.0] * 4, [1, 2, 3, 4], [3.0, 1.0, 2.0, 1.0])
    assert history.best == 1.0
    assert history.since_best == 2
