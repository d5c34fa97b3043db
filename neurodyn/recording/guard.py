"""Open HDF5 files of unknown origin: nothing outside the file is touched, and no more memory is used than it can fill.

A file can point elsewhere (external links, external or virtual datasets) and can declare arrays far larger than what it
holds.  Both are refused before anything is read.
"""

import mmap
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from neurodyn.errors import InputError

MAX_BYTES = 8 * 2**30
"""Largest array that is read into memory at once."""
MAX_SCANNED = 2 * 2**30
"""Largest file whose heaps are looked through before the HDF5 library sees them."""
_HEAP = b"GCOL\x01\0\0\0"
MAX_LINKS = 200_000
"""Most names that are looked through in one file."""
MOST_COMPRESSED = 1100
"""Bytes that one stored byte may become: deflate reaches 1032."""
SHORTEST_CHECK, SLOWEST_DISK = 20.0, 20e6
"""Seconds that a file whose writer was killed may take to be read, and bytes per second on top of them."""
FREE_BYTES = 2**20
"""Arrays up to this size need no bytes in the file."""


def one_line(error: Exception) -> str:
    """Message of an error without its line breaks."""
    return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def open_hdf5(path: Path) -> Iterator[Any]:
    """File opened for reading, with its links checked.

    Raises
    ------
    InputError
        If it is missing, no HDF5 or damaged, or points outside itself; also when HDF5 fails while it is open.
    """

    if path.is_dir():
        raise InputError(f"'{path}' is a directory: give a file")
    if not path.exists():
        raise InputError(f"there is no file '{path}'")
    try:
        check_heaps(path)
        with _opened(path) as file:
            check_links(file, path)
            yield file
    # What h5py raises for a damaged file: KeyError, ValueError, RuntimeError, and SystemError out of its callbacks.
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError, MemoryError, SystemError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"cannot read '{path}', is it damaged? HDF5 says: {one_line(error)}") from error


def _opened(path: Path) -> Any:
    """The file; one that is written in SWMR mode, or whose writer was killed, up to what was last flushed."""
    import h5py

    try:
        return h5py.File(path, "r")
    except OSError as error:
        if "h5clear" not in str(error):
            raise
        _check_ends(path)
        return h5py.File(path, "r", swmr=True)


_READ_ALL = """
import sys, h5py
def read(name, item):
    if isinstance(item, h5py.Dataset) and item.ndim and not item.is_virtual and not item.external:
        rows = max(1, 2**26 // max(1, item.dtype.itemsize * item.size // max(1, len(item))))
        for first in range(0, len(item), rows):
            item[first : first + rows]
with h5py.File(sys.argv[1], "r", swmr=True) as file:
    file.visititems(read)
"""


def _check_ends(path: Path) -> None:
    """Refuse a file whose reading in SWMR mode does not come to an end: there HDF5 waits for what is damaged to mend.

    Only another process can be stopped from waiting.

    Raises
    ------
    InputError
        If it takes longer than a slow disk would.
    """
    limit = SHORTEST_CHECK + path.stat().st_size / SLOWEST_DISK
    command = [sys.executable, "-c", _READ_ALL, str(path.absolute())]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired as error:
        raise InputError(f"'{path}' is damaged: it could not be read within {limit:.0f} s") from error
    if done.returncode:
        why = (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1]
        raise InputError(f"cannot read '{path}', is it damaged? HDF5 says: {why}")


def check_heaps(path: Path) -> None:
    """Refuse a file whose heap of texts is damaged so that the HDF5 library would never come to its end.

    A heap ("GCOL", version 1, its size) is a row of objects: number, count, size, data. The library goes on by the size
    of number 0, the free space, even where that is 0. Files of more than `MAX_SCANNED` are not looked through.

    Raises
    ------
    InputError
        If there is such a heap.

    Reference: HDF5 file format specification, version 3, section III.E.
    """
    size = path.stat().st_size
    if not 0 < size <= MAX_SCANNED:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        begin = content.find(_HEAP)
        while begin >= 0:
            (length,) = struct.unpack_from("<Q", content[begin + 8 : begin + 16].ljust(8, b"\0"))
            _check_heap(content, begin + 16, min(begin + length, size), path)
            begin = content.find(_HEAP, begin + 8)


