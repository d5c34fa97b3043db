"""The process that :mod:`neurodyn.benchmarks.realtime` times a decoder in; reads and writes files in a folder."""

import gc
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from neurodyn.realtime import LatencyHistogram, RealtimeDecoder
from neurodyn.writing import write_text

LONG, LONG_NOTHING, LONG_PRODUCT = "long run", "nothing, in between", "a product of NumPy, in between"
"""What a long run measures."""
WARM_UP = 2000
"""Bins before anything is timed: filters settle, and the tables of gains fill."""
BEFORE = 0.0005
"""Seconds before the end of a bin that the decoder's weights are touched."""
EVERY_LONG = 16
"""Steps of a long run between two looks at what its baselines take."""
SIDE = 384
"""Rows and columns of the matrix that one of them multiplies a vector by."""
LOOKS = 10
"""Parts of a long run after which memory is looked at."""
CYCLE = 997
"""Different bins of data, used over and over."""


def main(folder: Path) -> None:
    """Time the decoder of ``decoder.npz`` as ``session.json`` says, and write ``result.json``."""
    session = json.loads((folder / "session.json").read_text())
    core = pin(session["core"])
    live = RealtimeDecoder.load(folder / "decoder.npz")
    data = Data(session)
    for k in range(WARM_UP):
        live.step(data.bin(k), 0.0)
        live.prepare()
    # What exists now stays for good: the garbage collector need not look at it again and again.
    gc.collect()
    gc.freeze()
    bins = round(60 * session["minutes"] / session["width"])
    found: dict[str, Any] = {**paced(live, data, session["width"], session["poll"], bins)}
    complete = Data({**session, "missing": 0.0})
    found["step flat out, nothing lost"] = flat_out(live, complete, session["steps"])
    found["the same with rates read"] = flat_out(live, complete, session["steps"], rates=True)
    found["step flat out"] = flat_out(live, data, session["steps"], ahead=True)
    found["step and gains flat out"] = flat_out(live, data, session["steps"])
    if session["long"]:
        found |= endured(live, complete, session["long"])
    found["no-op"]["core"] = core
    write_text(folder / "result.json", json.dumps(found))


class Data:
    """Bins of random observations.

    Parameters
    ----------
    session
        Settings by name.
    """

    def __init__(self, session: dict[str, Any]) -> None:
        rng = np.random.default_rng(session["seed"])
        self._spikes = rng.poisson(0.3, (CYCLE, session["spikes"])).astype(np.float32)
        self._field = rng.normal(size=(CYCLE, session["field"])).astype(np.float32)
        self._every = session["every"]
        # Longer than the data: what is missing does not come back in the same order.
        self._lost = rng.random((1_000_003, 2)) < session["missing"]

    def bin(self, k: int) -> dict[str, np.ndarray | None]:
        """Observations of bin k."""
        lost_spikes, lost_field = self._lost[k % len(self._lost)]
        field = None if k % self._every != self._every - 1 or lost_field else self._field[k % CYCLE]
        return {"spikes": None if lost_spikes else self._spikes[k % CYCLE], "field": field}


def paced(live: RealtimeDecoder, data: Data, width: float, poll: float, bins: int) -> dict[str, dict[str, float]]:
    """One step at the end of each bin, as if data had come then; half a bin later a wake-up that does nothing.

    Between them the process sleeps. The decoder works ahead right after a step, and once more shortly before the next
    bin: a rig does so when its source has nothing to read. One that polls its source does not sleep after that.
    """
    steps, late, idle = (LatencyHistogram() for _ in range(3))
    missed = hiccups = 0
    start = resident()
    first = time.perf_counter() + 10 * width
    for k in range(bins):
        due = first + k * width
        sleep_until(due, poll)
        estimate = live.step(data.bin(k), due)
        steps.add(estimate.microseconds)
        late.add(1e6 * (estimate.time_out - due))
        missed += estimate.time_out - due > width
        live.prepare()
        sleep_until(due + width / 2)
        woken = time.perf_counter() - due - width / 2
        idle.add(1e6 * woken)
        hiccups += woken > width
        sleep_until(due + width - max(BEFORE, poll))
        live.prepare()
    memory = {"start": float(start), "end": float(resident())}
    done = {**summary(late), "missed deadlines": missed, "bins": bins}
    return {
        "memory": memory,
        "no-op": {**summary(idle), "missed deadlines": hiccups, "bins": bins},
        "step at bin rate": {**summary(steps), "missed deadlines": missed, "bins": bins},
        "from the bin's end to the estimate": done,
    }


