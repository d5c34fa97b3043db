"""The filter and the smoother of a linear Gaussian model, next to dynamax's; and a recording of an hour.

``bench filter`` and ``bench smooth`` are the same comparison of two functions of :mod:`neurodyn.kernels.kalman`.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from neurodyn.benchmarks.sizes import add_sizes, chosen
from neurodyn.benchmarks.timing import Measurement, Report, machine, median_seconds

if TYPE_CHECKING:
    from neurodyn.binning import MultimodalBatch
    from neurodyn.kernels.kalman import LinearGaussian
    from neurodyn.multiscale.inference import Network

OURS, DYNAMAX, LOOP, PARALLEL = "neurodyn", "dynamax", "loop over bins", "neurodyn, parallel in time"
GAPS = "neurodyn, one bin in ten missing"

AT_LEAST = 2.0
"""Times as fast as dynamax that the filter and the smoother are to be."""


@dataclass(frozen=True)
class Sizes:
    """What is filtered.

    Parameters
    ----------
    latent, channels
        Of the model.
    bins, trials
        Of the data.
    """

    latent: int = 64
    channels: int = 64
    bins: int = 10_000
    trials: int = 1


GROWTH = {
    "latent": (16, 32, 64), "channels": (16, 64, 256), "bins": (1000, 10_000, 100_000), "trials": (1, 16, 256)
}  # fmt: skip
GROWTH_BASE = Sizes(latent=32, channels=32, bins=1000)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what a user may choose."""
    add_sizes(parser, Sizes)
    parser.add_argument("--repeats", metavar="N", type=int, default=5, help="timed calls (default %(default)s)")
    parser.add_argument("--no-growth", action="store_true", help="leave out growth with each size")
    parser.add_argument("--long", metavar="BINS", type=int, default=360_000, help="recording filtered whole (0: none)")


def run(arguments: argparse.Namespace) -> Report:
    """Time both libraries at the sizes asked for, growth with each size, and a long recording."""
    from neurodyn.benchmarks.training import along_each

    smooth = arguments.name == "smooth"
    sizes = chosen(arguments, Sizes)
    found = compare(sizes, arguments.repeats, smooth=smooth)
    if not arguments.no_growth:
        for grown in dict.fromkeys(along_each(GROWTH_BASE, GROWTH)):
            found.append(_measured(OURS, grown, ours(grown, smooth=smooth), arguments.repeats))
    if arguments.long:
        found.append(long_recording(replace(sizes, bins=arguments.long), smooth=smooth))
    return Report(arguments.name, tuple(found), machine(), _targets(found))


def compare(sizes: Sizes, repeats: int, *, smooth: bool) -> list[Measurement]:
    """Ours, ours in logarithmic depth, dynamax where it is installed, and one compiled step called for every bin."""
    from importlib.util import find_spec

    rows = [
        _measured(OURS, sizes, ours(sizes, smooth=smooth), repeats),
        _measured(GAPS, sizes, ours(sizes, smooth=smooth, gaps=True), repeats),
        _measured(PARALLEL, sizes, ours(sizes, smooth=smooth, parallel=True), 2),
    ]
    if not smooth:
        rows.append(_measured(LOOP, sizes, loop_over_bins(sizes), 2))
    if find_spec("dynamax") is None:
        return rows
    reference = _measured(DYNAMAX, sizes, dynamax(sizes, smooth=smooth), repeats)
    return [*(replace(r, baseline=DYNAMAX, ratio=reference.seconds / r.seconds) for r in rows), reference]


def model_of(sizes: Sizes) -> "LinearGaussian":
    """Leaky modes with time constants from 2 to 200 bins, seen through a random emission."""
    import jax.numpy as jnp

    from neurodyn.kernels.kalman import LinearGaussian

    decay = np.exp(-1 / np.geomspace(2, 200, sizes.latent))
    emission = np.random.default_rng(0).normal(size=(sizes.channels, sizes.latent)) / np.sqrt(sizes.latent)
    return LinearGaussian(
        transition=jnp.asarray(np.diag(decay), jnp.float32),
        process_noise=jnp.asarray(1 - decay**2, jnp.float32),
        emission=jnp.asarray(emission, jnp.float32),
        observation_noise=jnp.ones(sizes.channels, jnp.float32),
        initial_mean=jnp.zeros(sizes.latent, jnp.float32),
        initial_covariance=jnp.eye(sizes.latent, dtype=jnp.float32),
    )


