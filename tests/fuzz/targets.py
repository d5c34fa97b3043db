"""Every reader and every place that takes data from outside, with the cases that are tried on it."""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from fuzz import live
from fuzz.damage import MUST_BE_REFUSED, Bytes, Edit, apply, damaged_bytes, edits, items_of
from fuzz.outcomes import Failure, Outcome, Target
from fuzz.reading import check_invariants, outcome_of
from fuzz.sources import LAYOUTS, check_layout, check_source, source_cases
from fuzz.streams import check_stream, stream_cases
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from recording.make_matlab import write_v73
from recording.make_recording import everything

from neurodyn.binning import Field, Spikes, to_bins
from neurodyn.cli.options import read_config
from neurodyn.recording import (
    Recording,
    Signal,
    describe,
    differences,
    read_hdf5,
    read_layout,
    read_recording,
    recording_from_arrays,
    write_hdf5,
    write_matlab,
    write_nwb,
)
from neurodyn.recording.matlab_file import load_variables

_Base = tuple[str, bytes, Recording]


# Files --------------------------------------------------------------------------------------------------------


def _small() -> Recording:
    """A part of everything, so that a flipped bit seldom falls where nothing is."""
    whole = everything()
    fields = {name: signal.between(0.0, 0.6) for name, signal in whole.fields.items()}
    return replace(whole, fields=fields)


@cache
def bases(format_name: str) -> list[_Base]:
    """File endings and contents to damage, with what is in them."""
    recording = _small()
    with tempfile.TemporaryDirectory() as folder:
        made: list[tuple[Path, Recording]] = []
        if format_name == "hdf5":
            made = [(write_hdf5(recording, Path(folder) / "a.h5"), recording)]
        elif format_name == "nwb":
            made = [(write_nwb(recording, Path(folder) / "a.nwb"), recording)]
        else:
            five = write_matlab(recording, Path(folder) / "a.mat")
            seven = write_v73(Path(folder) / "b.mat", load_variables(five))
            made = [(five if format_name == "matlab5" else seven, recording)]
        return [(path.suffix, path.read_bytes(), read_recording(path, lazy=False)) for path, _ in made]


@cache
def inventory(format_name: str) -> list[tuple[list[str], list[tuple[str, str]]]]:
    """Items of each base file that is HDF5, without the schemas that NWB carries along."""
    found = []
    for ending, content, _ in bases(format_name):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"a{ending}"
            path.write_bytes(content)
            datasets, attributes = items_of(path)
        kept = [name for name in datasets if not name.startswith("specifications")]
        found.append((kept, [pair for pair in attributes if not pair[0].startswith("specifications")]))
    return found


def check_bytes(format_name: str, checksums: bool, case: Bytes, folder: Path) -> Outcome:
    """A file with damaged bytes; where the format has checksums, nothing else may come of it than the recording."""
    ending, _, original = bases(format_name)[case.base]
    path = folder / f"case{ending}"
    path.write_bytes(case.content)
    outcome = outcome_of(path, original)
    if checksums and outcome is Outcome.OTHER:
        raise Failure(f"{format_name}: damaged bytes were read as another recording")
    return outcome


def check_edit(format_name: str, case: Edit, folder: Path) -> Outcome:
    """A file that is whole but holds other things than expected."""
    ending, content, original = bases(format_name)[case.base]
    path = folder / f"case{ending}"
    path.write_bytes(content)
    apply(case, path)
    outcome = outcome_of(path, original)
    # What replaces an item that MATLAB refers to by its address is referred to by nobody.
    seen = case.action == "external link" or not case.path.startswith("#refs#")
    if case.action in MUST_BE_REFUSED and not case.attribute and seen:
        raise Failure(f"{format_name}: {case.path} with {case.action} was not refused")
    return outcome


# Arrays -------------------------------------------------------------------------------------------------------

_ELEMENTS = {"allow_nan": True, "allow_infinity": True}
_DTYPES = st.sampled_from(("f8", "f4", "i4", "u1", "?", "c16", "U2", "O"))
_SHAPES = st.one_of(
    arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=6), st.sampled_from(((0, 2), (1, 1), (2, 1)))
)


def _array(draw: Any) -> np.ndarray:
    dtype, shape = draw(_DTYPES), draw(_SHAPES)
    if dtype == "O":
        return np.full(shape, None, dtype=object)
    return draw(arrays.arrays(dtype, shape, elements=None))


