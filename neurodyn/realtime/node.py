"""A session as a part of somebody else's program: messages are put in, and what is known after each comes out.

A `Service` reads its source and waits for it. A `Node` is given its data by who has them, such as a framework whose
units send each other messages (`neurodyn.realtime.ezmsg_unit`), and never waits. Everything between is the same.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from neurodyn.errors import InputError, unknown_name
from neurodyn.realtime.bins import Bin, LatePolicy
from neurodyn.realtime.clock import LiveClock, ReplayClock
from neurodyn.realtime.decoder import RealtimeDecoder
from neurodyn.realtime.events import Event, EventKind, EventLog
from neurodyn.realtime.inputs import OTHER_RATE, modalities_of, sampled
from neurodyn.realtime.monitor import Monitor
from neurodyn.realtime.runner import LiveEstimate
from neurodyn.realtime.service import ServiceOptions, Timing, make_service
from neurodyn.realtime.stamps import StampPolicy
from neurodyn.realtime.streams.hello import Hello, PeriodicMessage
from neurodyn.realtime.streams.protocol import Chunk, ChunkKind, Source
from neurodyn.realtime.writers import SinkWriter

Told = Hello | LiveEstimate | Event
"""What comes out of a node."""


class Node:
    """A session that is given its data.

    Parameters
    ----------
    decoder
        Used by this node alone.
    rates
        Samples per second of each modality that is not spikes; those left out are those of the training data.
    patience
        Seconds that a bin waits for data that are on their way.
    late
        What becomes of data later than that.
    live
        Whether data come when they are recorded: time then goes on with the wall clock, also when none come. If not,
        time is that of the data, which may come at any speed.
    wall
        Seconds that pass; given by tests.

    Raises
    ------
    InputError
        If a rate is not known, or is one of a modality that there is not.
    """

    def __init__(
        self,
        decoder: RealtimeDecoder,
        *,
        rates: Mapping[str, float] | None = None,
        patience: float = 0.01,
        late: LatePolicy = LatePolicy.CARRY,
        live: bool = True,
        wall: Callable[[], float] = time.monotonic,
    ) -> None:
        modalities, rates = modalities_of(decoder), dict(rates or {})
        for name in rates:
            if name not in sampled(modalities):
                raise unknown_name("modality of samples", name, sampled(modalities))
        known = {row.name: row.rate for row in modalities if row.rate is not None} | rates
        if missing := [name for name in sampled(modalities) if name not in known]:
            raise InputError(
                f"the rate of '{missing[0]}' is not known: give it, as in  rates={{'{missing[0]}': 1000.0}}"
            )
        self._decoder, self._rates, self._outbox = decoder, known, _Outbox(PeriodicMessage(clock=wall))
        self._log, self._position = EventLog(), 0
        self._differing: set[str] = set()  # streams that come at another rate
        self._behind = False  # whether the next bin has still to be prepared
        clock = LiveClock(wall=wall, policy=StampPolicy.within(patience)) if live else ReplayClock()
        self._service = make_service(
            decoder, modalities, _no_source, [SinkWriter(self._outbox, "node", self._log)],
            clock, Monitor([row.name for row in modalities], self._log),
            rates=known, patience=patience, late=late, timing=Timing(wall=wall),
            options=ServiceOptions(tolerance=patience + decoder.width if live else math.inf),
        )  # fmt: skip

    @property
    def log(self) -> EventLog:
        """Everything that happened."""
        return self._log

    def take(self, message: Chunk | Bin | Sequence[Chunk]) -> list[Told]:
        """Take in data, and return what there is to say: events, then a hello if it is due, and estimates.

        Parameters
        ----------
        message
            Spikes, samples or markers as a `Chunk`, or several that were read together: the first bin begins with the
            earliest of the first message. Or a `Bin` that has been made already. Arrays are copied: whoever sends them
            may use them again.

        Returns
        -------
        list
            An estimate for every bin that is ready now. The first has a `Hello` before it, which comes again with the
            first estimate of every second. What is wrong with a message is an event, and the message is lost alone.
        """
        if isinstance(message, Bin):
            self._service.take_bins([_copied_bin(message)])
        else:
            chunks = [_copied(chunk) for chunk in ([message] if isinstance(message, Chunk) else message)]
            for chunk in chunks:
                self._check_rate(chunk)
            self._service.take(chunks)
        return self._said()

    def refuse(self, error: Exception) -> list[Told]:
        """Take note of a message that cannot be read, and return what there is to say."""
        self._log.record(0.0, EventKind.BAD_INPUT, "", str(error))
        return self._said()

    def tick(self) -> list[Told]:
        """Let time go on without data; called every few milliseconds, between messages."""
        self._service.take([])
        told = self._said()
        if not told and self._behind:
            self._behind = False
            self._decoder.prepare()
        return told

    def close(self) -> None:
        """End the session."""
        self._service.close()

    def _said(self) -> list[Told]:
        events, self._position = self._log.since(self._position)
        said = self._outbox.empty()
        self._behind |= bool(said)
        return [*events, *said]

    def _check_rate(self, chunk: Chunk) -> None:
        """Say once of a stream that it comes at another rate than its features are made for."""
        used = self._rates.get(chunk.name)
        if used is None or chunk.rate is None or chunk.name in self._differing or chunk.kind is not ChunkKind.SAMPLES:
            return
        if abs(chunk.rate / used - 1) > OTHER_RATE:
            self._differing.add(chunk.name)
            text = f"comes at {chunk.rate:g} Hz, its features are made for {used:g} Hz: resample it, or give its rate"
            self._log.record(0.0, EventKind.RATE, chunk.name, text)


class _Outbox:
    """A sink that keeps what it gets until it is fetched."""

    never_blocks = True

    def __init__(self, hello: PeriodicMessage) -> None:
        self._hello, self._items = hello, []

    def greet(self, hello: Hello) -> None:
        self._hello.say(hello)

    def write(self, item: LiveEstimate | Chunk) -> None:
        if (hello := self._hello.due()) is not None:
            self._items.append(hello)
        self._items.append(item)

    def empty(self) -> list[Any]:
        items, self._items = self._items, []
        return items

    def close(self) -> None:
        """Nothing is open."""


def chunk_of(array: Any) -> Chunk:
    """Samples from a message as ezmsg and its extensions send them (``AxisArray``).

    Parameters
    ----------
    array
        Has ``data``, ``dims`` with "time" and one other, and ``key``, the name of the stream. Its ``axes["time"]`` has
        ``gain`` and ``offset`` in seconds, or ``data`` with a time for each sample; the other axis may have ``data``
        with labels of the channels.

    Raises
    ------
    InputError
        If it is something else.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> clock = SimpleNamespace(gain=0.001, offset=3.0)
    >>> array = SimpleNamespace(key="field", dims=["time", "ch"], axes={"time": clock}, data=np.zeros((2, 4)))
    >>> chunk = chunk_of(array)
    >>> chunk.name, chunk.times.tolist(), chunk.rate
    ('field', [3.0, 3.001], 1000.0)
    """
    try:
        dims, values, axis = list(array.dims), np.asarray(array.data), array.axes["time"]
        (channel,) = (dim for dim in dims if dim != "time")
        if values.dtype.kind not in "biuf" or values.ndim != 2:
            raise ValueError("its values are not an array of numbers, time x channel")
        values = values if dims[0] == "time" else values.T
        stamps, labels = getattr(axis, "data", None), getattr(array.axes.get(channel), "data", None)
        rate = None if stamps is not None else 1.0 / float(axis.gain)
        times = axis.offset + axis.gain * np.arange(len(values)) if stamps is None else stamps
        names = None if labels is None else tuple(map(str, np.asarray(labels).tolist()))
        return Chunk(str(array.key), np.asarray(times, np.float64), values, labels=names, rate=rate)
    except (AttributeError, KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        what = f"{type(array).__name__}: {' '.join(str(error).split())[:200]}"
        raise InputError(f"expected a Chunk, a Bin, or an AxisArray with dims time and channel, got {what}") from error


def _copied(chunk: Chunk) -> Chunk:
    return replace(chunk, times=np.array(chunk.times, np.float64), values=np.array(chunk.values))


def _copied_bin(one: Bin) -> Bin:
    given = {name: None if values is None else np.array(values) for name, values in one.observations.items()}
    return replace(one, observations=given)


def _no_source() -> Source:
    raise InputError("a node has no source: it is given its data")
