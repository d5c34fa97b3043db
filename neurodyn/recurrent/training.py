"""Training of the members: windows drawn from the timeline, some with losses, validation on blocks kept out."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, Key

from neurodyn.errors import InputError
from neurodyn.kernels.linalg import masked_mean
from neurodyn.memory import compile_first
from neurodyn.recurrent.config import RecurrentConfig
from neurodyn.recurrent.inputs import Sequences
from neurodyn.recurrent.network import Body, Gated, assemble, draw_weights, keep, outputs, standardised, thinned
from neurodyn.training import LoopConfig, Outcome, Progress, TrainState, gradient_step, initial_state, train

MEMBERS = TrainState(0, 0, 0, step=cast(Any, None))
"""Axis of the members in each part of the state: the first one, but the count of steps is common to all."""
MOST_HIDDEN = 0.9
"""Largest probability with which training hides a channel for a window."""


class Plan(NamedTuple):
    """What compiled steps depend on beside shapes: settings, what the members are, and bins of a window."""

    config: RecurrentConfig
    body: Body
    bins: int


class Timeline(NamedTuple):
    """The bins of a recording on the device, as recorded, and how inputs are standardised."""

    values: tuple[Array, ...]
    observed: tuple[Array, ...]
    scaling: tuple[tuple[Array, Array, Array], ...]
    fading: Array
    target: Array
    scored: Array

    def inputs(
        self,
        index: Int[Array, "time run"],
        hidden: Bool[Array, "time run modality"] | None = None,
        channels: Sequence[Bool[Array, "run _"]] = (),
    ) -> Float[Array, "time run inputs"]:
        """What the network sees of some bins.

        Training hides a modality where ``hidden`` is True, and those ``channels`` of each modality throughout.
        """
        values, shares, dtype = [], [], self.target.dtype
        for i, (all_values, mask, how) in enumerate(zip(self.values, self.observed, self.scaling, strict=True)):
            seen = mask[index] if hidden is None else mask[index] & ~hidden[..., i, None]
            seen = seen & ~channels[i] if channels else seen
            values.append(standardised(all_values[index], seen, *how))
            shares.append(jnp.mean(seen, axis=-1, dtype=dtype))
        return assemble(values, jnp.stack(shares, axis=-1), self.fading)[0]


def fit_members(
    inner: Sequences,
    held: Sequences,
    config: RecurrentConfig,
    *,
    body: Body | None = None,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
    data: int = 0,
) -> Outcome[TrainState]:
    """Train all members on the runs of ``inner``; the runs of ``held`` choose when to stop.

    Parameters
    ----------
    inner, held
        Two sets of runs on one timeline.
    config
        Sizes and course.
    body
        What the members are between inputs and read-out; None: the gated recurrent unit.
    checkpoint
        File that training is saved to and, if it exists, resumed from.
    progress
        Told the loss after each validation.
    data
        Checksum of the data, which a checkpoint that is resumed must share.

    Returns
    -------
    Outcome whose ``parameters`` are the weights that were best on ``held``, averaged over the last steps.

    Raises
    ------
    InputError
        If there is no target, it is observed nowhere, or no run has two bins.
    NumericalError
        If the loss stops being finite before anything could be kept.

    Examples
    --------
    >>> import numpy as np
    >>> import neurodyn as nd
    >>> from neurodyn.recurrent import InputScaling, RecurrentConfig, fit_members, sequences_of
    >>> batch = nd.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=4), seed=0)
    >>> whole = sequences_of(batch, InputScaling.fit(batch), np.zeros(3), np.ones(3))
    >>> inner, held = whole.runs_of(batch.with_trials([0, 1, 2])), whole.runs_of(batch.with_trials([3]))
    >>> short = RecurrentConfig(hidden=4, members=1, window=5, batch=2, steps=2, validate_every=1)
    >>> outcome = fit_members(inner, held, short)
    >>> outcome.status, outcome.parameters["recurrent"].shape  # member, three gates of 4 units, state
    ('finished', (1, 12, 4))
    """
    if inner.target.shape[1] == 0:
        raise InputError("there is no target to read out: name one when binning")
    inner = inner._replace(scored=inner.scored & after_lead(inner))
    windows = Windows.of(inner, config.window)
    inputs = inner.scaling.n_inputs
    timeline, whole = on_device(inner), padded(held)
    if not (inner.scored.any() and whole[1].any()):
        raise InputError(
            "the target is not observed in the bins that are trained on, or in those kept out of training: give a "
            "longer recording, or leave out the stretch without a target"
        )
    plan = Plan(config, Gated() if body is None else body, windows.bins)
    start = _initial(inputs, inner.target.shape[1], plan)

    def epoch(state: TrainState, number: int) -> tuple[TrainState, Array]:
        return _side_by_side(state, timeline, windows.draw(config, number), plan)

    def validate(state: TrainState) -> tuple[Array, Any]:
        return _validation(state.average, timeline, *whole, body=plan.body), state.average

    identity = {
        "config": asdict(config) | asdict(plan.body),
        "data": data,
        "runs": [a.tolist() for a in (inner.starts, inner.lengths, held.starts)],
    }
    epochs = -(-config.steps // config.validate_every)
    return train(start, epoch, validate, LoopConfig(epochs, 1, config.patience, checkpoint, identity), progress)


@dataclass(frozen=True)
class Windows:
    """Every place a window may start at."""

    starts: Int[np.ndarray, " runs"]
    choices: Int[np.ndarray, " runs"]
    lengths: Int[np.ndarray, " runs"]
    bins: int

    @classmethod
    def of(cls, sequences: Sequences, bins: int) -> "Windows":
        """Windows of so many bins, or as long as the longest run; shorter runs are windows with an end."""
        bins = min(bins, int(sequences.lengths.max(initial=0)))
        if bins < 2:
            raise InputError("no trial is longer than one bin: a recurrent network needs sequences")
        usable = sequences.lengths > 1
        starts, lengths = sequences.starts[usable], sequences.lengths[usable]
        return cls(starts, np.maximum(lengths - bins, 0) + 1, lengths, bins)

    def draw(self, config: RecurrentConfig, number: int) -> Int[np.ndarray, "2 step member batch"]:
        """First bins and lengths of the windows of each step, from (seed, number) alone.

        A run is drawn in proportion to its bins.
        """
        generator = np.random.default_rng([config.seed, number])
        shape = (config.validate_every, config.members, config.batch)
        edges = np.cumsum(self.lengths)
        run = np.searchsorted(edges, generator.integers(0, edges[-1], shape), side="right")
        offset = generator.integers(0, self.choices[run])
        return np.stack([self.starts[run] + offset, np.minimum(self.lengths[run], self.bins)])


def _side_by_side(
    state: TrainState,
    timeline: Timeline,
    drawn: Int[np.ndarray, "2 step member batch"],
    plan: Plan,
) -> tuple[TrainState, Array]:
    """Gradient steps between two validations, of all members, and their mean loss.

    An accelerator takes all members in one program. A processor keeps one core busy with such steps, whose products are
    small, so each member has a thread of its own there.
    """
    config, settings = plan.config, plan._replace(config=compile_key(plan.config))
    apart = config.members > 1 and jax.default_backend() == "cpu"
    seed, precise = jnp.asarray(config.seed), jax.config.jax_enable_x64  # pyright: ignore[reportAttributeAccessIssue]

    def given(members: slice) -> tuple[Any, ...]:
        parts = jax.tree.map(lambda a: a[members], state._replace(step=None))
        parts = parts._replace(step=jnp.copy(state.step))  # copied, because each call uses its state up
        return parts, timeline, jnp.asarray(drawn[:, :, members]), jnp.asarray(np.arange(config.members)[members]), seed

    def run(members: slice) -> tuple[TrainState, Array]:
        with jax.enable_x64(precise):  # a thread of its own does not know of the caller's
            return jax.block_until_ready(_run_steps(*given(members), plan=settings))

    if int(state.step) == 0:
        compile_first(_run_steps, *given(slice(0, 1) if apart else slice(None)), plan=settings)
    if not apart:
        return run(slice(None))
    with ThreadPoolExecutor(min(config.members, os.cpu_count() or 1)) as pool:
        parts = list(pool.map(run, [slice(m, m + 1) for m in range(config.members)]))
    states, losses = zip(*parts, strict=True)
    joined = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *(one._replace(step=None) for one in states))
    return joined._replace(step=states[0].step), jnp.mean(jnp.stack(losses), axis=0)


@partial(jax.jit, static_argnames="plan", donate_argnames="state")
def _run_steps(
    state: TrainState,
    timeline: Timeline,
    drawn: Int[Array, "2 step member batch"],
    members: Int[Array, " member"],
    seed: Int[Array, ""],
    *,
    plan: Plan,
) -> tuple[TrainState, Float[Array, " step"]]:
    """Gradient steps of some of the members in one compiled call; returns their mean loss."""
    config = plan.config

    def loss(weights: dict[str, Array], sample: tuple[Array, Array]) -> Array:
        windows, key = sample
        return _loss(weights, timeline, windows, key, plan)

    def one(state: TrainState, sample: tuple[Array, Array]) -> tuple[TrainState, Array]:
        return gradient_step(state, sample, loss=loss, optimizer=_optimizer(config), average=config.average)[:2]

    def step(state: TrainState, windows: Array) -> tuple[TrainState, Array]:
        keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), state.step), config.members)[members]
        every = jax.vmap(one, in_axes=(MEMBERS, 0), out_axes=(MEMBERS, 0))
        state, values = every(state, (jnp.swapaxes(windows, 0, 1), keys))
        return state, jnp.mean(values)

    return jax.lax.scan(step, state, jnp.swapaxes(drawn, 0, 1))


def _loss(
    weights: dict[str, Array],
    timeline: Timeline,
    windows: Int[Array, "2 batch"],
    key: Key[Array, ""],
    plan: Plan,
) -> Array:
    """Squared error of the mean, and negative log-likelihood of the errors under the variance, of one member."""
    (starts, lengths), (config, body, bins) = windows, plan
    offset = jnp.arange(bins)[:, None]
    index = jnp.minimum(starts + offset, timeline.target.shape[0] - 1)
    inside = offset < lengths
    hide, drop, thin = jax.random.split(key, 3)
    hidden = hidden_bins(hide, (bins, len(starts)), len(timeline.values), config) | ~inside[..., None]
    width = [mask.shape[1] for mask in timeline.observed]
    channels = hidden_channels(jax.random.fold_in(key, 4), len(starts), width, config)
    inputs = thinned(drop, timeline.inputs(index, hidden, channels), config.dropout)
    known = body.start(weights, len(starts), inputs.shape[-1])
    states, _ = body.states(
        weights, known, inputs, jax.random.fold_in(key, 3)
    )  # beside the three that key was split to
    mean, log_variance = outputs(weights, thinned(thin, states, config.dropout))
    error = jnp.square(mean - timeline.target[index])
    scored = (timeline.scored[index] & inside)[..., None]
    misfit = error + 0.5 * (log_variance + jax.lax.stop_gradient(error) * jnp.exp(-log_variance))
    return masked_mean(misfit, jnp.broadcast_to(scored, misfit.shape))


def hidden_bins(
    key: Key[Array, ""], shape: tuple[int, int], modalities: int, config: RecurrentConfig
) -> Bool[Array, "time trial modality"]:
    """Bins in which training hides each modality: in some windows bins at random, in some one burst.

    Parameters
    ----------
    shape, modalities
        Bins and windows, and modalities of each.
    """
    bins, trials = shape
    keys = jax.random.split(key, 4)
    chosen = jax.random.uniform(keys[0], (trials, modalities)) < config.hidden_windows
    burst = jax.random.bernoulli(keys[1], 0.5, (trials, modalities))
    ends = jax.random.uniform(keys[2], (2, trials, modalities), minval=-0.2, maxval=1.2) * bins
    time = jnp.arange(bins, dtype=ends.dtype)[:, None, None]
    in_burst = (time >= jnp.min(ends, 0)) & (time < jnp.max(ends, 0))
    at_random = ~keep(keys[3], config.hidden_probability, (bins, trials, modalities))
    return chosen & jnp.where(burst, in_burst, at_random)


def hidden_channels(
    key: Key[Array, ""], windows: int, channels: Sequence[int], config: RecurrentConfig
) -> list[Bool[Array, "window _"]]:
    """Channels that training hides in a window from its first bin to its last: none of any modality in most.

    Parameters
    ----------
    windows, channels
        How many there are, and channels of each modality.
    """
    if not config.windows_without_channels:
        return []
    found = []
    for number, size in enumerate(channels):
        keys = jax.random.split(jax.random.fold_in(key, number), 3)
        chosen = jax.random.uniform(keys[0], (windows, 1)) < config.windows_without_channels
        share = jax.random.uniform(keys[1], (windows, 1), maxval=MOST_HIDDEN)
        found.append(chosen & (jax.random.uniform(keys[2], (windows, size)) < share))
    return found


@partial(jax.jit, static_argnames="body")
def _validation(
    weights: dict[str, Array],
    timeline: Timeline,
    index: Int[Array, "time run"],
    scored: Bool[Array, "time run"],
    *,
    body: Body,
) -> Array:
    """Mean squared error of the members' mean on the held-out runs, nothing hidden."""
    inputs = timeline.inputs(index)

    def one(weights: dict[str, Array]) -> Array:
        known = body.start(weights, index.shape[1], inputs.shape[-1])
        return outputs(weights, body.states(weights, known, inputs)[0])[0]

    mean = jnp.mean(jax.vmap(one)(weights), axis=0)
    error = jnp.mean(jnp.square(mean - timeline.target[index]), axis=-1)
    return masked_mean(error, scored)


