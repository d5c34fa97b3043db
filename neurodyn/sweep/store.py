"""Results of a sweep: one Zarr store for all, written by many workers at once, and a mark for each task that is done.

Each task has pieces (chunks) of the arrays to itself, so that no two workers ever write the same file. It writes its
numbers, and then its mark, which is there as a whole or not at all. A worker that dies in between has left numbers
without a mark: the task is done again, and writes the same numbers to the same place.
"""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neurodyn.errors import InputError, import_extra
from neurodyn.plain import plain
from neurodyn.sweep.plan import Plan, Task
from neurodyn.writing import write_text

if TYPE_CHECKING:
    import xarray as xr

AXES = ("session", "setting", "decoder", "seed", "fold")
"""Axes of every array; methods are decoders here, for ``method`` means something else in ``Dataset.sel``."""
ESTIMATES, METRICS = ("filtered", "smoothed"), ("r2", "correlation")
SINGLE = ("coverage", "fit_seconds", "train_bins", "test_bins")
"""Arrays of one number for each task."""
RESULTS, MARKS = "results.zarr", "tasks"


def create(out: Path, plan: Plan, dims: Sequence[str]) -> None:
    """Make an empty store of the size of a plan, or keep the one that is there.

    Raises
    ------
    InputError
        If there is one of another plan.
    """
    zarr = import_extra("zarr", "dask")
    (out / MARKS).mkdir(exist_ok=True)
    labels = {
        "session": [session.name for session in plan.sessions], "setting": list(plan.settings),
        "decoder": list(plan.methods), "seed": list(plan.seeds), "fold": list(range(plan.folds)), "dim": list(dims),
    }  # fmt: skip
    place = out / RESULTS
    if place.exists():
        found = dict(zarr.open_group(place, mode="r").attrs)
        if found.get("labels") != labels:
            raise InputError(f"'{out}' holds a sweep of other sessions, methods or settings: choose another folder")
        return
    group = zarr.open_group(place, mode="w")
    sizes = tuple(len(labels[axis]) for axis in AXES)
    ones = (1,) * len(AXES)
    for name in SINGLE:
        group.create_array(name, shape=sizes, chunks=ones, dtype="float64", fill_value=np.nan, dimension_names=AXES)
    inner = (len(ESTIMATES), len(METRICS), len(dims))
    group.create_array(
        "score", shape=(*sizes, *inner), chunks=(*ones, *inner), dtype="float64", fill_value=np.nan,
        dimension_names=(*AXES, "estimate", "metric", "dim"),
    )  # fmt: skip
    group.attrs["labels"] = labels


def write(out: Path, place: Sequence[int], task: Task, result: Mapping[str, Any]) -> None:
    """Write the numbers of a task, and then its mark.

    Raises
    ------
    InputError
        If its target has other dimensions than the store.
    """
    arrays = _opened(out / RESULTS, (out / RESULTS / "zarr.json").stat().st_mtime_ns)
    dims = list(arrays["labels"]["dim"])
    if list(result["dims"]) != dims:
        raise InputError(f"the target has the dimensions {', '.join(result['dims'])}, the sweep {', '.join(dims)}")
    for name in SINGLE:
        arrays[name][tuple(place)] = result[name]
    arrays["score"][tuple(place)] = np.asarray(result["score"], np.float64)
    mark(out, task, result)


@lru_cache(maxsize=4)
def _opened(place: Path, changed: int) -> Any:
    """The store, read once by each worker."""
    group = import_extra("zarr", "dask").open_group(place, mode="r+")
    return {**{name: group[name] for name in (*SINGLE, "score")}, "labels": dict(group.attrs["labels"])}


def mark(out: Path, task: Task, result: Mapping[str, Any]) -> None:
    """Say that a task is done; with its numbers, so that another sweep with the same task need not do it."""
    text = json.dumps(plain({"task": task.name, **result}), indent=1, allow_nan=False) + "\n"
    write_text(out / MARKS / f"{task.key}.json", text)


def marked(out: Path, task: Task) -> dict[str, Any] | None:
    """What a task has found, None if it is not done."""
    try:
        return json.loads((out / MARKS / f"{task.key}.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def done(out: Path) -> set[str]:
    """Keys of all tasks that are done."""
    return {path.stem for path in (out / MARKS).glob("*.json")}


def open_results(out: Path) -> "xr.Dataset":
    """Everything that a sweep has found so far; NaN where a task is not done.

    Parameters
    ----------
    out
        Folder of the sweep.

    Returns
    -------
    ``score`` (session, setting, decoder, seed, fold, estimate, metric, dim), ``coverage`` of the 95 % intervals,
    ``fit_seconds``, ``train_bins`` and ``test_bins`` (session, setting, decoder, seed, fold).

    Raises
    ------
    InputError
        If there is no sweep.
    """
    import xarray as xr

    zarr = import_extra("zarr", "dask")
    if not (out / RESULTS).exists():
        raise InputError(f"'{out}' holds no sweep: there is no {RESULTS} in it")
    group = zarr.open_group(out / RESULTS, mode="r")
    labels = dict(group.attrs["labels"])
    arrays: dict[Any, Any] = {name: (AXES, group[name][:]) for name in SINGLE}
    arrays["score"] = ((*AXES, "estimate", "metric", "dim"), group["score"][:])
    return xr.Dataset(arrays, coords={**labels, "estimate": list(ESTIMATES), "metric": list(METRICS)})
