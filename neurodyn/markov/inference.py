"""Exact inference over trials: scans of the one-step functions of ``kernels.discrete``.

Symbols are (trials, time) with -1 where none was seen; trials of different lengths are filled up with -1 at their end,
which changes nothing about the steps before.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, Int32
from numpy.typing import ArrayLike

from neurodyn.errors import InputError
from neurodyn.kernels import discrete, sums
from neurodyn.kernels.discrete import LogChain
from neurodyn.markov.model import HiddenMarkovModel
from neurodyn.markov.sampling import check_symbols, is_ragged

BLOCK = 256
"""Steps that are added up without compensation: rounding takes about a millionth of their sum."""


def log_likelihood(hmm: HiddenMarkovModel, symbols: ArrayLike | Sequence[Any]) -> Float[np.ndarray, " trials"]:
    """``log P(symbols)`` of each trial; minus infinity if the model cannot emit it.

    The steps of a trial are added up in double precision, whatever JAX computes in.

    Parameters
    ----------
    hmm
        The model.
    symbols
        (trials, time) or (time,), -1 where missing; or a list of sequences of any lengths, which are filled up with -1.

    Raises
    ------
    InputError
        If a symbol is out of range.
    """
    return along_time(_filter(log_chain(hmm), _time_first(hmm, symbols))[1])


def filter_states(
    hmm: HiddenMarkovModel, symbols: ArrayLike | Sequence[Any]
) -> Float[np.ndarray, "trials time states"]:
    """``P(state at t | symbols up to t)``; arguments as ``log_likelihood``.

    Raises
    ------
    InputError
        If a symbol is out of range, or the model cannot emit a trial.
    """
    log_filtered, log_probability = _filter(log_chain(hmm), _time_first(hmm, symbols))
    _check_possible(log_probability)
    return _trials_first(jnp.exp(log_filtered))


def smooth_states(
    hmm: HiddenMarkovModel, symbols: ArrayLike | Sequence[Any]
) -> Float[np.ndarray, "trials time states"]:
    """``P(state at t | all symbols of the trial)``; arguments as ``log_likelihood``.

    Raises
    ------
    InputError
        If a symbol is out of range, or the model cannot emit a trial.
    """
    smoothed, log_probability = _smooth(log_chain(hmm), _time_first(hmm, symbols))
    _check_possible(log_probability)
    return _trials_first(smoothed)


def viterbi(hmm: HiddenMarkovModel, symbols: ArrayLike | Sequence[Any]) -> Int32[np.ndarray, "trials time"]:
    """States of the most probable path of each trial; arguments as ``log_likelihood``.

    The path of a sequence in a list ends with the sequence, and stays in its last state where others are longer. In an
    array every step has its part in the path, also those at the end at which nothing was seen.

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
    lengths = [len(one) for one in symbols] if is_ragged(symbols) else [len(symbol)] * symbol.shape[1]
    return _trials_first(_viterbi(chain, symbol, jnp.asarray(lengths)))


def along_time(log_probability: Float[Array, "time trials"]) -> Float[np.ndarray, " trials"]:
    """Log-likelihood of each trial from those of its steps: a float32 could not even hold the sum of a long one."""
    return np.asarray(log_probability).sum(axis=0, dtype=np.float64)


def log_chain(hmm: HiddenMarkovModel) -> LogChain:
    """Logarithms of a model's probabilities, in JAX's default precision."""
    with np.errstate(divide="ignore"):  # a probability of zero is meant
        return LogChain(*(jnp.asarray(np.log(a)) for a in (hmm.initial, hmm.transitions, hmm.emissions)))


def filter_trials(
    chain: LogChain, symbols: Int[Array, "time trials"]
) -> tuple[Float[Array, "time trials states"], Float[Array, "time trials"]]:
    """``log P(z_t | y_{0..t})`` and ``log P(y_t | y_{0..t-1})`` of trials side by side."""
    return _filter_from(chain, _start(chain, symbols), symbols)[1]


