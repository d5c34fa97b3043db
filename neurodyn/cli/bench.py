"""``neurodyn bench NAME``: speed and memory, next to a named baseline of the same run."""

import argparse
import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from neurodyn.cli import COMMANDS
from neurodyn.cli.parsers import Subparsers
from neurodyn.errors import InputError, import_extra
from neurodyn.writing import replace_atomically, write_text

if TYPE_CHECKING:
    from neurodyn.benchmarks.timing import Report

# Module of neurodyn.benchmarks and what it times.  Imported only when asked for: each is heavy.
BENCHMARKS: dict[str, tuple[str, str]] = {
    "emulate": ("emulate", "a training step next to eager PyTorch with GeomLoss, and generation"),
    "fixed-points": ("fixed_points", "fixed points from all starts at once, next to batched Adam and to one at a time"),
    "faults": ("faults", "a live decoder on a rig that fails in every way, next to the undisturbed session"),
    "streams": ("streams", "source to sink over ZeroMQ, decoded by another process"),
    "realtime": ("realtime", "time per bin of a live decoder, at the rate of the bins and flat out"),
    "train": ("training", "a step of training: kinds of masks, a loop over trials, the matrix products alone"),
    "fit": ("fit", "seconds to a decoder and its R2, next to a GRU in PyTorch and to ridge"),
    "filter": ("filtering", "the filter of a linear Gaussian model next to dynamax's; a recording of an hour"),
    "binning": ("binning", "spikes counted in bins, next to NumPy's histogram unit by unit"),
    "scale": ("scale", "seconds and peak memory of a fit as units and bins grow"),
    "sweep": ("sweep", "a sweep's cost beside its tasks, next to a pool of processes, as workers grow"),
    "smooth": ("filtering", "the smoother of a linear Gaussian model next to dynamax's; a recording of an hour"),
}


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser("bench", help=COMMANDS["bench"])
    names = parser.add_subparsers(required=True, metavar="NAME")
    for name, (module, text) in BENCHMARKS.items():
        benchmark = names.add_parser(name, help=text, description=text)
        importlib.import_module(f"neurodyn.benchmarks.{module}").add_options(benchmark)
        benchmark.add_argument("--json", type=Path, metavar="FILE", help="also write every number to this file")
        benchmark.add_argument("--figure", type=Path, metavar="FILE", help="also draw the growth with size")
        benchmark.set_defaults(run=run, module=module, name=name)


def run(arguments: argparse.Namespace) -> int:
    """Run one benchmark, print its table and write what was asked for."""
    for path in filter(None, (arguments.json, arguments.figure)):
        if not path.parent.is_dir() or path.is_dir():
            raise InputError(f"'{path}' cannot be written: give a file in a folder that is there")
    if arguments.figure:
        import_extra("matplotlib", "plot")
    report = importlib.import_module(f"neurodyn.benchmarks.{arguments.module}").run(arguments)
    console = Console()
    console.print(report_table(report))
    if report.targets:
        console.print(targets_table(report))
    if arguments.json:
        write_text(arguments.json, json.dumps(report.to_json(), indent=2, allow_nan=False) + "\n")
    if arguments.figure:
        save_growth(report, arguments.figure)
    return 0


def save_growth(report: "Report", path: Path) -> None:
    """Draw how time and memory grow with size into a file, whose suffix says the format."""
    from neurodyn.plotting.benchmarks import growth_figure

    figure = growth_figure(report)
    with replace_atomically(path) as temporary:
        figure.savefig(temporary, dpi=120)


def report_table(report: "Report") -> Table:
    """Lay the measurements out as a table: ratio first."""
    table = Table(title=f"bench {report.name}: {report.machine['processor']}, {report.machine['cores']} cores")
    speed = () if report.columns else ("times as fast", "as", "seconds")
    for column in ("what", "sizes", *speed, *report.columns, *(() if report.columns else ("notes",))):
        table.add_column(column, overflow="fold")
    for row in report.measurements:
        sizes = ", ".join(f"{key} {value}" for key, value in row.sizes.items())
        if report.columns:
            table.add_row(row.name, sizes, *(_short(row.notes.get(name, "")) for name in report.columns))
            continue
        ratio = f"{row.ratio:.2f}" if row.baseline else ""
        notes = ", ".join(f"{key} {_short(value)}" for key, value in row.notes.items())
        table.add_row(row.name, sizes, ratio, row.baseline, f"{row.seconds:.4g}", notes)
    return table


def targets_table(report: "Report") -> Table:
    """What was to be reached, and whether it was: of its own width, for texts would narrow the columns of numbers."""
    table = Table("to reach", "outcome")
    for target, outcome in report.targets.items():
        table.add_row(target, outcome)
    return table


def _short(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"
