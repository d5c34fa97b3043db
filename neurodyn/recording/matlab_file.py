"""Variables of MATLAB files, version 5 (``save -v6``, ``-v7``) and 7.3, as plain arrays, text, dictionaries and lists.

Nothing in a file is executed: objects of classes and functions become None.
"""

import math
import mmap
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from neurodyn.errors import InputError
from neurodyn.recording.guard import (
    FREE_BYTES,
    MAX_BYTES,
    MAX_LINKS,
    MOST_COMPRESSED,
    check_dataset,
    numbers,
    one_line,
    open_hdf5,
)
from neurodyn.recording.lazy import LazyArray, stays_in_file

_DEEPEST = 16
_COMPRESSED, _MATRIX = 15, 14
_NUMBER_TYPES = frozenset((1, 2, 3, 4, 5, 6, 7, 9, 12, 13, 16, 17, 18))
"""Types of elements that SciPy has numbers for."""
_CELL, _STRUCT, _OBJECT, _CHAR, _SPARSE, _FUNCTION, _OPAQUE = 1, 2, 3, 4, 5, 16, 17
"""Classes of matrices; all others are numbers."""
_HOLDERS = frozenset((_CELL, _STRUCT, _OBJECT, _FUNCTION))
_DEEPEST_READ = 200
"""Matrices inside of matrices, from which on a variable is left to SciPy to refuse."""


def load_variables(path: str | os.PathLike[str], *, lazy: bool | None = False) -> dict[str, Any]:
    """All variables of a MATLAB file of version 5 or 7.3.

    Numbers become arrays of two or more axes, text ``str`` (a list where there are several rows), cell arrays object
    arrays, structs dictionaries, and struct arrays lists of them.  Classes, functions and sparse matrices are None.

    Raises
    ------
    InputError
        If the file is missing, damaged or of another kind, or declares more than it holds.
    """
    import h5py

    path = Path(path)
    if path.is_file() and h5py.is_hdf5(path):
        with open_hdf5(path) as file:
            return _Hdf5Loader(file, path, lazy).variables()
    return _load_5(path)


def cell_array(items: Sequence[Any], shape: tuple[int, ...]) -> np.ndarray:
    """Object array of one item per cell; NumPy would look into items that are arrays."""
    array = np.empty(len(items), dtype=object)
    for index, item in enumerate(items):
        array[index] = item
    return array.reshape(shape)


# --- version 5 ------------------------------------------------------------------------------------


