"""One reader and one writer for every format: read by what is in the file, written by its name."""

import contextlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from neurodyn.errors import InputError, unknown_name
from neurodyn.recording.checks import warn_of_doubts
from neurodyn.recording.compare import differences
from neurodyn.recording.guard import open_hdf5
from neurodyn.recording.hdf5 import is_recording, read_hdf5, write_hdf5
from neurodyn.recording.layout import Layout
from neurodyn.recording.left_out import Repeated
from neurodyn.recording.matlab import is_ours, read_matlab, write_matlab
from neurodyn.recording.matlab_file import load_variables
from neurodyn.recording.nwb import is_nwb_1, read_nwb
from neurodyn.recording.nwb_write import write_nwb
from neurodyn.recording.recording import Recording

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
    """Read a recording of any format: NWB, HDF5, MATLAB 5 or 7.3, told apart by what is in the file.

    Parameters
    ----------
    path
        The file.
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
    reader = _reader(path)
    ways = {"skip": tuple(skip), "lazy": lazy, "repeated": repeated, "strict": strict}
    if reader is read_matlab:
        return warn_of_doubts(read_matlab(path, layout, **ways))
    if layout is not None:
        raise InputError(f"'{path}' is no MATLAB file: a layout is for those")
    return warn_of_doubts(reader(path, **ways))


def read_variables(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """Variables of a file whose format does not say what is what, and that needs a layout; None for any other.

    Raises
    ------
    InputError
        If the file is of no known format, or damaged.
    """
    path = Path(path)
    if _reader(path) is not read_matlab:
        return None
    variables = load_variables(path)
    return None if is_ours(variables) else variables


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
    trial = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        WRITERS[path.suffix.lower()](recording, trial)
        changed = differences(recording, _reader(trial)(trial, lazy=True))
        if changed:
            raise InputError(
                f"'{path}' would not hold all of '{recording.name}' ({changed[0]}): write .h5, which holds everything"
            )
        os.replace(trial, path)
    except OSError as error:
        raise InputError(f"cannot write '{path}': {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            trial.unlink()
    return path


def _reader(path: Path) -> Callable[..., Recording]:
    import h5py

    if path.is_dir():
        raise InputError(f"'{path}' is a directory: give a file")
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
        raise InputError(f"'{path}' is no recording that neurodyn reads: expected NWB, HDF5 or MATLAB 5 or 7.3")
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
