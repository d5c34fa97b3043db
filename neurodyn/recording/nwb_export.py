"""Fitted latents and decoded behaviour, written back into a copy of the NWB file they came from."""

import os
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from neurodyn.errors import InputError, import_extra
from neurodyn.recording.guard import one_line
from neurodyn.recording.nwb import read_nwb
from neurodyn.writing import replace_atomically

MODULE = "neurodyn"
REGULAR = 1e-6
"""Steps that differ by less than this share of a step are written as a rate."""


def write_results(
    source: str | os.PathLike[str],
    path: str | os.PathLike[str],
    results: Mapping[str, Any],
    *,
    units: Mapping[str, str] | None = None,
    description: str = "",
) -> Path:
    """Copy an NWB file and add results to the copy, as time series in the processing module ``neurodyn``.

    Every variable with axes (trial, time, component) becomes one series: trials end to end in order of time, without
    padding and without context bins, its components named in the series' comments.

    Parameters
    ----------
    source
        The NWB file that was decoded; it is not changed.
    path
        File to write; one that is there is replaced, but never the source.
    results
        Datasets of `transform` and `predict` by a name that is put before their variables: ``{"multiscale": ...}``
        gives ``multiscale_latent``; an empty name puts nothing.
    units
        Unit by variable (``target``: ``"m"``); ``"a.u."`` where left out.
    description
        Of the module: model, settings, version.

    Returns
    -------
    Path of the file, which has passed pynwb's validator.

    Raises
    ------
    InputError
        If the source is not an NWB file or already has such a module, results have no times or overlap in time, or the
        copy would not be valid.
    MissingExtraError
        If pynwb is not installed.

    Examples
    --------
    >>> import tempfile
    >>> import neurodyn as nd
    >>> session = nd.simulate_foraging(nd.simulation.ForagingSettings(seconds=20.0), seed=0)
    >>> batch = nd.to_bins(session, width="100ms")
    >>> decoded = nd.CausalRidge().fit(batch).predict(batch)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     source = nd.recording.write_nwb(session, f"{folder}/session.nwb")
    ...     nd.recording.write_results(source, f"{folder}/decoded.nwb", {"ridge": decoded}, units={"target": "m"}).name
    'decoded.nwb'
    """
    source, path = Path(source), Path(path)
    read_nwb(source, lazy=True)
    if path.resolve() == source.resolve():
        raise InputError(f"'{path}' is the recording itself: give the copy another name")
    series = [s for name, dataset in results.items() for s in _series(name, dataset, units or {})]
    if not series:
        raise InputError("there is nothing to write: results need a variable with the axes (trial, time, ...)")
    with replace_atomically(path) as temporary:
        shutil.copyfile(source, temporary)
        _add(temporary, series, description or "latents and decoded behaviour of neurodyn")
        _validate(temporary, path)
    return path


def _series(prefix: str, dataset: Any, units: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Arguments of a pynwb TimeSeries for each variable of a dataset."""
    for name in ("seconds", "context"):
        if name not in dataset.coords:
            raise InputError(f"results '{prefix}' have no coordinate '{name}': give what transform or predict returned")
    seconds, context = dataset["seconds"].to_numpy(), dataset["context"].to_numpy().astype(bool)
    kept = np.isfinite(seconds) & ~context
    order = np.argsort(seconds[kept], kind="stable")
    times = seconds[kept][order]
    if times.size == 0 or (np.diff(times) <= 0).any():
        raise InputError(f"results '{prefix}' need trials that do not overlap in time, with at least one bin")
    for name, variable in dataset.data_vars.items():
        if variable.dims[:2] != ("trial", "time") or variable.ndim != 3:
            continue
        axis = variable.dims[2]
        labels = [str(label) for label in variable.coords[axis].to_numpy()] if axis in variable.coords else []
        yield {
            "name": f"{prefix}_{name}" if prefix else str(name),
            "data": variable.to_numpy()[kept][order],
            "unit": units.get(str(name), "a.u."),
            "description": f"{name} at the end of each bin of {dataset.attrs.get('bin_width_seconds', 'unknown')} s",
            "comments": "components: " + ", ".join(labels) if labels else "no comments",
            **_clock(times),
        }


def _clock(times: np.ndarray) -> dict[str, Any]:
    steps = np.diff(times)
    if steps.size and np.ptp(steps) <= REGULAR * steps.mean():
        return {"rate": float((times.size - 1) / (times[-1] - times[0])), "starting_time": float(times[0])}
    return {"timestamps": times}


def _add(path: Path, series: list[dict[str, Any]], description: str) -> None:
    pynwb = import_extra("pynwb", "nwb")
    try:
        with _quiet(), pynwb.NWBHDF5IO(path, mode="a") as io:
            file = io.read()
            if MODULE in file.processing:
                raise InputError(f"the recording already has a processing module '{MODULE}': start from the original")
            module = file.create_processing_module(name=MODULE, description=description)
            for arguments in series:
                module.add(pynwb.TimeSeries(**arguments))
            io.write(file)
    except (ValueError, TypeError, KeyError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"the results cannot be written as NWB: {one_line(error)}") from error


def _validate(path: Path, shown: Path) -> None:
    """Refuse a copy with an error that the validator finds in the module we wrote."""
    pynwb = import_extra("pynwb", "nwb")
    with _quiet():
        found = pynwb.validate(path=str(path))
    errors = [error for error in found if f"processing/{MODULE}" in str(error.location or error)]
    if errors:
        raise InputError(f"'{shown}' would not be valid NWB: {errors[0]}")


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        # Written by another pynwb than the one installed: true of most files, and harmless.
        warnings.filterwarnings("ignore", message="Ignoring .*cached namespace", category=UserWarning)
        yield
