"""``neurodyn sweep CONFIG --out DIR``: many sessions, methods, settings, seeds and folds, on any cluster, each once."""

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from neurodyn.cli import COMMANDS
from neurodyn.cli.parsers import Subparsers, argument, count, seconds
from neurodyn.cli.study import output_folder
from neurodyn.errors import InputError, NeurodynError, require_extras
from neurodyn.given import number

NEEDS = {"distributed": "dask", "zarr": "dask", "matplotlib": "plot"}
REPORT = "report"
SHOWN = 5
"""Failures that are told in full."""


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser("sweep", help=COMMANDS["sweep"])
    parser.add_argument("config", metavar="CONFIG", type=Path, help="YAML file; or the word report, and then DIR")
    parser.add_argument("folder", metavar="DIR", type=Path, nargs="?", help="of a sweep, to report on")
    parser.add_argument(
        "--out", metavar="DIR", type=Path, help="folder for results.zarr, report.md; all workers see it"
    )
    parser.add_argument("--scheduler", metavar="ADDRESS", help="Dask scheduler, like tcp://host:8786 (this machine)")
    parser.add_argument("--workers", metavar="N", type=argument(count), help="on this machine (one per core)")
    parser.add_argument(
        "--memory", metavar="SIZE", default="auto", help="of a worker on this machine, like 8GB (a share)"
    )
    parser.add_argument(
        "--resources", metavar="NAME=N", type=argument(resource), action="append", default=[],
        help="that each worker on this machine offers, like GPU=1 (repeatable)",
    )  # fmt: skip
    parser.add_argument(
        "--patience", metavar="TIME", type=argument(seconds), default=120.0,
        help="for which a scheduler that has gone is waited for (120)",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Check everything, do what is not done, write the report."""
    from neurodyn.sweep import write_report

    require_extras(NEEDS)
    if str(arguments.config) == REPORT:
        if arguments.folder is None:
            raise InputError("neurodyn sweep report needs the folder of a sweep")
        print(write_report(arguments.folder))
        return 0
    if arguments.folder is not None:
        raise InputError(f"unexpected '{arguments.folder}': a folder follows the word report; results go to --out DIR")
    if arguments.out is None:
        raise InputError("neurodyn sweep CONFIG needs a folder for the results: --out DIR")
    done, failed = _swept(arguments)
    if done:
        print(write_report(arguments.out))
    if failed:
        told = [f"  {name}: {reason}" for name, reason in list(failed.items())[:SHOWN]]
        more = f"\n  and {len(failed) - SHOWN} more" if len(failed) > SHOWN else ""
        raise NeurodynError(
            "\n".join([f"{len(failed)} tasks failed; run the command again to try them again:", *told]) + more
        )
    return 0


def resource(value: str) -> tuple[str, float]:
    """Name and amount from ``GPU=1``.

    Examples
    --------
    >>> resource("GPU=1")
    ('GPU', 1.0)
    """
    name, sign, amount = value.partition("=")
    message = f"expected a resource and how much of it, like GPU=1, got {value!r}"
    if not name or not sign:
        raise InputError(message)
    return name, number(amount, message)


def _swept(arguments: argparse.Namespace) -> tuple[int, dict[str, str]]:
    """How many tasks are done, and why the others failed."""
    from neurodyn.sweep import Cluster, read_plan, run_sweep

    plan = read_plan(arguments.config)
    cluster = Cluster(
        arguments.scheduler, arguments.workers, arguments.memory, dict(arguments.resources), patience=arguments.patience
    )
    columns: Any = (TextColumn("tasks"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with output_folder(arguments.out), Progress(*columns, console=Console(stderr=True)) as progress:
        shown = progress.add_task("tasks", total=len(plan.tasks()))

        def told(done: int, total: int) -> None:
            progress.update(shown, completed=done, total=total)

        failed = run_sweep(plan, arguments.out, cluster, on_done=told)
        return int(progress.tasks[shown].completed), failed
