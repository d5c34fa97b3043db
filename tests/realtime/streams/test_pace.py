"""Several sources as one: the fastest is waited for, the others are not."""

import pytest
from oracles.streams import samples

from neurodyn.errors import InputError
from neurodyn.realtime.streams import EndOfStream, MergedSource, Source


class Scripted:
    """A source that delivers in every ``period``-th read and notes how long it was allowed to wait."""

    def __init__(self, name, period, reads=1000):
        self.name, self.period, self.reads = name, period, reads
        self.waits, self.closed = [], False

    def read(self, timeout):
        self.waits.append(timeout)
        if len(self.waits) > self.reads:
            raise EndOfStream
        return [samples(self.name)] if len(self.waits) % self.period == 0 else []

    def close(self):
        self.closed = True


def test_only_the_fastest_is_waited_for():
    slow, fast = Scripted("slow", 5), Scripted("fast", 1)
    merged = MergedSource([slow, fast])
    assert isinstance(merged, Source)
    got = [chunk.name for _ in range(50) for chunk in merged.read(0.1)]
    assert (got.count("slow"), got.count("fast")) == (10, 50)
    assert slow.waits[2:] == [0.0] * 48
    assert fast.waits[2:] == [0.1] * 48


def test_when_the_fastest_falls_silent_the_next_is_waited_for():
    slow, fast = Scripted("slow", 5), Scripted("fast", 1)
    merged = MergedSource([slow, fast])
    for _ in range(200):
        merged.read(0.1)
    fast.period = 10**9
    for _ in range(400):
        merged.read(0.1)
    assert slow.waits[-1] == 0.1
    assert fast.waits[-1] == 0.0


def test_it_ends_when_all_have_ended():
    short, long = Scripted("short", 1, reads=3), Scripted("long", 1, reads=6)
    merged = MergedSource([short, long])
    got = []
    for _ in range(6):
        got += [chunk.name for chunk in merged.read(0.0)]
    merged.read(0.0)  # the last ends in this read
    with pytest.raises(EndOfStream):
        merged.read(0.0)
    assert (got.count("short"), got.count("long")) == (3, 6)
    assert short.closed
    assert long.closed


def test_a_bad_message_costs_the_others_nothing():
    good, bad = Scripted("good", 1), Scripted("bad", 1)
    merged = MergedSource([good, bad])

    def refuse(timeout):
        raise InputError("no chunk of ours")

    bad.read = refuse
    assert [chunk.name for chunk in merged.read(0.0)] == ["good"]
    with pytest.raises(InputError, match="no chunk of ours"):
        merged.read(0.0)
    assert [chunk.name for chunk in merged.read(0.0)] == ["good"]
