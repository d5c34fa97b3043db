"""From a batch to trained parameters: segments drawn on the device, one compiled call per epoch."""

import math
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, UInt

from neurodyn.binning.batch import MultimodalBatch
from neurodyn.binning.folds import held_out_seconds, validation_split
from neurodyn.binning.likelihoods import likelihood
from neurodyn.binning.scaling import Scaling
from neurodyn.kernels.noise import fast_key
from neurodyn.multiscale.config import DecoderConfig, ModelConfig, TrainingConfig
from neurodyn.multiscale.model import Dropout, MultiscaleModel, Observations
from neurodyn.multiscale.objective import TrainingBatch, loss_terms
from neurodyn.training import LoopConfig, Outcome, Placement, Progress, running_average, train, triangular

AT_ONCE = 2**23
"""Numbers of observations that are worked on at once."""

SHARED_SHARE = 0.8
"""Share of the segments that must see every modality in the same bins for the others to be left out."""


class Timeline(NamedTuple):
    """The bins of a recording on the device, stored once; segments are gathered from it inside the compiled step."""

    values: dict[str, Array]
    observed: dict[str, Array]
    target: Array
    target_observed: Array


class TrainState(NamedTuple):
    """What an epoch takes and returns."""

    parameters: Any
    optimizer: optax.OptState
    average: Any
    step: Array


