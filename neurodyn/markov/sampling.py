"""Sequences drawn from a hidden Markov model, all trials at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Int32
from numpy.typing import ArrayLike

from neurodyn.errors import InputError
from neurodyn.markov.model import HiddenMarkovModel

MISSING = -1
"""The symbol of a step at which none was seen."""


@dataclass(frozen=True)
class Sequences:
    """Hidden states and emitted symbols.

    Parameters
    ----------
    states, symbols
        (trials, time), counted from 0.
    """

    states: Int32[np.ndarray, "trials time"]
    symbols: Int32[np.ndarray, "trials time"]


def sample(hmm: HiddenMarkovModel, trials: int, steps: int, *, seed: int) -> Sequences:
    """Draw independent trials from a model.

    Parameters
    ----------
    hmm
        The model.
    trials, steps
        How many trials, and of how many steps.
    seed
        Seed of everything random.

    Raises
    ------
    InputError
        If there is no trial or no step.
    """
    if trials < 1 or steps < 1:
        raise InputError(f"expected at least one trial and one step, got {trials} trials of {steps} steps")
    path_rng, symbol_rng = np.random.default_rng(seed).spawn(2)
    bounds = _bounds(hmm.transitions)
    states = np.empty((steps, trials), np.int32)  # time first: a step's states lie side by side
    states[0] = _choose(_bounds(hmm.initial[None]), np.zeros(trials, np.int32), path_rng)
    for t in range(1, steps):
        states[t] = _choose(bounds, states[t - 1], path_rng)
    states = np.ascontiguousarray(states.T)
    return Sequences(states, _choose(_bounds(hmm.emissions), states, symbol_rng))


def check_symbols(symbols: ArrayLike, count: int) -> Int32[np.ndarray, "trials time"]:
    """Symbols as (trials, time) of 32-bit integers; one sequence is one trial.

    Parameters
    ----------
    symbols
        (trials, time) or (time,), integers from 0; ``MISSING`` (-1) where none was seen.  Trials of different lengths
        are a list of sequences (`pad_symbols`).
    count
        Number of symbols there are.

    Raises
    ------
    InputError
        If these are not integers of that shape in that range.
    """
    try:
        array = np.asarray(pad_symbols(symbols) if _is_ragged(symbols) else symbols)  # pyright: ignore[reportArgumentType]
    except ValueError as error:  # lists of lists of different lengths, or what pad_symbols refuses
        if isinstance(error, InputError):
            raise
        raise InputError("symbols must have the shape (trials, time), or be a list of sequences of integers") from error
    if not np.issubdtype(array.dtype, np.integer):
        raise InputError(f"symbols must be integers from 0 to {count - 1}, -1 where missing; got {array.dtype}")
    array = array[None] if array.ndim == 1 else array
    if array.ndim != 2 or not array.size:
        raise InputError(f"symbols must have the shape (trials, time), got {np.shape(symbols)}")
    wrong = np.argwhere((array < MISSING) | (array >= count))
    if len(wrong):
        trial, step = wrong[0]
        raise InputError(
            f"symbols must be from 0 to {count - 1}, -1 where missing; trial {trial} has {array[trial, step]} "
            f"at step {step}"
        )
    return array.astype(np.int32)


def pad_symbols(sequences: Sequence[ArrayLike]) -> Int[np.ndarray, "trials time"]:
    """Trials of different lengths as one array, filled up with ``MISSING`` (-1) at their ends.

    What is added counts nowhere: likelihoods, posteriors of the steps before it, and fits stay as they are.

    Parameters
    ----------
    sequences
        One sequence of integers per trial.

    Raises
    ------
    InputError
        If there is none, or one is not a sequence of integers.
    """
    rows = [np.asarray(sequence) for sequence in sequences]
    for trial, row in enumerate(rows):
        if row.ndim != 1 or (row.size and not np.issubdtype(row.dtype, np.integer)):
            raise InputError(f"trial {trial} must be a sequence of integers, got {row.dtype} of shape {row.shape}")
    padded = np.full((len(rows), max((row.size for row in rows), default=0)), MISSING, np.int64)
    if not padded.size:
        raise InputError(f"symbols must have at least one trial and one step, got shape {padded.shape}")
    for row, values in zip(padded, rows, strict=True):
        row[: values.size] = values
    return padded


def _is_ragged(symbols: ArrayLike) -> bool:
    """Whether symbols are a list of sequences of different lengths, which no array can be."""
    if not isinstance(symbols, list | tuple) or not all(np.ndim(row) == 1 for row in _at_most(symbols)):
        return False
    return len({len(row) for row in symbols}) > 1


def _at_most(symbols: Sequence[Any]) -> Sequence[Any]:
    """Entries to look at: of one long sequence of numbers, the first says that they are no sequences."""
    return symbols if len(symbols) and isinstance(symbols[0], list | tuple | np.ndarray) else [0]


def _bounds(rows: Float[np.ndarray, "states choices"]) -> Float[np.ndarray, "states fewer"]:
    """Upper bounds of all choices but the last in the unit interval.

    Divided by the total, so that no draw below one lands on a choice of probability zero.
    """
    total = np.cumsum(rows, axis=1)
    return (total / total[:, -1:])[:, :-1]


def _choose(
    bounds: Float[np.ndarray, "states fewer"], state: Int[np.ndarray, "*any"], rng: np.random.Generator
) -> Int32[np.ndarray, "*any"]:
    draw = rng.random(state.shape)
    # One comparison per choice instead of one array with an axis of choices: a fifth of the time and the memory.
    chosen = np.zeros(state.shape, np.int32)
    for bound in bounds.T:
        chosen += draw >= bound[state]
    return chosen
