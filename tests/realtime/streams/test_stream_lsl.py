"""Chunks and estimates through real outlets and inlets of Lab Streaming Layer, on this machine."""

import os
import time
import uuid

import numpy as np
import pytest
from oracles.streams import LIMIT, count, drain, estimate, joined, markers, paused, same, samples, spikes

from neurodyn.errors import InputError
from neurodyn.realtime.connection import Connection
from neurodyn.realtime.events import EventKind
from neurodyn.realtime.inputs import learn_rates
from neurodyn.realtime.streams import ChunkKind, Hello, StreamInfo
from neurodyn.realtime.streams.lsl import LslSink, LslSource, load_lsl

pylsl = pytest.importorskip("pylsl")


@pytest.fixture
def name():
    return f"test-{os.getpid()}-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def source(name):
    source = LslSource(name)
    yield source
    source.close()


def connected(source, *outlets):
    """Read until every outlet has this reader."""
    deadline = time.monotonic() + LIMIT
    while not all(outlet.have_consumers() for outlet in outlets):
        source.read(0.01)
        assert time.monotonic() < deadline, "the outlets were not found"


def opened(name, source, *chunks):
    sink = LslSink(name)
    for chunk in chunks:
        sink.announce(chunk)
    connected(source, *sink._outlets.values())
    return sink


def test_chunks_arrive_as_they_were_sent(name, source):
    sink = opened(name, source, samples(), spikes())
    for chunk in (samples(), spikes(), samples(start=2.0)):
        sink.write(chunk)
    got = drain(source, lambda chunks: count("field", 10)(chunks) and count("spikes", 3)(chunks))
    same(joined(got, "spikes"), spikes())
    field = joined(got, "field")
    np.testing.assert_array_equal(field.times, np.concatenate([samples().times, samples(start=2.0).times]))
    np.testing.assert_array_equal(field.values, np.concatenate([samples().values, samples(start=2.0).values]))
    sink.close()


def test_pauses_arrive_as_they_were_sent(name, source):
    sink = opened(name, source, paused())
    for start in (1.0, 2.0):
        sink.write(paused(start=start))
    got = drain(source, count("spikes", 4))
    found = joined(got, "spikes")
    assert sorted(found.unrecorded) == sorted(paused().unrecorded + paused(start=2.0).unrecorded)
    np.testing.assert_array_equal(found.times, np.concatenate([paused().times, paused(start=2.0).times]))
    sink.close()


def test_markers_arrive_as_they_were_sent(name, source):
    sink = opened(name, source, markers())
    sink.write(markers())
    got = drain(source, count("trials", 3))
    assert [marker for chunk in got for marker in chunk.markers()] == markers().markers()
    sink.close()


def test_markers_of_another_program_are_read(name, source):
    """As PsychoPy and others send them: an irregular stream of texts of type ``Markers``."""
    load_lsl()
    outlet = pylsl.StreamOutlet(pylsl.StreamInfo(name, "Markers", 1, pylsl.IRREGULAR_RATE, pylsl.cf_string, "task"))
    connected(source, outlet)
    outlet.push_sample(["go"], 3.5)
    (got,) = drain(source, len)
    assert (got.name, got.markers()) == (name, [(3.5, "go")])


def test_a_marker_that_is_not_a_text_is_lost_alone_and_told(name, source):
    """Bytes of another code page, as a program in C sends them, between markers and samples that are good."""
    load_lsl()
    outlet = pylsl.StreamOutlet(pylsl.StreamInfo(name, "Markers", 1, pylsl.IRREGULAR_RATE, pylsl.cf_string, "task"))
    field = opened(name, source, samples())
    connected(source, outlet)
    sent = ["début", "début".encode("latin-1"), "go", b"\xff" * 200, b"\xfe", b"\x80", b"\x81", "end"]
    # Held back until the last, so that good and bad ones are in one chunk.
    for number, text in enumerate(sent):
        outlet.push_sample([text], 3.0 + number, pushthrough=number == len(sent) - 1)
    field.write(samples())
    chunks, told = [], []
    deadline = time.monotonic() + LIMIT
    while not (count("field", 5)(chunks) and count(name, 3)(chunks) and told) and time.monotonic() < deadline:
        try:
            chunks += source.read(0.05)
        except InputError as error:
            told.append(str(error))
    found = [marker for chunk in chunks if chunk.name == name for marker in chunk.markers()]
    assert found == [(3.0, "début"), (5.0, "go"), (10.0, "end")]
    same(joined(chunks, "field"), samples())
    (text,) = told
    assert f"the marker of '{name}' at 4 s is not a text in UTF-8: b'd\\xe9but'; " in text
    assert text.endswith("; and 2 more")
    assert len(text) < 1000
    outlet.push_sample(["again"], 20.0)
    assert [chunk.markers() for chunk in drain(source, len)] == [[(20.0, "again")]]
    field.close()


def test_a_session_goes_on_after_a_marker_that_is_not_a_text(name):
    """From the first read on: while rates are learned from the first data, and then in the session's own reads."""
    load_lsl()
    outlet = pylsl.StreamOutlet(pylsl.StreamInfo(name, "Markers", 1, pylsl.IRREGULAR_RATE, pylsl.cf_string, "task"))
    source, events, early = LslSource(name), [], []
    connected(source, outlet)
    outlet.push_sample([b"\xff"], 1.0)
    with pytest.raises(InputError, match="no samples of 'field'"):
        learn_rates(source, ["field"], timeout=1.0, say=early.append)
    assert early == [f"the marker of '{name}' at 1 s is not a text in UTF-8: b'\\xff'"]
    connection = Connection(lambda: source, lambda *event: events.append(event), reopen_after=0.5, wall=time.monotonic)
    assert connection.open()
    outlet.push_sample([b"\xfe"], 2.0)
    outlet.push_sample(["go"], 3.0)
    deadline, markers_ = time.monotonic() + LIMIT, []
    while not (markers_ and events) and time.monotonic() < deadline:
        markers_ += [marker for chunk in connection.read(0.05) for marker in chunk.markers()]
    assert markers_ == [(3.0, "go")]
    assert [(kind, modality) for kind, modality, _ in events] == [(EventKind.BAD_INPUT, "")]  # it is not lost
    assert "at 2 s" in events[0][2]
    connection.close()


