"""How long a training step takes, next to a loop over trials and to the matrix products it cannot do without.

The model is the published one: networks of three hidden layers of 128, horizons 0 to 4. Its data are noise; time does
not depend on them. A step is one of a compiled epoch: segments gathered, masks drawn, gradient, Adam.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from neurodyn.benchmarks.timing import Measurement, Report, machine, median_seconds, outcome

if TYPE_CHECKING:
    from neurodyn.benchmarks.products import Product
    from neurodyn.multiscale.config import DecoderConfig

SHARED, PER_TRIAL, LOOP = "one mask per batch", "one mask per trial", "loop over trials"
PRODUCTS, NETWORKS = "matrix products alone", "products of the networks alone"

LIMITS = {(32, 100): (2.2 / 15, 2.2 / 5), (64, 100): (7.9 / 25, 7.9 / 8), (64, 200): (29 / 50, 29 / 10)}
"""Seconds per step to reach by (latent, bins), at 20 + 20 channels and 32 trials: one mask per batch, one per trial."""

ROOFLINE = 2.5
"""Times its matrix products that a step with one mask per batch may take."""

WIDE = (128, 128, 128)
HORIZONS = (0, 1, 2, 3, 4)


@dataclass(frozen=True)
class Sizes:
    """What a step is timed at.

    Parameters
    ----------
    latent
        Dimensions of the shared state, of each modality's own, and of the embeddings.
    bins, trials
        Of a batch.
    channels
        Of each of the two modalities.
    """

    latent: int = 32
    bins: int = 100
    trials: int = 32
    channels: int = 20


GROWTH = {"latent": (16, 32, 64), "trials": (8, 32, 128, 256), "bins": (50, 100, 200, 400), "channels": (10, 40, 160)}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what a user may choose."""
    parser.add_argument("--sizes", metavar="LATENTxBINS", nargs="+", default=["32x100", "64x100", "64x200"])
    parser.add_argument("--trials", metavar="N", type=int, default=32, help="per step (default %(default)s)")
    parser.add_argument("--repeats", metavar="N", type=int, default=9, help="timed calls (default %(default)s)")
    parser.add_argument("--no-growth", action="store_true", help="leave out growth with each size")
    parser.add_argument("--no-start", action="store_true", help="leave out the time to the first step")


def run(arguments: argparse.Namespace) -> Report:
    """Time every size asked for, growth with each size, and how soon a process makes its first step."""
    from neurodyn.training import ProgressBar

    asked = [Sizes(*size, trials=arguments.trials) for size in parse_sizes(arguments.sizes)]
    jobs: list[Callable[[], list[Measurement]]] = [lambda s=s: compare(s, arguments.repeats) for s in asked]
    if not arguments.no_growth:
        jobs += [lambda s=s: grow(s, arguments.repeats) for s in along_each(asked[0], GROWTH) if s not in asked]
    if not arguments.no_start:
        jobs.append(lambda: first_steps(asked[0]))
    bar, found = ProgressBar("bench train"), []
    for done, job in enumerate(jobs):
        found += job()
        bar.update(done + 1, len(jobs), found[-1].seconds, float("nan"))
    bar.finish("finished")
    return Report("train", tuple(found), machine(), targets(found))


def parse_sizes(texts: Iterable[str]) -> list[tuple[int, int]]:
    """``["32x100"]`` as ``[(32, 100)]``.

    Raises
    ------
    InputError
        For anything else.
    """
    from neurodyn.errors import InputError

    sizes = []
    for text in texts:
        parts = text.lower().split("x")
        if len(parts) != 2 or not all(part.isdigit() and int(part) > 0 for part in parts):
            raise InputError(f"expected sizes like 64x100 (latents x bins), got '{text}'")
        sizes.append((int(parts[0]), int(parts[1])))
    return sizes


def along_each(base: Any, values: dict[str, tuple[int, ...]]) -> Iterator[Any]:
    """A frozen dataclass with one of its sizes changed at a time."""
    for name, others in values.items():
        yield from (replace(base, **{name: value}) for value in others)


