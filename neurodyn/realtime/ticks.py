r"""From the stamps of a regular stream to the ticks of its clock: one whole number per sample, gaps included.

Stamps that lie on a grid are believed as they are, so that bins are those of offline binning. Stamps that jitter are
not: their samples are counted, and the time of a tick comes from a line through all recent stamps, as a phase-locked
loop follows a clock,

.. math::
    t_{k+n} = t_k + n p + \alpha r, \qquad p \mathrel{+}= \beta r / \bar n, \qquad
    r = \text{mean stamp} - \text{mean tick}

with the gains of least squares with a growing memory (alpha = 2 (2 k - 1) / (k (k + 1)), beta = 6 / (k (k + 1)) at the
k-th chunk), held at those of `HORIZON` chunks. The period follows samples per chunk on average: where a program is held
up and sends many at once, these are stamped late and the one after them is early, which by its own chunk would weigh
as much as the many.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

FIRST = 2**20
"""Tick before that of the sample that comes first: those that come after it and lie before it have numbers too."""
UNEVEN = 0.3
"""Periods between a step and the nearest whole number of periods above which stamps jitter.

Rounding decides wrongly at 0.5; offline binning follows stamps up to that. A step has the jitter of two stamps."""
FEWEST_UNEVEN = 3
"""Uneven steps among the latest hundred before stamps count as jittering: a single one is a fault of that stamp."""
HORIZON = 500
"""Chunks that the line through the stamps remembers: seconds, over which crystals are steadier than microseconds."""
CERTAIN = 6.0
"""Deviations of the jitter by which a single sample must be late to follow a gap; one in a thousand million is."""
LIKELY = 3.0
"""The same for the least of several samples that go on as samples do."""
ADVANCES = 3
"""Times that late samples go on before they follow a gap; those that were held up come at once, or in two lots."""
ONE_PERIOD = (0.5, 1.5)
"""Periods between which a step is nearest to one period."""
FARTHEST = 0.02
"""Share by which the period of a line may differ from the nominal one: a stream of another rate is refused."""
EARLY = (0.01, 0.25)
"""Least and most periods that are added to the ticks of the line, which are as many deviations of its end as `LIKELY`:
a tick that lies on the edge of a window must not come out before it."""


@dataclass
class _Line:
    """A line through stamps: the time of the last tick and the period, in seconds; chunks and samples it remembers.

    ``usual`` is the samples of a chunk on average, ``nominal`` the period that it does not leave by more than
    `FARTHEST`.
    """

    time: float
    period: float
    nominal: float
    updates: int = 1
    samples: float = 1.0
    usual: float = 1.0

    def follow(self, samples: int, residual: float) -> None:
        """Move on by so many samples, and correct by a residual in seconds."""
        self.updates = k = min(self.updates + 1, HORIZON)
        self.samples = self.samples * (1 - 1 / HORIZON) + samples
        self.usual += (max(samples, 1) - self.usual) / k
        self.time += samples * self.period + residual * 2 * (2 * k - 1) / (k * (k + 1))
        period = self.period + residual / self.usual * 6 / (k * (k + 1))
        self.period = min(max(period, self.nominal * (1 - FARTHEST)), self.nominal * (1 + FARTHEST))


class Ticks:
    """Counts the samples of one stream.

    Parameters
    ----------
    rate
        Samples per second that the stream should have.

    Attributes
    ----------
    number
        Of the newest tick that a sample came of.
    jittering
        Whether stamps are not believed one by one.
    """

    def __init__(self, rate: float) -> None:
        self.nominal = 1.0 / rate
        self.number, self.jittering = FIRST, False
        self.stamp = -np.inf  # of the newest sample, as the source gave it
        self._line = _Line(np.nan, self.nominal, self.nominal)
        self._jitter = 0.0  # standard deviation of a stamp, periods
        self._uneven = 0.0  # uneven steps among the recent ones

    @property
    def period(self) -> float:
        """Seconds per sample, estimated from the recent stamps."""
        return self._line.period

    @property
    def expected(self) -> float:
        """Where the next sample belongs if nothing is lost; infinite before the first."""
        return self._line.time + self._line.period if self.jittering else self.stamp + self.nominal

    def restart(self, stamp: float) -> None:
        """The clock of the bins has begun anew, with a newest stamp or none (-inf): what comes then follows it."""
        time = stamp if np.isfinite(stamp) else np.nan
        self.stamp, self._line = stamp, _Line(time, self._line.period, self.nominal)

    # Stamps that are believed -----------------------------------------------------------------------------------

    def append(self, samples: int, last: float) -> None:
        """Count samples that follow one another without a gap; ``last`` is the stamp of the last, seconds."""
        self.number += samples
        self.stamp = last
        self._follow(samples, last)
        self._uneven *= 0.99**samples

    def place(self, times: Float64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """Ticks that believed stamps lie on; those in the past too."""
        if not np.isfinite(self.stamp):
            return self.number + 1 + np.rint((times - times.min()) / self.nominal).astype(np.int64)
        return self.number + np.rint((times - self.stamp) / self.nominal).astype(np.int64)

    def register(self, numbers: Int64[np.ndarray, " n"], times: Float64[np.ndarray, " n"]) -> None:
        """Register samples whose stamps are used individually, in any order."""
        newest = int(np.argmax(numbers))
        if numbers[newest] > self.number:
            samples = int(numbers[newest]) - self.number
            self.number, self.stamp = int(numbers[newest]), float(times[newest])
            self._follow(samples, self.stamp)

    def is_irregular(self, times: Float64[np.ndarray, " n"]) -> bool:
        """Return True once stamps are too irregular to be used individually."""
        steps = np.diff(times, prepend=self.stamp) / self.nominal
        if not times[0] > self.stamp > -np.inf:  # out of order: the first step says nothing
            steps = steps[1:]
        # Long steps are gaps, and those of a clock that drifts need not be whole.
        off = (np.abs(steps - np.rint(steps)) > UNEVEN + 1e-3 * steps) | (steps < UNEVEN)
        self._uneven = self._uneven * 0.99 ** len(steps) + int(np.count_nonzero(off))
        return bool(self._uneven > FEWEST_UNEVEN)

    def _follow(self, samples: int, last: float) -> None:
        if np.isnan(self._line.time):
            self._line.time = last
        else:
            self._line.follow(samples, last - self._line.time - samples * self._line.period)

    # Stamps that are not ----------------------------------------------------------------------------------------

    def follow_line(self, numbers: Int64[np.ndarray, " n"], stamps: Float64[np.ndarray, " n"]) -> None:
        """Use a line through the stamps instead of each stamp; it begins as the line through the latest samples."""
        self.jittering = True
        if len(stamps):
            away = stamps - stamps[-1] - (numbers - numbers[-1]) * self.period
            self._line.time = float(stamps[-1] + away.mean() + (self.number - numbers[-1]) * self.period)
            self._line.updates = max(2, min(len(stamps), HORIZON))
            self._line.samples = float(len(stamps))
            self._jitter = float(away.std()) / self.period

    def count(
        self, stamps: Float64[np.ndarray, " n"], *, backwards: bool = True, doubtful: bool = False
    ) -> tuple[Int64[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
        """Ticks and their times for samples in the order in which they came, none of which has come before.

        Samples that lie as a whole before what is expected are counted backwards, and nothing has changed then: they
        may fill a gap. If they do not, count them again with ``backwards=False``. ``doubtful`` samples are late, and
        nothing will tell why: they follow a gap if no jitter makes them so late.
        """
        early = float(np.clip(2 * LIKELY * self._jitter / math.sqrt(self._line.samples), *EARLY))
        steps, away, tolerance = self._beside_the_line(stamps)
        typical = float(np.median(away))
        if backwards and typical < -tolerance:
            steps = steps + round(typical)
            return self.number + steps, self._line.time + (steps + early) * self.period
        lost = self._lost(away, 1.5 + CERTAIN * max(self._jitter, 0.1) if doubtful else tolerance)
        steps, away = steps + lost, away - lost
        numbers = self.number + steps
        usual = away[away <= tolerance]  # without those that were held up, unless all were
        self._learn(np.maximum(usual, -2 * tolerance))
        self.number, self.stamp = int(numbers[-1]), max(self.stamp, float(stamps.max()))
        residual = float(np.maximum(usual, -tolerance).mean()) if len(usual) else tolerance
        self._line.follow(int(steps[-1]), residual * self.period)
        return numbers, self._line.time + (numbers - self.number + early) * self._line.period

    def doubtful(self, stamps: Float64[np.ndarray, " n"]) -> int:
        """How many of the last samples, in the order in which they came, are late and may or may not follow a gap.

        Late samples that go on a period apart follow a gap; those of which the last is in time again were held up.
        """
        _, away, tolerance = self._beside_the_line(stamps)
        lost = self._lost(away, tolerance)
        begin = len(lost)
        while begin and lost[begin - 1]:
            first, last = int(np.argmax(lost == lost[begin - 1])), begin - 1
            steps = np.diff(stamps[first : last + 1]) / self.period
            if np.count_nonzero(steps > ONE_PERIOD[0]) >= ADVANCES and ONE_PERIOD[0] < steps.mean() < ONE_PERIOD[1]:
                break
            begin = first
        return len(lost) - begin

    def _beside_the_line(
        self, stamps: Float64[np.ndarray, " n"]
    ) -> tuple[Int64[np.ndarray, " n"], Float64[np.ndarray, " n"], float]:
        """Steps of samples of which none was lost, periods by which they lie after the line, and how many are usual."""
        order = np.arange(1, len(stamps) + 1)
        if np.isnan(self._line.time):
            self._line.time = float(np.mean(stamps - order * self.period))
        return order, (stamps - self._line.time) / self.period - order, max(0.75, LIKELY * self._jitter)

    def _lost(self, away: Float64[np.ndarray, " n"], tolerance: float) -> Int64[np.ndarray, " n"]:
        """Ticks lost before each sample: as many as all that come after it are late.

        A program that is held up sends what it has late, one after the other, and is in time again at the last.
        """
        lost = np.zeros(len(away), np.int64)
        least = np.minimum.accumulate(away[::-1])[::-1]
        begin, known = 0, 0
        while begin < len(away) and least[-1] - known > tolerance:
            begin += int(np.argmax(least[begin:] - known > tolerance))
            rest = away[begin:]
            known = max(known + 1, round(float(np.median(rest[rest <= least[begin] + 2 * tolerance]))))
            lost[begin:] = known
            begin += 1
        return lost

    def _learn(self, away: Float64[np.ndarray, " n"]) -> None:
        """Follow the size of the jitter: how samples lie about the line, those that are held up not as far after it."""
        if len(away):
            kept = 0.98 ** len(away)
            self._jitter = float(np.sqrt(kept * self._jitter**2 + (1 - kept) * np.mean(away**2)))
