"""The summary of a recording against numbers counted by hand."""

import numpy as np
import pytest

from neurodyn.recording import Intervals, Recording, Signal, SpikeTrains, TimeSupport, describe
from neurodyn.recording.inspect import ItemKind


def test_spikes():
    times = (np.array([1.0, 2.0, 11.0]), np.array([]), np.linspace(2, 9, 20))
    attributes = {"quality": np.array(["good", "poor", "good"]), "depth": np.array([0.5, 1.0, 2.0])}
    trains = SpikeTrains("spikes", times, ("a", "b", "c"), attributes)
    (row,) = describe(Recording("r", spikes={"spikes": trains}))
    assert (row.kind, row.members, row.samples, row.start, row.stop) == (ItemKind.SPIKES, 3, 23, 1.0, 11.0)
    assert row.firing_rates == pytest.approx((0.0, 0.3, 2.0))
    assert row.notes == "quality: good (n=2), poor (n=1); depth"


def test_rates_are_over_the_time_recorded():
    """Spikes outside of the support are not counted, units never recorded have no rate, and silence is time."""
    times = (np.array([1.0, 2.0, 11.0]), np.array([3.0, 4.0]), np.array([1.0]))
    supports = [TimeSupport.of([[0, 5], [20, 30]]), TimeSupport.of([[0, 4]]), TimeSupport()]
    stated = SpikeTrains("spikes", times, ("a", "b", "c"), support=supports)
    (row,) = describe(Recording("r", spikes={"spikes": stated}))
    assert row.firing_rates == pytest.approx((2 / 15, (2 / 15 + 1 / 4) / 2, 1 / 4))
    assert row.notes == "recorded 0 to 15 s"
    invalid = Intervals("invalid_times", np.array([0.0]), np.array([2.5]))
    (row, _) = describe(Recording("r", {"spikes": stated.select(["a", "b"])}, intervals={"invalid_times": invalid}))
    assert row.firing_rates == pytest.approx((0.0, 1 / 3, 2 / 3))
    plain = SpikeTrains("spikes", times, ("a", "b", "c"))
    field = Signal("lfp", np.zeros((400, 1)), rate=10.0)
    (row, _) = describe(Recording("r", {"spikes": plain}, {"lfp": field}))
    assert row.firing_rates == pytest.approx((1 / 40, 2 / 40, 3 / 40))
    (row,) = describe(Recording("r", {"spikes": SpikeTrains("spikes", times, ("a", "b", "c"), support=TimeSupport())}))
    assert row.firing_rates is None


def test_signals():
    values = np.ones((4, 2))
    values[1] = np.nan
    values[2, 0] = np.nan
    field = Signal("lfp", values, rate=2.0, start=1.0, unit="V", channels=("a", "b"))
    position = Signal("position", np.ones((4, 1)), timestamps=np.array([0.0, 0.1, 0.2, 5.0]))
    rows = describe(Recording("r", fields={"lfp": field}, behaviour={"position": position}))
    assert [row.kind for row in rows] == [ItemKind.FIELD, ItemKind.BEHAVIOUR]
    assert (rows[0].start, rows[0].stop, rows[0].rate, rows[0].regular) == (1.0, 2.5, 2.0, True)
    assert (rows[0].missing, rows[0].unit, rows[0].notes) == (3 / 8, "V", "a, b")
    assert rows[1].rate == pytest.approx(10.0)
    assert (rows[1].regular, rows[1].missing) == (False, 0.0)


def test_intervals():
    table = Intervals("trials", np.arange(9.0), np.arange(9.0) + 1)
    (row,) = describe(Recording("r", intervals={"trials": table}))
    assert (row.kind, row.members, row.samples) == (ItemKind.INTERVALS, 9, None)
    assert (row.start, row.stop, row.notes) == (0.0, 9.0, "0, 1, 2, 3, 4, 5, ... 9 in all")


def test_empty_items_have_no_times():
    recording = Recording(
        "r",
        spikes={"spikes": SpikeTrains("spikes", (np.array([]),), ("a",))},
        fields={"lfp": Signal("lfp", np.ones((0, 1)), rate=1.0)},
        intervals={"epochs": Intervals("epochs", np.array([]), np.array([]))},
    )
    for row in describe(recording):
        assert np.isnan([row.start, row.stop]).all()
        assert row.firing_rates is None
        assert row.missing is None
