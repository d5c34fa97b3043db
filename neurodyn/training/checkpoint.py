"""Arrays and settings in one HDF5 file that is either wholly there or not at all.

A checkpoint is a pytree of arrays plus a dictionary that fits in JSON. It is written to a temporary file beside its
place, flushed to the disk and renamed: a kill at any moment leaves the previous checkpoint untouched. Loading reads
numbers and JSON only; nothing in a file is ever executed.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import h5py
import jax
import jax.numpy as jnp
import numpy as np

from neurodyn.errors import InputError
from neurodyn.writing import replace_atomically

FORMAT = "neurodyn-checkpoint"
VERSION = 1

Tree = TypeVar("Tree")


def save_checkpoint(path: str | os.PathLike[str], tree: Any, settings: dict[str, Any]) -> None:
    """Write a pytree of arrays and JSON settings atomically.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    with replace_atomically(path) as temporary, temporary.open("w+b") as raw, h5py.File(raw, "w") as file:
        file.attrs["format"] = FORMAT
        file.attrs["version"] = VERSION
        file.create_dataset("settings", data=json.dumps(settings))
        for key, leaf in _named_leaves(tree):
            file.create_dataset("arrays/" + key, data=np.asarray(leaf))


def load_settings(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the settings of a checkpoint.

    Raises
    ------
    InputError
        If the file is missing, is no checkpoint of ours or comes from a later version.
    """
    with _open(path) as file:
        return json.loads(_value(file, "settings"))


def load_arrays(path: str | os.PathLike[str], like: Tree, *, renamed: Mapping[str, str] | None = None) -> Tree:
    """Read a checkpoint's arrays into a pytree of the same structure as ``like``.

    Parameters
    ----------
    path
        Of the checkpoint.
    like
        Pytree of arrays that says which names and shapes to expect.
    renamed
        Beginnings of names and what they were in earlier versions, which are looked for if a name is missing.

    Raises
    ------
    InputError
        If an array is missing or its shape differs from the one in ``like``.
    """
    with _open(path) as file:
        leaves = []
        for key, leaf in _named_leaves(like):
            name = _name_in(file, key, renamed or {})
            if not isinstance(file.get(name), h5py.Dataset):
                raise InputError(f"{path} has no array '{key}': it was saved by a model of another structure")
            value = _value(file, name)
            if value.shape != np.shape(leaf):
                raise InputError(f"{path}: array '{key}' has shape {value.shape}, this model needs {np.shape(leaf)}")
            leaves.append(value)
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def _name_in(file: h5py.File, key: str, renamed: Mapping[str, str]) -> str:
    """Name of an array in a file: the present one, or the one that an earlier version gave it."""
    for new, old in renamed.items():
        if "arrays/" + key not in file and key.startswith(new):
            return "arrays/" + old + key.removeprefix(new)
    return "arrays/" + key


def in_this_precision(tree: Tree) -> Tree:
    """Arrays on the device, real ones in the precision that JAX computes in here, whichever they were saved in."""

    def placed(leaf: Any) -> Any:
        real = jnp.issubdtype(np.asarray(leaf).dtype, jnp.floating)
        return jnp.asarray(leaf, jnp.result_type(float)) if real else jnp.asarray(leaf)

    return jax.tree.map(placed, tree)


def _open(path: str | os.PathLike[str]) -> h5py.File:
    if not Path(path).is_file():
        raise InputError(f"no such file: {path}")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise InputError(f"{path} is not an HDF5 file, or it is damaged") from error
    if file.attrs.get("format") != FORMAT:
        file.close()
        raise InputError(f"{path} was not written by neurodyn")
    version = int(np.asarray(file.attrs["version"]))
    if version > VERSION:
        file.close()
        raise InputError(f"{path} has format version {version}, this neurodyn reads up to {VERSION}: update it")
    return file


def _value(file: h5py.File, name: str) -> Any:
    dataset = file[name]
    assert isinstance(dataset, h5py.Dataset)
    return dataset[()]


def _named_leaves(tree: Any) -> list[tuple[str, Any]]:
    return [
        (
            "/".join(str(getattr(k, "key", getattr(k, "name", getattr(k, "idx", k)))) for k in path) or "value",
            leaf,
        )
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    ]
