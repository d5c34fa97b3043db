"""Ways to damage a file: its bytes, the arrays and names in an HDF5 file, or what stands in a document of JSON."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import h5py
import numpy as np
from hypothesis import strategies as st


@dataclass(frozen=True)
class Bytes:
    """A file's content; `base` is the one it was made from."""

    base: int
    content: bytes

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What hypothesis prints of a failing case."""
        printer.text(f"Bytes(base={self.base}, {len(self.content)} bytes, crc32={crc32(self.content):#x})")


@dataclass(frozen=True)
class Edit:
    """A change to one item of an HDF5 file."""

    base: int
    path: str
    attribute: str
    action: str
    number: float


@st.composite
def damaged_bytes(draw: Any, bases: list[bytes]) -> tuple[str, Bytes]:
    """Content of a file that was cut off, overwritten, flipped in some bits, or is not one at all."""
    base = draw(st.integers(0, len(bases) - 1))
    content = bytearray(bases[base])
    kind = draw(st.sampled_from(("truncated", "bits flipped", "overwritten", "zeroed", "shifted", "random")))
    place = draw(st.integers(0, len(content) - 1))
    if kind == "truncated":
        del content[place:]
    elif kind == "bits flipped":
        content[place] ^= 1 << draw(st.integers(0, 7))
        for other in draw(st.lists(st.integers(0, len(content) * 8 - 1), max_size=7)):
            content[other // 8] ^= 1 << other % 8
    elif kind == "overwritten":
        put = draw(st.binary(min_size=1, max_size=64))
        content[place : place + len(put)] = put[: len(content) - place]
    elif kind == "zeroed":
        size = min(draw(st.integers(1, 4096)), len(content) - place)
        content[place : place + size] = bytes(size)
    elif kind == "shifted":
        content[place:place] = draw(st.binary(min_size=1, max_size=16))
    else:
        # Often with the beginning of a real file, or few cases would get past the first check.
        content = bytearray(content[: draw(st.sampled_from((0, 8, 128, 600)))] + draw(st.binary(max_size=600)))
    return kind, Bytes(base, bytes(content))


ACTIONS = (
    "deleted", "a group", "text", "complex", "integers", "swapped axes", "flat", "a NaN", "an infinity", "negative",
    "reversed", "doubled", "scalar", "no values", "huge shape", "external link", "external values", "virtual",
    "dangling link", "link to a neighbour", "link to the root", "times 1000", "one sample", "two samples", "no samples",
    "constant", "duplicated names",
)  # fmt: skip
ATTRIBUTE_ACTIONS = ("deleted", "number", "text", "bytes", "array", "NaN", "negative", "zero", "huge", "empty")
IN_PLACE = {"a NaN", "an infinity", "negative", "times 1000", "constant", "reversed"}
MUST_BE_REFUSED = {"huge shape", "external link", "external values", "virtual"}


def items_of(path: Path) -> tuple[list[str], list[tuple[str, str]]]:
    """Datasets, and (item, attribute) pairs, of an HDF5 file."""
    datasets: list[str] = []
    attributes: list[tuple[str, str]] = []
    with h5py.File(path) as file:
        attributes += [("/", name) for name in file.attrs]

        def look(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                datasets.append(name)
            attributes.extend((name, key) for key in item.attrs)

        file.visititems(look)
    return datasets, attributes


@st.composite
def edits(draw: Any, inventories: list[tuple[list[str], list[tuple[str, str]]]]) -> tuple[str, Edit]:
    """A change to a dataset or attribute of one of the files with these items."""
    base = draw(st.integers(0, len(inventories) - 1))
    datasets, attributes = inventories[base]
    number = draw(st.floats(0, 1))
    if draw(st.booleans()) and attributes:
        path, attribute = draw(st.sampled_from(attributes))
        action = draw(st.sampled_from(ATTRIBUTE_ACTIONS))
        return f"attribute: {action}", Edit(base, path, attribute, action, number)
    action = draw(st.sampled_from(ACTIONS))
    return f"array: {action}", Edit(base, draw(st.sampled_from(datasets)), "", action, number)


def apply(edit: Edit, path: Path) -> None:
    """Make the change in a copy of the file."""
    with h5py.File(path, "r+") as file:
        if edit.attribute:
            _change_attribute(file[edit.path], edit)
        else:
            _change_dataset(file, edit)


def _change_attribute(item: Any, edit: Edit) -> None:
    name = edit.attribute
    del item.attrs[name]
    values = {
        "number": 7.5, "text": "x", "bytes": np.bytes_(b"\xff\xfe"), "array": np.arange(3), "NaN": np.nan,
        "negative": -edit.number - 1, "zero": 0, "huge": 1e300, "empty": h5py.Empty("f8"),
    }  # fmt: skip
    if edit.action != "deleted":
        item.attrs[name] = values[edit.action]


def _change_dataset(file: Any, edit: Edit) -> None:
    old = file[edit.path]
    values = old[()] if old.shape is not None else np.zeros(0)
    if edit.path.startswith("#refs#") and _changed_in_place(old, values, edit):
        return
    attributes, parent, name = dict(old.attrs), old.parent, edit.path.rsplit("/", 1)[-1]
    neighbours = [key for key in parent if key != name]
    del file[edit.path]
    if edit.action == "deleted":
        return
    links = {
        "external link": h5py.ExternalLink("/etc/passwd", "/x"),
        "dangling link": h5py.SoftLink("/no/where"),
        "link to a neighbour": h5py.SoftLink(neighbours[0] if neighbours else "/"),
        "link to the root": file["/"],
    }
    if edit.action in links:
        parent[name] = links[edit.action]
        return
    made = _made(parent, name, np.asarray(values), edit)
    for key, value in attributes.items():
        if edit.number > 0.1:  # sometimes the attributes are lost too
            made.attrs[key] = value


def _changed_in_place(dataset: Any, values: np.ndarray, edit: Edit) -> bool:
    """Put other numbers where the old ones are: MATLAB's cells know their contents by address, not by name."""
    if edit.action not in IN_PLACE or dataset.dtype.kind not in "iuf" or not values.size:
        return False
    dataset[...] = np.nan_to_num(_changed(values, edit)) if dataset.dtype.kind != "f" else _changed(values, edit)
    return True


