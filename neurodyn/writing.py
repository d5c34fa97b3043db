"""How the package writes files: each is either wholly there or not at all.

Every writer goes through :func:`replace_atomically` (``tests/test_writing.py`` reads the code for it). The exception is
``realtime/runner.py``, which is copied to a rig as a single file and therefore brings its own.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from neurodyn.errors import InputError


@contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Say of a file that could not be written which one, and why.

    Raises
    ------
    InputError
        If the block ended with an error of the system.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split())
        raise InputError(f"cannot write '{os.fspath(path)}': {reason}") from error


@contextmanager
def replace_atomically(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give the name of a temporary file to write, which replaces ``path`` once the block has ended without an error.

    The temporary file lies in the same folder, because a rename is atomic only within one file system, and keeps the
    ending, because some libraries choose the format by it. It is flushed to the disk before the rename: otherwise a
    power failure could leave the new name with an empty file. After an error, or a kill, the previous file is
    untouched; after an error the temporary file is removed too.

    Parameters
    ----------
    path
        File to write; one that is there is replaced.

    Yields
    ------
    Path of the temporary file, which the block has to create.

    Raises
    ------
    InputError
        If the file cannot be written: no such folder, no permission, no space left.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "numbers.csv"
    >>> with replace_atomically(path) as temporary:
    ...     _ = temporary.write_text("1,2")
    >>> path.read_text()
    '1,2'
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp{path.suffix}")
    try:
        with writing(path):
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file in UTF-8, atomically.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    with replace_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write bytes, atomically.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    with replace_atomically(path) as temporary:
        temporary.write_bytes(content)
