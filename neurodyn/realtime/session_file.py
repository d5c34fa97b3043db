"""The file of a session: everything that came, every bin and its estimate, so that it can be decoded again to the bit.

HDF5, written in its SWMR mode: what was flushed before the process was killed is there, and others may read along.

``head``           JSON: the model's modalities, names and units of the target, width of a bin, limits of the output
``streams/<n>``    ``head`` (JSON: name, kind, labels), ``times`` (s), ``values`` (row of the unit per spike; samples x
                   channels); when units were recorded is in the bins
``bins``           ``time`` (s), ``observations/<n>`` of a modality (NaN: missing), ``target``, ``lower``, ``upper``,
                   ``latent``; ``truth`` as it was told (NaN: not); ``seen``, ``stale``, ``unusual``: a bit per modality
``runs``           ``first``: number of the bin from which on the decoder went bin by bin from ``state/<name>``
``events``         a line of JSON each

Texts are bytes in arrays, since HDF5's own texts lie in a heap that a kill may leave damaged.

Reference: The HDF Group, HDF5 Single-Writer/Multiple-Reader User's Guide.
"""

import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neurodyn.errors import InputError
from neurodyn.plain import strict_json
from neurodyn.realtime.adaptive import AdaptiveIntervals
from neurodyn.realtime.decoder import RealtimeDecoder
from neurodyn.realtime.events import Event
from neurodyn.realtime.limits import OutputLimits
from neurodyn.realtime.recalibration import Recalibration
from neurodyn.realtime.runner import LiveEstimate
from neurodyn.realtime.streams.protocol import Chunk, ChunkKind
from neurodyn.recording.session import FORMAT, VERSION
from neurodyn.writing import writing

ROWS = 256
"""Rows of an array that HDF5 keeps together."""
MOST_STREAMS = 64
"""Streams of one session; labels that change make another stream."""
LEAST_FREE = 64 * 2**20
"""Bytes of the disk that a session leaves free: a disk that is full in the middle of a write leaves a file damaged."""
FLAGS = ("seen", "stale", "unusual")
ESTIMATED = ("target", "lower", "upper", "latent")


@dataclass(frozen=True)
class Step:
    """One bin as the decoder took it.

    Parameters
    ----------
    observations
        (channel,) per modality, NaN where missing; a modality that is None or left out is missing.
    estimate
        What was handed out.
    """

    observations: Mapping[str, Any]
    estimate: LiveEstimate


@dataclass(frozen=True)
class Truth:
    """What the target of the step before really was.

    Parameters
    ----------
    target
        (dim,), NaN where it is not known.
    """

    target: np.ndarray


