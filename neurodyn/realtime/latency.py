"""Percentiles of times in bounded memory: of a decoder's steps, and of each part of the way to an estimate.

    data taken ──age──▶ data in hand      how far the chunks that are read lie behind the present
    end of bin ──wait──▶ data in hand ──binning──▶ ──step──▶ ──hand-over──▶ in the hands of the sinks

The latency of an estimate is that from data in hand to hand-over. Its deadline is a time after the end of its bin, and
is missed if the hand-over comes later: a bin waits for its data, so that the wait counts too.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

SHORTEST, LONGEST, PER_DECADE = 0.1, 1e8, 100
"""Range of the histogram in microseconds; 100 steps per factor of ten are 2.3 % each."""
PARTS = ("age", "wait", "binning", "step", "hand-over")
"""Parts of the way to an estimate, in order."""


@dataclass(frozen=True)
class Percentiles:
    """Some percentiles of times, in microseconds; NaN if there were none.

    Attributes
    ----------
    count
        Of the times.
    p50, p95, p99, p999, worst
        Which share of them is no longer, in per cent (99.9 for ``p999``); the longest.

    Examples
    --------
    >>> from neurodyn.realtime import LatencyHistogram
    >>> histogram = LatencyHistogram()
    >>> histogram.add(120.0)
    >>> histogram.percentiles().count, round(histogram.percentiles().worst)
    (1, 120)
    """

    count: int = 0
    p50: float = float("nan")
    p95: float = float("nan")
    p99: float = float("nan")
    p999: float = float("nan")
    worst: float = float("nan")


class LatencyHistogram:
    """Counts of durations on a logarithmic scale; a percentile is right to 1.2 %.

    Examples
    --------
    >>> from neurodyn.realtime import LatencyHistogram
    >>> histogram = LatencyHistogram()
    >>> for microseconds in range(1, 1001):
    ...     histogram.add(float(microseconds))
    >>> abs(histogram.percentile(99.0) / 990.0 - 1.0) < 0.012
    True
    """

    def __init__(self) -> None:
        self.counts = [0] * (round(math.log10(LONGEST / SHORTEST) * PER_DECADE) + 1)
        self.total = 0
        self.worst = 0.0

    def add(self, microseconds: float) -> None:
        """Count one duration."""
        place = round(math.log10(max(microseconds, SHORTEST) / SHORTEST) * PER_DECADE)
        self.counts[min(place, len(self.counts) - 1)] += 1
        self.total += 1
        self.worst = max(self.worst, microseconds)

    def copy(self) -> "LatencyHistogram":
        """One of its own with the same counts."""
        other = LatencyHistogram()
        other.counts, other.total, other.worst = self.counts.copy(), self.total, self.worst
        return other

    def percentile(self, share: float) -> float:
        """Duration in microseconds that a share (0 to 100) of all lie below; NaN if there are none."""
        if not self.total:
            return float("nan")
        wanted = max(share / 100 * self.total, 1e-9)
        place = next(place for place, below in enumerate(accumulate(self.counts)) if below >= wanted)
        return min(SHORTEST * 10 ** (place / PER_DECADE), self.worst)

    def percentiles(self) -> Percentiles:
        """The usual ones."""
        if not self.total:
            return Percentiles()
        p50, p95, p99, p999 = (self.percentile(share) for share in (50.0, 95.0, 99.0, 99.9))
        return Percentiles(self.total, p50, p95, p99, p999, self.worst)

    def bars(self, low: float, high: float, per_decade: int) -> list[int]:
        """Counts between edges that are evenly spaced on a logarithmic scale, the outer ones with all beyond.

        Parameters
        ----------
        low, high
            First and last edge, microseconds.
        per_decade
            Bars per factor of ten, a divisor of `PER_DECADE`: each is a whole number of steps of this histogram.

        Examples
        --------
        >>> histogram = LatencyHistogram()
        >>> for microseconds in (1.0, 20.0, 30.0, 5000.0):
        ...     histogram.add(microseconds)
        >>> histogram.bars(10.0, 1000.0, 1)
        [3, 1]
        """
        inside = PER_DECADE // per_decade
        first, last = (round(math.log10(edge / SHORTEST) * PER_DECADE) for edge in (low, high))
        edges = [0, *range(first + inside, last, inside), len(self.counts)]
        return [sum(self.counts[a:b]) for a, b in pairwise(edges)]


class LatencyBudget:
    """Where the time goes from data to an estimate: a histogram of each part, of the latency, and of all together.

    Examples
    --------
    >>> budget = LatencyBudget()
    >>> budget.add_bin(wait=0.010, binning=100e-6, step=40e-6, hand_over=20e-6)
    >>> {name: round(found.worst) for name, found in budget.percentiles().items() if found.count}
    {'wait': 10000, 'binning': 100, 'step': 40, 'hand-over': 20, 'latency': 160, 'in all': 10160}
    """

    def __init__(self) -> None:
        self._parts = {name: LatencyHistogram() for name in (*PARTS, "latency", "in all")}

    def add_age(self, seconds: float) -> None:
        """Count how far a chunk lies behind the present when it is read; one that is ahead lies behind by nothing."""
        self._parts["age"].add(1e6 * max(seconds, 0.0))

    def add_bin(self, *, wait: float, binning: float, step: float, hand_over: float) -> None:
        """Count the parts of one bin.

        Parameters
        ----------
        wait
            Seconds from the end of the bin to when its last data were in hand, or were waited for no longer.
        binning
            From there until its step begins: data into bins, and steps of the bins before it that came at once.
        step
            Of the decoder.
        hand_over
            From there until every sink has the estimate.
        """
        latency = binning + step + hand_over
        wait = max(wait, 0.0)  # a bin of which everything has come may be handed out before the present reaches its end
        named = {"wait": wait, "binning": binning, "step": step, "hand-over": hand_over}
        for name, seconds in {**named, "latency": latency, "in all": wait + latency}.items():
            self._parts[name].add(1e6 * seconds)

    def histograms(self) -> dict[str, LatencyHistogram]:
        """Copies of all, by name: the parts, ``latency`` (from data in hand) and ``in all`` (from the bin's end)."""
        return {name: part.copy() for name, part in self._parts.items()}

    def percentiles(self) -> dict[str, Percentiles]:
        """Percentiles of all, by name."""
        return percentiles_of(self._parts)


def percentiles_of(histograms: Mapping[str, LatencyHistogram]) -> dict[str, Percentiles]:
    """Percentiles of several histograms, by name."""
    return {name: histogram.percentiles() for name, histogram in histograms.items()}


@dataclass(frozen=True)
class Stats:
    """How a live decoder has done so far.

    Attributes
    ----------
    steps
        Bins taken in.
    seen
        Bins in which each modality was seen.
    overruns
        Steps that took longer than a bin lasts. Deadlines are the session's: see `neurodyn.realtime.monitor.Status`.
    refused
        Bins that were refused because of their shape or name.
    p50, p95, p99, p999, worst
        Microseconds per step.
    table_hits, table_misses
        Bins whose covariance was known, and those it had to be worked out for, over all filters.

    Examples
    --------
    >>> from neurodyn.realtime import Stats
    >>> stats = Stats(steps=1000, seen={"spikes": 1000, "field": 200}, overruns=1, p99=85.0)  # of a live decoder
    >>> stats.seen["field"] / stats.steps, stats.p99
    (0.2, 85.0)
    """

    steps: int
    seen: dict[str, int] = field(default_factory=dict)
    overruns: int = 0
    refused: int = 0
    p50: float = float("nan")
    p95: float = float("nan")
    p99: float = float("nan")
    p999: float = float("nan")
    worst: float = float("nan")
    table_hits: int = 0
    table_misses: int = 0


class StepCounts:
    """What the steps of a live decoder saw, and how long they took: what its `Stats` are made of.

    Parameters
    ----------
    modalities
        Their names.
    width
        Of a bin, seconds.

    Attributes
    ----------
    latency
        Of the steps, microseconds.
    refused
        Bins that were refused.

    Examples
    --------
    >>> counts = StepCounts(["spikes", "field"], width=0.01)
    >>> counts.add(80.0, seen=("spikes",))
    >>> counts.stats().steps, counts.stats().seen
    (1, {'spikes': 1, 'field': 0})
    """

    def __init__(self, modalities: Iterable[str], width: float) -> None:
        self.latency, self.refused = LatencyHistogram(), 0
        self._seen, self._overruns, self._width = dict.fromkeys(modalities, 0), 0, width

    def add(self, microseconds: float, seen: Iterable[str]) -> None:
        """Count a step, and the modalities that it saw."""
        self.latency.add(microseconds)
        self._overruns += microseconds > 1e6 * self._width
        for name in seen:
            self._seen[name] += 1

    def stats(self, *, table_hits: int = 0, table_misses: int = 0) -> Stats:
        """All of it so far, beside what tables of gains say."""
        times = self.latency.percentiles()
        return Stats(
            times.count, dict(self._seen), self._overruns, self.refused, p50=times.p50, p95=times.p95, p99=times.p99,
            p999=times.p999, worst=times.worst, table_hits=table_hits, table_misses=table_misses,
        )  # fmt: skip
