"""One reader and one writer for every format: read by what is in the file, written by its name."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from neurodyn.display import either
from neurodyn.errors import InputError, unknown_name
from neurodyn.given import argument_named, file_path
from neurodyn.recording.checks import warn_of_doubts
from neurodyn.recording.compare import differences
from neurodyn.recording.described import described_recording
from neurodyn.recording.format import Content, Format
from neurodyn.recording.guard import open_hdf5
from neurodyn.recording.hdf5 import is_recording, read_hdf5
from neurodyn.recording.hdf5_write import write_hdf5
from neurodyn.recording.layout import Layout
from neurodyn.recording.left_out import Choices, Repeated
from neurodyn.recording.matlab import is_cell_explorer, is_ours, needs_layout, read_matlab, write_matlab
from neurodyn.recording.matlab_file import load_variables
from neurodyn.recording.names import file_name
from neurodyn.recording.nwb import is_nwb_1, read_nwb
from neurodyn.recording.nwb_write import write_nwb
from neurodyn.recording.phy import is_phy, read_phy
from neurodyn.recording.recording import Recording
from neurodyn.recording.session import is_session, read_session
from neurodyn.recording.variables import LOADERS, Folder, pointed_elsewhere
from neurodyn.recording.xdf import read_xdf
from neurodyn.writing import replace_atomically

_LARGEST_SHOWN = 2**28
"""Bytes of a file in a folder up to which it is looked into to show what is there."""


def _is_matlab(content: Content) -> bool:
    if content.hdf5 is None:
        return content.head[126:128] in (b"IM", b"MI")
    return any("MATLAB_class" in content.hdf5[name].attrs for name in content.hdf5)


def _matlab_variables(path: Path) -> dict[str, Any] | None:
    variables = load_variables(path)
    return None if is_ours(variables) or is_cell_explorer(variables) else variables


FORMATS: dict[str, Format] = {
    "nwb": Format(
        "NWB",
        lambda content: content.hdf5 is not None and ("nwb_version" in content.hdf5.attrs or is_nwb_1(content.hdf5)),
        read_nwb,
        write_nwb,
        (".nwb",),
        in_hdf5="NWB",
    ),
    "hdf5": Format(
        "HDF5",
        lambda content: content.hdf5 is not None and is_recording(content.hdf5),
        read_hdf5,
        write_hdf5,
        (".h5", ".hdf5"),
        in_hdf5="HDF5 as  neurodyn convert  writes it",
    ),
    "session": Format(
        "recorded session",
        lambda content: content.hdf5 is not None and is_session(content.hdf5),
        read_session,
        in_hdf5="a session as  neurodyn serve --record  writes it",
    ),
    "matlab": Format(
        "MATLAB 5 or 7.3",
        _is_matlab,
        read_matlab,
        write_matlab,
        (".mat",),
        _matlab_variables,
        in_hdf5="MATLAB 7.3",
    ),
    "xdf": Format("XDF", lambda content: content.head[:4] == b"XDF:", read_xdf),
    "phy": Format("Kilosort or phy", lambda content: is_phy(content.path), read_phy, folder=True),
}
"""In the order in which a file is tried for them; to add one, see ADDING_A_FORMAT.md."""


def format_names(*, folders: bool = False) -> list[str]:
    """Names of the formats that are read, of files or of folders; files that need a layout among them.

    Examples
    --------
    >>> format_names()
    ['NWB', 'HDF5', 'recorded session', 'MATLAB 5 or 7.3', 'XDF', 'NumPy', 'CSV']
    """
    return [each.name for each in FORMATS.values() if each.folder == folders] + ([] if folders else ["NumPy", "CSV"])


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

    Examples
    --------
    >>> import tempfile
    >>> import neurodyn as nd
    >>> session = nd.simulate_foraging(nd.simulation.ForagingSettings(seconds=10.0), seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = nd.recording.write_recording(session, f"{folder}/session.h5")
    ...     read = nd.read_recording(path, skip=["lfp"])
    >>> list(read.spikes), list(read.fields), list(read.behaviour), list(read.intervals)
    (['spikes'], [], ['position'], ['epochs'])
    """
    path = argument_named("path", file_path, path)
    ways = {"skip": tuple(skip), "lazy": lazy, "repeated": repeated, "strict": strict}
    variables = None if layout is None and _folder_format(path) else _loaded(path)
    if variables is not None:
        if layout is None:
            raise needs_layout(path, variables)
        choices = Choices.of(skip, repeated, strict, lazy)
        return warn_of_doubts(described_recording(file_name(path.absolute()), variables, layout, choices))
    found = _format(path)
    if found.variables is not None:
        return warn_of_doubts(found.read(path, layout, **ways))
    if layout is not None:
        raise InputError(
            f"'{path}' says itself what is what: a layout is for those files (MATLAB, NumPy, CSV) that do not"
        )
    return warn_of_doubts(found.read(path, **ways))


