"""Redis streams in BRAND's convention: monotonic-ns time stamp, raw sample bytes, JSON of the source's clock.

Reference: Ali et al. (2024), BRAND: a platform for closed-loop experiments with deep network models, J Neural Eng 21.
"""

import json
import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from neurodyn.errors import InputError, import_extra
from neurodyn.plain import strict_json
from neurodyn.realtime.labels import from_bytes, to_bytes
from neurodyn.realtime.runner import LiveEstimate
from neurodyn.realtime.streams.address import Scheme
from neurodyn.realtime.streams.deferred_errors import DeferredErrors
from neurodyn.realtime.streams.hello import Hello, PeriodicMessage
from neurodyn.realtime.streams.pace import Pace
from neurodyn.realtime.streams.protocol import Chunk, ChunkKind
from neurodyn.realtime.streams.wire import unrecorded_of

SEARCH_EVERY = 0.5
"""Seconds between looks for keys that have appeared."""
LARGEST = 64 * 2**20
"""Bytes of the largest entry that is taken, all its fields together."""
MOST_PER_READ, MOST_BYTES = 256, 128 * 2**20
"""Entries of a stream, and bytes of all streams, that a read asks for at most, the latter by recent sizes: what a
reply will hold is not known before it is there."""
FORGET = 0.9
"""Share of the largest entry of a stream that the next read still expects."""
KEPT = 100_000
"""Entries a stream keeps; Redis forgets the older ones."""
DECODED = "decoded"
"""Last part of the key of the estimates; a source does not read it."""
HELLO = "hello"
"""Last part of the key of what a stream is of: a text and not a stream, which no source reads."""

_NAMES = ("utf-8", "surrogateescape")
"""Keys are bytes, and somebody else's may not be a text."""
_TYPES = {"float64", "float32", "int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8"}


class RedisSource:
    """All streams whose key is ``prefix:modality``, those that appear later included.

    An entry has ``ts`` (uint64 nanoseconds of the monotonic clock, 8 bytes) and ``samples`` (raw bytes). What we write
    also says its ``format``, the time of every sample in ``times``, and its ``labels`` where they are known; an entry
    without (from a BRAND node) is one sample of ``dtype``, its channels all there is, its time ``ts``.

    Parameters
    ----------
    host, port
        Of the server.
    prefix
        Of the keys.
    dtype
        Of entries that do not say it.

    Raises
    ------
    InputError
        If no server answers there.
    """

    def __init__(self, host: str, port: int, prefix: str, *, dtype: str = "float32") -> None:
        self._server = _connect(host, port)
        self._prefix, self._dtype = prefix, dtype
        self._bad = DeferredErrors()
        self._last: dict[bytes, bytes] = {}
        self._expected: dict[bytes, float] = {}  # bytes of an entry of each stream; the largest before there was one
        self._pace = Pace()
        self._next_search = 0.0
        self._search(first=True)

    def read(self, timeout: float) -> list[Chunk]:
        """Wait for the fastest stream, then take what the others have.

        Raises
        ------
        InputError
            For an entry in the read before that is not one of samples or is too large; the others in it have been
            returned.
        """
        self._bad.raise_all()
        self._search(first=False)
        if not self._last:
            time.sleep(min(timeout, 0.01))
            return []
        order = [key.encode(*_NAMES) for key in self._pace.order([key.decode(*_NAMES) for key in self._last])]
        entries = self._take(order[:1], timeout)
        if len(order) > 1:
            entries += self._take(order[1:], None)
        self._pace.count_read({key.decode(*_NAMES) for key, _ in entries}, [key.decode(*_NAMES) for key in order])
        chunks: list[Chunk] = []
        for key, fields in entries:
            try:
                chunks.append(decode_entry(key.decode(errors="replace"), fields, self._dtype, self._prefix))
            except InputError as error:
                self._bad.add(error)
        return chunks

    def close(self) -> None:
        """Disconnect."""
        self._server.close()

    def _search(self, *, first: bool) -> None:
        """Find keys; of those that were there before us only what comes from now on is read."""
        now = time.monotonic()
        if now < self._next_search:
            return
        self._next_search = now + SEARCH_EVERY
        for key in self._server.scan_iter(match=f"{self._prefix}:*", count=1000, _type="stream"):
            if key not in self._last and not key.endswith(f":{DECODED}".encode()):
                newest = self._server.xrevrange(key, count=1) if first else []
                self._last[key] = newest[0][0] if newest else b"0"

    def _take(self, keys: list[bytes], timeout: float | None) -> list[tuple[bytes, dict[bytes, bytes]]]:
        block = None if timeout is None else max(1, round(1e3 * timeout))
        expected = max(self._expected.get(key, LARGEST) for key in keys) * len(self._last)
        count = min(max(int(MOST_BYTES / expected), 1), MOST_PER_READ)
        found = self._server.xread({key: self._last[key] for key in keys}, count=count, block=block)
        taken = []
        for key, entries in found or []:
            self._last[key] = entries[-1][0]
            sizes = [sum(len(name) + len(value) for name, value in fields.items()) for _, fields in entries]
            self._expected[key] = max(FORGET * self._expected.get(key, LARGEST), *sizes)
            for size, (_, fields) in zip(sizes, entries, strict=True):
                if size <= LARGEST:
                    taken.append((key, fields))
                else:
                    self._bad.add(_too_large(key, size))
        return taken


