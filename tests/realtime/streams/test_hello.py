"""What a stream says of itself: the same over every way for data to go, early and late."""

import json
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from oracles.frozen_decoder import recurrent_decoder
from oracles.session import Collected, Session, recording
from oracles.streams import LIMIT, count, drain, estimate, joined, markers, same, samples, spikes

from neurodyn.errors import InputError
from neurodyn.realtime import EventKind, EventLog, Frozen, RealtimeDecoder
from neurodyn.realtime.inputs import modalities_of
from neurodyn.realtime.markers import Markers
from neurodyn.realtime.streams import Chunk, ChunkKind, Hello, StreamInfo
from neurodyn.realtime.streams.file import FileReplay, ReplayOptions
from neurodyn.realtime.streams.hello import EVERY
from neurodyn.realtime.streams.json_lines import JsonLinesSink
from neurodyn.realtime.streams.lsl import LslSink, LslSource, load_lsl
from neurodyn.realtime.streams.wire import decode_hello, encode_hello, unpack
from neurodyn.realtime.streams.zmq import ZmqSink, ZmqSource
from neurodyn.realtime.writers import SinkWriter
from neurodyn.recording import Intervals, Recording, Signal

OF_ESTIMATES = Hello(
    (
        StreamInfo("spikes", ChunkKind.SPIKES, ("3", "α"), "Hz"),
        StreamInfo("field", ChunkKind.SAMPLES, ("lfp0 8-12 Hz",), "log mV²", rate=1000.0, every=5),
    ),
    target=("x", "y"),
    units=("m", ""),
    width=0.01,
    latent=2,
    model="ab" * 32,
)
OF_DATA = Hello(
    (
        StreamInfo("spikes", ChunkKind.SPIKES, ("3", "7", "15")),
        StreamInfo("field", ChunkKind.SAMPLES, tuple("αbc"), "µV", rate=1000.0),
        StreamInfo("trials", ChunkKind.MARKERS),
    )
)


@pytest.fixture(scope="module")
def batch(lorenz_batch):
    """Training data whose field has a unit and a rate."""
    batch = lorenz_batch[0]
    rows = tuple(row if row.counts else replace(row, unit="log mV²", rate=200.0) for row in batch.modalities)
    return replace(batch, modalities=rows)


@pytest.fixture(scope="module")
def frozen(batch):
    """A decoder of them, whose target has units."""
    made = recurrent_decoder(batch)
    units = ["m", "cm", ""][: len(batch.target_names)]
    return Frozen({**made.settings, "target_units": units}, made.parameters)


@pytest.mark.parametrize("hello", [OF_ESTIMATES, OF_DATA], ids=["estimates", "data"])
def test_it_goes_through_json_and_over_the_wire(hello):
    told = json.loads(json.dumps(hello.to_dict(), allow_nan=False))
    assert Hello.from_dict(told) == hello
    assert Hello.from_dict({**told, "later": 1}) == hello  # what a later version says beside it
    topic, *_ = parts = encode_hello(hello)
    assert topic == b"hello"
    assert decode_hello(parts) == hello
    assert json.loads(parts[1]) == {"version": 1, "hello": told, "arrays": []}


@pytest.mark.parametrize(
    "change",
    [
        {"streams": [{"name": "a"}]}, {"streams": None}, {"target": [1]}, {"width": 0.0}, {"width": 1e400},
        {"latent": 1e400}, {"streams": [{**OF_DATA.to_dict()["streams"][0], "kind": "smell"}]},
        {"streams": [{**OF_DATA.to_dict()["streams"][0], "rate": -1.0}]}, {"model": None, "target": {}, "width": "a"},
    ],
)  # fmt: skip
def test_what_is_not_one_is_refused(change):
    with pytest.raises(InputError, match="expected a hello with streams"):
        Hello.from_dict({**OF_ESTIMATES.to_dict(), **change})
    with pytest.raises(InputError, match="expected a hello"):
        Hello.from_dict([])
    with pytest.raises(InputError, match="a unit for each of 1 dimensions, got 0"):
        Hello((), target=("x",))


