"""A recording with one of everything, for round trips."""

import numpy as np

from neurodyn.recording import Intervals, Recording, Signal, SpikeTrains


def everything(seed: int = 0) -> Recording:
    """Two groups of units, regular and timestamped signals with gaps, three tables of intervals, names of all kinds."""
    random = np.random.default_rng(seed)
    values = random.normal(size=(300, 3))
    values[20:40, 1] = np.nan
    stamps = np.cumsum(random.uniform(0.01, 0.05, 80))
    attributes = {
        "quality": np.array(["good", "poor", "µ-gut"]),
        "depth": np.array([1.5, np.nan, -3.0]),
        "channel": np.array([3, 1, 2], np.int32),
        "sorted": np.array([True, False, True]),
    }
    trains = tuple(np.sort(random.uniform(0, 3, size)) for size in (40, 0, 25))
    signals = (
        Signal("lfp", values, rate=100.0, start=0.25, channels=("CA1 α", "CA1 β", "MEC"), unit="µV"),
        Signal("probe/lfp", values[:, :1].astype(np.float32), rate=99.9, unit="volts"),
        Signal("raw", values[:, :2], rate=100.0, unit="a.u."),
    )
    behaviour = (
        Signal("position", random.normal(size=(80, 2)), timestamps=stamps, channels=("x", "y"), unit="m"),
        Signal("speed", random.normal(size=(80, 1)), timestamps=stamps, channels=("speed",), unit="cm/s"),
        Signal("hand", random.normal(size=(30, 4)), rate=10.0, start=-1.0, channels=("a", "b", "c", "d"), unit=""),
    )
    tables = (
        Intervals("epochs", np.array([0.0, 1.0]), np.array([1.0, 3.0]), ("rest", "task")),
        Intervals("trials", np.arange(4.0), np.arange(4.0) + 0.5),
        Intervals("lights", np.array([0.5, 0.25]), np.array([2.0, 0.5]), ("on", "on")),
    )
    return Recording(
        "session 1",
        spikes={
            "spikes": SpikeTrains("spikes", trains, ("tetrode 1/a", "2", "ü"), attributes),
            "interneurons": SpikeTrains("interneurons", trains[:1], ("7",)),
        },
        fields={signal.name: signal for signal in signals},
        behaviour={signal.name: signal for signal in behaviour},
        intervals={table.name: table for table in tables},
    )
