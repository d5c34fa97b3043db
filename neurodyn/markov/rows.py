"""Rows of probabilities: checked, drawn from, and made of counts; what both kinds of models are read from."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Int32

from neurodyn.errors import InputError

TOLERANCE = 1e-6
"""How far the probabilities of a row may be from adding up to one: the rounding of single precision."""


def check_row(where: str, row: np.ndarray) -> None:
    """Refuse a row that is not finite, not negative, and one in all.

    Raises
    ------
    InputError
        If it is none; the message names the row as ``where`` does, and the column.
    """
    bad = np.flatnonzero(~(np.isfinite(row) & (row >= 0)))
    if len(bad):
        kind = "negative probability" if row[bad[0]] < 0 else "value that is not a probability"
        raise InputError(f"{where} has a {kind} at column {bad[0]}: {row[bad[0]]:.6g}")
    if abs(row.sum() - 1) > TOLERANCE:
        raise InputError(f"{where} adds up to {row.sum():.8g}, but the probabilities of a row must add up to 1")


def check_rows(what: str, rows: np.ndarray) -> None:
    """`check_row` for each row of a matrix of that name."""
    for state, row in enumerate(rows):
        check_row(f"row {state} of {what}", row)


def frozen(name: str, values: Any) -> np.ndarray:
    """Read-only copy in double precision.

    Raises
    ------
    InputError
        If it is not an array of numbers; the message names it.
    """
    try:
        array = np.array(values, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be an array of numbers with rows of equal length: {error}") from error
    array.flags.writeable = False
    return array


def check_entries(entries: Mapping[str, Any], names: Sequence[str]) -> None:
    """Refuse what was read from a file if an entry of a model is not there.

    Raises
    ------
    InputError
        That names all that there have to be, and those that are missing.
    """
    missing = [name for name in names if name not in entries]
    if missing:
        raise InputError(f"a hidden Markov model needs {', '.join(names)}; missing: {', '.join(missing)}")


def most_often(row: Float[np.ndarray, " symbols"]) -> str:
    """The symbols that are emitted most often, with their probabilities, in words."""
    often = ", ".join(f"{symbol} ({row[symbol]:.3g})" for symbol in np.argsort(-row)[:3] if row[symbol] > 0)
    return f"most often emits {often}"


def choose(
    rows: Float[np.ndarray, "states choices"], state: Int[np.ndarray, "*any"], rng: np.random.Generator
) -> Int32[np.ndarray, "*any"]:
    """One choice for each state given, from its row."""
    return choose_within(bounds(rows), state, rng)


def choose_within(
    upper: Float[np.ndarray, "states fewer"], state: Int[np.ndarray, "*any"], rng: np.random.Generator
) -> Int32[np.ndarray, "*any"]:
    """One choice for each state given, from the bounds of its row."""
    draw = rng.random(state.shape)
    # One comparison per choice instead of one array with an axis of choices: a fifth of the time and the memory.
    chosen = np.zeros(state.shape, np.int32)
    for bound in upper.T:
        chosen += draw >= bound[state]
    return chosen


def bounds(rows: Float[np.ndarray, "states choices"]) -> Float[np.ndarray, "states fewer"]:
    """Upper bounds of all choices but the last in the unit interval.

    Divided by the total, so that no draw below one lands on a choice of probability zero.
    """
    total = np.cumsum(rows, axis=1)
    return (total / total[:, -1:])[:, :-1]


def most_probable_rows(
    counts: Float[np.ndarray, "*rows n"], added: float | Float[np.ndarray, "*rows n"], before: np.ndarray
) -> Float[np.ndarray, "*rows n"]:
    """Rows of the highest posterior probability: counts and what a Dirichlet prior adds to them, over their total.

    Parameters
    ----------
    counts
        How often each choice was taken.
    added
        Concentration of the prior less one, not negative; 0 gives the most likely rows.
    before
        Rows that are kept where nothing is known.
    """
    counts = counts + added
    total = counts.sum(axis=-1, keepdims=True)
    return np.where(total > 0, counts / np.where(total > 0, total, 1), before)
