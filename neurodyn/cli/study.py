"""One study, whatever the data come from: cross-validate, write the report, print the table."""

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from neurodyn.binning import Fold, MultimodalBatch
from neurodyn.cli.progress import FitsShown
from neurodyn.errors import REPORT, InputError, missing_extras
from neurodyn.evaluation import CrossValidation, Method, PairedDifference, check_folds, cross_validate
from neurodyn.report import (
    Picture,
    differences,
    finding,
    render_page,
    save_drawings,
    score_rows,
    study_pictures,
    summary_of,
)
from neurodyn.report.page import ScoreTable
from neurodyn.writing import write_text

MULTIMODAL = "multimodal"
"""The model on all modalities, as results call it."""

_METRICS = {"r2": "R²", "correlation": "Correlation"}
_WIDTH_OFF_SCREEN = 120


@dataclass(frozen=True, eq=False)
class Study:
    """What is compared on what.

    Parameters
    ----------
    title
        Head of the report.
    batch, folds
        The data, and how they are split.
    methods
        What is compared, the one shown in detail first.
    seed
        Of everything random.
    jobs
        Fits at a time; None for one per core.
    settings
        Options as a reader of the report wants to see them.
    """

    title: str
    batch: MultimodalBatch
    folds: tuple[Fold, ...]
    methods: tuple[Method, ...]
    seed: int = 0
    jobs: int | None = None
    settings: Mapping[str, str] = field(default_factory=dict)


def run_study(study: Study, out: Path, *, console: Console | None = None) -> dict[str, Any]:
    """Check everything, fit, write ``report.html``, its drawings and ``summary.json``, print the tables.

    The summary is returned. Without the packages that draw, which a line on standard error names, there is no page.

    Raises
    ------
    InputError
        If the folds cannot be used or the folder cannot be written; nothing has been written then.
    """
    check_folds(study.methods, study.folds)
    if missing := missing_extras(REPORT):
        print(f"neurodyn: note: there will be no report.html, which needs {missing}", file=sys.stderr)
    with output_folder(out):
        result = _cross_validated(study)
        summary = summary_of(result, study.batch, title=study.title, seed=study.seed, settings=study.settings)
        if not missing:
            pictures = study_pictures(study.batch, result)
            write_text(out / "report.html", _page(study, result, summary, pictures))
            save_drawings(pictures, out)
        write_text(out / "summary.json", json.dumps(summary, indent=2, allow_nan=False) + "\n")
    _print(console or _screen(), result, summary, out / ("summary.json" if missing else "report.html"))
    return summary


@contextmanager
def output_folder(out: Path) -> Iterator[None]:
    """Make the folder and see that it can be written to; take new empty folders away again if the work fails.

    Raises
    ------
    InputError
        If it cannot be made or written to.
    """
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        _remove_empty(made)
        raise InputError(f"cannot write to the folder '{out}': {error.strerror or error}; choose another") from error
    try:
        yield
    except BaseException:
        _remove_empty(made)
        raise


def score_table(result: CrossValidation, metric: str) -> Table:
    """Lay the scores of one metric out as a table: methods x dimensions, filtered and smoothed."""
    table = Table(
        title=f"{_METRICS[metric]} on held-out data, mean ± spread over {result.n_folds} folds",
        title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), show_edge=False,
    )  # fmt: skip
    for name in ("method", "training", "estimate"):
        table.add_column(name, no_wrap=True)
    for name in ("mean", *result.dims):
        table.add_column(escape(name), justify="right", no_wrap=True)
    rows = score_rows(result, metric)
    for row, following in zip(rows, (*rows[1:], None), strict=True):
        ends = following is not None and following.estimate != row.estimate
        style = "bold" if row.best else None
        table.add_row(escape(row.method), row.training, row.estimate, *row.cells(), style=style, end_section=ends)
    return table


def difference_table(found: Sequence[PairedDifference]) -> Table:
    """Lay differences of methods out as a table: verdict, mean with interval and p value, then the dimensions."""
    table = Table(
        title="Does it add? Difference of R² (filtered), paired over folds [95 % interval], p after Holm, * p < 0.05",
        title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), show_edge=False,
    )  # fmt: skip
    for name in ("method", "minus", "training", "finding"):
        table.add_column(name, no_wrap=True)
    for name in found[0].dims:
        table.add_column(escape(name), justify="right", no_wrap=True)
    for row in found:
        pairs = zip(row.difference[1:], row.decisive[1:], strict=True)
        short = [f"{difference:+.2f}{'*' if p < 0.05 else ' '}" for difference, p in pairs]
        said = row.verdicts()[0]
        table.add_row(escape(row.method), escape(row.other), row.trainings(), said, escape(row.cells()[0]), *short)
    return table


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:  # not made, or not empty: then it stays
            return


def _cross_validated(study: Study) -> CrossValidation:
    fits = len(study.methods) * len(study.folds)
    jobs = min(study.jobs or os.cpu_count() or 1, fits)
    with FitsShown([method.name for method in study.methods], len(study.folds), jobs) as shown:
        return cross_validate(study.methods, study.folds, jobs=jobs, on_result=shown.add)


def _page(study: Study, result: CrossValidation, summary: Mapping[str, Any], pictures: Sequence[Picture]) -> str:
    return render_page(
        title=study.title,
        sentence=finding(result),
        dims=result.dims,
        tables=[ScoreTable(label, score_rows(result, metric)) for metric, label in _METRICS.items()],
        differences=differences(result),
        pictures=pictures,
        facts=_facts(summary),
        settings={**study.settings, "seed": str(study.seed)},
        versions=summary["versions"],
    )


def _facts(summary: Mapping[str, Any]) -> dict[str, str]:
    sizes = summary["sizes"]
    facts = {
        "data": f"{sizes['trials']:,} trials, {sizes['bins']:,} bins of {1e3 * sizes['bin_width_seconds']:g} ms",
        "channels": ", ".join(f"{name} {count}" for name, count in sizes["channels"].items()),
        "fits": f"{summary['fit_seconds']:.0f} s in all",
    }
    if "latency_us" in summary:
        latency = summary["latency_us"]
        facts["step"] = f"median {latency['p50']:.0f} µs, 95 % {latency['p95']:.0f} µs, 99 % {latency['p99']:.0f} µs"
        facts["online against offline"] = f"{summary['online_offline_max_abs_difference']:.1e} (largest, latents)"
    return facts


def _print(console: Console, result: CrossValidation, summary: Mapping[str, Any], file: Path) -> None:
    for metric in _METRICS:
        console.print(score_table(result, metric))
        console.print()
    if found := differences(result):
        console.print(difference_table(found))
        console.print()
    console.print(finding(result), highlight=False)
    for name, fact in _facts(summary).items():
        console.print(f"{name}: {fact}", highlight=False, markup=False)
    what = "report" if file.suffix == ".html" else "summary"
    console.print(f"{what}: {file}", highlight=False, markup=False, soft_wrap=True)


def _screen() -> Console:
    """Standard output; a pipe or a file has no width, and the table is not squeezed into 80 columns there."""
    console = Console()
    return console if console.is_terminal else Console(width=max(console.width, _WIDTH_OFF_SCREEN))
