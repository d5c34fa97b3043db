"""Live units and channels go by label: against counts of integer ticks, whatever order and company they come in."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.session import Session, largest_difference, recording

from neurodyn.binning import BandPower, Modality, Spikes, to_bins
from neurodyn.errors import InputError
from neurodyn.realtime import EventKind, FieldInput, RealtimeDecoder, SpikeInput, StreamingBinner
from neurodyn.realtime.inputs import as_spikes, binner_inputs, labels_of
from neurodyn.realtime.labels import from_bytes, labelled, labels_in, match, to_bytes
from neurodyn.realtime.streams import Chunk, ChunkKind
from neurodyn.realtime.streams.file import FileReplay, ReplayOptions
from neurodyn.recording import Recording, Signal, SpikeTrains

TICK = 0.001
"""Seconds: spikes are whole ticks, in the middle of which they lie, so that no bin edge is near."""
WIDTH, BINS = 0.05, 20


@st.composite
def sessions(draw):
    """Ticks of the spikes of each unit in the order of the file, and the units of the model in its own."""
    units = draw(st.lists(st.integers(0, 99).map(str), min_size=1, max_size=6, unique=True))
    chosen = draw(st.permutations(units))[: draw(st.integers(1, len(units)))]
    ticks = st.lists(st.integers(0, int(WIDTH / TICK) * BINS - 1), max_size=40, unique=True).map(sorted)
    return {unit: draw(ticks) for unit in units}, tuple(chosen)


def counts_of(ticks, unit):
    """Spikes of a unit per bin, in whole numbers."""
    counts = [0] * BINS
    for tick in ticks[unit]:
        counts[tick // int(WIDTH / TICK)] += 1
    return counts


def played(ticks):
    """The recording as chunks of a replay, and a field that keeps time."""
    trains = tuple((np.array(ticks[unit]) + 0.5) * TICK for unit in ticks)
    clock = Signal("clock", np.zeros((BINS * 10, 1)), rate=10 / WIDTH)
    return Recording("made", {"spikes": SpikeTrains("spikes", trains, tuple(ticks))}, {"clock": clock})


def live_counts(recording, chosen, push):
    binner = StreamingBinner([SpikeInput("spikes", len(chosen), labels=chosen)], WIDTH, start=0.0)
    replay = FileReplay(recording, ReplayOptions(speed=math.inf, chunk=0.07, start=0.0, stop=BINS * WIDTH))
    bins = []
    for step in range(15):
        for chunk in replay.read(0.0):
            if chunk.kind is ChunkKind.SPIKES:
                push(binner, chunk)
        bins += binner.ready((step + 1) * 0.07)
    return np.array([one.observations["spikes"] for one in bins[:BINS]]), binner


def with_labels(binner, chunk):
    binner.push_spikes(chunk.name, chunk.times, chunk.values, until=chunk.until, labels=chunk.labels)


def arrays_alone(binner, chunk):
    binner.push_spikes(chunk.name, chunk.times, chunk.values, until=chunk.until)


@settings(deadline=None)
@given(sessions(), st.sampled_from([with_labels, arrays_alone]))
def test_offline_and_live_count_the_units_of_the_model(session, push):
    ticks, chosen = session
    if not any(ticks.values()):
        return
    expected = np.array([counts_of(ticks, unit) for unit in chosen]).T
    got, binner = live_counts(played(ticks), chosen, push)
    np.testing.assert_array_equal(got, expected)
    assert binner.log.counts().get(EventKind.LEFT_OUT, 0) == (len(ticks) > len(chosen))
    assert EventKind.BAD_INPUT not in binner.log.counts()
    if expected.any(axis=0).all():
        batch = to_bins(
            played(ticks), width=WIDTH, modalities=[Spikes(units=chosen)], target=(), interval=(0.0, BINS * WIDTH)
        )
        offline = np.zeros_like(expected)
        offline[np.round(batch.time / WIDTH).astype(int) - 1] = batch.observations["spikes"]
        np.testing.assert_array_equal(offline, expected)


def values_of(labels, n=40):
    return np.arange(n)[:, None] + 100.0 * np.array([int(label) for label in labels])


@pytest.mark.parametrize("given_labels", [("1", "2", "3"), ("3", "1", "2"), ("9", "3", "2", "8", "1")])
def test_samples_go_by_label(given_labels):
    binner = StreamingBinner([FieldInput("field", 3, 100.0, labels=("1", "2", "3"))], 0.1, start=0.0)
    binner.push_samples("field", values_of(given_labels), np.arange(40) / 100, labels=given_labels)
    first = binner.ready(0.4)[0].observations["field"]
    np.testing.assert_allclose(first, values_of(("1", "2", "3"))[:10].mean(axis=0))


def test_labels_of_band_powers_are_those_of_the_raw_channels():
    power = BandPower(((1.0, 4.0), (8.0, 12.0)))
    row = Modality("lfp", "gaussian", power.names(("a", "b")))
    (source,) = binner_inputs([row], 0.1, {"lfp": 100.0})
    assert (source.channels, source.labels, labels_of(row)) == (2, ("a", "b"), ("a", "b"))
    raw = Modality("lfp", "gaussian", ("a 1-4 Hz", "b"))
    assert labels_of(raw) == raw.channels


def test_a_stream_without_labels_goes_by_position_and_says_so():
    binner = StreamingBinner([SpikeInput("spikes", 2, labels=("7", "15"))], 0.1, start=0.0)
    for _ in range(3):
        binner.push_spikes("spikes", np.array([0.01, 0.02]), np.array([1, 1]))
    (event,) = [event for event in binner.log if event.kind is EventKind.BY_POSITION]
    assert "the first is taken for 7, number 2 for 15" in event.detail
    np.testing.assert_array_equal(binner.ready(0.2)[0].observations["spikes"][0], 0)


def test_labels_that_are_made_up_are_no_labels():
    assert match("f", ("field0", "field1"), ("lfp_0", "lfp_1")) is None
    assert match("f", ("field0", "field1"), ("E7", "E9")) is None
    with pytest.raises(InputError, match=r"fitted on 2 channels \(field0, field1\), the stream has 3 \(E7, E9, E11\)"):
        match("f", ("field0", "field1"), ("E7", "E9", "E11"))
    with pytest.raises(InputError, match="it lacks 7, 15"):
        match("f", ("7", "15"), ("0", "1"))  # these may be numbers of other units
    np.testing.assert_array_equal(match("f", ("lfp_1",), ("lfp_0", "lfp_1")), [1])


def test_what_cannot_be_matched_is_refused_until_it_can_be():
    binner = StreamingBinner([SpikeInput("spikes", 2, labels=("7", "15"))], 0.1, start=0.0)
    one = np.array([0.05]), np.array([0])
    for _ in range(2):
        with pytest.raises(InputError, match=r"\(7, 15\), the stream has 2 \(7, 12\): it lacks 15"):
            binner.push_spikes("spikes", *one, labels=("7", "12"))
    binner.push_spikes("spikes", *one, labels=("15", "7"))
    np.testing.assert_array_equal(binner.ready(0.2)[0].observations["spikes"], [0, 1])


def test_bad_units_and_channels_of_labelled_streams_are_told():
    inputs = [SpikeInput("spikes", 1, labels=("b",)), FieldInput("field", 1, 100.0, labels=("x",))]
    binner = StreamingBinner(inputs, 0.1, start=0.0)
    units = np.array([0.0, 1.0, 2.0, -1.0, np.nan])
    binner.push_spikes("spikes", np.full(5, 0.05), units, labels=("a", "b"))
    binner.push_samples("field", np.ones((2, 3)), np.array([0.0, 0.01]), labels=("w", "x"))
    assert binner.log.counts("spikes")[EventKind.BAD_INPUT] == 1
    assert any("3 spikes dropped: their unit index is outside the 2" in event.detail for event in binner.log)
    assert any("samples of 2 labelled channels came as (2, 3)" in event.detail for event in binner.log)
    with pytest.raises(InputError, match="a label for each of its 2 channels"):
        SpikeInput("spikes", 2, labels=("a",))


def test_a_session_of_another_order_and_company_decodes_the_same(decoder):
    modalities, live = decoder.fitted_.modalities, RealtimeDecoder(decoder.fitted_)
    usual = recording(4.0)
    trains, field = usual.spikes["spikes"], usual.fields["lfp"]
    order = ["spikes2", "spikes0", "spikes3", "spikes1"]
    more = SpikeTrains("spikes", (trains.times[0] + 1e-3, *trains.select(order).times), ("stranger", *order))
    wide = np.column_stack([field.values[:, [2, 0]], np.full(field.n_samples, 9.0), field.values[:, 1]])
    signal = Signal("lfp", wide, rate=field.rate, channels=("field2", "field0", "noise", "field1"))
    other = Recording("other", {"spikes": more}, {"lfp": signal})
    session = Session(live, modalities, other)
    assert largest_difference(session.run(), Session(live, modalities, usual).run(), 1.0, 3.9) == 0
    assert {event.kind for event in session.log} == {EventKind.LEFT_OUT}
    # A stream that cannot be matched is missing; why is said once.
    stranger = replace(trains, units=("a", "spikes1", "spikes2", "spikes3"))
    session = Session(live, modalities, Recording("other", {"spikes": stranger}, {"lfp": field}))
    assert all("spikes" not in estimate.seen for estimate in session.run())
    (event,) = session.events(EventKind.BAD_INPUT)
    assert "it lacks spikes0" in event.detail


def test_a_model_of_other_units_is_not_swapped_in_and_takes_no_snapshot(decoder):
    fitted = decoder.fitted_
    row = fitted.modalities[0]
    turned = (replace(row, channels=row.channels[::-1]), *fitted.modalities[1:])
    live = RealtimeDecoder(fitted)
    live.step({"spikes": np.ones(4)}, 0.01)
    other = RealtimeDecoder(replace(fitted, modalities=turned))
    with pytest.raises(InputError, match=r"another order or choice of channels: .*spikes3.*the running one .*spikes0"):
        live.swap(replace(fitted, modalities=turned))
    with pytest.raises(InputError, match="the snapshot is of another model"):
        other.restore(live.snapshot())
    assert other.channel_names["spikes"] == ("spikes3", "spikes2", "spikes1", "spikes0")


def test_counts_that_are_taken_apart_keep_their_labels():
    chunk = Chunk("spikes", np.array([1.0]), np.array([[0, 2]]), labels=("a", "b"))
    assert as_spikes(chunk).labels == ("a", "b")


def test_labels_travel_with_arrays_and_messages():
    labels = ("3", "7", "μ")
    values = labelled(np.arange(6, dtype=">i4").reshape(2, 3), labels)
    assert labels_in(values[1:]) == labels
    assert labels_in(np.asarray(values).copy()) == labels
    assert labels_in(np.arange(3)) is None
    assert from_bytes(to_bytes(labels)) == labels
    for bad in (b"{}", b"[1]", b"no", b"\xff", b"[" * 100_000):
        with pytest.raises(ValueError, match=r".*"):
            from_bytes(bad)
