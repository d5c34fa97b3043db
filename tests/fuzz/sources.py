"""Files and folders of other programs, damaged, and layouts of any kind on variables that are whole."""

import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from fuzz.damage import Bytes, damaged_bytes
from fuzz.outcomes import Outcome
from fuzz.reading import check_invariants, outcome_of
from hypothesis import strategies as st
from recording.test_other_sources import LAYOUT, arrays, phy, write_xdf

from neurodyn.recording import Layout, Recording, read_recording
from neurodyn.recording.described import described_recording
from neurodyn.recording.layout_file import layout_of
from neurodyn.recording.left_out import Choices


@dataclass(frozen=True, eq=False)
class Source:
    """A file or a folder that is read as one recording.

    Attributes
    ----------
    files
        Content by name.
    read
        Name of what is read; empty for the folder itself.
    layout
        What is what, for those that do not say.
    recording
        What is in it.
    """

    files: dict[str, bytes]
    read: str
    layout: Layout | None
    recording: Recording = field(repr=False)


def _made(folder: Path, read: str = "", layout: Layout | None = None) -> Source:
    path = folder / read if read else folder
    recording = read_recording(path, layout=layout, lazy=False)
    return Source({file.name: file.read_bytes() for file in folder.iterdir()}, read, layout, recording)


