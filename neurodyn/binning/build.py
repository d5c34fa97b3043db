"""From a recording to a batch: which modalities, which bins, which target."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Float32

from neurodyn.binning.batch import Modality, MultimodalBatch, check_usable
from neurodyn.binning.counts import from_recorded_edges, rebin_counts
from neurodyn.binning.features import DEFAULT_BANDS, BandPower, bin_band_power, bin_raw, whole_after
from neurodyn.binning.grid import TimeGrid, count_spikes
from neurodyn.binning.targets import TargetOptions, make_targets, target_sources, target_units
from neurodyn.errors import InputError, unknown_name
from neurodyn.given import argument_named, seconds
from neurodyn.recording import (
    BinnedCounts,
    Intervals,
    Recording,
    Signal,
    SpikeTrains,
    TimeSupport,
    invalid_times,
    spike_supports,
    without_invalid_times,
)
from neurodyn.recording.edges import first_edge, number_of, slack, whole_bins

WIDEST = 10.0
"""Seconds of a bin from which on milliseconds were probably meant: no behaviour is that slow."""

_Binned = tuple[Float32[np.ndarray, "bins _"], Bool[np.ndarray, "bins _"]]


@dataclass(frozen=True)
class Spikes:
    """Counts of spikes per unit and bin; Poisson.

    From spike times, or from counts that were recorded in bins: then the bins of the batch have their width or a
    multiple of it, and begin where they do.

    Parameters
    ----------
    name
        What the modality is called in the batch.
    source
        Name of the spike trains, or of the counts, in the recording.
    units
        Labels of the units to use, in order; None for all.
    """

    name: str = "spikes"
    source: str = "spikes"
    units: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Field:
    """Causal features of a field potential; Gaussian.

    Parameters
    ----------
    name
        What the modality is called in the batch.
    source
        Name of the field in the recording; None for the one called `name`, or else the only one.
    channels
        Labels of the channels to use, in order; None for all.
    bands
        (low, high) in Hz per band for log band powers; None for the signal itself, averaged over the bin.
    width
        Seconds per sample if the modality's clock is slower than the bins (a multiple of their width): one
        feature over the long window, observed in the last of its bins. None for a sample per bin.
    smoothing, order, bridge
        Of the band powers, see `BandPower`.
    """

    name: str = "field"
    source: str | None = None
    channels: tuple[str, ...] | None = None
    bands: tuple[tuple[float, float], ...] | None = DEFAULT_BANDS
    width: float | None = None
    smoothing: float = BandPower.smoothing
    order: int = BandPower.order
    bridge: float = BandPower.bridge

    @property
    def power(self) -> BandPower | None:
        """Options of the band powers, None for the signal itself."""
        if self.bands is None:
            return None
        return BandPower(self.bands, self.smoothing, self.order, self.bridge)


def to_bins(
    recording: Recording,
    *,
    width: float | str,
    modalities: str | Spikes | Field | Sequence[str | Spikes | Field] = (Spikes(),),
    target: str | Sequence[str] = ("position",),
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
        name in the recording, or ``"all"`` for all spikes, counts and fields that there are. Those are called "spikes"
        and "field" where there is one of their kind, and as in the recording where there are more.
    target
        Names of derived targets or behaviour series (see `make_targets`); () for none. Values belong to the
        END of each bin.
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
        interval, a slower clock that is no multiple of the bins, or data no model can use (`check_usable`).
    """
    if not isinstance(recording, Recording):
        kind = type(recording).__name__
        raise InputError(f"to_bins needs a Recording, got a {kind}: read one with neurodyn.read_recording(path)")
    modalities, width = _modalities(recording, modalities), _width(width)
    recording = without_invalid_times(recording)
    targets = (target,) if isinstance(target, str) else tuple(target)
    clocks = [_clock(modality, width) for modality in modalities]
    spans = _stretches(recording, _support(recording, modalities, targets, width), width, interval)
    for counts in _all_counts(recording, modalities):
        spans = from_recorded_edges(spans, counts, width)
    grids = [TimeGrid.covering(start, stop, width) for start, stop in spans]
    _check_not_milliseconds(width)
    observations, observed, rows = {}, {}, []
    for modality, clock in zip(modalities, clocks, strict=True):
        values, mask, channels = _binned(recording, modality, grids, clock)
        observations[modality.name], observed[modality.name] = values, mask
        likelihood = "poisson" if isinstance(modality, Spikes) else "gaussian"
        unit, rate = _unit(recording, modality), _rate(recording, modality)
        rows.append(Modality(modality.name, likelihood, channels, clock, unit, rate))
    time = np.concatenate([grid.ends for grid in grids])
    values, known, names = _targets(recording, targets, time, target_options)
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


