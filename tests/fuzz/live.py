"""What a session takes from outside: decoders, models, snapshots, messages. Refused in one line, or it decodes."""

import json
import math
import tempfile
import tracemalloc
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from fuzz.damage import Bytes, Edit, Put, apply, damaged_bytes, edits, items_of, puts
from fuzz.outcomes import Failure, Outcome
from hypothesis import strategies as st
from oracles.frozen_decoder import random_frozen, recurrent_decoder
from oracles.small_decoder import lorenz

from neurodyn.errors import InputError
from neurodyn.multiscale import MultiscaleDecoder
from neurodyn.realtime import EventKind, EventLog, Frozen, RealtimeDecoder
from neurodyn.realtime.binner import FieldInput, SpikeInput, StreamingBinner
from neurodyn.realtime.chunk_router import ChunkRouter
from neurodyn.realtime.clock import LiveClock
from neurodyn.realtime.inputs import binner_inputs, modalities_of
from neurodyn.realtime.runner import save_arrays
from neurodyn.realtime.state_keeper import StateKeeper
from neurodyn.realtime.streams import Chunk, ChunkKind, Hello
from neurodyn.realtime.streams.hello import StreamInfo
from neurodyn.realtime.streams.redis import decode_entry
from neurodyn.realtime.streams.wire import decode_chunk, decode_hello, encode, encode_hello
from neurodyn.realtime.writers import SnapshotFile

FIXTURE = Path(__file__).parents[1] / "fixtures" / "format_2"
LONGEST = 3600.0
"""Seconds between two samples that a session may remember."""
ODD_NUMBERS = (math.nan, math.inf, -math.inf, 0.0, -1.0, 1e3)


# Decoders -----------------------------------------------------------------------------------------------------


@cache
def decoders() -> list[tuple[dict[str, Any], np.ndarray]]:
    """Settings and parameters of three: of an earlier version, one with traces alone, a recurrent network."""
    recurrent = recurrent_decoder(lorenz()[0])
    found = [Frozen.load(FIXTURE / "decoder.npz"), random_frozen(), recurrent]
    return [(json.loads(json.dumps(one.settings)), one.parameters) for one in found]


def _written(path: Path, settings: Any, parameters: np.ndarray) -> None:
    text = json.dumps({"format": "neurodyn-decoder", "version": 4, **settings})
    save_arrays(path, {"settings": np.frombuffer(text.encode(), np.uint8), "parameters": parameters})


@cache
def decoder_bytes() -> list[bytes]:
    """Files of them."""
    with tempfile.TemporaryDirectory() as folder:
        path, found = Path(folder) / "a.npz", []
        for settings, parameters in decoders():
            _written(path, settings, parameters)
            found.append(path.read_bytes())
        return found


def decoder_cases() -> st.SearchStrategy:
    """An exported decoder one of whose settings, or of whose numbers, is another."""
    settings = puts([settings for settings, _ in decoders()])
    numbers = st.tuples(st.integers(0, 2), st.floats(0, 1, exclude_max=True), st.sampled_from(ODD_NUMBERS))
    return st.one_of(settings, settings, numbers.map(lambda case: ("a number", case)))


def check_decoder(case: Any, folder: Path) -> Outcome:
    """From a file, and made in memory; what is taken knows its modalities, and decodes finite numbers of usual bins."""
    if isinstance(case, Put):
        settings, parameters = decoders()[case.base]
        settings = case.into(settings)
    else:
        base, place, value = case
        settings, parameters = decoders()[base]
        parameters = parameters.copy()
        parameters[int(place * len(parameters))] = value
    try:
        frozen = Frozen(settings, parameters)
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError):
        frozen = None  # a layout that fills no buffer is not a decoder yet
    _written(folder / "a.npz", settings, parameters)
    taken = []
    for make in (lambda: RealtimeDecoder.load(folder / "a.npz"), lambda: frozen and RealtimeDecoder(frozen)):
        try:
            taken.append(make())
        except InputError as refused:
            error = refused
    taken = [live for live in taken if live is not None]
    if not taken:
        raise error
    for live in taken:
        _use(live)
    return Outcome.OTHER


def check_decoder_bytes(case: Bytes, folder: Path) -> Outcome:
    """An exported decoder of damaged bytes: the archive has checksums."""
    (folder / "a.npz").write_bytes(case.content)
    live = RealtimeDecoder.load(folder / "a.npz")
    _use(live)
    settings, parameters = decoders()[case.base]
    same = live.runner.frozen.fingerprint.tobytes() == Frozen(settings, parameters).fingerprint.tobytes()
    if not same:
        raise Failure("damaged bytes were read as another decoder")
    return Outcome.SAME


