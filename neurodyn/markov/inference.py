"""Exact inference over trials, of any model of the room.

Sequences are what the model's emission takes: symbols are (trials, time) with -1 where none was seen, real values and
counts (trials, time, channels) with NaN; or lists of sequences of any lengths. Trials of different lengths are filled
up with steps at which nothing was seen, which changes nothing about the steps before.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Int32
from numpy.typing import ArrayLike

from neurodyn.errors import InputError
from neurodyn.kernels import discrete
from neurodyn.kernels.discrete import LogChain
from neurodyn.markov.emissions.base import Emission, Parameters, Prepared
from neurodyn.markov.general import GeneralHmm, as_general
from neurodyn.markov.model import HiddenMarkovModel
from neurodyn.markov.passes import (
    LogPath,
    best_path,
    expect_path,
    filter_evidence,
    log_ratio_to,
    smooth_evidence,
    sum_in_blocks,
)

Hmm: TypeAlias = HiddenMarkovModel | GeneralHmm
"""Either kind of model."""


def log_likelihood(hmm: Hmm, observations: ArrayLike | Sequence[Any]) -> Float[np.ndarray, " trials"]:
    """``log P(observations)`` of each trial; minus infinity if the model cannot emit it.

    The steps of a trial are added up in double precision, whatever JAX computes in.

    Parameters
    ----------
    hmm
        The model.
    observations
        Sequences of the kind that the model emits: symbols (trials, time) or (time,), -1 where missing; real values or
        counts (trials, time, channels), (time, channels) or (time,), NaN where missing; or a list of sequences of any
        lengths.

    Raises
    ------
    InputError
        If a symbol is out of range, or the sequences have the wrong form.

    Examples
    --------
    >>> from neurodyn.markov import HiddenMarkovModel, log_likelihood
    >>> coin = HiddenMarkovModel([1.0], [[1.0]], [[0.5, 0.5]], "coin", trial_steps=3)
    >>> log_likelihood(coin, [[0, 1, 1], [0, 1, -1]]).round(2).tolist()
    [-2.08, -1.39]
    """
    general = as_general(hmm)
    return prepared_log_likelihood(general, prepared_for(general, observations))


def filter_states(hmm: Hmm, observations: ArrayLike | Sequence[Any]) -> Float[np.ndarray, "trials time states"]:
    """``P(state at t | observations up to t)``; arguments as ``log_likelihood``.

    Raises
    ------
    InputError
        If a symbol is out of range, or the model cannot emit a trial.

    Examples
    --------
    >>> from neurodyn.markov import filter_states, fully_connected
    >>> of_second = filter_states(fully_connected(2), [0, 0, 1, 1])[0, :, 1]
    >>> [round(float(probability), 2) for probability in of_second]
    [0.02, 0.0, 0.73, 0.99]
    """
    path, evidence, _ = _ready(hmm, observations)
    log_filtered, log_probability = _filter(path, evidence)
    _check_possible(log_probability)
    return _trials_first(jnp.exp(log_filtered))


def smooth_states(hmm: Hmm, observations: ArrayLike | Sequence[Any]) -> Float[np.ndarray, "trials time states"]:
    """``P(state at t | all observations of the trial)``; arguments as ``log_likelihood``.

    Raises
    ------
    InputError
        If a symbol is out of range, or the model cannot emit a trial.

    Examples
    --------
    >>> from neurodyn.markov import fully_connected, smooth_states
    >>> of_second = smooth_states(fully_connected(2), [0, 0, 1, 1])[0, :, 1]
    >>> [round(float(probability), 2) for probability in of_second]
    [0.01, 0.03, 0.97, 0.99]
    """
    path, evidence, _ = _ready(hmm, observations)
    smoothed, log_probability = _smooth(path, evidence)
    _check_possible(log_probability)
    return _trials_first(smoothed)


def viterbi(hmm: Hmm, observations: ArrayLike | Sequence[Any]) -> Int32[np.ndarray, "trials time"]:
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

    Examples
    --------
    >>> from neurodyn.markov import fully_connected, viterbi
    >>> viterbi(fully_connected(2), [0, 0, 1, 0, 0, 1, 1, 1]).tolist()
    [[0, 0, 0, 0, 0, 1, 1, 1]]
    """
    path, evidence, lengths = _ready(hmm, observations)
    _check_possible(_filter(path, evidence)[1])
    return _trials_first(_viterbi(path, evidence, jnp.asarray(lengths)))


def along_time(log_probability: Float[Array, "time trials"]) -> Float[np.ndarray, " trials"]:
    """Log-likelihood of each trial from those of its steps: a float32 could not even hold the sum of a long one."""
    return np.asarray(log_probability).sum(axis=0, dtype=np.float64)


def log_path(initial: np.ndarray, transitions: np.ndarray) -> LogPath:
    """Logarithms of the probabilities of the hidden path, in JAX's default precision."""
    with np.errstate(divide="ignore"):  # a probability of zero is meant
        return LogPath(jnp.asarray(np.log(initial)), jnp.asarray(np.log(transitions)))


def on_device(prepared: Prepared) -> tuple[Any, Array]:
    """What was observed, and where, as JAX's arrays in its default precision."""
    return jax.tree.map(jnp.asarray, (prepared.data, prepared.seen))