def _check_not_milliseconds(width: float) -> None:
    if width > WIDEST:
        raise InputError(
            f"the bin width of {width:g} s is longer than any bin that behaviour is decoded in ({WIDEST:g} s): for "
            f"{width:g} milliseconds give {width / 1e3:g}, or '{width:g}ms'"
        )


def _modalities(
    recording: Recording, given: str | Spikes | Field | Sequence[str | Spikes | Field]
) -> list[Spikes | Field]:
    """What was asked for, names with the usual settings.

    Raises
    ------
    InputError
        If nothing was, or a name is not in the recording.
    """
    if given == "all":
        return all_modalities(recording)
    one = isinstance(given, str | Spikes | Field)
    others = {"all"} if one else set()  # which stands for a list by itself
    found = [_named(recording, item, others) if isinstance(item, str) else item for item in ([given] if one else given)]
    if not found:
        raise InputError("to_bins needs at least one modality, got none: give Spikes() or Field()")
    for item in found:
        if not isinstance(item, Spikes | Field):
            raise InputError(f"a modality is Spikes(), Field() or a name, got {item!r}")
    return found


def all_modalities(recording: Recording) -> list[Spikes | Field]:
    """All spikes, counts and fields of a recording, with the usual settings.

    Raises
    ------
    InputError
        If there is none.
    """
    groups, fields = [*recording.spikes, *recording.counts], [*recording.fields]
    if not groups and not fields:
        raise InputError(f"recording '{recording.name}' has neither spikes nor a field potential to decode from")
    spikes = [Spikes("spikes" if len(groups) == 1 else source, source) for source in groups]
    return [*spikes, *(Field("field" if len(fields) == 1 else source, source) for source in fields)]


def _named(recording: Recording, name: str, others: set[str]) -> Spikes | Field:
    """Modality of this name, with the usual settings; the error knows other names that could have been meant."""
    groups = [*recording.spikes, *recording.counts]
    if name in groups:
        return Spikes(name, name)
    if name in recording.fields or name == "field":
        return Field(name)
    if name == "spikes":
        return Spikes(name, groups[0]) if len(groups) == 1 else Spikes(name)
    recording.check_usable(name)
    raise unknown_name("modality", name, {*others, "spikes", "field", *groups, *recording.fields})


def _counts(recording: Recording, modality: Spikes | Field) -> BinnedCounts | None:
    """Counts that were recorded in bins, if the modality is made from such, of the units asked for."""
    if isinstance(modality, Field) or modality.source not in recording.counts:
        return None
    counts = recording.counts[modality.source]
    return counts if modality.units is None else counts.select(modality.units)


def _all_counts(recording: Recording, modalities: Sequence[Spikes | Field]) -> list[BinnedCounts]:
    """Counts that were recorded in bins, of all modalities that are made from such."""
    found = (_counts(recording, modality) for modality in modalities)
    return [counts for counts in found if counts is not None]


def _rate(recording: Recording, modality: Spikes | Field) -> float | None:
    """Samples per second of the signal of a field; None for spikes."""
    if isinstance(modality, Spikes):
        return None
    rate = _field_signal(recording, modality).typical_rate
    return float(rate) if math.isfinite(rate) else None


def _unit(recording: Recording, modality: Spikes | Field) -> str:
    """Unit of a modality's values."""
    if isinstance(modality, Spikes):
        return "spikes per bin"
    unit = _field_signal(recording, modality).unit
    return unit if modality.power is None else f"log {unit}²" if unit else "log power"


def _clock(modality: Spikes | Field, width: float) -> int:
    """Bins between samples of a modality."""
    if isinstance(modality, Spikes) or modality.width is None:
        return 1
    clock = round(modality.width / width)
    if clock < 1 or abs(clock * width - modality.width) > 1e-6 * width:
        raise InputError(
            f"modality '{modality.name}': its width of {modality.width:g} s must be a multiple of the bin "
            f"width of {width:g} s"
        )
    return clock


