"""How seconds and memory of a fit grow with units and bins: today's rigs record a thousand units.

Every fit has a process of its own, because the largest memory a process ever had cannot be told otherwise.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from neurodyn.benchmarks.timing import Measurement, Report, machine
from neurodyn.cli.parsers import argument
from neurodyn.errors import unknown_name
from neurodyn.given import count

if TYPE_CHECKING:
    from neurodyn.binning import MultimodalBatch

PEAK, DATA, CPU = "peak memory, GB", "recording, GB", "processor seconds"

MEMORY = (1.0, 3.0)
"""A fit may take so many GB and so many times its recording (single precision, 4 bytes per unit and bin)."""

RIDGE_SECONDS = 60.0
"""That causal ridge of 1000 units and 60,000 bins may take."""

LINEAR = 1.1
"""Power of units or bins up to which time counts as linear."""

WIDTH = 0.02
"""Seconds per bin."""


@dataclass(frozen=True)
class Sizes:
    """What is fitted: one recording of so many units and bins."""

    units: int = 1000
    bins: int = 60_000


def ridge(batch: "MultimodalBatch") -> None:
    """Causal ridge on exponential averages, its filtered read-out."""
    from neurodyn.baselines import CausalRidge

    CausalRidge(smoothed=False).fit(batch)


def ridge_smoothed(batch: "MultimodalBatch") -> None:
    """The same with the smoothed read-out, which has twice the features, beside the filtered one."""
    from neurodyn.baselines import CausalRidge

    CausalRidge().fit(batch)


def decoder(batch: "MultimodalBatch") -> None:
    """The multiscale decoder: one epoch of training, and its read-outs."""
    from neurodyn.multiscale import MultiscaleDecoder
    from neurodyn.multiscale.config import TrainingConfig

    MultiscaleDecoder(training=TrainingConfig(epochs=1), progress=False).fit(batch)


METHODS: dict[str, Callable[["MultimodalBatch"], None]] = {
    "ridge": ridge,
    "ridge-smoothed": ridge_smoothed,
    "decoder": decoder,
}
"""What can be fitted, by the name on the command line."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what a user may choose."""
    parser.add_argument(
        "--methods", nargs="+", metavar="NAME", default=["ridge"], help=f"of {', '.join(METHODS)} (default ridge)"
    )
    parser.add_argument("--units", nargs="+", metavar="N", type=argument(count), default=[100, 300, 1000, 3000])
    parser.add_argument("--bins", nargs="+", metavar="N", type=argument(count), default=[20_000, 60_000, 200_000])
    parser.add_argument(
        "--at-units", metavar="N", type=argument(count), default=300, help="while bins grow (default %(default)s)"
    )
    parser.add_argument(
        "--at-bins", metavar="N", type=argument(count), default=60_000, help="while units grow (default %(default)s)"
    )


def run(arguments: argparse.Namespace) -> Report:
    """Fit every method at every number of units, and at every number of bins."""
    from neurodyn.training import ProgressBar

    for name in arguments.methods:
        if name not in METHODS:
            raise unknown_name("method", name, tuple(METHODS))
    grown = [Sizes(units, arguments.at_bins) for units in arguments.units]
    grown += [Sizes(arguments.at_units, bins) for bins in arguments.bins]
    jobs = [(name, sizes) for name in arguments.methods for sizes in dict.fromkeys(grown)]
    bar, found = ProgressBar("bench scale"), []
    for done, (name, sizes) in enumerate(jobs):
        found.append(measure(name, sizes))
        bar.update(done + 1, len(jobs), found[-1].seconds, float("nan"))
    bar.finish("finished")
    return Report("scale", tuple(found), machine(), targets(found))


def measure(name: str, sizes: Sizes) -> Measurement:
    """Seconds and peak memory of one fit, in a process of its own; one that is killed gets no seconds but a note."""
    words = [sys.executable, "-m", "neurodyn.benchmarks.worker", "scale", json.dumps({**asdict(sizes), "method": name})]
    ended = subprocess.run(words, env=os.environ, stdout=subprocess.PIPE, text=True)
    if ended.returncode < 0:
        return Measurement(name, asdict(sizes), float("nan"), notes={"ended": f"killed by signal {-ended.returncode}"})
    if ended.returncode:
        raise RuntimeError(f"the fit of '{name}' at {sizes} failed with exit code {ended.returncode}, see above")
    result = json.loads(ended.stdout)
    notes = {PEAK: result["peak"] / 1e9, DATA: result["data"] / 1e9, CPU: result["processor"]}
    return Measurement(name, asdict(sizes), result["seconds"], notes=notes)