def _folder_format(path: Path) -> Format | None:
    """Format of a folder; None for a file, and for a folder of variables."""
    folders = (each for each in FORMATS.values() if each.folder) if path.is_dir() else ()
    return next((each for each in folders if each.recognises(Content(path))), None)


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

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from neurodyn.recording import read_variables
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "session.npz")
    ...     np.savez(path, times=np.array([0.1, 0.4, 0.9]), unit=np.array([0, 1, 0]))
    ...     {name: values.shape for name, values in read_variables(path).items()}
    {'times': (3, 1), 'unit': (3, 1)}
    """
    path = Path(path)
    if _folder_format(path) is None and (variables := _loaded(path, _LARGEST_SHOWN)) is not None:
        return dict(variables)
    found = _format(path)
    return None if found.variables is None else found.variables(path)


def write_recording(recording: Recording, path: str | os.PathLike[str]) -> Path:
    """Write a recording in the format whose `endings` in `FORMATS` have that of the file, and read it again to compare.

    Raises
    ------
    InputError
        If the ending is unknown, the file cannot be written, or the format cannot hold all of the recording; what was
        there before is then still there.

    Examples
    --------
    >>> import tempfile
    >>> import neurodyn as nd
    >>> session = nd.simulate_foraging(nd.simulation.ForagingSettings(seconds=10.0), seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = nd.recording.write_recording(session, f"{folder}/session.h5")
    ...     nd.recording.differences(session, nd.read_recording(path))
    []
    """
    path = Path(path)
    writers = {ending: each.write for each in FORMATS.values() if each.write is not None for ending in each.endings}
    if path.suffix.lower() not in writers:
        raise unknown_name("file ending", path.suffix, writers)
    with replace_atomically(path) as trial:
        writers[path.suffix.lower()](recording, trial)
        changed = differences(recording, _format(trial).read(trial, lazy=True))
        if changed:
            raise InputError(
                f"'{path}' would not hold all of '{recording.name}' ({changed[0]}): write .h5, which holds everything"
            )
    return path


def _format(path: Path) -> Format:
    """Format of a file, or of a folder that has one.

    Raises
    ------
    InputError
        If it has none that is read.
    """
    import h5py

    if (folder := _folder_format(path)) is not None:
        return folder
    if not path.exists():
        raise InputError(f"there is no file '{path}'")
    try:
        with path.open("rb") as file:
            head = file.read(128)
    except OSError as error:
        raise InputError(f"cannot read '{path}': {error.strerror or error}") from error
    if not h5py.is_hdf5(path):
        if (found := _recognised(Content(path, head))) is not None:
            return found
        raise InputError(
            pointed_elsewhere(path)
            or f"'{path}' is not a recording that neurodyn reads: expected {either(format_names())}"
        )
    with open_hdf5(path) as file:
        if (found := _recognised(Content(path, head, file))) is not None:
            return found
    known = either(each.in_hdf5 for each in FORMATS.values() if each.in_hdf5)
    raise InputError(f"'{path}' is HDF5 of an unknown layout: expected {known}")


def _recognised(content: Content) -> Format | None:
    return next((each for each in FORMATS.values() if not each.folder and each.recognises(content)), None)
