"""Sequences of symbols: of any lengths, checked, -1 where none was seen."""

from collections.abc import Iterable, Sequence
from typing import Any, TypeGuard

import numpy as np
from jaxtyping import Int, Int32
from numpy.typing import ArrayLike

from neurodyn.errors import InputError

MISSING = -1
"""The symbol of a step at which none was seen."""


def pad_sequences(sequences: Iterable[Any]) -> Int[np.ndarray, "trials time"]:
    """Sequences of any lengths as one array: the shorter ones are filled up with ``MISSING`` (-1) at their end.

    A missing symbol carries no information, so that likelihoods and fits are those of the sequences as they are;
    estimates of the states of a step past a sequence's end are predictions.

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

    Examples
    --------
    >>> from neurodyn.markov import pad_sequences
    >>> pad_sequences([[0, 1, 2], [1]]).tolist()
    [[0, 1, 2], [1, -1, -1]]
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

    Examples
    --------
    >>> from neurodyn.markov import check_symbols
    >>> check_symbols([0, 1, -1, 1], count=2).shape
    (1, 4)
    >>> check_symbols([0, 1, 2], count=2)
    Traceback (most recent call last):
        ...
    neurodyn.errors.InputError: symbols must be from 0 to 1, -1 where missing; trial 0 has 2 at step 2
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
