"""What the commands that prepare a data set share."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from neurodyn.errors import NeurodynError
from neurodyn.recording import Recording, write_recording


def run(
    doc: str | None,
    prepare: Callable[[argparse.Namespace], list[tuple[str, Recording]]],
    add_options: Callable[[argparse.ArgumentParser], None],
    argv: list[str] | None = None,
) -> int:
    """Parse ``--out`` and the options of the data set, and write each recording as HDF5; errors in one line."""
    parser = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder for downloads and recordings")
    add_options(parser)
    given = parser.parse_args(argv)
    try:
        given.out.mkdir(parents=True, exist_ok=True)
        for name, recording in prepare(given):
            print(write_recording(recording, given.out / f"{name}.h5"))
    except (NeurodynError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
