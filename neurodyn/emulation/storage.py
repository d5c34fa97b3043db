"""A trained network as a folder: what the store writes (:mod:`neurodyn.training.store`), its run and its snapshots.

=====================  =================================================================================
``model.json``         settings, the HMM, the course of training; beside it ``arrays-<digest>.h5``
``checkpoint.h5``      the run, to resume it
``snapshots/*.h5``     parameters after an epoch
=====================  =================================================================================

Version 1 was a single file ``emulator.h5``, which is still read.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np

from neurodyn.emulation.config import EmulationConfig
from neurodyn.emulation.network import initial_parameters
from neurodyn.errors import InputError
from neurodyn.markov import HiddenMarkovModel
from neurodyn.training import History, in_this_precision, load_settings, save_checkpoint
from neurodyn.training.store import (
    SETTINGS_FILE,
    ModelFormat,
    Settings,
    read_model_arrays,
    read_model_settings,
    save_model,
)
from neurodyn.versions import versions

FILE_NAME = SETTINGS_FILE
FIRST_VERSION = "emulator.h5"
CHECKPOINT_NAME = "checkpoint.h5"
SNAPSHOTS = "snapshots"

Snapshot = tuple[int, dict[str, np.ndarray]]


@dataclass(frozen=True)
class Fitted:
    """Result of a fit; immutable, and all that is saved.

    Parameters
    ----------
    parameters
        After the last epoch; those that validated best if training did not finish.
    history, status
        Course and end of training.
    snapshots
        (epoch, parameters), the earliest first.
    identity
        What has to be equal for the run to be resumed.
    """

    config: EmulationConfig
    hmm: HiddenMarkovModel
    parameters: dict[str, Any]
    history: History
    status: str
    snapshots: tuple[Snapshot, ...] = field(repr=False)
    identity: dict[str, Any] = field(repr=False)


class Snapshots:
    """Parameters after every few epochs: files in a folder, or kept in memory if there is none."""

    def __init__(self, directory: Path | None, every: int) -> None:
        self._folder = None if directory is None else directory / SNAPSHOTS
        self._every, self._kept = every, {}

    def keep(self, epoch: int, parameters: Any) -> None:
        """Keep a copy if it is this epoch's turn; an epoch that is run again after a kill replaces its own."""
        if not self._every or epoch % self._every:
            return
        self._kept[epoch] = jax.tree.map(np.array, parameters)
        if self._folder is not None:
            self._folder.mkdir(exist_ok=True)
            write_snapshot(self._folder, epoch, self._kept[epoch])

    def all(self) -> tuple[Snapshot, ...]:
        """Return every snapshot, those of a run before it was interrupted too."""
        before = {} if self._folder is None else dict(read_snapshots(self._folder.parent))
        return tuple(sorted((before | self._kept).items()))


def write_snapshot(folder: Path, epoch: int, parameters: Any) -> None:
    """Write the parameters of one epoch."""
    save_checkpoint(folder / f"epoch_{epoch:05d}.h5", parameters, {"epoch": epoch})


def read_snapshots(directory: Path) -> tuple[Snapshot, ...]:
    """Read all snapshots below a folder, the earliest first."""
    files = sorted((directory / SNAPSHOTS).glob("epoch_*.h5"))
    return tuple((int(load_settings(file)["epoch"]), _arrays_of(file)) for file in files)


def save_fitted(directory: Path, fitted: Fitted) -> None:
    """Write a fitted network and its snapshots into a folder.

    Raises
    ------
    InputError
        If the folder holds another network, or cannot be written.
    """
    check_folder(directory, fitted.identity)
    settings = {
        "config": asdict(fitted.config),
        "hmm": fitted.hmm.to_dict(),
        "history": asdict(fitted.history),
        "status": fitted.status,
        "identity": fitted.identity,
        "versions": versions(),
    }
    save_model(directory, NETWORK, settings, fitted.parameters)
    (directory / FIRST_VERSION).unlink(missing_ok=True)  # the same run's, or check_folder would have refused it
    there = {epoch for epoch, _ in read_snapshots(directory)}
    for epoch, parameters in fitted.snapshots:
        if epoch not in there:
            (directory / SNAPSHOTS).mkdir(exist_ok=True)
            write_snapshot(directory / SNAPSHOTS, epoch, parameters)


