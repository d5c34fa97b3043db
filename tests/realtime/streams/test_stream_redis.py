"""Chunks and estimates through a real Redis server that the test starts."""

import json
import shutil
import socket
import subprocess
import time

import numpy as np
import pytest
from oracles.streams import LIMIT, count, drain, estimate, joined, markers, paused, same, samples, spikes

from neurodyn.errors import InputError
from neurodyn.realtime.streams import ChunkKind, Hello, StreamInfo
from neurodyn.realtime.streams.redis import RedisSink, RedisSource

redis = pytest.importorskip("redis")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_server(port):
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed")
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    client, deadline = redis.Redis(port=port), time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        try:
            client.ping()
            client.close()
            return process
        except redis.ConnectionError:
            time.sleep(0.02)
    process.kill()
    raise AssertionError("redis-server did not start")


@pytest.fixture(scope="module")
def port():
    port = free_port()
    process = start_server(port)
    yield port
    process.terminate()
    process.wait()


@pytest.fixture
def client(port):
    client = redis.Redis(port=port)
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def sink(client, port):
    sink = RedisSink("127.0.0.1", port, "rig")
    yield sink
    sink.close()


@pytest.fixture
def source(client, port):
    source = RedisSource("127.0.0.1", port, "rig")
    yield source
    source.close()


def two_chunks_and_an_error(source):
    """What comes until there are two chunks and one error."""
    chunks, errors, deadline = [], [], time.monotonic() + LIMIT
    while (len(chunks) < 2 or not errors) and time.monotonic() < deadline:
        try:
            chunks += source.read(0.05)
        except InputError as error:
            errors.append(str(error))
    return chunks, errors


def test_chunks_arrive_as_they_were_sent(sink, source):
    for chunk in (samples(), spikes(), samples(start=2.0)):
        sink.write(chunk)
    got = drain(source, lambda chunks: len(chunks) == 3)
    field = [chunk for chunk in got if chunk.name == "field"]
    same(field[0], samples())
    same(field[1], samples(start=2.0))
    same(joined(got, "spikes"), spikes())


def test_markers_arrive_as_they_were_sent(sink, source):
    sink.write(markers())
    (found,) = drain(source, len)
    assert (found.name, found.markers()) == ("trials", markers().markers())


def test_pauses_arrive_as_they_were_sent(sink, source):
    sink.write(paused())
    same(joined(drain(source, count("spikes", 2)), "spikes"), paused())


def test_only_what_comes_after_the_start_is_read_of_a_stream_that_was_there(sink, client, port):
    sink.write(samples())
    source = RedisSource("127.0.0.1", port, "rig")
    sink.write(samples(start=2.0))
    same(joined(drain(source, count("field", 5)), "field"), samples(start=2.0))
    source.close()


def test_an_entry_follows_the_convention(sink, client):
    sink.write(samples())
    ((_, entry),) = client.xrange("rig:field")
    assert np.frombuffer(entry[b"ts"], "<u8") == 1_004_000_000
    assert json.loads(entry[b"sync"]) == {"field": pytest.approx(1.004)}
    np.testing.assert_array_equal(np.frombuffer(entry[b"samples"], "<f8"), samples().values.ravel())


def test_an_entry_of_a_brand_node_is_one_sample(client, port):
    source = RedisSource("127.0.0.1", port, "rig", dtype="int16")
    counts = np.array([1, 0, 3], np.int16)
    entry = {"ts": np.uint64(12_345_000_000).tobytes(), "sync": "{}", "samples": counts.tobytes(), "i": b"\0"}
    client.xadd("rig:spikes", entry)
    got = joined(drain(source, count("spikes", 1)), "spikes")
    np.testing.assert_array_equal(got.times, [12.345])
    np.testing.assert_array_equal(got.values, counts[None])
    source.close()


@pytest.mark.parametrize(
    "entry",
    [
        {"samples": b"12"},
        {"ts": b"\0" * 7, "samples": b"\0" * 4},
        {"ts": b"\0" * 8, "samples": b"\0" * 5},
        {"ts": b"\0" * 8, "samples": b"\0" * 8, "format": json.dumps({"dtype": "O"})},
        {"ts": b"\0" * 8, "samples": b"\0" * 8, "format": "[1]"},
        {"ts": b"\0" * 8, "samples": b"\0" * 8, "format": "[" * 100_000},
        {
            "ts": b"\0" * 8,
            "samples": b"\0" * 8,
            "format": '{"kind": "spikes", "until": 1, "unrecorded": [[1e400, 0, 1]]}',
        },
    ],
)
def test_an_entry_that_cannot_be_read_is_told_and_the_rest_is_read(sink, source, client, entry):
    sink.write(samples())
    client.xadd("rig:field", entry)
    sink.write(samples(start=2.0))
    chunks, errors = two_chunks_and_an_error(source)
    same(chunks[1], samples(start=2.0))
    assert len(errors) == 1
    assert "'rig:field' needs entries" in errors[0]


