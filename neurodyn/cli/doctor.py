"""``neurodyn doctor``: what this machine has for neurodyn, and what to do where something is missing."""

import argparse
import importlib.util
import json
import os
import platform
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from neurodyn.cli import COMMANDS
from neurodyn.cli.findings import Line
from neurodyn.cli.parsers import Subparsers
from neurodyn.compilation import chosen_folder
from neurodyn.versions import installed as _installed

LEAST_FREE = 2e9
"""Bytes of free memory below which a fit of a session may not fit."""
FAULT = 1
"""Exit code where something that is needed is missing or out of its bounds."""


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser("doctor", help=COMMANDS["doctor"])
    parser.add_argument("--json", action="store_true", help="print everything as JSON instead")
    parser.add_argument(
        "--realtime", action="store_true", help="look at what a live decoder needs: cores, scheduling, memory, timers"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Look at everything, print it, and say what to do."""
    lines = _examine_realtime() if arguments.realtime else examine()
    if arguments.json:
        print(json.dumps([asdict(line) for line in lines], indent=2))
    else:
        _print(lines)
    return FAULT if any(line.fault for line in lines) else 0


def examine() -> list[Line]:
    """Everything that is looked at, in the order shown."""
    return [
        Line("neurodyn", f"{_installed('neurodyn') or 'not installed as a package'}, {Path(__file__).parents[1]}"),
        Line("Python", f"{platform.python_version()}, {platform.platform()}"),
        *packages(_requirements()),
        devices(),
        threads(),
        memory(*_memory()),
        _cache(),
    ]


def _examine_realtime() -> list[Line]:
    # Imported here: it needs packages, whose absence the other lines are about.
    from neurodyn.cli import doctor_realtime

    return doctor_realtime.examine()


def packages(requirements: list[str]) -> Iterator[Line]:
    """Packages that are needed, each with its bound; then the extras, each with what is missing of it.

    Parameters
    ----------
    requirements
        As the metadata of a package state them, like ``jax!=0.10.*,>=0.9.2``.
    """
    if importlib.util.find_spec("packaging") is None:
        yield Line("packages", "cannot be held against their bounds", "pip install packaging", fault=True)
        return
    from packaging.requirements import Requirement

    extras: dict[str, list[str]] = {}
    for requirement in map(Requirement, requirements):
        extra = _extra_of(str(requirement.marker or ""))
        if extra is None:
            yield package(requirement.name, _installed(requirement.name), str(requirement.specifier))
        elif requirement.name != "neurodyn" and extra not in ("all", "dev", "bench"):
            extras.setdefault(extra, []).extend([] if _installed(requirement.name) else [requirement.name])
    for extra, missing in sorted(extras.items()):
        advice = f"only if you need it: in your clone, pip install '.[{extra}]'" if missing else ""
        yield Line(f"extra {extra}", f"missing: {', '.join(missing)}" if missing else "installed", advice)


def package(name: str, found: str | None, bound: str) -> Line:
    """One package that is needed, against its bound.

    Parameters
    ----------
    name
        Of the package.
    found
        Its version, None if it is not installed.
    bound
        Such as ``!=0.10.*,>=0.9.2``.
    """
    from packaging.specifiers import SpecifierSet

    if found is None:
        return Line(name, "not installed", f"pip install '{name}{bound}'", fault=True)
    if SpecifierSet(bound).contains(found, prereleases=True):
        return Line(name, f"{found} ({bound})")
    why = "it can deadlock on CPUs; " if name == "jax" and found.startswith("0.10.") else ""
    return Line(name, f"{found}, outside {bound}", f"{why}pip install '{name}{bound}'", fault=True)


def devices() -> Line:
    """What JAX computes on."""
    if importlib.util.find_spec("jax") is None:
        return Line("devices", "none, without JAX", "recordings, bins and ridge regression work; fits of models do not")
    import jax

    found = jax.devices()
    text = f"{len(found)} x {found[0].device_kind} ({found[0].platform})"
    if found[0].platform == "cpu" and shutil.which("nvidia-smi"):
        return Line("devices", text, "there is an NVIDIA card: pip install 'jax[cuda12]' to train on it")
    return Line("devices", text)


def threads() -> Line:
    """Cores that this process may use, threads of BLAS, and how busy the machine is."""
    from neurodyn.threads import blas_threads

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    set_ = {name: os.environ[name] for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS") if name in os.environ}
    more = "".join(f", {name}={value}" for name, value in set_.items())
    text = f"{cores} cores, {blas_threads()} threads of BLAS, load {load:.1f}{more}"
    advice = "the machine is busy: fits take longer, and a live decoder needs a core of its own" if load > cores else ""
    return Line("threads", text, advice)


def memory(total: float | None, free: float | None) -> Line:
    """Memory that there is and that is free, in bytes; None where the system does not say."""
    if total is None or free is None:
        return Line("memory", "unknown")
    advice = "" if free >= LEAST_FREE else "fits take from one to three GB: close something, or fit with  --jobs 1"
    return Line("memory", f"{total / 1e9:.1f} GB, {free / 1e9:.1f} GB free", advice)


def _cache() -> Line:
    """The folder that programs are kept in, as :func:`neurodyn.compilation.keep_compiled` chooses it."""
    told = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    folder = Path(told) if told else chosen_folder()
    return Line("compiled programs", "not kept: NEURODYN_CACHE is off") if folder is None else compiled(folder)


def compiled(folder: Path) -> Line:
    """Programs that JAX has compiled and keeps for the next start."""
    files = [path for path in folder.glob("*") if path.is_file()] if folder.is_dir() else []
    size = sum(path.stat().st_size for path in files)
    parent = next(path for path in (folder, *folder.parents) if path.exists())
    advice = "" if os.access(parent, os.W_OK) else "the folder cannot be written: set NEURODYN_CACHE to one that can"
    return Line("compiled programs", f"{len(files)} in {folder}, {size / 1e6:.0f} MB", advice)


def _print(lines: list[Line]) -> None:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False)
    for name in ("", "here", "what to do"):
        table.add_column(name, overflow="fold")
    for line in lines:
        style = "bold red" if line.fault else None
        table.add_row(escape(line.name), escape(line.found), escape(line.advice), style=style)
    console = Console()
    console.print(table)
    faults = [line.name for line in lines if line.fault]
    console.print(f"to be mended: {', '.join(faults)}" if faults else "nothing to be mended", highlight=False)


def _requirements() -> list[str]:
    try:
        return requires("neurodyn") or []
    except PackageNotFoundError:  # run from a folder that was not installed
        return []


def _extra_of(marker: str) -> str | None:
    """Extra that a marker like ``extra == "nwb"`` asks for."""
    found = re.search(r"extra == ['\"]([^'\"]+)", marker)
    return found[1] if found else None


def _memory() -> tuple[float | None, float | None]:
    """Bytes in all and free, of a container what it may have."""
    try:
        text = Path("/proc/meminfo").read_text()
    except OSError:
        return None, None
    found = {line.split(":")[0]: 1024.0 * float(line.split()[1]) for line in text.splitlines() if "kB" in line}
    total, free = found.get("MemTotal"), found.get("MemAvailable")
    if total is None or free is None:
        return None, None
    try:
        limit = float(Path("/sys/fs/cgroup/memory.max").read_text())
        used = float(Path("/sys/fs/cgroup/memory.current").read_text())
    except (OSError, ValueError):  # no container, or one without a limit: 'max'
        return total, free
    return min(total, limit), min(free, max(0.0, limit - used))