def _times(draw: Any, size: int) -> np.ndarray:
    """Times that are in order more often than not, or not finite, not sorted, of another length."""
    steps = draw(arrays.arrays("f8", size, elements=st.floats(0, 2)))
    times = np.cumsum(steps)
    for place in draw(st.lists(st.integers(0, max(0, size - 1)), max_size=2)) if size else ():
        times[place] = draw(st.floats(allow_nan=True, allow_infinity=True))
    return times


@st.composite
def array_cases(draw: Any) -> tuple[str, dict[str, Any]]:
    """Arguments of `recording_from_arrays` that are wrong in one way or another, or in none."""
    name, unit = draw(st.text(max_size=8)), draw(st.text(max_size=3))
    kind = draw(st.sampled_from(("any arrays", "spike times", "timestamps", "rates", "intervals", "names", "samples")))
    size = draw(st.integers(0, 12))
    case: dict[str, Any] = {"name": "r"}
    if kind == "any arrays":
        case |= {"fields": {name: _array(draw)}, "rates": {name: 10.0}, "spikes": {"a": _array(draw)}}
    elif kind == "spike times":
        case |= {"spikes": [_times(draw, size), _times(draw, draw(st.integers(0, 3)))]}
    elif kind == "timestamps":
        values = np.ones((draw(st.integers(0, 6)), draw(st.integers(0, 6))))
        case |= {"behaviour": {name: values}, "timestamps": {name: _times(draw, size)}, "units": {name: unit}}
    elif kind == "rates":
        rate = draw(st.one_of(st.floats(), st.sampled_from((0, -1, 1, True, "1", None, 1e-300, 1e300))))
        case |= {"fields": {name: np.ones((size, 2))}, "rates": {name: rate}}
    elif kind == "intervals":
        case |= {"intervals": {name: _array(draw)}}
    elif kind == "names":
        names = draw(st.lists(st.one_of(st.text(max_size=4), st.integers()), max_size=4))
        case |= {"spikes": {unit: np.ones(1) for unit in names}}
    else:
        values = draw(arrays.arrays("f8", (draw(st.integers(0, 2)), draw(st.integers(0, 3)))))
        case |= {"behaviour": {name: values}, "rates": {name: draw(st.floats(1e-3, 1e5))}}
    return kind, case


def check_arrays(case: dict[str, Any], folder: Path) -> Outcome:
    """Containers, their summary, and a round trip through HDF5."""
    recording = recording_from_arrays(**case)
    check_invariants(recording)
    describe(recording)
    found = read_hdf5(write_hdf5(recording, folder / "case.h5"))
    changed = differences(recording, found)
    if changed:
        raise Failure(f"arrays: the round trip changed {changed}")
    return Outcome.SAME


# Bins ---------------------------------------------------------------------------------------------------------


@st.composite
def bin_cases(draw: Any) -> tuple[str, dict[str, Any]]:
    """Recordings of few samples, extreme rates, constant and missing values, and widths that do not fit them."""
    kind = draw(st.sampled_from(("few samples", "gaps", "extreme rates", "constant", "huge offset", "duplicated")))
    samples = draw(st.integers(0, 2)) if kind == "few samples" else draw(st.integers(3, 200))
    rate = draw(st.sampled_from((1.0, 50.0, 250.0)))
    seed = draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    values = random.normal(size=(samples, 2))
    if kind == "gaps":
        values[random.random(values.shape) < draw(st.floats(0, 1))] = np.nan
    if kind == "constant":
        values[:] = draw(st.floats(-1e6, 1e6))
    if kind == "huge offset":
        values += draw(st.sampled_from((1e9, -1e15)))
    if kind == "duplicated":
        values[:, 1] = values[:, 0]
    fastest = 1000.0 if kind == "extreme rates" else 20.0
    count = random.poisson(draw(st.sampled_from((0.0, fastest))) * min(samples / rate, 5.0))
    spikes = [np.sort(random.uniform(0, max(samples / rate, 1e-3), count)), np.zeros(0)]
    return kind, {
        "values": values,
        "rate": rate,
        "spikes": spikes,
        "width": draw(st.one_of(st.floats(1e-3, 2.0), st.sampled_from((0.02, 0.1, 0.0, -1.0, np.nan)))),
        "raw": draw(st.booleans()),
        "target": draw(st.sampled_from(((), "x", "speed", "pos"))),
    }


