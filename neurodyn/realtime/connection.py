"""The source of a session: opened, read, lost and opened again. Whatever a source does, the session goes on."""

import math
from collections.abc import Callable

from neurodyn.errors import InputError
from neurodyn.realtime.events import EventKind, LogEvent
from neurodyn.realtime.streams.protocol import Chunk, EndOfStream, Source


class Connection:
    """A source that is opened again when it is lost.

    Parameters
    ----------
    open_source
        Connects to the data; called again when the source is lost.
    say
        Records an event.
    reopen_after
        Seconds between attempts to open a lost source.
    wall
        Seconds that pass.

    Attributes
    ----------
    ended
        Whether the source has said that nothing more comes.
    """

    def __init__(
        self, open_source: Callable[[], Source], say: LogEvent, *, reopen_after: float, wall: Callable[[], float]
    ) -> None:
        self._open, self._say, self._reopen_after, self._wall = open_source, say, reopen_after, wall
        self._source: Source | None = None
        self._next_attempt = -math.inf
        self._lost = ""  # why, until it has been opened again
        self.ended = False

    def open(self) -> bool:
        """Whether there is a source to read, which is opened if need be."""
        if self._source is not None:
            return True
        if self._wall() < self._next_attempt:
            return False
        try:
            self._source = self._open()
        except Exception as error:  # a source may be anybody's code; the next attempt comes
            self._lose(error)
            return False
        if self._lost:
            self._say(EventKind.SOURCE_RESTARTED, "", "opened again")
            self._lost = ""
        return True

    def read(self, timeout: float) -> list[Chunk]:
        """What has come, after waiting for it for so many seconds at most; nothing if the source fails."""
        if self._source is None:
            return []
        try:
            return self._source.read(timeout)
        except EndOfStream:
            self.ended = True
        except InputError as error:
            self._say(EventKind.BAD_INPUT, "", str(error))
        except Exception as error:  # as above, and the session outlives it
            self._lose(error)
        return []

    def close(self) -> None:
        """Close the source, if it is open."""
        source, self._source = self._source, None
        try:
            if source is not None:
                source.close()
        except Exception as error:  # it is lost in any case
            self._say(EventKind.SOURCE_LOST, "", f"while closing: {error}")

    def _lose(self, error: Exception) -> None:
        """Close a source that fails, and say so once, however often it cannot be opened."""
        self._next_attempt = self._wall() + self._reopen_after
        self.close()
        if not self._lost:
            self._lost = f"{type(error).__name__}: {error}"
            self._say(EventKind.SOURCE_LOST, "", self._lost)
