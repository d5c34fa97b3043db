"""Fits of the methods of ``neurodyn demo`` to simulated systems, scored as often as an experiment asks; resumable.

They run on Dask, as many at a time as the configuration's ``jobs`` says, each in a process with one thread: a worker
that is lost is replaced, and its fit begun again.
"""

import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from experiments.command import left
from experiments.workers import on_workers
from neurodyn.baselines import BASELINES
from neurodyn.binning import Fold, MultimodalBatch, trial_folds
from neurodyn.cli.demo import SIZES, DemoSizes, build_study
from neurodyn.cli.study import MULTIMODAL, Study
from neurodyn.evaluation.metrics import r2
from neurodyn.simulation import LorenzSettings, simulate_lorenz

MODEL = "multiscale"
"""The decoder of the package, as the tables of these experiments call it."""
CHOSEN = ("seeds", "methods", "variants", "jobs")
"""Entries of a configuration that say which fits there are and where they run, not what they are."""


@dataclass(frozen=True)
class Task:
    """One fit: a method, or a variant of one, on a fold of the simulated system that a seed makes."""

    seed: int
    fold: int
    method: str

    @property
    def file(self) -> str:
        """Name of the file with its scores."""
        return f"seed{self.seed}-fold{self.fold + 1}-{self.method.replace(' ', '_').replace('+', 'and')}.json"


def sizes_of(config: Mapping[str, Any]) -> DemoSizes:
    """Sizes of ``neurodyn demo``, but for those that a configuration names."""
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in config["sizes"].items()}
    return replace(SIZES, **given)


def study_of(config: Mapping[str, Any], seed: int) -> Study:
    """The study of ``neurodyn demo`` with some sizes: a seed is another path, tuning, split and initial weights."""
    return build_study(sizes_of(config), folds=config["folds"], seed=seed, jobs=1)


def fold_with_channels(config: Mapping[str, Any], task: Task, channels: Mapping[str, int], most: int) -> Fold:
    """The fold of a task whose modalities have the first so many of ``most`` channels that the system has of each."""
    sizes = sizes_of(config)
    settings = LorenzSettings(
        sizes.trials, sizes.seconds, spike_channels=most, field_channels=most,
        field_sample_every=sizes.field_sample_every, missing=sizes.missing,
    )  # fmt: skip
    batch = with_channels(simulate_lorenz(settings, seed=task.seed), channels)
    return trial_folds(batch, config["folds"], seed=task.seed)[task.fold]


def with_channels(batch: MultimodalBatch, channels: Mapping[str, int]) -> MultimodalBatch:
    """The first so many channels of each modality: cells share their channels as far as they go."""
    kept = {name: count for name, count in channels.items() if count}
    batch = batch.with_modalities(tuple(kept))
    rows = tuple(replace(row, channels=row.channels[: kept[row.name]]) for row in batch.modalities)
    return replace(
        batch,
        modalities=rows,
        observations={name: values[:, : kept[name]] for name, values in batch.observations.items()},
        observed={name: values[:, : kept[name]] for name, values in batch.observed.items()},
    )


def decoder(study: Study, name: str) -> Any:
    """A method, not fitted: model, GRU and ridge as ``neurodyn demo`` has them, others with their defaults."""
    known = {MODEL if method.name == MULTIMODAL else method.name: method.decoder for method in study.methods}
    found: Any = known[name] if name in known else BASELINES[name].make(None)
    return replace(found, smoothed=False) if name == "ridge" else found  # what is not scored takes no time


def alone(name: str, modalities: Sequence[str]) -> tuple[str, Sequence[str]]:
    """The method that a name begins with and the modalities that it sees: the one that the name ends in, or all.

    Examples
    --------
    >>> alone("multiscale spikes", ("spikes", "field")), alone("ridge", ("spikes", "field"))
    (('multiscale', ('spikes',)), ('ridge', ('spikes', 'field')))
    """
    method, _, last = name.rpartition(" ")
    return (method, (last,)) if last in modalities else (name, modalities)


def fit_all(
    tasks: Iterable[Task], parts: Path, work: Callable[[Task], dict[str, Any]], config: Mapping[str, Any]
) -> dict[Task, dict[str, Any]]:
    """The scores of every task: those that were left by an earlier run are read, the others made.

    Parameters
    ----------
    tasks
        In the order in which they are done.
    parts
        Folder of a small JSON file for each; a run that was stopped goes on where it was.
    work
        From a task to its scores; with ``jobs`` above 1 it is sent to other processes.
    config
        The configuration, but for which systems and methods: what was left by a run with another one is made anew.
        ``jobs`` is how many fits there are at a time (1: in this process).
    """
    settings = {name: value for name, value in config.items() if name not in CHOSEN}
    listed = list(tasks)
    kept = partial(_kept, parts=parts.resolve(), settings=settings, work=work)
    found = {}
    for task, (seconds, scores) in on_workers(kept, listed, config.get("jobs", 1)):
        if seconds:
            print(f"{Path(task.file).stem}: {seconds:.0f} s", file=sys.stderr, flush=True)
        found[task] = scores
    return {task: found[task] for task in listed}


def fit_cells(
    cells: Mapping[Task, Task], parts: Path, work: Callable[[Task], dict[str, Any]], config: Mapping[str, Any]
) -> dict[Task, dict[str, Any]]:
    """The scores of every cell of a table, where several cells may stand for one fit, which is made once.

    Parameters
    ----------
    cells
        The fit of every cell.
    parts, work, config
        As of `fit_all`.
    """
    fitted = fit_all(dict.fromkeys(cells.values()), parts, work, config)
    return {cell: fitted[fit] for cell, fit in cells.items()}


def _kept(
    task: Task, parts: Path, settings: Mapping[str, Any], work: Callable[[Task], dict[str, Any]]
) -> tuple[float, dict[str, Any]]:
    """The seconds that a task took now (0 if it was done earlier) and its scores."""
    taken = 0.0

    def timed() -> dict[str, Any]:
        nonlocal taken
        begin, scores = time.perf_counter(), work(task)
        taken = time.perf_counter() - begin
        return scores

    scores = left(parts / task.file, settings, timed)
    return taken, scores


def fitted_on(estimator: Any, fold: Fold) -> tuple[Any, dict[str, float]]:
    """A fitted copy, and what it took in seconds of wall-clock and of processor time."""
    wall, processor = time.perf_counter(), time.process_time()
    fitted = estimator.fit(fold.train)
    return fitted, {"fit_seconds": time.perf_counter() - wall, "processor_seconds": time.process_time() - processor}


def filtered_r2(fitted: Any, batch: MultimodalBatch) -> Float[np.ndarray, " dims"]:
    """R² of the filtered (causal) estimate in the scored bins, per dimension of the target."""
    stacked, decoded = batch.stacked(observations=False), fitted.predict(batch)["target"].to_numpy()
    scored = stacked.scored()
    return r2(np.asarray(stacked.target[scored], np.float64), decoded[scored])