def flat_out(
    live: RealtimeDecoder, data: Data, bins: int, *, ahead: bool = False, rates: bool = False
) -> dict[str, float]:
    """Steps one after the other.

    Parameters
    ----------
    live, data, bins
        What to decode.
    ahead
        Work out gains between steps, outside of what is timed as a step.
    rates
        Read the rates of every bin.
    """
    times, before, begin = LatencyHistogram(), resident(), time.perf_counter()
    for k in range(bins):
        start = time.perf_counter()
        estimate = live.step(data.bin(k), 0.0)
        if rates:
            len(estimate.rates)
        times.add(1e6 * (time.perf_counter() - start))
        if ahead:
            live.prepare()
    per_second = bins / (time.perf_counter() - begin)
    return {**summary(times), "bins per second": per_second, "grown MB": (resident() - before) / 1e6}


def endured(live: RealtimeDecoder, data: Data, bins: int) -> dict[str, dict[str, float]]:
    """A long run of steps flat out, and in between what nothing and a product of NumPy take on the same core.

    Parameters
    ----------
    live, data, bins
        What to decode.
    """
    times = {name: LatencyHistogram() for name in (LONG, LONG_NOTHING, LONG_PRODUCT)}
    matrix, vector = np.full((SIDE, SIDE), 1e-3, np.float32), np.ones(SIDE, np.float32)
    clock, before, most, begin = time.perf_counter, resident(), 0, time.perf_counter()
    for k in range(bins):
        given = data.bin(k)
        start = clock()
        live.step(given, 0.0)
        times[LONG].add(1e6 * (clock() - start))
        if k % EVERY_LONG == 0:
            start = clock()
            times[LONG_NOTHING].add(1e6 * (clock() - start))
            start = clock()
            np.dot(matrix, vector)
            times[LONG_PRODUCT].add(1e6 * (clock() - start))
        if (k + 1) % max(bins // LOOKS, 1) == 0:
            most = max(most, resident())
    found: dict[str, dict[str, float]] = {name: summary(histogram) for name, histogram in times.items()}
    found[LONG] |= {"steps": bins, "bins per second": bins / (clock() - begin), "grown MB": (most - before) / 1e6}
    return found


def sleep_until(moment: float, poll: float = 0.0) -> None:
    """Give the core away until so many seconds before a moment, and wait for it awake."""
    remaining = moment - poll - time.perf_counter()
    if remaining > 0:
        time.sleep(remaining)
    while time.perf_counter() < moment:
        pass


def summary(times: LatencyHistogram) -> dict[str, float]:
    """Percentiles in microseconds, from the histogram that a session has: its memory does not grow with the steps."""
    names = {"p25": 25.0, "p50": 50.0, "p75": 75.0, "p95": 95.0, "p99": 99.0, "p99.9": 99.9}
    return {**{name: times.percentile(share) for name, share in names.items()}, "max": times.worst}


def pin(core: int) -> int:
    """Stay on one core, if the system lets a process choose; returns which, or -1."""
    if not hasattr(os, "sched_setaffinity"):
        return -1
    chosen = max(os.sched_getaffinity(0)) if core < 0 else core
    os.sched_setaffinity(0, {chosen})
    return chosen


def resident() -> int:
    """Bytes of memory in use; the most ever used where the system does not tell more."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main(Path(sys.argv[1]))
