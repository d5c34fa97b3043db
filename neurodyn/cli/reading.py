"""Read a recording for a command: any format, and what looks wrong in it said in a line each."""

import sys
import warnings
from collections.abc import Iterable
from pathlib import Path

from neurodyn.recording import ImplausibleWarning, MatlabLayout, Recording, read_recording


def read(path: Path, *, skip: Iterable[str] = (), layout: MatlabLayout | None = None) -> Recording:
    """Read a recording and print each doubt about it on standard error.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ImplausibleWarning)
        recording = read_recording(path, skip=skip, layout=layout)
    for warning in caught:
        if issubclass(warning.category, ImplausibleWarning):
            print(f"neurodyn: warning: {warning.message}", file=sys.stderr)
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return recording
