"""A fitted model as a folder: settings as JSON, arrays as HDF5. Loading reads numbers and text and executes nothing.

======================  ===========================================================================
``model.json``          what a person wants to know: settings, versions, course of the training
``arrays-<digest>.h5``  every array of the model, in a file named after its content
======================  ===========================================================================

``model.json`` names the arrays it belongs to, and is replaced in one step after they have been written: a kill at any
moment leaves the previous model whole. Each kind of model hands over a :class:`ModelFormat`, its settings and its
arrays, and describes in migrations how the settings of its earlier versions become those of the present one.
"""

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from neurodyn.errors import InputError
from neurodyn.training.checkpoint import load_arrays, load_settings, save_checkpoint
from neurodyn.writing import write_text

FORMAT = "neurodyn-model"
SETTINGS_FILE = "model.json"

Settings = dict[str, Any]
Tree = TypeVar("Tree")


@dataclass(frozen=True)
class ModelFormat:
    """What one kind of model is called in files and in messages, and how its earlier versions are read.

    Parameters
    ----------
    kind
        Name in ``model.json``.
    description
        Name in messages, as in "'folder' holds no multiscale model of neurodyn".
    version
        Present version of the settings.
    migrations
        From each earlier version of the settings to the next.
    """

    kind: str
    description: str
    version: int
    migrations: Mapping[int, Callable[[Settings], Settings]]

    def migrated(self, settings: Settings, path: Path) -> Settings:
        """Settings brought step by step from their version to the present one.

        Raises
        ------
        InputError
            If they state no version, or a later one.
        """
        version = settings.get("version")
        if not isinstance(version, int) or version < 1:
            raise InputError(f"the model '{path}' does not say which version of the format it has: it is damaged")
        if version > self.version:
            raise InputError(
                f"the model '{path}' has version {version}, this neurodyn reads up to {self.version}: update it"
            )
        try:
            while version < self.version:
                settings = self.migrations[version](settings)
                version = settings["version"]
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"the settings of the model '{path}' are damaged: they lack {error}") from error
        return settings


def save_model(folder: Path, form: ModelFormat, settings: Settings, arrays: Any) -> None:
    """Write a model into a folder, which is made if it is not there; what the folder held of an older one is removed.

    Parameters
    ----------
    folder
        Place of the model; other files in it are left alone.
    form
        Kind and version of the model.
    settings
        Whatever fits in JSON.
    arrays
        Nested dictionaries of arrays.

    Raises
    ------
    InputError
        If the folder or a file in it cannot be written.
    """
    digest = digest_of(arrays)
    name = f"arrays-{digest[:16]}.h5"
    head = {"format": FORMAT, "version": form.version, "kind": form.kind, "arrays": name, "sha256": digest}
    precision = {"dtype": str(np.dtype(jnp.result_type(float)))}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {folder}: {error.strerror or error}") from error
    save_checkpoint(folder / name, arrays, {"kind": form.kind})
    write_text(folder / SETTINGS_FILE, json.dumps(head | settings | precision, indent=1, ensure_ascii=False))
    torn = (*folder.glob(".arrays-*.tmp*"), *folder.glob(f".{SETTINGS_FILE}.*.tmp*"))  # of saves that were killed
    for old in (*folder.glob("arrays-*.h5"), *torn):
        if old.name != name:
            with contextlib.suppress(OSError):
                old.unlink()


def kind_of(folder: Path) -> str:
    """What kind of model a folder says it holds, "" if it says nothing; an emulator of version 1 is one HDF5 file."""
    if (folder / "emulator.h5").is_file():
        return "emulator"
    try:
        return str(json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))["kind"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""


def read_model_settings(path: Path, form: ModelFormat, *, first_version: Path | None = None) -> tuple[Settings, Path]:
    """Settings in the present version of the format, and the file that holds the arrays.

    Parameters
    ----------
    path
        Folder of the model.
    form
        Kind and version that are expected.
    first_version
        Where the model lies if it has version 1, in which both kinds were one HDF5 file.

    Raises
    ------
    InputError
        If there is no model, or it is damaged, of another kind or of a later version.
    """
    if first_version is not None and first_version.is_file():
        settings = load_settings(first_version)
        if settings.get("kind") != form.kind:
            raise InputError(f"{first_version} holds no {form.description}: give what save() wrote, not a checkpoint")
        return form.migrated({**settings, "version": 1}, first_version), first_version
    settings = _read_json(path / SETTINGS_FILE)
    if settings.get("format") != FORMAT or settings.get("kind") != form.kind:
        raise InputError(f"'{path}' holds no {form.description} of neurodyn")
    name = settings.get("arrays")
    if not isinstance(name, str) or Path(name).name != name:
        raise InputError(f"'{path / SETTINGS_FILE}' names no file of arrays in its own directory")
    digest = settings.get("sha256")
    if settings.get("version") != 1 and not (isinstance(digest, str) and digest):
        raise InputError(f"'{path / SETTINGS_FILE}' has no checksum of its arrays: it is damaged")
    return form.migrated(settings, path), path / name


def read_model_arrays(file: Path, settings: Settings, like: Tree) -> Tree:
    """Arrays of a model whose settings have been read, in a pytree of the structure of ``like``; checked.

    Raises
    ------
    InputError
        If an array is missing or has another shape, or the checksum differs.
    """
    arrays = load_arrays(file, like)
    if settings["sha256"] and digest_of(arrays) != settings["sha256"]:  # version 1 had no checksum
        raise InputError(
            f"the arrays of the model '{file}' are damaged: their checksum is not the one in {SETTINGS_FILE}"
        )
    return arrays


def may_hold_model(folder: Path) -> bool:
    """Whether a directory holds a model, or nothing but what an interrupted save left behind."""
    names = [path.name for path in folder.iterdir()]
    leftover = all(name.startswith(("arrays-", ".arrays-", f".{SETTINGS_FILE}")) for name in names)
    return SETTINGS_FILE in names or leftover


def digest_of(arrays: Any) -> str:
    """SHA-256 over every array of a pytree with its name, type and shape."""
    total = hashlib.sha256()
    for key, leaf in jax.tree_util.tree_leaves_with_path(arrays):
        array = np.ascontiguousarray(leaf)
        total.update(f"{jax.tree_util.keystr(key)} {array.dtype.str} {array.shape}\n".encode())
        total.update(array.tobytes())
    return total.hexdigest()


def _read_json(path: Path) -> Settings:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"'{path.parent}' is not a model: it has no {path.name}") from error
    except (OSError, ValueError, RecursionError) as error:  # a number of thousands of digits is a ValueError
        raise InputError(f"cannot read '{path}': {' '.join(str(error).split())}") from error
    if not isinstance(found, dict):
        raise InputError(f"'{path}' holds no settings of a model")
    return found