def fit(method: str, sizes: Sizes) -> dict[str, float]:
    """Fit one method here and now: seconds, processor seconds, and bytes of the recording."""
    batch = recording(sizes)
    start, processor = time.perf_counter(), time.process_time()
    METHODS[method](batch)
    return {
        "seconds": time.perf_counter() - start,
        "processor": time.process_time() - processor,
        "data": float(batch.observations["spikes"].nbytes),
    }


def recording(sizes: Sizes, *, signals: int = 8, rate: float = 2.0, seed: int = 0) -> "MultimodalBatch":
    """Spikes of units that follow a few slow signals, at some hertz, and two nonlinear functions of those as target.

    Made a stretch of time at a time: making it must not take more memory than fitting it.
    """
    from scipy.signal import lfilter

    from neurodyn.binning.batch import MultimodalBatch
    from neurodyn.binning.modality import Modality

    rng, bins = np.random.default_rng(seed), sizes.bins
    decays = np.exp(-WIDTH / np.geomspace(0.2, 5.0, signals))
    latent = [np.asarray(lfilter([np.sqrt(1 - a * a)], [1, -a], rng.normal(size=bins))) for a in decays]
    latent = np.stack(latent, axis=1)
    tuning = rng.normal(size=(signals, sizes.units)) / np.sqrt(signals)
    level = rng.normal(size=sizes.units) - 1.0 + np.log(rate * WIDTH)
    spikes = np.empty((bins, sizes.units), np.float32)
    for first in range(0, bins, 1024):
        spikes[first : first + 1024] = rng.poisson(np.exp(latent[first : first + 1024] @ tuning + level))
    spikes[0] += 1  # no unit is silent
    target = np.stack([latent[:, 3] + latent[:, 0] / 2, np.tanh(latent[:, 5] * latent[:, 2])], axis=1)
    return MultimodalBatch(
        observations={"spikes": spikes},
        observed={"spikes": np.ones(spikes.shape, bool)},
        target=target.astype(np.float32),
        target_observed=np.ones(bins, bool),
        time=WIDTH * (1.0 + np.arange(bins)),
        width=WIDTH,
        starts=np.array([0]),
        lengths=np.array([bins]),
        lead=np.array([0]),
        modalities=(Modality("spikes", "poisson", tuple(str(i) for i in range(sizes.units))),),
        target_names=("sum", "product"),
    )


def targets(found: Sequence[Measurement]) -> dict[str, str]:
    """Every figure asked for, with what was measured."""
    result = {}
    for name in dict.fromkeys(row.name for row in found):
        rows = [row for row in found if row.name == name and PEAK in row.notes]
        if rows:
            over = {tuple(row.sizes.values()): _memory_over(row) for row in rows}
            worst = max(over, key=lambda sizes: over[sizes])
            text = f"{over[worst]:+.2f} GB beside it at {worst[0]} units, {worst[1]} bins"
            limit = f"{name}: at most {MEMORY[0]:g} GB + {MEMORY[1]:g} x the recording"
            result[limit] = f"{'reached' if over[worst] <= 0 else 'missed'}: {text}"
        for along, other in (("units", "bins"), ("bins", "units")):
            power = growth(rows, along, other)
            if power is not None:
                verdict = "reached" if power <= LINEAR else "missed"
                result[f"{name}: seconds linear in {along}"] = f"{verdict}: they grow as {along} to the {power:.2f}"
        for row in rows:
            if name == "ridge" and (row.sizes["units"], row.sizes["bins"]) == (1000, 60_000):
                verdict = "reached" if row.seconds <= RIDGE_SECONDS else "missed"
                result[f"ridge, 1000 units, 60,000 bins: {RIDGE_SECONDS:g} s"] = f"{verdict}: {row.seconds:.3g} s"
    return result


def growth(rows: Sequence[Measurement], along: str, other: str) -> float | None:
    """Power of a size that seconds grow with, from its smallest value to its largest; None where it has one only."""
    series: dict[Any, dict[float, float]] = {}
    for row in rows:
        series.setdefault(row.sizes[other], {})[float(row.sizes[along])] = row.seconds
    longest = max(series.values(), key=len, default={})
    if len(longest) < 2:
        return None
    low, high = min(longest), max(longest)
    return float(np.log(longest[high] / longest[low]) / np.log(high / low))


def _memory_over(row: Measurement) -> float:
    """GB above the limit, negative below."""
    return float(row.notes[PEAK]) - MEMORY[0] - MEMORY[1] * float(row.notes[DATA])
