"""One reader and one writer for every format: read by what is in the file, written by its name."""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from neurodyn.errors import InputError, unknown_name
from neurodyn.recording.checks import warn_of_doubts
from neurodyn.recording.compare import differences
from neurodyn.recording.described import described_recording
from neurodyn.recording.guard import open_hdf5
from neurodyn.recording.hdf5 import is_recording, read_hdf5, write_hdf5
from neurodyn.recording.layout import Layout
from neurodyn.recording.left_out import Choices, Repeated
from neurodyn.recording.matlab import is_cell_explorer, is_ours, needs_layout, read_matlab, write_matlab
from neurodyn.recording.matlab_file import load_variables
from neurodyn.recording.names import file_name
from neurodyn.recording.nwb import is_nwb_1, read_nwb
from neurodyn.recording.nwb_write import write_nwb
from neurodyn.recording.phy import is_phy, read_phy
from neurodyn.recording.recording import Recording
from neurodyn.recording.variables import LOADERS, Folder, pointed_elsewhere
from neurodyn.recording.xdf import read_xdf
from neurodyn.writing import replace_atomically

_LARGEST_SHOWN = 2**28
"""Bytes of a file in a folder up to which it is looked into to show what is there."""
WRITERS: dict[str, Callable[[Recording, Path], Path]] = {
    ".h5": write_hdf5,
    ".hdf5": write_hdf5,
    ".mat": write_matlab,
    ".nwb": write_nwb,
}


def read_recording(
    path: str | os.PathLike[str],
    *,
    skip: Iterable[str] = (),
    lazy: bool | None = None,
    layout: Layout | None = None,
    repeated: Repeated | str | None = None,
    strict: bool = True,
) -> Recording:
    """Read a recording of any format, told apart by what is in the file.

    NWB, HDF5, MATLAB 5 or 7.3 (CellExplorer's among them), XDF, and folders of Kilosort or phy say themselves what they
    hold.  Other MATLAB files, NumPy files, tables of text (CSV), and folders of these are described by a layout.

    Parameters
    ----------
    path
        The file or folder.
    skip
        Names of items to leave out; ``trials[17]`` is a row of intervals, ``spikes[7]`` the unit labelled 7.
    lazy
        Whether fields stay in the file until they are needed; None: if they have more than 1 GiB.
    layout
        Of a file that has a layout of its own.
    repeated
        What becomes of samples that repeat a time: ``"mean"``, ``"first"`` or ``"drop"``; None: they are refused.
    strict
        Whether one item that cannot be used is an error.  Else it is among `Recording.unusable`, with the reason, and
        only asking for it is an error.

    Returns
    -------
    Recording
        With a warning (`ImplausibleWarning`) where something looks wrong, such as milliseconds for seconds.

    Raises
    ------
    InputError
        If the file is of no known format, or its reader refuses it.
    """
    path = Path(path)
    ways = {"skip": tuple(skip), "lazy": lazy, "repeated": repeated, "strict": strict}
    variables = None if layout is None and _is_phy(path) else _loaded(path)
    if variables is not None:
        if layout is None:
            raise needs_layout(path, variables)
        choices = Choices.of(skip, repeated, strict, lazy)
        return warn_of_doubts(described_recording(file_name(path.absolute()), variables, layout, choices))
    reader = _reader(path)
    if reader is read_matlab:
        return warn_of_doubts(read_matlab(path, layout, **ways))
    if layout is not None:
        raise InputError(
            f"'{path}' says itself what is what: a layout is for those files (MATLAB, NumPy, CSV) that do not"
        )
    return warn_of_doubts(reader(path, **ways))


def _is_phy(path: Path) -> bool:
    return path.is_dir() and is_phy(path)


def _loaded(path: Path, largest: int | None = None) -> Mapping[str, Any] | None:
    """Variables of a file, or folder, that is nothing but variables; None for any other, MATLAB files among them."""
    if path.is_dir():
        return Folder(path, largest)
    load = LOADERS.get(path.suffix.lower())
    return load(path) if load is not None and path.is_file() and load is not load_variables else None


def read_variables(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """Variables of a file whose format does not say what is what, and that needs a layout; None for any other.

    Raises
    ------
    InputError
        If the file is of no known format, or damaged.
    """
    path = Path(path)
    if not _is_phy(path) and (variables := _loaded(path, _LARGEST_SHOWN)) is not None:
        return dict(variables)
    if _reader(path) is not read_matlab:
        return None
    variables = load_variables(path)
    return None if is_ours(variables) or is_cell_explorer(variables) else variables


def write_recording(recording: Recording, path: str | os.PathLike[str]) -> Path:
    """Write a recording in the format that the file's ending names (.h5, .nwb, .mat) and read it again to compare.

    Raises
    ------
    InputError
        If the ending is unknown, the file cannot be written, or the format cannot hold all of the recording; what was
        there before is then still there.
    """
    path = Path(path)
    if path.suffix.lower() not in WRITERS:
        raise unknown_name("file ending", path.suffix, WRITERS)
    with replace_atomically(path) as trial:
        WRITERS[path.suffix.lower()](recording, trial)
        changed = differences(recording, _reader(trial)(trial, lazy=True))
        if changed:
            raise InputError(
                f"'{path}' would not hold all of '{recording.name}' ({changed[0]}): write .h5, which holds everything"
            )
    return path


def _reader(path: Path) -> Callable[..., Recording]:
    import h5py

    if path.is_dir():
        return read_phy
    if not path.exists():
        raise InputError(f"there is no file '{path}'")
    try:
        with path.open("rb") as file:
            head = file.read(128)
    except OSError as error:
        raise InputError(f"cannot read '{path}': {error.strerror or error}") from error
    if not h5py.is_hdf5(path):
        if head[126:128] in (b"IM", b"MI"):
            return read_matlab
        if head[:4] == b"XDF:":
            return read_xdf
        raise InputError(
            pointed_elsewhere(path)
            or f"'{path}' is no recording that neurodyn reads: expected NWB, HDF5, MATLAB 5 or 7.3, NumPy, CSV or XDF"
        )
    with open_hdf5(path) as file:
        if "nwb_version" in file.attrs or is_nwb_1(file):
            return read_nwb
        if is_recording(file):
            return read_hdf5
        if any("MATLAB_class" in file[name].attrs for name in file):
            return read_matlab
    raise InputError(
        f"'{path}' is HDF5 of an unknown layout: expected NWB, MATLAB 7.3 or what  neurodyn convert  writes"
    )
