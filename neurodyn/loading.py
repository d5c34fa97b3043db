"""One function for everything that was saved."""

import os
from typing import TYPE_CHECKING

from neurodyn.errors import InputError
from neurodyn.given import argument_named, file_path

if TYPE_CHECKING:
    from neurodyn.emulation import HmmEmulator
    from neurodyn.multiscale import MultiscaleDecoder
    from neurodyn.realtime import RealtimeDecoder


def load(path: str | os.PathLike[str]) -> "MultiscaleDecoder | HmmEmulator | RealtimeDecoder":
    """Read a fitted model, whatever it is.

    Parameters
    ----------
    path
        What ``save`` of a `MultiscaleDecoder` or a fit of an `HmmEmulator` (``neurodyn emulate``) left, or the npz file
        of ``export``, which is read as a live decoder and needs no JAX.

    Returns
    -------
    The fitted estimator, or the live decoder.

    Raises
    ------
    InputError
        If there is nothing, or something else.

    Examples
    --------
    >>> import tempfile
    >>> import neurodyn as nd
    >>> try:
    ...     nd.load(f"{tempfile.gettempdir()}/nothing here")
    ... except nd.InputError as error:
    ...     print(str(error)[:16])
    there is no file
    """
    place = argument_named("path", file_path, path)
    if not place.exists():
        raise InputError(
            f"there is no file or folder '{place}': give what save(), export() or 'neurodyn emulate' wrote"
        )
    if place.suffix == ".npz":
        from neurodyn.realtime import RealtimeDecoder

        return RealtimeDecoder.load(place)
    from neurodyn.training.store import kind_of

    if kind_of(place) == "emulator":
        from neurodyn.emulation import HmmEmulator

        return HmmEmulator.load(place)
    if place.suffix.lower() in (".nwb", ".mat", ".csv", ".npy"):
        raise InputError(f"'{place}' is not a model: a recording is read by neurodyn.read_recording")
    from neurodyn.multiscale import MultiscaleDecoder

    return MultiscaleDecoder.load(place)
