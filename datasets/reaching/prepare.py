"""Monkey reaching (O'Doherty, Makin, Sabes and colleagues): download a session and make a recording of it.

python -m datasets.reaching.prepare --out data --session indy_20160407_02
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from datasets.command import run
from datasets.download import fetch
from datasets.reaching.broadband import field_of
from neurodyn.recording import MatlabLayout, MatlabSignal, Recording, Signal, read_matlab

RECORD = "https://zenodo.org/records/583331/files"
LAYOUT = MatlabLayout(
    spikes="spikes",
    channels="chan_names",
    unsorted=False,
    behaviour=(
        MatlabSignal("cursor_pos", name="cursor", time="t", unit="mm"),
        MatlabSignal("finger_pos", name="finger", time="t", unit="cm"),
        MatlabSignal("target_pos", name="target", time="t", unit="mm"),
    ),
)
FINGER = ("z", "-x", "-y", "azimuth", "elevation", "roll")


def convert(path: Path, *, hash_units: bool = False) -> Recording:
    """Recording of one session's MATLAB file (version 7.3).

    Parameters
    ----------
    path
        The file as it was downloaded.
    hash_units
        Whether to keep the first unit of each channel: threshold crossings that sorting left over.

    Returns
    -------
    Recording
        Sorted units with the attribute ``channel``; cursor and target (x, y in mm) and finger (cm) at 250 Hz, with the
        file's own timestamps.
    """
    recording = read_matlab(path, replace(LAYOUT, unsorted=hash_units))
    behaviour = {name: _named(signal) for name, signal in recording.behaviour.items()}
    # A channel-first file has (2, samples): the reader has refused it by its timestamps.
    return replace(recording, behaviour=behaviour)


def _named(signal: Signal) -> Signal:
    names = FINGER if signal.name == "finger" else ("x", "y", "z")
    return replace(signal, channels=tuple(names[: signal.n_channels]), values=np.asarray(signal.values))


def prepare(given: argparse.Namespace) -> list[tuple[str, Recording]]:
    """Download what was asked for and convert it."""
    name = f"{given.session}.mat"
    known = Path(__file__).with_name("checksums.json")
    path = fetch(f"{RECORD}/{name}?download=1", given.out / "downloads" / name, known=known)
    recording = convert(path, hash_units=given.hash_units)
    if given.broadband is not None:
        recording = replace(recording, fields={"lfp": field_of(given.broadband, channels=given.field_channels)})
    return [(given.session, recording)]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this data set."""
    parser.add_argument("--session", default="indy_20160407_02", help="name of a file of the archive, without .mat")
    parser.add_argument("--hash-units", action="store_true", help="keep threshold crossings that were not sorted")
    parser.add_argument(
        "--broadband", metavar="FILE", type=Path, help="broadband file of the same session, to make its field of"
    )
    parser.add_argument("--field-channels", metavar="N", type=int, help="of the field, spread over the array (all)")


if __name__ == "__main__":
    sys.exit(run(__doc__, prepare, add_options))
