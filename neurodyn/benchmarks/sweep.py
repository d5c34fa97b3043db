"""What a sweep costs beside its tasks, next to a pool of processes, and how it grows with its workers."""

import argparse
import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from neurodyn.benchmarks.sizes import add_sizes, chosen
from neurodyn.benchmarks.timing import Measurement, Report, machine
from neurodyn.cli.options import DecodeOptions
from neurodyn.cli.parsers import argument
from neurodyn.given import positive_integers
from neurodyn.sweep import Cluster, Plan, Session, Task, run_sweep, store
from neurodyn.sweep.engine import Places

OURS, POOL = "sweep on Dask", "pool of processes"
DIMS = ("x", "y")
MOST_OVERHEAD = 0.02
"""Seconds that a task is to cost beside its work."""


@dataclass(frozen=True)
class Sizes:
    """How many tasks, and how long each sleeps, in seconds."""

    tasks: int = 1000
    sleep: float = 0.05


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what a user may choose."""
    add_sizes(parser, Sizes, {"tasks": "that are done", "sleep": "seconds that each of them takes"})
    parser.add_argument(
        "--workers",
        metavar="N,N",
        type=argument(positive_integers),
        default=(1, 2, 4, 8),
        help="workers to try (1,2,4,8)",
    )


def run(arguments: argparse.Namespace) -> Report:
    """Do the same tasks with both, with each number of workers; starting the workers is timed on its own."""
    sizes = chosen(arguments, Sizes)
    rows = [row for workers in arguments.workers for row in compare(sizes, workers)]
    few = min(arguments.workers)
    overhead = next(
        float(row.notes["overhead, ms per task"]) for row in rows if row.name == OURS and row.sizes["workers"] == few
    )
    reached = "reached" if overhead <= 1e3 * MOST_OVERHEAD else "not reached"
    aim = f"at most {1e3 * MOST_OVERHEAD:g} ms beside the work of a task, with as few workers as were tried ({few})"
    return Report(arguments.name, tuple(rows), machine(), {aim: f"{reached}: {overhead:.1f} ms"})


def compare(sizes: Sizes, workers: int) -> list[Measurement]:
    """Both ways with so many workers."""
    plan = plan_of(sizes)
    timed = {OURS: _swept(plan, sizes, workers), POOL: _pooled(plan, sizes, workers)}
    rows = []
    for name, (seconds, starting) in timed.items():
        beside = 1e3 * (seconds * workers / sizes.tasks - sizes.sleep)
        notes: dict[str, float | str] = {
            "overhead, ms per task": beside, "tasks per second": sizes.tasks / seconds, "seconds to start": starting,
        }  # fmt: skip
        shape = {"tasks": sizes.tasks, "sleep": sizes.sleep, "workers": workers}
        baseline, ratio = (POOL, timed[POOL][0] / seconds) if name == OURS else ("", float("nan"))
        rows.append(Measurement(name, shape, seconds, baseline=baseline, ratio=ratio, notes=notes))
    return rows


def plan_of(sizes: Sizes) -> Plan:
    """Tasks that need no file."""
    session = Session("none", "none", "0" * 32)
    options = DecodeOptions(target=("position",), folds=sizes.tasks)
    return Plan((session,), {f"{sizes.sleep:g}": options}, ("ridge",), (0,))


def rest(task: Task, places: Places, out: str) -> str:
    """Sleep for as long as the setting is called, and write numbers as a fit does."""
    time.sleep(float(task.setting))
    score = [[[0.0] * len(DIMS)] * 2] * 2
    found = {"dims": DIMS, "score": score, "coverage": 0.95, "fit_seconds": 0.0, "train_bins": 1, "test_bins": 1}
    store.write(Path(out), places, task, found)
    return task.key


def _swept(plan: Plan, sizes: Sizes, workers: int) -> tuple[float, float]:
    """Seconds from the first task that is handed out to the last that is done, and to start the workers."""
    began: list[float] = []
    ended: list[float] = []

    def told(done: int, total: int) -> None:
        if done == total:
            ended.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        failed = run_sweep(
            plan, Path(folder), Cluster(workers=workers), perform=rest, dims=DIMS,
            on_start=lambda: began.append(time.perf_counter()), on_done=told,
        )  # fmt: skip
        assert not failed, failed
        return ended[0] - began[0], began[0] - start


def _pooled(plan: Plan, sizes: Sizes, workers: int) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        store.create(Path(folder), plan, DIMS)
        start = time.perf_counter()
        # New interpreters, not forks: JAX's threads do not survive a fork.
        with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
            list(pool.map(_ready, range(workers)))
            began = time.perf_counter()
            tasks = plan.tasks()
            places = [(plan.place(task),) for task in tasks]
            list(pool.map(rest, tasks, places, [folder] * len(tasks)))
            return time.perf_counter() - began, began - start


def _ready(number: int) -> int:
    """Nothing, for so long that each worker takes one: it has started then."""
    time.sleep(0.5)
    return number
