"""Chunks and estimates over real ZeroMQ sockets on loopback."""

import json
import re
import time

import numpy as np
import pytest
from oracles.streams import LIMIT, count, drain, estimate, joined, markers, paused, same, samples, spikes

from neurodyn.errors import InputError
from neurodyn.realtime.streams.wire import ESTIMATE, _pack, decode_chunk, encode, unpack
from neurodyn.realtime.streams.zmq import ZmqSink, ZmqSource

zmq = pytest.importorskip("zmq")


@pytest.fixture
def sink():
    sink = ZmqSink("tcp://127.0.0.1:*")
    yield sink
    sink.close()


@pytest.fixture
def source(sink):
    source = ZmqSource(sink.endpoint)
    assert sink.wait(5.0)
    yield source
    source.close()


def test_chunks_arrive_as_they_were_sent(sink, source):
    sent = [samples(), spikes(), samples(start=2.0)]
    for chunk in sent:
        sink.write(chunk)
    got = drain(source, lambda chunks: len(chunks) == 3)
    for one, other in zip(got, sent, strict=True):
        same(one, other)


def test_markers_arrive_as_they_were_sent(sink, source):
    sink.write(markers())
    (found,) = drain(source, len)
    assert (found.name, found.markers()) == ("trials", markers().markers())


def test_pauses_arrive_as_they_were_sent(sink, source):
    sink.write(paused())
    same(joined(drain(source, count("spikes", 2)), "spikes"), paused())


def test_nothing_to_read_is_an_empty_list(source):
    assert source.read(0.0) == []


def test_a_restarted_publisher_is_found_again(sink, source):
    sink.write(samples())
    assert drain(source, count("field", 5))
    endpoint = sink.endpoint
    sink.close()
    again = ZmqSink(endpoint)
    try:
        drain(source, lambda _: again.wait(0.01))  # a subscriber renews its subscription when it reads
        again.write(samples(start=3.0))
        same(joined(drain(source, count("field", 5)), "field"), samples(start=3.0))
    finally:
        again.close()


@pytest.mark.parametrize(
    "parts",
    [
        [b"samples/field"],
        [b"samples/field", b"\x80\x04K\x01."],
        [b"samples/field", b"[1, 2]", b""],
        [b"samples/field", b'{"version": 2, "arrays": []}'],
        [b"samples/field", json.dumps({"version": 1, "arrays": [["times", "<f8", [2]]]}).encode(), b"\0" * 9],
        [b"samples/field", json.dumps({"version": 1, "arrays": [["times", "|O", [1]]]}).encode(), b"\0" * 8],
        [b"samples/field", json.dumps({"version": 1, "name": "field", "kind": "samples", "arrays": []}).encode()],
    ],
)
def test_a_message_that_is_not_ours_is_told_and_the_rest_is_read(sink, source, parts):
    sink.write(samples())
    sink._socket.send_multipart(parts)
    sink.write(samples(start=2.0))
    chunks, errors = [], []
    while len(chunks) < 2 or not errors:
        try:
            chunks += source.read(5.0)
        except InputError as error:
            errors.append(str(error))
    same(chunks[1], samples(start=2.0))
    assert len(errors) == 1
    assert "expected a" in errors[0]


def told_of(source, wanted):
    """What comes until there are so many chunks and one message that is told."""
    chunks, errors, deadline = [], [], time.monotonic() + LIMIT
    while (len(chunks) < wanted or not errors) and time.monotonic() < deadline:
        try:
            chunks += source.read(0.05)
        except InputError as error:
            errors.append(str(error))
    return chunks, errors


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([b"samples/field", *[bytes(25 * 2**20)] * 3], r"b'samples/field' of 75 MB in 4 parts is lost, at most 64 MB"),
        ([b"samples/field", *[b"{}"] * 16], "of .* MB in 17 parts is lost, at most 64 MB in 16 parts"),
    ],
)
def test_a_message_that_is_too_large_in_all_is_lost_alone_and_told(sink, source, parts, message):
    """Of which every part is within what ZeroMQ takes."""
    sink.write(samples())
    sink._socket.send_multipart(parts)
    sink.write(samples(start=2.0))
    chunks, errors = told_of(source, 2)
    same(chunks[0], samples())
    same(chunks[1], samples(start=2.0))
    assert len(errors) == 1
    assert re.search(message, errors[0])


