"""What it costs to bin data as they arrive: spikes of two senders that interleave, and band powers.

Seconds of computing per second of data, of this thread alone: chunks are pushed as fast as they are taken. Baselines
are the same spikes from one sender, in order, and SciPy's band-pass filters on the same chunks, nothing around them.
"""

import time
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import scipy

from neurodyn.benchmarks.timing import Measurement, outcome
from neurodyn.binning import BandPower
from neurodyn.realtime import FieldInput, SpikeInput, StreamingBinner

AGREED_SHARE = 0.15
"""Share of a core that two senders of spikes may take."""
TIMES_REAL_TIME = 10.0
"""How much faster than the data come band powers are to be made."""
ONE, TWO = "spikes of one sender, in order", "spikes of two senders that interleave"
FILTERS, POWERS = "SciPy's band-pass filters alone", "band powers"


def spikes(
    units: int, rate: float, *, seconds: float, width: float, chunk: float, seed: int
) -> tuple[Measurement, ...]:
    """Time the binning of spikes that come from one sender, and from two with half of the units each.

    Parameters
    ----------
    units, rate
        Units, and spikes per second of all of them.
    seconds, width, chunk
        Of data, of a bin, of a chunk.
    seed
        Of the spikes.
    """
    rng = np.random.default_rng(seed)
    times = np.sort(rng.uniform(0.0, seconds, round(rate * seconds)))
    numbers = rng.integers(0, units, len(times))
    ends = chunk * np.arange(1, round(seconds / chunk) + 1)
    parts = [slice(a, b) for a, b in pairwise(np.searchsorted(times, [0.0, *ends]).tolist())]

    def sent(senders: int) -> Callable[[], None]:
        masks = [numbers * senders // units == sender for sender in range(senders)]
        chunks = [[(times[p][m[p]], numbers[p][m[p]]) for m in masks] for p in parts]

        def play() -> None:
            binner = StreamingBinner([SpikeInput("spikes", units)], width, start=0.0, patience=width)
            for end, pieces in zip(ends.tolist(), chunks, strict=True):
                binner.tell_time(end)
                for piece in pieces:
                    binner.push_spikes("spikes", *piece, until=end)
                binner.ready(end)

        return play

    sizes = {"units": units, "spikes_per_s": rate, "chunk_ms": 1e3 * chunk}
    one, two = (_spent(sent(senders)) / seconds for senders in (1, 2))
    return (
        Measurement(ONE, dict(sizes), one, notes={"of a core": one}),
        Measurement(TWO, dict(sizes), two, baseline=ONE, ratio=one / two, notes={"of a core": two}),
    )


def band_powers(
    channels: int, rate: float, *, seconds: float, width: float, every: int, chunk: float, seed: int
) -> tuple[Measurement, ...]:
    """Time the usual band powers of a field, from samples to features.

    Parameters
    ----------
    channels, rate
        Of the field; samples per second.
    seconds, width, chunk
        Of data, of a bin, of a chunk.
    every
        Bins per feature.
    seed
        Of the samples.
    """
    power, samples = BandPower(), max(1, round(rate * chunk))
    values = np.random.default_rng(seed).normal(size=(samples, channels))
    count = round(seconds / chunk)

    def ours() -> None:
        field = FieldInput("field", channels, rate, power, every * width)
        binner = StreamingBinner([field], width, start=0.0, patience=width)
        for number in range(count):
            now = (number + 1) * samples / rate
            binner.tell_time(now)
            binner.push_samples("field", values, (number * samples + np.arange(samples)) / rate)
            binner.ready(now)

    def filters() -> None:
        bands = [scipy.signal.butter(power.order, band, "bandpass", fs=rate, output="sos") for band in power.bands]
        states = [np.zeros((len(sos), channels, 2)) for sos in bands]
        turned = np.ascontiguousarray(values.T)
        for _ in range(count):
            for band, sos in enumerate(bands):
                _, states[band] = scipy.signal.sosfilt(sos, turned, axis=-1, zi=states[band])

    sizes = {"channels": channels, "hz": rate, "bands": len(power.bands), "chunk_ms": 1e3 * chunk}
    floor, whole = (_spent(call) / seconds for call in (filters, ours))
    return (
        Measurement(FILTERS, dict(sizes), floor, notes={"times real time": 1.0 / floor}),
        Measurement(
            POWERS, dict(sizes), whole, baseline=FILTERS, ratio=floor / whole, notes={"times real time": 1.0 / whole}
        ),
    )


def targets(rows: tuple[Measurement, ...]) -> dict[str, str]:
    """What is asked of the rows of `spikes` and `band_powers`, and whether it was reached."""
    named = {row.name: row for row in rows}
    share, speed = named[TWO].seconds, 1.0 / named[POWERS].seconds
    return {
        f"{TWO}: <= {100 * AGREED_SHARE:g} % of a core": outcome(share <= AGREED_SHARE, f"{100 * share:.1f} %"),
        f"{POWERS}: >= {TIMES_REAL_TIME:g} x real time": outcome(speed >= TIMES_REAL_TIME, f"{speed:.1f} x"),
    }


def _spent(call: Callable[[], None], repeats: int = 3) -> float:
    """Median seconds that this thread computes in a call; one before is not timed."""
    call()
    found = []
    for _ in range(repeats):
        begin = time.thread_time()
        call()
        found.append(time.thread_time() - begin)
    return float(np.median(found))
