"""Recordings from arrays, xarray and pynapple-like objects, and what is said of implausible ones."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from recording.make_recording import everything

from neurodyn.errors import InputError
from neurodyn.recording import (
    ImplausibleWarning,
    Recording,
    Signal,
    SpikeTrains,
    differences,
    doubts,
    recording_from_arrays,
    recording_from_pynapple,
    signal_from_xarray,
    signal_to_xarray,
)

pytestmark = pytest.mark.usefixtures("annotations_unchecked")


def test_arrays():
    stamps = np.array([0.0, 0.1, 0.3])
    recording = recording_from_arrays(
        "r",
        spikes={"a": [0.5, 1.0], "b": []},
        fields={"lfp": np.arange(6).reshape(3, 2)},
        behaviour={"speed": [1.0, np.nan, 2.0]},
        rates={"lfp": 10.0},
        timestamps={"speed": stamps},
        units={"speed": "m/s"},
        intervals={"trials": [[0.0, 1.0], [1.0, 2.0]]},
    )
    assert recording.spike_trains().units == ("a", "b")
    assert recording.field().rate == 10.0
    speed = recording.behaviour_signal()
    assert (speed.values.shape, speed.unit) == ((3, 1), "m/s")
    np.testing.assert_array_equal(speed.times, stamps)
    assert recording.intervals["trials"].stops.tolist() == [1.0, 2.0]
    assert recording_from_arrays("r", spikes=[[1.0], [2.0]]).spike_trains().units == ("0", "1")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"fields": {"lfp": np.ones(3)}}, "'lfp' needs either timestamps or a rate"),
        ({"fields": {"lfp": np.ones(3)}, "rates": {"lpf": 1.0}}, "unknown signal with a clock or unit 'lpf'"),
        ({"fields": {"lfp": np.ones((2, 2, 2))}, "rates": {"lfp": 1.0}}, r"got \(2, 2, 2\)"),
        ({"fields": {"lfp": ["a", "b"]}, "rates": {"lfp": 1.0}}, "needs real numbers"),
        ({"fields": {"lfp": np.ones(3)}, "rates": {"lfp": -1.0}}, "rate above 0 Hz, got -1.0"),
        ({"fields": {"lfp": np.ones(3)}, "rates": {"lfp": "fast"}}, "rate above 0 Hz, got 'fast'"),
        ({"fields": {"lfp": np.ones((3, 5))}, "timestamps": {"lfp": np.arange(5.0)}}, "transpose them"),
        ({"spikes": {"a": ["x"]}}, "unit 'a' of 'spikes' needs numbers of seconds"),
        ({"spikes": {"a": [[1.0, 2.0]]}}, "one-dimensional"),
        ({"spikes": {3: [1.0]}}, "unit names of spikes 'spikes' must be text, got 3"),
        ({"intervals": {"trials": [0.0, 1.0]}}, r"\(rows, 2\) starts and stops, got shape \(2,\)"),
    ],
)
def test_arrays_that_cannot_be_used(given, words):
    with pytest.raises(InputError, match=words):
        recording_from_arrays("r", **given)


@pytest.mark.parametrize("name", ["lfp", "raw"])
def test_fields_through_xarray(name):
    signal = everything().fields[name]
    found = signal_from_xarray(signal_to_xarray(signal))
    assert differences(Recording("r", fields={name: signal}), Recording("r", fields={name: found})) == []


@pytest.mark.parametrize("name", ["position", "speed"])
def test_behaviour_through_xarray_with_its_axes_swapped(name):
    signal = everything().behaviour[name]
    found = signal_from_xarray(signal_to_xarray(signal).transpose("channel", "time"))
    assert differences(Recording("r", behaviour={name: signal}), Recording("r", behaviour={name: found})) == []


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (xr.DataArray(np.ones(3), dims="time"), "has no name"),
        (xr.DataArray(np.ones(3), dims="t", name="a"), "'a' has the axes t: it needs 'time'"),
        (xr.DataArray(np.ones((1, 2, 3)), dims=("x", "y", "time"), name="a"), "it needs 'time' and one other"),
        (xr.DataArray(np.ones(3), dims="time", name="a"), "no coordinate 'time' in seconds and no attribute 'rate'"),
    ],
)
def test_labelled_arrays_that_cannot_be_used(array, words):
    with pytest.raises(InputError, match=words):
        signal_from_xarray(array)


# pynapple: it is no dependency, these offer what its objects offer (checked once against pynapple 0.11.4) --------


class Group(dict):
    """A TsGroup: units by number, metadata by name."""

    def __init__(self, units, **metadata):
        super().__init__(units)
        self.index, self.metadata_columns, self._metadata = list(units), ["rate", *metadata], metadata

    def __getitem__(self, key):
        return self._metadata[key] if key in self._metadata else super().__getitem__(key)


@dataclass
class Frame:
    """A TsdFrame."""

    t: np.ndarray
    d: np.ndarray
    columns: list


def test_pynapple_objects():
    times = np.array([0.0, 0.5, 2.0])
    units = {0: SimpleNamespace(t=np.array([0.1, 0.2])), 7: SimpleNamespace(t=np.array([1.0]))}
    recording = recording_from_pynapple(
        "r",
        {
            "units": Group(units, location=np.array(["ca1", "mec"], dtype=object)),
            "position": Frame(times, np.ones((3, 2)), ["x", "y"]),
            "lfp": SimpleNamespace(t=times, d=np.arange(3.0)),
            "epochs": SimpleNamespace(start=np.array([0.0]), end=np.array([1.0])),
        },
        fields=["lfp"],
        units={"position": "cm"},
    )
    trains = recording.spikes["units"]
    assert (trains.units, trains.attributes["location"].tolist()) == (("0", "7"), ["ca1", "mec"])
    assert trains.times[0].tolist() == [0.1, 0.2]
    assert (recording.behaviour["position"].channels, recording.behaviour["position"].unit) == (("x", "y"), "cm")
    np.testing.assert_array_equal(recording.field().times, times)
    assert recording.intervals["epochs"].stops.tolist() == [1.0]


def test_pynapple_objects_that_are_no_recording():
    with pytest.raises(InputError, match="'events' is a SimpleNamespace"):
        recording_from_pynapple("r", {"events": SimpleNamespace(t=np.ones(2))})
    with pytest.raises(InputError, match="unknown signal 'lpf'"):
        recording_from_pynapple("r", {"lfp": SimpleNamespace(t=np.ones(1), d=np.ones(1))}, fields=["lpf"])


# Doubts -------------------------------------------------------------------------------------------------------


def a_session(scale: float) -> Recording:
    """Ten units of 5 Hz over 100 s beside a position, with the unit of the spike times scaled."""
    random = np.random.default_rng(0)
    times = tuple(np.sort(random.uniform(0, 100, 500)) * scale for _ in range(10))
    position = Signal("position", np.ones((1000, 2)), rate=10.0)
    trains = SpikeTrains("spikes", times, tuple(map(str, range(10))))
    return Recording("r", spikes={"spikes": trains}, behaviour={"position": position})


def test_seconds_raise_no_doubt():
    assert doubts(a_session(1.0)) == []
    assert doubts(everything()) == []


@pytest.mark.parametrize(("scale", "words"), [(1e3, "0.005 Hz.*milliseconds"), (30e3, "Hz"), (1e-3, "5e.03 Hz")])
def test_other_units_of_time_do(scale, words):
    first, second = doubts(a_session(scale))
    assert "fire at" in first
    assert "one is not in seconds" in second
    with pytest.warns(ImplausibleWarning, match=words):
        recording_from_arrays("r", spikes=list(a_session(scale).spike_trains().times))


def test_swapped_axes_do():
    with pytest.warns(ImplausibleWarning, match="are its axes swapped"):
        recording_from_arrays("r", fields={"lfp": np.ones((4, 5000))}, rates={"lfp": 250.0})
