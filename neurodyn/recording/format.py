"""What a file format is, and how it is recognised: a row of the table in ``files.py``, which imports both from here."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurodyn.recording.recording import Recording


@dataclass(frozen=True)
class Content:
    """What a format is recognised by.

    Parameters
    ----------
    path
        Of the file or folder.
    head
        The first 128 bytes; none of a folder.
    hdf5
        The open file, if it is HDF5.
    """

    path: Path
    head: bytes = b""
    hdf5: Any = None


@dataclass(frozen=True)
class Format:
    """One format that says itself what it holds.

    Parameters
    ----------
    name
        As help and errors call it.
    recognises
        Whether a file or folder is of this format.
    read
        From the path, with the arguments ``skip``, ``lazy``, ``repeated`` and ``strict`` of `read_recording`, to the
        recording.
    write
        From a recording and a path to the file, which is read again to compare; None: it is not written.
    endings
        Of file names that ask for it to be written.
    variables
        From the path to the variables of a file that needs a layout, None of one that says itself what is what; its
        reader takes a layout. None for formats that never need one.
    folder
        Whether it is a folder and not a file.
    in_hdf5
        What the error for an HDF5 file of no known format calls those of this format; empty: they are not HDF5 files.
    """

    name: str
    recognises: Callable[[Content], bool]
    read: Callable[..., Recording]
    write: Callable[[Recording, Path], Path] | None = None
    endings: tuple[str, ...] = ()
    variables: Callable[[Path], dict[str, Any] | None] | None = None
    folder: bool = False
    in_hdf5: str = ""