def test_an_entry_that_is_too_large_in_all_is_lost_alone_and_told(sink, source, client):
    """Of which every field is within what is taken."""
    sink.write(samples())
    client.xadd("rig:field", {"ts": b"\0" * 8, "samples": bytes(40 * 2**20), "times": bytes(30 * 2**20)})
    sink.write(samples(start=2.0))
    chunks, errors = two_chunks_and_an_error(source)
    same(chunks[1], samples(start=2.0))
    (text,) = errors
    assert text.startswith("an entry of 70 MB of Redis stream 'rig:field' is lost, at most 64 MB are taken")


def test_a_read_asks_for_no_more_than_so_many_bytes(sink, source, monkeypatch):
    """By the sizes of late: many small entries are one read soon, large ones are few of each stream."""
    for start in range(400):
        sink.write(samples(start=float(start)))
    reads, deadline = [], time.monotonic() + LIMIT
    while sum(reads) < 400 and time.monotonic() < deadline:
        reads.append(len(source.read(0.05)))
    assert sum(reads) == 400
    first = [taken for taken in reads if taken]
    assert first[0] <= 2  # nothing is known yet, and each could be of 64 MB
    assert max(reads) > 20
    large = samples(n=1000, channels=50)
    monkeypatch.setattr("neurodyn.realtime.streams.redis.MOST_BYTES", 4 * large.values.nbytes)
    source._expected.clear()
    for start in range(10):
        sink.write(samples(start=float(start), n=1000, channels=50))
        sink.write(samples("ecog", start=float(start), n=1000, channels=50))
    time.sleep(0.6)  # longer than a search for new keys takes
    reads, deadline = [], time.monotonic() + LIMIT
    while sum(map(len, reads)) < 20 and time.monotonic() < deadline:
        reads.append(source.read(0.05))
    assert sum(map(len, reads)) == 20
    assert max(sum(chunk.values.nbytes for chunk in chunks) for chunks in reads) <= 4 * large.values.nbytes
    assert {chunk.name for chunk in next(chunks for chunks in reads if len(chunks) > 1)} == {
        "field",
        "ecog",
    }  # none keeps the other from being read


def test_an_estimate_has_its_flags(sink, client):
    sink.write(estimate(0.25)._replace(stale=("field", "emg"), unusual=("spikes",)))
    ((_, entry),) = client.xrange("rig:decoded")
    told = {name: json.loads(entry[name.encode()]) for name in ("seen", "stale", "unusual")}
    assert told == {"seen": ["spikes"], "stale": ["field", "emg"], "unusual": ["spikes"]}


def test_the_stream_of_estimates_has_the_target_as_samples(sink, source, client):
    sink.write(estimate(0.25))
    ((_, entry),) = client.xrange("rig:decoded")
    np.testing.assert_array_equal(np.frombuffer(entry[b"samples"], "<f4"), [0.25, 1.0])
    assert abs(int(np.frombuffer(entry[b"ts"], "<u8")[0]) - time.monotonic_ns()) < 60e9
    assert json.loads(entry[b"sync"]) == {"time": 0.25}
    deadline = time.monotonic() + 0.7
    assert drain(source, lambda _: time.monotonic() > deadline) == []


def test_what_streams_are_of_stands_under_keys_that_no_source_reads(sink, source, client):
    data = Hello(
        (StreamInfo("field", ChunkKind.SAMPLES, tuple("αbc"), "µV", 1000.0), StreamInfo("spikes", ChunkKind.SPIKES))
    )
    decoded = Hello((StreamInfo("spikes", ChunkKind.SPIKES, unit="Hz"),), ("x",), ("m",), 0.01, 4, "ab" * 32)
    sink.greet(data)
    sink.write(samples())
    told = {name: Hello.from_dict(json.loads(client.get(f"rig:{name}:hello"))) for name in ("field", "spikes")}
    assert told == {one.name: Hello((one,)) for one in data.streams}
    sink.greet(decoded)
    sink.write(estimate(0.25))
    assert Hello.from_dict(json.loads(client.get("rig:decoded:hello"))) == decoded
    client.flushall()  # a server that has lost everything has it again with an entry a second later
    deadline = time.monotonic() + LIMIT
    while not client.exists("rig:decoded:hello") and time.monotonic() < deadline:
        sink.write(estimate(0.5))
        time.sleep(0.05)
    assert Hello.from_dict(json.loads(client.get("rig:decoded:hello"))) == decoded
    sink.write(samples(start=2.0))
    deadline = time.monotonic() + 0.7  # longer than a search for new keys takes
    same(joined(drain(source, lambda _: time.monotonic() > deadline), "field"), samples(start=2.0))


def test_a_lost_server_raises_and_a_new_source_goes_on():
    port = free_port()
    process = start_server(port)
    source = RedisSource("127.0.0.1", port, "rig")
    process.kill()
    process.wait()
    with pytest.raises(redis.RedisError):
        drain(source, lambda _: False)
    with pytest.raises(InputError, match=f"no Redis server answers at 127.0.0.1:{port}"):
        RedisSource("127.0.0.1", port, "rig")
    process = start_server(port)
    source.close()
    try:
        source, sink = RedisSource("127.0.0.1", port, "rig"), RedisSink("127.0.0.1", port, "rig")
        sink.write(samples())
        same(joined(drain(source, count("field", 5)), "field"), samples())
        sink.close()
        source.close()
    finally:
        process.terminate()
        process.wait()
