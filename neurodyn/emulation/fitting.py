"""Training: the network's sequences are moved towards those of the HMM by the gradient of their distance."""

import zlib
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int, Int32, Key

from neurodyn.emulation.config import EmulationConfig, Objective, TrainingConfig
from neurodyn.emulation.network import draw_inputs, initial_parameters, run_outputs, sample_one_hot
from neurodyn.emulation.storage import CHECKPOINT_NAME, Snapshots
from neurodyn.kernels.ngrams import ngram_discrepancy
from neurodyn.kernels.sinkhorn import (
    Epsilons,
    epsilon_schedule,
    one_hot,
    one_hot_diameter,
    one_hot_divergence,
    one_hot_energy,
)
from neurodyn.markov import HiddenMarkovModel, sample
from neurodyn.markov.statistics import stretch_frequencies
from neurodyn.training import LoopConfig, Outcome, Placement, Progress, running_average, train

Parameters = dict[str, Array]

VALIDATION_KEY = 2**31 - 1
"""Number of the noise of validations: no gradient step comes this far."""


class TrainState(NamedTuple):
    """What a gradient step changes.

    average: running average of the parameters, which is what is validated and kept.
    """

    parameters: Parameters
    optimizer: Any
    average: Parameters
    step: Int[Array, ""]


@dataclass(frozen=True)
class Data:
    """The HMM's sequences in thirds, and what is known without them.

    stretches: exact frequencies of its stretches of symbols; empty if they are not trained on.
    """

    train: Int32[np.ndarray, "trial time"]
    validation: Int32[np.ndarray, "trial time"]
    test: Int32[np.ndarray, "trial time"]
    stretches: Float[np.ndarray, " stretch"]


def draw_data(hmm: HiddenMarkovModel, config: TrainingConfig) -> Data:
    """Sequences to train on, to validate with and to test with."""
    third = config.sequences // 3
    train, validation, test = np.split(sample(hmm, 3 * third, hmm.trial_steps, seed=config.seed).symbols, 3)
    length = stretch_length(config, hmm.trial_steps)
    stretches = stretch_frequencies(hmm, hmm.trial_steps, length) if length else np.zeros(0)
    return Data(train, validation, test, stretches)


def stretch_length(config: TrainingConfig, steps: int) -> int:
    """Symbols in the stretches whose frequencies are trained on, no more than there are steps; 0 if none are."""
    return min(config.ngram, steps) if config.objective is Objective.ENERGY else 0


def temperatures(steps: int, symbols: int, config: TrainingConfig) -> Epsilons:
    """Course of the temperature of the Sinkhorn divergence for sequences of a length."""
    return epsilon_schedule(one_hot_diameter(steps, symbols), config.blur, config.scaling)


def optimizer_of(config: TrainingConfig) -> optax.GradientTransformation:
    """Adam with clipped gradients; the rate stays or falls along a cosine."""
    rate: Any = config.learning_rate
    if config.final_rate < 1:
        steps = config.epochs * config.steps_per_epoch
        rate = optax.cosine_decay_schedule(config.learning_rate, steps, config.final_rate)
    return optax.chain(optax.clip_by_global_norm(config.clip), optax.adam(rate, *config.betas))


def initial_state(config: EmulationConfig, symbols: int) -> TrainState:
    """A network with weights drawn from the seed, before its first step."""
    parameters = initial_parameters(config.network, symbols, jax.random.key(config.training.seed))
    optimizer = optimizer_of(config.training).init(parameters)
    return TrainState(parameters, optimizer, jax.tree.map(jnp.copy, parameters), jnp.zeros((), jnp.int32))


def generate_one_hot(
    parameters: Parameters,
    key: Key[Array, ""],
    config: EmulationConfig,
    steps: int,
    trials: int,
    placement: Placement | None = None,
) -> Float[Array, "trial time symbol"]:
    """Sequences of the network, differentiable in its parameters; several devices each make a share of the trials."""
    noise, choice = jax.random.split(key)
    inputs = _shared(draw_inputs(config.network, noise, steps, trials), placement)
    logits = run_outputs(config.network, parameters, inputs)
    return jnp.swapaxes(sample_one_hot(logits, choice, config.training.temperature), 0, 1)


def _shared(inputs: Array, placement: Placement | None) -> Array:
    """Leave each device its share of the trials to draw."""
    if placement is None or placement.mesh is None:
        return inputs
    return jax.lax.with_sharding_constraint(inputs, NamedSharding(placement.mesh, PartitionSpec(None, "trial")))


def distance(
    parameters: Parameters,
    key: Key[Array, ""],
    symbols: Int[Array, "trial time"],
    stretches: Float[Array, " stretch"],
    config: EmulationConfig,
    objective: Objective,
    placement: Placement | None = None,
) -> Float[Array, ""]:
    """Distance of as many sequences of the network from sequences of the HMM.

    Arguments
    ---------
    stretches: frequencies of the HMM's stretches of :func:`stretch_length`; empty for a distance without them.
    """
    trials, steps = symbols.shape
    count = parameters["readout"].shape[0]
    generated = generate_one_hot(parameters, key, config, steps, trials, placement)
    emitted, epsilons = one_hot(symbols, count), temperatures(steps, count, config.training)
    if objective is Objective.DIVERGENCE:
        return one_hot_divergence(generated, emitted, epsilons)
    whole = one_hot_energy(generated, emitted, epsilons)
    if not stretches.size:
        return whole
    length = stretch_length(config.training, steps)
    return whole + steps * ngram_discrepancy(generated, stretches, length, smoothing=config.training.ngram_smoothing)


