"""Training of the members: windows drawn from the timeline, some with losses, validation on blocks kept out."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
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
from neurodyn.recurrent.network import Body, Gated, assemble, draw_weights, outputs, standardised, thinned
from neurodyn.recurrent.turns import holders
from neurodyn.recurrent.windows import Windows, drawn_windows, hidden_bins, hidden_channels
from neurodyn.training import LoopConfig, Outcome, Progress, TrainState, gradient_step, initial_state, train

MEMBERS = TrainState(0, 0, 0, step=cast(Any, None))
"""Axis of the members in each part of the state: the first one, but the count of steps is common to all."""


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
    inner: Sequences | Sequence[Sequences],
    held: Sequences | Sequence[Sequences],
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
        Sets of runs on one timeline: one of each for all members, or a list of each with as many as there are members
        (:func:`neurodyn.recurrent.hold_out_in_turn`). Then member i is trained on ``inner[i]``, and ``held[b]`` is held
        out of those that :func:`neurodyn.recurrent.holders` says.
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
    each = [inner] if isinstance(inner, Sequences) else list(inner)
    blocks = [held] if isinstance(held, Sequences) else list(held)
    if each[0].target.shape[1] == 0:
        raise InputError("there is no target to read out: name one when binning")
    scored = each[0].scored & np.asarray([after_lead(some) for some in each]).any(axis=0)
    windows = Windows.of_each(each, config.window)
    inputs, timeline = each[0].scaling.n_inputs, on_device(each[0]._replace(scored=scored))
    index, counts = joined_blocks([padded(block) for block in blocks])
    if not (scored.any() and counts.any()):
        raise InputError(
            "the target is not observed in the bins that are trained on, or in those kept out of training: give a "
            "longer recording, or leave out the stretch without a target"
        )
    held_by = jnp.asarray(holders(config.members, len(blocks)))
    plan = Plan(config, Gated() if body is None else body, windows[0].bins)
    start = _initial(inputs, each[0].target.shape[1], plan)

    def epoch(state: TrainState, number: int) -> tuple[TrainState, Array]:
        return _side_by_side(state, timeline, drawn_windows(windows, config, number), plan)

    def validate(state: TrainState) -> tuple[Array, Any]:
        return _validation(state.average, timeline, index, counts, held_by, body=plan.body), state.average

    identity = {
        "config": asdict(config) | asdict(plan.body),
        "data": data,
        "runs": [a.tolist() for some in each for a in (some.starts, some.lengths)]
        + [block.starts.tolist() for block in blocks],
    }
    epochs = -(-config.steps // config.validate_every)
    return train(start, epoch, validate, LoopConfig(epochs, 1, config.patience, checkpoint, identity), progress)


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


@partial(jax.jit, static_argnames="body")
def _validation(
    weights: dict[str, Array],
    timeline: Timeline,
    index: Int[Array, "block time run"],
    scored: Bool[Array, "block time run"],
    held_by: Int[Array, "block member"],
    *,
    body: Body,
) -> Array:
    """Mean squared error, on each held-out block, of the mean of the members that it is held out of; nothing hidden."""

    def errors(block: tuple[Array, Array]) -> Array:
        index, chosen = block
        inputs = timeline.inputs(index)

        def one(weights: dict[str, Array]) -> Array:
            known = body.start(weights, index.shape[1], inputs.shape[-1])
            return outputs(weights, body.states(weights, known, inputs)[0])[0]

        mean = jnp.mean(jax.vmap(one)(jax.tree.map(lambda w: w[chosen], weights)), axis=0)
        return jnp.mean(jnp.square(mean - timeline.target[index]), axis=-1)

    return masked_mean(jax.lax.map(errors, (index, held_by)), scored)


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


def joined_blocks(blocks: Sequence[tuple[Array, Array]]) -> tuple[Array, Array]:
    """What :func:`padded` says of several blocks as (block, time, run): what is added does not count."""
    bins, runs = (max(index.shape[axis] for index, _ in blocks) for axis in (0, 1))

    def enlarged(array: Array) -> Array:
        return jnp.pad(array, ((0, bins - array.shape[0]), (0, runs - array.shape[1])))

    indices, counts = zip(*blocks, strict=True)
    return jnp.stack([enlarged(a) for a in indices]), jnp.stack([enlarged(a) for a in counts])


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