def load_fitted(directory: Path) -> Fitted:
    """Read a fitted network, in the precision that JAX computes in here, whichever it was saved in.

    Raises
    ------
    InputError
        If the folder holds none.
    """
    if not holds_network(directory):
        raise InputError(f"{directory} holds no trained network ({FILE_NAME}): give the folder that it was saved to")
    settings, file = _read_settings(directory)
    config, hmm = EmulationConfig.from_dict(settings["config"]), HiddenMarkovModel.from_dict(settings["hmm"])
    blank = initial_parameters(config.network, hmm.symbols, jax.random.key(0))
    parameters = in_this_precision(read_model_arrays(file, settings, blank))
    return Fitted(
        config=config, hmm=hmm, parameters=parameters, history=History(**settings["history"]),
        status=settings["status"], snapshots=read_snapshots(directory), identity=settings["identity"],
    )  # fmt: skip


def check_folder(directory: Path, identity: dict[str, Any]) -> None:
    """Refuse a folder with another run in it.

    Raises
    ------
    InputError
        If the checkpoint or the network there was made from other settings, another HMM or other sequences.
    """
    found = {}
    if (directory / CHECKPOINT_NAME).exists():
        found[CHECKPOINT_NAME] = load_settings(directory / CHECKPOINT_NAME).get("identity")
    if holds_network(directory):
        settings, _ = _read_settings(directory)
        found[FILE_NAME] = settings.get("identity")
    wanted = json.loads(json.dumps(identity))  # as the saved one went: tuples come back as lists
    for name, there in found.items():
        if there != wanted:
            raise InputError(
                f"{directory / name} belongs to another run ({_difference(there, wanted)}): choose another folder, or "
                "delete it"
            )


def holds_network(directory: Path) -> bool:
    """Whether a folder holds a trained network, of whichever version.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> import neurodyn as nd
    >>> weights = {"recurrent": 0.5 * np.eye(4), "input": np.ones((4, 2)), "readout": np.eye(3, 4)}
    >>> emulator = nd.HmmEmulator.from_weights(nd.emulation.Weights("relu", weights), nd.markov.linear_chain(2))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     emulator.save(f"{folder}/network")
    ...     [nd.emulation.holds_network(pathlib.Path(place)) for place in (folder, f"{folder}/network")]
    [False, True]
    """
    return any((directory / name).is_file() for name in (FILE_NAME, FIRST_VERSION))


def _read_settings(directory: Path) -> tuple[Settings, Path]:
    """Settings of the network in a folder, and the file with its arrays; a later version comes before the first."""
    first = None if (directory / FILE_NAME).is_file() else directory / FIRST_VERSION
    return read_model_settings(directory, NETWORK, first_version=first)


def _from_1(settings: Settings) -> Settings:
    """Version 1 had no checksum."""
    return {**settings, "version": 2, "sha256": ""}


NETWORK = ModelFormat("emulator", "network that emulates an HMM", 2, {1: _from_1})
"""The present version of the format, and the way from the older one."""


def _difference(found: Any, wanted: Any, path: str = "") -> str:
    """Name the first setting that differs, with both values."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        for name in {**wanted, **found}:
            if found.get(name) != wanted.get(name):
                return _difference(found.get(name), wanted.get(name), f"{path}.{name}".strip("."))
    return f"{path or 'settings'}: {found} there, {wanted} here"


def _arrays_of(file: Path) -> dict[str, np.ndarray]:
    """All arrays of a checkpoint by name, whatever their shapes."""
    import h5py

    with h5py.File(file, "r") as opened:
        arrays = opened["arrays"]
        assert isinstance(arrays, h5py.Group)
        return {str(name): np.asarray(arrays[name]) for name in arrays.keys()}  # noqa: SIM118  (a group, no dictionary)