def data_of(sizes: Sizes, *, gaps: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Noise, and which bins are seen: all, or with gaps nine of ten, the same in all trials."""
    rng = np.random.default_rng(1)
    values = rng.normal(size=(sizes.trials, sizes.bins, sizes.channels)).astype(np.float32)
    return values, rng.random((sizes.bins, 1)) < (0.9 if gaps else 1.0)


def ours(sizes: Sizes, *, smooth: bool, parallel: bool = False, gaps: bool = False) -> Callable[[], Any]:
    """Filtered means and covariances, or smoothed ones, of every bin."""
    import jax
    import jax.numpy as jnp

    from neurodyn.kernels import kalman

    @jax.jit
    def estimate(model: Any, values: Any, observed: Any) -> Any:
        filtered = kalman.filter_trials(model, values, observed, parallel=parallel)
        if not smooth:
            return filtered.mean, filtered.covariances.filtered
        smoothed = kalman.smooth_trials(model, filtered, parallel=parallel)
        return smoothed.mean, kalman.smoothed_covariances(model, filtered.covariances.filtered, smoothed.information)

    model, (values, observed) = model_of(sizes), map(jnp.asarray, data_of(sizes, gaps=gaps))
    return lambda: estimate(model, values, observed)


def loop_over_bins(sizes: Sizes) -> Callable[[], Any]:
    """A Python loop over the compiled step, trial by trial."""
    import jax
    import jax.numpy as jnp

    from neurodyn.kernels import kalman

    step = jax.jit(lambda m, b, y, o: kalman.predict(m, kalman.update(m, b, y, o)))
    model, (values, observed) = model_of(sizes), map(jnp.asarray, data_of(sizes))

    def estimate() -> Any:
        for trial in values:
            belief = kalman.initial_belief(model)
            for value, seen in zip(trial, observed, strict=True):
                belief = step(model, belief, value, seen)
        return belief

    return estimate


def dynamax(sizes: Sizes, *, smooth: bool) -> Callable[[], Any]:
    """The same of dynamax, which knows no missing bins."""
    import jax
    import jax.numpy as jnp
    from dynamax.linear_gaussian_ssm import inference  # pyright: ignore[reportMissingImports]  (extra bench)

    model, values = model_of(sizes), jnp.asarray(data_of(sizes)[0])
    n, m = sizes.latent, sizes.channels
    parameters = inference.make_lgssm_params(
        initial_mean=model.initial_mean,
        initial_cov=model.initial_covariance,
        dynamics_weights=model.transition,
        dynamics_cov=jnp.diag(model.process_noise),
        emissions_weights=model.emission,
        emissions_cov=jnp.diag(model.observation_noise),
        dynamics_bias=jnp.zeros(n),
        emissions_bias=jnp.zeros(m),
    )
    function = inference.lgssm_smoother if smooth else inference.lgssm_filter
    names = ("smoothed_means", "smoothed_covariances") if smooth else ("filtered_means", "filtered_covariances")

    @jax.jit
    def estimate(trials: Any) -> Any:
        found = jax.vmap(lambda trial: function(parameters, trial))(trials)
        return [getattr(found, name) for name in names]

    return lambda: estimate(values)


def untrained(sizes: dict[str, int]) -> "tuple[Network, MultimodalBatch]":
    """A decoder with random weights, and one trial of noise: counts in every bin, a field in one of five."""
    from neurodyn.benchmarks.training import Sizes as ModelSizes
    from neurodyn.benchmarks.training import config_of
    from neurodyn.binning import MultimodalBatch, Scaling
    from neurodyn.multiscale.fitting import build_model, split_model
    from neurodyn.multiscale.inference import Network

    rng, bins, channels = np.random.default_rng(0), sizes["bins"], sizes["channels"]
    spikes = rng.poisson(0.3, (1, bins, channels)).astype(np.float32)
    field = rng.standard_normal((1, bins, channels), np.float32)
    field[:, np.arange(bins) % 5 != 4] = np.nan
    kinds = {"spikes": "poisson", "field": "gaussian"}
    batch = MultimodalBatch.from_arrays(
        {"spikes": spikes, "field": field}, width=0.01, likelihoods=kinds, sample_every={"field": 5}
    )
    config = config_of(ModelSizes(latent=sizes["latent"], channels=channels), mask_per_trial=False)
    return Network(*split_model(build_model(config, Scaling.fit(batch)))), batch


def long_recording(sizes: Sizes, *, smooth: bool) -> Measurement:
    """An untrained decoder on one long trial, in a process of its own: seconds, and memory beside the recording."""
    given = {**asdict(sizes), "smooth": int(smooth)}
    words = [sys.executable, "-m", "neurodyn.benchmarks.worker", "long-recording", json.dumps(given)]
    found = json.loads(subprocess.run(words, env=os.environ, check=True, capture_output=True, text=True).stdout)
    notes = {
        "peak memory, MiB": found["peak"] / 2**20,
        "before, MiB": found["before"] / 2**20,
        "recording, MiB": found["data"] / 2**20,
        "times real time at 10 ms": sizes.bins * 0.01 / found["seconds"],
    }
    return Measurement("decoder, whole recording", asdict(sizes), found["seconds"], notes=notes)


def _measured(name: str, sizes: Sizes, call: Callable[[], Any], repeats: int) -> Measurement:
    return Measurement(name, asdict(sizes), *median_seconds(call, repeats=repeats))


def _targets(found: list[Measurement]) -> dict[str, str]:
    best = next((row for row in found if row.name == OURS and row.baseline == DYNAMAX), None)
    if best is None:
        return {f"at least {AT_LEAST:g} times as fast as dynamax": "not measured: install neurodyn[bench]"}
    reached = "reached" if best.ratio >= AT_LEAST else "missed"
    return {f"at least {AT_LEAST:g} times as fast as dynamax": f"{reached}: {best.ratio:.3g} times"}