def after_lead(sequences: Sequences) -> Bool[np.ndarray, " bins"]:
    """Bins of the runs after their lead: context is seen and never fitted."""
    inside = np.zeros(len(sequences.target), np.bool_)
    for start, length, lead in zip(sequences.starts, sequences.lengths, sequences.lead, strict=True):
        inside[start + lead : start + length] = True
    return inside


def padded(held: Sequences) -> tuple[Array, Array]:
    """Bins of the held-out runs side by side (time, run), and which of them count."""
    offset = np.arange(int(held.lengths.max()))[:, None]
    index = np.minimum(held.starts + offset, len(held.target) - 1)
    scored = (offset >= held.lead) & (offset < held.lengths) & held.scored[index]
    return jnp.asarray(index), jnp.asarray(scored)


def on_device(sequences: Sequences) -> Timeline:
    """The timeline in the precision that JAX computes in."""
    dtype, scaling = jnp.result_type(float), sequences.scaling
    return Timeline(
        tuple(jnp.asarray(v, dtype) for v in sequences.values),
        tuple(jnp.asarray(mask) for mask in sequences.observed),
        tuple(
            (jnp.asarray(centre, dtype), jnp.asarray(scale, dtype), jnp.asarray(counts))
            for centre, scale, counts in zip(scaling.centre, scaling.scale, scaling.counts, strict=True)
        ),
        jnp.asarray(scaling.fading, dtype),
        jnp.asarray(sequences.target, dtype),
        jnp.asarray(sequences.scored),
    )


def _optimizer(config: RecurrentConfig) -> optax.GradientTransformation:
    return optax.flatten(optax.chain(optax.clip_by_global_norm(config.clip), optax.adam(config.learning_rate)))


@partial(jax.jit, static_argnames=("inputs", "dims", "plan"))
def _draw(seed: Array, *, inputs: int, dims: int, plan: Plan) -> TrainState:
    weights = draw_weights(jax.random.key(seed), inputs, dims, plan.config, plan.body)
    return jax.vmap(partial(initial_state, optimizer=_optimizer(plan.config)), out_axes=MEMBERS)(weights)


def _initial(inputs: int, dims: int, plan: Plan) -> TrainState:
    settings = plan._replace(config=compile_key(plan.config), bins=0)
    return _draw(jnp.asarray(plan.config.seed), inputs=inputs, dims=dims, plan=settings)


def compile_key(config: RecurrentConfig) -> RecurrentConfig:
    """The settings that compiled steps depend on: another seed or number of steps is to compile nothing again."""
    return replace(config, seed=0, steps=config.validate_every, patience=1)
