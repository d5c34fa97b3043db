"""Recordings larger than memory: values stay in the file, binning reads blocks, their ends change nothing."""

import subprocess
import sys

import numpy as np
import pytest
from recording.make_recording import everything

from neurodyn.binning import BandPower, Field, SignalMean, Spikes, features, to_bins
from neurodyn.errors import InputError
from neurodyn.recording import Recording, Signal, describe, read_hdf5, write_hdf5
from neurodyn.recording.lazy import LazyArray


@pytest.fixture
def pair(tmp_path):
    """One recording in memory and in its file."""
    path = write_hdf5(everything(), tmp_path / "a.h5")
    return read_hdf5(path, lazy=False), read_hdf5(path, lazy=True)


def test_parts_are_those_of_the_array(pair):
    here, there = (recording.fields["lfp"] for recording in pair)
    assert isinstance(there.values, LazyArray)
    assert (there.values.shape, there.values.ndim, there.values.size) == ((300, 3), 2, 900)
    for part in (slice(0, 10), slice(290, 400), slice(-5, None), slice(7, 7), slice(9, 3), slice(None)):
        np.testing.assert_array_equal(there.values[part], here.values[part])
    np.testing.assert_array_equal(np.asarray(there.values), here.values)
    cut, whole = (signal.between(0.7, 2.13).select(["MEC", "CA1 α"]) for signal in (there, here))
    assert isinstance(cut.values, LazyArray)
    np.testing.assert_array_equal(cut.read(0, cut.n_samples), whole.values)
    np.testing.assert_array_equal(cut.times, whole.times)
    assert describe(pair[0]) == describe(pair[1])


def test_a_file_that_went_away_is_an_error_and_not_a_number(pair, tmp_path):
    (tmp_path / "a.h5").unlink()
    with pytest.raises(InputError, match="has the file gone or changed"):
        pair[1].fields["lfp"].read(0, 3)


def test_infinite_values_are_refused_when_they_are_read(tmp_path):
    import h5py

    path = write_hdf5(everything(), tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        file["fields/raw/values"][250, 0] = np.inf
    field = read_hdf5(path, lazy=True).fields["raw"]
    field.read(0, 250)
    with pytest.raises(InputError, match="infinite"):
        field.read(249, 251)


@pytest.mark.parametrize("clock", [{"rate": 7.3, "start": -0.4}, {"rate": 1000.0, "start": 1e5},
                                   {"timestamps": np.sort(np.random.default_rng(1).uniform(0, 9, 500))}])  # fmt: skip
def test_samples_are_found_as_numpy_finds_them(clock):
    signal = Signal("x", np.zeros((500, 1)), **clock)
    random = np.random.default_rng(0)
    near = signal.times[random.integers(500, size=200)]
    asked = np.concatenate([near, np.nextafter(near, -np.inf), np.nextafter(near, np.inf), near + 0.01, [-1e9, 1e9]])
    np.testing.assert_array_equal(signal.index_of(asked), np.searchsorted(signal.times, asked))


@pytest.mark.parametrize("regular", [True, False])
def test_features_do_not_depend_on_the_blocks(monkeypatch, regular):
    """Gaps that are bridged and gaps that are not, also across the ends of blocks."""
    random = np.random.default_rng(0)
    values = random.normal(size=(6000, 2))
    for first, last, channel in ((0, 30, 0), (1000, 1020, 0), (1499, 1502, 1), (2990, 3010, 1), (4000, 4300, 0)):
        values[first:last, channel] = np.nan
    times = np.arange(6000) / 250.0
    times[3500:] += 0.7
    signal = Signal("x", values, rate=250.0) if regular else Signal("x", values, timestamps=times)
    starts = np.concatenate([np.arange(1.0, 8.0, 0.05), np.arange(12.0, 24.0, 0.05)])
    power = BandPower(bands=((4.0, 8.0), (30.0, 60.0)))

    def both():
        return (*features.bin_feature(signal, SignalMean(), starts, starts + 0.05),
                *features.bin_feature(signal, power, starts, starts + 0.05))  # fmt: skip

    whole = both()
    assert whole[3].any()
    assert not whole[3].all()
    for size in (2 * 13, 2 * 500, 2 * 1500):
        monkeypatch.setattr(features, "BLOCK_VALUES", size)
        for one, other in zip(both(), whole, strict=True):
            np.testing.assert_array_equal(one, other)


def test_bins_from_a_file_are_those_from_memory(pair):
    modalities = [Spikes(), Field("lfp", bands=((4.0, 12.0),)), Field("raw", bands=None)]
    one, two = (to_bins(r, width=0.05, modalities=modalities, target="speed") for r in pair)
    for name in one.names:
        np.testing.assert_array_equal(one.observations[name], two.observations[name])
        np.testing.assert_array_equal(one.observed[name], two.observed[name])
    assert {row.name: row.unit for row in one.modalities} == {
        "spikes": "spikes per bin",
        "lfp": "log µV²",
        "raw": "a.u.",
    }
    assert one.target_units == ("cm/s",)


PROGRAM = """
import resource, sys
from neurodyn.recording import lazy

lazy.BLOCK_VALUES = 2**17  # 1 MiB, so that a small file is large beside it

import h5py, scipy.signal, scipy.ndimage
from neurodyn.binning import Field, to_bins
from neurodyn.recording import Recording, describe, read_recording, write_hdf5

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

def whole_job(path):
    recording = read_recording(path, lazy=True)
    describe(recording)
    batch = to_bins(recording, width=0.1, modalities=[Field("lfp", bands=((4.0, 8.0),))], target=())
    write_hdf5(recording, path + ".copy")
    return batch.n_bins

whole_job(sys.argv[1])  # what libraries take for themselves
before = peak()
print(whole_job(sys.argv[2]), peak() - before)
"""


def write_field(path, seconds):
    """16 channels of small numbers at 1 kHz."""
    piece = np.random.default_rng(0).integers(-9, 9, (1000, 16)).astype(np.float64)
    field = Signal("lfp", np.tile(piece, (seconds, 1)), rate=1000.0)
    write_hdf5(Recording("r", fields={"lfp": field}), path)
    return field.values.nbytes


def test_memory_does_not_grow_with_the_recording(tmp_path):
    """A field is read, filtered, binned, summarised and copied in a quarter of the memory that it has."""
    write_field(tmp_path / "short.h5", 10)
    size = write_field(tmp_path / "long.h5", 320)
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(tmp_path / "short.h5"), str(tmp_path / "long.h5")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    bins, used = (int(word) for word in result.stdout.split())
    assert bins == 3200
    assert size == 40_960_000
    assert used < size / 4
