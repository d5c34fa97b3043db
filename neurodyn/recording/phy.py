"""Sorted units from the folder that Kilosort writes and phy curates."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from neurodyn.errors import InputError
from neurodyn.recording.layout import Layout
from neurodyn.recording.left_out import Choices, Repeated, build_items, chosen_units
from neurodyn.recording.names import file_name
from neurodyn.recording.recording import Recording
from neurodyn.recording.spikes import SpikeTrains
from neurodyn.recording.values import labels, vector
from neurodyn.recording.variables import load_npy, load_table

OTHERS = "other units"
"""Group of the units that were not called good."""
_QUALITY = (("cluster_group.tsv", "group"), ("cluster_info.tsv", "group"), ("cluster_group.csv", "group"),
            ("cluster_KSLabel.tsv", "KSLabel"), ("cluster_info.tsv", "KSLabel"))  # fmt: skip
_RATE = re.compile(r"^\s*sample_rate\s*=\s*([0-9.eE+]+)", re.MULTILINE)


def is_phy(path: Path) -> bool:
    """Whether a folder holds spike times of Kilosort or phy."""
    return (path / "spike_times.npy").is_file() and (
        (path / "spike_clusters.npy").is_file() or (path / "spike_templates.npy").is_file()
    )


def read_phy(
    path: str | os.PathLike[str],
    layout: Layout | None = None,
    *,
    skip: tuple[str, ...] = (),
    lazy: bool | None = None,
    repeated: Repeated | str | None = None,
    strict: bool = True,
) -> Recording:
    """Read the units of a Kilosort or phy folder: good ones as ``spikes``, all others as ``other units``.

    The rate comes from ``params.py``, whose line ``sample_rate = ...`` is looked up and never executed.  Without a
    table of groups (``cluster_group.tsv`` of phy, ``cluster_KSLabel.tsv`` of Kilosort) all units are ``spikes``.

    Parameters
    ----------
    path
        The folder.
    layout
        Not used: a folder is read with a layout as variables.
    skip, lazy, repeated, strict
        What to leave out and how, see `left_out.Choices`.

    Raises
    ------
    InputError
        If a file is damaged, times and clusters do not match, or the rate is not known.
    """
    path, choices = Path(path), Choices.of(skip, repeated, strict, lazy)
    times = vector(load_npy(path / "spike_times.npy")["spike_times"], "spike_times")
    source = "spike_clusters" if (path / "spike_clusters.npy").is_file() else "spike_templates"
    ids = vector(load_npy(path / f"{source}.npy")[source], source).astype(np.int64)
    if ids.shape != times.shape:
        raise InputError(f"'{path}' has {times.size:,} spike times and {ids.size:,} clusters: one each is needed")
    seconds = times.astype(np.float64) / _sample_rate(path)
    known, owner = np.unique(ids, return_inverse=True)
    order = np.lexsort((seconds, owner))
    trains = np.split(seconds[order], np.cumsum(np.bincount(owner, minlength=known.size))[:-1]) if known.size else []
    quality = _qualities(path)
    groups: dict[str, list[int]] = {"spikes": [], OTHERS: []}
    for row, unit in enumerate(known.tolist()):
        groups["spikes" if not quality or quality.get(unit) == "good" else OTHERS].append(row)
    makers = {
        name: lambda name=name, rows=rows: _group(name, rows, trains, known, quality, choices)
        for name, rows in groups.items()
        if rows
    }
    items, unusable = build_items({"spikes": makers}, choices)
    return Recording(file_name(path.absolute()), unusable=unusable, **items)


def _group(
    name: str,
    rows: list[int],
    trains: list[np.ndarray],
    known: np.ndarray,
    quality: Mapping[int, str],
    choices: Choices,
) -> SpikeTrains:
    units = [str(known[row]) for row in rows]
    attributes = {}
    if quality:
        attributes["quality"] = np.array([quality.get(int(known[row]), "unsorted") for row in rows], dtype=str)
    return chosen_units(name, [trains[row] for row in rows], units, attributes, choices)


def _sample_rate(path: Path) -> float:
    try:
        found = _RATE.search((path / "params.py").read_text(encoding="utf-8", errors="replace"))
        rate = float(found.group(1)) if found else 0.0
    except (OSError, ValueError):
        rate = 0.0
    if not 0 < rate < 1e9:
        raise InputError(
            f"'{path}' has no params.py with a line  sample_rate = ...: write one, or give a layout with  spikes:"
            "  {variable: spike_times, cluster: spike_clusters, time_unit: samples, rate: 30000}"
        )
    return rate


def _qualities(path: Path) -> dict[int, str]:
    """What each cluster was called, from the first table that says so."""
    for file, column in _QUALITY:
        if not (path / file).is_file():
            continue
        table = load_table(path / file)
        if "cluster_id" not in table or column not in table:
            continue
        ids = vector(table["cluster_id"], f"cluster_id of {file}").astype(np.int64)
        return dict(zip(ids.tolist(), labels(table[column], f"{column} of {file}"), strict=True))
    return {}
