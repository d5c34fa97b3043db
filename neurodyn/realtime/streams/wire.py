"""Chunks and estimates as bytes: a JSON header that says what follows, then raw little-endian arrays.

    [topic, header, array, array, ...]

Nothing is ever unpickled: a header is JSON, and an array is taken only if its type and size are what the header says.
"""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from neurodyn.errors import InputError
from neurodyn.plain import strict_json
from neurodyn.realtime.labels import from_bytes, to_bytes
from neurodyn.realtime.runner import LiveEstimate
from neurodyn.realtime.streams.hello import Hello
from neurodyn.realtime.streams.protocol import Chunk, ChunkKind

VERSION = 1
ESTIMATE = b"estimate"
HELLO = b"hello"
_TYPES = {"<f8", "<f4", "<i8", "<i4", "<i2", "|i1", "<u8", "<u4", "<u2", "|u1"}


def estimate_arrays(estimate: LiveEstimate, *, rates: bool) -> dict[str, np.ndarray]:
    """Arrays of an estimate that are sent; of the covariance it is the diagonal, ``latent_variance``."""
    expected = {f"rates/{name}": values for name, values in estimate.rates.items()} if rates else {}
    return {
        "target": estimate.target,
        "lower": estimate.lower,
        "upper": estimate.upper,
        "latent": estimate.latent,
        "latent_variance": np.diagonal(estimate.covariance),
        **expected,
    }


def encode(item: LiveEstimate | Chunk, *, rates: bool = False) -> list[bytes]:
    """Parts of a message: topic, header and arrays; those of an estimate with its rates or without.

    A time in the header that is not finite is null: JSON has no other word for it.
    """
    if isinstance(item, Chunk):
        header = {"name": item.name, "kind": item.kind.value, "until": item.until}
        if item.unrecorded:
            header["unrecorded"] = item.unrecorded
        arrays = {"times": item.times, "values": item.values}
        if item.labels is not None:
            arrays["labels"] = np.frombuffer(to_bytes(item.labels), np.uint8)
        return _pack(f"{item.kind.value}/{item.name}".encode(), header, arrays)
    flags = {name: list(getattr(item, name)) for name in ("seen", "stale", "unusual")}
    header = {"time": item.time, **flags, "microseconds": item.microseconds}
    return _pack(ESTIMATE, header, estimate_arrays(item, rates=rates))


def encode_hello(hello: Hello) -> list[bytes]:
    """Parts of the message that says what the others are of; it has no arrays."""
    return _pack(HELLO, {"hello": hello.to_dict()}, {})


def decode_hello(parts: Sequence[bytes]) -> Hello:
    """What the others are of, from the parts of a message of the topic ``hello``.

    Raises
    ------
    InputError
        If the message is not one that `encode_hello` makes.
    """
    return Hello.from_dict(unpack(parts)[0].get("hello"))


def decode_chunk(parts: Sequence[bytes]) -> Chunk:
    """Chunk from the parts of a message.

    Raises
    ------
    InputError
        If the message is not one that `encode` makes of a chunk.
    """
    header, arrays = unpack(parts)
    try:
        times, values = arrays["times"].astype(np.float64, copy=False), arrays["values"]
        until = None if header.get("until") is None else float(header["until"])
        labels = from_bytes(arrays["labels"].tobytes()) if "labels" in arrays else None
        name, kind, unrecorded = str(header["name"]), ChunkKind(header["kind"]), unrecorded_of(header)
        return Chunk(name, times, values, kind, until, labels, unrecorded=unrecorded)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"expected a message with times and values of spikes or samples, got {header}") from error


def unrecorded_of(header: Mapping[str, Any]) -> tuple[tuple[int, float, float], ...]:
    """Stretches that were not recorded, from the header of a chunk: row of the unit, start and stop in seconds.

    Raises
    ------
    TypeError, ValueError
        If there are some that are not three numbers.
    """
    return tuple((int(unit), float(start), float(stop)) for unit, start, stop in header.get("unrecorded", ()))


def unpack(parts: Sequence[bytes]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Header and arrays of any message (see the module).

    Raises
    ------
    InputError
        If the header is not ours, or sizes do not match.
    """
    try:
        header = json.loads(parts[1])
        described = header["arrays"]
        if header["version"] != VERSION or len(described) != len(parts) - 2:
            raise ValueError
        arrays = {
            str(name): _array(raw, kind, shape) for raw, (name, kind, shape) in zip(parts[2:], described, strict=True)
        }
    except (IndexError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        begin = bytes(parts[1][:60]) if len(parts) > 1 else b""
        raise InputError(
            f"expected a topic, a JSON header of version {VERSION} and its arrays, got {len(parts)} parts, {begin!r}"
        ) from error
    return header, arrays


def _pack(topic: bytes, header: dict[str, Any], arrays: dict[str, np.ndarray]) -> list[bytes]:
    little = [
        array if array.dtype.str[0] != ">" else array.astype(array.dtype.newbyteorder("<")) for array in arrays.values()
    ]
    described = [_described(name, array.dtype, array.shape) for name, array in zip(arrays, little, strict=True)]
    # What changes is written anew, and joined with what is the same in message after message.
    begin = strict_json({"version": VERSION, **header})[:-1]
    text = f'{begin}, "arrays": [{", ".join(described)}]}}'
    return [topic, text.encode(), *[array.tobytes() for array in little]]


@lru_cache(maxsize=1000)
def _described(name: str, dtype: np.dtype, shape: tuple[int, ...]) -> str:
    return json.dumps([name, dtype.str, list(shape)])


def _array(raw: bytes, kind: str, shape: list[int]) -> np.ndarray:
    if kind not in _TYPES:
        raise ValueError(kind)
    return np.frombuffer(raw, kind).reshape([int(size) for size in shape])
