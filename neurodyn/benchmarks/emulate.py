"""``neurodyn bench emulate``: a training step beside the same step in eager PyTorch with GeomLoss, and generation.

Both do what the paper does in a step: draw noise, run the network, sample symbols with a straight-through Gumbel
softmax, take the debiased Sinkhorn divergence from a batch of the HMM, go back through all of it, clip, and step Adam.
Beside them stands what a step is made of, each part by itself: how fast it could be if nothing else were to do.
"""

import argparse
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from neurodyn.benchmarks.timing import Measurement, Report, machine, median_seconds, outcome
from neurodyn.errors import import_extra

if TYPE_CHECKING:
    from neurodyn.benchmarks.products import Product
    from neurodyn.emulation.config import EmulationConfig
    from neurodyn.markov import HiddenMarkovModel

BASELINE = "eager PyTorch + GeomLoss"
STEP_BY_STEP = "one call per step"
STEPS_PER_CALL = 5
"""Our training steps in a compiled call; a training makes all those of an epoch in one."""
WANTED = {512: 3.0, 1024: 3.0, 4096: 5.0}
"""Batch to how many times as fast as the baseline the training step should be."""
WANTED_STEPS = 3e5
"""Network steps a second that generation should reach."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the sizes to the command line."""
    parser.add_argument("--batches", type=int, nargs="+", default=[512, 1024, 4096], help="sequences per step")
    parser.add_argument("--steps", type=int, default=30, help="length of a sequence")
    parser.add_argument("--hidden", type=int, default=150, help="units of the network")
    parser.add_argument("--inputs", type=int, default=100, help="dimensions of the noise")
    parser.add_argument("--repeats", type=int, default=5, help="timed calls: a step of the baseline, five of ours")
    parser.add_argument("--trials", type=int, default=2048, help="sequences generated at once")


def run(arguments: argparse.Namespace) -> Report:
    """Time training steps at each batch, and generation."""
    from neurodyn.markov import linear_chain

    hmm = linear_chain(3, trial_steps=arguments.steps)
    rows: list[Measurement] = []
    for batch in arguments.batches:
        rows += _training(hmm, arguments, batch)
    rows += _generation(hmm, arguments)
    return Report("emulate", tuple(rows), machine(), _targets(rows))


def _training(hmm: "HiddenMarkovModel", arguments: argparse.Namespace, batch: int) -> list[Measurement]:
    from neurodyn.markov import sample

    symbols = sample(hmm, batch, arguments.steps, seed=0).symbols
    sizes: dict[str, int | float | str] = {"batch": batch, "steps": arguments.steps, "hidden": arguments.hidden}
    theirs = median_seconds(_torch_step(symbols, hmm.symbols, arguments), repeats=arguments.repeats)
    config = _config(arguments, batch)
    seconds, spread = median_seconds(_our_epoch(symbols, hmm.symbols, config), repeats=arguments.repeats)
    ours = (seconds / STEPS_PER_CALL, (spread[0] / STEPS_PER_CALL, spread[1] / STEPS_PER_CALL))
    return [
        Measurement("training step", sizes, *ours, baseline=BASELINE, ratio=theirs[0] / ours[0]),
        Measurement(BASELINE, sizes, *theirs),
        *(
            Measurement(name, sizes, *part)
            for name, part in _parts(symbols, hmm.symbols, config, arguments.repeats).items()
        ),
    ]


def _parts(
    symbols: np.ndarray, count: int, config: "EmulationConfig", repeats: int
) -> dict[str, tuple[float, tuple[float, float]]]:
    """What a step cannot do without, each by itself."""
    import jax
    import jax.numpy as jnp

    from neurodyn.benchmarks.products import time_products
    from neurodyn.emulation.fitting import temperatures
    from neurodyn.emulation.network import draw_inputs
    from neurodyn.kernels.sinkhorn import one_hot, one_hot_divergence

    batch, steps = symbols.shape
    rows, epsilons = one_hot(jnp.asarray(symbols), count), temperatures(steps, count, config.training)
    noise = jax.jit(lambda key: draw_inputs(config.network, key, steps, batch))
    divergence = jax.jit(jax.value_and_grad(lambda one, other: one_hot_divergence(one, other, epsilons)))
    generated = rows[::-1]
    return {
        "products of the network alone": time_products(_products(batch, steps, count, config), repeats),
        "noise alone": median_seconds(lambda: noise(jax.random.key(0)), repeats=repeats),
        "divergence alone": median_seconds(lambda: divergence(generated, rows), repeats=repeats),
    }


def _products(batch: int, steps: int, count: int, config: "EmulationConfig") -> "Counter[Product]":
    """Every matrix product of a network and of its gradient: outwards, back through time, and by the weights."""
    from neurodyn.benchmarks.products import matrices

    hidden, inputs = config.network.hidden, config.network.inputs
    outwards = [(hidden, hidden + inputs, batch), (count, hidden, batch)]
    back = [(hidden, count, batch), (hidden, hidden, batch)]
    weights = [(hidden, batch, hidden), (hidden, batch, inputs), (count, batch, hidden)]
    return Counter({matrices(*shape): steps for shape in (*outwards, *back, *weights)})