def _check_heap(content: mmap.mmap, place: int, stop: int, path: Path) -> None:
    while place + 16 <= stop:
        number, length = struct.unpack("<H6xQ", content[place : place + 16])
        if number == 0 and length < 16:
            raise InputError(f"'{path}' is damaged: a heap of its texts has an object without a size")
        place += length if number == 0 else 16 + length + -length % 8


def check_links(file: Any, path: Path) -> None:
    """Refuse a file with links to other files, or with absurdly many of any kind.

    Raises
    ------
    InputError
        That names the first such link.
    """
    import h5py

    seen: list[str] = []

    def look(name: str, link: Any) -> str | None:
        """Say what is wrong, which ends the visit: an error raised in here would not come out whole."""
        seen.append(name)
        if isinstance(link, h5py.ExternalLink):
            return f"'{name}' in '{path}' is a link to another file, '{link.filename}': copy the data in"
        return f"'{path}' has more than {MAX_LINKS} names: is it damaged?" if len(seen) > MAX_LINKS else None

    if wrong := file.visititems_links(look):
        raise InputError(wrong)


def check_dataset(dataset: Any, path: Path, *, whole: bool = True) -> None:
    """Refuse a dataset whose values lie elsewhere, or that declares more than the file holds.

    Parameters
    ----------
    dataset
        Of an open file.
    path
        Of the file, for the message.
    whole
        Whether it will be read at once.

    Raises
    ------
    InputError
        That says which of the two.
    """
    where = f"'{dataset.name}' in '{path}'"
    if dataset.is_virtual or dataset.external:
        raise InputError(f"{where} keeps its values in another file: copy the data in")
    if dataset.shape is None:
        raise InputError(f"{where} is empty: it has no shape")
    declared = prod(dataset.shape) * dataset.dtype.itemsize
    stored = dataset.id.get_storage_size()
    if declared > FREE_BYTES and declared > MOST_COMPRESSED * stored:
        raise InputError(f"{where} declares {declared:,} bytes and holds {stored:,}: the file is damaged or hostile")
    if whole and declared > MAX_BYTES:
        raise InputError(f"{where} has {declared:,} bytes, more than can be read at once ({MAX_BYTES:,})")


def fixed_text(owner: Any, name: str) -> bytes | None:
    """Bytes of a text of fixed length; others are not even read, since they lie in a heap without a checksum."""
    if name not in owner.attrs or owner.attrs.get_id(name).dtype.kind != "S":
        return None
    value = owner.attrs[name]
    return value.item() if isinstance(value, np.generic) else value.encode() if isinstance(value, str) else None


def check_version(file: Any, path: Path, latest: int) -> None:
    """Refuse a file of one of our own formats whose version is invalid, or a later one.

    Raises
    ------
    InputError
        That says which of the two.
    """
    version = file.attrs.get("version")
    if not isinstance(version, int | np.integer):
        raise InputError(f"'{path}' does not say which version of the format it has: it is damaged")
    if not 1 <= version <= latest:
        raise InputError(f"'{path}' has version {version} of the format, this neurodyn reads up to {latest}: update it")


def numbers(dataset: Any, path: Path, *, kinds: str = "biuf") -> np.ndarray:
    """All values of a dataset of numbers.

    Raises
    ------
    InputError
        If it is not a dataset, holds no numbers, or is refused by `check_dataset`.
    """
    check_is_dataset(dataset, path)
    if dataset.dtype.kind not in kinds:
        raise InputError(f"'{dataset.name}' in '{path}' must hold numbers, it holds {dataset.dtype}")
    check_dataset(dataset, path)
    return np.asarray(dataset[()])


def check_is_dataset(item: Any, path: Path) -> None:
    """Refuse a group where an array should be.

    Raises
    ------
    InputError
        That names it.
    """
    import h5py

    if not isinstance(item, h5py.Dataset):
        raise InputError(f"'{getattr(item, 'name', item)}' in '{path}' must be an array, it is {type(item).__name__}")