def test_it_says_what_the_model_is(frozen, batch):
    """Held against the training data and what a snapshot says of its model."""
    live = RealtimeDecoder(frozen)
    hello = Hello.of(live.runner)
    assert hello.model == bytes(live.snapshot()["model"]).hex()
    assert (hello.width, hello.latent) == (batch.width, 1)
    assert hello.target == batch.target_names
    assert hello.units == ("m", "cm", "")[: len(hello.target)]
    for told, row in zip(hello.streams, batch.modalities, strict=True):
        assert (told.name, told.channels, told.every) == (row.name, row.channels, row.sample_every)
        assert (told.kind is ChunkKind.SPIKES) == row.counts
        assert told.unit == ("Hz" if row.counts else "log mV²")
        assert told.rate == (None if row.counts else 200.0)
    assert [row.unit for row in modalities_of(live)] == ["" if row.counts else "log mV²" for row in batch.modalities]


def test_units_are_no_part_of_the_fingerprint_and_older_decoders_have_none(frozen, lorenz_batch):
    plain = recurrent_decoder(lorenz_batch[0])
    assert "field" not in plain.settings["value_units"]
    np.testing.assert_array_equal(frozen.fingerprint, plain.fingerprint)
    older = {key: value for key, value in frozen.settings.items() if key not in ("value_units", "target_units")}
    hello = Hello.of(RealtimeDecoder(Frozen(older, frozen.parameters)).runner)
    assert set(hello.units) == {""}
    assert [told.unit for told in hello.streams] == [
        "Hz" if told.kind is ChunkKind.SPIKES else "" for told in hello.streams
    ]


# Over each way for data to go ----------------------------------------------------------------------------------------


@pytest.fixture
def sockets():
    """Makes sockets of an endpoint to connect to, or to bind, and closes them."""
    zmq = pytest.importorskip("zmq")
    context = zmq.Context()

    def make(kind, **options):
        socket = context.socket(getattr(zmq, kind))
        for name, value in options.items():
            socket.setsockopt(getattr(zmq, name), value)
        opened.append(socket)
        return socket

    opened = []
    yield make
    context.destroy(linger=0)


def subscriber(sockets, sink, topic):
    socket = sockets("SUB", SUBSCRIBE=topic, RCVTIMEO=int(1e3 * LIMIT))
    socket.connect(sink.endpoint)
    assert sink.wait(LIMIT)
    return socket


def test_over_zeromq_who_subscribes_late_gets_it_within_a_second(sockets):
    sink = ZmqSink("tcp://127.0.0.1:*")
    sink.greet(OF_ESTIMATES)
    early = subscriber(sockets, sink, b"")
    for number in range(3):
        sink.write(estimate(float(number)))
    assert [early.recv_multipart()[0] for _ in range(4)] == [b"hello", b"estimate", b"estimate", b"estimate"]
    late, begin, written = subscriber(sockets, sink, b"hello"), time.monotonic(), 3
    while not late.poll(20):
        assert time.monotonic() < begin + LIMIT
        sink.write(estimate(float(written)))
        written += 1
    assert time.monotonic() - begin < EVERY + 0.5
    assert decode_hello(late.recv_multipart()) == OF_ESTIMATES
    sink.greet(replace(OF_ESTIMATES, model="cd" * 32))  # another model: at once
    sink.write(estimate(0.0))
    assert decode_hello(late.recv_multipart()).model == "cd" * 32
    sink.close()


def test_over_zeromq_readers_of_data_and_of_estimates_see_nothing_of_it(sockets):
    """Those of earlier versions too: they subscribe to the topics of what they know."""
    sink = ZmqSink("tcp://127.0.0.1:*")
    older = subscriber(sockets, sink, b"estimate")
    source = ZmqSource(sink.endpoint)
    drain(source, lambda _: sink.wait(0.01))
    sink.greet(OF_DATA)
    sink.write(samples())
    sink.write(estimate(0.5))
    same(joined(drain(source, count("field", 5)), "field"), samples())
    assert source.read(0.05) == []
    assert unpack(older.recv_multipart())[0]["time"] == 0.5
    source.close()
    sink.close()


