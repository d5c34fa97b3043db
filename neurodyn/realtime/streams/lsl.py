"""Lab Streaming Layer: one stream per modality, found by name, on this machine unless told otherwise."""

import contextlib
import os
import socket
import time
from typing import Any

import numpy as np

from neurodyn.errors import InputError, import_extra
from neurodyn.realtime.runner import LiveEstimate
from neurodyn.realtime.streams.pace import Pace
from neurodyn.realtime.streams.protocol import Chunk, Kind

SEARCH_EVERY = 0.5
"""Seconds between looks for streams that have appeared."""
NO_SPIKE = -1
"""In a stream of spikes: nobody fired, and everything up to this time has been sent."""
UNRECORDED = -2
"""In a stream of spikes: begin of a stretch in which no unit was recorded, and one less its end; of the unit in row r
both are less by 2 (r + 1)."""
CORRECT_EVERY = 5.0
"""Seconds between corrections of the clocks of other machines."""
BUFFER_SECONDS = 60
"""Seconds of data a reader may be behind before liblsl drops the oldest."""
DESCRIBED_WITHIN = 1.0
"""Seconds that a stream that has appeared is given to describe itself; its labels are in that."""
CHANNELS, UNITS = "channels", "units"
"""Parts of a description (as XDF has it) with the labels of channels; of spikes, whose only channel is the unit."""
DECODED = "decoded"
"""Type of a stream of estimates; a source does not read those."""

_THIS_MACHINE = "[multicast]\nResolveScope = machine\n[ports]\nIPv6 = disable\n[log]\nlevel = -2\n"


def load_lsl(*, network: bool = False) -> Any:
    """Import pylsl, and keep its search for streams on this machine.

    liblsl reads its settings once in a process. A settings file of the user's own (``LSLAPICFG``) wins.

    Parameters
    ----------
    network
        Leave the search as liblsl has it: the whole local network.
    """
    pylsl = import_extra("pylsl", "lsl")
    if not network and "LSLAPICFG" not in os.environ:
        pylsl.set_config_content(_THIS_MACHINE)
    return pylsl


class LslSource:
    """All streams called ``name`` or ``name:modality``, those that appear later included.

    Spikes are a stream of type ``spikes``: irregular, one channel that holds the unit's row, or -1 to say that up to
    this time there are no more, or a smaller number for a bound of a stretch that was not recorded (`UNRECORDED`).
    Every other stream is of samples. A stream that stops is waited for; one that comes back, also under a new
    identity, is read again.

    Parameters
    ----------
    name
        Part of the stream's name before the colon.
    network
        Search the local network too; clocks of other machines are then corrected.
    """

    def __init__(self, name: str, *, network: bool = False) -> None:
        if "'" in name:
            raise InputError(f"the name of an LSL stream cannot hold a quote, got {name!r}")
        self._pylsl = load_lsl(network=network)
        wanted = f"(name='{name}' or starts-with(name,'{name}:')) and type!='{DECODED}'"
        self._resolver = self._pylsl.ContinuousResolver(pred=wanted, forget_after=2.0)
        self._prefix = name + ":"
        self._inlets: dict[str, Any] = {}
        self._kinds: dict[str, Kind] = {}
        self._names: dict[str, str] = {}
        self._rates: dict[str, float | None] = {}
        self._remote: set[str] = set()  # whose clock is that of another machine
        self._offset: dict[str, float] = {}
        self._next_correction = 0.0
        self._begun: dict[str, dict[int, float]] = {}  # begins of stretches not recorded, whose ends have not come
        self._labels: dict[str, tuple[str, ...] | None] = {}
        self._pace = Pace()
        self._next_search = 0.0

    def read(self, timeout: float) -> list[Chunk]:
        """Wait for the fastest stream, then take what the others have."""
        self._search()
        if self._remote:
            self._correct()
        if not self._inlets:
            time.sleep(min(timeout, 0.01))
            return []
        chunks, arrived = [], []
        for identity in self._pace.order(list(self._inlets)):
            chunk = self._pull(identity, timeout)
            timeout = 0.0
            if chunk is not None:
                arrived.append(identity)
                chunks.append(chunk)
        self._pace.note(arrived, self._inlets)
        return chunks

    def close(self) -> None:
        """Close every inlet."""
        for inlet in self._inlets.values():
            inlet.close_stream()
        self._inlets.clear()

    def _search(self) -> None:
        """Open the streams that have appeared since the last look."""
        now = time.monotonic()
        if now < self._next_search:
            return
        self._next_search = now + SEARCH_EVERY
        for info in self._resolver.results():
            if info.uid() not in self._inlets:
                self._open(info)

    def _open(self, info: Any) -> None:
        # Without recovery: a stream that comes back has a new identity and is found by the search.
        identity = info.uid()
        inlet = self._pylsl.StreamInlet(info, max_buflen=BUFFER_SECONDS, recover=False)
        local = info.hostname() == socket.gethostname()
        # On one machine both clocks are the same one, and a correction would only add its noise.
        self._offset[identity] = 0.0 if local else inlet.time_correction(timeout=1.0)
        if not local:
            self._remote.add(identity)
        self._rates[identity] = info.nominal_srate() or None
        self._kinds[identity] = Kind.SPIKES if info.type() == Kind.SPIKES.value else Kind.SAMPLES
        self._names[identity] = info.name().removeprefix(self._prefix)
        self._labels[identity] = self._read_labels(inlet)
        self._inlets[identity] = inlet

    def _correct(self) -> None:
        """Follow the clocks of other machines: liblsl measures them all the time, and tells the latest at once."""
        now = time.monotonic()
        if now < self._next_correction:
            return
        self._next_correction = now + CORRECT_EVERY
        for identity in self._remote & self._inlets.keys():
            with contextlib.suppress(self._pylsl.util.TimeoutError, self._pylsl.util.LostError):
                self._offset[identity] = self._inlets[identity].time_correction(timeout=0.001)

    def _read_labels(self, inlet: Any) -> tuple[str, ...] | None:
        """Labels of the channels, or of the units, in the stream's description; None if it has none."""
        try:
            description = inlet.info(timeout=DESCRIBED_WITHIN).desc()
        except (self._pylsl.util.TimeoutError, self._pylsl.util.LostError):
            return None
        for group, one in ((UNITS, "unit"), (CHANNELS, "channel")):
            labels, child = [], description.child(group).child(one)
            while not child.empty():
                labels.append(child.child_value("label"))
                child = child.next_sibling(one)
            if labels and all(labels):
                return tuple(labels)
        return None

    def _pull(self, identity: str, timeout: float) -> Chunk | None:
        inlet = self._inlets[identity]
        try:
            values, stamps = inlet.pull_chunk(timeout=timeout, max_samples=4096, min_samples=1, as_numpy=True)
        except self._pylsl.util.LostError:
            del self._inlets[identity]
            return None
        if not len(stamps):
            return None
        times = np.asarray(stamps, np.float64) + self._offset[identity]
        name, labels = self._names[identity], self._labels[identity]
        if self._kinds[identity] is Kind.SAMPLES:
            return Chunk(name, times, np.asarray(values), labels=labels, rate=self._rates[identity])
        units = np.asarray(values)[:, 0]
        fired, marks = units >= 0, units <= UNRECORDED
        begun = self._begun.setdefault(identity, {})
        unrecorded = _stretches(units[marks], times[marks], begun) if marks.any() else ()
        until = float(times.max())
        return Chunk(name, times[fired], units[fired], Kind.SPIKES, until, labels, unrecorded=unrecorded)


