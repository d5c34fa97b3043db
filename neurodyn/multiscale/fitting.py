"""From a batch to trained parameters: segments drawn on the device, one compiled call per epoch."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Int, UInt

from neurodyn.binning.batch import MultimodalBatch
from neurodyn.binning.folds import held_out_seconds, validation_split
from neurodyn.binning.likelihoods import likelihood
from neurodyn.binning.scaling import Scaling
from neurodyn.kernels.noise import fast_key
from neurodyn.multiscale.config import DecoderConfig, ModelConfig, TrainingConfig
from neurodyn.multiscale.model import Dropout, MultiscaleModel
from neurodyn.multiscale.objective import TrainingBatch, loss_terms
from neurodyn.multiscale.segments import (
    Segments,
    Timeline,
    gather,
    most_share_a_mask,
    segments_of,
    share_a_mask,
    timeline_of,
    whole_trials,
)
from neurodyn.multiscale.stored_settings import stored_config
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
    triangular,
)

AT_ONCE = 2**23
"""Numbers of observations that are worked on at once."""


def likelihood_scales(batch: MultimodalBatch, scaling: Scaling) -> dict[str, float]:
    """Weight of each modality's log-likelihood: counts are brought to the magnitude of the field (tau).

    ``tau = |mean log-lik of the field under its per-channel mean| / |mean log-lik of the counts under theirs|``,
    with the mean over all Gaussian modalities in the numerator; 1 where there is none.
    """
    baseline = {m.name: _baseline_log_likelihood(batch, scaling, m.name, m.likelihood) for m in batch.modalities}
    field = [abs(baseline[m.name]) for m in batch.modalities if likelihood(m.likelihood).scaled]
    reference = float(np.mean(field)) if field else None
    return {
        m.name: 1.0
        if reference is None or likelihood(m.likelihood).scaled
        else reference / max(abs(baseline[m.name]), 1e-6)
        for m in batch.modalities
    }


def _baseline_log_likelihood(batch: MultimodalBatch, scaling: Scaling, name: str, kind: str) -> float:
    """Mean log-likelihood of a modality when every channel is predicted by its mean."""
    inside, noise = np.flatnonzero(batch.in_trials()), likelihood(kind)
    channels, total, count = len(scaling.mean[name]), 0.0, 0
    output = noise.output_of_mean(scaling.mean[name])
    for bins in np.array_split(inside, max(1, len(inside) * channels // AT_ONCE)):
        values, observed = batch.observations[name][bins], batch.observed[name][bins]
        values = scaling.apply_observation(name, values) if noise.scaled else values
        log_prob = np.asarray(noise.distribution(jnp.asarray(output)).log_prob(jnp.asarray(values)))
        total += float(np.sum(log_prob, where=observed, dtype=np.float64))
        count += int(np.count_nonzero(observed))
    return total / count


def build_model(config: DecoderConfig, scaling: Scaling) -> MultiscaleModel:
    """A new model with the training data's scaling and weights drawn from the seed."""
    dtype = jnp.result_type(float)
    statistics = {
        m.name: (jnp.asarray(scaling.mean[m.name], dtype), jnp.asarray(scaling.scale[m.name], dtype))
        if not m.raw
        else (jnp.zeros(m.channels, dtype), jnp.ones(m.channels, dtype))
        for m in config.model.modalities
    }
    seed = jnp.asarray(config.training.seed, jnp.uint32)
    return _draw_model(statistics, seed, config=config.model, parallel=config.training.parallel)


# Compiled as one: drawing each weight by itself would compile dozens of small programs.
@partial(nnx.jit, static_argnames=("config", "parallel"))
def _draw_model(
    statistics: Mapping[str, tuple[Array, Array]], seed: UInt[Array, ""], *, config: ModelConfig, parallel: bool | None
) -> MultiscaleModel:
    return MultiscaleModel(config, statistics, parallel=parallel, rngs=nnx.Rngs(jax.random.key(seed)))


def split_model(model: MultiscaleModel) -> tuple[Any, Any, Any]:
    """Graph (static), trainable parameters and constants of a model."""
    graph, parameters, constants = nnx.split(model, nnx.Param, ...)
    return graph, parameters, constants


def optimizer_of(config: DecoderConfig, steps_per_epoch: int) -> optax.GradientTransformation:
    """Adam with clipped gradients and the triangular learning rate, on all weights as one vector.

    One vector instead of dozens of arrays is a fifth fewer operations to trace and to load when a process starts.
    """
    training = config.training
    schedule = triangular(
        *training.learning_rate, training.half_cycle, training.decay, steps_per_epoch, stepwise=training.stepwise
    )
    return optax.flatten(optax.chain(optax.clip_by_global_norm(training.clip), optax.adam(schedule)))


@partial(jax.jit, static_argnames="config")
def start_of(parameters: Any, config: DecoderConfig) -> TrainState:
    """The state before the first step, made by one compiled program as the model is."""
    return initial_state(parameters, optimizer_of(config, 1))  # which does not depend on the steps per epoch


