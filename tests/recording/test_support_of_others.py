"""What was not recorded is missing in counts, and in spikes of other labs' files, as it is in spike trains."""

import math

import numpy as np
import pytest
import scipy.io

from neurodyn.binning import Spikes, to_bins
from neurodyn.errors import InputError
from neurodyn.realtime import SpikeInput, StreamingBinner
from neurodyn.realtime.streams.file import FileReplay, ReplayOptions
from neurodyn.realtime.streams.protocol import EndOfStream
from neurodyn.recording import (
    BinnedCounts,
    Intervals,
    Recording,
    read_recording,
    recorded_span,
    without_invalid_times,
)
from neurodyn.recording.layout_file import layout_of

WIDTH = 0.02


def session() -> Recording:
    """Two units in 200 bins, pieces of which are missing, and an invalid time inside of bins 100 and 101."""
    rng = np.random.default_rng(0)
    values = rng.poisson(1.0, (200, 2)).astype(float)
    values[20:40] = np.nan
    values[60:70, 1] = np.nan
    invalid = Intervals("invalid_times", np.array([2.01]), np.array([2.03]))
    counts = {"spikes": BinnedCounts("spikes", values, WIDTH)}
    return Recording("r", counts=counts, intervals={"invalid_times": invalid})


def expected(recording: Recording) -> np.ndarray:
    values = recording.counts["spikes"].values.copy()
    values[100:102] = np.nan
    return values


def test_invalid_times_are_missing():
    recording = session()
    np.testing.assert_array_equal(without_invalid_times(recording).counts["spikes"].values, expected(recording))
    assert recorded_span(recording) == (0.0, 4.0)
    batch = to_bins(recording, width=WIDTH, modalities=[Spikes()], target=())
    np.testing.assert_array_equal(batch.observed["spikes"], ~np.isnan(expected(recording)))
    np.testing.assert_array_equal(batch.observations["spikes"], np.nan_to_num(expected(recording)))


def test_a_replay_says_which_counts_are_missing():
    recording = session()
    replay = FileReplay(recording, ReplayOptions(speed=math.inf, start=0.0, stop=4.0))
    binner, bins = StreamingBinner([SpikeInput("spikes", 2)], WIDTH, start=0.0), []
    while True:
        try:
            for one in replay.read(0.0):
                binner.push_spikes(one.name, one.times, one.values, until=one.until, unrecorded=one.unrecorded)
            bins += binner.ready(replay.played)
        except EndOfStream:
            break
    found = np.stack(
        [np.full(2, np.nan) if b.observations["spikes"] is None else b.observations["spikes"] for b in bins]
    )
    np.testing.assert_array_equal(found, expected(recording)[: len(found)])
    assert len(found) >= 199


# Files of others ----------------------------------------------------------------------------------------------


def cells(*items):
    array = np.empty((len(items), 1), object)
    for index, item in enumerate(items):
        array[index, 0] = item
    return array


def described(tmp_path, variables, **layout):
    scipy.io.savemat(tmp_path / "lab.mat", variables)
    return read_recording(tmp_path / "lab.mat", layout=layout_of(layout))


def test_spikes_in_trials_were_not_recorded_between_them(tmp_path):
    """Trials of 2 s and 3 s with a second between them: the bins of that second are missing."""
    trials = np.empty((1, 2), dtype=[("units", object), ("x", object)])
    for k in range(2):
        trials[0, k] = (cells(np.array([[0.15, 0.45 + k]]), np.array([[0.25]])), np.zeros((20 + 10 * k, 1)))
    found = described(
        tmp_path, {"d": trials}, trials="d", gap=1.0, spikes="d.units",
        behaviour=[{"variable": "d.x", "name": "x", "rate": 10.0}],
    )  # fmt: skip
    np.testing.assert_allclose(found.spike_trains().support.rows, [[0.0, 2.0], [3.0, 6.0]])
    batch = to_bins(found, width=0.1, target=(), interval=(0.0, 7.0))
    known = np.r_[np.ones(20, bool), np.zeros(10, bool), np.ones(30, bool), np.zeros(10, bool)]
    np.testing.assert_array_equal(batch.observed["spikes"], np.stack([known, known], axis=1))


@pytest.mark.parametrize("each", [False, True])
def test_a_layout_names_the_support(tmp_path, each):
    """In ms, as the times: for all units, or for each."""
    variables = {
        "t": cells(np.array([[100.0, 1900.0]]), np.array([[500.0]])),
        "on": np.array([[0.0, 800], [1500, 2000]]),
    }
    variables["each"] = cells(variables["on"], np.array([[0.0, 1000.0]]))
    spikes = {"variable": "t", "time_unit": "ms", "support": "each" if each else "on"}
    one, two = described(tmp_path, variables, spikes=spikes).spike_trains().unit_supports
    np.testing.assert_allclose(one.rows, [[0.0, 0.8], [1.5, 2.0]])
    np.testing.assert_allclose(two.rows, [[0.0, 1.0]] if each else one.rows)
    spikes["support"] = "nothing"
    with pytest.raises(InputError, match="nothing"):
        described(tmp_path, variables, spikes=spikes)
