"""Counting spikes in bins, next to NumPy's histogram of one unit after the other."""

import argparse
from dataclasses import asdict, dataclass

import numpy as np

from neurodyn.benchmarks.sizes import add_sizes, chosen
from neurodyn.benchmarks.timing import Measurement, Report, machine, median_seconds
from neurodyn.errors import InputError

OURS, EVEN, EDGES = "neurodyn", "np.histogram of equal bins, unit by unit", "np.histogram with edges, unit by unit"
AT_LEAST = 1.0
"""Times as fast as `np.histogram` that counting is to be."""


@dataclass(frozen=True)
class Sizes:
    """What is counted.

    Parameters
    ----------
    spikes, units
        Number of all spikes, and of units that they are shared among.
    rate
        Of a unit in Hz; it says how long the recording is.
    """

    spikes: int = 10_000_000
    units: int = 1000
    rate: float = 10.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not value > 0:
                raise InputError(f"--{name} must be positive, got {value}")

    @property
    def seconds(self) -> float:
        """Length of the recording."""
        return self.spikes / self.units / self.rate


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what a user may choose."""
    add_sizes(parser, Sizes)
    parser.add_argument(
        "--widths", metavar="SECONDS", type=float, nargs="+", default=[0.01, 0.05], help="of the bins (0.01 0.05)"
    )
    parser.add_argument("--repeats", metavar="N", type=int, default=5, help="timed calls (default %(default)s)")


def run(arguments: argparse.Namespace) -> Report:
    """Count the same spikes in bins of each width, with both."""
    sizes = chosen(arguments, Sizes)
    rng = np.random.default_rng(0)
    trains = [
        np.sort(rng.uniform(0, sizes.seconds, part)) for part in np.bincount(np.arange(sizes.spikes) % sizes.units)
    ]
    found = [row for width in arguments.widths for row in compare(trains, sizes, width, arguments.repeats)]
    ratios = [row.ratio for row in found if row.name == OURS]
    reached = "reached" if min(ratios) >= AT_LEAST else "not reached"
    return Report(
        arguments.name,
        tuple(found),
        machine(),
        {f"at least as fast as {EVEN}": f"{reached}: {min(ratios):.2f} times at the least"},
    )


def compare(trains: list[np.ndarray], sizes: Sizes, width: float, repeats: int) -> list[Measurement]:
    """Ours, NumPy's way for equal bins, which is its fast one, and its way for any edges.

    The counts of NumPy are left in the order in which it makes them, units x bins, which costs it least.
    """
    from neurodyn.binning import TimeGrid, count_spikes

    grid = TimeGrid.covering(0.0, sizes.seconds, width)
    starts, stops = grid.edges[:-1], grid.edges[1:]

    def even() -> np.ndarray:
        counts = np.zeros((len(trains), grid.bins), np.float32)
        for unit, train in enumerate(trains):
            counts[unit] = np.histogram(train, grid.bins, (0.0, grid.stop))[0]
        return counts

    def edges() -> np.ndarray:
        counts = np.zeros((len(trains), grid.bins), np.float32)
        for unit, train in enumerate(trains):
            counts[unit] = np.histogram(train, grid.edges)[0]
        return counts

    calls = {OURS: lambda: count_spikes(trains, starts, stops), EVEN: even, EDGES: edges}
    timed = {name: median_seconds(call, repeats=repeats) for name, call in calls.items()}
    differing = float(np.abs(calls[OURS]() - edges().T).sum() / 2)
    shape = asdict(sizes) | {"width": width, "bins": grid.bins}
    rows = []
    for name, (seconds, spread) in timed.items():
        notes: dict[str, float | str] = {"million spikes per second": sizes.spikes / seconds / 1e6}
        if name == OURS:
            # Those that lie on an edge up to rounding; NumPy has no rule for them.
            notes |= {"spikes in another bin": differing, "times the one with edges": timed[EDGES][0] / seconds}
        baseline = EVEN if name == OURS else ""
        ratio = timed[EVEN][0] / seconds if name == OURS else float("nan")
        rows.append(
            Measurement(
                name=name, sizes=shape, seconds=seconds, spread=spread, baseline=baseline, ratio=ratio, notes=notes
            )
        )
    return rows
