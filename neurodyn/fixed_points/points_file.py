"""Points of a search as labelled data and in a file."""

import json
import os
from typing import TYPE_CHECKING, Any

import h5py
import jax
import numpy as np

from neurodyn.errors import InputError
from neurodyn.fixed_points.continuum import columns, read_continua, write_continua
from neurodyn.fixed_points.problem import layout_of
from neurodyn.fixed_points.status import Status
from neurodyn.writing import replace_atomically

if TYPE_CHECKING:
    import xarray as xr

    from neurodyn.fixed_points.points import FixedPoints

_COLUMNS = ("residual", "speed", "iterations", "starts", "source", "outlier", "ray")


def to_dataset(found: "FixedPoints") -> "xr.Dataset":
    """Points as labelled data, see `FixedPoints.to_xarray`."""
    import xarray as xr

    columned: dict[str, Any] = {name: ("point", getattr(found, name)) for name in _COLUMNS}
    inputs = {} if found.inputs is None else {"input": (("point", "entry"), found.inputs)}
    number, coordinates = columns(found.continua, len(found))
    columned["continuum"] = ("point", number)
    if found.continua:
        extent = np.full((len(found.continua), coordinates.shape[1]), np.nan)
        for which, continuum in enumerate(found.continua):
            extent[which, : continuum.dimension] = continuum.extent
        columned |= {
            "coordinate": (("point", "parameter"), coordinates),
            "extent": (("which", "parameter"), extent),
            "dimension": ("which", np.array([continuum.dimension for continuum in found.continua])),
            "shape": ("which", np.array([c.shape.value for c in found.continua], dtype="U7")),
        }
    return xr.Dataset(
        {"state": (("point", "unit"), found.vectors), **inputs, **columned, "point_of": ("start", found.point_of)},
        coords={
            "point": np.arange(len(found)),
            "unit": list(found.layout.names),
            "status": ("point", np.array([status.value for status in found.status], dtype="U11")),
        },
        attrs={"homogeneous": int(found.homogeneous), "tolerance": found.tolerance, "advice": found.advice},
    )


def write_points(path: str | os.PathLike[str], found: "FixedPoints") -> None:
    """Write points to an HDF5 file, atomically.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    with replace_atomically(path) as temporary, h5py.File(temporary, "w") as file:
        for name in (*_COLUMNS, "vectors", "point_of"):
            file[name] = getattr(found, name)
        if found.inputs is not None:
            file["inputs"] = found.inputs
        first = found.layout.states(np.zeros(found.layout.size))
        file.attrs["state"] = json.dumps(_skeleton(first))
        file.attrs["status"] = json.dumps([status.value for status in found.status])
        file.attrs["homogeneous"], file.attrs["tolerance"] = found.homogeneous, found.tolerance
        file.attrs["advice"] = found.advice
        write_continua(file, found.continua)


def read_points(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what `write_points` wrote: the fields of `FixedPoints`.

    Raises
    ------
    InputError
        If the file is not one of fixed points.
    """
    try:
        with h5py.File(path, "r") as file:
            arrays: Any = {name: np.array(file[name]) for name in (*_COLUMNS, "vectors", "point_of")}
            inputs = np.array(file["inputs"]) if "inputs" in file else None
            attributes: Any = dict(file.attrs)
            continua = read_continua(file)
    except (OSError, KeyError) as error:
        raise InputError(f"cannot read fixed points from {path}: {error}") from error
    state = _zeros(json.loads(attributes["state"]))
    status = tuple(Status(name) for name in json.loads(attributes["status"]))
    return dict(
        layout=layout_of(state),
        status=status,
        homogeneous=bool(attributes["homogeneous"]),
        tolerance=float(attributes["tolerance"]),
        inputs=inputs,
        continua=continua,
        advice=str(attributes.get("advice", "")),
        **arrays,
    )


def _skeleton(tree: Any) -> Any:
    """Nested containers as JSON, the shape in place of an array."""
    if isinstance(tree, dict):
        return {"dict": {str(key): _skeleton(value) for key, value in tree.items()}}
    if isinstance(tree, list):
        return {"list": [_skeleton(value) for value in tree]}
    if isinstance(tree, tuple):
        return {"tuple": [_skeleton(value) for value in tree]}
    if isinstance(tree, np.ndarray):
        return {"shape": list(tree.shape)}
    return {"tuple": [{"shape": list(leaf.shape)} for leaf in jax.tree.leaves(tree)]}


def _zeros(skeleton: dict[str, Any]) -> Any:
    ((kind, content),) = skeleton.items()
    if kind == "shape":
        return np.zeros(content)
    if kind == "dict":
        return {key: _zeros(value) for key, value in content.items()}
    values = [_zeros(value) for value in content]
    return values if kind == "list" else tuple(values)
