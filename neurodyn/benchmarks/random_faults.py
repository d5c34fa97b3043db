"""Everything that can go wrong in a session, one after another at random, for as long as is wanted."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from neurodyn.benchmarks.disturbances import Disturbance, Sizes, disturbances
from neurodyn.benchmarks.rig import Fault
from neurodyn.binning.modality import Modality
from neurodyn.realtime import Event, LiveEstimate, RealtimeDecoder
from neurodyn.realtime.runner import NORMAL_95
from neurodyn.realtime.streams import Chunk

LEAST, MOST = 3.0, 20.0
"""Seconds of peace after a disturbance."""
FIRST = 10.0
"""Seconds of peace at the start, and at the end."""
OPEN = 0.1
"""Seconds that a bin may wait for its data, chunk and patience together."""
TOLD = 2.0
"""Seconds within which what a session misses has to be told in its log."""

Course = list[tuple[float, Disturbance]]
"""When each disturbance begins, in seconds after the begin of the replay."""


def at_random(modalities: Sequence[Modality], decoder: RealtimeDecoder, sizes: Sizes) -> Course:
    """Disturbances drawn one after another, with pauses drawn between them.

    All clocks that jump together are not among them: after them the same moments have other times.

    Parameters
    ----------
    modalities, decoder
        Whose streams are disturbed.
    sizes
        How long the session lasts, and the seed.
    """
    rng, found = np.random.default_rng(sizes.seed), Course()
    begin = FIRST
    while begin < sizes.seconds - FIRST:
        seed = int(rng.integers(2**31))
        each = disturbances(modalities, decoder, replace(sizes, begin=begin, seed=seed))
        each = [one for one in each if one.name != "all clocks jump"]
        found.append((begin, each[rng.integers(len(each))]))
        begin += found[-1][1].seconds + rng.uniform(LEAST, MOST)
    return found


def in_turn(course: Course) -> Fault:
    """All disturbances of a course, each in its time."""
    waiting, active = list(course)[::-1], list[tuple[float, Disturbance]]()

    def fault(chunks: list[Chunk], played: float) -> list[Chunk]:
        while waiting and waiting[-1][0] <= played:
            active.append(waiting.pop())
        for begin, one in list(active):
            chunks = one.fault(chunks, played)
            if played > begin + one.seconds + 1.0:  # what it held has been let go
                active.remove((begin, one))
        return chunks

    return fault


def compare_sessions(
    whole: Sequence[LiveEstimate], found: Sequence[LiveEstimate], course: Course, events: Sequence[Event], start: float
) -> dict[str, float | str]:
    """How the disturbed session differs from the undisturbed one.

    Parameters
    ----------
    whole, found
        Estimates of both.
    course
        What disturbed it.
    events
        Of its log.
    start
        When the replay begins, seconds.

    Returns
    -------
    dict
        How many ``disturbances`` there were; bins that were not handed out (``lost``); bins that had not seen what the
        undisturbed session saw, and of which no event tells within two seconds (``silent``); the largest difference of
        the target in the estimate's own deviations in bins with a flag (``flagged``) and without (``unflagged``), and
        how many of those differ by more than three (``beyond``); the longest time after a disturbance until the last
        bin that differs by more than one, before the next begins (``recovery_s``); after which disturbance these two
        largest came (``worst``, ``slowest``).
    """
    by_time = {round(1e3 * estimate.time): estimate for estimate in found}
    told = np.sort([event.time for event in events])
    pairs = [(expected, by_time.get(round(1e3 * expected.time))) for expected in whole]
    away = np.array([np.nan if got is None else _away(expected, got) for expected, got in pairs])
    unseen = np.array([got is not None and bool(set(e.seen) - set(got.seen)) for e, got in pairs])
    flagged = unseen | np.array([got is not None and bool(got.stale or got.unusual) for _, got in pairs])
    times = np.array([expected.time for expected in whole])
    heard = np.searchsorted(told, times + TOLD) > np.searchsorted(told, times - TOLD)
    known = np.isfinite(away)
    unflagged = np.where(known & ~flagged, away, -np.inf)
    recovery = _recoveries(times, away, course, start)
    return {
        "disturbances": float(len(course)),
        "flagged": float(away[known & flagged].max(initial=0.0)),
        "unflagged": float(unflagged.max(initial=0.0)),
        "beyond": float(np.count_nonzero(unflagged > 3.0)),
        "worst": _cause(float(times[np.argmax(unflagged)]) - start, course),
        "recovery_s": max(recovery),
        "slowest": _titled(course[int(np.argmax(recovery))][1]),
        "lost": float(np.count_nonzero(~known)),
        "silent": float(np.count_nonzero(unseen & ~heard)),
        "told": f"{len(events)} events",
    }


def _away(expected: LiveEstimate, got: LiveEstimate) -> float:
    half = np.maximum(got.upper - got.target, 1e-12)
    return NORMAL_95 * float(np.max(np.abs(got.target - expected.target) / half))


def _recoveries(times: np.ndarray, away: np.ndarray, course: Course, start: float) -> list[float]:
    """Seconds after each disturbance until the last bin that differs by more than one, before the next begins.

    A bin that still waits for data when the next begins is the next one's.
    """
    ends = [begin + one.seconds + start for begin, one in course]
    until = [*(begin + start - OPEN for begin, _ in course[1:]), np.inf]
    found = []
    for end, stop in zip(ends, until, strict=True):
        late = times[(times > end) & (times < stop) & (away > 1.0)]
        found.append(float(late.max() - end) if len(late) else 0.0)
    return found


def _cause(time: float, course: Course) -> str:
    """The last disturbance that had begun."""
    begun = [one for begin, one in course if begin <= time]
    return _titled(begun[-1]) if begun else "none"


def _titled(one: Disturbance) -> str:
    return f"{one.name}, {one.size}"
