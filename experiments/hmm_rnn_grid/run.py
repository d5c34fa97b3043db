"""Do networks of the paper's grid emulate their hidden Markov models, and as closely as the authors' networks?"""

import argparse
import contextlib
import itertools
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from experiments.command import configuration, options, readme_of
from neurodyn.sweep import Cluster

if TYPE_CHECKING:
    from distributed import Client

FOLDER = Path(__file__).parent
RETRIES = 2


@dataclass(frozen=True)
class Network:
    """One network of the grid: an HMM, sizes and a seed."""

    family: str
    states: int
    hidden: int
    inputs: int
    seed: int

    @property
    def name(self) -> str:
        """Folder of the network below the results."""
        return f"{self.family}{self.states}/hidden{self.hidden}_inputs{self.inputs}/seed{self.seed}"


def main(argv: list[str] | None = None) -> None:
    """Train every network that has not been trained yet, and put the summaries together."""
    from experiments.hmm_rnn_grid.collect import write_results

    given = _arguments(argv)
    config = configuration(FOLDER, smoke=given.smoke)
    networks = networks_of(config["networks"], config["subset"] if given.subset else {})
    given.out.mkdir(parents=True, exist_ok=True)
    missing = [network for network in networks if not (given.out / network.name / "summary.json").exists()]
    if missing:
        with Cluster(given.scheduler, given.workers, memory=0).client() as client:
            train_all(client, missing, given.out.resolve(), {key: config[key] for key in ("scale", "trials")})
    summaries = {network.name: _read(given.out / network.name) for network in networks}
    write_results(summaries, given.out, readme=readme_of(FOLDER, given))


def networks_of(rows: Sequence[Mapping[str, Sequence[Any]]], only: Mapping[str, Sequence[Any]]) -> list[Network]:
    """All combinations of each row that have one of the values asked for; the longest to train first."""
    every = [
        Network(**dict(zip(row, values, strict=True))) for row in rows for values in itertools.product(*row.values())
    ]
    chosen = [n for n in every if all(getattr(n, key) in values for key, values in only.items())]
    return sorted(chosen, key=lambda n: (n.states != 2, n.seed))  # trials of the chain of two states have 100 steps


def train_all(client: "Client", networks: Sequence[Network], out: Path, common: Mapping[str, Any]) -> None:
    """Train on the workers; what a lost worker had begun is resumed from its checkpoint by another."""
    from distributed import as_completed

    tasks = {
        client.submit(train, _words(network, out, common), str(out / network.name), key=network.name, retries=RETRIES)
        for network in networks
    }
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        shown = progress.add_task("networks", total=len(tasks))
        failed = []
        for task in as_completed(tasks):
            if task.status == "error":
                failed.append(f"{task.key}: {task.exception()}")
            progress.update(shown, advance=1)
    if failed:
        raise SystemExit("\n".join([f"{len(failed)} networks failed; run the command again to go on:", *failed]))


def train(words: Sequence[str], folder: str) -> None:
    """Run ``neurodyn emulate`` on a worker, with what it prints in a file.

    Raises
    ------
    RuntimeError
        If it fails: with the last line it printed.
    """
    from neurodyn.cli.main import main as neurodyn

    Path(folder).mkdir(parents=True, exist_ok=True)
    log = Path(folder) / "log.txt"
    with log.open("w", encoding="utf-8") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        code = neurodyn(list(words))
    if code:
        raise RuntimeError(log.read_text(encoding="utf-8").strip().splitlines()[-1])


def _words(network: Network, out: Path, common: Mapping[str, Any]) -> list[str]:
    return ["emulate", *options({**vars(network), **common}), "--out", str(out / network.name)]


def _read(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="a run of a minute that shows that everything works")
    parser.add_argument("--subset", action="store_true", help="only the sizes under subset in config.yaml")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="Dask scheduler, like tcp://host:8786 (a local cluster)")
    parser.add_argument("--workers", metavar="N", type=int, help="of the local cluster (one per core)")
    parser.add_argument("--out", metavar="DIR", type=Path, default=None, help=f"({FOLDER.name}/results)")
    given = parser.parse_args(argv)
    if given.smoke and given.out is None:
        parser.error("a smoke run has no results worth keeping: give a folder for it with --out")
    given.out = given.out or FOLDER / "results"
    return given


if __name__ == "__main__":
    main(sys.argv[1:])
