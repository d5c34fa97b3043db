"""A real NWB file played as a source."""

import json
import math

import numpy as np
import pytest
from oracles.streams import drain, estimate, joined, samples
from recording.make_nwb import write_nwb

from neurodyn.errors import InputError
from neurodyn.realtime.streams import EndOfStream, open_source, parse_address
from neurodyn.realtime.streams.file import FileReplay, JsonLinesSink, ReplayOptions, stream_names
from neurodyn.recording import Recording, Signal, SpikeTrains, read_nwb


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_nwb(tmp_path_factory.mktemp("replay") / "session.nwb", seconds=2.0)


@pytest.fixture(scope="module")
def recording(path):
    return read_nwb(path)


class Clock:
    """Time that passes when somebody sleeps."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def check_all_played(chunks, recording):
    field, spikes = joined(chunks, "field"), joined(chunks, "spikes")
    np.testing.assert_array_equal(field.values, recording.field().values)
    np.testing.assert_allclose(field.times, recording.field().times)
    for unit, train in enumerate(recording.spike_trains().times):
        np.testing.assert_array_equal(spikes.times[spikes.values == unit], train)


def test_everything_is_played_once_and_in_order(path, recording):
    chunks = drain(open_source(parse_address(f"file://{path}?speed=inf")), lambda _: False)
    check_all_played(chunks, recording)
    with pytest.raises(EndOfStream):
        FileReplay(recording, ReplayOptions(speed=math.inf, start=5.0)).read(0.0)


@pytest.mark.parametrize("speed", [0.5, 1.0, 20.0])
def test_a_sample_comes_when_it_would_have_been_taken(recording, speed):
    clock = Clock()
    options = ReplayOptions(speed=speed, chunk=0.01)
    replay = FileReplay(recording, options, live=True, clock=clock, sleep=clock.sleep)
    first = min(recording.field().start, recording.spike_trains().start)
    chunks = []
    while True:
        try:
            got = replay.read(0.003)
        except EndOfStream:
            break
        for chunk in got:
            chunks.append(chunk)
            if not len(chunk.times):
                continue
            due = 100.0 + (chunk.times[-1] - 100.0) / speed
            assert due - 1e-9 <= clock.now <= due + (0.01 + 0.01) / speed + 0.003
    shifted = [c.__class__(c.name, c.times - 100.0 + first, c.values, c.kind) for c in chunks]
    np.testing.assert_allclose(joined(shifted, "field").times, recording.field().times, atol=1e-9)
    assert clock.now - 100.0 == pytest.approx(replay.seconds / speed, abs=0.05)


def test_a_late_reader_gets_all_that_is_due_at_once(recording):
    clock = Clock()
    replay = FileReplay(recording, clock=clock, sleep=clock.sleep)
    replay.read(0.0)
    clock.now += 1.0
    assert len(joined(replay.read(0.0), "field").times) == pytest.approx(250, abs=2)


def test_streams_are_called_as_the_modalities_of_decode(recording):
    assert stream_names(recording) == {"spikes": "spikes", "lfp": "field"}
    replay = FileReplay(recording, ReplayOptions(names={"lfp": "lfp"}))
    assert [chunk.name for chunk in replay.first_chunks()] == ["lfp"]
    with pytest.raises(InputError, match="unknown units, field or intervals 'lpf': did you mean 'lfp'"):
        FileReplay(recording, ReplayOptions(names={"lpf": "field"}))


@pytest.mark.parametrize("options", [{"speed": 0.0}, {"speed": math.nan}, {"chunk": 0.0}, {"chunk": math.inf}])
def test_a_speed_or_chunk_that_cannot_be_is_refused(options):
    with pytest.raises(InputError, match="must be more than 0"):
        ReplayOptions(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": 600.0, "stop": 60.0}, "must start before it stops"),
        ({"start": math.nan}, "the start of a replay must be a time"),
        ({"stop": math.inf}, "the stop of a replay must be a time"),
    ],
)
def test_a_part_that_cannot_be_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        ReplayOptions(**options)


def test_a_reader_that_comes_late_gets_nothing_after_the_stop(recording):
    clock = Clock()
    first = float(recording.field().times[0])
    replay = FileReplay(recording, ReplayOptions(stop=first + 0.5), clock=clock, sleep=clock.sleep)
    chunks = replay.read(0.0)
    clock.now += 10.0
    chunks += replay.read(0.0)
    assert max(chunk.times[-1] for chunk in chunks if len(chunk.times)) <= first + 0.5


def test_estimates_are_lines_of_json(tmp_path):
    sink = JsonLinesSink(tmp_path / "decoded.jsonl")
    sink.write(estimate(0.5))
    sink.close()
    again = JsonLinesSink(tmp_path / "decoded.jsonl")
    again.write(estimate(0.6))
    with pytest.raises(InputError, match="estimates only"):
        again.write(samples())
    again.close()
    lines = [json.loads(line) for line in (tmp_path / "decoded.jsonl").read_text().splitlines()]
    assert [line["time"] for line in lines] == [0.5, 0.6]
    assert lines[0] == {
        "time": 0.5,
        "target": [0.5, 1.0],
        "lower": [-0.5, 0.0],
        "upper": [1.5, 2.0],
        "seen": ["spikes"],
        "stale": [],
        "unusual": [],
    }
    with pytest.raises(InputError, match="cannot write"):
        JsonLinesSink(tmp_path / "no" / "folder.jsonl")


@pytest.mark.parametrize("start", [0.0, 3600.3, 1e6])
@pytest.mark.parametrize("samples_per_chunk", [1, 3, 7])
def test_samples_on_the_edges_of_chunks_are_played_once_and_the_last_is_too(start, samples_per_chunk):
    """Every sample and spike is a tick, and chunks are a whole number of ticks."""
    ticks = np.arange(20 * samples_per_chunk + 1)
    times = start + ticks / 1000.0
    recording = Recording(
        "r",
        {"spikes": SpikeTrains("spikes", (times,), ("a",))},
        {"lfp": Signal("lfp", ticks[:, None].astype(float), rate=1000.0, start=start)},
    )
    replay = FileReplay(recording, ReplayOptions(speed=math.inf, chunk=samples_per_chunk / 1000.0))
    chunks = drain(replay, lambda _: False)
    np.testing.assert_array_equal(joined(chunks, "field").values[:, 0], ticks)
    np.testing.assert_array_equal(joined(chunks, "spikes").times, times)
    # A chunk holds the ticks of its own, none of its neighbour's.
    sizes = [len(chunk.times) for chunk in chunks if chunk.name == "spikes"]
    assert sizes[:20] == [samples_per_chunk] * 20