def _use(live: RealtimeDecoder) -> None:
    """What a session does with a decoder before and in its first bins."""
    rows = modalities_of(live)
    told = Hello.of(live.runner)
    assert Hello.from_dict(json.loads(json.dumps(told.to_dict(), allow_nan=False))) == told
    assert 1e-4 <= live.width <= LONGEST
    for row in rows:
        assert isinstance(row.name, str)
        assert all(isinstance(label, str) for label in row.channels)
        assert row.sample_every * live.width <= LONGEST + live.width
        assert row.rate is None or 0 < row.rate < math.inf
    binner_inputs(rows, live.width, {row.name: row.rate or 1e3 for row in rows})
    assert not any(np.isnan(limits).any() for limits in live.limits.values())
    for k in range(6):
        usual = {row.name: row.usual for row in live.runner.modalities}
        estimate = live.step(usual if k % 2 else {}, live.width * k)
        _finite(estimate.target, estimate.lower, estimate.upper, estimate.latent, *estimate.rates.values())


def _finite(*arrays: np.ndarray) -> None:
    if not all(np.isfinite(array).all() for array in arrays):
        raise Failure("what was taken decodes numbers that are not finite")


# Models -------------------------------------------------------------------------------------------------------


@cache
def _models() -> list[tuple[dict[str, Any], bytes]]:
    """Settings and the file of arrays of one of an earlier version, and the same saved anew."""
    with tempfile.TemporaryDirectory() as folder:
        MultiscaleDecoder.load(FIXTURE / "model").save(Path(folder) / "model")
        found = []
        for place in (FIXTURE / "model", Path(folder) / "model"):
            settings = json.loads((place / "model.json").read_text())
            found.append((settings, (place / settings["arrays"]).read_bytes()))
        return found


@cache
def _inventory() -> list[tuple[list[str], list[tuple[str, str]]]]:
    with tempfile.TemporaryDirectory() as folder:
        path, found = Path(folder) / "a.h5", []
        for _, content in _models():
            path.write_bytes(content)
            found.append(items_of(path))
        return found


def model_cases() -> st.SearchStrategy:
    """A saved model one of whose settings is another."""
    return puts([settings for settings, _ in _models()])


def array_cases() -> st.SearchStrategy:
    """A saved model with an edited file of arrays, and a checksum that is there, empty, or of before there was one."""
    sums = st.sampled_from(("kept", "empty", "version 1"))
    content = st.tuples(st.one_of(edits(_inventory()), damaged_bytes([data for _, data in _models()])), sums)
    return content.map(lambda case: (f"{case[0][0]}, checksum {case[1]}", (case[0][1], case[1])))


def check_model(case: Put, folder: Path) -> Outcome:
    """What is taken has the shapes that its file has; nothing is built of settings that the file cannot hold."""
    settings, content = _models()[case.base]
    return _loaded(folder, case.into(settings), content)


def check_model_arrays(case: tuple[Edit | Bytes, str], folder: Path) -> Outcome:
    """Damaged arrays behind a checksum are refused; without one they are numbers at least."""
    damage, checksum = case
    settings, content = _models()[damage.base]
    settings = settings | {"empty": {"sha256": ""}, "version 1": {"version": 1, "sha256": ""}, "kept": {}}[checksum]
    return _loaded(folder, settings, content, damage)


def _loaded(folder: Path, settings: Any, content: bytes, damage: Edit | Bytes | None = None) -> Outcome:
    place = folder / "model"
    place.mkdir(exist_ok=True)
    for old in place.iterdir():
        old.unlink()
    arrays = place / _models()[0][0]["arrays"]
    arrays.write_bytes(damage.content if isinstance(damage, Bytes) else content)
    if isinstance(damage, Edit):
        apply(damage, arrays)
    if isinstance(settings.get("arrays"), str) and settings["arrays"].startswith("arrays-"):
        settings = settings | {"arrays": arrays.name}
    (place / "model.json").write_text(json.dumps(settings))
    fitted = MultiscaleDecoder.load(place).fitted_
    assert fitted is not None
    assert 0 < fitted.width < math.inf
    assert all(row.sample_every <= 2**31 for row in fitted.modalities)
    with h5py.File(arrays) as file:
        _finite(*(item[()] for item in _datasets(file["arrays"])))
    _finite(*fitted.scaling.mean.values(), np.asarray(fitted.network.model().dynamics[0].transition[...]))
    return Outcome.OTHER


def _datasets(group: Any) -> list[Any]:
    found: list[Any] = []
    group.visititems(lambda _, item: found.append(item) if isinstance(item, h5py.Dataset) else None)
    return [item for item in found if item.dtype.kind == "f" and item.shape is not None]