def _config(arguments: argparse.Namespace, batch: int) -> "EmulationConfig":
    from neurodyn.emulation.config import EmulationConfig, NetworkConfig, TrainingConfig

    network = NetworkConfig(hidden=arguments.hidden, inputs=arguments.inputs)
    return EmulationConfig(network, replace(TrainingConfig(), batch=batch))


def _our_epoch(symbols: np.ndarray, count: int, config: "EmulationConfig") -> Callable[[], Any]:
    """A few steps as a training makes them: in one compiled call, which keeps its memory from step to step."""
    import jax.numpy as jnp

    from neurodyn.emulation.fitting import EmulationTask, Sequences, start_of
    from neurodyn.training.engine import run_epoch

    state, data, task = start_of(config, count), Sequences(jnp.asarray(symbols), jnp.zeros(0)), EmulationTask(config)
    order = jnp.tile(jnp.arange(len(symbols)), (STEPS_PER_CALL, 1))

    def epoch() -> Any:
        nonlocal state
        state, losses = run_epoch(state, data, order, jnp.asarray(0), task=task)
        return losses

    return epoch


def _torch_step(symbols: np.ndarray, count: int, arguments: argparse.Namespace) -> Callable[[], Any]:
    torch = import_extra("torch", "bench")
    geomloss = import_extra("geomloss", "bench")
    torch.manual_seed(0)
    batch, steps = symbols.shape
    hidden, inputs = arguments.hidden, arguments.inputs
    bound = hidden**-0.5
    shapes = {"recurrent": (hidden, hidden), "input": (hidden, inputs), "readout": (count, hidden)}
    weights = {name: torch.nn.Parameter(torch.empty(shape).uniform_(-bound, bound)) for name, shape in shapes.items()}
    optimizer = torch.optim.Adam(weights.values(), lr=1e-3, betas=(0.9, 0.9))
    loss_of = geomloss.SamplesLoss("sinkhorn", p=2, blur=0.2, scaling=0.5, backend="tensorized")
    data = torch.nn.functional.one_hot(torch.as_tensor(symbols).long(), count).float().reshape(batch, -1)

    def step() -> float:
        state, logits = torch.zeros(batch, hidden), []
        for _ in range(steps):
            noise = torch.randn(batch, inputs)
            state = torch.relu(state @ weights["recurrent"].T + noise @ weights["input"].T)
            logits.append(state @ weights["readout"].T)
        generated = torch.nn.functional.gumbel_softmax(torch.stack(logits, 1), tau=1.0, hard=True)
        loss = loss_of(generated.reshape(batch, -1), data)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(list(weights.values()), 0.9)
        optimizer.step()
        return float(loss.detach())

    return step


def _generation(hmm: "HiddenMarkovModel", arguments: argparse.Namespace) -> list[Measurement]:
    import jax
    import jax.numpy as jnp

    from neurodyn.emulation.network import draw_inputs, initial_parameters, run_network, sample_symbols
    from neurodyn.kernels.recurrence import CELLS, step

    config = _config(arguments, arguments.trials).network
    parameters = initial_parameters(config, hmm.symbols, jax.random.key(0))

    @jax.jit
    def generate(key: jax.Array) -> jax.Array:
        noise, choice = jax.random.split(key)
        _, logits = run_network(config, parameters, draw_inputs(config, noise, arguments.steps, arguments.trials))
        return sample_symbols(logits, choice)

    @jax.jit
    def one_step(state: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        noise, choice = jax.random.split(key)
        state = step(CELLS[config.cell], parameters, state, jax.random.normal(noise, (config.inputs,)))
        return state, sample_symbols(parameters["readout"] @ state, choice)

    def loop() -> jax.Array:
        state, symbol = jnp.zeros(config.hidden), jnp.asarray(0)
        for key in keys:
            state, symbol = one_step(state, key)
        return symbol

    keys = list(jax.random.split(jax.random.key(1), 1000))
    whole = median_seconds(lambda: generate(jax.random.key(2)), repeats=arguments.repeats)
    single = median_seconds(loop, repeats=3)
    rates = [arguments.steps * arguments.trials / whole[0], len(keys) / single[0]]
    sizes: dict[str, int | float | str] = {"trials": arguments.trials, "steps": arguments.steps}
    ratio = rates[0] / rates[1]
    return [
        Measurement("generation", sizes, *whole, STEP_BY_STEP, ratio, {"network steps a second": rates[0]}),
        Measurement(STEP_BY_STEP, {"trials": 1, "steps": 1000}, *single, notes={"network steps a second": rates[1]}),
    ]


def _targets(rows: list[Measurement]) -> dict[str, str]:
    found = {}
    for row in rows:
        batch = row.sizes.get("batch")
        if row.baseline == BASELINE and isinstance(batch, int) and batch in WANTED:
            found[f"batch {batch}: at least {WANTED[batch]:g} times as fast"] = outcome(row.ratio >= WANTED[batch])
        if row.name == "generation":
            reached = float(row.notes["network steps a second"]) >= WANTED_STEPS
            found[f"at least {WANTED_STEPS:g} network steps a second"] = outcome(reached)
    return found
