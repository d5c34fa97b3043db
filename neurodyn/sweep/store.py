"""Results of a sweep: a mark for each task that is done, and one Zarr store that many workers write at once.

The marks are what a sweep knows. The store lays the numbers of a plan's tasks out as a grid: it is made anew from the
marks whenever the plan is another, so that nothing of an earlier plan is left in it.

Each task has pieces (chunks) of the arrays to itself, so that no two workers ever write the same file. It writes its
numbers, and then its mark, which is there as a whole or not at all. A worker that dies in between has left numbers
without a mark: the task is done again, and writes the same numbers to the same place.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neurodyn.errors import InputError, import_extra
from neurodyn.plain import strict_json
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


def holds(out: Path, plan: Plan) -> bool:
    """Whether the store is laid out for this plan."""
    return _attributes(out / RESULTS).get("plan") == _identity(plan)


def create(out: Path, plan: Plan, dims: Sequence[str]) -> None:
    """Make the store of a plan, of what the marks have of it; one of another plan is replaced.

    Raises
    ------
    InputError
        If a mark has other dimensions of the target.
    """
    (out / MARKS).mkdir(exist_ok=True)
    place, fresh = out / RESULTS, out / f".{RESULTS}.{os.getpid()}.tmp"
    shutil.rmtree(fresh, ignore_errors=True)
    _lay_out(fresh, plan, dims)
    arrays = _arrays(fresh)
    known = done(out)
    for task in plan.tasks():
        if task.key in known and (found := marked(out, task)) is not None:
            _put(arrays, plan.place(task), found)
    if place.exists():
        shutil.rmtree(place)
    fresh.rename(place)


def write(out: Path, places: Sequence[Sequence[int]], task: Task, result: Mapping[str, Any]) -> None:
    """Write the numbers of a task to its places, and then its mark.

    Raises
    ------
    InputError
        If its target has other dimensions than the store.
    """
    arrays = _opened(out / RESULTS, (out / RESULTS / "zarr.json").stat().st_mtime_ns)
    for place in places:
        _put(arrays, place, result)
    text = strict_json({"task": task.name, **result}, indent=1) + "\n"
    write_text(out / MARKS / f"{task.key}.json", text)


def marked(out: Path, task: Task) -> dict[str, Any] | None:
    """What a task has found, None if it is not done."""
    try:
        return json.loads((out / MARKS / f"{task.key}.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def done(out: Path) -> set[str]:
    """Keys of all tasks that are done, those of other plans among them."""
    return {path.stem for path in (out / MARKS).glob("[!.]*.json")}


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

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import neurodyn as nd
    >>> from neurodyn.cli.options import DecodeOptions
    >>> from neurodyn.sweep.store import create
    >>> sessions = (nd.sweep.Session("day1", "day1.nwb", digest="9f2c"),)
    >>> plan = nd.sweep.Plan(sessions, {"wide": DecodeOptions(folds=3)}, methods=("ridge", "gru"), seeds=(0, 1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     create(pathlib.Path(folder), plan, dims=("x", "y"))  # run_sweep does so before the first task
    ...     results = nd.sweep.open_results(pathlib.Path(folder))
    ...     dict(results["fit_seconds"].sizes), bool(results["fit_seconds"].isnull().all())
    ({'session': 1, 'setting': 1, 'decoder': 2, 'seed': 2, 'fold': 3}, True)
    """
    import xarray as xr

    labels = _attributes(out / RESULTS).get("labels")
    if labels is None:
        raise InputError(f"'{out}' holds no sweep: there is no {RESULTS} in it, or not a whole one")
    found = _arrays(out / RESULTS)
    arrays: dict[Any, Any] = {name: (AXES, found[name][:]) for name in SINGLE}
    arrays["score"] = ((*AXES, "estimate", "metric", "dim"), found["score"][:])
    return xr.Dataset(arrays, coords={**labels, "estimate": list(ESTIMATES), "metric": list(METRICS)})


def _identity(plan: Plan) -> str:
    """Hash of what the store is laid out for: its labels, and the task at every place."""
    parts = [_labels(plan), [task.key for task in plan.tasks()]]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _labels(plan: Plan) -> dict[str, list]:
    return {
        "session": [session.name for session in plan.sessions], "setting": list(plan.settings),
        "decoder": list(plan.methods), "seed": list(plan.seeds), "fold": list(range(plan.folds)),
    }  # fmt: skip


def _attributes(place: Path) -> dict[str, Any]:
    """What a store says of itself; nothing where there is none, or not a whole one."""
    try:
        return json.loads((place / "zarr.json").read_text(encoding="utf-8")).get("attributes", {})
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
        return {}


def _lay_out(place: Path, plan: Plan, dims: Sequence[str]) -> None:
    """Empty arrays."""
    labels = {**_labels(plan), "dim": list(dims)}
    group = import_extra("zarr", "dask").open_group(place, mode="w")
    sizes, ones = tuple(len(labels[axis]) for axis in AXES), (1,) * len(AXES)
    for name in SINGLE:
        group.create_array(name, shape=sizes, chunks=ones, dtype="float64", fill_value=np.nan, dimension_names=AXES)
    inner = (len(ESTIMATES), len(METRICS), len(dims))
    group.create_array(
        "score", shape=(*sizes, *inner), chunks=(*ones, *inner), dtype="float64", fill_value=np.nan,
        dimension_names=(*AXES, "estimate", "metric", "dim"),
    )  # fmt: skip
    group.attrs.update({"labels": labels, "plan": _identity(plan)})


def _arrays(place: Path) -> dict[str, Any]:
    """The arrays of a store, by name; ``dims`` are those of the target."""
    group = import_extra("zarr", "dask").open_group(place, mode="r+")
    return {**{name: group[name] for name in (*SINGLE, "score")}, "dims": list(group.attrs["labels"]["dim"])}


@lru_cache(maxsize=4)
def _opened(place: Path, changed: int) -> dict[str, Any]:
    """The arrays, looked up once by each worker."""
    return _arrays(place)


def _put(arrays: Mapping[str, Any], place: Sequence[int], result: Mapping[str, Any]) -> None:
    if list(result["dims"]) != arrays["dims"]:
        asked = ", ".join(arrays["dims"])
        raise InputError(f"the target has the dimensions {', '.join(result['dims'])}, the sweep {asked}")
    for name in SINGLE:
        arrays[name][tuple(place)] = result[name]
    arrays["score"][tuple(place)] = np.asarray(result["score"], np.float64)
