"""What a session does with an estimate: every sink gets it, it is counted, and what is wrong with it is logged once."""

import time
from collections.abc import Callable, Sequence

from neurodyn.realtime.events import EventKind, LogEvent
from neurodyn.realtime.monitor import Monitor
from neurodyn.realtime.runner import LiveEstimate, Runner
from neurodyn.realtime.streams.hello import Hello
from neurodyn.realtime.writers import SinkWriter


class EstimateDispatch:
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
        Seconds after the end of its bin that an estimate has to be handed over in: its deadline.
    runner
        Returns the runner that decodes now: sinks get a hello with its channels and units at first and after every
        change of the model. None sends no hello.
    """

    def __init__(
        self,
        sinks: Sequence[SinkWriter],
        monitor: Monitor,
        say: LogEvent,
        *,
        tolerance: float,
        runner: Callable[[], Runner] | None = None,
    ) -> None:
        self._sinks, self._monitor, self._say, self._tolerance = tuple(sinks), monitor, say, tolerance
        self._runner = runner
        self._told: Runner | None = None  # of which the sinks know
        self._late = False  # whether the last estimate was
        self._unusual: tuple[str, ...] = ()  # modalities of which it left values out

    def greet(self) -> None:
        """Send every sink a hello if the model that decodes has changed since the last one."""
        if self._runner is None or (runner := self._runner()) is self._told:
            return
        self._told, hello = runner, Hello.of(runner)
        for sink in self._sinks:
            sink.greet(hello)

    def hand_over(
        self, estimate: LiveEstimate, now: Callable[[], float], *, wait: float, in_hand: float, binned: float
    ) -> None:
        """Give an estimate to every sink, and count it and the time it took.

        Parameters
        ----------
        estimate
            Of a bin, just decoded.
        now
            Tells the present on the clock of the data, seconds.
        wait
            Seconds from the end of the bin to when its data were in hand.
        in_hand, binned
            When they were, and when its step began, seconds of ``time.perf_counter``.
        """
        stepped = time.perf_counter()
        self.greet()
        for sink in self._sinks:
            sink.put(estimate)
        handed_over = time.perf_counter()
        late = now() - estimate.time
        missed = late > self._tolerance
        if missed and not self._late:
            self._say(
                EventKind.MISSED_DEADLINE, "", f"the estimate of {estimate.time:g} s came {late:.3g} s after its bin"
            )
        self._late = missed
        if estimate.unusual != self._unusual:
            self._tell_unusual(estimate)
        self._monitor.dropped = sum(sink.dropped for sink in self._sinks)
        self._monitor.add(
            estimate, wait=wait, binning=binned - in_hand, step=stepped - binned, hand_over=handed_over - stepped,
            missed=missed,
        )  # fmt: skip

    def close(self) -> None:
        """Let the sinks write what they have, and close them."""
        for sink in self._sinks:
            sink.close()

    def _tell_unusual(self, estimate: LiveEstimate) -> None:
        """Log values that were left out, for the first of several bins in a row."""
        for name in set(estimate.unusual) - set(self._unusual):
            text = f"values far beyond those of the training data are missing, from the bin of {estimate.time:g} s on"
            self._say(EventKind.UNUSUAL, name, text)
        self._unusual = estimate.unusual