def _made(parent: Any, name: str, values: np.ndarray, edit: Edit) -> Any:
    if edit.action == "a group":
        return parent.create_group(name)
    if edit.action == "huge shape":
        shape = tuple(2**31 for _ in values.shape) or (2**40,)
        return parent.create_dataset(name, shape, "f8", chunks=tuple(2**10 if i == 0 else 2 for i in range(len(shape))))
    if edit.action == "external values":
        shape = values.shape or (1,)
        return parent.create_dataset(name, shape, "f8", external=[("/etc/passwd", 0, 8 * max(1, values.size))])
    if edit.action == "virtual":
        layout = h5py.VirtualLayout(values.shape or (1,), "f8")
        return parent.create_virtual_dataset(name, layout)
    if edit.action == "no values":
        return parent.create_dataset(name, data=h5py.Empty("f8"))
    data = _changed(values, edit)
    dtype = h5py.string_dtype() if data.dtype.kind in "OSU" and data.dtype.metadata is None else data.dtype
    try:
        return parent.create_dataset(name, data=data, dtype=dtype)
    except (TypeError, ValueError):  # references and the like that this change makes no sense for
        if name in parent:
            del parent[name]
        return parent.create_dataset(name, data=np.arange(3.0))


def _changed(values: np.ndarray, edit: Edit) -> np.ndarray:
    number, place = edit.number, int(edit.number * max(0, values.size - 1))
    numeric = values.dtype.kind in "iuf"
    simple = {
        "text": lambda: np.full(values.shape or (1,), b"text", dtype="S4"),
        "complex": lambda: np.full(values.shape, 1j * number),
        "integers": lambda: np.arange(max(1, values.size)).reshape(values.shape or (1,)),
        "swapped axes": lambda: values.T,
        "flat": lambda: values.ravel(),
        "reversed": lambda: values[::-1] if values.ndim else values,
        "doubled": lambda: np.concatenate([values, values]) if values.ndim else values,
        "scalar": lambda: values.ravel()[:1].reshape(()) if values.size else np.float64(number),
        "one sample": lambda: values[:1] if values.ndim else values,
        "two samples": lambda: values[:2] if values.ndim else values,
        "no samples": lambda: values[:0] if values.ndim else values,
        "constant": lambda: np.full_like(values, values.ravel()[0]) if values.size else values,
        "duplicated names": lambda: np.concatenate([values[:1], values[:1], values[2:]]) if values.ndim else values,
    }
    if edit.action in simple:
        return np.asarray(simple[edit.action]())
    if not numeric or not values.size:
        return np.array([number])
    changed = values.astype(np.float64)
    if edit.action == "times 1000":
        return changed * 1000
    changed.flat[place] = {"a NaN": np.nan, "an infinity": np.inf, "negative": -number - 1}[edit.action]
    return changed


# JSON ---------------------------------------------------------------------------------------------------------

ODD = (
    None, True, 0, -1, 5, 0.5, 1e-12, 1e300, 20_000, 10**12, 10**300, float("nan"), float("inf"), "x", "", [], [5],
    [float("nan")], {}, {"x": 5},
)  # fmt: skip
"""What may stand in a place of settings that expects something else."""


@dataclass(frozen=True)
class Put:
    """A value put in one place of nested lists and dictionaries, which is deleted if it is `DELETED`."""

    base: int
    place: tuple[str | int, ...]
    value: Any

    def into(self, document: Any) -> Any:
        """A copy of the document with it."""
        copied = json.loads(json.dumps(document))
        node = copied
        for key in self.place[:-1]:
            node = node[key]
        if self.value is DELETED:
            del node[self.place[-1]]
        else:
            node[self.place[-1]] = self.value
        return copied


DELETED = object()


def _places(node: Any, *before: str | int) -> list[tuple[str | int, ...]]:
    """Every place in a document; of lists the first two, for the others are like them."""
    keys = sorted(node) if isinstance(node, dict) else range(min(len(node), 2)) if isinstance(node, list) else ()
    return [place for key in keys for place in ((*before, key), *_places(node[key], *before, key))]


@st.composite
def puts(draw: Any, documents: list[Any]) -> tuple[str, Put]:
    """One place of one of some documents, with an odd value in it or none; in that of a number often another number."""
    base = draw(st.integers(0, len(documents) - 1))
    place = draw(st.sampled_from(_places(documents[base])))
    node = documents[base]
    for key in place:
        node = node[key]
    values = (DELETED, *ODD)
    if isinstance(node, int | float) and draw(st.booleans()):
        values = tuple(one for one in ODD if isinstance(one, int | float))
    value = draw(st.sampled_from(values))
    kind = "deleted" if value is DELETED else type(value).__name__
    return f"settings: {kind}", Put(base, place, value)
