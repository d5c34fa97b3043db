"""A session that is given its data: the estimates of a service, and nothing that comes ends it."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from oracles.frozen_decoder import recurrent_decoder
from oracles.session import FIELD_RATE, World, recording

from neurodyn.errors import InputError
from neurodyn.realtime import Bin, Event, EventKind, LiveEstimate, RealtimeDecoder, StreamingBinner
from neurodyn.realtime.inputs import binner_inputs, modalities_of
from neurodyn.realtime.node import Node, chunk_of
from neurodyn.realtime.streams import Chunk, ChunkKind, EndOfStream, Hello
from neurodyn.realtime.streams.file import FileReplay, ReplayOptions

SECONDS = 2.0


@pytest.fixture(scope="module")
def frozen(lorenz_batch):
    return recurrent_decoder(lorenz_batch[0])


@pytest.fixture
def live(frozen):
    return RealtimeDecoder(frozen)


def chunks_of(seconds=SECONDS):
    """What a replay gives in each read."""
    replay, reads = FileReplay(recording(seconds), ReplayOptions(speed=np.inf, chunk=0.02)), []
    while True:
        try:
            reads.append(replay.read(0.0))
        except EndOfStream:
            return reads


def bins_of(decoder, reads):
    """The bins of all reads, made by a binner of our own."""
    inputs = binner_inputs(modalities_of(decoder), decoder.width, {"field": FIELD_RATE})
    binner, bins = StreamingBinner(inputs, decoder.width, start=0.0, patience=0.01), []
    for chunks in reads:
        for one in chunks:
            if one.kind is ChunkKind.SPIKES:
                binner.push_spikes(one.name, one.times, one.values, until=one.until, labels=one.labels)
            else:
                binner.push_samples(one.name, one.values, one.times, labels=one.labels)
        bins += binner.ready(max(c.until if c.until is not None else c.times[-1] for c in chunks))
    return bins


def estimates(told):
    return [one for one in told if isinstance(one, LiveEstimate)]


def equal(found, expected):
    assert [one.time for one in found] == [one.time for one in expected]
    for name in ("target", "lower", "upper"):
        np.testing.assert_array_equal([getattr(one, name) for one in found], [getattr(one, name) for one in expected])


def test_chunks_bins_and_the_decoder_alone_give_the_same(live, frozen):
    """The decoder stepped by hand over bins of a binner is what both ways into a node are held against."""
    reads = chunks_of()
    bins = bins_of(live, reads)
    expected = [live.step(one.observations, one.time) for one in bins]
    live.reset()
    node = Node(live, rates={"field": FIELD_RATE}, live=False)
    equal(estimates(told for chunks in reads for told in node.take(chunks)), expected)
    node.close()
    node = Node(RealtimeDecoder(frozen), rates={"field": FIELD_RATE}, live=False)
    told = [one for each in bins for one in node.take(each)]
    equal(estimates(told), expected)
    assert len(expected) > 100 * SECONDS - 5
    assert isinstance(told[0], Hello)
    assert told[0].model == bytes(frozen.fingerprint).hex()


def test_whoever_sends_may_use_the_arrays_again(live, frozen):
    """As shared memory is: also of what is kept for a later bin, or held back until its stamps are believed."""
    world, results = World(), []
    for spoil in (False, True):
        node = Node(RealtimeDecoder(frozen), rates={"field": FIELD_RATE}, wall=world)
        found = []
        for number, chunks in enumerate(chunks_of(1.0)):
            world.now += 0.02
            given = [replace(one, times=one.times + 5.0 * (number > 20), values=one.values.copy()) for one in chunks]
            given = [
                replace(one, until=None if one.until is None else one.until + 5.0 * (number > 20)) for one in given
            ]
            found += estimates(node.take(given))
            for one in given if spoil else ():
                one.times[:] = np.nan
                one.values[:] = 0
        results.append(found)
    equal(results[1], results[0])
    assert np.isfinite([one.target for one in results[1]]).all()
    assert len(results[0]) > 90


def test_time_goes_on_without_data_and_hellos_are_repeated(live):
    world = World()
    node = Node(live, rates={"field": FIELD_RATE}, wall=world)
    assert node.tick() == []  # nothing is known of the time yet
    told = []
    for chunks in chunks_of(0.5):
        world.now += 0.02
        told += node.take(chunks)
    for _ in range(400):
        world.now += 0.005
        told += node.tick()
    found, hellos = estimates(told), [place for place, one in enumerate(told) if isinstance(one, Hello)]
    np.testing.assert_allclose(np.diff([one.time for one in found]), 0.01)
    assert found[-1].time > 2.3
    assert set(found[-1].stale) == {"spikes", "field"}
    assert len(hellos) == 3  # in two and a half seconds
    assert {one.kind for one in told if isinstance(one, Event)} == {EventKind.MISSING}


def test_what_is_wrong_is_told_and_lost_alone(live):
    reads = chunks_of()
    node = Node(live, rates={"field": FIELD_RATE}, live=False)
    strange = Chunk("smell", np.array([0.3]), np.zeros((1, 1)))
    fast = Chunk("field", np.zeros(0), np.zeros((0, 3)), labels=reads[0][-1].labels, rate=1000.0)
    told = [one for chunks in reads[:20] for one in node.take(chunks)]
    told += [*node.take(strange), *node.take(fast), *node.take(fast), *node.refuse(ValueError("no such thing"))]
    told += node.take(Bin(0, 0.5, {"spikes": np.zeros(7)}))
    told += [one for chunks in reads[20:] for one in node.take(chunks)]
    events = [(one.kind, one.modality) for one in told if isinstance(one, Event)]
    assert events == [
        (EventKind.BAD_INPUT, "smell"), (EventKind.RATE, "field"), (EventKind.BAD_INPUT, ""), (EventKind.BAD_INPUT, ""),
    ]  # fmt: skip
    assert len(estimates(told)) > 100 * SECONDS - 5
    assert len(node.log) == len(events)


def test_a_rate_that_is_not_known_or_of_nothing_is_refused(live, frozen):
    with pytest.raises(InputError, match=r"rate of 'field' is not known: give it, as in  rates=\{'field': 1000\.0\}"):
        Node(live)
    with pytest.raises(InputError, match="unknown modality of samples 'lfp'"):
        Node(live, rates={"lfp": 200.0})
    known = RealtimeDecoder(type(frozen)({**frozen.settings, "rates": {"field": FIELD_RATE}}, frozen.parameters))
    Node(known).close()


@pytest.mark.parametrize("order", [("time", "ch"), ("ch", "time")])
def test_arrays_with_named_axes_are_chunks(order):
    values = np.arange(6.0).reshape(3, 2)
    axes = {"time": SimpleNamespace(gain=0.005, offset=1.0), "ch": SimpleNamespace(data=np.array(["a", "b"]))}
    data = values if order[0] == "time" else values.T
    found = chunk_of(SimpleNamespace(key="field", dims=list(order), axes=axes, data=data))
    np.testing.assert_array_equal(found.values, values)
    np.testing.assert_allclose(found.times, [1.0, 1.005, 1.01], rtol=0, atol=1e-12)
    assert (found.name, found.labels, found.rate, found.kind) == ("field", ("a", "b"), 200.0, ChunkKind.SAMPLES)
    uneven = {"time": SimpleNamespace(data=np.array([1.0, 1.2, 1.3]))}
    found = chunk_of(SimpleNamespace(key="field", dims=list(order), axes=uneven, data=data))
    assert (found.times.tolist(), found.labels, found.rate) == ([1.0, 1.2, 1.3], None, None)


def named(dims, clock, data):
    return SimpleNamespace(key="field", dims=dims, axes={"time": clock}, data=data)


@pytest.mark.parametrize(
    "array",
    [
        None, "spikes", {"a": 1}, named(["time"], None, np.zeros(3)), named(["time", "ch"], None, np.eye(2)),
        named(["a", "b"], None, np.eye(2)),
        named(["time", "ch"], SimpleNamespace(gain=0.0, offset=0), np.eye(2)),
        named(["time", "ch"], SimpleNamespace(data=np.zeros(9)), np.eye(2)),
        named(["time", "ch"], SimpleNamespace(gain=1, offset=0), ["x"]),
    ],
)  # fmt: skip
def test_what_is_not_data_is_refused(array):
    with pytest.raises(InputError, match=r"expected a Chunk, a Bin, or an AxisArray|needs 2-dimensional values"):
        chunk_of(array)
