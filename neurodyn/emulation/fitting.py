"""Training: the network's sequences are moved towards those of the HMM by the gradient of their distance."""

import math
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
from neurodyn.markov.statistics import ngram_probabilities
from neurodyn.training import (
    LoopConfig,
    Outcome,
    Placement,
    Progress,
    Run,
    TrainState,
    fingerprint,
    fit,
    initial_state,
)

Parameters = dict[str, Array]

VALIDATION_KEY = 2**31 - 1
"""Number of the noise of validations: no gradient step comes this far."""


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
    stretches = ngram_probabilities(hmm, hmm.trial_steps, length) if length else np.zeros(0)
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


def start_of(config: EmulationConfig, symbols: int) -> TrainState:
    """A network with weights drawn from the seed, before its first step."""
    parameters = initial_parameters(config.network, symbols, jax.random.key(config.training.seed))
    return initial_state(parameters, optimizer_of(config.training))


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

    Parameters
    ----------
    stretches
        Frequencies of the HMM's stretches of :func:`stretch_length`; empty for a distance without them.
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


class Sequences(NamedTuple):
    """Training data on the device: the HMM's sequences, and the frequencies of its stretches."""

    symbols: Int[Array, "trial time"]
    stretches: Float[Array, " stretch"]


class HeldOut(NamedTuple):
    """What validations see: sequences that are not trained on, and the seed of the network's noise."""

    symbols: Int[Array, "trial time"]
    seed: Int[Array, ""]


@dataclass(frozen=True)
class EmulationTask:
    """The training of a network as the engine knows it (:class:`neurodyn.training.Task`).

    Parameters
    ----------
    config
        Settings without the seed (:func:`compile_key`).
    placement
        Where several devices share the trials of a step, and the network's noise with them.
    """

    config: EmulationConfig
    placement: Placement | None = None

    @property
    def average(self) -> float:
        """Decay of the running average of the parameters."""
        return self.config.training.average

    def optimizer(self) -> optax.GradientTransformation:
        """Adam with clipped gradients."""
        return optimizer_of(self.config.training)

    def sample(self, data: Sequences, chosen: Int[Array, " batch"], key: Key[Array, ""]) -> tuple[Array, Array, Array]:
        """Key of the network's noise, some of the HMM's sequences, and the frequencies of its stretches."""
        return key, data.symbols[chosen], data.stretches

    def loss(self, parameters: Parameters, sample: tuple[Array, Array, Array]) -> Float[Array, ""]:
        """Distance of as many sequences of the network."""
        return distance(parameters, *sample, self.config, self.config.training.objective, self.placement)

    def loss_or_nan(self, loss: Float[Array, ""], gradient: Parameters) -> Float[Array, ""]:
        """The loss, or NaN: symbols are finite even where logits are not, and so is their distance."""
        return jax.lax.select(jnp.isfinite(optax.tree.norm(gradient)), loss, jnp.full_like(loss, jnp.nan))

    def score(self, parameters: Parameters, held: HeldOut) -> Float[Array, ""]:
        """Divergence from the held-out sequences, always with the same noise."""
        return validation_divergence(parameters, *held, jnp.asarray(VALIDATION_KEY), config=self.config)

    def scores(self, parameters: Parameters, held: HeldOut) -> Float[Array, " member"]:
        """Divergences of several networks."""
        return validation_divergences(parameters, *held, config=self.config)


def order_of(config: TrainingConfig, epoch: int) -> list[Int[np.ndarray, "step batch"]]:
    """Sequences of each gradient step of an epoch, every one at most once: steps of one size, then a smaller one."""
    third = config.sequences // 3
    order = np.random.default_rng((config.seed, epoch)).permutation(third) if config.shuffled else np.arange(third)
    full = third // config.batch * config.batch
    steps = [order[:full].reshape(-1, config.batch)]
    return [*steps, order[None, full:]] if config.every and full < third else steps


@partial(jax.jit, static_argnames="config")
def validation_divergence(
    parameters: Parameters,
    symbols: Int[Array, "trial time"],
    seed: Int[Array, ""],
    number: Int[Array, ""],
    *,
    config: EmulationConfig,
) -> Float[Array, ""]:
    """Debiased Sinkhorn divergence from sequences that were not trained on, with the noise of a number.

    Of parts of ``config.training.at_once``, the mean of theirs.
    """
    first, *others = parts_of(len(symbols), config.training.at_once)
    key = jax.random.fold_in(jax.random.key(seed), number)
    keys = [key, *(jax.random.fold_in(key, part) for part in range(1, len(others) + 1))]
    found = [
        distance(parameters, key, symbols[part], jnp.zeros(0), config, Objective.DIVERGENCE)
        for key, part in zip(keys, (first, *others), strict=True)
    ]
    return jnp.mean(jnp.stack(found))


