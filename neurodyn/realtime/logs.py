"""Where events go beside memory: a file that never grows without bound, and a terminal that shows each kind once."""

import threading
from collections import Counter
from pathlib import Path
from typing import TextIO

from neurodyn.errors import InputError
from neurodyn.realtime.events import EventLog, LogFile
from neurodyn.realtime.locks import length_of, lock

LARGEST = 16 * 2**20
"""Bytes after which a log begins a new file; the one before is kept as ``FILE.1``."""
SUM_UP_EVERY = 30.0
"""Seconds between summaries of events that came again."""


class RotatedFile:
    """A text file for `EventLog`, of bounded size: at the limit it becomes ``FILE.1`` and a new one is begun.

    Parameters
    ----------
    path
        Of the file; one that is there is continued.
    largest
        Bytes.

    Raises
    ------
    InputError
        If it cannot be written, or another session writes it.
    """

    def __init__(self, path: Path, *, largest: int = LARGEST) -> None:
        self._path, self._largest = path, largest
        try:
            self._file = self._opened()
        except OSError as error:
            raise InputError(f"cannot write the log '{path}': {error.strerror or error}") from error
        self._size = length_of(self._file)

    def write(self, text: str) -> None:
        """Append a line.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        if self._size + len(text) > self._largest:
            self._begin_another()
        self._size += self._file.write(text)

    def flush(self) -> None:
        """Hand what is written to the system."""
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _begin_another(self) -> None:
        old = self._file
        self._path.replace(self._path.with_name(self._path.name + ".1"))
        try:
            self._file, self._size = self._opened(), 0
        except InputError as error:  # a session that began just now was faster
            raise OSError(str(error)) from error
        old.close()

    def _opened(self) -> TextIO:
        file = self._path.open("a", encoding="utf-8")
        try:
            lock(file, self._path)
        except InputError:
            file.close()
            raise
        return file


class Announcer:
    """Tells a stream of text of the first event of each kind and modality, and sums up those that come again.

    Parameters
    ----------
    log
        Watched from a thread.
    out
        Where lines go.
    period
        Seconds between looks.
    """

    def __init__(self, log: EventLog, out: LogFile, *, period: float = 0.5) -> None:
        self._log, self._out, self._period = log, out, period
        self._position = 0
        self._told: set[tuple[str, str]] = set()
        self._again: Counter[tuple[str, str]] = Counter()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="announcer", daemon=True)

    def __enter__(self) -> "Announcer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(2.0)
        self.look()
        self.sum_up()

    def _run(self) -> None:
        looks = 0
        while not self._stop.wait(self._period):
            self.look()
            looks += 1
            if looks * self._period >= SUM_UP_EVERY:
                looks = 0
                self.sum_up()

    def look(self) -> None:
        """Tell of what is new."""
        fresh, self._position = self._log.since(self._position)
        for event in fresh:
            key = str(event.kind), event.modality
            if key in self._told:
                self._again[key] += 1
                continue
            self._told.add(key)
            of = f"'{event.modality}' " if event.modality else ""
            self._print(f"{event.time:.3f} s: {of}{event.kind}: {event.detail}")

    def sum_up(self) -> None:
        """Tell how often what is known has come again."""
        if self._again:
            parts = [f"{kind}{f' {name!r}' if name else ''} {count}" for (kind, name), count in self._again.items()]
            self._again.clear()
            self._print(f"again: {', '.join(parts)}")

    def _print(self, text: str) -> None:
        try:
            print(f"neurodyn serve: {text}", file=self._out, flush=True)
        except (OSError, ValueError):  # nobody reads it any more
            self._stop.set()
