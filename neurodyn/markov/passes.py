"""Passes over sequences, forwards and backwards, whatever their states emit.

What is observed enters as evidence, ``log P(observation at t | state)`` as (time, trials, states), 0 where nothing was
seen: scans of the one-step functions of ``kernels.discrete``.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from neurodyn.kernels import discrete, sums

BLOCK = 256
"""Steps that are added up without compensation: rounding takes about a millionth of their sum."""


class LogPath(NamedTuple):
    """Logarithms of the probabilities of the hidden path; minus infinity where something cannot happen."""

    initial: Float[Array, " states"]
    transitions: Float[Array, "states states"]


class Expected(NamedTuple):
    """What the hidden path is expected to be, given all that was observed of a trial."""

    states: Float[Array, "time trials states"]
    transitions: Float[Array, "trials states states"]
    """Numbers of transitions, from row to column."""
    log_probability: Float[Array, "time trials"]
    """``log P(y_t | y_{0..t-1})``."""


def filter_evidence(
    path: LogPath, evidence: Float[Array, "time trials states"]
) -> tuple[Float[Array, "time trials states"], Float[Array, "time trials"]]:
    """``log P(z_t | y_{0..t})`` and ``log P(y_t | y_{0..t-1})`` of trials side by side."""
    return filter_from(path, _start(path, evidence), evidence)[1]


def filter_from(
    path: LogPath, log_predicted: Float[Array, "trials states"], evidence: Float[Array, "time trials states"]
) -> tuple[Float[Array, "trials states"], tuple[Array, Array]]:
    """Filter on from a prediction, to the one for the step after the last."""

    def step(log_predicted: Array, evidence: Array) -> tuple[Array, tuple[Array, Array]]:
        log_filtered, log_probability = discrete.update(log_predicted, evidence)
        return discrete.predict(log_filtered, path.transitions), (log_filtered, log_probability)

    return lax.scan(step, log_predicted, evidence)


def smooth_evidence(
    path: LogPath, evidence: Float[Array, "time trials states"], log_filtered: Float[Array, "time trials states"]
) -> tuple[Float[Array, "time trials states"], Float[Array, "time trials states"]]:
    """``P(z_t | y)``, and ``log beta_t`` up to a constant, from the filter's result."""

    def step(message: Array, evidence: Array) -> tuple[Array, Array]:
        message = discrete.retreat(message, evidence, path.transitions)
        return message, message

    last = jnp.zeros_like(log_filtered[0])
    earlier = lax.scan(step, last, evidence[1:], reverse=True)[1]
    messages = jnp.concatenate([earlier, last[None]])
    return jax.nn.softmax(log_filtered + messages, axis=-1), messages


def expect_path(
    path: LogPath, evidence: Float[Array, "time trials states"], ends: Int[Array, " trials"] | None = None
) -> Expected:
    """All about the hidden path that a step of expectation maximisation needs; sums along time are compensated.

    Parameters
    ----------
    path, evidence
        Model and trials side by side.
    ends
        Steps of each trial; transitions past its end, which nobody saw anything of, are not counted. None for all.
    """
    log_filtered, log_probability = filter_evidence(path, evidence)
    smoothed, messages = smooth_evidence(path, evidence, log_filtered)

    def add(pairs: sums.Sum, inputs: tuple[Array, Array, Array, Array]) -> tuple[sums.Sum, None]:
        filtered, message, evidence, step = inputs
        pair = discrete.pair_posterior(filtered, message, evidence, path.transitions)
        if ends is not None:
            pair = jnp.where((step < ends)[:, None, None], pair, jnp.zeros_like(pair))
        return sums.add(pairs, pair), None

    none = sums.nothing(jnp.zeros((*smoothed.shape[1:], smoothed.shape[-1]), smoothed.dtype))
    steps = jnp.arange(1, len(evidence))
    pairs = lax.scan(add, none, (log_filtered[:-1], messages[1:], evidence[1:], steps))[0].value()
    return Expected(smoothed, pairs, log_probability)


