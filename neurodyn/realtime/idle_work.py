"""What a session does while it waits for data: how long it waits, and the work that it does ahead of the next bin."""

import math

from neurodyn.realtime.decoder import RealtimeDecoder
from neurodyn.realtime.garbage import Sweeper

SHORTEST_SLEEP = 0.001
"""Seconds; sources count them in milliseconds."""


class IdleWork:
    """Precompute the next bin's gains and warm the cache while waiting for data.

    Parameters
    ----------
    decoder
        That is prepared.
    sweeper
        Collects what Python has left over, when there is time.
    poll
        Longest wait for data, seconds.
    before
        Seconds before the end of a bin at which a step is rehearsed; 0 for never.
    """

    def __init__(self, decoder: RealtimeDecoder, sweeper: Sweeper, *, poll: float, before: float) -> None:
        self._decoder, self._sweeper, self._poll, self._before = decoder, sweeper, poll, before
        self._behind = False  # whether the next bin has still to be prepared
        self._rehearsed = math.nan  # end of the bin that has been rehearsed

    def bins_decoded(self, number: int) -> None:
        """The next bin has to be prepared if any were decoded."""
        self._behind |= number > 0

    def wait_time(self, end: float | None, now: float) -> float:
        """How long to wait for data now, seconds; shortly before they are expected, rehearse.

        It sleeps after that, too. A loop that waits awake for so short a time gains nothing where cores are few: the
        threads that bring the data are put on its core, and wait for it.

        Parameters
        ----------
        end
            Of the bin that is open, seconds; None before the first.
        now
            Time of the data, seconds.
        """
        if self._behind:
            return SHORTEST_SLEEP
        if not self._before or end is None or self._rehearsed == end:
            return self._poll
        left = end - now
        if left - self._before >= SHORTEST_SLEEP:
            return min(self._poll, left - self._before)
        if left > 0:
            self._rehearsed = end
            self._decoder.prepare()
        return self._poll

    def work_ahead(self) -> None:
        """Prepare for the next bin, while there is nothing to read.

        Not straight after an estimate was handed over: work at once would take the core from the threads that send it,
        and cost more time there than it saves here.
        """
        if not self._behind:
            return
        self._behind = False
        self._decoder.prepare()
        self._sweeper.sweep()