def test_a_message_of_nearly_the_most_is_taken(sink, source):
    sent = samples(n=100_000, channels=80)  # 61.8 MB
    sink.write(sent)
    (got,) = drain(source, len)
    np.testing.assert_array_equal(got.values, sent.values)


def test_a_message_whose_part_is_too_large_is_told_and_the_publisher_is_found_again(sink, source):
    """ZeroMQ cuts its sender off, and would not try again by itself."""
    sink._socket.send_multipart([b"samples/field", bytes(65 * 2**20)])
    chunks, errors, deadline = [], [], time.monotonic() + LIMIT
    while not chunks and time.monotonic() < deadline:
        sink.write(samples())
        try:
            chunks += source.read(0.05)
        except InputError as error:
            errors.append(str(error))
    same(chunks[0], samples())
    (text,) = errors
    assert f"the publisher at {sink.endpoint} was cut off" in text
    assert "above 64 MB" in text


def test_a_publisher_that_is_away_is_not_said_to_be_cut_off(sink, source, monkeypatch):
    monkeypatch.setattr("neurodyn.realtime.streams.zmq.LOOK_EVERY", 0.3)
    endpoint = sink.endpoint
    sink.close()
    deadline = time.monotonic() + 1.5
    assert drain(source, lambda _: time.monotonic() > deadline) == []
    again = ZmqSink(endpoint)
    drain(source, lambda _: again.wait(0.01))
    again.write(samples())
    same(joined(drain(source, count("field", 5)), "field"), samples())
    again.close()


def test_a_read_takes_no_more_than_so_many_bytes(sink, source, monkeypatch):
    """The rest is for the next one; what is refused counts too, it has been received."""
    each = len(b"".join(encode(samples(n=1000, channels=50))))
    monkeypatch.setattr("neurodyn.realtime.streams.zmq.MOST_BYTES", 3 * each)
    for start in range(10):
        sink.write(samples(start=float(start), n=1000, channels=50))
    time.sleep(0.5)
    reads, deadline = [], time.monotonic() + LIMIT
    while sum(reads) < 10 and time.monotonic() < deadline:
        reads.append(len(source.read(0.05)))
    assert sum(reads) == 10
    assert max(reads) == 3
    monkeypatch.setattr("neurodyn.realtime.streams.zmq.LARGEST", each // 2)
    for start in range(10):
        sink.write(samples(start=float(start), n=1000, channels=50))
    sink.write(samples())
    time.sleep(0.5)
    assert source.read(0.05) == []
    with pytest.raises(InputError, match=r"is lost.*is lost.*is lost"):
        source.read(0.05)


def test_an_estimate_is_a_header_and_its_arrays():
    topic, *_ = parts = encode(estimate(0.5), rates=True)
    header, arrays = unpack(parts)
    assert topic == ESTIMATE
    assert (header["time"], header["seen"], header["microseconds"]) == (0.5, ["spikes"], 50.0)
    np.testing.assert_array_equal(arrays["target"], [0.5, 1.0])
    np.testing.assert_array_equal(arrays["latent_variance"], [1.0, 2.0])
    np.testing.assert_array_equal(arrays["rates/spikes"], np.arange(4.0))
    assert "rates/spikes" not in unpack(encode(estimate(0.5)))[1]


def test_writing_does_not_wait_for_a_reader_that_sleeps(sink, source):
    for start in range(12_000):  # more than the backlog
        sink.write(spikes(start=float(start)))
    assert drain(source, count("spikes", 3))


def test_a_port_that_is_taken_is_told(sink):
    with pytest.raises(InputError, match=r"cannot use tcp://127\.0\.0\.1"):
        ZmqSink(sink.endpoint)


@pytest.mark.parametrize("labels", [None, b"[1, 2, 3]", b"{}", b"\xff", b'["x", "y", "z"]'])
def test_labels_in_a_message_are_texts_or_it_is_refused(labels):
    arrays = {"times": samples().times, "values": samples().values}
    if labels is not None:
        arrays["labels"] = np.frombuffer(labels, np.uint8)
    message = _pack(b"samples/field", {"name": "field", "kind": "samples", "until": None}, arrays)
    if labels in (None, b'["x", "y", "z"]'):
        assert decode_chunk(message).labels == (None if labels is None else ("x", "y", "z"))
    else:
        with pytest.raises(InputError, match="expected a message with times and values"):
            decode_chunk(message)