def _field_signal(recording: Recording, field: Field) -> Signal:
    """The signal a field modality is made from, with the channels asked for."""
    source = field.source
    if source is None and field.name in recording.fields:
        source = field.name
    signal = recording.field(source)
    if signal.n_samples < 2:
        raise InputError(f"field '{signal.name}' has {signal.n_samples} samples: nothing to bin")
    return signal if field.channels is None else signal.select(field.channels)


def _support(
    recording: Recording, modalities: Sequence[Spikes | Field], targets: Sequence[str], width: float
) -> tuple[float, float]:
    """Time that every source covers, in seconds.

    Where the bins begin is free, and the latest source says it; recorded counts leave no choice. A signal of one value
    per bin has its first sample inside the first bin or at its end, so that with counts it covers every bin in which
    it lacks nothing: of a field one that begins less than a period before the first sample, of a target one that ends
    at it.

    Raises
    ------
    InputError
        When two sources do not overlap in time.
    """
    spans: dict[str, tuple[float, float]] = {}
    fixed = bool(_all_counts(recording, modalities))
    for modality in modalities:
        label = f"modality '{modality.name}'"
        spans[label] = _span_of(recording, modality, width)
        if fixed and isinstance(modality, Field):
            spans[label] = whole_after(_field_signal(recording, modality)), spans[label][1]
    for name, signal in zip(targets, target_sources(recording, targets), strict=True):
        start, stop = _signal_span(signal)
        spans[f"target '{name}'"] = (start - width if fixed else start), stop
    late = max(spans, key=lambda label: spans[label][0])
    early = min(spans, key=lambda label: spans[label][1])
    start, stop = spans[late][0], spans[early][1]
    if start >= stop:
        raise InputError(
            f"{late} ({_seconds(spans[late])}) and {early} ({_seconds(spans[early])}) do not overlap in time:"
            " check their clocks"
        )
    return start, stop


def _span_of(recording: Recording, modality: Spikes | Field, width: float) -> tuple[float, float]:
    """Time that a modality covers: of spikes, the whole bins in their support, or the bins from the first to the last.

    Raises
    ------
    InputError
        For units without a spike, or that were never recorded.
    """
    if isinstance(modality, Field):
        return _signal_span(_field_signal(recording, modality))
    counts = _counts(recording, modality)
    if counts is not None:
        return counts.start, counts.stop
    trains = _chosen(recording, modality)
    group = recording.spike_trains(modality.source)
    if not group.n_spikes:
        raise InputError(f"modality '{modality.name}' has no spikes in recording '{recording.name}'")
    first, last = number_of(group.start, 0.0, width), number_of(group.stop, 0.0, width) + 1
    bounds = [(float(one.starts[0]), float(one.stops[-1])) for one in trains.unit_supports if len(one)]
    start, stop = min((bound[0] for bound in bounds), default=0.0), max((bound[1] for bound in bounds), default=0.0)
    start = first_edge(start, width) if math.isfinite(start) else first * width
    stop = number_of(stop, 0.0, width) * width if math.isfinite(stop) else last * width
    if start >= stop:
        raise InputError(
            f"the units of modality '{modality.name}' were never recorded for a whole bin of {width:g} s: see their"
            " time support"
        )
    return start, stop


def _chosen(recording: Recording, modality: Spikes) -> SpikeTrains:
    """The units that a modality asks for."""
    trains = recording.spike_trains(modality.source)
    return trains if modality.units is None else trains.select(modality.units)


def _signal_span(signal: Signal) -> tuple[float, float]:
    """First sample to the end of the last sample's period."""
    if signal.n_samples < 2:
        raise InputError(f"series '{signal.name}' has {signal.n_samples} samples: nothing to bin")
    return signal.start, signal.stop + 1.0 / signal.typical_rate


def _seconds(span: tuple[float, float]) -> str:
    """Span as a user reads it."""
    return f"{span[0]:g} to {span[1]:g} s"


def _stretches(
    recording: Recording,
    support: tuple[float, float],
    width: float,
    interval: str | tuple[float, float] | Intervals | None,
) -> list[tuple[float, float]]:
    """Start and stop of each trial, in order of time."""
    if interval is None:
        return [support]
    spans = _spans(recording, interval)
    if not any(start < support[1] and stop > support[0] for start, stop in spans):
        raise InputError(f"the interval {_called(interval)} lies outside the recorded {_seconds(support)}")
    long_enough = [span for span in spans if whole_bins(*span, width) >= 1]
    # The longest is refused with its numbers when not one fits.
    return long_enough or [max(spans, key=lambda span: span[1] - span[0])]


