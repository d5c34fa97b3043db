"""Sequences drawn from a hidden Markov model, all trials at once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

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


def pad_sequences(sequences: Iterable[Any]) -> Int[np.ndarray, "trials time"]:
    """Sequences of any lengths as one array: the shorter ones are filled up with ``MISSING`` (-1) at their end.

    A missing symbol says nothing, so that likelihoods and fits are those of the sequences as they are; estimates of the
    states of a step past a sequence's end are predictions.

    Parameters
    ----------
    sequences
        One sequence (time,) of integers per trial.

    Returns
    -------
    (trials, time), as long as the longest.

    Raises
    ------
    InputError
        If there is no sequence, or one is empty or not a row of integers.
    """
    rows = []
    for trial, sequence in enumerate(sequences):
        try:
            row = np.asarray(sequence)
        except ValueError:
            row = np.zeros((0, 0))
        if row.ndim != 1 or not row.size or not np.issubdtype(row.dtype, np.integer):
            raise InputError(
                f"sequence {trial} must be a row of at least one integer symbol, got shape {row.shape} of {row.dtype}"
            )
        rows.append(row)
    if not rows:
        raise InputError("expected at least one sequence of symbols, got none")
    padded = np.full((len(rows), max(map(len, rows))), MISSING, np.result_type(np.int32, *rows))
    for row, sequence in zip(padded, rows, strict=True):
        row[: len(sequence)] = sequence
    return padded


def check_symbols(symbols: ArrayLike | Sequence[Any], count: int) -> Int32[np.ndarray, "trials time"]:
    """Symbols as (trials, time) of 32-bit integers; one sequence is one trial.

    Parameters
    ----------
    symbols
        (trials, time) or (time,), integers from 0; ``MISSING`` (-1) where none was seen. A list of sequences (time,)
        may have different lengths, see `pad_sequences`.
    count
        Number of symbols there are.

    Raises
    ------
    InputError
        If these are not integers of that shape in that range.
    """
    array = pad_sequences(symbols) if is_ragged(symbols) else np.asarray(symbols)
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


def is_ragged(symbols: Any) -> TypeGuard[Sequence[Any]]:
    """Whether these are sequences, in a list or in an array of objects, that do not make up an array as they are."""
    if isinstance(symbols, np.ndarray):
        return symbols.dtype == object and symbols.ndim == 1 and len(symbols) > 0
    try:
        np.asarray(symbols)
    except ValueError:
        return True
    return False


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
