"""What a session does with an estimate: every sink gets it, it is counted, and what is wrong with it is told once."""

import time
from collections.abc import Sequence

from neurodyn.realtime.events import Kind, Say
from neurodyn.realtime.monitor import Monitor
from neurodyn.realtime.runner import LiveEstimate
from neurodyn.realtime.writers import SinkWriter


class Delivery:
    """Hands estimates over.

    Parameters
    ----------
    sinks
        Get every estimate.
    monitor
        Counts them.
    say
        Records an event.
    tolerance
        Seconds after the end of its bin from which an estimate counts as missed.
    """

    def __init__(self, sinks: Sequence[SinkWriter], monitor: Monitor, say: Say, *, tolerance: float) -> None:
        self._sinks, self._monitor, self._say, self._tolerance = tuple(sinks), monitor, say, tolerance
        self._late = False  # whether the last estimate was
        self._unusual: tuple[str, ...] = ()  # modalities of which it left values out

    def hand_over(self, estimate: LiveEstimate, late: float, since: float) -> None:
        """Give an estimate to every sink, and count it.

        Parameters
        ----------
        estimate
            Of a bin.
        late
            Seconds since the end of the bin.
        since
            When its data came, seconds of ``time.perf_counter``.
        """
        for sink in self._sinks:
            sink.put(estimate)
        missed = late > self._tolerance
        if missed and not self._late:
            self._say(Kind.MISSED_DEADLINE, "", f"the bin of {estimate.time:g} s was decoded {late:.3g} s late")
        self._late = missed
        if estimate.unusual != self._unusual:
            self._tell_unusual(estimate)
        self._monitor.dropped = sum(sink.dropped for sink in self._sinks)
        self._monitor.add(estimate, 1e6 * (time.perf_counter() - since), missed=missed)

    def close(self) -> None:
        """Let the sinks write what they have, and close them."""
        for sink in self._sinks:
            sink.close()

    def _tell_unusual(self, estimate: LiveEstimate) -> None:
        """Say it for the first of several bins in a row."""
        for name in set(estimate.unusual) - set(self._unusual):
            text = f"values far beyond those of the training data are missing, from the bin of {estimate.time:g} s on"
            self._say(Kind.UNUSUAL, name, text)
        self._unusual = estimate.unusual
