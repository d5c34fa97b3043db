"""Markers that come with the data, such as the start of a trial or a cue, and the commands that are among them.

Every marker is an event of the session, and stands in its log and its record. One on the stream of commands is done:

``reset``          forget everything seen, as at the first bin of a session
``pause``          decode nothing until ``resume``, which begins anew
``resume``         go on
``swap NAME``      decode with another of the models that the session was started with
``revert``         go back to the read-out and the intervals of training, which truths have moved

What a marker says is done before the first bin that begins at its time or later and has not been decoded: one that
comes later than the patience of the session is late by as much. Of two commands the one with the later time counts.
"""

import math
from collections import deque
from collections.abc import Callable, Collection, Mapping

from neurodyn.errors import InputError, unknown_name
from neurodyn.realtime.decoder import RealtimeDecoder
from neurodyn.realtime.events import EventKind
from neurodyn.realtime.runner import Runner
from neurodyn.realtime.streams.protocol import Chunk
from neurodyn.recording.edges import slack

CONTROL = "control"
"""Name of the stream of commands."""
LONGEST = 1000
"""Letters of a text that are kept."""
FARTHEST = 30.0
"""Seconds in the future beyond which a command has a wrong time and is not done."""
MOST_WAITING = 1000
"""Commands that wait for their bin before the oldest is forgotten."""

LogEventAt = Callable[[float, EventKind, str, str], object]
"""Takes the time of an event in seconds, its kind, the stream and what happened."""


class Markers:
    """Takes markers and does what they say.

    Parameters
    ----------
    decoder
        That is reset, or given another model.
    say
        Records an event.
    control
        Name of the stream whose markers are commands.
    reset_on
        Markers of any stream that reset the decoder, such as the one at the start of each trial.
    models
        Models to change to, by name, as ``decoder.ready(model)`` makes them.

    Attributes
    ----------
    paused
        Whether bins are to be left undecoded.
    """

    def __init__(
        self,
        decoder: RealtimeDecoder,
        say: LogEventAt,
        *,
        control: str = CONTROL,
        reset_on: Collection[str] = (),
        models: Mapping[str, Runner] | None = None,
    ) -> None:
        self._decoder, self._say, self._control = decoder, say, control
        self._reset_on, self._models = frozenset(reset_on), dict(models or {})
        self._waiting: deque[tuple[float, str]] = deque(maxlen=MOST_WAITING)
        self._done = -math.inf  # time of the latest command that was done
        self.paused = False

    @property
    def models(self) -> tuple[Runner, ...]:
        """Those that the decoder may be changed to."""
        return tuple(self._models.values())

    def take(self, chunk: Chunk, now: float) -> None:
        """Keep what a chunk of markers says until its bin.

        Parameters
        ----------
        chunk
            Of any kind.
        now
            The present in seconds, NaN before any data.
        """
        for time, text in chunk.markers():
            text = text[:LONGEST]
            if not math.isfinite(time):
                self._say(0.0 if math.isnan(now) else now, EventKind.BAD_INPUT, chunk.name, f"'{text}' has no time")
                continue
            self._say(time, EventKind.MARKER, chunk.name, text)
            command = "reset" if text in self._reset_on else text if chunk.name == self._control else ""
            if command and time > now + FARTHEST:
                detail = f"'{text}' of {time:g} s is not done: that is {time - now:.3g} s ahead"
                self._say(now, EventKind.BAD_STAMP, chunk.name, detail)
            elif command:
                self._keep(time, command)

    def run_commands_until(self, begin: float) -> None:
        """Do all that is due before a bin that begins at a time, seconds."""
        if not self._waiting:
            return
        due = [one for one in self._waiting if one[0] <= begin + slack(begin)]
        for one in sorted(due, key=lambda one: one[0]):
            self._waiting.remove(one)
            self._do(*one)

    def _keep(self, time: float, text: str) -> None:
        word, _, name = text.strip().partition(" ")
        try:
            if word not in ("reset", "pause", "resume", "swap", "revert"):
                raise unknown_name("command", text, ("reset", "pause", "resume", "revert", "swap NAME"))
            if word == "swap" and name.strip() not in self._models:
                raise unknown_name("model", name.strip(), self._models)
        except InputError as error:
            self._say(time, EventKind.BAD_INPUT, self._control, str(error))
            return
        self._waiting.append((time, text.strip()))

    def _do(self, time: float, text: str) -> None:
        word, _, name = text.partition(" ")
        if time < self._done:
            detail = f"'{text}' of {time:g} s is not done: a command of {self._done:g} s has been done already"
            self._say(time, EventKind.LATE_COMMAND, self._control, detail)
            return
        self._done = time
        if word == "swap":
            self._decoder.swap(self._models[name.strip()])
        elif word == "revert":
            self._decoder.forget_truths()
        elif word == "pause":
            self.paused = True
        elif word == "reset" or self.paused:
            self._decoder.reset()
            self.paused = self.paused and word != "resume"
        self._say(time, EventKind.CONTROL, self._control, text)
