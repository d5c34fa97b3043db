"""What the stamps of samples say of the clock that took them: its rate, its gaps, and how even it is.

A step is a gap if it is longer than one and a half periods (and half of what stamps were rounded to). The period is
the slope of the straight lines, all of one slope, that fit the stretches between gaps best: of stamps that were
rounded, to milliseconds or to single precision, a line knows far more than the median step.

    minimise over period and offsets:   sum over stretches s, samples i of   (stamp[s, i] - offset[s] - period i)^2
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from neurodyn.recording.edges import slack

FEWEST = 10
"""Steps from which on it can be told whether stamps differ from a line by no more than they were rounded."""
MOST_GAPS = 0.02
"""Share of steps that are gaps up to which the other steps need not be alike."""
LONG = 1.0
"""Seconds: many pauses shorter than this that take most of the time are those between packets, not those of a clock."""
MOST_LOST = 20
"""Samples lost per sample taken up to which frequent gaps can be losses of single packets."""
_LOOKED_AT = 2**18
"""Steps from which quantiles are taken."""


@dataclass(frozen=True)
class Clock:
    """The clock of stamped samples.

    Attributes
    ----------
    rate
        Samples per second; NaN below two samples.
    even
        False if the stamps are those of no clock, as when samples are stamped in groups: the rate is then that of all
        samples over all time.
    regular
        Whether the samples of every stretch without a gap lie on a line as closely as the stamps are precise.
    gaps
        Number of steps longer than `longest`.
    longest
        Longest step, seconds, that is not a gap.
    jitter
        Seconds by which 99 of 100 steps differ from the period at most.
    """

    rate: float
    even: bool
    regular: bool
    gaps: int
    longest: float
    jitter: float

    @property
    def period(self) -> float:
        """Seconds per sample."""
        return 1.0 / self.rate


def fit_clock(stamps: Float[np.ndarray, " samples"]) -> Clock:
    """Find the clock of stamps.

    Parameters
    ----------
    stamps
        Seconds, strictly increasing.
    """
    stamps = stamps.astype(np.float64, copy=False)
    if len(stamps) < 2:
        return Clock(np.nan, True, True, 0, np.nan, 0.0)
    steps, blur = np.diff(stamps), _precision(stamps)
    gap = _gaps(steps, blur)
    mean = float((stamps[-1] - stamps[0]) / len(steps))
    whole = np.zeros(len(steps), np.bool_)
    # Steps of one and of two quanta: a clock whose stamps were rounded to more than half its period. Below FEWEST long
    # steps it cannot be told from one that lost a sample now and then: a single loss lies as near to a line.
    if gap.mean() > MOST_GAPS and gap.sum() >= FEWEST and _line(stamps, whole)[1] <= blur <= mean:
        gap = whole
    elif gap.any() and not _pieces(steps, gap):
        return _uneven(steps, mean)
    return _even(stamps, steps, gap, blur)


def _even(
    stamps: Float64[np.ndarray, " samples"],
    steps: Float64[np.ndarray, " steps"],
    gap: Bool[np.ndarray, " steps"],
    blur: float,
) -> Clock:
    """Clock of stretches of one rate."""
    period, spread = _line(stamps, gap)
    rounding = slack(float(np.abs(stamps[[0, -1]]).max()))
    # Any stamps would lie that near to a line if they were as coarse as the steps, or few.
    regular = spread <= max(rounding, blur if blur < period and len(steps) >= FEWEST else 0.0)
    if regular:
        period = _roundest(period, 0.25 * rounding + 0.05 * spread, float(stamps[-1] - stamps[0]))
    near = steps[~gap]
    longest = max(1.5 * period, float(near.max()))
    return Clock(1.0 / period, True, regular, int(gap.sum()), longest, _quantile(np.abs(near - period), 0.99))


def _uneven(steps: Float64[np.ndarray, " steps"], mean: float) -> Clock:
    """A stream without a regular clock: its mean rate alone is known, and steps far above the usual one are gaps."""
    longest = 1.5 * _quantile(steps, 0.99)
    jitter = _quantile(np.abs(steps - mean), 0.99)
    return Clock(1.0 / mean, False, False, int((steps > longest).sum()), longest, jitter)


def _quantile(values: Float64[np.ndarray, " values"], share: float) -> float:
    """Quantile, of every so many values where there are very many."""
    return float(np.quantile(values[:: 1 + len(values) // _LOOKED_AT], share))


def _precision(stamps: Float64[np.ndarray, " samples"]) -> float:
    """Seconds that the stamps were rounded to: single precision, decimals, or double precision if neither."""
    largest = float(np.abs(stamps[[0, -1]]).max())
    blur, some = slack(largest), stamps[:1000]
    if all((part == part.astype(np.float32)).all() for part in (some, stamps)):
        blur = max(blur, float(np.spacing(np.float32(largest))))
    for decimals in range(7):
        if _on_decimals(some, decimals) and _on_decimals(stamps, decimals):
            return max(blur, 10.0**-decimals)
    return blur


def _on_decimals(stamps: Float64[np.ndarray, " samples"], decimals: int) -> bool:
    """Whether the stamps have no more than so many decimals."""
    scaled = stamps * 10.0**decimals
    scaled -= np.rint(scaled)
    return bool(np.abs(scaled, out=scaled).max() <= min(0.1, slack(float(np.abs(stamps[-1]))) * 10.0**decimals))


def _gaps(steps: Float64[np.ndarray, " steps"], blur: float) -> Bool[np.ndarray, " steps"]:
    """Mask of steps that are gaps: much longer than the mean of the steps that are not gaps."""
    period = _quantile(steps, 0.5)
    rounding = 0.5 * blur if blur < 0.6 * period else 0.0
    gap = steps > 1.5 * period + rounding
    if gap.any():
        gap = steps > 1.5 * float(steps[~gap].mean()) + rounding
    return gap


def _pieces(steps: Float64[np.ndarray, " steps"], gap: Bool[np.ndarray, " steps"]) -> bool:
    """Whether gaps cut an even clock into pieces; otherwise samples come when they like, or are stamped in groups."""
    if _lost_packets(steps, gap):
        return True
    near, pauses = steps[~gap], steps[gap]
    if len(near) < 2:
        return False
    long = float(np.median(pauses)) >= LONG
    if gap.mean() <= MOST_GAPS:
        return long or len(pauses) < FEWEST or bool(pauses.sum() <= 0.5 * steps.sum())
    return long and _quantile(np.abs(near / near.mean() - 1.0), 0.95) < 0.2


def _lost_packets(steps: Float64[np.ndarray, " steps"], gap: Bool[np.ndarray, " steps"]) -> bool:
    """Whether frequent gaps are those of an even clock: multiples of its period, not too many of them lost."""
    near = steps[~gap]
    if len(near) < 2:
        return False
    counts = steps / near.mean()
    off = np.abs(counts - np.rint(counts))
    return bool(_quantile(off, 0.95) < 0.1 and counts.sum() <= MOST_LOST * len(steps))


def _stretches(
    gap: Bool[np.ndarray, " steps"],
) -> tuple[Int64[np.ndarray, " stretches"], Int64[np.ndarray, " stretches"]]:
    """First sample of each stretch between gaps, and number of its samples."""
    first = np.concatenate([[0], np.flatnonzero(gap) + 1])
    return first, np.diff(first, append=len(gap) + 1)


def _line(stamps: Float64[np.ndarray, " samples"], gap: Bool[np.ndarray, " steps"]) -> tuple[float, float]:
    """Period of the parallel lines that fit all stretches best, and the largest distance of a stamp from its line."""
    first, length = _stretches(gap)
    number = np.arange(len(stamps)) - np.repeat(first + 0.5 * (length - 1), length)
    since = stamps - np.repeat(stamps[first], length)  # small first: sums of seconds since 1970 would lose digits
    since -= np.repeat(np.add.reduceat(since, first) / length, length)
    period = float(np.dot(number, since) / np.dot(number, number))
    number *= period
    since -= number
    return period, float(np.abs(since, out=since).max())


def _roundest(period: float, drift: float, seconds: float) -> float:
    """Period of the rate of fewest digits that fits as well: 1000 Hz, and not 1000.0000003.

    From the middle to the ends of so many seconds the two may drift apart by `drift` seconds.
    """
    for digits in range(1, 16):
        rounded = 1.0 / float(f"{1.0 / period:.{digits}g}")
        if 0.5 * seconds * abs(rounded / period - 1.0) <= drift:
            return rounded
    return period
