"""Time that was not recorded is missing live as it is offline: replay, streams and binner against `to_bins`."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.streams import paused, same

from neurodyn.binning import Field, Spikes, to_bins
from neurodyn.realtime import EventKind, FieldInput, SpikeInput, StreamingBinner
from neurodyn.realtime.streams.file import FileReplay, ReplayOptions
from neurodyn.realtime.streams.protocol import EndOfStream
from neurodyn.realtime.streams.redis import _chunk_fields
from neurodyn.realtime.streams.wire import decode_chunk, encode
from neurodyn.recording import Intervals, Recording, Signal, SpikeTrains, TimeSupport

WIDTH = 0.01
SECONDS = 3.0

stretches = st.lists(st.tuples(st.integers(0, 2900), st.integers(1, 1500)), min_size=1, max_size=4)


def in_seconds(rows) -> np.ndarray:
    """Starts and stops in seconds from starts and lengths in ms."""
    return np.array([(start / 1000, (start + length) / 1000) for start, length in rows]).reshape(-1, 2)


def session(supports, invalid=(), seed=0) -> Recording:
    """Three units and a field of 1 kHz, three seconds of each."""
    rng = np.random.default_rng(seed)
    trains = tuple(np.sort(rng.integers(0, 3000, 60) + 0.5) / 1000 for _ in range(3))
    return Recording(
        "r",
        {"spikes": SpikeTrains("spikes", trains, ("a", "b", "c"), support=supports)},
        {"lfp": Signal("lfp", rng.normal(size=(3000, 1)), rate=1000.0)},
        intervals={"invalid_times": Intervals("invalid_times", *in_seconds(invalid).T)},
    )


def live_bins(recording: Recording, chunk: float, silence: float = 1.0):
    """Bins of a replay, and the binner."""
    replay = FileReplay(recording, ReplayOptions(speed=math.inf, chunk=chunk, start=0.0))
    inputs = [SpikeInput("spikes", 3, silence), FieldInput("field", 1, 1000.0)]
    binner, bins = StreamingBinner(inputs, WIDTH, start=0.0), []
    while True:
        try:
            for one in replay.read(0.0):
                if one.kind.value == "spikes":
                    binner.push_spikes(one.name, one.times, one.values, until=one.until, unrecorded=one.unrecorded)
                else:
                    binner.push_samples(one.name, one.values, one.times)
            bins += binner.ready(replay.played)
        except EndOfStream:
            return bins, binner


def rows(bins, name, channels):
    """Values of a modality, NaN where missing."""
    return np.stack([np.full(channels, np.nan) if b.observations[name] is None else b.observations[name] for b in bins])


@settings(max_examples=25, deadline=None)
@given(
    supports=st.lists(stretches, min_size=3, max_size=3),
    alike=st.booleans(),
    invalid=st.one_of(st.just([]), stretches),
    chunk=st.sampled_from([0.003, 0.005, 0.0137, 0.5]),
)
def test_a_replay_is_missing_where_the_file_is(supports, alike, invalid, chunk):
    supports = [TimeSupport.of([[2.5, 3.0], *in_seconds(rows)]) for rows in supports]
    recording = session(
        [supports[0]] * 3 if alike else supports, [(start, length // 10 + 1) for start, length in invalid[:2]]
    )
    modalities = [Spikes(), Field("field", source="lfp", bands=None)]
    batch = to_bins(recording, width=WIDTH, modalities=modalities, target=(), interval=(0.0, SECONDS))
    bins, _ = live_bins(recording, chunk)
    assert len(bins) >= 298
    for name, channels in (("spikes", 3), ("field", 1)):
        found = rows(bins, name, channels)
        np.testing.assert_array_equal(~np.isnan(found), batch.observed[name][: len(bins)])
        np.testing.assert_allclose(np.nan_to_num(found), batch.observations[name][: len(bins)], rtol=1e-5)


def test_silence_that_cannot_be_one_is_not_played_as_zeros():
    """No support is stated, and the units stop a second before the field does: the source says so."""
    recording = session(None)
    trains = recording.spike_trains().between(0.0, 1.9)
    recording = replace(recording, spikes={"spikes": replace(trains, support=None)})
    bins, _ = live_bins(recording, 0.005, silence=0.5)
    missing = [b.observations["spikes"] is None for b in bins]
    assert missing == [b.time - WIDTH > trains.stop - 1e-9 for b in bins]  # those that begin later


def test_a_unit_that_is_missing_does_not_take_the_others_along():
    binner = StreamingBinner([SpikeInput("spikes", 3)], WIDTH, start=0.0)
    pauses = [(1, 0.012, 0.018), (-1, 0.03, 0.0401)]
    binner.push_spikes("spikes", np.array([0.005, 0.015]), np.array([1, 2]), until=0.06, unrecorded=pauses)
    found = rows(binner.ready(0.06), "spikes", 3)
    missing = np.zeros((6, 3), bool)
    missing[1, 1] = missing[3:5] = True
    np.testing.assert_array_equal(np.isnan(found), missing)
    assert found[0].tolist() == [0, 1, 0]
    assert found[1, 2] == 1


def test_pauses_follow_the_labels_of_their_units():
    """The model's units b and a, played a stream of a, x and b in which x and b were not recorded for a bin each."""
    binner = StreamingBinner([SpikeInput("spikes", 2, labels=("b", "a"))], WIDTH, start=0.0)
    pauses = [(1, 0.0, 0.01), (2, 0.01, 0.02), (-1, 0.02, 0.03), (7, 0.03, 0.04)]
    times, units = np.array([0.005]), np.array([0])
    binner.push_spikes("spikes", times, units, until=0.05, labels=("a", "x", "b"), unrecorded=pauses)
    found = rows(binner.ready(0.05), "spikes", 2)
    expected = np.array([[0, 1], [np.nan, 0], [np.nan, np.nan], [0, 0], [0, 0]])
    np.testing.assert_array_equal(found, expected)
    assert [event.kind for event in binner.log].count(
        EventKind.BAD_INPUT
    ) == 1  # of a unit that the stream does not have


@pytest.mark.parametrize("wrong", [(3, 0.0, 1.0), (-2, 0.0, 1.0), (0, 1.0, 0.0), (0, np.nan, 1.0), (0, 0.0, np.inf)])
def test_pauses_that_make_no_sense_are_in_the_log_and_nowhere_else(wrong):
    binner = StreamingBinner([SpikeInput("spikes", 3)], WIDTH, start=0.0)
    binner.push_spikes("spikes", np.array([0.005]), np.array([1]), until=0.02, unrecorded=[wrong])
    assert not np.isnan(rows(binner.ready(0.02), "spikes", 3)).any()
    assert [event.kind for event in binner.log] == [EventKind.BAD_INPUT]


def test_pauses_travel_as_bytes():
    same(decode_chunk(encode(paused())), paused())
    assert b"unrecorded" not in encode(replace(paused(), unrecorded=()))[1]
    assert "unrecorded" in _chunk_fields(paused())["format"]