def gradient_step(
    state: TrainState,
    symbols: Int[Array, "trial time"],
    stretches: Float[Array, " stretch"],
    seed: Int[Array, ""],
    config: EmulationConfig,
    placement: Placement | None = None,
) -> tuple[TrainState, Float[Array, ""]]:
    """One step of Adam; returns the loss before it."""
    key = jax.random.fold_in(jax.random.key(seed), state.step)
    loss, gradient = jax.value_and_grad(distance)(
        state.parameters, key, symbols, stretches, config, config.training.objective, placement
    )
    # Symbols are finite even where logits are not, and so is their distance: what went wrong shows in the gradient.
    loss = jax.lax.select(jnp.isfinite(optax.tree.norm(gradient)), loss, jnp.full_like(loss, jnp.nan))
    with jax.numpy_dtype_promotion("standard"):  # optax mixes floats and an integer count in Adam's correction
        updates, optimizer = optimizer_of(config.training).update(gradient, state.optimizer, state.parameters)
    parameters = jax.tree.map(jnp.add, state.parameters, updates)
    average = running_average(state.average, parameters, state.step, config.training.average)
    return TrainState(parameters, optimizer, average, state.step + 1), loss


@partial(jax.jit, static_argnames=("config", "placement"), donate_argnames="state")
def run_epoch(
    state: TrainState,
    symbols: Int[Array, "trial time"],
    stretches: Float[Array, " stretch"],
    order: Int[Array, "step batch"],
    seed: Int[Array, ""],
    *,
    config: EmulationConfig,
    placement: Placement | None = None,
) -> tuple[TrainState, Float[Array, " step"]]:
    """All gradient steps of one epoch in one compiled call; returns the state and each step's loss."""

    def one(state: TrainState, chosen: Array) -> tuple[TrainState, Array]:
        return gradient_step(state, symbols[chosen], stretches, seed, config, placement)

    return jax.lax.scan(one, state, order)


def order_of(config: TrainingConfig, epoch: int) -> Int[np.ndarray, "step batch"]:
    """Sequences of each gradient step of an epoch, every one at most once."""
    rng = np.random.default_rng((config.seed, epoch))
    used = config.steps_per_epoch * config.batch
    return rng.permutation(config.sequences // 3)[:used].reshape(-1, config.batch)


@partial(jax.jit, static_argnames="config")
def validation_divergence(
    parameters: Parameters,
    symbols: Int[Array, "trial time"],
    seed: Int[Array, ""],
    number: Int[Array, ""],
    *,
    config: EmulationConfig,
) -> Float[Array, ""]:
    """Debiased Sinkhorn divergence from sequences that were not trained on, with the noise of a number."""
    key = jax.random.fold_in(jax.random.key(seed), number)
    return distance(parameters, key, symbols, jnp.zeros(0), config, Objective.DIVERGENCE)


@partial(jax.jit, static_argnames=("count", "config"))
def divergence_between(
    one: Int[Array, "trial time"], other: Int[Array, "trial time"], *, count: int, config: TrainingConfig
) -> Float[Array, ""]:
    """Debiased Sinkhorn divergence of two sets of sequences."""
    return one_hot_divergence(one_hot(one, count), one_hot(other, count), temperatures(one.shape[1], count, config))


@dataclass(frozen=True)
class Trained:
    """Trained parameters, how they came about, and what they were on the way."""

    outcome: Outcome[TrainState]
    snapshots: tuple[tuple[int, Any], ...]


def identity_of(hmm: HiddenMarkovModel, config: EmulationConfig, data: Data) -> dict[str, Any]:
    """What has to be equal for a run to be resumed."""
    checksum = zlib.crc32(data.stretches.data, zlib.crc32(np.ascontiguousarray(data.train).data))
    return {"config": asdict(config), "hmm": hmm.to_dict(), "data": checksum}


def fit_parameters(
    hmm: HiddenMarkovModel,
    config: EmulationConfig,
    data: Data,
    *,
    directory: Path | None = None,
    progress: Progress | None = None,
) -> Trained:
    """Train a network.

    Arguments
    ---------
    directory: folder that the run and its snapshots are saved to and resumed from; None: not saved.
    """
    training = config.training
    placement = Placement.of(training.batch)
    symbols, stretches = placement.everywhere((jnp.asarray(data.train), jnp.asarray(data.stretches, float)))
    seed = jnp.asarray(training.seed)
    held = jnp.asarray(data.validation[: training.validation])
    snapshots, compiled = Snapshots(directory, training.snapshot_every), without_seed(config)

    def epoch(state: TrainState, number: int) -> tuple[TrainState, Array]:
        order = placement.split(jnp.asarray(order_of(training, number)), 1)
        state, losses = run_epoch(state, symbols, stretches, order, seed, config=compiled, placement=placement)
        snapshots.keep(number + 1, state.average)
        return state, losses

    def validate(state: TrainState) -> tuple[Array, Any]:
        return validation_divergence(
            state.average, held, seed, jnp.asarray(VALIDATION_KEY), config=compiled
        ), state.average

    start = placement.everywhere(initial_state(config, hmm.symbols))
    outcome = train(start, epoch, validate, loop_of(training, identity_of(hmm, config, data), directory), progress)
    return Trained(outcome, snapshots.all())


def without_seed(config: EmulationConfig) -> EmulationConfig:
    """Settings that compiled steps depend on: another seed is to compile nothing again."""
    return replace(config, training=replace(config.training, seed=0))


def loop_of(training: TrainingConfig, identity: dict[str, Any], directory: Path | None) -> LoopConfig:
    """When to validate, and where to save: a network is trained to the end, however its validations go."""
    checkpoint = None if directory is None else directory / CHECKPOINT_NAME
    return LoopConfig(training.epochs, training.validate_every, training.epochs, checkpoint, identity)