def _called(interval: str | tuple[float, float] | Intervals) -> str:
    return f"'{interval.name}'" if isinstance(interval, Intervals) else repr(interval)


def _spans(recording: Recording, interval: str | tuple[float, float] | Intervals) -> list[tuple[float, float]]:
    """Start and stop of each trial in order of time.

    Raises
    ------
    InputError
        For an unknown name, or intervals that overlap: their bins would be counted twice.
    """
    if isinstance(interval, tuple):
        return [(float(interval[0]), float(interval[1]))]
    table = recording.find_intervals(interval) if isinstance(interval, str) else interval
    if not len(table):
        raise InputError(f"interval {_called(interval)} has no rows in recording '{recording.name}'")
    spans = sorted(zip(table.starts.tolist(), table.stops.tolist(), strict=True))
    for one, two in pairwise(spans):
        if two[0] < one[1] - slack(one[1]):
            raise InputError(
                f"intervals of {_called(interval)} overlap ({_seconds(one)} and {_seconds(two)}): name the "
                "label of those to use, or give start and stop"
            )
    return spans


def _binned(
    recording: Recording, modality: Spikes | Field, grids: Sequence[TimeGrid], clock: int
) -> tuple[Float32[np.ndarray, "bins _"], Bool[np.ndarray, "bins _"], tuple[str, ...]]:
    """Values, mask and channel names of one modality on all grids."""
    if (counts := _counts(recording, modality)) is not None:
        return (*rebin_counts(counts, grids), counts.units)
    if isinstance(modality, Spikes):
        trains = _chosen(recording, modality)
        starts, stops = _windows(grids, 1)
        counts = count_spikes(trains.times, starts, stops)
        mask = _in_support(spike_supports(recording, trains, grids[0].width), starts, stops)
        if not mask.all():
            counts[~mask] = 0
        return counts, mask, trains.units
    signal = _field_signal(recording, modality)
    starts, stops = _windows(grids, clock)
    if modality.power is None:
        values, observed, channels = *bin_raw(signal, starts, stops), signal.channels
    else:
        values, observed = bin_band_power(signal, modality.power, starts, stops)
        channels = modality.power.names(signal.channels)
    if not (valid := _valid(recording, grids, clock)).all():
        values[~valid], observed[~valid] = 0.0, False
    return (*_spread(values, observed, grids, clock), channels)


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


def _valid(recording: Recording, grids: Sequence[TimeGrid], clock: int) -> Bool[np.ndarray, " windows"]:
    """Windows that no invalid time of the recording touches."""
    starts, stops = _windows(grids, clock)
    return invalid_times(recording).gaps().covers(starts, stops)


def _windows(
    grids: Sequence[TimeGrid], clock: int
) -> tuple[Float[np.ndarray, " windows"], Float[np.ndarray, " windows"]]:
    """Begin and end of the windows of `clock` bins on all grids."""
    starts, stops = zip(*(grid.coarser(clock) for grid in grids), strict=True)
    return np.concatenate(starts), np.concatenate(stops)


def _spread(
    values: Float[np.ndarray, "windows channels"],
    observed: Bool[np.ndarray, "windows channels"],
    grids: Sequence[TimeGrid],
    clock: int,
) -> _Binned:
    """Put each window in the last of its bins, when its value is known; the bins before it are missing."""
    last = np.concatenate([np.arange(grid.bins) % clock == clock - 1 for grid in grids])
    fine = np.zeros((len(last), values.shape[1]), np.float32)
    mask = np.zeros(fine.shape, np.bool_)
    fine[last], mask[last] = values, observed
    return fine, mask


def _targets(
    recording: Recording,
    names: Sequence[str],
    time: Float[np.ndarray, " bins"],
    options: TargetOptions | None,
) -> tuple[Float[np.ndarray, "bins dims"], Bool[np.ndarray, " bins"], tuple[str, ...]]:
    """Targets at the ends of the bins, or none."""
    if not names:
        return np.zeros((len(time), 0)), np.ones(len(time), np.bool_), ()
    return make_targets(recording, names, time, options)
