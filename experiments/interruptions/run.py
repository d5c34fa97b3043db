"""Does work that is killed at random moments lose anything?"""

import csv
import json
import multiprocessing
import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from experiments.command import arguments, configuration, fill_readme, table_file
from neurodyn.writing import write_text

FOLDER = Path(__file__).parent
SIGNALS = {"SIGINT": signal.SIGINT, "SIGTERM": signal.SIGTERM, "SIGKILL": signal.SIGKILL}
KINDS = (*SIGNALS, "full disk", "crash")
LONGEST = 300.0
"""Seconds after which work that does not end hangs."""
BIN = 0.01
"""Seconds, of the decoder that serves."""
CLOSE = 1e-4
"""Largest difference of what a decoder that serves says in the end: its gains come from a table, or are computed."""


@dataclass(frozen=True)
class Kill:
    """One interruption, and what was found after it.

    Parameters
    ----------
    chain
        Number of the piece of work it belongs to.
    work
        Training, sweep or serve.
    kind
        A signal, a full disk, or a crash while a checkpoint is written.
    seconds
        From the first write of a checkpoint to the signal; NaN for the others.
    exit_code
        Of the process; negative for a signal.
    kept
        Epochs in all checkpoints that were left, or bins behind the snapshot; -1 if there was none yet.
    torn
        Unfinished files beside them.
    """

    chain: int
    work: str
    kind: str
    seconds: float
    exit_code: int
    kept: int
    torn: int


@dataclass(frozen=True)
class End:
    """One piece of work that was interrupted again and again, and then done.

    Parameters
    ----------
    work
        Training, sweep or serve.
    equal
        Whether it found what uninterrupted work finds.
    """

    work: str
    equal: bool


def main(argv: list[str] | None = None) -> None:
    """Work without and with interruptions, compare, and write the table."""
    given = arguments(__doc__, FOLDER, argv)
    config = configuration(FOLDER, smoke=given.smoke)
    given.out.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["experiments.interruptions.job"])
    kills: list[Kill] = []
    ends: list[End] = []
    with tempfile.TemporaryDirectory() as scratch:
        for kills, ends in interrupt(context, Path(scratch), config):
            write(given.out, kills, ends)
    fill_readme(given.readme, markdown(kills, ends))
    if not all(end.equal for end in ends):
        raise SystemExit("work that was interrupted and resumed differs from work that was not")