class SessionFile:
    """The file of one session, which is begun anew: where one is, a number is added to the name.

    Parameters
    ----------
    path
        Of the file.
    decoder
        Whose bins are written.

    Attributes
    ----------
    path
        Of the file that was begun.

    Raises
    ------
    InputError
        If it cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], decoder: RealtimeDecoder) -> None:
        self._names, self._dtype = tuple(decoder.channels), decoder.runner.dtype
        self._streams: dict[Any, str] = {}
        with writing(path):
            self.path = _claimed(Path(path))
            self._file = self._begin(decoder)

    def append(self, items: Iterable[Chunk | Step | Truth | Event | Mapping[str, np.ndarray]]) -> list[str]:
        """Write what has come, in order, and flush.

        Parameters
        ----------
        items
            Data of streams, steps of the decoder, truths of the steps before them, events, and the decoder's state
            before the next step.

        Returns
        -------
        Names of streams of which something was left out: values of another shape than before, or a stream too many.

        Raises
        ------
        OSError
            If the disk has less than `LEAST_FREE` bytes left, and what HDF5 raises if it does not take them.
        """
        items = list(items)
        if shutil.disk_usage(self.path.parent).free < LEAST_FREE:
            raise OSError(f"less than {LEAST_FREE / 2**20:.0f} MB are free on its disk")
        self._add_streams(items)
        rows: dict[str, list[Any]] = {}
        left_out = []
        bins = len(self._file["bins/time"])

        def add(name: str, values: Any) -> None:
            rows.setdefault(name, []).append(values)

        for item in items:
            if isinstance(item, Chunk):
                group = self._streams.get(_key(item))
                if group is None or self._file[f"{group}/values"].shape[1:] != item.values.shape[1:]:
                    left_out.append(item.name)
                    continue
                add(f"{group}/times", item.times)
                add(f"{group}/values", item.values)
            elif isinstance(item, Step):
                bins += 1
                for name, value in self._bin(item).items():
                    add(name, value)
            elif isinstance(item, Truth):  # of several truths of a bin the first counts
                if "bins/truth" in rows:
                    row = rows["bins/truth"][-1]
                    row[0] = item.target if np.isnan(row).all() else row[0]
                elif bins and np.isnan(self._file["bins/truth"][bins - 1]).all():
                    self._file["bins/truth"][bins - 1] = item.target
            elif isinstance(item, Event):
                text = strict_json(asdict(item)) + "\n"
                add("events", np.frombuffer(text.encode(), np.uint8))
            else:
                add("runs/first", np.asarray([bins]))
                for name, value in item.items():
                    add(f"runs/state/{name}", np.asarray(value)[None])
        for name, parts in rows.items():
            values = np.concatenate(parts)
            dataset = self._file[name]
            before = len(dataset)
            dataset.resize(before + len(values), axis=0)
            dataset[before:] = values
        self._file.flush()
        return left_out

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._file.close()

    def _begin(self, decoder: RealtimeDecoder) -> Any:
        import h5py

        with h5py.File(self.path, "w", libver="latest", locking=False) as file:
            file.attrs["format"], file.attrs["version"] = np.bytes_(FORMAT), VERSION
            _text(file, "head", _head(decoder))
            _array(file, "bins/time", (), np.float64)
            for name, width in _widths(decoder).items():
                _array(file, f"bins/{name}", (width,), np.float64 if name in ESTIMATED else self._dtype)
            _array(file, "bins/truth", (len(decoder.target_names),), np.float64)
            for name in FLAGS:
                _array(file, f"bins/{name}", (), np.uint64)
            _array(file, "runs/first", (), np.int64)
            for name, value in decoder.snapshot().items():
                _array(file, f"runs/state/{name}", np.shape(value), np.asarray(value).dtype)
            _array(file, "events", (), np.uint8)
            file.create_group("streams")
        return self._opened()

    def _opened(self) -> Any:
        import h5py

        file = h5py.File(self.path, "r+", libver="latest", locking=False)
        file.swmr_mode = True
        return file

    def _add_streams(self, items: Iterable[Any]) -> None:
        """Make room for streams that come for the first time, or with other labels; HDF5 has to open the file anew."""
        import h5py

        new = {_key(one): one for one in items if isinstance(one, Chunk) and _key(one) not in self._streams}
        new = dict(list(new.items())[: MOST_STREAMS - len(self._streams)])
        if not new:
            return
        self._file.close()
        with h5py.File(self.path, "r+", libver="latest", locking=False) as file:
            for key, chunk in new.items():
                group = f"streams/{len(self._streams)}"
                _text(file, f"{group}/head", {"name": chunk.name, "kind": chunk.kind.value, "labels": list(key[2])})
                _array(file, f"{group}/times", (), np.float64)
                dtype = np.int32 if chunk.kind is ChunkKind.SPIKES else np.float64
                _array(file, f"{group}/values", chunk.values.shape[1:], dtype)
                self._streams[key] = group
        self._file = self._opened()

    def _bin(self, step: Step) -> dict[str, np.ndarray]:
        """One row of each array of the bins."""
        estimate = step.estimate
        row: dict[str, np.ndarray] = {"bins/time": np.asarray([estimate.time])}
        for number, name in enumerate(self._names):
            given, place = step.observations.get(name), f"bins/observations/{number}"
            width = self._file[place].shape[1]
            row[place] = np.full((1, width), np.nan) if given is None else np.asarray(given)[None]
        for name in ESTIMATED:
            row[f"bins/{name}"] = np.asarray(getattr(estimate, name), np.float64)[None]
        row["bins/truth"] = np.full((1, len(estimate.target)), np.nan)
        for name in FLAGS:
            bits = sum(1 << self._names.index(one) for one in getattr(estimate, name))
            row[f"bins/{name}"] = np.asarray([bits], np.uint64)
        return row


def _claimed(path: Path) -> Path:
    """A name that is free, which is taken by an empty file: the one given, or with a number behind it."""
    number = 1
    while True:
        free = path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")
        try:
            free.open("x").close()
        except FileExistsError:
            number += 1
        else:
            return free


def settings_of(head: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of the live decoder that a session was decoded with, from the head of its file.

    Raises
    ------
    InputError
        If they are not settings of a live decoder.
    """
    kinds = {"output": OutputLimits, "intervals": AdaptiveIntervals, "recalibration": Recalibration}
    found: dict[str, Any] = {}
    for name, kind in kinds.items():
        if (given := head.get(name)) is not None:
            try:
                found[name] = kind(**{key: tuple(v) if isinstance(v, list) else v for key, v in given.items()})
            except (AttributeError, TypeError) as error:
                raise InputError(f"what the session file says of '{name}' is damaged") from error
    return found


def _followed(decoder: RealtimeDecoder) -> dict[str, OutputLimits | AdaptiveIntervals | Recalibration | None]:
    """What changes an estimate before it is handed out."""
    return {"output": decoder.output, "intervals": decoder.intervals, "recalibration": decoder.recalibration}


def _head(decoder: RealtimeDecoder) -> dict[str, Any]:
    channels = decoder.channel_names
    return {
        "modalities": [{"name": name, "channels": list(channels[name])} for name in decoder.channels],
        "target_names": list(decoder.target_names),
        "target_units": list(decoder.target_units),
        "width_seconds": decoder.width,
        **{name: None if given is None else asdict(given) for name, given in _followed(decoder).items()},
    }


def _widths(decoder: RealtimeDecoder) -> dict[str, int]:
    """Numbers in a row of each array of the bins."""
    observations = {f"observations/{number}": width for number, width in enumerate(decoder.channels.values())}
    dims = len(decoder.target_names)
    return {**observations, "target": dims, "lower": dims, "upper": dims, "latent": len(decoder.runner.backbone.mean)}


def _labels(chunk: Chunk) -> tuple[str, ...]:
    """Labels of a stream; of one that has none its places."""
    if chunk.labels is not None:
        return chunk.labels
    return tuple(str(place) for place in range(chunk.values.shape[1])) if chunk.kind is ChunkKind.SAMPLES else ()


def _key(chunk: Chunk) -> tuple[str, ChunkKind, tuple[str, ...]]:
    return chunk.name, chunk.kind, _labels(chunk)


def _text(file: Any, name: str, what: Any) -> None:
    file.create_dataset(name, data=np.frombuffer(strict_json(what).encode(), np.uint8))


def _array(file: Any, name: str, shape: tuple[int, ...], dtype: Any) -> None:
    most = tuple(max(1, size) for size in shape)  # HDF5 has no chunks without anything in them
    file.create_dataset(name, shape=(0, *shape), maxshape=(None, *most), chunks=(ROWS, *most), dtype=dtype)