class Recorded(NamedTuple):
    """What steps are computed from: constants of the model, the recording, weights of the log-likelihoods."""

    constants: Any
    timeline: Timeline
    scales: Mapping[str, Array]


class Sample(NamedTuple):
    """What the loss of one step, or of a validation, is computed from; nothing is hidden in a validation."""

    constants: Any
    batch: TrainingBatch
    scales: Mapping[str, Array]
    dropout: Dropout | None = None


@dataclass(frozen=True)
class DecoderTask:
    """The training of a model as the engine knows it (:class:`neurodyn.training.Task`).

    Parameters
    ----------
    graph
        Of the model.
    config
        Settings that compiled steps depend on (:func:`compile_key`).
    steps_per_epoch, bins
        Steps per epoch, and bins per segment.
    shared
        Whether all segments have one mask.
    """

    graph: Any
    config: DecoderConfig
    steps_per_epoch: int
    bins: int
    shared: bool

    @property
    def average(self) -> float:
        """Decay of the running average of the parameters."""
        return self.config.training.average

    def optimizer(self) -> optax.GradientTransformation:
        """Adam with clipped gradients and the triangular learning rate."""
        return optimizer_of(self.config, self.steps_per_epoch)

    def sample(self, data: Recorded, chosen: Int[Array, "3 batch"], key: Array) -> Sample:
        """Segments cut out of the timeline, and the masks of the dropout."""
        batch = gather(data.timeline, chosen, self.bins, shared=self.shared)
        return Sample(data.constants, batch, data.scales, draw_dropout(key, batch, self.config))

    def loss(self, parameters: Any, sample: Sample) -> Float[Array, ""]:
        """The whole objective."""
        return terms_of(parameters, sample, self.graph, self.config).total()

    def loss_or_nan(self, loss: Float[Array, ""], gradient: Any) -> Float[Array, ""]:
        """The loss, in which everything that is not finite shows."""
        return loss

    def score(self, parameters: Any, held: Sample) -> Float[Array, ""]:
        """What the best parameters are chosen by."""
        return score_of(validation_terms(parameters, held, graph=self.graph, config=self.config), self.config)

    def scores(self, parameters: Any, held: Sample) -> Float[Array, " member"]:
        """Scores of several models."""
        return validation_scores(parameters, held, graph=self.graph, config=self.config)


def draw_dropout(key: Array, batch: TrainingBatch, config: DecoderConfig) -> Dropout:
    """Masks of one step: bins per modality (for the whole batch or per trial), input channels, fused embedding."""
    objective, (trials, bins) = config.objective, batch.scored.shape
    hidden_shape = (trials, bins) if objective.time_dropout_per_trial else (bins,)
    keys = iter(jax.random.split(fast_key(key), 2 * len(config.model.modalities) + 1))
    hidden = {
        m.name: jax.random.bernoulli(next(keys), objective.time_dropout, hidden_shape) for m in config.model.modalities
    }
    channels = {
        m.name: jax.random.bernoulli(next(keys), objective.dropout, (trials, bins, m.channels))
        for m in config.model.modalities
    }
    kept = jax.random.bernoulli(next(keys), 1 - objective.dropout, (trials, bins, config.model.embedding))
    dtype = batch.target.dtype
    gain = None if objective.rescale else 1 / (1 - objective.dropout)
    return Dropout(hidden, channels, kept.astype(dtype) / (1 - objective.dropout), gain)


def terms_of(parameters: Any, sample: Sample, graph: Any, config: DecoderConfig) -> Any:
    """Terms of the loss of a model on what a step or a validation sees."""
    model = nnx.merge(graph, parameters, sample.constants)
    return loss_terms(model, sample.batch, sample.scales, config.model, config.objective, sample.dropout)


@partial(jax.jit, static_argnames=("graph", "config"))
def validation_terms(parameters: Any, held: Sample, *, graph: Any, config: DecoderConfig) -> Any:
    """Terms of the loss on held-out segments, nothing hidden."""
    return terms_of(parameters, held, graph, config)


@partial(jax.jit, static_argnames=("graph", "config"))
def validation_scores(parameters: Any, held: Sample, *, graph: Any, config: DecoderConfig) -> Float[Array, " member"]:
    """What the best parameters of every member are chosen by."""

    def one(parameters: Any, held: Sample) -> Array:
        return score_of(validation_terms(parameters, held, graph=graph, config=config), config)

    return jax.vmap(one)(parameters, held)


