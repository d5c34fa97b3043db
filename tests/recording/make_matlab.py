"""MATLAB files of version 7.3 as MATLAB lays them out in HDF5: a header, arrays transposed, cells as references."""

from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

import h5py
import numpy as np

_NUMBERS = count()


def write_v73(path: Path, variables: Mapping[str, Any]) -> Path:
    """Write arrays, text, lists (cell arrays; 2-D object arrays too), dictionaries (structs), lists of dictionaries."""
    with h5py.File(path, "w", userblock_size=512) as file:
        store = file.create_group("#refs#")
        for name, value in variables.items():
            _write(file, name, value, store)
    head = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02" + b"IM"
    with path.open("rb+") as raw:
        raw.write(head)
    return path


def _write(parent: h5py.Group, name: str, value: Any, store: h5py.Group) -> h5py.Dataset | h5py.Group:
    if isinstance(value, Mapping):
        item = parent.create_group(name)
        item.attrs["MATLAB_class"] = np.bytes_("struct")
        for key, member in value.items():
            _write(item, key, member, store)
        return item
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        item = parent.create_group(name)
        item.attrs["MATLAB_class"] = np.bytes_("struct")
        for key in value[0]:
            cells = np.array([[_reference(row[key], store)] for row in value], h5py.ref_dtype)
            item.create_dataset(key, data=cells)
        return item
    if isinstance(value, list) or (isinstance(value, np.ndarray) and value.dtype == object):
        return _cell(parent, name, value, store)
    if isinstance(value, str):
        codes = np.array([ord(c) for c in value], np.uint16)[:, None]
        return _array(parent, name, codes, "char") if value else _empty(parent, name, "char")
    array = np.atleast_2d(np.asarray(value))
    if array.size == 0:
        return _empty(parent, name, "double")
    kind = "logical" if array.dtype == bool else "double" if array.dtype == np.float64 else str(array.dtype)
    return _array(parent, name, array.astype(np.uint8) if array.dtype == bool else array.T, kind)


def _cell(parent: h5py.Group, name: str, value: Any, store: h5py.Group) -> h5py.Dataset:
    if len(value) == 0:
        return _empty(parent, name, "cell")
    cells = value if isinstance(value, np.ndarray) else np.empty((len(value), 1), object)
    if isinstance(value, list):
        for row, item in enumerate(value):
            cells[row, 0] = item
    references = np.empty(cells.T.shape, h5py.ref_dtype)
    for index in np.ndindex(cells.shape):
        references[index[::-1]] = _reference(cells[index], store)
    return _array(parent, name, references, "cell")


def _reference(value: Any, store: h5py.Group) -> h5py.Reference:
    return _write(store, f"r{next(_NUMBERS)}", value, store).ref


def _array(parent: h5py.Group, name: str, data: np.ndarray, kind: str) -> h5py.Dataset:
    options = {"chunks": True, "compression": "gzip"} if data.size > 100 and data.dtype.kind != "O" else {}
    item = parent.create_dataset(name, data=data, **options)
    item.attrs["MATLAB_class"] = np.bytes_(kind)
    return item


def _empty(parent: h5py.Group, name: str, kind: str) -> h5py.Dataset:
    item = _array(parent, name, np.zeros(2, np.uint64), kind)
    item.attrs["MATLAB_empty"] = np.uint8(1)
    return item