def compare(sizes: Sizes, repeats: int) -> list[Measurement]:
    """Our step with either kind of mask, the loop, and the products."""
    from neurodyn.benchmarks.products import matrices, time_products

    loop = time_loop(sizes, max(3, repeats // 3))
    products = measured(PRODUCTS, sizes, *time_products(products_of_step(sizes), repeats), loop)
    of_networks = Counter({matrices(*shape): often for shape, often in products_of_networks(sizes).items()})
    networks = measured(NETWORKS, sizes, *time_products(of_networks, repeats), loop)
    shared, per_trial = (
        measured(name, sizes, *time_step(sizes, repeats, mask_per_trial=name == PER_TRIAL), loop)
        for name in (SHARED, PER_TRIAL)
    )
    times = {f"times the {row.name}": shared.seconds / row.seconds for row in (products, networks)}
    return [replace(shared, notes=times), per_trial, measured(LOOP, sizes, *loop), products, networks]


def grow(sizes: Sizes, repeats: int) -> list[Measurement]:
    """Our step with either kind of mask, for the table of growth."""
    return [
        measured(name, sizes, *time_step(sizes, repeats, mask_per_trial=name == PER_TRIAL))
        for name in (SHARED, PER_TRIAL)
    ]


def measured(
    name: str,
    sizes: Any,
    seconds: float,
    spread: tuple[float, float],
    baseline: tuple[float, tuple[float, float]] | None = None,
) -> Measurement:
    """A row of the report, with its ratio to the loop if there is one."""
    if baseline is None:
        return Measurement(name, asdict(sizes), seconds, spread)
    return Measurement(name, asdict(sizes), seconds, spread, LOOP, baseline[0] / seconds)


def config_of(sizes: Sizes, *, mask_per_trial: bool) -> "DecoderConfig":
    """The published model at these sizes; ``mask_per_trial``: each trial has hidden bins of its own."""
    from neurodyn.multiscale.config import DecoderConfig, ModalityConfig, ModelConfig, ObjectiveConfig, TrainingConfig

    rows = tuple(
        ModalityConfig(name, sizes.channels, kind, encoder=WIDE, decoder=WIDE, smoothness=weight)
        for name, kind, weight in (("spikes", "poisson", 250.0), ("field", "gaussian", 5.0))
    )
    n = sizes.latent
    return DecoderConfig(
        ModelConfig(rows, latent=n, modality_state=n, embedding=n, fusion=(128,), skip=False),
        ObjectiveConfig(horizons=HORIZONS, target=0.0, time_dropout_per_trial=mask_per_trial),
        TrainingConfig(batch=sizes.trials, average=0.0),
    )


def stepper(sizes: Sizes, *, mask_per_trial: bool) -> Callable[[], Any]:
    """A function that makes one more step of training on noise."""
    from neurodyn.training.engine import run_epoch

    state, rest, task = _epoch_of_one_step(sizes, mask_per_trial=mask_per_trial)

    def step() -> Any:
        nonlocal state
        state, loss = run_epoch(state, *rest, task=task)
        return loss

    return step


def _epoch_of_one_step(sizes: Sizes, *, mask_per_trial: bool) -> tuple[Any, tuple[Any, ...], Any]:
    """State at the start, further arguments and task of :func:`neurodyn.training.engine.run_epoch`."""
    import jax.numpy as jnp

    from neurodyn.binning import Scaling
    from neurodyn.multiscale import fitting
    from neurodyn.multiscale.segments import Timeline

    config, rng = config_of(sizes, mask_per_trial=mask_per_trial), np.random.default_rng(0)
    names = [m.name for m in config.model.modalities]
    shape = (sizes.trials * sizes.bins, sizes.channels)
    values = {"spikes": rng.poisson(0.5, shape), "field": rng.normal(size=shape)}
    zero, one = np.zeros(sizes.channels, np.float32), np.ones(sizes.channels, np.float32)
    scaling = Scaling(dict.fromkeys(names, zero), dict.fromkeys(names, one), zero[:0], zero[:0], ("spikes",))
    # Made by NumPy: JAX would compile a small program for each of them, in the time to a first step.
    timeline = Timeline(
        values={n: jnp.asarray(v.astype(np.float32)) for n, v in values.items()},
        observed={n: jnp.asarray(np.ones(shape, bool)) for n in names},
        target=jnp.asarray(np.zeros((shape[0], 0), np.float32)),
        target_observed=jnp.asarray(np.ones(shape[0], bool)),
    )
    starts = np.arange(sizes.trials) * sizes.bins
    segments = jnp.asarray(np.stack([starts, np.full_like(starts, sizes.bins), np.zeros_like(starts)])[None])
    graph, parameters, constants = fitting.split_model(fitting.build_model(config, scaling))
    state = fitting.start_of(parameters, config)
    scales = {n: jnp.asarray(np.float32(1)) for n in names}
    data = fitting.Recorded(constants, timeline, scales)
    task = fitting.DecoderTask(graph, config, steps_per_epoch=1, bins=sizes.bins, shared=True)
    return state, (data, segments, jnp.asarray(0)), task


def time_step(sizes: Sizes, repeats: int, *, mask_per_trial: bool) -> tuple[float, tuple[float, float]]:
    """Median seconds of one step."""
    return median_seconds(stepper(sizes, mask_per_trial=mask_per_trial), repeats=repeats, warmup=2)


def time_loop(sizes: Sizes, repeats: int) -> tuple[float, tuple[float, float]]:
    """Median seconds of a step that takes its trials one after the other, each with its own mask: the naive way."""
    one = stepper(replace(sizes, trials=1), mask_per_trial=True)
    return median_seconds(lambda: [one() for _ in range(sizes.trials)], repeats=repeats)


def products_of_networks(sizes: Sizes) -> Counter[tuple[int, int, int]]:
    """(rows, inner, columns) of every matrix product of a step's networks, forwards and backwards, and how often."""
    rows, n, channels = sizes.trials * sizes.bins, sizes.latent, sizes.channels
    encoder = [(rows, a, b) for a, b in pairwise((channels, *WIDE, n))]
    fusion = [(rows, a, b) for a, b in pairwise((2 * n, 128, n))]
    decoder = [(len(HORIZONS) * rows, a, b) for a, b in pairwise((n, *WIDE, channels))]
    emissions = [(rows, n, n)] * (2 + len(HORIZONS) - 1) + [(len(HORIZONS) * rows, n, n)]
    forwards = Counter([*2 * encoder, *fusion, *2 * decoder, *emissions])
    products: Counter[tuple[int, int, int]] = Counter()
    for (r, a, b), often in forwards.items():
        # The product itself, its derivative by the weights, and its derivative by the input.
        for shape in ((r, a, b), (a, r, b), (r, b, a)):
            products[shape] += often
    # Nothing is derived with respect to the observations.
    products[rows, 128, channels] -= 2
    return products


def products_of_step(sizes: Sizes) -> Counter["Product"]:
    """Every matrix product of a step with one mask per batch: those of the networks and those of the recursions."""
    from neurodyn.benchmarks.products import products_in
    from neurodyn.training.engine import run_epoch

    state, rest, task = _epoch_of_one_step(sizes, mask_per_trial=False)
    return products_in(run_epoch.trace(state, *rest, task=task).jaxpr.jaxpr)


def first_steps(sizes: Sizes) -> list[Measurement]:
    """Seconds from the start of a process to the end of its first step, without and with compiled programs kept."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for name in ("first step, first process", "first step, second process"):
            seconds = _first_step(sizes, folder)
            found.append(Measurement(name, asdict(sizes), seconds))
    before, after = found
    return [before, replace(after, baseline=before.name, ratio=before.seconds / after.seconds)]


def _first_step(sizes: Sizes, folder: str) -> float:
    """Time a process of its own, the import of everything included."""
    import time

    ours = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    words = [sys.executable, "-m", "neurodyn.benchmarks.worker", "first-step", json.dumps(asdict(sizes))]
    begin = time.perf_counter()
    with subprocess.Popen(words, env={**ours, "NEURODYN_CACHE": folder}, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = process.stdout.readline()  # at the end of the step; what ending the process takes is not counted
        seconds = time.perf_counter() - begin
    if process.returncode or not said:
        raise RuntimeError(f"the process of the first step ended early, with exit code {process.returncode}")
    return seconds


def targets(found: Iterable[Measurement]) -> dict[str, str]:
    """Every figure asked for, with what was measured."""
    result = {}
    for row in found:
        sizes = int(row.sizes["latent"]), int(row.sizes["bins"])
        if (
            (row.sizes["channels"], row.sizes["trials"]) == (20, 32)
            and sizes in LIMITS
            and row.name in (SHARED, PER_TRIAL)
        ):
            limit = LIMITS[sizes][row.name == PER_TRIAL]
            result[f"{row.name}, latent {sizes[0]}, {sizes[1]} bins: {limit:.3f} s"] = _within(row.seconds, limit, "s")
        if f"times the {PRODUCTS}" in row.notes:
            name = f"latent {sizes[0]}, {sizes[1]} bins: at most {ROOFLINE} times its matrix products"
            result[name] = _within(float(row.notes[f"times the {PRODUCTS}"]), ROOFLINE, "times")
        if row.name == "first step, second process":
            result["second process: first step in a third of the time"] = _within(1 / row.ratio, 1 / 3, "of the first")
    return result


def _within(value: float, limit: float, unit: str) -> str:
    return outcome(value <= limit, f"{value:.3g} {unit}")