def decode_entry(key: str, fields: Mapping[bytes, bytes], dtype: str, prefix: str = "") -> Chunk:
    """Chunk from the fields of an entry.

    Parameters
    ----------
    key
        Of the stream: the prefix, a colon and the name.
    fields
        As in `RedisSource`.
    dtype
        Of samples of which the entry does not say it.
    prefix
        Of the keys.

    Raises
    ------
    InputError
        If the entry is not one of samples, spikes or markers.
    """
    try:
        described = dict(json.loads(fields.get(b"format", b"{}")))
        kind = ChunkKind(described.get("kind", "samples"))
        flat = np.frombuffer(fields[b"samples"], _known_type(described.get("dtype", dtype)))
        stamp = np.frombuffer(fields[b"ts"], "<u8") / 1e9
        times = np.frombuffer(fields[b"times"], "<f8") if b"times" in fields else stamp
        values = flat.reshape(len(times), -1) if kind is ChunkKind.SAMPLES else flat
        until = None if described.get("until") is None else float(described["until"])
        unrecorded = unrecorded_of(described)
        labels = from_bytes(fields[b"labels"]) if b"labels" in fields else None
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InputError(
            f"Redis stream '{key}' needs entries with 8 bytes 'ts' and raw bytes 'samples', "
            f"got {sorted(field.decode(errors='replace') for field in fields)}"
        ) from error
    name = key.removeprefix(f"{prefix}:")
    return Chunk(name, times, values, kind, until, labels, unrecorded=unrecorded)


class RedisSink:
    """Streams ``prefix:modality`` of chunks and ``prefix:decoded`` of estimates.

    Parameters
    ----------
    host, port
        Of the server.
    prefix
        Of the keys.

    Raises
    ------
    InputError
        If no server answers there.
    """

    def __init__(self, host: str, port: int, prefix: str) -> None:
        self._server = _connect(host, port)
        self._prefix = prefix
        self._index = 0
        self._hello = PeriodicMessage()

    def greet(self, hello: Hello) -> None:
        """Put what each stream is of under a key of its own, ``prefix:NAME:hello``, where everyone finds it any time.

        It is put there again every second, before an entry: a server that comes back without its data has it too.
        """
        parts = {DECODED: hello} if hello.model else {one.name: hello.part(one.name) for one in hello.streams}
        texts = {name: strict_json(part.to_dict()) for name, part in parts.items() if part is not None}
        self._hello.say({f"{self._prefix}:{name}:{HELLO}": text for name, text in texts.items()} or None)

    def write(self, item: LiveEstimate | Chunk) -> None:
        """Append one entry."""
        if isinstance(item, Chunk):
            if len(item.times) or item.until is not None:
                self._add(item.name, _chunk_fields(item))
            return
        self._add(DECODED, _estimate_fields(item, self._index))
        self._index += 1

    def close(self) -> None:
        """Disconnect."""
        self._server.close()

    def _add(self, name: str, fields: dict[str, Any]) -> None:
        if (hello := self._hello.due()) is not None:
            self._server.mset(hello)
        self._server.xadd(f"{self._prefix}:{name}", fields, maxlen=KEPT, approximate=True)


def _too_large(key: bytes, size: int) -> InputError:
    return InputError(
        f"an entry of {size / 2**20:.3g} MB of Redis stream '{key.decode()}' is lost, at most {LARGEST / 2**20:g} MB "
        "are taken: send shorter chunks"
    )


def _chunk_fields(chunk: Chunk) -> dict[str, Any]:
    values = np.ascontiguousarray(chunk.values, chunk.values.dtype.newbyteorder("<"))
    last = float(chunk.times[-1]) if chunk.until is None else chunk.until
    described = {"kind": chunk.kind.value, "dtype": chunk.values.dtype.name, "until": chunk.until}
    if chunk.unrecorded:
        described["unrecorded"] = chunk.unrecorded
    labels = {} if chunk.labels is None else {"labels": to_bytes(chunk.labels)}
    return {
        **labels,
        "ts": _nanoseconds(last),
        "sync": strict_json({chunk.name: last}),
        "samples": values.tobytes(),
        "times": chunk.times.astype("<f8").tobytes(),
        "format": strict_json(described),
    }


def _estimate_fields(estimate: LiveEstimate, index: int) -> dict[str, Any]:
    return {
        "ts": np.uint64(time.monotonic_ns()).tobytes(),
        "sync": strict_json({"time": estimate.time}),
        "i": np.uint64(index).tobytes(),
        "samples": estimate.target.astype("<f4").tobytes(),
        "lower": estimate.lower.astype("<f4").tobytes(),
        "upper": estimate.upper.astype("<f4").tobytes(),
        "n_targets": len(estimate.target),
        **{name: strict_json(getattr(estimate, name)) for name in ("seen", "stale", "unusual")},
    }


def _nanoseconds(seconds: float) -> bytes:
    return np.asarray(max(round(1e9 * seconds), 0) if math.isfinite(seconds) else 0, "<u8").tobytes()


def _known_type(name: str) -> np.dtype:
    if name not in _TYPES:
        raise ValueError(name)
    return np.dtype(name).newbyteorder("<")


def _connect(host: str, port: int) -> Any:
    redis = import_extra("redis", "redis")
    # Without retries: the loop that reads decides what to do without a server, and the clock runs on meanwhile.
    once = import_extra("redis.retry", "redis").Retry(import_extra("redis.backoff", "redis").NoBackoff(), 0)
    server = redis.Redis(host=host, port=port, socket_connect_timeout=2.0, socket_timeout=5.0, retry=once)
    try:
        server.ping()
    except redis.RedisError as error:
        raise InputError(f"no Redis server answers at {host}:{port}: start one, or correct the address") from error
    return server


SCHEME = Scheme(
    "redis",
    "redis://127.0.0.1:6379/prefix",
    source=lambda address: RedisSource(
        address.host, address.port, address.name, dtype=address.options.get("dtype", "float32")
    ),
    sink=lambda address: RedisSink(address.host, address.port, address.name),
    options=frozenset(("dtype",)),
    server=True,
    port=6379,
)