# Snapshots ----------------------------------------------------------------------------------------------------


@cache
def _live() -> RealtimeDecoder:
    live = RealtimeDecoder.load(FIXTURE / "decoder.npz")
    for k in range(3):
        live.step({row.name: row.usual for row in live.runner.modalities}, 0.01 * k)
    return live


@cache
def _snapshot() -> dict[str, np.ndarray]:
    return _live().snapshot()


@cache
def _snapshot_bytes() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        save_arrays(Path(folder) / "a.npz", _snapshot())
        return (Path(folder) / "a.npz").read_bytes()


@dataclass(frozen=True)
class Changed:
    """One array of a snapshot that is another, or one beside them."""

    name: str
    how: str
    base: int = 0


def snapshot_cases() -> st.SearchStrategy:
    """Arrays of a snapshot that are gone, of another kind or shape or not finite; junk beside them; damaged bytes."""
    ways = ("deleted", "NaN", "infinite", "negative", "huge", "text", "flat", "no values", "complex", "scalar")
    arrays = st.builds(Changed, st.sampled_from(sorted(_snapshot())), st.sampled_from(ways))
    junk = st.builds(Changed, st.sampled_from(("junk", "no array")), st.just("junk"))
    changed = st.one_of(arrays, arrays, junk).map(lambda case: (f"array: {case.how}", case))
    return st.one_of(changed, damaged_bytes([_snapshot_bytes()]))