def best_path(
    path: LogPath, evidence: Float[Array, "time trials states"], ends: Int[Array, " trials"]
) -> Int[Array, "time trials"]:
    """Most probable path of each trial; past its end it stays where it ended."""

    def forward(log_best: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        evidence, step = inputs
        further, came_from = discrete.extend_best(log_best, evidence, path.transitions)
        # Only differences between states matter, and in a sum of millions of steps a float32 would lose them.
        further = further - further.max(axis=-1, keepdims=True)
        inside = (step < ends)[:, None]
        stay = jnp.arange(log_best.shape[-1], dtype=came_from.dtype)
        return jnp.where(inside, further, log_best), jnp.where(inside, came_from, stay)

    def backward(state: Array, came_from: Array) -> tuple[Array, Array]:
        before = jnp.take_along_axis(came_from, state[:, None], axis=1)[:, 0]
        return before, before

    first = _start(path, evidence) + evidence[0]
    log_best, came_from = lax.scan(forward, first, (evidence[1:], jnp.arange(1, len(evidence))))
    end = log_best.argmax(axis=-1).astype(jnp.int32)
    earlier = lax.scan(backward, end, came_from, reverse=True)[1]
    return jnp.concatenate([earlier, end[None]])


def log_ratio_to(
    path: LogPath,
    evidence_of: Callable[[Any], Float[Array, "block trials states"]],
    observed: Any,
    reference: Float[Array, "time trials"],
) -> Float[Array, ""]:
    """Log-likelihood of all trials, less that of a reference; value and gradient hold over long trials in float32.

    A total of a million steps is so large that a float32 holds it to a tenth of a nat at best, while a sampler asks by
    how much one model is better than another: here the differences of the steps are summed. Time goes in blocks, one
    sum in each and a compensated one over them, and the gradient, which comes back the same way, is summed block by
    block as well.

    Parameters
    ----------
    path
        Probabilities of the hidden path.
    evidence_of
        Evidence of a block of steps of what was observed.
    observed
        Arrays, time first.
    reference
        ``log P(y_t | y_{0..t-1})`` of the steps under another model, or zeros.
    """

    def block(log_predicted: Array, inputs: tuple[Any, Array]) -> tuple[Array, Array]:
        some, expected = inputs
        log_predicted, (_, log_probability) = filter_from(path, log_predicted, evidence_of(some))
        return log_predicted, (log_probability - expected).sum()

    odd = len(reference) % BLOCK
    start = jnp.broadcast_to(path.initial, (reference.shape[1], len(path.initial)))
    log_predicted, first = block(start, jax.tree.map(lambda part: part[:odd], (observed, reference)))
    blocks = jax.tree.map(lambda part: part[odd:].reshape(-1, BLOCK, *part.shape[1:]), (observed, reference))
    others = lax.scan(block, log_predicted, blocks)[1]
    return sums.along_first(jnp.concatenate([first[None], others]))


def sum_in_blocks(
    statistics: Callable[[Any, Array], Any], observed: Any, weights: Float[Array, "time trials s"]
) -> Any:
    """Sum statistics along time: plainly in blocks, which is fast, and compensated over them.

    Parameters
    ----------
    statistics
        Sums of a block (observed, weights), any arrays.
    observed
        Arrays, time first.
    weights
        Posterior of the states, 0 where nothing was seen; the last block is filled up with steps of no weight.
    """

    size = min(BLOCK, len(weights))

    def in_blocks(part: Array) -> Array:
        filled = jnp.pad(part, ((0, -len(part) % size), *(((0, 0),) * (part.ndim - 1))))
        return filled.reshape(-1, size, *part.shape[1:])

    def add(running: Any, inputs: tuple[Any, Array]) -> tuple[Any, None]:
        found = statistics(*inputs)
        return {name: sums.add(running[name], term) for name, term in found.items()}, None

    blocks = jax.tree.map(in_blocks, (observed, weights))
    shapes = jax.eval_shape(statistics, *jax.tree.map(lambda part: part[0], blocks))
    start = {name: sums.nothing(jnp.zeros(one.shape, one.dtype)) for name, one in shapes.items()}
    return {name: one.value() for name, one in lax.scan(add, start, blocks)[0].items()}


def _start(path: LogPath, evidence: Array) -> Array:
    return jnp.broadcast_to(path.initial, (evidence.shape[1], len(path.initial)))