def natural_on_device(emission: Emission, parameters: Parameters) -> Parameters:
    """What an emission computes with, made in double precision and then rounded."""
    return jax.tree.map(jnp.asarray, emission.natural(parameters))


def evidence_in(
    emission: Emission, natural: Parameters, observed: tuple[Any, Array]
) -> Float[Array, "time trials states"]:
    """``log P(observation | state)``, 0 where nothing was seen."""
    data, seen = observed
    found = emission.log_probability(natural, data)
    return jnp.where(seen[..., None], found, jnp.zeros_like(found))


def prepared_for(general: GeneralHmm, observations: Any) -> Prepared:
    """Sequences as the model's emission computes with them.

    Raises
    ------
    InputError
        If they are invalid for its emission, or have another number of channels than the model.
    """
    prepared = general.emission.to_arrays(observations)
    if prepared.channels != general.channels:
        raise InputError(f"the model is of {general.channels} channels, the sequences are of {prepared.channels}")
    return prepared


def prepared_log_likelihood(general: GeneralHmm, prepared: Prepared) -> Float[np.ndarray, " trials"]:
    """`log_likelihood` of sequences that are prepared."""
    return along_time(_filter(*_on_device(general, prepared))[1])


class Expectation(NamedTuple):
    """What a step of expectation maximisation needs of each trial."""

    starts: Float[Array, "trials states"]
    transitions: Float[Array, "trials states states"]
    statistics: Parameters
    """Those of the emission, (trials, states, ...)."""


@partial(jax.jit, static_argnames="emission")
def expect(
    emission: Emission, path: LogPath, natural: Parameters, observed: tuple[Any, Array], ends: Array | None
) -> tuple[Expectation, Float[Array, "time trials"]]:
    """Expected statistics of each trial, and ``log P(y_t | y_{0..t-1})``; see `expect_path` for ``ends``."""
    found = expect_path(path, evidence_in(emission, natural, observed), ends)
    weights = jnp.where(observed[1][..., None], found.states, jnp.zeros_like(found.states))
    statistics = sum_in_blocks(lambda data, some: emission.statistics(natural, data, some), observed[0], weights)
    return Expectation(found.states[0], found.transitions, statistics), found.log_probability


def log_chain(hmm: HiddenMarkovModel) -> LogChain:
    """Logarithms of the probabilities of a model of symbols, in JAX's default precision."""
    with np.errstate(divide="ignore"):  # a probability of zero is meant
        return LogChain(*(jnp.asarray(np.log(a)) for a in (hmm.initial, hmm.transitions, hmm.emissions)))


def filter_trials(
    chain: LogChain, symbols: Int[Array, "time trials"]
) -> tuple[Float[Array, "time trials states"], Float[Array, "time trials"]]:
    """``log P(z_t | y_{0..t})`` and ``log P(y_t | y_{0..t-1})`` of trials of symbols side by side."""
    return filter_evidence(path_of(chain), discrete.symbol_evidence(chain.emissions, symbols))


def log_ratio(
    chain: LogChain, symbols: Int[Array, "time trials"], reference: Float[Array, "time trials"]
) -> Float[Array, ""]:
    """Log-likelihood of all trials of symbols, less that of a reference: `log_ratio_to`."""
    return log_ratio_to(path_of(chain), partial(discrete.symbol_evidence, chain.emissions), symbols, reference)


def path_of(chain: LogChain) -> LogPath:
    """The hidden path of a model of symbols."""
    return LogPath(chain.initial, chain.transitions)


_filter = jax.jit(filter_evidence)
_viterbi = jax.jit(best_path)
_evidence = jax.jit(evidence_in, static_argnames="emission")


@jax.jit
def _smooth(path: LogPath, evidence: Array) -> tuple[Array, Array]:
    log_filtered, log_probability = filter_evidence(path, evidence)
    return smooth_evidence(path, evidence, log_filtered)[0], log_probability


def _ready(hmm: Hmm, observations: Any) -> tuple[LogPath, Array, np.ndarray]:
    """Path and evidence on the device, and the length of each sequence."""
    general = as_general(hmm)
    prepared = prepared_for(general, observations)
    return *_on_device(general, prepared), prepared.lengths


def _on_device(general: GeneralHmm, prepared: Prepared) -> tuple[LogPath, Array]:
    natural = natural_on_device(general.emission, general.parameters)
    return log_path(general.initial, general.transitions), _evidence(general.emission, natural, on_device(prepared))


def _trials_first(array: Array) -> np.ndarray:
    return np.ascontiguousarray(np.asarray(array).swapaxes(0, 1))


def _check_possible(log_probability: Array) -> None:
    """Raise if something was observed that cannot come after what was before it."""
    impossible = np.argwhere(~np.isfinite(np.asarray(log_probability).T))
    if len(impossible):
        (trial, step), trials = impossible[0], len(np.unique(impossible[:, 0]))
        raise InputError(
            f"the model cannot emit trial {trial}: at step {step} an observation comes that has probability 0 "
            f"after those before it ({trials} of {log_probability.shape[1]} trials are like this)"
        )
