"""Tasks that take a moment and say how often they were done: stand in for fits where a sweep is disturbed."""

import os
import time
from pathlib import Path

from neurodyn.sweep import store


def numbers(task) -> dict:
    """What a task finds: told from its place alone."""
    value = int(task.key[:6], 16) / 16**6
    score = [[[value, -value], [2 * value, 0.5]], [[float("nan")] * 2] * 2]
    return {
        "dims": ["x", "y"], "score": score, "coverage": value, "fit_seconds": 0.1, "train_bins": 20, "test_bins": 10,
    }  # fmt: skip


def slow(task, places, out) -> str:
    """A fifth of a second; each run leaves a line in a file."""
    folder = Path(out)
    if store.marked(folder, task) is None:
        time.sleep(0.2)
        with open(folder / "runs.txt", "a") as file:
            file.write(f"{task.key} {os.getpid()}\n")
    store.write(folder, places, task, numbers(task))
    return task.key


def failing(task, places, out) -> str:
    """As slow, but for one fold."""
    if task.fold == 1:
        raise ValueError(f"nothing to see in fold {task.fold}")
    return slow(task, places, out)


def elsewhere(task, places, out) -> str:
    """Leaves its mark in another folder, as a worker does that sees other files."""
    return task.key


def where_it_runs(task):
    """A score made of a task of an experiment, and the process that made it."""
    return {"score": task.seed + 0.1 * len(task.method), "process": os.getpid()}
