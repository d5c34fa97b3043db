"""How well does the model decode real recordings, live, next to causal ridge regression?"""

import os
import sys
from pathlib import Path

from experiments.collect import read_runs, write_results
from experiments.command import arguments, configuration, options, run

FOLDER = Path(__file__).parent


def main(argv: list[str] | None = None) -> None:
    """Decode each recording with cross-validation, and put the summaries together."""
    given = arguments(__doc__, FOLDER, argv)
    if "NEURODYN_DATA" not in os.environ:
        print("skipped: set NEURODYN_DATA to the folder that holds the recordings (see README.md)", file=sys.stderr)
        return
    config, data = configuration(FOLDER, smoke=given.smoke), Path(os.environ["NEURODYN_DATA"])
    folders = {name: given.out / name for name in config}
    for name, row in config.items():
        settings = ("--config", FOLDER / f"{name}.yaml", *options(row["options"]))
        run("decode", data / row["file"], "--out", folders[name], *settings)
    write_results(read_runs(folders), given.out, readme=given.readme, metric="r2", title="Recordings")


if __name__ == "__main__":
    main()
