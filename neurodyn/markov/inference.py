"""Exact inference over trials: scans of the one-step functions of ``kernels.discrete``.

Symbols are (trials, time) with -1 where none was seen; trials of different lengths, given as a list, are filled up with
-1 at their end, which changes nothing about the steps before.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, Int32
from numpy.typing import ArrayLike

from neurodyn.errors import InputError
from neurodyn.kernels import discrete
from neurodyn.kernels.discrete import LogChain
from neurodyn.markov.model import HiddenMarkovModel
from neurodyn.markov.sampling import check_symbols


def log_likelihood(hmm: HiddenMarkovModel, symbols: ArrayLike) -> Float[np.ndarray, " trials"]:
    """``log P(symbols)`` of each trial; minus infinity if the model cannot emit it.

    Parameters
    ----------
    hmm
        The model.
    symbols
        (trials, time) or (time,), -1 where missing.

    Raises
    ------
    InputError
        If a symbol is out of range.
    """
    return np.asarray(_log_likelihood(log_chain(hmm), _time_first(hmm, symbols)))


def filter_states(hmm: HiddenMarkovModel, symbols: ArrayLike) -> Float[np.ndarray, "trials time states"]:
    """``P(state at t | symbols up to t)``; arguments as ``log_likelihood``.

    Raises
    ------
    InputError
        If a symbol is out of range, or the model cannot emit a trial.
    """
    log_filtered, log_probability = _filter(log_chain(hmm), _time_first(hmm, symbols))
    _check_possible(log_probability)
    return _trials_first(jnp.exp(log_filtered))


def smooth_states(hmm: HiddenMarkovModel, symbols: ArrayLike) -> Float[np.ndarray, "trials time states"]:
    """``P(state at t | all symbols of the trial)``; arguments as ``log_likelihood``.

    Raises
    ------
    InputError
        If a symbol is out of range, or the model cannot emit a trial.
    """
    smoothed, log_probability = _smooth(log_chain(hmm), _time_first(hmm, symbols))
    _check_possible(log_probability)
    return _trials_first(smoothed)


def viterbi(hmm: HiddenMarkovModel, symbols: ArrayLike) -> Int32[np.ndarray, "trials time"]:
    """States of the most probable path of each trial; arguments as ``log_likelihood``.

    Raises
    ------
    InputError
        If a symbol is out of range, or the model cannot emit a trial.

    Reference
    ---------
    Viterbi (1967), IEEE Transactions on Information Theory 13(2).
    """
    chain, symbol = log_chain(hmm), _time_first(hmm, symbols)
    _check_possible(_filter(chain, symbol)[1])
    return _trials_first(_viterbi(chain, symbol))


def log_chain(hmm: HiddenMarkovModel) -> LogChain:
    """Logarithms of a model's probabilities, in JAX's default precision."""
    with np.errstate(divide="ignore"):  # a probability of zero is meant
        return LogChain(*(jnp.asarray(np.log(a)) for a in (hmm.initial, hmm.transitions, hmm.emissions)))


def filter_trials(
    chain: LogChain, symbols: Int[Array, "time trials"]
) -> tuple[Float[Array, "time trials states"], Float[Array, "time trials"]]:
    """``log P(z_t | y_{0..t})`` and ``log P(y_t | y_{0..t-1})`` of trials side by side."""

    def step(log_predicted: Array, symbol: Array) -> tuple[Array, tuple[Array, Array]]:
        evidence = discrete.symbol_evidence(chain.emissions, symbol)
        log_filtered, log_probability = discrete.update(log_predicted, evidence)
        return discrete.predict(log_filtered, chain.transitions), (log_filtered, log_probability)

    return lax.scan(step, _start(chain, symbols), symbols)[1]


def smooth_trials(
    chain: LogChain, symbols: Int[Array, "time trials"], log_filtered: Float[Array, "time trials states"]
) -> tuple[Float[Array, "time trials states"], Float[Array, "time trials states"]]:
    """``P(z_t | y)``, and ``log beta_t`` up to a constant, from the filter's result."""

    def step(message: Array, symbol: Array) -> tuple[Array, Array]:
        evidence = discrete.symbol_evidence(chain.emissions, symbol)
        message = discrete.retreat(message, evidence, chain.transitions)
        return message, message

    last = jnp.zeros_like(log_filtered[0])
    earlier = lax.scan(step, last, symbols[1:], reverse=True)[1]
    messages = jnp.concatenate([earlier, last[None]])
    return jax.nn.softmax(log_filtered + messages, axis=-1), messages


