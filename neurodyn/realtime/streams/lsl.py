"""Lab Streaming Layer: one stream per modality, found by name, on this machine unless told otherwise."""

import contextlib
import os
import socket
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from neurodyn.errors import InputError, import_extra
from neurodyn.plain import strict_json
from neurodyn.realtime.runner import LiveEstimate
from neurodyn.realtime.streams.address import Scheme
from neurodyn.realtime.streams.deferred_errors import DeferredErrors
from neurodyn.realtime.streams.hello import Hello
from neurodyn.realtime.streams.pace import Pace
from neurodyn.realtime.streams.protocol import Chunk, ChunkKind

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
SHOWN = 60
"""Bytes of a marker that is not a text that are shown of it."""
HELLO = "hello"
"""Part of a description with all that a stream says of itself, as JSON."""
FLAGS = ("seen", "stale", "unusual")
"""Flags of an estimate: a channel of 0 or 1 for each of them and each modality, behind the target and its bounds."""
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
    A stream of texts is of markers, of which the first channel counts. Every other stream is of samples. A stream that
    stops is waited for; one that comes back, also under a new identity, is read again.

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
        self._kinds: dict[str, ChunkKind] = {}
        self._names: dict[str, str] = {}
        self._rates: dict[str, float | None] = {}
        self._remote: set[str] = set()  # whose clock is that of another machine
        self._offset: dict[str, float] = {}
        self._next_correction = 0.0
        self._begun: dict[str, dict[int, float]] = {}  # begins of stretches not recorded, whose ends have not come
        self._labels: dict[str, tuple[str, ...] | None] = {}
        self._pace = Pace()
        self._next_search = 0.0
        self._bad = DeferredErrors()

    def read(self, timeout: float) -> list[Chunk]:
        """Wait for the fastest stream, then take what the others have.

        Raises
        ------
        InputError
            For markers in the read before that are not texts in UTF-8; what came beside them has been returned.
        """
        self._bad.raise_all()
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
        self._pace.count_read(arrived, self._inlets)
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
        if info.channel_format() == self._pylsl.cf_string:
            self._kinds[identity] = ChunkKind.MARKERS
        else:
            self._kinds[identity] = ChunkKind.SPIKES if info.type() == ChunkKind.SPIKES.value else ChunkKind.SAMPLES
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
        inlet, texts = self._inlets[identity], self._kinds[identity] is ChunkKind.MARKERS
        try:
            # Texts come as the bytes that were sent: decoded by pylsl, one bad text would cost all of the chunk.
            values, stamps = inlet.pull_chunk(timeout=timeout, max_samples=4096, min_samples=1, as_numpy=True)
        except self._pylsl.util.LostError:
            del self._inlets[identity]
            return None
        if not len(stamps):
            return None
        times = np.asarray(stamps, np.float64) + self._offset[identity]
        name, labels = self._names[identity], self._labels[identity]
        if texts:
            return self._markers(name, times.tolist(), [row[0] for row in values])
        if self._kinds[identity] is ChunkKind.SAMPLES:
            return Chunk(name, times, np.asarray(values), labels=labels, rate=self._rates[identity])
        units = np.asarray(values)[:, 0]
        fired, marks = units >= 0, units <= UNRECORDED
        begun = self._begun.setdefault(identity, {})
        unrecorded = _stretches(units[marks], times[marks], begun) if marks.any() else ()
        until = float(times.max())
        return Chunk(name, times[fired], units[fired], ChunkKind.SPIKES, until, labels, unrecorded=unrecorded)

    def _markers(self, name: str, times: list[float], texts: list[bytes]) -> Chunk | None:
        """Markers whose bytes are a text; the others are lost, and reported in the next read."""
        good = []
        for moment, raw in zip(times, texts, strict=True):
            try:
                good.append((moment, raw.decode("utf-8")))
            except UnicodeDecodeError:
                shown = f"{raw[:SHOWN]!r}{'...' if len(raw) > SHOWN else ''}"
                self._bad.add(InputError(f"the marker of '{name}' at {moment:g} s is not a text in UTF-8: {shown}"))
        return Chunk.of_markers(name, good) if good else None


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
        self._hello: Hello | None = None
        self._outlets: dict[str, Any] = {}

    def greet(self, hello: Hello) -> None:
        """Describe streams by what they are of; the outlet of estimates is made at once.

        An outlet's description cannot change: after a swap to another model it is that of the first one, whose names
        and units are the same.
        """
        self._hello = hello if self._hello is None else self._hello
        if hello.target:
            self._estimates(3 * len(hello.target) + len(self._flags()))

    def announce(self, chunk: Chunk) -> None:
        """Make the outlet of a chunk's stream without sending it: readers can find it before the first sample."""
        channels = chunk.values.shape[1] if chunk.kind is ChunkKind.SAMPLES else 1
        lsl = self._pylsl
        form = {ChunkKind.SPIKES: lsl.cf_int32, ChunkKind.SAMPLES: lsl.cf_double64, ChunkKind.MARKERS: lsl.cf_string}[
            chunk.kind
        ]
        labels = () if chunk.kind is ChunkKind.MARKERS else chunk.labels or ()
        hello = None if self._hello is None else self._hello.part(chunk.name)
        unit = "" if hello is None else hello.streams[0].unit
        rows = [(label, unit, "") for label in labels]
        self._outlet(chunk.name, chunk.kind.value, channels, form, rows, hello)

    def wait(self, timeout: float) -> bool:
        """Wait until every outlet has a reader, at most ``timeout`` seconds; whether they have."""
        return all(outlet.wait_for_consumers(timeout) for outlet in self._outlets.values())

    def write(self, item: LiveEstimate | Chunk) -> None:
        """Send with the time stamps the item has."""
        if isinstance(item, Chunk):
            self.announce(item)
            if item.kind is ChunkKind.MARKERS:
                for moment, text in item.markers():
                    self._outlets[item.name].push_sample([text], moment)
                return
            values, times = _rows(item)
            if times:
                self._outlets[item.name].push_chunk(values, times)
            return
        flags = [float(name in getattr(item, flag)) for flag, name in self._flags()]
        row = np.concatenate([item.target, item.lower, item.upper, flags]).astype(np.float64)
        outlet = self._estimates(len(row))
        outlet.push_chunk(row[None, : outlet.channel_count], [item.time])  # one made before `greet` has no flags

    def close(self) -> None:
        """Close the outlets."""
        self._outlets.clear()

    def _flags(self) -> list[tuple[str, str]]:
        """Flag and modality of each channel of flags; none before a hello has said which modalities there are."""
        names = [] if self._hello is None else [one.name for one in self._hello.streams]
        return [(flag, name) for flag in FLAGS for name in names]

    def _estimates(self, channels: int) -> Any:
        """Outlet of estimates: target, lower and upper bound and the flags behind one another."""
        hello = self._hello
        rows = [] if hello is None else [
            (name if kind == "target" else f"{name} {kind}", unit, kind)
            for kind in ("target", "lower", "upper")
            for name, unit in zip(hello.target, hello.units, strict=True)
        ] + [(f"{name} {flag}", "", flag) for flag, name in self._flags()]  # fmt: skip
        return self._outlet(DECODED, DECODED, channels, self._pylsl.cf_double64, rows, hello)

    def _outlet(
        self,
        name: str,
        kind: str,
        channels: int,
        form: int,
        rows: Sequence[tuple[str, str, str]] = (),
        hello: Hello | None = None,
    ) -> Any:
        """Outlet of a stream, made if there is none; its rows are label, unit and type of each channel or unit."""
        if name not in self._outlets:
            # No source id: a reader is to take a restarted outlet for the new stream that it is.
            info = self._pylsl.StreamInfo(f"{self._name}:{name}", kind, channels, 0.0, form, "")
            group, one = (UNITS, "unit") if kind == ChunkKind.SPIKES.value else (CHANNELS, "channel")
            if rows:
                part = info.desc().append_child(group)
                for row in rows:
                    _describe(part.append_child(one), row)
            if hello is not None:
                info.desc().append_child_value(HELLO, strict_json(hello.to_dict()))
            self._outlets[name] = self._pylsl.StreamOutlet(info, 0, BUFFER_SECONDS)
        return self._outlets[name]


def _describe(part: Any, row: tuple[str, str, str]) -> None:
    """Write label, unit and type of a channel, those that there are."""
    for what, text in zip(("label", "unit", "type"), row, strict=True):
        if text:
            part.append_child_value(what, text)


def _rows(chunk: Chunk) -> tuple[np.ndarray, list[float]]:
    """Samples as liblsl takes them; spikes that are complete up to a time end with a row that says so."""
    times = chunk.times.tolist()
    if chunk.kind is ChunkKind.SAMPLES:
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


SCHEME = Scheme(
    "lsl",
    "lsl://name",
    source=lambda address: LslSource(address.name.rstrip("/"), network="network" in address.options),
    sink=lambda address: LslSink(address.name.rstrip("/"), network="network" in address.options),
    options=frozenset(("network",)),
    exposed=lambda address: "network" in address.options,
)