def check_bins(case: dict[str, Any], folder: Path) -> Outcome:
    """Bins that are finite, with counts that add up, or a refusal."""
    signal = Signal("pos", case["values"], rate=case["rate"], channels=("x", "y"), unit="m")
    recording = recording_from_arrays(
        "r", spikes=case["spikes"], fields={"lfp": case["values"]}, rates={"lfp": case["rate"]}
    )
    recording = replace(recording, behaviour={"pos": signal})
    field = Field("lfp", bands=None if case["raw"] else ((case["rate"] / 20, case["rate"] / 5),))
    batch = to_bins(recording, width=case["width"], modalities=[Spikes(), field], target=case["target"])
    for name in batch.names:
        assert np.isfinite(batch.observations[name]).all()
    assert np.isfinite(batch.target).all()
    begin, end = batch.time[0] - batch.width, batch.time[-1]
    counted = [np.sum((train >= begin) & (train < end)) for train in case["spikes"]]
    np.testing.assert_allclose(batch.observations["spikes"].sum(axis=0), counted, atol=1)
    return Outcome.SAME


# Settings -----------------------------------------------------------------------------------------------------

_KEYS = (
    "behaviour", "fields", "spikes", "variable", "width", "target", "folds", "bands", "interval", "rate", "time", "x",
)  # fmt: skip
_YAML = st.one_of(
    st.text(max_size=60),
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(_KEYS), inner, max_size=4)
        ),
        max_leaves=8,
    ),
)


def check_settings(read: Callable[[Path], Any], case: Any, folder: Path) -> Outcome:
    """A YAML file of a layout or a configuration."""
    import yaml

    path = folder / "case.yaml"
    text = case if isinstance(case, str) else yaml.safe_dump(case)
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    read(path)
    return Outcome.SAME


def _bytes(format_name: str) -> st.SearchStrategy:
    return damaged_bytes([content for _, content, _ in bases(format_name)])


def _program(name: str, title: str, share: float) -> Target:
    return Target(title, source_cases(name), partial(check_source, name), share)


TARGETS: tuple[Callable[[], Target], ...] = (
    lambda: Target("HDF5, bytes", _bytes("hdf5"), partial(check_bytes, "hdf5", True), 3),
    lambda: Target("HDF5, content", edits(inventory("hdf5")), partial(check_edit, "hdf5"), 3),
    lambda: Target("MATLAB 5, bytes", _bytes("matlab5"), partial(check_bytes, "matlab5", False), 3),
    lambda: Target("MATLAB 7.3, bytes", _bytes("matlab73"), partial(check_bytes, "matlab73", False), 1.5),
    lambda: Target("MATLAB 7.3, content", edits(inventory("matlab73")), partial(check_edit, "matlab73"), 1.5),
    lambda: Target("NWB, bytes", _bytes("nwb"), partial(check_bytes, "nwb", False), 0.4),
    lambda: Target("NWB, content", edits(inventory("nwb")), partial(check_edit, "nwb"), 0.4),
    lambda: _program("NumPy", "NumPy, bytes", 1.5),
    lambda: _program("CSV", "CSV, bytes", 1),
    lambda: _program("session", "recorded session, bytes", 1),
    lambda: _program("phy", "Kilosort and phy, bytes", 1),
    lambda: _program("CellExplorer", "CellExplorer, bytes", 0.5),
    *((lambda: _program("XDF", "XDF, bytes", 1),) if find_spec("pyxdf") else ()),
    lambda: Target("layout, on variables", LAYOUTS, check_layout, 2),
    lambda: Target("arrays", array_cases(), check_arrays, 3),
    lambda: Target("bins", bin_cases(), check_bins, 2),
    lambda: Target("streaming binner", stream_cases(), check_stream, 2),
    lambda: Target("layout (YAML)", _YAML.map(lambda v: ("any", v)), partial(check_settings, read_layout), 0.5),
    lambda: Target("configuration (YAML)", _YAML.map(lambda v: ("any", v)), partial(check_settings, read_config), 0.5),
    lambda: Target("exported decoder", live.decoder_cases(), live.check_decoder, 2),
    lambda: Target("exported decoder, bytes", damaged_bytes(live.decoder_bytes()), live.check_decoder_bytes, 1),
    lambda: Target("saved model", live.model_cases(), live.check_model, 0.4),
    lambda: Target("saved model, arrays", live.array_cases(), live.check_model_arrays, 0.4),
    lambda: Target("snapshot", live.snapshot_cases(), live.check_snapshot, 2),
    lambda: Target("message", live.chunk_cases(), live.check_chunk, 3),
    lambda: Target("hello", live.hello_cases(), live.check_hello, 2),
    lambda: Target("Redis entry", live.redis_cases(), live.check_entry, 3),
)
