"""Chunks and estimates over real ZeroMQ sockets on loopback."""

import json

import numpy as np
import pytest
from oracles.streams import count, drain, estimate, joined, markers, paused, same, samples, spikes

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
