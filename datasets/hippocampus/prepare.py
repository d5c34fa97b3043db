"""Hippocampal recordings with field potentials: make recordings of NWB files that were fetched from the DANDI archive.

dandi download DANDI:000044                                   # the archive's own client
python -m datasets.hippocampus.prepare --out data --files 000044/sub-Achilles/*.nwb --channels 8
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from datasets.command import run
from neurodyn.errors import InputError
from neurodyn.recording import Recording, read_nwb


def convert(path: Path, *, channels: int | None = None) -> Recording:
    """Recording of one NWB file with units, field potentials, position and epochs.

    Parameters
    ----------
    path
        The file as it was downloaded; field potentials stay in it until they are needed.
    channels
        How many channels of each field to keep, spread evenly over the probe; None for all.
    """
    recording = read_nwb(path, lazy=True)
    if channels is None:
        return recording
    if channels < 1:
        raise InputError(f"keep at least one channel, got {channels}")
    fields = {}
    for name, field in recording.fields.items():
        rows = np.unique(np.linspace(0, field.n_channels - 1, channels).round().astype(int))
        fields[name] = field.select(field.channels[row] for row in rows)
    return replace(recording, fields=fields)


def prepare(given: argparse.Namespace) -> list[tuple[str, Recording]]:
    """Convert the files given."""
    if not given.files:
        raise InputError(
            "give the NWB files with --files; the archive's own client fetches them"
            " ( pip install dandi; dandi download DANDI:000044 )"
        )
    return [(path.stem, convert(path, channels=given.channels)) for path in given.files]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this data set."""
    parser.add_argument("--files", type=Path, nargs="*", default=[], help="NWB files as they were downloaded")
    parser.add_argument("--channels", type=int, default=None, help="channels of each field to keep (all)")


if __name__ == "__main__":
    sys.exit(run(__doc__, prepare, add_options))
