"""Where two recordings differ: what a round trip through a file must not change."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from neurodyn.recording.counts import BinnedCounts
from neurodyn.recording.intervals import Intervals
from neurodyn.recording.lazy import BLOCK_VALUES
from neurodyn.recording.left_out import KINDS
from neurodyn.recording.recording import Recording
from neurodyn.recording.signal import Signal
from neurodyn.recording.spikes import SpikeTrains


def differences(one: Recording, two: Recording) -> list[str]:
    """Say in words what differs: items, names, units, clocks, time supports and every number.

    NaN equals NaN, and single and double precision of the same number are equal.  The order of items does not count
    (NWB sorts them), that of units and channels does; the recordings' own names do not count.

    Parameters
    ----------
    one, two
        To compare.

    Returns
    -------
    list of str
        Empty if they are equal.

    Examples
    --------
    >>> import neurodyn as nd
    >>> session = nd.simulate_foraging(nd.simulation.ForagingSettings(seconds=10.0), seed=0)
    >>> nd.recording.differences(session, session)
    []
    >>> len(nd.recording.differences(session, session.between(0.0, 5.0))) > 0
    True
    """
    found: list[str] = []
    for kind in KINDS:
        left, right = getattr(one, kind), getattr(two, kind)
        if set(left) != set(right):
            found.append(f"{kind}: {', '.join(left) or 'none'} against {', '.join(right) or 'none'}")
            continue
        for name in left:
            found += [f"{kind} '{name}': {what}" for what in _item(left[name], right[name])]
    return found


def _item(one: Any, two: Any) -> Iterator[str]:
    if isinstance(one, Signal):
        yield from _signals(one, two)
    elif isinstance(one, SpikeTrains):
        yield from _trains(one, two)
    elif isinstance(one, BinnedCounts):
        yield from _counts(one, two)
    else:
        yield from _intervals(one, two)


def _signals(one: Signal, two: Signal) -> Iterator[str]:
    for what in ("channels", "unit", "rate", "start"):
        left, right = getattr(one, what), getattr(two, what)
        if left != right:
            yield f"{what} {left!r} against {right!r}"
    if one.values.shape != two.values.shape:
        yield f"shape {one.values.shape} against {two.values.shape}"
        return
    if not _equal(one.timestamps, two.timestamps):
        yield "timestamps differ"
    rows = max(1, BLOCK_VALUES // max(1, one.n_channels))
    for first in range(0, one.n_samples, rows):
        last = min(first + rows, one.n_samples)
        if not np.array_equal(one.read(first, last), two.read(first, last), equal_nan=True):
            yield "values differ"
            return


def _trains(one: SpikeTrains, two: SpikeTrains) -> Iterator[str]:
    if one.units != two.units:
        yield f"units {one.units} against {two.units}"
    elif not all(np.array_equal(a, b) for a, b in zip(one.times, two.times, strict=True)):
        yield "spike times differ"
    yield from _attributes(one.attributes, two.attributes)
    supports = zip(one.unit_supports, two.unit_supports, strict=False)
    if one.n_units == two.n_units and not all(a.same_as(b) for a, b in supports):
        yield "time supports differ"


def _counts(one: BinnedCounts, two: BinnedCounts) -> Iterator[str]:
    for what in ("units", "width", "start"):
        left, right = getattr(one, what), getattr(two, what)
        if left != right:
            yield f"{what} {left!r} against {right!r}"
    if not np.array_equal(one.values, two.values, equal_nan=True):
        yield "counts differ"
    yield from _attributes(one.attributes, two.attributes)


def _attributes(one: Mapping[str, np.ndarray], two: Mapping[str, np.ndarray]) -> Iterator[str]:
    if set(one) != set(two):
        yield f"attributes or columns {sorted(one)} against {sorted(two)}"
        return
    for name, values in one.items():
        if not _equal(values, two[name]):
            yield f"attribute '{name}' differs"


def _intervals(one: Intervals, two: Intervals) -> Iterator[str]:
    if one.labels != two.labels:
        yield f"labels {one.labels} against {two.labels}"
    if not (_equal(one.starts, two.starts) and _equal(one.stops, two.stops)):
        yield "bounds differ"
    yield from _attributes(one.columns, two.columns)


def _equal(one: np.ndarray | None, two: np.ndarray | None) -> bool:
    if one is None or two is None:
        return one is two
    kinds = one.dtype.kind, two.dtype.kind
    return np.array_equal(one, two, equal_nan=kinds == ("f", "f")) and (kinds[0] == "U") == (kinds[1] == "U")