def check_snapshot(case: Changed | Bytes, folder: Path) -> Outcome:
    """Refused, and the decoder is as before; or gone on from, with finite numbers. Nothing else in the file is read."""
    path, live, before = folder / "a.npz", _live(), _snapshot()
    live.restore(before)
    if isinstance(case, Bytes):
        path.write_bytes(case.content)
    else:
        _change(path, case)
    junk = isinstance(case, Changed) and case.how == "junk"
    log = EventLog()
    tracemalloc.start()
    try:
        live.load_snapshot(path)
        outcome = Outcome.SAME
    except InputError:
        outcome = Outcome.REFUSED
        after = live.snapshot()
        for name, array in before.items():
            np.testing.assert_array_equal(after[name], array)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    _finite(live.step({}, 1.0).target)
    tracemalloc.start()
    try:
        file = SnapshotFile(path, log)
        try:
            StateKeeper(live, file, lambda *event: None, every=1.0, catch_up=1.0).catch_up(0.5)
        finally:
            file.close()
    except InputError as error:
        if "another model" not in str(error):
            raise Failure(f"a damaged snapshot ends a session: {error}") from error
    finally:
        peak = max(peak, tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    _finite(live.step({}, 2.0).target)
    if junk and (peak > 2**21 or outcome is not Outcome.SAME):
        raise Failure(f"what is not wanted was read: {peak:,} bytes, {outcome}")
    return outcome


def _change(path: Path, case: Changed) -> None:
    arrays = dict(_snapshot())
    if case.how == "junk":
        if case.name == "junk":
            arrays["junk"] = np.zeros(2**20)
        save_arrays(path, arrays)
        if case.name == "no array":
            with zipfile.ZipFile(path, "a") as archive:
                archive.writestr("objects.npy", b"no array")
        return
    old = np.asarray(arrays.pop(case.name))
    made = {
        "NaN": np.full(old.shape, np.nan), "infinite": np.full(old.shape, np.inf), "negative": np.full(old.shape, -1),
        "huge": np.full(old.shape, 2**62), "text": np.full(old.shape, "x"), "flat": old.ravel(),
        "no values": np.zeros((0, *old.shape[1:])), "complex": np.full(old.shape, 1j), "scalar": np.asarray(3.0),
    }  # fmt: skip
    save_arrays(path, arrays if case.how == "deleted" else arrays | {case.name: made[case.how]})


# Messages -----------------------------------------------------------------------------------------------------

CHUNKS = (
    Chunk("field", np.arange(3.0), np.zeros((3, 2), np.float32), until=3.0, labels=("a", "b")),
    Chunk("spikes", np.arange(4.0), np.arange(4) % 3, ChunkKind.SPIKES, 4.0, ("u", "v", "w"), ((1, 0.5, 0.7),)),
    Chunk("spikes", np.arange(2.0), np.ones((2, 3), np.int16)),  # counts
    Chunk.of_markers("cues", [(0.5, "go"), (0.7, "stop")]),
)
HELLO = Hello(
    (StreamInfo("spikes", ChunkKind.SPIKES, ("u", "v")), StreamInfo("field", ChunkKind.SAMPLES, ("a",), "mV", 1e3)),
    ("x", "y"), ("m", ""), 0.01, 4, "0f" * 32,
)  # fmt: skip


@dataclass(frozen=True)
class Message:
    """Parts of a message of the base with this number."""

    base: int
    parts: tuple[bytes, ...]


@st.composite
def _damaged(draw: Any, messages: list[list[bytes]], headers: tuple[int, ...]) -> tuple[str, Message]:
    """A message with another header, or other bytes in a part, or another number of parts."""
    base = draw(st.integers(0, len(messages) - 1))
    parts = list(messages[base])
    kind = draw(st.sampled_from(("header", "header", "bytes", "parts")))
    place = draw(st.sampled_from(headers))
    if kind == "header" and (document := json.loads(parts[place])):
        told, put = draw(puts([document]))
        parts[place] = json.dumps(put.into(document)).encode()
        return told, Message(base, tuple(parts))
    place = draw(st.integers(0, len(parts) - 1))
    if kind == "parts":
        parts[place : place + 1] = draw(st.sampled_from(([], [parts[place]] * 2, [b""], [b"[" * 50_000])))
    elif parts[place]:
        parts[place] = draw(damaged_bytes([parts[place]]))[1].content
    return kind, Message(base, tuple(parts))


def chunk_cases() -> st.SearchStrategy:
    """Damaged messages of chunks."""
    return _damaged([encode(chunk) for chunk in CHUNKS], (1,))


def hello_cases() -> st.SearchStrategy:
    """Damaged messages that say what others are of."""
    return _damaged([encode_hello(HELLO)], (1,))


FIELDS = (b"format", b"labels", b"samples", b"times", b"ts")
ENTRIES = [
    {
        b"format": json.dumps({"kind": one.kind.value, "dtype": one.values.dtype.name, "until": one.until,
                               "unrecorded": one.unrecorded}).encode(),
        b"labels": json.dumps(list(one.labels or ())).encode(), b"samples": one.values.tobytes(),
        b"times": one.times.tobytes(), b"ts": np.uint64(10**9).tobytes(),
    }
    for one in CHUNKS
]  # fmt: skip


@st.composite
def redis_cases(draw: Any) -> tuple[str, tuple[Message, int]]:
    """Damaged entries, of which a field may be gone or be called something that is no text."""
    messages = [[entry[name] for name in FIELDS] for entry in ENTRIES]
    kind, message = draw(_damaged(messages, (0, 1)))
    return kind, (message, draw(st.integers(-2, len(FIELDS) - 1)))


def check_chunk(case: Message, folder: Path) -> Outcome:
    """Refused, or taken by a session without an error."""
    return _taken(decode_chunk(case.parts))


def check_hello(case: Message, folder: Path) -> Outcome:
    """Refused, or something that can be said again."""
    hello = decode_hello(case.parts)
    assert Hello.from_dict(json.loads(json.dumps(hello.to_dict(), allow_nan=False))) == hello
    return Outcome.SAME if hello == HELLO else Outcome.OTHER


def check_entry(case: tuple[Message, int], folder: Path) -> Outcome:
    """As a message."""
    message, left = case
    fields = dict(zip(FIELDS, message.parts, strict=False))
    if left >= 0:
        fields.pop(FIELDS[left], None)
    elif left == -1:
        fields[b"\xff"] = fields.pop(b"samples", b"")
    return _taken(decode_entry("spikes", fields, "float32"))


def _taken(chunk: Chunk) -> Outcome:
    """What a session does with a chunk: its clock, its markers, its binner."""
    chunk.markers()
    log, clock = EventLog(), LiveClock(wall=lambda: 0.0)
    binner = StreamingBinner([SpikeInput("spikes", 3, labels=("u", "v", "w")), FieldInput("field", 2, 100.0)], 0.05,
                             start=0.0, log=log)  # fmt: skip
    intake = ChunkRouter(("spikes",), None, None, lambda kind, name, detail: log.record(0.0, kind, name, detail))
    believed = clock.note([CHUNKS[0], chunk])
    for one in believed:
        if one.kind is not ChunkKind.MARKERS:
            intake.take(binner, one)
    bins = binner.ready(clock.now())
    assert len(bins) < 20_000
    for one in bins:
        spikes = one.observations["spikes"]
        assert spikes is None or (spikes[np.isfinite(spikes)] >= 0).all()
    negative = chunk.name == "spikes" and chunk.kind is ChunkKind.SAMPLES and np.count_nonzero(chunk.values < 0)
    if negative and chunk in believed and not log.counts().get(EventKind.BAD_INPUT):
        raise Failure("counts below 0 were taken, and nobody was told")
    return Outcome.OTHER
