"""Counts as a target: how many events, such as licks or lever presses, lie in each bin.

The events are a group of times, or of recorded counts, in the place where a recording has its units. What a decoder
with squared errors makes of counts is their expected number, which is not smoothed and never below zero
(:mod:`neurodyn.evaluation.counts`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Float64

from neurodyn.binning.counts import rebin_counts
from neurodyn.binning.grid import TimeGrid, count_spikes
from neurodyn.errors import InputError
from neurodyn.recording import Recording, spike_supports

NUMBER = "#"
"""Begins the name of a dimension that is a number of events: ``#licks``, or ``#licks.left`` where there are several."""
UNIT = "events per bin"


def is_count_target(recording: Recording, name: str) -> bool:
    """Whether a target's name is that of a group of times or of counts."""
    return name not in recording.behaviour and name in {*recording.spikes, *recording.counts}


def without_counted(recording: Recording, targets: Sequence[str], seen: Iterable[str] = ()) -> Recording:
    """Recording without the groups whose counts are to be decoded: what decodes them may not see them.

    Parameters
    ----------
    recording
        With units and events.
    targets
        Names of all targets.
    seen
        Names of the groups that were asked for as input.

    Raises
    ------
    InputError
        If one was asked for as input and as target.
    """
    counted = {name for name in targets if is_count_target(recording, name)}
    if both := sorted(counted & set(seen)):
        raise InputError(
            f"'{both[0]}' is to be decoded and is also what is decoded from: leave it out of the "
            "modalities or the target"
        )
    if not counted:
        return recording
    spikes = {name: group for name, group in recording.spikes.items() if name not in counted}
    counts = {name: group for name, group in recording.counts.items() if name not in counted}
    return replace(recording, spikes=spikes, counts=counts)


def make_count_target(
    recording: Recording, name: str, times: Float[np.ndarray, " bins"], width: float | None
) -> tuple[Float64[np.ndarray, "bins dims"], Bool[np.ndarray, " bins"], tuple[str, ...]]:
    """Count the events of a group in bins.

    Parameters
    ----------
    recording
        With the group.
    name
        Of the group.
    times
        Ends of the bins in seconds, in order.
    width
        Of the bins in seconds.

    Returns
    -------
    values, observed, names
        (bins, dims), events in ``[time - width, time)``; (bins,), True where the group was recorded for the whole bin;
        name of each dimension.

    Raises
    ------
    InputError
        If no width is given, or recorded counts cannot be added up to these bins.
    """
    if width is None:
        raise InputError(f"target '{name}' counts events in bins: give their width in seconds")
    if name in recording.counts:
        group = recording.counts[name]
        values, observed = rebin_counts(group, _grids(times, width))
    else:
        group = recording.spikes[name]
        values = count_spikes(group.times, times - width, times)
        supports = spike_supports(recording, group, width)
        observed = np.stack([one.covers(times - width, times) for one in supports], axis=1)
    known = np.asarray(observed.all(axis=1))
    return np.where(known[:, None], values, 0.0).astype(np.float64), known, count_names(name, group.units)


def count_names(name: str, units: Sequence[str]) -> tuple[str, ...]:
    """Names of the dimensions that a group of events gives.

    Examples
    --------
    >>> count_names("licks", ["left", "right"]), count_names("licks", ["0"])
    (('#licks.left', '#licks.right'), ('#licks',))
    """
    return (f"{NUMBER}{name}",) if len(units) == 1 else tuple(f"{NUMBER}{name}.{unit}" for unit in units)


def _grids(times: Float[np.ndarray, " bins"], width: float) -> list[TimeGrid]:
    """Runs of bins that touch."""
    runs = np.split(times, np.flatnonzero(np.diff(times) > 1.5 * width) + 1)
    return [TimeGrid(float(run[0]) - width, width, len(run)) for run in runs]