@cache
def sources(program: str) -> list[Source]:
    """Small ones of a program."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "a"  # a folder names its recording
        folder.mkdir()
        if program == "NumPy":
            np.savez_compressed(folder / "a.npz", **arrays())
            packed = _made(folder, "a.npz", LAYOUT)
            (folder / "a.npz").unlink()
            for variable, array in arrays().items():
                np.save(folder / f"{variable}.npy", array)
            return [packed, _made(folder, "", LAYOUT)]
        if program == "CSV":
            row = {"variable": ["x", "y"], "name": "position", "time": "time"}
            lines = [f"{0.1 * k:.1f},{k % 7},{(k * k) % 5 or ''}" for k in range(60)]
            (folder / "a.csv").write_text("\n".join(["time,x,y", *lines]) + "\n")
            return [_made(folder, "a.csv", layout_of({"behaviour": [row]}))]
        if program == "phy":
            return [_made(phy(folder))]
        if program == "session":
            _record(folder / "a.h5")
            return [_made(folder, "a.h5")]
        if program == "XDF":
            write_xdf(folder / "a.xdf")
            return [_made(folder, "a.xdf")]
        times = np.empty((1, 2), object)
        times[0, 0], times[0, 1] = np.array([[0.5], [1.5]]), np.array([[1.0]])
        spikes = {"times": times, "UID": np.array([[1, 5]]), "shankID": np.array([[2, 3]]), "sr": 2e4}
        scipy.io.savemat(folder / "rat.spikes.cellinfo.mat", {"spikes": spikes})
        return [_made(folder, "rat.spikes.cellinfo.mat")]


def _files(program: str) -> list[tuple[Source, str]]:
    return [(source, name) for source in sources(program) for name in sorted(source.files)]


def _record(path: Path) -> None:
    """A session of a decoder that was saved by an earlier version: some chunks of two streams, and twenty bins."""
    from neurodyn.realtime import EventLog, RealtimeDecoder, session_file
    from neurodyn.realtime.inputs import labels_of, modalities_of
    from neurodyn.realtime.recorder import SessionRecorder
    from neurodyn.realtime.streams import Chunk, ChunkKind

    rng, usual = np.random.default_rng(0), session_file.ROWS
    live = RealtimeDecoder.load(Path(__file__).parents[1] / "fixtures" / "format_2" / "decoder.npz")
    session_file.ROWS = 8  # so that a flipped bit seldom falls where nothing is
    recorder = SessionRecorder(session_file.SessionFile(path, live), EventLog())
    live.listen(recorder)
    for number in range(20):
        for row in modalities_of(live):
            times, labels = np.sort(number + rng.random(5)), labels_of(row)
            values = np.arange(5, dtype=np.int32) % 2 if row.counts else rng.normal(size=(5, len(labels)))
            kind = ChunkKind.SPIKES if row.counts else ChunkKind.SAMPLES
            recorder.take(Chunk(row.name, times, values, kind, labels=labels))
        live.step({name: np.ones(width) for name, width in live.channels.items() if rng.random() < 0.8}, 0.05 * number)
    recorder.close()
    session_file.ROWS = usual


def source_cases(program: str) -> st.SearchStrategy:
    """One file of a program with damaged bytes."""
    return damaged_bytes([source.files[name] for source, name in _files(program)])


def check_source(program: str, case: Bytes, folder: Path) -> Outcome:
    """A source of which one file is damaged and the others are whole."""
    source, damaged = _files(program)[case.base]
    place = folder / "a"
    place.mkdir(exist_ok=True)
    for file in place.iterdir():
        file.unlink()
    for name, content in source.files.items():
        (place / name).write_bytes(case.content if name == damaged else content)
    return outcome_of(place / source.read if source.read else place, source.recording, source.layout)


# Layouts ------------------------------------------------------------------------------------------------------


@cache
def variables() -> dict[str, Any]:
    """What a file of many shapes holds: vectors, matrices, three axes, structs, cells of cells, trials, text."""
    rng = np.random.default_rng(0)
    cells = np.empty((2, 1), object)
    cells[0, 0], cells[1, 0] = np.array([[0.1], [0.5]]), np.zeros((0, 0))
    trials = [{"pos": rng.normal(size=(4 + k, 2)), "Y": rng.poisson(1.0, (4 + k, 3)), "ok": np.ones((1, 1))}
              for k in range(3)]  # fmt: skip
    return {
        "t": 0.1 * np.arange(20.0)[:, None], "Y": rng.poisson(1.0, (20, 3)), "x": rng.normal(size=(20, 2)),
        "ts": np.sort(rng.uniform(0, 2, (30, 1)), axis=0), "ids": rng.integers(0, 3, (30, 1)), "fs": np.array([[10.0]]),
        "cube": rng.normal(size=(3, 5, 2)), "cells": cells, "names": ["a", "b", "c"],
        "s": {"in": {"x": np.ones((9, 1))}}, "trials": trials, "tt": np.array([[0.0, 1.0, 3.0], [1.0, 2.0, np.nan]]),
        "none": None, "empty": np.zeros((0, 2)), "bad": np.array([[np.nan], [np.inf], [-1.0]]), "text": "t",
    }  # fmt: skip


_PATHS = st.one_of(
    st.sampled_from((
        "t", "Y", "x", "ts", "ids", "fs", "cube", "cells", "cells{:}", "cells{1}", "cells{9}", "s.in.x", "s", "trials",
        "trials.pos", "trials.Y", "trials.ok", "tt(:,1)", "tt(:,2)", "tt(:,9)", "x(:,1)", "none", "empty", "bad",
        "names", "text", "nothing", "x{1}", "s.in.x.y", "(:,1)", "",
    )),
    st.text(alphabet="txsY.{}():,1", max_size=8),
)  # fmt: skip
_TIMES = st.sampled_from(("s", "ms", "us", "samples", "h"))
_NUMBERS = st.one_of(_PATHS, st.floats(), st.sampled_from((10.0, 0.1, 0, -1, True)))
_AXES = st.sampled_from(("time channel", "channel time", "trial time", "trial time channel", "channel trial time", "x"))


def _row(**keys: st.SearchStrategy) -> st.SearchStrategy:
    needed = {"variable": keys.pop("variable", _PATHS)}
    return st.fixed_dictionaries(needed, optional=keys)


_SIGNAL = _row(
    variable=st.one_of(_PATHS, st.lists(_PATHS, max_size=2)), name=_PATHS, time=_PATHS, time_unit=_TIMES, rate=_NUMBERS,
    start=_NUMBERS, binned=st.booleans(), axes=_AXES, channels=st.one_of(_PATHS, st.lists(_PATHS, max_size=3)),
    channels_first=st.booleans(), stamp=st.sampled_from(("start", "middle", "end")), unit=st.text(max_size=2),
)  # fmt: skip
LAYOUTS = st.fixed_dictionaries(
    {},
    optional={
        "spikes": st.one_of(_PATHS, _row(cluster=_PATHS, time_unit=_TIMES, rate=_NUMBERS, support=_PATHS)),
        "counts": _row(width=_NUMBERS, time=_PATHS, rates=st.booleans(), axes=_AXES, units=_PATHS, start=_NUMBERS),
        "fields": st.lists(_SIGNAL, max_size=2),
        "behaviour": st.lists(_SIGNAL, max_size=2),
        "intervals": st.lists(
            st.fixed_dictionaries({"name": _PATHS, "starts": _PATHS, "stops": _PATHS},
                                  optional={"columns": st.dictionaries(st.sampled_from("ab"), _PATHS, max_size=1)}),
            max_size=1),
        "trials": _PATHS, "gap": _NUMBERS, "channels": _PATHS, "unsorted": st.booleans(),
    },
).map(lambda layout: ("any", layout))  # fmt: skip


def check_layout(case: dict[str, Any], folder: Path) -> Outcome:
    """A layout that is refused, or describes a recording that holds together."""
    recording = described_recording("a", variables(), layout_of(case), Choices(strict=True))
    check_invariants(recording)
    return Outcome.OTHER
