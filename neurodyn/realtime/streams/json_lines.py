"""Estimates as lines of a file."""

import os
from itertools import count
from pathlib import Path

from neurodyn.errors import InputError
from neurodyn.plain import strict_json
from neurodyn.realtime.locks import length_of, lock
from neurodyn.realtime.runner import LiveEstimate
from neurodyn.realtime.streams.hello import Hello
from neurodyn.realtime.streams.protocol import Chunk


class JsonLinesSink:
    """Estimates as one JSON object per line; the first of a session also says what they are of.

    Parameters
    ----------
    path
        Of the file.
    fresh
        Begin a new file instead of continuing one that is there, which is then kept as ``FILE.old``, or as
        ``FILE.old-2`` and so on where there is such a file already.

    Attributes
    ----------
    continued
        Whether the file had lines already.
    kept
        Where the file that was there is now, if a new one was begun; None if nothing was moved.

    Raises
    ------
    InputError
        If it cannot be written, or another process writes it.
    """

    def __init__(self, path: str | os.PathLike[str], *, fresh: bool = False) -> None:
        path = Path(path)
        self.kept: Path | None = None
        try:
            self._file = path.open("a", encoding="utf-8")
            lock(self._file, path)
            if fresh and length_of(self._file):
                self.kept = path.replace(_unused(path))
                self._file.close()
                self._file = path.open("a", encoding="utf-8")
                lock(self._file, path)
        except OSError as error:
            raise InputError(f"cannot write {path}: {error.strerror or error}") from error
        self.continued = length_of(self._file) > 0
        self._hello: Hello | None = None  # that has still to be written

    def greet(self, hello: Hello) -> None:
        """Have the next line say what it is of, under ``hello``: the first, and after a swap to another model."""
        self._hello = hello

    def write(self, item: LiveEstimate | Chunk) -> None:
        """Append an estimate.

        Raises
        ------
        InputError
            For a chunk: recordings are not written here.
        """
        if isinstance(item, Chunk):
            raise InputError("a file takes estimates only, not the chunks of a replay")
        kept = ("time", "target", "lower", "upper", "seen", "stale", "unusual")
        told = item.to_dict()
        line = {name: told[name] for name in kept}
        if self._hello is not None:  # in a line of an estimate, so that who reads estimates finds nothing else
            line["hello"], self._hello = self._hello.to_dict(), None
        self._file.write(strict_json(line) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _unused(path: Path) -> Path:
    """Name for an older file beside a new one, which no file has yet."""
    names = (f"{path.name}.old{'' if number == 1 else f'-{number}'}" for number in count(1))
    return next(free for free in map(path.with_name, names) if not os.path.lexists(free))
