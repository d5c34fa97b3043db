"""Variables of NumPy files, of tables of text (CSV), and of folders of these, in the form that layouts take.

Nothing in a file is executed: pickled objects are not read.
"""

import csv
import os
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from neurodyn.errors import InputError
from neurodyn.recording.guard import FREE_BYTES, MAX_BYTES, MOST_COMPRESSED, one_line
from neurodyn.recording.matlab_file import load_variables

_MISSING = frozenset(("", "nan", "na", "n/a", "null", "none"))
_DELIMITERS = ("\t", ";", ",")
_MOST_FILES = 1000


def load_npy(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The array of an ``.npy`` file, under the file's name.

    Raises
    ------
    InputError
        If it is damaged, or holds objects.
    """
    path = Path(path)
    with path.open("rb") as file:
        return {path.stem: _plain(_array(file, path.stat().st_size, path))}


def load_npz(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Arrays of an ``.npz`` file by their names; what holds objects is None.

    Raises
    ------
    InputError
        If it is damaged, or an array unpacks to far more than its bytes can hold.
    """
    path = Path(path)
    found: dict[str, Any] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                name, size = entry.filename.removesuffix(".npy"), entry.file_size
                if size > MAX_BYTES or size > FREE_BYTES + MOST_COMPRESSED * entry.compress_size:
                    raise InputError(
                        f"'{name}' in '{path}' declares {size:,} bytes in {entry.compress_size:,}: damaged"
                    )
                with archive.open(entry) as file:
                    try:
                        found[name] = _plain(_array(file, size, path))
                    except _ObjectsError:
                        found[name] = None
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"cannot read '{path}' as NumPy, is it damaged? {one_line(error)}") from error
    return found


