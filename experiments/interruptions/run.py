"""Does a training that is killed at random moments lose anything?"""

import csv
import json
import multiprocessing
import os
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from experiments.command import arguments, configuration

FOLDER = Path(__file__).parent
SIGNALS = {"SIGINT": signal.SIGINT, "SIGTERM": signal.SIGTERM, "SIGKILL": signal.SIGKILL}
KINDS = (*SIGNALS, "full disk", "crash")
LONGEST = 300.0
"""Seconds after which a training that does not end hangs."""


@dataclass(frozen=True)
class Kill:
    """One interruption, and what was found after it.

    Parameters
    ----------
    chain
        Training it belongs to.
    kind
        A signal, a full disk, or a crash while a checkpoint is written.
    seconds
        From the first write of a checkpoint to the signal; NaN for the others.
    exit_code
        Of the process; negative for a signal.
    epochs
        In the checkpoint that was left; -1 if there was none yet.
    torn
        Unfinished files beside the checkpoint.
    """

    chain: int
    kind: str
    seconds: float
    exit_code: int
    epochs: int
    torn: int


def main(argv: list[str] | None = None) -> None:
    """Train without and with interruptions, compare, and write the table."""
    given = arguments(__doc__, FOLDER, argv)
    config = configuration(FOLDER, smoke=given.smoke)
    given.out.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["experiments.interruptions.job"])
    equal: list[bool] = []
    with tempfile.TemporaryDirectory() as scratch:
        for kills, equal in interrupt(context, Path(scratch), config):
            write(given.out, kills, equal)
    if not all(equal):
        raise SystemExit("a training that was interrupted and resumed differs from one that was not")


def interrupt(context: Any, scratch: Path, config: dict[str, Any]) -> Iterator[tuple[list[Kill], list[bool]]]:
    """Kills so far after each chain, and whether each resumed training equals the uninterrupted one bit for bit."""
    chance, epochs = random.Random(config["seed"]), config["epochs"]
    reference = scratch / "reference"
    reference.mkdir()
    # The first fills the cache of compiled programs; the second takes the time that the others take.
    duration = 0.0
    for _ in range(2):
        shutil.rmtree(reference)
        reference.mkdir()
        duration = run_to_the_end(context, reference, epochs)
    kills: list[Kill] = []
    equal: list[bool] = []
    while len(kills) < config["kills"]:
        folder = scratch / f"chain{len(equal)}"
        folder.mkdir()
        for number in range(config["chain"]):
            kind = KINDS[(len(kills) + number // len(KINDS)) % len(KINDS)]
            share = duration / (1.5 * config["chain"])
            kill = attempt(context, folder, epochs, kind, chance, share, chain=len(equal))
            if kill is None:  # done before it was hit: the machine was busier when the time was taken
                duration /= 2
                break
            kills.append(kill)
            print(f"{len(kills)}: {kill}", flush=True)
        run_to_the_end(context, folder, epochs)
        equal.append(result_of(folder) == result_of(reference))
        yield kills, equal


def run_to_the_end(context: Any, folder: Path, epochs: int) -> float:
    """Train until done; seconds from the first checkpoint."""
    process, saving = start(context, folder, epochs, ("none", 0))
    saving.wait(LONGEST)
    begin = time.perf_counter()
    process.join(LONGEST)
    if process.exitcode != 0:
        process.kill()
        said = (folder / "log.txt").read_text(errors="replace")[-2000:]
        raise SystemExit(f"a training ended with exit code {process.exitcode}: {said}")
    return time.perf_counter() - begin


def attempt(
    context: Any, folder: Path, epochs: int, kind: str, chance: random.Random, seconds: float, *, chain: int
) -> Kill | None:
    """Interrupt a training once; None if it was done before."""
    delay = float("nan")
    sabotage = (kind, chance.randint(1, max(2, epochs // 20)))
    process, saving = start(context, folder, epochs, sabotage)
    if kind in SIGNALS:
        delay = chance.uniform(0, seconds)
        # One in ten comes before anything was saved: while it starts, compiles or loads.
        early = chance.random() < 0.1
        if not early:
            saving.wait(LONGEST)
        time.sleep(delay)
        if process.is_alive():
            os.kill(process.pid, SIGNALS[kind])
    process.join(LONGEST)
    if process.exitcode is None:
        process.kill()
        raise SystemExit(f"a training went on for {LONGEST} s after {kind}")
    if process.exitcode == 0:
        return None
    torn = sum(path.name.endswith(".tmp") for path in folder.rglob(".*"))
    return Kill(chain, kind, delay, process.exitcode, epochs_in(folder / "run.h5"), torn)


def start(context: Any, folder: Path, epochs: int, sabotage: tuple[str, int]) -> tuple[Any, Any]:
    """Start a training in a process of its own."""
    from experiments.interruptions.job import train

    saving = context.Event()
    process = context.Process(target=train, args=(folder, epochs, sabotage, saving))
    process.start()
    return process, saving


def epochs_in(checkpoint: Path) -> int:
    """Epochs in a checkpoint, every array of which is read; -1 if there is none.

    Raises
    ------
    InputError
        If it cannot be loaded.
    """
    import h5py

    from neurodyn.training import load_settings

    if not checkpoint.exists():
        return -1
    with h5py.File(checkpoint) as file:
        items: list[Any] = []
        file.visititems(lambda _, item: items.append(item))
        for item in items:
            if isinstance(item, h5py.Dataset):
                item[()]
    return len(load_settings(checkpoint)["history"]["loss"])


def result_of(folder: Path) -> dict[str, Any]:
    """What a finished training found: checksum of every array, and the course of the loss."""
    settings = json.loads((folder / "model" / "model.json").read_text())
    return {key: settings[key] for key in ("sha256", "history", "status")}


def write(out: Path, kills: list[Kill], equal: list[bool]) -> None:
    """table.csv with every kill, table.md to read."""
    with (out / "table.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=[field.name for field in fields(Kill)])
        writer.writeheader()
        writer.writerows(asdict(kill) for kill in kills)
    (out / "table.md").write_text(markdown(kills, equal), encoding="utf-8")


def markdown(kills: list[Kill], equal: list[bool]) -> str:
    """Kills by kind, and what was lost."""
    count = Counter(kill.kind for kill in kills)
    lines = ["| interruption | how often | checkpoint loads | in mid-write |", "|---|---:|---:|---:|"]
    for kind in KINDS:
        torn = sum(kill.torn > 0 for kill in kills if kill.kind == kind)
        lines.append(f"| {kind} | {count[kind]} | {count[kind]} | {torn} |")
    same = f"{sum(equal)} of {len(equal)}"
    lines += ["", f"{len(kills)} interruptions of {len(equal)} trainings; {same} equal the uninterrupted bit for bit."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