def log_ratio(
    chain: LogChain, symbols: Int[Array, "time trials"], reference: Float[Array, "time trials"]
) -> Float[Array, ""]:
    """Log-likelihood of all trials, less that of a reference; value and gradient hold over long trials in float32.

    A total of a million steps is so large that a float32 holds it to a tenth of a nat at best, while a sampler asks by
    how much one model is better than another: here the differences of the steps are summed. Time goes in blocks, one
    sum in each and a compensated one over them, and the gradient, which comes back the same way, is summed block by
    block as well.

    Parameters
    ----------
    chain, symbols
        Model and trials side by side.
    reference
        ``log P(y_t | y_{0..t-1})`` of the steps under another model, or zeros.
    """

    def block(log_predicted: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        symbol, expected = inputs
        log_predicted, (_, log_probability) = _filter_from(chain, log_predicted, symbol)
        return log_predicted, (log_probability - expected).sum()

    odd = len(symbols) % BLOCK
    log_predicted, first = block(_start(chain, symbols), (symbols[:odd], reference[:odd]))
    blocks = (-1, BLOCK, symbols.shape[1])
    others = lax.scan(block, log_predicted, (symbols[odd:].reshape(blocks), reference[odd:].reshape(blocks)))[1]
    return sums.along_first(jnp.concatenate([first[None], others]))


def _filter_from(
    chain: LogChain, log_predicted: Float[Array, "trials states"], symbols: Int[Array, "time trials"]
) -> tuple[Array, tuple[Array, Array]]:
    """Filter on from a prediction, to the one for the step after the last."""

    def step(log_predicted: Array, symbol: Array) -> tuple[Array, tuple[Array, Array]]:
        evidence = discrete.symbol_evidence(chain.emissions, symbol)
        log_filtered, log_probability = discrete.update(log_predicted, evidence)
        return discrete.predict(log_filtered, chain.transitions), (log_filtered, log_probability)

    return lax.scan(step, log_predicted, symbols)


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


def expected_counts(
    chain: LogChain, symbols: Int[Array, "time trials"], ends: Int[Array, " trials"] | None = None
) -> tuple[Counts, Float[Array, "time trials"]]:
    """Everything that a step of expectation maximisation needs, and the log-likelihood of each step of each trial.

    Sums along time are compensated (`neurodyn.kernels.sums`).

    Parameters
    ----------
    chain, symbols
        Model and trials side by side.
    ends
        Steps of each trial; transitions past its end, which nobody saw anything of, are not counted. None for all.
    """
    log_filtered, log_probability = filter_trials(chain, symbols)
    smoothed, messages = smooth_trials(chain, symbols, log_filtered)

    def add(pairs: sums.Sum, inputs: tuple[Array, Array, Array, Array]) -> tuple[sums.Sum, None]:
        filtered, message, symbol, step = inputs
        evidence = discrete.symbol_evidence(chain.emissions, symbol)
        pair = discrete.pair_posterior(filtered, message, evidence, chain.transitions)
        if ends is not None:
            pair = jnp.where((step < ends)[:, None, None], pair, jnp.zeros_like(pair))
        return sums.add(pairs, pair), None

    none = sums.nothing(jnp.zeros((*smoothed.shape[1:], smoothed.shape[-1]), smoothed.dtype))
    steps = jnp.arange(1, len(symbols))
    pairs = lax.scan(add, none, (log_filtered[:-1], messages[1:], symbols[1:], steps))[0].value()
    return Counts(smoothed[0], pairs, _emitted(smoothed, symbols, chain.emissions.shape[1])), log_probability


def _emitted(
    smoothed: Float[Array, "time trials states"], symbols: Int[Array, "time trials"], count: int
) -> Float[Array, "trials states symbols"]:
    """Expected numbers of emissions: products of blocks, which are fast, and a compensated sum over the blocks."""
    # one_hot gives a missing symbol, -1, a row of zeros: it is counted nowhere, and neither is the end that is added.
    added = ((0, -len(symbols) % BLOCK), (0, 0))
    seen = jax.nn.one_hot(jnp.pad(symbols, added, constant_values=-1), count, dtype=smoothed.dtype)
    blocks = (-1, BLOCK, symbols.shape[1])
    smoothed = jnp.pad(smoothed, (*added, (0, 0))).reshape(*blocks, smoothed.shape[-1])
    return sums.along_first(jnp.einsum("btks,btky->bksy", smoothed, seen.reshape(*blocks, count)))


def _start(chain: LogChain, symbols: Array) -> Array:
    return jnp.broadcast_to(chain.initial, (symbols.shape[1], len(chain.initial)))


_filter = jax.jit(filter_trials)


@jax.jit
def _smooth(chain: LogChain, symbols: Array) -> tuple[Array, Array]:
    log_filtered, log_probability = filter_trials(chain, symbols)
    return smooth_trials(chain, symbols, log_filtered)[0], log_probability


@jax.jit
def _viterbi(chain: LogChain, symbols: Array, ends: Array) -> Array:
    def forward(log_best: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        symbol, step = inputs
        evidence = discrete.symbol_evidence(chain.emissions, symbol)
        further, came_from = discrete.extend_best(log_best, evidence, chain.transitions)
        # Only differences between states matter, and in a sum of millions of steps a float32 would lose them.
        further = further - further.max(axis=-1, keepdims=True)
        inside = (step < ends)[:, None]
        stay = jnp.arange(log_best.shape[-1], dtype=came_from.dtype)
        return jnp.where(inside, further, log_best), jnp.where(inside, came_from, stay)

    def backward(state: Array, came_from: Array) -> tuple[Array, Array]:
        before = jnp.take_along_axis(came_from, state[:, None], axis=1)[:, 0]
        return before, before

    first = _start(chain, symbols) + discrete.symbol_evidence(chain.emissions, symbols[0])
    log_best, came_from = lax.scan(forward, first, (symbols[1:], jnp.arange(1, len(symbols))))
    end = log_best.argmax(axis=-1).astype(jnp.int32)
    earlier = lax.scan(backward, end, came_from, reverse=True)[1]
    return jnp.concatenate([earlier, end[None]])


def _time_first(hmm: HiddenMarkovModel, symbols: ArrayLike | Sequence[Any]) -> Array:
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
