r"""One time step of exact inference in a hidden Markov model, in log space.

For hidden states ``z_t`` with transitions ``A[i, j] = P(z_{t+1} = j | z_t = i)`` and symbols ``y_t`` with
``B[i, s] = P(y_t = s | z_t = i)``:

1. filter: ``P(z_t | y_{0..t})  ∝  B[z_t, y_t] P(z_t | y_{0..t-1})`` (:func:`update`), where the constant is
   ``P(y_t | y_{0..t-1})``, and ``P(z_{t+1} | y_{0..t}) = sum_i P(z_t = i | y_{0..t}) A[i, z_{t+1}]`` (:func:`predict`);
2. smoother: ``beta_t(i) = P(y_{t+1..T} | z_t = i) = sum_j A[i, j] B[j, y_{t+1}] beta_{t+1}(j)`` (:func:`retreat`);
3. Viterbi: the probability of the best path into each state (:func:`extend_best`).

A symbol of -1 is one that was not seen: it carries no information (``log B = 0``), which is the same as summing over
all symbols. Every function takes any number of leading axes (trials), so that a scan over time runs all trials at once.

Reference: Rabiner (1989), A tutorial on hidden Markov models and selected applications in speech recognition,
Proceedings of the IEEE 77(2).
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float, Int


class LogChain(NamedTuple):
    """Logarithms of the probabilities of a hidden Markov model; minus infinity where something cannot happen."""

    initial: Float[Array, " states"]
    transitions: Float[Array, "states states"]
    emissions: Float[Array, "states symbols"]


def symbol_evidence(
    log_emissions: Float[Array, "states symbols"], symbol: Int[Array, "*batch"]
) -> Float[Array, "*batch states"]:
    """``log P(symbol | state)`` for each state; 0 where the symbol is -1, that is missing."""
    seen = log_emissions.T[jnp.maximum(symbol, 0)]
    return jnp.where((symbol >= 0)[..., None], seen, jnp.zeros_like(seen))


def update(
    log_predicted: Float[Array, "*batch states"], evidence: Float[Array, "*batch states"]
) -> tuple[Float[Array, "*batch states"], Float[Array, "*batch"]]:
    """``log P(z_t | y_{0..t})`` and ``log P(y_t | y_{0..t-1})``.

    After symbols that cannot happen, both are minus infinity from then on (and never NaN).
    """
    joint = log_predicted + evidence
    log_probability = logsumexp(joint, axis=-1)
    return joint - _or_zero(log_probability)[..., None], log_probability


def predict(
    log_filtered: Float[Array, "*batch states"], log_transitions: Float[Array, "states states"]
) -> Float[Array, "*batch states"]:
    """``log P(z_{t+1} | y_{0..t})``."""
    return logsumexp(log_filtered[..., :, None] + log_transitions, axis=-2)


def retreat(
    log_message: Float[Array, "*batch states"],
    evidence: Float[Array, "*batch states"],
    log_transitions: Float[Array, "states states"],
) -> Float[Array, "*batch states"]:
    """``log beta_t`` from ``log beta_{t+1}`` and the evidence at t + 1, shifted so that its largest entry is 0."""
    ahead = log_message + evidence
    message = logsumexp(log_transitions + ahead[..., None, :], axis=-1)
    # Only ratios between states matter; without the shift a long recording would run out of the numbers.
    return message - _or_zero(message.max(axis=-1))[..., None]


def pair_posterior(
    log_filtered: Float[Array, "*batch states"],
    log_message: Float[Array, "*batch states"],
    evidence: Float[Array, "*batch states"],
    log_transitions: Float[Array, "states states"],
) -> Float[Array, "*batch states states"]:
    """``P(z_t, z_{t+1} | y)`` from the filter at t, and ``beta`` and the evidence at t + 1."""
    joint = log_filtered[..., :, None] + log_transitions + (log_message + evidence)[..., None, :]
    return jnp.exp(joint - _or_zero(logsumexp(joint, axis=(-2, -1)))[..., None, None])


def extend_best(
    log_best: Float[Array, "*batch states"],
    evidence: Float[Array, "*batch states"],
    log_transitions: Float[Array, "states states"],
) -> tuple[Float[Array, "*batch states"], Int[Array, "*batch states"]]:
    """Log probability of the best path into each state at t + 1, and the state it comes from."""
    paths = log_best[..., :, None] + log_transitions
    return paths.max(axis=-2) + evidence, paths.argmax(axis=-2).astype(jnp.int32)


def _or_zero(log_probability: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """Zero in place of minus infinity, which nothing may be divided by."""
    return jnp.where(jnp.isfinite(log_probability), log_probability, jnp.zeros_like(log_probability))
