"""Percentiles of step times in bounded memory, and what a decoder has done so far."""

import math
from dataclasses import dataclass, field

import numpy as np

SHORTEST, LONGEST, PER_DECADE = 0.1, 1e8, 100
"""Range of the histogram in microseconds; 100 steps per factor of ten are 2.3 % each."""


class LatencyHistogram:
    """Counts of durations on a logarithmic scale; a percentile is right to 1.2 %."""

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

    def percentile(self, share: float) -> float:
        """Duration in microseconds that a share (0 to 100) of all lie below; NaN if there are none."""
        if not self.total:
            return float("nan")
        place = int(np.searchsorted(np.cumsum(self.counts), max(share / 100 * self.total, 1e-9)))
        return min(SHORTEST * 10 ** (place / PER_DECADE), self.worst)


@dataclass(frozen=True)
class Stats:
    """How a live decoder has done so far.

    Attributes
    ----------
    steps
        Bins taken in.
    seen
        Bins in which each modality was seen.
    missed
        Steps that took longer than a bin lasts.
    refused
        Bins that were refused because of their shape or name.
    p50, p95, p99, p999, worst
        Microseconds per step.
    table_hits, table_misses
        Bins whose covariance was known, and those it had to be worked out for, over all filters.
    """

    steps: int
    seen: dict[str, int] = field(default_factory=dict)
    missed: int = 0
    refused: int = 0
    p50: float = float("nan")
    p95: float = float("nan")
    p99: float = float("nan")
    p999: float = float("nan")
    worst: float = float("nan")
    table_hits: int = 0
    table_misses: int = 0
