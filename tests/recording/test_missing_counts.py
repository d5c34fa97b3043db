"""Counts that were not recorded are missing in bins, in a replay and where the recording calls times invalid."""

import math

import numpy as np

from neurodyn.binning import Spikes, to_bins
from neurodyn.realtime import SpikeInput, StreamingBinner
from neurodyn.realtime.streams.file import FileReplay, ReplayOptions
from neurodyn.realtime.streams.protocol import EndOfStream
from neurodyn.recording import BinnedCounts, Intervals, Recording, recorded_span, without_invalid_times

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
