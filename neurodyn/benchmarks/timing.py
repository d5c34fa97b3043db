"""The one way to time things here: warm up, wait for the device, median of repeats."""

import os
import platform
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from neurodyn.plain import plain


@dataclass(frozen=True)
class Measurement:
    """How long one thing took.

    Attributes
    ----------
    name
        What was timed.
    sizes
        The sizes it was timed at, for example ``{"latent": 32, "trials": 32}``.
    seconds
        Median over the repeats.
    spread
        25th and 75th percentile in seconds.
    baseline
        Name of the measurement of the same sizes that this one is compared with; empty for a baseline itself.
    ratio
        Seconds of the baseline divided by ours: above 1 is faster than the baseline.
    notes
        Further figures, for example bytes or a rate in hertz.
    """

    name: str
    sizes: dict[str, int | float | str]
    seconds: float
    spread: tuple[float, float] = (float("nan"), float("nan"))
    baseline: str = ""
    ratio: float = float("nan")
    notes: dict[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """What a benchmark found.

    Attributes
    ----------
    name
        Name of the benchmark: ``neurodyn bench NAME``.
    measurements
        One per row of the table.
    machine
        From `machine`.
    targets
        For each figure asked for, whether it was reached: text to text.
    columns
        Names of notes that have a column of the table to themselves.
    """

    name: str
    measurements: tuple[Measurement, ...]
    machine: dict[str, Any]
    targets: dict[str, str] = field(default_factory=dict)
    columns: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain dictionaries and lists, ready for ``json.dump``; what is not finite is None."""
        return plain(asdict(self))


def median_seconds(call: Callable[[], Any], *, repeats: int, warmup: int = 1) -> tuple[float, tuple[float, float]]:
    """Time a call whose result may still be on its way on the device.

    Parameters
    ----------
    call
        Without arguments; what it returns is waited for.
    repeats
        Timed calls.
    warmup
        Calls before, not timed: compilation happens there.

    Returns
    -------
    tuple
        Median, and the 25th and 75th percentile, in seconds.
    """
    import jax

    for _ in range(warmup):
        jax.block_until_ready(call())
    times = np.empty(repeats)
    for index in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(call())
        times[index] = time.perf_counter() - start
    low, middle, high = np.percentile(times, [25, 50, 75])
    return float(middle), (float(low), float(high))


def outcome(reached: bool, found: str = "") -> str:
    """Whether a target was reached, as reports write it, with what was found.

    Examples
    --------
    >>> outcome(True), outcome(False, "3.1 s")
    ('reached', 'missed: 3.1 s')
    """
    word = "reached" if reached else "missed"
    return f"{word}: {found}" if found else word


def machine() -> dict[str, Any]:
    """Describe the machine: processor, cores, devices, and the versions that matter for speed, our own commit too."""
    import jax
    import jaxlib

    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "devices": [f"{device.platform}: {device.device_kind}" for device in jax.devices()],
        "python": platform.python_version(),
        "jax": jax.__version__,
        "jaxlib": jaxlib.__version__,
        "numpy": np.__version__,
        "commit": _commit(),
    }


def _commit() -> str:
    """Commit of the source tree that this module lies in, ``+`` if its code has changed; empty for an installed one."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        subprocess.run([*git, "ls-files", "--error-unmatch", __file__], capture_output=True, check=True)
        head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout
        # Not the results: a report of the run before may lie there.
        changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", ":/neurodyn", ":/pyproject.toml"])
    except (OSError, subprocess.CalledProcessError):  # no git, no repository, or another one's
        return ""
    return head.strip() + "+" * (changed.returncode != 0)


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
