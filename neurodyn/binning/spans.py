"""Which time is binned: what every source covers, and the intervals in it that were asked for."""

import math
from collections.abc import Sequence
from itertools import pairwise

from neurodyn.binning.features import whole_after
from neurodyn.binning.sources import (
    Field,
    Spikes,
    all_counts,
    counts_of,
    field_signal,
    trains_of,
)
from neurodyn.binning.targets import target_sources
from neurodyn.errors import InputError
from neurodyn.recording import (
    Intervals,
    Recording,
    Signal,
)
from neurodyn.recording.edges import first_edge, number_of, slack, whole_bins


def common_span(
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
    fixed = bool(all_counts(recording, modalities))
    for modality in modalities:
        label = f"modality '{modality.name}'"
        spans[label] = _span_of(recording, modality, width)
        if fixed and isinstance(modality, Field):
            spans[label] = whole_after(field_signal(recording, modality)), spans[label][1]
    for name, signal in target_sources(recording, targets).items():
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
        return _signal_span(field_signal(recording, modality))
    counts = counts_of(recording, modality)
    if counts is not None:
        return counts.start, counts.stop
    trains = trains_of(recording, modality)
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


def _signal_span(signal: Signal) -> tuple[float, float]:
    """First sample to the end of the last sample's period."""
    if signal.n_samples < 2:
        raise InputError(f"series '{signal.name}' has {signal.n_samples} samples: nothing to bin")
    return signal.start, signal.stop + 1.0 / signal.typical_rate


def _seconds(span: tuple[float, float]) -> str:
    """Span as a user reads it."""
    return f"{span[0]:g} to {span[1]:g} s"


def stretches(
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