def test_data_of_a_publisher_that_says_no_hello_are_read(sockets):
    """Bytes as earlier versions, and the document of the format, have them."""
    publisher = sockets("XPUB")
    port = publisher.bind_to_random_port("tcp://127.0.0.1")
    source = ZmqSource(f"tcp://127.0.0.1:{port}")
    while not publisher.recv().startswith(b"\x01"):
        pass
    header = {"version": 1, "name": "field", "kind": "samples", "until": None}
    arrays = [["times", "<f8", [2]], ["values", "<f4", [2, 1]]]
    parts = [np.array([1.0, 1.5], "<f8").tobytes(), np.array([[3.0], [4.0]], "<f4").tobytes()]
    text = json.dumps({**header, "arrays": arrays}).encode()
    deadline, chunks = time.monotonic() + LIMIT, []
    while not chunks and time.monotonic() < deadline:
        publisher.send_multipart([b"samples/field", text, *parts])
        chunks = source.read(0.05)
    np.testing.assert_array_equal(chunks[0].times, [1.0, 1.5])
    np.testing.assert_array_equal(chunks[0].values, [[3.0], [4.0]])
    source.close()


def test_the_first_line_of_a_file_has_it_and_is_an_estimate(tmp_path):
    path = tmp_path / "decoded.jsonl"
    sink = JsonLinesSink(path)
    sink.greet(OF_ESTIMATES)
    sink.write(estimate(0.5))
    sink.write(estimate(0.6))
    sink.greet(replace(OF_ESTIMATES, model="cd" * 32))
    sink.write(estimate(0.7))
    sink.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["time"] for line in lines] == [0.5, 0.6, 0.7]
    assert ["hello" in line for line in lines] == [True, False, True]
    assert Hello.from_dict(lines[0]["hello"]) == OF_ESTIMATES
    assert Hello.from_dict(lines[2]["hello"]).model == "cd" * 32


@pytest.fixture
def name():
    pytest.importorskip("pylsl")
    return f"hello-{time.monotonic_ns()}"


def described(pylsl, name):
    """Description of a stream, as any reader gets it that comes when it comes."""
    found = pylsl.resolve_bypred(f"name='{name}'", 1, LIMIT)
    inlet = pylsl.StreamInlet(found[0], recover=False)
    description = inlet.info(LIMIT).desc()
    inlet.close_stream()
    return inlet, description


def children(description, group, one):
    rows, child = [], description.child(group).child(one)
    while not child.empty():
        rows.append(tuple(child.child_value(what) for what in ("label", "unit", "type")))
        child = child.next_sibling(one)
    return rows


def test_over_lsl_estimates_are_described_before_the_first(name):
    pylsl, sink = load_lsl(), LslSink(name)
    sink.greet(OF_ESTIMATES)
    _, description = described(pylsl, f"{name}:decoded")
    assert children(description, "channels", "channel") == [
        ("x", "m", "target"), ("y", "", "target"), ("x lower", "m", "lower"), ("y lower", "", "lower"),
        ("x upper", "m", "upper"), ("y upper", "", "upper"),
        ("spikes seen", "", "seen"), ("field seen", "", "seen"), ("spikes stale", "", "stale"),
        ("field stale", "", "stale"), ("spikes unusual", "", "unusual"), ("field unusual", "", "unusual"),
    ]  # fmt: skip
    assert Hello.from_dict(json.loads(description.child_value("hello"))) == OF_ESTIMATES
    sink.greet(replace(OF_ESTIMATES, model="cd" * 32))
    sink.write(estimate(0.5))  # to the same outlet: whoever reads it is not cut off
    _, description = described(pylsl, f"{name}:decoded")
    assert Hello.from_dict(json.loads(description.child_value("hello"))).model == OF_ESTIMATES.model
    sink.close()


def test_over_lsl_the_streams_of_a_replay_are_described_and_read_as_before(name):
    pylsl, sink, source = load_lsl(), LslSink(name), LslSource(name)
    sink.greet(OF_DATA)
    for chunk in (spikes(), samples(), markers()):
        sink.announce(chunk)
    for stream in OF_DATA.streams:
        _, description = described(pylsl, f"{name}:{stream.name}")
        assert Hello.from_dict(json.loads(description.child_value("hello"))) == Hello((stream,))
    _, field = described(pylsl, f"{name}:field")
    assert children(field, "channels", "channel") == [(label, "µV", "") for label in "αbc"]
    assert sink.wait(0.0) or drain(source, lambda _: sink.wait(0.01)) == []
    for chunk in (spikes(), samples(), markers()):
        sink.write(chunk)
    found = drain(
        source, lambda chunks: all(count(n, k)(chunks) for n, k in (("field", 5), ("spikes", 3), ("trials", 3)))
    )
    same(joined(found, "field"), samples())
    same(joined(found, "spikes"), spikes())
    source.close()
    sink.close()


