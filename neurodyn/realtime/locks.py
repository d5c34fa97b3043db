"""One process at a time on a file that a session writes: locks that end with the process, however it ends."""

import os
import stat
from pathlib import Path
from typing import IO, Any

from neurodyn.errors import InputError

try:
    import fcntl
except ImportError:  # not POSIX: nothing is locked there
    fcntl: Any = None


def length_of(file: IO) -> int:
    """Where a file that is appended to ends; 0 for a pipe, which has no end."""
    return file.tell() if file.seekable() else 0


def lock(file: IO, path: str | os.PathLike[str]) -> None:
    """Take an open file for this process alone, until it is closed; pipes and terminals are for everyone.

    Raises
    ------
    InputError
        If another process has it.
    """
    if fcntl is None or not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise InputError(
            f"'{os.fspath(path)}' is in use by another session: give this one a file of its own"
        ) from error
    except OSError:  # a file system without locks
        return


def lock_beside(path: Path) -> IO | None:
    """Lock ``path.lock``, for a file that is replaced when it is written; None where no file can be made.

    Raises
    ------
    InputError
        If another process has it.
    """
    try:
        file = path.with_name(path.name + ".lock").open("a")
    except OSError:  # a folder that is not there: reported when it is written to
        return None
    try:
        lock(file, path)
    except InputError:
        file.close()
        raise
    return file