def _load_5(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat

    _check_5(path)
    try:
        found = loadmat(path, struct_as_record=True, chars_as_strings=True)
        return {name: _plain(value, 0) for name, value in found.items() if not name.startswith("__")}
    except InputError:
        raise
    # The parser stumbles over a damaged file with whatever error the line at hand raises.
    except Exception as error:
        raise InputError(f"cannot read '{path}' as MATLAB, is it damaged? SciPy says: {one_line(error)}") from error


def _check_5(path: Path) -> None:
    """Header, and that every element ends inside the file and unpacks to a size that its bytes can hold."""
    if path.is_dir():
        raise InputError(f"'{path}' is a directory: give a file")
    if not path.exists():
        raise InputError(f"there is no file '{path}'")
    size = path.stat().st_size
    with path.open("rb") as file:
        order = {b"IM": "<", b"MI": ">"}.get(file.read(128)[126:128])
        if order is None:
            raise InputError(f"'{path}' is not a MATLAB file of version 5 or 7.3: save it with  save -v7")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
            for kind, count in _elements(file, order, size, path):
                begin = file.tell()
                unpacked = _unpacked(file, order, count) if kind == _COMPRESSED else count
                if unpacked > MAX_BYTES or unpacked > FREE_BYTES + MOST_COMPRESSED * count:
                    raise InputError(f"'{path}' declares an array of {unpacked:,} bytes in {count:,}: it is damaged")
                packed = kind == _COMPRESSED
                inside = _inflated(whole[begin : begin + count]) if packed else whole
                if _Numbers(inside, order, 0 if packed else begin - 8).unreadable():
                    raise InputError(f"'{path}' has an array of numbers of no known type: it is damaged")


def _inflated(packed: bytes) -> bytes:
    """What a compressed element holds, as far as it can be had."""
    try:
        return zlib.decompressobj().decompress(packed, MAX_BYTES)
    except zlib.error:
        return b""  # damaged: the parser will say so


class _Numbers:
    """Whether SciPy would look up a type of numbers that there is not in one variable, which ends the process.

    Goes through the bytes as SciPy does; whatever else is wrong with them, SciPy says itself.

    Parameters
    ----------
    content
        Bytes that the variable lies in.
    order
        Of their numbers, as `struct` writes it.
    begin
        Where the variable's tag is.
    """

    def __init__(self, content: bytes | mmap.mmap, order: str, begin: int) -> None:
        self._content, self._at = content, begin
        self._pair = struct.Struct(f"{order}II")
        self._order = order

    def unreadable(self) -> bool:
        """Whether there is such an array."""
        try:
            return self._matrix(0)
        except (struct.error, ZeroDivisionError, _OtherDamage):
            return False

    def _matrix(self, depth: int) -> bool:
        kind, count = self._pair.unpack_from(self._content, self._at)
        if kind != _MATRIX or depth > _DEEPEST_READ:
            raise _OtherDamage
        self._at += 8
        if not count:
            return False
        flags, _ = self._pair.unpack_from(self._content, self._at + 8)
        self._at += 16
        what, is_complex = flags & 0xFF, flags >> 11 & 1
        if what == _OPAQUE:
            for _ in range(3):
                self._element()
            return self._matrix(depth + 1)
        _, first, length = self._element()
        sizes = struct.unpack_from(f"{self._order}{length // 4}i", self._content, first)
        self._element()
        if what in _HOLDERS:
            return self._members(what, math.prod(sizes), depth)
        numbers = {_SPARSE: 2 + 1 + is_complex, _CHAR: 0}.get(what, 1 + is_complex)
        if what == _CHAR:
            self._element()  # its type is checked by SciPy
        return any(self._element()[0] not in _NUMBER_TYPES for _ in range(numbers))

    def _members(self, what: int, count: int, depth: int) -> bool:
        if what == _FUNCTION:
            return self._matrix(depth + 1)
        if what == _OBJECT:
            self._element()
        if what != _CELL:
            _, first, _ = self._element()
            (longest,) = struct.unpack_from(f"{self._order}i", self._content, first)
            count *= self._element()[2] // longest
        return any(self._matrix(depth + 1) for _ in range(count))

    def _element(self) -> tuple[int, int, int]:
        """Type, place and length in bytes of the element here; what comes next is behind it."""
        kind, count = self._pair.unpack_from(self._content, self._at)
        if kind >> 16:  # four bytes or less stand in the tag itself
            self._at += 8
            return kind & 0xFFFF, self._at - 4, kind >> 16
        first = self._at + 8
        self._at = first + count + -count % 8
        if first + count > len(self._content):
            raise _OtherDamage
        return kind, first, count


class _OtherDamage(Exception):
    pass


def _elements(file: BinaryIO, order: str, size: int, path: Path) -> Iterator[tuple[int, int]]:
    """Kind and bytes of each top-level element, with the file at its first byte."""
    while tag := file.read(8):
        kind, count = struct.unpack(f"{order}II", tag) if len(tag) == 8 else (0, size)
        begin = file.tell()
        if begin + count > size:
            raise InputError(f"'{path}' ends in the middle of a variable: it was cut off")
        yield kind, count
        file.seek(begin + count)


def _unpacked(file: BinaryIO, order: str, count: int) -> int:
    """Bytes that a compressed element says it has."""
    try:
        head = zlib.decompressobj().decompress(file.read(min(count, 2**16)), 8)
        return struct.unpack(f"{order}II", head)[1]
    except (zlib.error, struct.error):
        return 0  # damaged: the parser will say so


def _plain(value: Any, depth: int) -> Any:
    """What SciPy makes of a variable, in plain containers."""
    if depth > _DEEPEST:
        raise InputError("structs and cells are nested too deeply for a recording")
    if not isinstance(value, np.ndarray) or type(value).__name__ in ("MatlabFunction", "MatlabOpaque"):
        return None
    if value.dtype.names is not None:
        rows = [{name: _plain(row[name], depth + 1) for name in value.dtype.names} for row in value.ravel(order="F")]
        return rows[0] if value.shape == (1, 1) else rows
    if value.dtype.kind == "U":
        texts = [str(text) for text in value.ravel()]
        return texts[0] if len(texts) == 1 else texts or ""
    if value.dtype.kind == "O":
        return cell_array([_plain(item, depth + 1) for item in value.ravel()], value.shape)
    return value


# --- version 7.3 ----------------------------------------------------------------------------------


class _Hdf5Loader:
    """Variables of a file of version 7.3, which is HDF5 with every array transposed and cells as references."""

    def __init__(self, file: Any, path: Path, lazy: bool | None) -> None:
        self._file, self._path, self._lazy = file, path, lazy
        self._looked = 0

    def variables(self) -> dict[str, Any]:
        return {name: self._load(self._file[name], 0) for name in self._file if not name.startswith("#")}

    def _load(self, item: Any, depth: int) -> Any:
        import h5py

        self._looked += 1
        if depth > _DEEPEST or self._looked > MAX_LINKS:
            raise InputError(f"structs and cells in '{self._path}' are nested too deeply, or too many")
        kind = self._class(item)
        if isinstance(item, h5py.Group):
            return self._struct(item, depth)
        if item.shape is None:
            return None
        if item.attrs.get("MATLAB_empty", 0):
            return {"char": "", "cell": cell_array([], (0, 0)), "struct": []}.get(kind, np.zeros((0, 0)))
        if item.dtype == h5py.ref_dtype:
            return self._cell(item, depth)
        if item.dtype.kind not in "biuf":
            return None
        return self._text(item) if kind == "char" else self._array(item)

    def _class(self, item: Any) -> str:
        kind = item.attrs.get("MATLAB_class", b"")
        return kind.decode("ascii", "replace") if isinstance(kind, bytes) else str(kind)

    def _struct(self, group: Any, depth: int) -> Any:
        """A struct; an array of structs has references to one value per struct in every member."""
        import h5py

        if self._class(group) not in ("struct", ""):
            return None  # an object of a class
        members = {name: group[name] for name in group}
        arrays = [
            isinstance(m, h5py.Dataset) and m.dtype == h5py.ref_dtype and "MATLAB_class" not in m.attrs
            for m in members.values()
        ]
        loaded = {name: self._load(member, depth + 1) for name, member in members.items()}
        if not (arrays and all(arrays)):
            return loaded
        columns = {name: cell.ravel(order="F") for name, cell in loaded.items()}
        if len({column.size for column in columns.values()}) != 1:
            raise InputError(f"the struct array '{group.name}' in '{self._path}' has members of different lengths")
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def _cell(self, dataset: Any, depth: int) -> np.ndarray:
        check_dataset(dataset, self._path)
        references = np.asarray(dataset[()])
        if not all(references.ravel()):
            raise InputError(f"the cell array '{dataset.name}' in '{self._path}' refers to nothing: it is damaged")
        items = [self._load(self._file[reference], depth + 1) for reference in references.ravel()]
        return cell_array(items, references.shape).T

    def _text(self, dataset: Any) -> str | list[str]:
        codes = np.atleast_2d(numbers(dataset, self._path, kinds="u")).T
        try:
            texts = [row.astype("<u2").tobytes().decode("utf-16-le") for row in codes]
        except UnicodeDecodeError as error:
            raise InputError(f"the text '{dataset.name}' in '{self._path}' is not a text: it is damaged") from error
        return texts[0] if len(texts) == 1 else texts or ""

    def _array(self, dataset: Any) -> np.ndarray | LazyArray:
        shape = dataset.shape
        if len(shape) == 2 and min(shape) > 0 and stays_in_file(shape[1], shape[0], self._lazy):
            check_dataset(dataset, self._path, whole=False)
            return LazyArray(self._path.absolute(), dataset.name, shape[1], shape[0], transposed=True)
        return numbers(dataset, self._path).T