@dataclass(frozen=True)
class Segments:
    """Every place a segment may start at on the timeline, and how many of its bins belong to the trial."""

    starts: Int[np.ndarray, " candidate"]
    lengths: Int[np.ndarray, " candidate"]
    leads: Int[np.ndarray, " candidate"]
    bins: int
    per_epoch: int

    def draw(self, seed: int, epoch: int, batch: int) -> Int[np.ndarray, "3 step batch"]:
        """Starts, lengths and leads of the segments of each step of an epoch, from (seed, epoch) alone."""
        generator = np.random.default_rng([seed, epoch])
        batch = min(batch, self.per_epoch)
        steps = max(1, round(self.per_epoch / batch))
        rounds = -(-steps * batch // len(self.starts))
        drawn = np.concatenate([generator.permutation(len(self.starts)) for _ in range(rounds)])
        table = np.stack([self.starts, self.lengths, self.leads])
        return table[:, drawn[: steps * batch]].reshape(3, steps, batch)

    def everything(self) -> Int[np.ndarray, "3 candidate"]:
        """All candidates as one batch."""
        return np.stack([self.starts, self.lengths, self.leads])


def segments_of(batch: MultimodalBatch, seconds: float) -> Segments:
    """Segments of at most ``seconds``: short trials whole, longer ones at the start of each common cycle of the clocks.

    Starts keep the phase of all clocks, so that segments of a regular recording share one mask and their
    covariances are computed once.
    """
    clock = math.lcm(*(m.clock for m in batch.modalities))
    bins = min(max(2, clock, round(seconds / batch.width)), int(batch.lengths.max()))
    starts, lengths, leads = [], [], []
    for start, length, lead in zip(batch.starts, batch.lengths, batch.lead, strict=True):
        first = -int(start) % clock if length > bins + clock else 0
        offsets = np.arange(first, max(first + 1, length - bins + 1), clock)
        starts.append(start + offsets)
        lengths.append(np.minimum(bins, length - offsets))
        leads.append(np.maximum(lead - offsets, 0))
    per_epoch = max(1, round(batch.n_bins / bins))
    return Segments(np.concatenate(starts), np.concatenate(lengths), np.concatenate(leads), bins, per_epoch)


def timeline_of(batch: MultimodalBatch, scaling: Scaling) -> Timeline:
    """The batch's timeline as device arrays, target z-scored."""
    dtype = jnp.result_type(float)
    target = np.where(batch.target_observed[:, None], scaling.apply_target(batch.target), 0)
    return Timeline(
        {n: jnp.asarray(batch.observations[n], dtype) for n in batch.names},
        {n: jnp.asarray(batch.observed[n]) for n in batch.names},
        jnp.asarray(target, dtype),
        jnp.asarray(batch.target_observed),
    )


def gather(
    timeline: Timeline,
    segments: Int[Array | np.ndarray, "3 trial"],
    bins: int,
    *,
    shared: bool,
) -> TrainingBatch:
    """Cut segments out of the timeline.

    Arguments
    ---------
    segments: starts, lengths and leads in bins; beyond its length a segment is masked, in its lead not scored.
    shared: whether all segments have one mask (checked by the caller); the covariances are then computed once.
    """
    starts, lengths, leads = segments
    offset = jnp.arange(bins)
    index = jnp.minimum(starts[:, None] + offset, timeline.target.shape[0] - 1)
    valid = offset < lengths[:, None]
    observed = {n: o[index] & valid[..., None] for n, o in timeline.observed.items()}
    seen = {n: jnp.any(o, axis=-1) for n, o in observed.items()}
    if shared:
        seen = {n: s[0] for n, s in seen.items()}
    values = {n: v[index] for n, v in timeline.values.items()}
    scored = timeline.target_observed[index] & valid & (offset >= leads[:, None])
    observations = Observations(values, observed, seen, valid[0] if shared else valid)
    return TrainingBatch(observations, timeline.target[index], scored)


def most_share_a_mask(batch: MultimodalBatch, segments: Segments) -> tuple[Segments, bool]:
    """Segments that see every modality in the same bins, if nearly all do; else all segments.

    One mask means one covariance recursion for the whole batch instead of one per segment, so the few segments that
    touch a gap of an otherwise regular recording are left out of training.

    Returns
    -------
    The segments to train on, and whether they share one mask.
    """
    if np.any(segments.lengths < segments.bins):
        return segments, False
    irregular = np.concatenate([[0], np.cumsum(_off_the_clock(batch))])
    same = irregular[segments.starts + segments.bins] == irregular[segments.starts]
    clock = math.lcm(*(m.clock for m in batch.modalities))
    in_phase = segments.starts % clock == np.bincount(segments.starts % clock).argmax()
    kept = same & in_phase
    if kept.mean() < SHARED_SHARE:
        return segments, False
    starts, lengths, leads = segments.everything()[:, kept]
    return Segments(starts, lengths, leads, segments.bins, segments.per_epoch), True


def share_a_mask(batch: MultimodalBatch, segments: Segments) -> bool:
    """Whether all segments see every modality in the same bins, and are equally long."""
    if np.any(segments.lengths < segments.bins):
        return False
    index = segments.starts[:, None] + np.arange(segments.bins)
    masks = (np.any(batch.observed[name], axis=1)[index] for name in batch.names)
    return all(bool((mask == mask[0]).all()) for mask in masks)


def _off_the_clock(batch: MultimodalBatch) -> Bool[np.ndarray, " bin"]:
    """Bins of the timeline in which some modality is not seen (or seen) as usual at that phase of its clock."""
    odd = np.zeros(len(batch.time), np.bool_)
    inside = batch.in_trials()
    for modality in batch.modalities:
        seen = np.asarray(batch.observed[modality.name].any(axis=1))
        phase = np.arange(len(seen)) % modality.clock
        share = np.bincount(phase[inside], seen[inside]) / np.maximum(np.bincount(phase[inside]), 1)
        odd |= seen != (share > 0.5)[phase]
    return odd


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
    schedule = triangular(*training.learning_rate, training.half_cycle, training.decay, steps_per_epoch)
    return optax.flatten(optax.chain(optax.clip_by_global_norm(training.clip), optax.adam(schedule)))


@partial(jax.jit, static_argnames="config")
def initial_state(parameters: Any, config: DecoderConfig) -> TrainState:
    """The state before the first step, made by one compiled program as the model is."""
    optimizer = optimizer_of(config, 1).init(parameters)  # which does not depend on the steps per epoch
    average = jax.tree.map(jnp.copy, parameters)
    return TrainState(parameters, optimizer, average, jnp.zeros((), jnp.int32))


@partial(jax.jit, static_argnames=("graph", "config", "steps_per_epoch", "bins", "shared"), donate_argnames="state")
def run_epoch(
    state: TrainState,
    constants: Any,
    timeline: Timeline,
    scales: Mapping[str, Array],
    segments: Int[Array, "3 step batch"],
    seed: Int[Array, ""],
    *,
    graph: Any,
    config: DecoderConfig,
    steps_per_epoch: int,
    bins: int,
    shared: bool,
) -> tuple[TrainState, Float[Array, " step"]]:
    """All gradient steps of one epoch in one compiled call; returns the state and each step's loss."""
    optimizer = optimizer_of(config, steps_per_epoch)

    def loss(parameters: Any, batch: TrainingBatch, dropout: Dropout) -> Array:
        model = nnx.merge(graph, parameters, constants)
        return loss_terms(model, batch, scales, config.model, config.objective, dropout).total()

    def step(state: TrainState, chosen: Array) -> tuple[TrainState, Array]:
        batch = gather(timeline, chosen, bins, shared=shared)
        key = jax.random.fold_in(jax.random.key(seed), state.step)
        value, gradient = jax.value_and_grad(loss)(state.parameters, batch, draw_dropout(key, batch, config))
        with jax.numpy_dtype_promotion("standard"):  # optax mixes floats and an integer count in Adam's correction
            updates, optimizer_state = optimizer.update(gradient, state.optimizer, state.parameters)
        parameters = optax.apply_updates(state.parameters, updates)
        average = running_average(state.average, parameters, state.step, config.training.average)
        return TrainState(parameters, optimizer_state, average, state.step + 1), value

    return jax.lax.scan(step, state, jnp.swapaxes(segments, 0, 1))


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
    return Dropout(hidden, channels, kept.astype(dtype) / (1 - objective.dropout))


@partial(jax.jit, static_argnames=("graph", "config"))
def validation_terms(
    parameters: Any,
    constants: Any,
    batch: TrainingBatch,
    scales: Mapping[str, Array],
    *,
    graph: Any,
    config: DecoderConfig,
) -> Any:
    """Terms of the loss on held-out segments, nothing hidden."""
    model = nnx.merge(graph, parameters, constants)
    return loss_terms(model, batch, scales, config.model, config.objective, None)


@dataclass(frozen=True)
class Trained:
    """Trained parameters and how they came about."""

    parameters: Any
    constants: Any
    graph: Any
    outcome: Outcome[TrainState]


@dataclass(frozen=True, eq=False)
class Training:
    """Everything a training run needs before its first step.

    Arguments
    ---------
    scaling: of the training data.
    graph, constants: of the model, with the training data's scaling.
    start: parameters drawn from the seed, and the optimizer's state.
    timeline, scales: the recording, and the weight of each modality's log-likelihood.
    segments, shared, steps: what is trained on, whether all see the same bins, and steps per epoch.
    held, held_shared: what is validated on, whole, and whether all of it sees the same bins.
    identity: what has to be equal for a checkpoint to be resumed.
    trained_on, held_out: the parts of the batch that the gradient sees, and that it does not.
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

    def drawn(self, epoch: int) -> Int[np.ndarray, "3 step batch"]:
        """Segments of an epoch."""
        return self.segments.draw(self.config.training.seed, epoch, self.config.training.batch)

    def loop(self, checkpoint: Path | None) -> LoopConfig:
        """When to validate, when to stop, where to save."""
        training = self.config.training
        return LoopConfig(training.epochs, training.validate_every, training.patience, checkpoint, self.identity)


def prepare(batch: MultimodalBatch, scaling: Scaling, config: DecoderConfig) -> Training:
    """Split a batch into what is trained on and what is validated on, and start a model."""
    training = config.training
    graph, parameters, constants = split_model(build_model(config, scaling))
    inner, held = validation_split(
        batch, training.validation, held_out_seconds(batch, training.validation, training.segment)
    )
    segments, shared = most_share_a_mask(inner, segments_of(inner, training.segment))
    steps = segments.draw(training.seed, 0, training.batch).shape[1]
    timeline, whole = timeline_of(batch, scaling), _whole_trials(held)
    held_shared = share_a_mask(held, whole)
    return Training(
        config=config,
        scaling=scaling,
        graph=graph,
        constants=constants,
        start=initial_state(parameters, without_the_course(config)),
        timeline=timeline,
        scales={n: jnp.asarray(s, timeline.target.dtype) for n, s in likelihood_scales(batch, scaling).items()},
        segments=segments,
        shared=shared,
        steps=steps,
        held=gather(timeline, whole.everything(), whole.bins, shared=held_shared),
        held_shared=held_shared,
        identity={"config": asdict(replace(config, recurrent=None)), "data": _fingerprint(batch)},
        trained_on=inner,
        held_out=held,
    )


def fit_parameters(run: Training, *, checkpoint: Path | None = None, progress: Progress | None = None) -> Trained:
    """Train a model; the validation share chooses which parameters are kept."""
    placement = Placement.of(run.trials)
    timeline, held = placement.everywhere(run.timeline), placement.everywhere(run.held)
    constants, scales, seed = placement.everywhere((run.constants, run.scales, jnp.asarray(run.config.training.seed)))
    graph, compiled = run.graph, without_the_course(run.config)

    def epoch(state: TrainState, number: int) -> tuple[TrainState, Array]:
        return run_epoch(
            state, constants, timeline, scales, placement.split(jnp.asarray(run.drawn(number)), axis=2), seed,
            graph=graph, config=compiled, steps_per_epoch=run.steps, bins=run.segments.bins, shared=run.shared,
        )  # fmt: skip

    def validate(state: TrainState) -> tuple[Array, Any]:
        kept = validated(state, run.config)
        terms = validation_terms(kept, constants, held, scales, graph=graph, config=compiled)
        return score_of(terms, run.config), kept

    start = placement.everywhere(jax.tree.map(jnp.copy, run.start))  # an epoch uses its state up
    outcome = train(start, epoch, validate, run.loop(checkpoint), progress)
    return Trained(parameters=outcome.parameters, constants=constants, graph=graph, outcome=outcome)


def validated(state: TrainState, config: DecoderConfig) -> Any:
    """The parameters that are validated and kept."""
    return state.average if config.training.average > 0 else state.parameters


def score_of(terms: Any, config: DecoderConfig) -> Array:
    """What the best parameters are chosen by: the target's error where there is a target, else the whole loss."""
    return terms.target if config.model.target and config.objective.target > 0 else terms.total()


def without_the_course(config: DecoderConfig) -> DecoderConfig:
    """The settings that compiled steps depend on: another seed or number of epochs is to compile nothing again."""
    names = ("learning_rate", "half_cycle", "decay", "clip", "average")
    return replace(config, training=TrainingConfig(**{n: getattr(config.training, n) for n in names}), recurrent=None)


def _whole_trials(batch: MultimodalBatch) -> Segments:
    return Segments(batch.starts, batch.lengths, batch.lead, int(batch.lengths.max()), batch.n_trials)


def _fingerprint(batch: MultimodalBatch) -> int:
    """Checksum of the training data: a checkpoint is not to be resumed on another fold or recording."""
    arrays = [batch.starts, batch.lengths, batch.lead, batch.target, batch.target_observed]
    arrays += [a for name in batch.names for a in (batch.observations[name], batch.observed[name])]
    checksum = 0
    for array in arrays:
        checksum = zlib.crc32(np.ascontiguousarray(array).data, checksum)
    return checksum
