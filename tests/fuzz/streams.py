"""Data as a live source may send them to the streaming binner: late, out of order, of wrong shapes, not finite."""

from pathlib import Path
from typing import Any

import numpy as np
from fuzz.outcomes import Outcome
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from neurodyn.binning import BandPower
from neurodyn.errors import InputError
from neurodyn.realtime.binner import FieldInput, SpikeInput, StreamingBinner
from neurodyn.realtime.bins import LatePolicy

WIDTH = 0.05
UNITS, CHANNELS = 3, 2
MOST_BINS = 20_000
"""More bins than this from a few seconds of data is a runaway."""

_TIMES = st.one_of(st.floats(0, 5), st.floats(0, 5).map(np.float32).map(float))
_ODD_TIMES = st.one_of(_TIMES, st.floats(allow_nan=True, allow_infinity=True), st.sampled_from((-1.0, 1e12, 4000.0)))


@st.composite
def stream_cases(draw: Any) -> tuple[str, dict[str, Any]]:
    """Settings of a binner and what it is given, in order."""
    kind = draw(st.sampled_from(("in order", "odd times", "odd values", "odd shapes", "odd types", "odd clock")))
    times = _ODD_TIMES if kind == "odd times" else _TIMES
    steps: list[tuple[Any, ...]] = []
    clock = 0.0
    for _ in range(draw(st.integers(1, 12))):
        clock += draw(st.floats(0, 1))
        now = draw(_ODD_TIMES) if kind == "odd clock" else clock
        chosen = draw(st.lists(times, max_size=5))
        sent = np.array(sorted(chosen) if kind == "in order" else chosen, np.float64)
        if draw(st.booleans()):
            units = draw(arrays.arrays("i8", len(sent), elements=st.integers(-1 if kind == "odd values" else 0, UNITS)))
            units = units if kind == "odd values" else np.minimum(units, UNITS - 1)
            steps.append(("spikes", *_odd(draw, kind, sent, units), now))
        else:
            rate = draw(st.sampled_from((100.0, 99.0)))
            sent = clock + np.arange(draw(st.integers(0, 30))) / rate if kind != "odd times" else sent
            elements = st.floats(allow_infinity=kind == "odd values", allow_nan=True, width=32)
            values = draw(arrays.arrays("f8", (len(sent), CHANNELS), elements=elements, fill=st.just(0.5)))
            steps.append(("samples", *_odd(draw, kind, sent, values), now))
    return kind, {
        "steps": steps,
        "late": draw(st.sampled_from(LatePolicy)),
        "patience": draw(st.sampled_from((0.0, 0.02, 0.3))),
        "power": draw(st.booleans()),
    }


def _odd(draw: Any, kind: str, times: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if kind == "odd shapes":
        return draw(st.sampled_from(((times[:-1], values), (times[:, None], values), (times, values.T),
                                     (times, values[None]), (np.float64(1.0) + np.zeros(()), values))))  # fmt: skip
    if kind == "odd types":
        dtype = draw(st.sampled_from(("f4", "i4", "u1", "?", "f2")))
        with np.errstate(all="ignore"):
            return times.astype(dtype), np.nan_to_num(values).astype(dtype)
    return times, values


def check_stream(case: dict[str, Any], folder: Path) -> Outcome:
    """Bins in order, whole and finite, in which no spike is counted that was not sent, and none twice."""
    power = BandPower(((5.0, 20.0),)) if case["power"] else None
    inputs = [SpikeInput("spikes", UNITS), FieldInput("field", CHANNELS, 100.0, power)]
    binner = StreamingBinner(inputs, WIDTH, late=case["late"], patience=case["patience"])
    bins, sent = [], 0
    for what, times, values, now in case["steps"]:
        if what == "spikes":
            sent += int(np.isfinite(times).sum())
            binner.push_spikes("spikes", times, values)
        else:
            binner.push_samples("field", values, times)
        bins += binner.ready(now)
        assert len(bins) < MOST_BINS, f"{len(bins)} bins of {WIDTH} s"
    assert [one.index for one in bins] == list(range(len(bins)))
    counted = 0.0
    for one in bins:
        assert np.isfinite(one.time)
        spikes, field = one.observations["spikes"], one.observations["field"]
        if spikes is not None:
            assert spikes.shape == (UNITS,)
            assert (spikes >= 0).all()
            counted += spikes.sum()
        if field is not None:
            assert field.shape == (CHANNELS,)
            assert not np.isinf(field).any()
    assert counted <= sent
    try:
        binner.push_spikes("nobody", np.zeros(1), np.zeros(1))
    except InputError:
        return Outcome.SAME
    raise AssertionError("an unknown modality was taken")
