"""How long a bin takes in a live decoder, at the rate of the bins and flat out, next to a loop that does nothing.

The decoder runs in a process of its own (:mod:`neurodyn.benchmarks.realtime_worker`): one thread, on one core. Its
weights are random: time does not depend on them. Bins are lost at random, the hardest case for the table of gains.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neurodyn.benchmarks.realtime_worker import LONG, LONG_PRODUCT
from neurodyn.benchmarks.sizes import add_sizes, chosen
from neurodyn.benchmarks.timing import Measurement, Report, machine
from neurodyn.errors import NeurodynError
from neurodyn.writing import write_text

if TYPE_CHECKING:
    from neurodyn.binning import MultimodalBatch
    from neurodyn.realtime import Frozen
    from neurodyn.recurrent import Network as RecurrentNetwork

ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OPENBLAS", "OMP", "MKL")}
LIMITS = {"p50": 120.0, "p99": 300.0, "p99.9": 1000.0}
"""Microseconds per step that the project promises, at 192 + 192 channels, 64 latents and four members of 128 units."""
LIMITS_WITHOUT = {"p50": 60.0, "p99": 200.0, "p99.9": 1000.0}
"""The same without the recurrent read-out."""
MOST_GROWTH = 2.0
"""Megabytes that memory may grow by, however many steps there are."""


@dataclass(frozen=True)
class Session:
    """What is decoded, and for how long.

    Parameters
    ----------
    spikes, field
        Channels of each modality.
    latent
        Dimensions of the shared state, of each modality's own, and of the embeddings.
    members, hidden
        Members and units of the recurrent read-out; 0 members leave it out.
    every
        Bins between samples of the field.
    missing
        Share of each modality's samples that never come.
    width
        Of a bin, seconds.
    poll
        Seconds before the end of a bin from which the loop waits awake, as one that polls its source; 0 if it sleeps.
    minutes
        Of decoding at the rate of the bins.
    steps
        Of decoding flat out, per condition.
    long
        Steps of one long run flat out, in which nothing is lost, with baselines in between; 0 leaves it out. Two
        million tell whether memory stays as it is.
    core
        To run on; the last of those allowed if negative.
    seed
        Of weights and data.
    """

    spikes: int = 192
    field: int = 192
    latent: int = 64
    members: int = 4
    hidden: int = 128
    every: int = 5
    missing: float = 0.1
    width: float = 0.01
    poll: float = 0.0005
    minutes: float = 1.0
    steps: int = 5000
    long: int = 0
    core: int = -1
    seed: int = 0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add one option per setting of a `Session`."""
    texts = {
        "spikes": "spike channels", "field": "field channels", "latent": "dimensions of the latent state",
        "members": "members of the recurrent read-out (0: without)", "hidden": "units of each member",
        "every": "bins between field samples", "missing": "share of samples that never come",
        "width": "bin width, seconds",
        "poll": "seconds before the end of a bin to wait awake instead of asleep",
        "minutes": "minutes at the rate of the bins", "steps": "bins flat out",
        "long": "steps of one long run flat out, next to nothing and a product of NumPy (0: none)",
        "core": "processor core to run on (-1: the last allowed)", "seed": "of weights and data",
    }  # fmt: skip
    add_sizes(parser, Session, texts)


def run(arguments: argparse.Namespace) -> Report:
    """Make a decoder, run it in a process of its own and collect what that measured."""
    session = chosen(arguments, Session)
    with tempfile.TemporaryDirectory() as folder:
        untrained(session).save(Path(folder) / "decoder.npz")
        write_text(Path(folder) / "session.json", json.dumps(asdict(session)))
        found = _run_worker(Path(folder), session)
    return Report("realtime", tuple(_measurements(session, found)), machine(), _targets(found, session))


def untrained(session: Session) -> "Frozen":
    """A decoder with the published networks (three hidden layers of 128), random weights and a target of two."""
    from neurodyn.binning import MultimodalBatch, Scaling
    from neurodyn.multiscale.config import DecoderConfig, ModalityConfig, ModelConfig
    from neurodyn.multiscale.export import freeze
    from neurodyn.multiscale.fitted import Fitted, Readout
    from neurodyn.multiscale.fitting import build_model, split_model
    from neurodyn.multiscale.inference import Network
    from neurodyn.targets import LinearTarget, LogLinearVariance, memory_size
    from neurodyn.training import History

    rng = np.random.default_rng(session.seed)
    data = {
        "spikes": rng.poisson(0.3, (1, 200, session.spikes)).astype(float),
        "field": rng.normal(size=(1, 200, session.field)),
    }
    kinds = {"spikes": "poisson", "field": "gaussian"}
    target = rng.normal(size=(1, 200, 2))
    batch = MultimodalBatch.from_arrays(data, width=session.width, likelihoods=kinds, target=target)
    rows = tuple(ModalityConfig(m.name, m.n_channels, m.likelihood) for m in batch.modalities)
    n = session.latent
    config = DecoderConfig(ModelConfig(rows, latent=n, modality_state=n, embedding=n, target=2, skip=False))
    scaling = Scaling.fit(batch)
    network = Network(*split_model(build_model(config, scaling)))
    weights = rng.normal(size=(sum(config.model.states), 2)) / np.sqrt(n)
    linear = LinearTarget(weights, np.zeros(2), np.ones(2), np.eye(2))
    names, recurrent = ("x", "y"), None
    readout = Readout.of_one(linear, np.ones(2))
    if session.members:
        recurrent = _untrained_recurrent(session, batch)
        variance = LogLinearVariance(np.zeros(2), np.full((1 + 2 * memory_size(len(rows)), 2), 0.1))
        stack = np.full((len(rows) + 1, 2, 2), 0.5)
        readout = Readout((linear,), stack, np.zeros(2), np.ones(2), variance)
    fitted = Fitted(
        config=config, network=network, scaling=scaling, modalities=batch.modalities, target_names=names,
        width=session.width, filtered=readout, smoothed=None, history=History(), status="", provenance={},
        recurrent=recurrent,
    )  # fmt: skip
    return freeze(fitted)