def test_a_replay_says_what_it_plays():
    made = recording(2.0)
    field = Signal("lfp", made.field().values, rate=200.0, channels=made.field().channels, unit="mV")
    cues = Intervals("cues", np.array([0.5]), np.array([0.6]), ("go",))
    played = Recording("made", made.spikes, {"lfp": field}, intervals={"cues": cues})
    hello = FileReplay(played, ReplayOptions(names={"spikes": "spikes", "lfp": "field", "cues": "control"})).hello()
    assert hello == Hello(
        (
            StreamInfo("spikes", ChunkKind.SPIKES, made.spike_trains("spikes").units),
            StreamInfo("field", ChunkKind.SAMPLES, field.channels, "mV", rate=200.0),
            StreamInfo("control", ChunkKind.MARKERS),
        )
    )


# In a session -------------------------------------------------------------------------------------------------------


class Greeted(Collected):
    """Keeps hellos and estimates in the order in which they come."""

    never_blocks = True

    def __init__(self):
        super().__init__()
        self.items = []

    def greet(self, hello):
        self.items.append(hello)

    def write(self, item):
        self.items.append(item)


def test_a_session_says_it_first_and_again_after_a_swap(frozen):
    live, log, sink = RealtimeDecoder(frozen), EventLog(), Greeted()
    other = Frozen(frozen.settings, frozen.parameters * 1.01)
    mark = Markers(live, log.record, models={"other": live.ready(other)})
    sent = [Chunk.of_markers("control", [(1.0, "swap other")])]

    def fault(chunks, played):
        return [*chunks, sent.pop()] if sent and played >= 1.0 else chunks

    session = Session(
        live, modalities_of(live), recording(2.0), fault=fault, markers=mark, log=log,
        sinks=[SinkWriter(sink, "greeted", log)],
    )  # fmt: skip
    session.run()
    places = [place for place, item in enumerate(sink.items) if isinstance(item, Hello)]
    first, second = (sink.items[place] for place in places)
    assert places[0] == 0
    assert (first.model, second.model) == (bytes(frozen.fingerprint).hex(), bytes(other.fingerprint).hex())
    assert replace(second, model=first.model) == first
    assert sink.items[places[1] - 1].time == pytest.approx(1.0)
    assert len(sink.items) == 2 + len(session.collected.estimates)


class Stalls:
    """Takes what it is given when it is told to."""

    def __init__(self, release):
        self.release, self.items = release, []

    def greet(self, hello):
        self.items.append(hello)

    def write(self, item):
        assert self.release.wait(LIMIT)
        self.items.append(item)

    def close(self):
        pass


def test_a_sink_that_stalls_loses_estimates_and_no_hello():
    sink = Stalls(threading.Event())
    writer = SinkWriter(sink, "stalls", EventLog(), size=4)
    one, two = OF_ESTIMATES, replace(OF_ESTIMATES, model="cd" * 32)
    writer.greet(one)
    writer.put(estimate(0.0))
    deadline = time.monotonic() + LIMIT
    while not sink.items and time.monotonic() < deadline:
        time.sleep(0.01)
    for number in range(1, 4):
        writer.put(estimate(float(number)))
    writer.greet(two)
    for number in range(4, 20):
        writer.put(estimate(float(number)))
    sink.release.set()
    writer.close(LIMIT)
    assert [one, two] == [item for item in sink.items if isinstance(item, Hello)]
    times = [item.time for item in sink.items if not isinstance(item, Hello)]
    place = sink.items.index(two)
    assert all(item.time >= 4.0 for item in sink.items[place + 1 :])
    assert len(times) + writer.dropped == 20
    assert times[-1] == 19.0


def test_a_sink_without_a_hello_and_one_that_fails_at_it_go_on():
    class Fails(Collected):
        never_blocks = True

        def greet(self, hello):
            raise OSError("no ink")

    log, plain, fails = EventLog(), Collected(), Fails()
    for sink, name in ((plain, "plain"), (fails, "fails")):
        writer = SinkWriter(sink, name, log)
        writer.greet(OF_ESTIMATES)
        writer.put(estimate(0.5))
        writer.close()
        assert [one.time for one in sink.estimates] == [0.5]
    (event,) = (event for event in log if event.kind is EventKind.SINK_STALLED)
    assert event.detail == "sink fails fails: OSError: no ink"
    assert writer.dropped == 0
