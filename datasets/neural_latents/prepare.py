"""Neural Latents Benchmark: make recordings of NWB files that were fetched from the DANDI archive.

dandi download DANDI:000128                                   # the archive's own client
python -m datasets.neural_latents.prepare --out data --files 000128/sub-Jenkins/*.nwb
"""

import argparse
import sys
from pathlib import Path

from datasets.command import run
from neurodyn.errors import InputError
from neurodyn.recording import Recording, read_nwb

DANDISETS = {
    "MC_Maze": "000128",
    "MC_RTT": "000129",
    "Area2_Bump": "000127",
    "DMFC_RSG": "000130",
    "MC_Maze_Large": "000138",
    "MC_Maze_Medium": "000139",
    "MC_Maze_Small": "000140",
}


def convert(path: Path) -> Recording:
    """Recording of one NWB file of the benchmark: units with their ``heldout`` flag, hand or cursor, trials."""
    return read_nwb(path)


def prepare(given: argparse.Namespace) -> list[tuple[str, Recording]]:
    """Convert the files given."""
    if not given.files:
        sets = ", ".join(f"{name} = DANDI:{number}" for name, number in DANDISETS.items())
        raise InputError(
            "give the NWB files with --files; the archive's own client fetches them ( pip install dandi;"
            f" dandi download DANDI:000128 ): {sets}"
        )
    return [(path.stem, convert(path)) for path in given.files]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this data set."""
    parser.add_argument("--files", type=Path, nargs="*", default=[], help="NWB files as they were downloaded")


if __name__ == "__main__":
    sys.exit(run(__doc__, prepare, add_options))