def _untrained_recurrent(session: Session, batch: "MultimodalBatch") -> "RecurrentNetwork":
    """A recurrent read-out with random weights."""
    import jax

    from neurodyn.recurrent import InputScaling, Network, RecurrentConfig
    from neurodyn.recurrent.network import draw_weights, on_host

    inputs = InputScaling.fit(batch)
    config = RecurrentConfig(hidden=session.hidden, members=session.members)
    return Network(on_host(draw_weights(jax.random.key(session.seed), inputs.n_inputs, 2, config)), inputs)


def _run_worker(folder: Path, session: Session) -> dict[str, Any]:
    command = [sys.executable, "-m", "neurodyn.benchmarks.realtime_worker", str(folder)]
    worker = subprocess.Popen(command, env={**os.environ, **ONE_THREAD})
    try:
        _wait(worker, session)
    finally:
        if worker.poll() is None:
            worker.terminate()
            worker.wait()
    if worker.returncode:
        raise NeurodynError(f"the decoder's process ended with status {worker.returncode}")
    return json.loads((folder / "result.json").read_text())


def _wait(worker: subprocess.Popen, session: Session) -> None:
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as bar:
        task, start = bar.add_task("realtime", total=60 * session.minutes), time.monotonic()
        while worker.poll() is None:
            # Seldom: what is drawn here takes time from the decoder.
            time.sleep(1.0)
            bar.update(task, completed=time.monotonic() - start)


def _measurements(session: Session, found: dict[str, Any]) -> list[Measurement]:
    sizes = {name: getattr(session, name) for name in ("spikes", "field", "latent", "every", "missing", "poll")}
    idle = found["no-op"]["p50"] * 1e-6
    rows = [Measurement("no-op loop", sizes, idle, notes=_notes(found["no-op"]))]
    for name, figures in found.items():
        if name not in ("no-op", "memory"):
            spread = figures["p25"] * 1e-6, figures["p75"] * 1e-6
            compared = {} if name != LONG else {
                "baseline": LONG_PRODUCT, "ratio": found[LONG_PRODUCT]["p50"] / figures["p50"]
            }  # fmt: skip
            rows.append(Measurement(name, sizes, figures["p50"] * 1e-6, spread, **compared, notes=_notes(figures)))
    memory = found["memory"]
    rows.append(Measurement("memory", sizes, float("nan"), notes={k: f"{v / 1e6:.1f} MB" for k, v in memory.items()}))
    return rows


def _notes(figures: dict[str, float]) -> dict[str, float | str]:
    times = {
        name: f"{value:.1f} us" for name, value in figures.items() if name in ("p50", "p95", "p99", "p99.9", "max")
    }
    return {**times, **{n: float(v) for n, v in figures.items() if n not in times and not n.startswith("p")}}


def _targets(found: dict[str, Any], session: Session) -> dict[str, str]:
    paced, idle = found["step at bin rate"], found["no-op"]
    targets = {}
    for name, limit in (LIMITS if session.members else LIMITS_WITHOUT).items():
        verdict = "reached" if paced[name] <= limit else "missed"
        targets[f"step at bin rate {name} <= {limit:g} us"] = f"{paced[name]:.0f} us: {verdict}"
    beyond = paced["missed deadlines"] - idle["missed deadlines"]
    targets["no deadline missed beyond the no-op loop's"] = (
        f"{paced['missed deadlines']:.0f} of {paced['bins']:.0f}, no-op {idle['missed deadlines']:.0f}: "
        f"{'reached' if beyond <= 0 else 'missed'}"
    )
    grown = found["memory"]["end"] - found["memory"]["start"]
    targets["flat memory"] = _flat(grown / 1e6)
    grown = {name: figures["grown MB"] for name, figures in found.items() if "grown MB" in figures}
    if LONG in grown:
        targets[f"flat memory over {session.long:,} steps flat out"] = _flat(grown.pop(LONG))
    targets[f"flat memory over {session.steps:,} steps flat out"] = _flat(max(grown.values()))
    return targets


def _flat(megabytes: float) -> str:
    return f"{megabytes:+.1f} MB: {'reached' if megabytes < MOST_GROWTH else 'missed'}"
