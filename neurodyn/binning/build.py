"""From a recording to a batch: which modalities, which bins, which target."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32

from neurodyn.binning.batch import MultimodalBatch, check_usable
from neurodyn.binning.count_targets import is_count_target, without_counted
from neurodyn.binning.counts import from_recorded_edges, rebin_counts
from neurodyn.binning.features import bin_feature
from neurodyn.binning.grid import TimeGrid, count_spikes
from neurodyn.binning.modality import Modality
from neurodyn.binning.sources import (
    Field,
    Spikes,
    all_counts,
    asked_for,
    chosen_modalities,
    counts_of,
    field_signal,
    rate_of,
    sample_every_of,
    trains_of,
    unit_of,
)
from neurodyn.binning.spans import common_span, stretches
from neurodyn.binning.targets import TargetOptions, make_targets, target_units
from neurodyn.errors import InputError
from neurodyn.given import argument_named, names, seconds
from neurodyn.recording import (
    Intervals,
    Recording,
    TimeSupport,
    invalid_times,
    spike_supports,
    without_invalid_times,
)

WIDEST = 10.0
"""Seconds of a bin from which on milliseconds were probably meant: no behaviour is that slow."""

_Binned = tuple[Float32[np.ndarray, "bins _"], Bool[np.ndarray, "bins _"]]

_SPIKES_ALONE = (Spikes(),)


def to_bins(
    recording: Recording,
    *,
    width: float | str,
    modalities: str | Spikes | Field | Sequence[str | Spikes | Field] = _SPIKES_ALONE,
    target: str | Sequence[str] | None = ("position",),
    interval: str | tuple[float, float] | Intervals | None = None,
    target_options: TargetOptions | None = None,
) -> MultimodalBatch:
    """Bin a recording: counts, causal features and targets on one clock.

    Time that was not recorded is missing, never zero: a bin that does not lie wholly in the support of a unit
    (`neurodyn.recording.spike_supports`) is not observed for that unit, and a bin that touches an invalid time of the
    recording is not observed at all, its target included.

    Parameters
    ----------
    recording
        In seconds.
    width
        Width of a bin in seconds, or text like ``"50ms"``.
    modalities
        What the decoder sees: `Spikes` and `Field`, or names, with the usual settings: ``"spikes"``, ``"field"``, a
        name in the recording, several with commas between them, or ``"all"`` for all spikes, counts and fields that
        there are. Those are called "spikes" and "field" where there is one of their kind, and as in the recording where
        there are more.
    target
        Names of derived targets, behaviour series, classes or groups of events (see `make_targets`), in a list or with
        commas between them, as the command takes them; () or None for none.
        Values belong to the END of each bin.
    interval
        Which part: None for all the time that every source covers; the name of a table of intervals, where
        each row becomes a trial; the label of intervals in a table, likewise; intervals themselves, such as
        ``recording.find_intervals("trials").where("is_good")``; or (start, stop) in seconds.
        Rows shorter than a bin have nothing to bin and are left out. Only whole bins are made.
    target_options
        Smoothing and gaps of the target.

    Returns
    -------
    MultimodalBatch
        One trial per interval. Filters run over the whole recording, not from the start of each trial.

    Raises
    ------
    InputError
        For names that are not in the recording, sources that do not overlap in time, bins longer than the
        interval, a field's width that is not a multiple of the bins', or data no model can use (`check_usable`).

    Examples
    --------
    >>> import neurodyn as nd
    >>> session = nd.simulate_foraging(nd.simulation.ForagingSettings(seconds=20.0), seed=0)
    >>> batch = nd.to_bins(session, width="50ms", modalities="all", target="position", interval="task")
    >>> batch.names, batch.target_names, batch.n_bins
    (('spikes', 'field'), ('x', 'y'), 380)
    """
    if not isinstance(recording, Recording):
        kind = type(recording).__name__
        raise InputError(f"to_bins needs a Recording, got a {kind}: read one with neurodyn.read_recording(path)")
    targets = _target_names(target)
    modalities, width = _modalities(recording, modalities, targets), _width(width)
    recording = without_invalid_times(recording)
    sample_every = [sample_every_of(modality, width) for modality in modalities]
    spans = stretches(recording, common_span(recording, modalities, targets, width), width, interval)
    counted = [recording.counts[n] for n in targets if n in recording.counts and is_count_target(recording, n)]
    for counts in [*all_counts(recording, modalities), *counted]:
        spans = from_recorded_edges(spans, counts, width)
    grids = [TimeGrid.covering(start, stop, width) for start, stop in spans]
    _check_not_milliseconds(width)
    observations, observed, rows = {}, {}, []
    for modality, every in zip(modalities, sample_every, strict=True):
        values, mask, channels = _binned(recording, modality, grids, every)
        observations[modality.name], observed[modality.name] = values, mask
        unit, rate = unit_of(recording, modality), rate_of(recording, modality)
        rows.append(Modality(modality.name, modality.likelihood, channels, every, unit, rate))
    time = np.concatenate([grid.ends for grid in grids])
    values, known, names = _targets(recording, targets, time, target_options, width)
    if not (valid := _valid(recording, grids, 1)).all():
        known, values = known & valid, np.where((known & valid)[:, None], values, 0.0)
    lengths = np.asarray([grid.bins for grid in grids])
    batch = MultimodalBatch(
        observations=observations,
        observed=observed,
        target=values.astype(np.float32),
        target_observed=known,
        time=time,
        width=width,
        starts=np.cumsum(lengths) - lengths,
        lengths=lengths,
        lead=np.zeros(len(grids), np.int64),
        modalities=tuple(rows),
        target_names=names,
        target_units=target_units(recording, targets),
    )
    check_usable(batch)
    return batch


def _modalities(
    recording: Recording,
    given: str | Spikes | Field | Sequence[str | Spikes | Field],
    targets: Sequence[str],
) -> list[Spikes | Field]:
    """What the decoder sees, which may not be the events that are to be counted."""
    asked = asked_for(given)
    seen = [one if isinstance(one, str) else one.source for one in asked if isinstance(one, str | Spikes)]
    return chosen_modalities(without_counted(recording, targets, seen), given)


def _width(given: float | str) -> float:
    """Width of a bin in seconds.

    Raises
    ------
    InputError
        If it is none.
    """
    if (width := argument_named("width", seconds, given)) <= 0:
        raise InputError(f"the bin width must be positive seconds, got {given}")
    return width


def _target_names(given: Any) -> tuple[str, ...]:
    """Names of targets, of which there may be none."""
    if given is None or (isinstance(given, tuple | list) and not given):
        return ()
    return argument_named("target", names, given)


def _check_not_milliseconds(width: float) -> None:
    if width > WIDEST:
        raise InputError(
            f"the bin width of {width:g} s is longer than any bin that behaviour is decoded in ({WIDEST:g} s): for "
            f"{width:g} milliseconds give {width / 1e3:g}, or '{width:g}ms'"
        )


def _binned(
    recording: Recording, modality: Spikes | Field, grids: Sequence[TimeGrid], sample_every: int
) -> tuple[Float32[np.ndarray, "bins _"], Bool[np.ndarray, "bins _"], tuple[str, ...]]:
    """Values, mask and channel names of one modality on all grids."""
    if (counts := counts_of(recording, modality)) is not None:
        return (*rebin_counts(counts, grids), counts.units)
    if isinstance(modality, Spikes):
        trains = trains_of(recording, modality)
        starts, stops = _windows(grids, 1)
        counts = count_spikes(trains.times, starts, stops)
        mask = _in_support(spike_supports(recording, trains, grids[0].width), starts, stops)
        if not mask.all():
            counts[~mask] = 0
        return counts, mask, trains.units
    signal = field_signal(recording, modality)
    starts, stops = _windows(grids, sample_every)
    values, observed = bin_feature(signal, modality.made, starts, stops)
    channels = modality.made.names(signal.channels)
    if not (valid := _valid(recording, grids, sample_every)).all():
        values[~valid], observed[~valid] = 0.0, False
    return (*_spread(values, observed, grids, sample_every), channels)


def _in_support(
    supports: Sequence[TimeSupport],
    starts: Float[np.ndarray, " bins"],
    stops: Float[np.ndarray, " bins"],
) -> Bool[np.ndarray, "bins units"]:
    """Bins that lie wholly in the support of each unit."""
    mask = np.ones((len(starts), len(supports)), np.bool_)
    for support in set(supports):
        inside = support.covers(starts, stops)
        if not inside.all():
            units = np.array([one is support for one in supports])
            mask[np.ix_(~inside, units)] = False
    return mask


def _valid(recording: Recording, grids: Sequence[TimeGrid], sample_every: int) -> Bool[np.ndarray, " windows"]:
    """Windows that no invalid time of the recording touches."""
    starts, stops = _windows(grids, sample_every)
    return invalid_times(recording).gaps().covers(starts, stops)


def _windows(
    grids: Sequence[TimeGrid], sample_every: int
) -> tuple[Float[np.ndarray, " windows"], Float[np.ndarray, " windows"]]:
    """Begin and end of the windows of `sample_every` bins on all grids."""
    starts, stops = zip(*(grid.coarser(sample_every) for grid in grids), strict=True)
    return np.concatenate(starts), np.concatenate(stops)


def _spread(
    values: Float[np.ndarray, "windows channels"],
    observed: Bool[np.ndarray, "windows channels"],
    grids: Sequence[TimeGrid],
    sample_every: int,
) -> _Binned:
    """Put each window in the last of its bins, when its value is known; the bins before it are missing."""
    last = np.concatenate([np.arange(grid.bins) % sample_every == sample_every - 1 for grid in grids])
    fine = np.zeros((len(last), values.shape[1]), np.float32)
    mask = np.zeros(fine.shape, np.bool_)
    fine[last], mask[last] = values, observed
    return fine, mask


def _targets(
    recording: Recording,
    names: Sequence[str],
    time: Float[np.ndarray, " bins"],
    options: TargetOptions | None,
    width: float,
) -> tuple[Float[np.ndarray, "bins dims"], Bool[np.ndarray, " bins"], tuple[str, ...]]:
    """Targets at the ends of the bins, or none."""
    if not names:
        return np.zeros((len(time), 0)), np.ones(len(time), np.bool_), ()
    return make_targets(recording, names, time, options, width)