def parts_of(count: int, at_once: int) -> list[slice]:
    """Which sequences of a validation are compared at once; all of them for 0."""
    size = at_once or count
    return [slice(first, min(first + size, count)) for first in range(0, count, size)]


@partial(jax.jit, static_argnames="config")
def validation_divergences(
    parameters: Parameters,
    symbols: Int[Array, "member trial time"],
    seeds: Int[Array, " member"],
    *,
    config: EmulationConfig,
) -> Float[Array, " member"]:
    """:func:`validation_divergence` of every member.

    One after the other: a validation has costs of every sequence to every other, and fills a device by itself.
    """

    def one_member(given: tuple[Parameters, Array, Array]) -> Array:
        return validation_divergence(*given, jnp.asarray(VALIDATION_KEY), config=config)

    return jax.lax.map(one_member, (parameters, symbols, seeds))


@partial(jax.jit, static_argnames=("count", "config"))
def divergence_between(
    one: Int[Array, "trial time"], other: Int[Array, "trial time"], *, count: int, config: TrainingConfig
) -> Float[Array, ""]:
    """Debiased Sinkhorn divergence of two sets of sequences, in parts as validations compare them."""
    epsilons = temperatures(one.shape[1], count, config)
    found = [
        one_hot_divergence(one_hot(one[part], count), one_hot(other[part], count), epsilons)
        for part in parts_of(len(one), config.at_once)
    ]
    return jnp.mean(jnp.stack(found))


@dataclass(frozen=True)
class Trained:
    """Trained parameters, how they came about, and what they were on the way."""

    outcome: Outcome[TrainState]
    snapshots: tuple[tuple[int, Any], ...]


def identity_of(hmm: HiddenMarkovModel, config: EmulationConfig, data: Data) -> dict[str, Any]:
    """What has to be equal for a run to be resumed."""
    settings, usual = asdict(config), asdict(EmulationConfig())
    # Runs of before there were these settings are resumed.
    for part, name in (("network", "readout_bias"), *(("training", n) for n in ("every", "shuffled", "at_once"))):
        if settings[part][name] == usual[part][name]:
            del settings[part][name]
    return {"config": settings, "hmm": hmm.to_dict(), "data": fingerprint([data.train, data.stretches])}


def fit_parameters(
    hmm: HiddenMarkovModel,
    config: EmulationConfig,
    data: Data,
    *,
    directory: Path | None = None,
    progress: Progress | None = None,
) -> Trained:
    """Train a network.

    Parameters
    ----------
    directory
        Folder that the run and its snapshots are saved to and resumed from; None: not saved.
    """
    placement = Placement.for_trials(math.gcd(*config.training.batches))
    snapshots = Snapshots(directory, config.training.snapshot_every)
    run = run_of(
        hmm=hmm, config=config, data=data, identity=identity_of(hmm, config, data), directory=directory,
        snapshots=snapshots, placement=placement,
    )  # fmt: skip
    return Trained(fit(run, placement=placement, progress=progress), snapshots.all())


def run_of(
    hmm: HiddenMarkovModel,
    config: EmulationConfig,
    data: Data,
    identity: dict[str, Any],
    directory: Path | None,
    snapshots: Snapshots,
    placement: Placement | None = None,
) -> Run:
    """One training run as the engine takes it; a network is trained to the end, however its validations go.

    Parameters
    ----------
    hmm, config, data
        The model, the settings and its sequences.
    identity
        What has to be equal for a checkpoint to be resumed.
    directory
        Folder of the checkpoint; None: not saved.
    snapshots
        Called with the parameters after each epoch.
    placement
        Of devices that share the trials of a step.
    """
    training, seed = config.training, jnp.asarray(config.training.seed)
    checkpoint = None if directory is None else directory / CHECKPOINT_NAME
    return Run(
        task=EmulationTask(compile_key(config), placement), start=start_of(config, hmm.symbols),
        data=Sequences(jnp.asarray(data.train), jnp.asarray(data.stretches, float)),
        held=HeldOut(jnp.asarray(data.validation[: training.validation]), seed), draw=partial(order_of, training),
        seed=training.seed,
        loop=LoopConfig(training.epochs, training.validate_every, training.epochs, checkpoint, identity),
        on_epoch=snapshots.keep,
    )  # fmt: skip


def compile_key(config: EmulationConfig) -> EmulationConfig:
    """Settings that compiled steps depend on: another seed is to compile nothing again."""
    return replace(config, training=replace(config.training, seed=0))
