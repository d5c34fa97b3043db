"""Arrays and settings in one HDF5 file that is either wholly there or not at all.

A checkpoint is a pytree of arrays plus a dictionary that fits in JSON. It is written to a temporary file beside its
place, flushed to the disk and renamed: a kill at any moment leaves the previous checkpoint untouched. Loading reads
numbers and JSON only; nothing in a file is ever executed.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
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

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from neurodyn.training import load_arrays, save_checkpoint
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_checkpoint(f"{folder}/run.h5", {"weights": np.arange(3.0)}, {"seed": 1})
    ...     load_arrays(f"{folder}/run.h5", {"weights": np.zeros(3)})["weights"].tolist()
    [0.0, 1.0, 2.0]
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
        If the file is missing, damaged, no checkpoint of ours or comes from a later version.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from neurodyn.training import load_settings, save_checkpoint
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_checkpoint(f"{folder}/run.h5", {"weights": np.arange(3.0)}, {"seed": 1})
    ...     load_settings(f"{folder}/run.h5")
    {'seed': 1}
    """
    with _reading(path) as file:
        settings = json.loads(_value(file, "settings"))
        if not isinstance(settings, dict):
            raise ValueError("the checkpoint contains no settings")
        return settings


def load_arrays(path: str | os.PathLike[str], like: Tree, *, renamed: Mapping[str, str] | None = None) -> Tree:
    """Read a checkpoint's arrays into a pytree of the same structure as ``like``.

    Parameters
    ----------
    path
        Path of the checkpoint.
    like
        Pytree of arrays that says which names and shapes to expect.
    renamed
        Beginnings of names and what they were in earlier versions, which are looked for if a name is missing.

    Raises
    ------
    InputError
        If an array is missing or its shape differs from the one in ``like``, or the file is damaged. What has the
        wrong shape, does not hold numbers or stands in another file is not read.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from neurodyn.training import load_arrays, save_checkpoint
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_checkpoint(f"{folder}/run.h5", {"weights": np.arange(3.0)}, {})
    ...     load_arrays(f"{folder}/run.h5", {"weights": np.zeros(3)})["weights"].tolist()
    [0.0, 1.0, 2.0]
    """
    with _reading(path) as file:
        leaves = []
        for key, leaf in _named_leaves(like):
            name = _name_in(file, key, renamed or {})
            found = file.get(name)
            if not isinstance(found, h5py.Dataset) or found.file.filename != file.filename:
                raise InputError(f"{path} has no array '{key}': it was saved by a model of another structure")
            if found.shape != np.shape(leaf):
                raise InputError(f"{path}: array '{key}' has shape {found.shape}, this model needs {np.shape(leaf)}")
            if found.dtype.kind not in "biufc" or found.is_virtual or found.external:
                raise InputError(f"{path}: array '{key}' holds no numbers of its own")
            leaves.append(found[()])
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def _name_in(file: h5py.File, key: str, renamed: Mapping[str, str]) -> str:
    """Name of an array in a file: the present one, or the one that an earlier version gave it."""
    for new, old in renamed.items():
        if "arrays/" + key not in file and key.startswith(new):
            return "arrays/" + old + key.removeprefix(new)
    return "arrays/" + key


def in_this_precision(tree: Tree) -> Tree:
    """Arrays on the device, real ones in the precision that JAX computes in here, whichever they were saved in.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.training import in_this_precision
    >>> arrays = in_this_precision({"weights": np.ones(3, np.float16), "units": np.arange(3)})
    >>> arrays["weights"].dtype != np.float16, arrays["units"].dtype.kind
    (True, 'i')
    """

    def placed(leaf: Any) -> Any:
        real = jnp.issubdtype(np.asarray(leaf).dtype, jnp.floating)
        return jnp.asarray(leaf, jnp.result_type(float)) if real else jnp.asarray(leaf)

    return jax.tree.map(placed, tree)


@contextlib.contextmanager
def _reading(path: str | os.PathLike[str]) -> Iterator[h5py.File]:
    """The open file; what the library says of one that was tampered with is one line."""
    try:
        with _open(path) as file:
            yield file
    except InputError:
        raise
    except _DAMAGED as error:
        words = " ".join(str(error).split())[:200]
        raise InputError(f"{path} is damaged: {words or type(error).__name__}") from error


_DAMAGED = (OSError, LookupError, TypeError, ValueError, AttributeError, RuntimeError, ArithmeticError, MemoryError)
"""What HDF5 and its reader raise of a damaged file."""


def _open(path: str | os.PathLike[str]) -> h5py.File:
    if not Path(path).is_file():
        raise InputError(f"no such file: {path}")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise InputError(f"{path} is not an HDF5 file, or it is damaged") from error
    if str(file.attrs.get("format")) != FORMAT:
        file.close()
        raise InputError(f"{path} was not written by neurodyn")
    version = int(np.asarray(file.attrs["version"]))
    if version > VERSION:
        file.close()
        raise InputError(f"{path} has format version {version}, this neurodyn reads up to {VERSION}: update it")
    return file


def _value(file: h5py.File, name: str) -> Any:
    dataset = file[name]
    if not isinstance(dataset, h5py.Dataset):
        raise ValueError(f"'{name}' is not an array")
    return dataset[()]


def _named_leaves(tree: Any) -> list[tuple[str, Any]]:
    return [
        (
            "/".join(str(getattr(k, "key", getattr(k, "name", getattr(k, "idx", k)))) for k in path) or "value",
            leaf,
        )
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    ]