class Counts(NamedTuple):
    """Expected numbers of starts, transitions and emissions in each trial, given its symbols."""

    starts: Float[Array, "trials states"]
    transitions: Float[Array, "trials states states"]
    emissions: Float[Array, "trials states symbols"]


def expected_counts(chain: LogChain, symbols: Int[Array, "time trials"]) -> tuple[Counts, Float[Array, " trials"]]:
    """Everything that a step of expectation maximisation needs, and the log-likelihood of each trial."""
    log_filtered, log_probability = filter_trials(chain, symbols)
    smoothed, messages = smooth_trials(chain, symbols, log_filtered)

    def add(pairs: Array, inputs: tuple[Array, Array, Array]) -> tuple[Array, None]:
        filtered, message, symbol = inputs
        evidence = discrete.symbol_evidence(chain.emissions, symbol)
        return pairs + discrete.pair_posterior(filtered, message, evidence, chain.transitions), None

    none = jnp.zeros((*smoothed.shape[1:], smoothed.shape[-1]), smoothed.dtype)
    pairs = lax.scan(add, none, (log_filtered[:-1], messages[1:], symbols[1:]))[0]
    # one_hot gives a missing symbol, -1, a row of zeros: it is counted nowhere.
    seen = jax.nn.one_hot(symbols, chain.emissions.shape[1], dtype=smoothed.dtype)
    emitted = jnp.einsum("tks,tky->ksy", smoothed, seen)
    return Counts(smoothed[0], pairs, emitted), log_probability.sum(axis=0)


def _start(chain: LogChain, symbols: Array) -> Array:
    return jnp.broadcast_to(chain.initial, (symbols.shape[1], len(chain.initial)))


@jax.jit
def _log_likelihood(chain: LogChain, symbols: Array) -> Array:
    return filter_trials(chain, symbols)[1].sum(axis=0)


_filter = jax.jit(filter_trials)


@jax.jit
def _smooth(chain: LogChain, symbols: Array) -> tuple[Array, Array]:
    log_filtered, log_probability = filter_trials(chain, symbols)
    return smooth_trials(chain, symbols, log_filtered)[0], log_probability


@jax.jit
def _viterbi(chain: LogChain, symbols: Array) -> Array:
    def forward(log_best: Array, symbol: Array) -> tuple[Array, Array]:
        evidence = discrete.symbol_evidence(chain.emissions, symbol)
        return discrete.extend_best(log_best, evidence, chain.transitions)

    def backward(state: Array, came_from: Array) -> tuple[Array, Array]:
        before = jnp.take_along_axis(came_from, state[:, None], axis=1)[:, 0]
        return before, before

    first = _start(chain, symbols) + discrete.symbol_evidence(chain.emissions, symbols[0])
    log_best, came_from = lax.scan(forward, first, symbols[1:])
    end = log_best.argmax(axis=-1).astype(jnp.int32)
    earlier = lax.scan(backward, end, came_from, reverse=True)[1]
    return jnp.concatenate([earlier, end[None]])


def _time_first(hmm: HiddenMarkovModel, symbols: ArrayLike) -> Array:
    return jnp.asarray(check_symbols(symbols, hmm.symbols).T)


def _trials_first(array: Array) -> np.ndarray:
    return np.ascontiguousarray(np.asarray(array).swapaxes(0, 1))


def _check_possible(log_probability: Array) -> None:
    """Raise if a symbol came that cannot come after the ones before it."""
    impossible = np.argwhere(~np.isfinite(np.asarray(log_probability).T))
    if len(impossible):
        trial, step = impossible[0]
        raise InputError(
            f"the model cannot emit trial {trial}: at step {step} a symbol comes that has probability 0 after the ones "
            f"before it ({len(set(impossible[:, 0].tolist()))} of {log_probability.shape[1]} trials are like this)"
        )