def interrupt(context: Any, scratch: Path, config: dict[str, Any]) -> Iterator[tuple[list[Kill], list[End]]]:
    """After each chain of interruptions: kills so far, and whether what each chain found is what it should be."""
    chance, rounds = random.Random(config["seed"]), config["rounds"]
    expected, durations = {}, {}
    for name in config["works"]:
        expected[name], durations[name] = uninterrupted(context, name, scratch / name, rounds)
    kills: list[Kill] = []
    ends: list[End] = []
    while len(kills) < config["kills"]:
        hit = Counter(kill.work for kill in kills)
        name = min(config["works"], key=lambda name: hit[name])
        folder = scratch / f"chain{len(ends)}"
        folder.mkdir()
        for number in range(config["chain"]):
            kind = KINDS[(len(kills) + number // len(KINDS)) % len(KINDS)]
            share = durations[name] / (1.5 * config["chain"])
            kill = attempt(
                context=context, name=name, folder=folder, rounds=rounds, kind=kind, chance=chance, seconds=share,
                chain=len(ends),
            )  # fmt: skip
            if kill is None:  # done before it was hit: the machine was busier when the time was taken
                durations[name] /= 2
                break
            kills.append(kill)
            print(f"{len(kills)}: {kill}", flush=True)
        run_to_the_end(context, name, folder, rounds)
        ends.append(End(name, same(result_of(folder), expected[name])))
        yield kills, ends


def uninterrupted(context: Any, name: str, folder: Path, rounds: int) -> tuple[dict[str, Any], float]:
    """What is found without interruption, and seconds from the first checkpoint to the end.

    Done twice: the first time fills the cache of compiled programs.
    """
    for number in range(2):
        (folder / str(number)).mkdir(parents=True)
        duration = run_to_the_end(context, name, folder / str(number), rounds)
    return result_of(folder / str(number)), duration


def run_to_the_end(context: Any, name: str, folder: Path, rounds: int) -> float:
    """Work until done; seconds from the first checkpoint."""
    process, saving = start(context, name, folder, rounds, ("none", 0))
    saving.wait(LONGEST)
    begin = time.perf_counter()
    process.join(LONGEST)
    if process.exitcode != 0:
        process.kill()
        said = (folder / "log.txt").read_text(errors="replace")[-2000:]
        raise SystemExit(f"{name} ended with exit code {process.exitcode}: {said}")
    return time.perf_counter() - begin


def attempt(
    context: Any, name: str, folder: Path, rounds: int, kind: str, chance: random.Random, seconds: float, *, chain: int
) -> Kill | None:
    """Interrupt once; None if the work was done before."""
    delay = float("nan")
    sabotage = (kind, chance.randint(1, max(2, rounds // 20)))
    process, saving = start(context, name, folder, rounds, sabotage)
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
        raise SystemExit(f"{name} went on for {LONGEST} s after {kind}")
    if process.exitcode == 0:
        return None
    torn = sum(1 for _ in folder.rglob(".*.tmp*"))
    return Kill(
        chain=chain, work=name, kind=kind, seconds=delay, exit_code=process.exitcode, kept=kept_in(folder), torn=torn
    )


def start(context: Any, name: str, folder: Path, rounds: int, sabotage: tuple[str, int]) -> tuple[Any, Any]:
    """Start the work in a process of its own."""
    from experiments.interruptions.job import work

    saving = context.Event()
    process = context.Process(target=work, args=(name, folder, rounds, sabotage, saving))
    process.start()
    return process, saving


def kept_in(folder: Path) -> int:
    """Load every checkpoint and snapshot whole, and count the epochs or bins in them; -1 if there are none.

    Raises
    ------
    InputError, ValueError
        If one cannot be loaded.
    """
    from neurodyn.realtime.runner import load_arrays
    from neurodyn.training import load_settings

    checkpoints, snapshots = list(folder.rglob("*.h5")), list(folder.rglob("state.npz"))
    for path in checkpoints:
        read_whole(path)
    courses = [
        load_settings(path)["history"]["loss"] for path in checkpoints if path.name in ("run.h5", "checkpoint.h5")
    ]
    bins = [round(float(load_arrays(path)["time"]) / BIN) for path in snapshots]
    return sum(map(len, courses)) + sum(bins) if courses or bins else -1


def read_whole(path: Path) -> None:
    """Read every array of an HDF5 file."""
    import h5py

    with h5py.File(path) as file:
        items: list[Any] = []
        file.visititems(lambda _, item: items.append(item))
        for item in items:
            if isinstance(item, h5py.Dataset):
                item[()]


def result_of(folder: Path) -> dict[str, Any]:
    """What finished work found."""
    return json.loads((folder / "result.json").read_text())


def same(found: dict[str, Any], expected: dict[str, Any]) -> bool:
    """Equal to the last bit; what a live decoder says, to rounding."""
    if "state" not in expected:
        return found == expected
    return bool(np.max(np.abs(np.subtract(found["state"], expected["state"]))) <= CLOSE)


def write(out: Path, kills: list[Kill], ends: list[End]) -> None:
    """table.csv with every kill, table.md to read."""
    with table_file(out / "table.csv") as file:
        writer = csv.DictWriter(file, fieldnames=[field.name for field in fields(Kill)])
        writer.writeheader()
        writer.writerows(asdict(kill) for kill in kills)
    write_text(out / "table.md", markdown(kills, ends))


def markdown(kills: list[Kill], ends: list[End]) -> str:
    """Kills by kind and work, and what was lost."""
    names = list(dict.fromkeys(end.work for end in ends))
    head = f"| interruption | {' | '.join(names)} | all load | unfinished file there |"
    lines = [head, "|---|" + "---:|" * (len(names) + 2)]
    for kind in KINDS:
        those = [kill for kill in kills if kill.kind == kind]
        each = Counter(kill.work for kill in those)
        torn = sum(kill.torn > 0 for kill in those)
        lines.append(f"| {kind} | {' | '.join(str(each[name]) for name in names)} | {len(those)} | {torn} |")
    equal = ", ".join(
        f"{sum(end.equal for end in ends if end.work == name)} of {sum(end.work == name for end in ends)} ({name})"
        for name in names
    )
    lines += ["", f"{len(kills)} interruptions; resumed work that ends as if it had never been interrupted: {equal}."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