class LslSink:
    """An outlet per modality, or one of estimates called ``name:decoded``, made when the first is written.

    Parameters
    ----------
    name
        Part of the streams' names before the colon.
    network
        Let other machines find the streams; liblsl accepts their connections either way.
    """

    def __init__(self, name: str, *, network: bool = False) -> None:
        self._pylsl = load_lsl(network=network)
        self._name = name
        self._outlets: dict[str, Any] = {}

    def announce(self, chunk: Chunk) -> None:
        """Make the outlet of a chunk's stream without sending it: readers can find it before the first sample."""
        spikes = chunk.kind is Kind.SPIKES
        channels = 1 if spikes else chunk.values.shape[1]
        form = self._pylsl.cf_int32 if spikes else self._pylsl.cf_double64
        self._outlet(chunk.name, chunk.kind.value, channels, form, chunk.labels)

    def wait(self, timeout: float) -> bool:
        """Wait until every outlet has a reader, at most ``timeout`` seconds; whether they have."""
        return all(outlet.wait_for_consumers(timeout) for outlet in self._outlets.values())

    def write(self, item: LiveEstimate | Chunk) -> None:
        """Send with the time stamps the item has."""
        if isinstance(item, Chunk):
            self.announce(item)
            values, times = _rows(item)
            if times:
                self._outlets[item.name].push_chunk(values, times)
            return
        row = np.concatenate([item.target, item.lower, item.upper]).astype(np.float64)
        outlet = self._outlet(DECODED, DECODED, len(row), self._pylsl.cf_double64)
        outlet.push_chunk(row[None], [item.time])

    def close(self) -> None:
        """Close the outlets."""
        self._outlets.clear()

    def _outlet(self, name: str, kind: str, channels: int, form: int, labels: tuple[str, ...] | None = None) -> Any:
        if name not in self._outlets:
            # No source id: a reader is to take a restarted outlet for the new stream that it is.
            info = self._pylsl.StreamInfo(f"{self._name}:{name}", kind, channels, 0.0, form, "")
            group, one = (UNITS, "unit") if kind == Kind.SPIKES.value else (CHANNELS, "channel")
            if labels:
                part = info.desc().append_child(group)
                for label in labels:
                    part.append_child(one).append_child_value("label", label)
            self._outlets[name] = self._pylsl.StreamOutlet(info, 0, BUFFER_SECONDS)
        return self._outlets[name]


def _rows(chunk: Chunk) -> tuple[np.ndarray, list[float]]:
    """Samples as liblsl takes them; spikes that are complete up to a time end with a row that says so."""
    times = chunk.times.tolist()
    if chunk.kind is Kind.SAMPLES:
        return np.ascontiguousarray(chunk.values, np.float64), times
    units = chunk.values.tolist()
    for row, start, stop in chunk.unrecorded:
        mark = UNRECORDED - 2 * (row + 1)
        units, times = [*units, mark, mark - 1], [*times, start, stop]
    if chunk.until is not None:
        units, times = [*units, NO_SPIKE], [*times, chunk.until]
    return np.array(units, np.int32)[:, None], times


def _stretches(marks: np.ndarray, times: np.ndarray, begun: dict[int, float]) -> tuple[tuple[int, float, float], ...]:
    """Stretches that were not recorded, from the marks of their bounds; ``begun`` keeps those that have no end yet."""
    found = []
    for mark, time_ in zip((UNRECORDED - marks).tolist(), times.tolist(), strict=True):
        row, end = mark // 2 - 1, mark % 2
        if not end:
            begun[row] = time_
        elif row in begun:
            found.append((row, begun.pop(row), time_))
    return tuple(found)