@dataclass(frozen=True, eq=False)
class Training:
    """Everything a training run needs before its first step.

    Parameters
    ----------
    scaling
        Of the training data.
    graph, constants
        Of the model, with the training data's scaling.
    start
        Parameters drawn from the seed, and the optimizer's state.
    timeline, scales
        The recording, and the weight of each modality's log-likelihood.
    segments, shared, steps
        What is trained on, whether all see the same bins, and steps per epoch.
    held, held_shared
        What is validated on, whole, and whether all of it sees the same bins.
    identity
        What has to be equal for a checkpoint to be resumed.
    trained_on, held_out
        The parts of the batch that the gradient sees, and that it does not.
    """

    config: DecoderConfig
    scaling: Scaling
    graph: Any
    constants: Any
    start: TrainState
    timeline: Timeline
    scales: dict[str, Array]
    segments: Segments
    shared: bool
    steps: int
    held: TrainingBatch
    held_shared: bool
    identity: dict[str, Any]
    trained_on: MultimodalBatch
    held_out: MultimodalBatch

    @property
    def trials(self) -> int:
        """Segments per step."""
        return self.drawn(0).shape[2]

    def release(self) -> None:
        """Free what training needed of the recording; nothing can be trained with this any more."""
        for array in jax.tree.leaves((self.timeline, self.held)):
            array.delete()

    def drawn(self, epoch: int) -> Int[np.ndarray, "step 3 batch"]:
        """Segments of each step of an epoch."""
        drawn = self.segments.draw(self.config.training.seed, epoch, self.config.training.batch)
        return np.swapaxes(drawn, 0, 1)

    def run(self, checkpoint: Path | None = None) -> Run:
        """The run as the engine takes it, saved to a file and resumed from it if one is given."""
        training = self.config.training
        # Where nothing is held out there is nothing to choose by: the last parameters are the only ones looked at.
        every = training.validate_every if training.validation > 0 else training.epochs
        return Run(
            task=DecoderTask(self.graph, compile_key(self.config), self.steps, self.segments.bins, self.shared),
            start=self.start, data=Recorded(self.constants, self.timeline, self.scales),
            held=Sample(self.constants, self.held, self.scales), draw=lambda epoch: [self.drawn(epoch)],
            seed=training.seed,
            loop=LoopConfig(training.epochs, every, training.patience, checkpoint, self.identity),
            trial_axis=2,
        )  # fmt: skip


def prepare(batch: MultimodalBatch, scaling: Scaling, config: DecoderConfig) -> Training:
    """Split a batch into what is trained on and what is validated on, and start a model."""
    training = config.training
    graph, parameters, constants = split_model(build_model(config, scaling))
    inner, held = _split(batch, training)
    everything = segments_of(inner, training.segment)
    segments, shared = most_share_a_mask(inner, everything)
    # Where each has a mask of its own anyway, none is left out for the sake of one.
    if config.objective.time_dropout_per_trial and len(segments.starts) < len(everything.starts):
        segments, shared = everything, False
    steps = segments.draw(training.seed, 0, training.batch).shape[1]
    timeline, whole = timeline_of(batch, scaling), whole_trials(held)
    held_shared = share_a_mask(held, whole)
    return Training(
        config=config,
        scaling=scaling,
        graph=graph,
        constants=constants,
        start=start_of(parameters, compile_key(config)),
        timeline=timeline,
        scales={n: jnp.asarray(s, timeline.target.dtype) for n, s in likelihood_scales(batch, scaling).items()},
        segments=segments,
        shared=shared,
        steps=steps,
        held=gather(timeline, whole.everything(), whole.bins, shared=held_shared),
        held_shared=held_shared,
        identity={"config": stored_config(replace(config, recurrent=None)), "data": _data_fingerprint(batch)},
        trained_on=inner,
        held_out=held,
    )


def _split(batch: MultimodalBatch, training: TrainingConfig) -> tuple[MultimodalBatch, MultimodalBatch]:
    """What is trained on and what is validated on: all of the batch is both if nothing is to be held out."""
    if training.validation == 0:
        return batch, batch
    return validation_split(batch, training.validation, held_out_seconds(batch, training.validation, training.segment))


def fit_parameters(
    run: Training, *, checkpoint: Path | None = None, progress: Progress | None = None
) -> Outcome[TrainState]:
    """Train a model; the validation share chooses which parameters are kept."""
    return fit(run.run(checkpoint), placement=Placement.for_trials(run.trials), progress=progress)


def score_of(terms: Any, config: DecoderConfig) -> Array:
    """What the best parameters are chosen by: the target's error where there is a target, else the whole loss."""
    return terms.target if config.model.target and config.objective.target > 0 else terms.total()


def compile_key(config: DecoderConfig) -> DecoderConfig:
    """The settings that compiled steps depend on: another seed or number of epochs is to compile nothing again."""
    names = ("learning_rate", "half_cycle", "decay", "stepwise", "clip", "average")
    return replace(config, training=TrainingConfig(**{n: getattr(config.training, n) for n in names}), recurrent=None)


def _data_fingerprint(batch: MultimodalBatch) -> int:
    """Checksum of the training data: a checkpoint is not to be resumed on another fold or recording."""
    arrays = [batch.starts, batch.lengths, batch.lead, batch.target, batch.target_observed]
    arrays += [a for name in batch.names for a in (batch.observations[name], batch.observed[name])]
    return fingerprint(arrays)
