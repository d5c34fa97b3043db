"""Do spikes and a slower field together decode a Lorenz attractor better than either alone?"""

from pathlib import Path

from experiments.collect import read_runs, write_results
from experiments.command import arguments, configuration, options, run

FOLDER = Path(__file__).parent


def main(argv: list[str] | None = None) -> None:
    """Run the demo for each seed, and put the summaries together."""
    given = arguments(__doc__, FOLDER, argv)
    config = configuration(FOLDER, smoke=given.smoke)
    folders = {f"seed {seed}": given.out / f"seed{seed}" for seed in config["seeds"]}
    for seed, folder in zip(config["seeds"], folders.values(), strict=True):
        run("demo", "--out", folder, "--seed", str(seed), *options(config["options"]))
    write_results(
        read_runs(folders), given.out, readme=given.readme, metric="correlation", title="Stochastic Lorenz attractor"
    )


if __name__ == "__main__":
    main()
