"""Write a simulated recording as an NWB file: so that examples and tests begin where a user begins."""

import os
from pathlib import Path

from neurodyn.recording import Recording
from neurodyn.recording import write_nwb as write_recording


def write_nwb(recording: Recording, path: str | os.PathLike[str]) -> Path:
    """Write a simulated recording as NWB 2, see `neurodyn.recording.write_nwb`; the file says that it is simulated.

    Parameters
    ----------
    recording
        In seconds.
    path
        File to write; one that is there is replaced.

    Returns
    -------
    Path of the file.

    Examples
    --------
    >>> import tempfile
    >>> import neurodyn as nd
    >>> session = nd.simulate_foraging(nd.simulation.ForagingSettings(seconds=10.0), seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = nd.simulation.write_nwb(session, f"{folder}/session.nwb")
    ...     path.name, len(nd.read_nwb(path).spike_trains().units)
    ('session.nwb', 16)
    """
    return write_recording(recording, path, description=f"simulated: {recording.name}")
