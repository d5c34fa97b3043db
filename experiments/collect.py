"""From the summaries that ``neurodyn demo`` and ``neurodyn decode`` write to one table and one figure."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.command import fill_readme, save_png, table_file
from neurodyn.evaluation.paired import ALIKE
from neurodyn.plotting import plot_scores
from neurodyn.report.pictures import new_figure
from neurodyn.writing import write_text

ESTIMATES, METRICS = ("filtered", "smoothed"), ("correlation", "r2")


@dataclass(frozen=True)
class Run:
    """What one run of a command found.

    Parameters
    ----------
    name
        Of the run: a seed, a recording.
    summary
        Contents of its ``summary.json``.
    """

    name: str
    summary: Mapping[str, Any]

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods, in order."""
        return tuple(self.summary["methods"])

    def training(self, method: str) -> str:
        """Whether a method learned from the target; every method did before summaries said so."""
        return self.summary.get("training", {}).get(method, "supervised")

    def score(self, method: str, estimate: str, metric: str) -> Mapping[str, Any]:
        """``mean``, ``per_dimension`` and ``per_fold`` of one method."""
        return self.summary["methods"][method][estimate][metric]


def read_runs(folders: Mapping[str, Path]) -> list[Run]:
    """Read ``summary.json`` from the folder of each run."""
    return [Run(name, json.loads((folder / "summary.json").read_text())) for name, folder in folders.items()]


def write_results(runs: Sequence[Run], out: Path, *, metric: str, title: str, readme: Path | None = None) -> None:
    """Write table.csv (everything), table.md (one metric, to read) and figure.png (its filtered part).

    Parameters
    ----------
    runs
        What was found.
    out
        Folder that exists.
    metric
        'correlation' or 'r2', for the table to read and the figure.
    title
        Above both.
    readme
        Experiment's README that the table goes into, between the marks of its folder's name; None: into none.
    """
    with table_file(out / "table.csv") as file:
        writer = csv.DictWriter(file, fieldnames=["run", "method", "estimate", "metric", "dimension", "value"])
        writer.writeheader()
        writer.writerows(rows_of(runs))
    table = markdown(runs, metric=metric, title=title)
    write_text(out / "table.md", table)
    fill_readme(readme, table)
    save_figure(runs, out / "figure.png", metric=metric, title=title)


def rows_of(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """One row per number: the mean over dimensions and folds, then each target dimension."""
    rows = []
    for run in runs:
        for method in run.methods:
            for estimate in estimates_of(run, method):
                for metric in METRICS:
                    score = run.score(method, estimate, metric)
                    numbers = {"mean": score["mean"], **score["per_dimension"]}
                    key = {"run": run.name, "method": method, "estimate": estimate, "metric": metric}
                    rows += [{**key, "dimension": name, "value": f"{value:.4f}"} for name, value in numbers.items()]
    return rows


def estimates_of(run: Run, method: str) -> tuple[str, ...]:
    """The estimates that a method has: a causal one has no smoothed estimate."""
    return tuple(estimate for estimate in ESTIMATES if estimate in run.summary["methods"][method])


def markdown(runs: Sequence[Run], *, metric: str, title: str) -> str:
    """Table of methods x runs, ``filtered / smoothed`` in each cell, with what it took below."""
    methods = list(dict.fromkeys(method for run in runs for method in run.methods))
    head = [f"**{title}**: {_LABELS[metric]} on held-out data, filtered / smoothed", ""]
    head += [f"| method | training | {' | '.join(run.name for run in runs)} |", "|---" * (len(runs) + 2) + "|"]
    lines = []
    for method in methods:
        training = next(run.training(method) for run in runs if method in run.methods)
        lines.append(f"| {method} | {training} | {' | '.join(_cell(run, method, metric) for run in runs)} |")
    facts = [*(said for run in runs if (said := _said(run, metric))), *(_facts(run) for run in runs)]
    return "\n".join([*head, *lines, "", *facts]) + "\n"


def save_figure(runs: Sequence[Run], path: Path, *, metric: str, title: str) -> None:
    """Filtered scores with a dot per fold, one panel per run."""
    figure = new_figure((4.2 * len(runs), 3.4))
    panels = figure.subplots(1, len(runs), squeeze=False, sharey=_near(runs, metric))[0]
    for run, ax in zip(runs, panels, strict=True):
        scores = {m: np.asarray(run.score(m, "filtered", metric)["per_fold"], np.float64) for m in run.methods}
        plot_scores(scores, baseline="ridge", label=_LABELS[metric] if ax is panels[0] else "", ax=ax)
        ax.set_title(run.name)
    figure.suptitle(f"{title}, filtered (causal)")
    save_png(figure, path)


def _near(runs: Sequence[Run], metric: str) -> bool:
    """Whether the runs' scores fit on one axis: those of one recording are not pressed together by another's."""
    means = [[run.score(m, "filtered", metric)["mean"] for m in run.methods] for run in runs]
    widest = max(max(each) - min(each) for each in means)
    return max(map(max, means)) - min(map(min, means)) < 2 * widest


_LABELS = {"correlation": "correlation", "r2": "R²"}


def _cell(run: Run, method: str, metric: str) -> str:
    if method not in run.methods:
        return ""
    return " / ".join(f"{run.score(method, estimate, metric)['mean']:.3f}" for estimate in estimates_of(run, method))


def _said(run: Run, metric: str) -> str:
    """What the first method is beside the others, in words; nothing where a summary has no verdicts."""
    first, groups = run.methods[0], {}
    for pair, estimates in run.summary.get("differences", {}).items():
        method, other = pair.split(" minus ")
        verdict = estimates["filtered"][metric]["mean"].get("verdict")
        if method == first and verdict:
            groups.setdefault(verdict, []).append(other)
    parts = [f"{said} {'from' if said == ALIKE else 'than'} {', '.join(others)}" for said, others in groups.items()]
    return (
        f"- {run.name}: {first} is {'; '.join(parts)} (paired over folds, corrected by Holm's method)" if parts else ""
    )


def _facts(run: Run) -> str:
    summary, latency = run.summary, run.summary["latency_us"]
    return (
        f"- {run.name}: {summary['sizes']['folds']} folds, fits {summary['fit_seconds']:.0f} s in all, step "
        f"{latency['p50']:.0f} µs (median) and {latency['p99']:.0f} µs (99 %), online against offline "
        f"{summary['online_offline_max_abs_difference']:.1e}, seed {summary['seed']}"
    )