def test_an_outlet_of_another_program_is_read_by_its_whole_name(name, source):
    load_lsl()
    outlet = pylsl.StreamOutlet(pylsl.StreamInfo(name, "EEG", 2, 250.0, pylsl.cf_float32, "amplifier"))
    connected(source, outlet)
    outlet.push_chunk(np.ones((4, 2), np.float32), [1.0, 1.004, 1.008, 1.012])
    got = joined(drain(source, count(name, 4)), name)
    assert got.values.dtype == np.float32
    np.testing.assert_array_equal(got.times, [1.0, 1.004, 1.008, 1.012])


def test_a_restarted_outlet_is_found_again(name, source):
    sink = opened(name, source, samples())
    sink.write(samples())
    assert drain(source, count("field", 5))
    sink.close()
    again = opened(name, source, samples())
    again.write(samples(start=3.0))
    same(joined(drain(source, count("field", 5)), "field"), samples(start=3.0))


def test_the_stream_of_estimates_is_not_taken_for_data(name, source):
    sink = LslSink(name)
    sink.write(estimate(0.0))
    info = pylsl.resolve_bypred(f"name='{name}:decoded'", 1, LIMIT)[0]
    inlet = pylsl.StreamInlet(info, recover=False)
    inlet.open_stream(LIMIT)
    sink.write(estimate(0.5))
    values, stamps = inlet.pull_chunk(timeout=LIMIT, min_samples=1)
    assert stamps == [0.5]
    assert values == [[0.5, 1.0, -0.5, 0.0, 1.5, 2.0]]
    deadline = time.monotonic() + 1.2
    assert drain(source, lambda _: time.monotonic() > deadline) == []
    inlet.close_stream()


def test_the_flags_of_an_estimate_are_channels_behind_it(name):
    """In the order of the description: seen, stale and unusual, of each modality in each."""
    modalities = tuple(StreamInfo(one, ChunkKind.SAMPLES) for one in ("spikes", "field", "emg"))
    sink = LslSink(name)
    sink.greet(Hello(modalities, ("x", "y"), ("", ""), 0.01, 2, "ab" * 32))
    inlet = pylsl.StreamInlet(pylsl.resolve_bypred(f"name='{name}:decoded'", 1, LIMIT)[0], recover=False)
    inlet.open_stream(LIMIT)
    sink.write(estimate(0.5))
    sink.write(estimate(0.6)._replace(seen=("field", "emg"), stale=("spikes",), unusual=("emg", "field")))
    values = []
    deadline = time.monotonic() + LIMIT
    while len(values) < 2 and time.monotonic() < deadline:
        values += inlet.pull_chunk(timeout=LIMIT, min_samples=1)[0]
    assert values[0] == [0.5, 1.0, -0.5, 0.0, 1.5, 2.0, 1, 0, 0, 0, 0, 0, 0, 0, 0]
    assert values[1][6:] == [0, 1, 1, 1, 0, 0, 0, 1, 1]
    inlet.close_stream()


def test_an_outlet_made_before_it_was_said_what_it_is_of_goes_on_without_flags(name):
    sink = LslSink(name)
    sink.write(estimate(0.0))
    inlet = pylsl.StreamInlet(pylsl.resolve_bypred(f"name='{name}:decoded'", 1, LIMIT)[0], recover=False)
    inlet.open_stream(LIMIT)
    sink.greet(Hello((StreamInfo("spikes", ChunkKind.SPIKES),), ("x", "y"), ("", ""), 0.01, 2, "ab" * 32))
    sink.write(estimate(0.5))
    assert inlet.pull_chunk(timeout=LIMIT, min_samples=1)[0] == [[0.5, 1.0, -0.5, 0.0, 1.5, 2.0]]
    inlet.close_stream()


def test_the_clock_of_another_machine_is_followed_as_it_drifts(name, monkeypatch):
    """A real outlet that is said to be elsewhere; the one call that stands in is the measurement of its clock."""
    load_lsl()
    asked, every, drift = [], 0.2, 0.125

    class Drifting(pylsl.StreamInlet):
        def time_correction(self, timeout):
            asked.append(time.monotonic())
            return 10.0 + drift * (len(asked) - 1)

    monkeypatch.setattr(pylsl, "StreamInlet", Drifting)
    monkeypatch.setattr("neurodyn.realtime.streams.lsl.CORRECT_EVERY", every)
    monkeypatch.setattr("neurodyn.realtime.streams.lsl.socket.gethostname", lambda: "another")
    source = LslSource(name)
    sink = opened(name, source, samples())
    offsets, deadline = [], time.monotonic() + LIMIT
    while len(set(offsets)) < 4 and time.monotonic() < deadline:
        sink.write(samples(n=1))
        offsets += [chunk.times[0] - 1.0 for chunk in source.read(0.02)]
    assert offsets == sorted(offsets)
    assert set(np.round((np.array(offsets) - 10.0) / drift, 9)) <= set(range(len(asked)))
    assert len(set(offsets)) == 4  # an offset of the start alone would stay the same
    assert np.diff(asked[1:]).min() >= every  # and not with every read
    source.close()
    sink.close()


def test_a_name_with_a_quote_is_refused():
    with pytest.raises(InputError, match="quote"):
        LslSource("it's")