def load_table(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Columns of a table of text by their heads; numbers where all of a column are, else text.

    Columns are separated by tabs, semicolons or commas.  Without a line of heads they are called ``column1`` and so on.

    Raises
    ------
    InputError
        If it is not a text, or a line has another number of columns.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            start = file.read(64 * 1024)
            file.seek(0)
            line = start.partition("\n")[0]
            delimiter = next((mark for mark in _DELIMITERS if mark in line), ",")
            rows = [row for row in csv.reader(file, delimiter=delimiter) if row]
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise InputError(f"cannot read '{path}' as a table of text: {one_line(error)}") from error
    if not rows:
        raise InputError(f"the table '{path}' is empty")
    for number, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            raise InputError(f"row {number} of '{path}' has {len(row)} columns, the first {len(rows[0])}")
    with_heads = any(_number(entry) is None for entry in rows[0])
    heads = [entry.strip() for entry in rows[0]] if with_heads else [f"column{i + 1}" for i in range(len(rows[0]))]
    columns = zip(*(rows[1:] if with_heads else rows), strict=True)
    found = {}
    for head, column in zip(heads, columns if len(rows) > with_heads else [()] * len(heads), strict=True):
        name, again = head or "column", 1
        while name in found:
            again += 1
            name = f"{head or 'column'}_{again}"
        found[name] = _column(column)
    return found


class Folder(Mapping[str, Any]):
    """Variables of every NumPy, CSV and MATLAB file in a folder, by the files' names without endings, when asked for.

    Parameters
    ----------
    path
        The folder.
    largest
        Files of more bytes are not there; None for any size.

    Raises
    ------
    InputError
        If there is no such file; when one is asked for that is damaged.
    """

    def __init__(self, path: Path, largest: int | None = None) -> None:
        files = [file for file in sorted(path.iterdir())[:_MOST_FILES] if _is_variable(file, largest)]
        self._files = {file.stem: file for file in files}
        self._loaded: dict[str, Any] = {}
        if not self._files:
            raise InputError(f"'{path}' is a directory without NumPy, CSV or MATLAB files: give a file")

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            file = self._files[name]
            try:
                content = LOADERS[file.suffix.lower()](file)
                self._loaded[name] = content[name] if file.suffix.lower() == ".npy" else content
            except _ObjectsError:
                self._loaded[name] = None
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def _is_variable(file: Path, largest: int | None) -> bool:
    return (
        file.suffix.lower() in LOADERS
        and not file.name.startswith(".")
        and file.is_file()
        and (largest is None or file.stat().st_size <= largest)
    )


class _ObjectsError(InputError):
    """An array holds pickled objects, which would be executed."""


def _array(file: BinaryIO | Any, size: int, path: Path) -> np.ndarray:
    """Array from an open file, whose header must not declare more than there is."""
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
        if dtype.hasobject:
            raise _ObjectsError(f"'{path}' holds Python objects, which are not read: save arrays of numbers or text")
        count = int(np.prod(shape, dtype=object)) if shape else 1
        if count * dtype.itemsize > min(size, MAX_BYTES):
            raise InputError(f"'{path}' declares {count * dtype.itemsize:,} bytes and has {size:,}: it is damaged")
        content = file.read(count * dtype.itemsize)
        if len(content) != count * dtype.itemsize:
            raise InputError(f"'{path}' ends in the middle of its array: it was cut off")
        return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")
    except InputError:
        raise
    # NumPy parses the header with whatever error the damage gives rise to.
    except Exception as error:
        raise InputError(f"cannot read '{path}' as NumPy, is it damaged? {one_line(error)}") from error


def _plain(array: np.ndarray) -> Any:
    """Array in the form of variables: vectors are columns, text is a list, records are a struct of columns."""
    if array.dtype.names is not None:
        return {name: _plain(np.ascontiguousarray(array[name])) for name in array.dtype.names}
    if array.dtype.kind in "US":
        texts = [t.decode("utf-8", "replace") if isinstance(t, bytes) else str(t) for t in array.ravel().tolist()]
        return texts[0] if array.ndim == 0 else texts
    if array.dtype.kind not in "biuf":
        return None
    return array.reshape(1, 1) if array.ndim == 0 else array[:, None] if array.ndim == 1 else array


def _number(text: str) -> float | None:
    """Number that a text is, NaN where it says that there is none, None for other text."""
    if text.strip().lower() in _MISSING:
        return float("nan")
    try:
        return float(text)
    except ValueError:
        return None


def _column(texts: tuple[str, ...]) -> Any:
    numbers = [_number(text) for text in texts]
    if any(number is None for number in numbers):
        return [text.strip() for text in texts]
    return np.array(numbers, np.float64)[:, None]


LOADERS: Mapping[str, Callable[[Path], dict[str, Any]]] = {
    ".npy": load_npy,
    ".npz": load_npz,
    ".csv": load_table,
    ".tsv": load_table,
    ".mat": load_variables,
}
"""How variables are loaded, by the ending of the file."""

ELSEWHERE: Mapping[str, str] = {
    ".plx": "Plexon", ".pl2": "Plexon", ".nev": "Blackrock", ".rhd": "Intan", ".rhs": "Intan", ".ncs": "Neuralynx",
    ".nse": "Neuralynx", ".ntt": "Neuralynx", ".smr": "Spike2", ".smrx": "Spike2", ".abf": "Axon", ".edf": "EDF",
    ".bdf": "BDF", ".vhdr": "BrainVision", ".tbk": "Tucker-Davis", ".tev": "Tucker-Davis", ".oebin": "Open Ephys",
    ".continuous": "Open Ephys", ".meta": "SpikeGLX", ".nix": "NIX", ".rec": "SpikeGadgets",
    **{f".ns{number}": "Blackrock" for number in range(1, 7)},
}  # fmt: skip
"""Endings of files of acquisition systems, which neo and SpikeInterface read."""


def pointed_elsewhere(path: Path) -> str:
    """What to type for a file of an acquisition system; empty for any other."""
    system = ELSEWHERE.get(path.suffix.lower())
    if system is None:
        return ""
    name = re.sub(r"['\\\\\n]", "_", path.name)
    return (
        f"'{path}' is of {system}, which neo reads:  "
        f"segment = neo.io.get_io('{name}').read_segment()  and then  nd.recording_from_arrays('{path.stem}', "
        "spikes=[train.rescale('s').magnitude for train in segment.spiketrains], "
        "fields={s.name: s.magnitude for s in segment.analogsignals}, "
        "rates={s.name: float(s.sampling_rate.rescale('Hz')) for s in segment.analogsignals})"
    )
