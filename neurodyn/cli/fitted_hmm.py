"""A hidden Markov model of the symbol sequences in a file, for commands that take a model."""

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neurodyn.errors import InputError
from neurodyn.plain import plain
from neurodyn.writing import write_text

if TYPE_CHECKING:
    from neurodyn.markov import HiddenMarkovModel, StateChoice

MOST_LABELS = 50
"""Symbols beyond which a file is taken to hold something else than symbols."""
CANDIDATES = (1, 2, 3, 4, 5, 6)
FOLDS = 5
CONCENTRATION = 1.1
"""Of the prior of emissions while states are chosen, so that a symbol that one part lacks is not impossible."""
RESTARTS = 3
"""Starts of each of the many fits by which states are chosen; the last fit has as many as `fit_em` takes."""
_NOTHING = {"", "nan", "-1"}


@dataclass(frozen=True)
class SymbolFile:
    """Sequences of symbols as they stand in a file.

    Parameters
    ----------
    sequences
        One array (time,) of integers each, counted from 0 in the order of the labels; -1 where missing.
    labels
        What the symbols are called in the file.
    """

    sequences: list[np.ndarray]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class FittedHmm:
    """The model of a file, and how it was come by."""

    hmm: "HiddenMarkovModel"
    labels: tuple[str, ...]
    choice: "StateChoice | None"
    facts: dict[str, Any]

    def write(self, folder: Path) -> None:
        """Write ``hmm.json``, which ``emulate --hmm`` takes, and ``fit.json``: labels, scores and criteria."""
        entries = self.hmm.to_dict()
        write_text(folder / "hmm.json", json.dumps(entries, indent=2, allow_nan=False) + "\n")
        write_text(folder / "fit.json", json.dumps(self.facts, indent=2, allow_nan=False) + "\n")


def fit_file(path: Path, states: int | None, *, seed: int) -> FittedHmm:
    """Fit a model to the sequences of a file, with the number of states given or chosen by cross-validation.

    Parameters
    ----------
    path
        CSV, NumPy or MATLAB file, see `read_symbols`.
    states
        Number of states; None to choose among 1 to 6.
    seed
        Seed of the fits and of the folds.

    Raises
    ------
    InputError
        If the file cannot be read or holds no sequences of symbols, or too few to choose by.
    """
    from neurodyn.markov import Categorical, EmConfig, aic, bic, choose_states, fit_em

    found = read_symbols(path)
    lengths = sorted(map(len, found.sequences))
    steps = lengths[len(lengths) // 2]
    if steps < 2:
        raise InputError(f"'{path}': most sequences have a single step and so no transitions: one sequence is one line")
    count, choice = len(found.labels), None
    if states is None:
        folds = min(FOLDS, len(lengths))
        if folds < 2:
            raise InputError(f"'{path}' has one sequence: say how many hidden states there are (--states)")
        emission = Categorical(count, CONCENTRATION)
        choice = choose_states(
            found.sequences, emission=emission, candidates=CANDIDATES, folds=folds, seed=seed,
            config=EmConfig(restarts=RESTARTS),
        )  # fmt: skip
        states = choice.chosen
    fit = fit_em(found.sequences, states, symbol_count=count, seed=seed)
    hmm = type(fit.hmm).from_dict({**fit.hmm.to_dict(), "name": path.stem, "trial_steps": steps})
    facts = {
        "file": path.name, "sequences": len(lengths), "symbols": list(found.labels), "states": states,
        "status": fit.status, "log_likelihood": fit.log_likelihood, "aic": aic(hmm, found.sequences),
        "bic": bic(hmm, found.sequences), "choice": None if choice is None else _table(choice),
    }  # fmt: skip
    return FittedHmm(hmm, found.labels, choice, facts)


def read_symbols(path: Path) -> SymbolFile:
    """Sequences of symbols of any lengths from a file.

    A text file (``.csv``, ``.txt``, ``.tsv``) has a sequence per line, symbols apart by commas, semicolons or blanks;
    in an ``.npz`` or ``.npy`` file a vector is a sequence and a matrix is trials x time; in a ``.mat`` file so are the
    cells of a cell array, and vectors and matrices. Symbols are whole numbers or, in text, any labels. Empty entries,
    NaN and -1 are missing.

    Raises
    ------
    InputError
        If it cannot be read, holds no sequence, or holds values that are no symbols.
    """
    if not path.is_file():
        raise InputError(f"there is no file '{path}'")
    readers = {".npz": _numpy, ".npy": _numpy, ".mat": _matlab, ".csv": _text, ".txt": _text, ".tsv": _text}
    if path.suffix.lower() not in readers:
        raise InputError(f"'{path}' must be a {', '.join(readers)} file with sequences of symbols")
    rows = [row for row in readers[path.suffix.lower()](path) if row]
    distinct = {label for row in rows for label in row if label is not None}
    if not distinct:
        raise InputError(f"'{path}' holds no sequence of symbols")
    if len(distinct) > MOST_LABELS:
        raise InputError(
            f"'{path}' has {len(distinct)} different values, more than the {MOST_LABELS} that symbols may have: are "
            "these measurements? Sort them into classes first, or fit them with neurodyn.markov.fit_hmm"
        )
    labels = tuple(sorted(distinct, key=_rank))
    number = {label: place for place, label in enumerate(labels)}
    return SymbolFile([np.array([-1 if one is None else number[one] for one in row]) for row in rows], labels)


def _table(choice: "StateChoice") -> dict[str, Any]:
    """Scores in a form for JSON, None for what is not finite."""
    return plain(
        {
            "states": choice.candidates,
            "held_out_log_likelihood_per_step": choice.mean,
            "standard_error": choice.standard_error,
            "best": choice.best,
            "chosen": choice.chosen,
        }
    )


def _rank(label: str) -> tuple[bool, float, str]:
    """Numbers in their order, before all other labels."""
    try:
        return False, float(label), label
    except ValueError:
        return True, 0.0, label


def _text(path: Path) -> list[list[str | None]]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read '{path}' as text: {error}") from error
    return [_labels(line) for line in lines if line.strip()]


def _labels(line: str) -> list[str | None]:
    """Entries of a line; an empty one between two separators is missing, at the end it is padding."""
    separator = next((one for one in (",", ";", "\t") if one in line), None)
    entries = [entry.strip() for entry in line.split(separator)]
    while entries and not entries[-1]:
        entries.pop()
    return [None if entry.lower() in _NOTHING else entry for entry in entries]


def _numpy(path: Path) -> list[list[str | None]]:
    try:
        loaded = np.load(path, allow_pickle=False)
        arrays = {path.stem: loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"cannot read '{path}' as NumPy arrays of numbers: {error}") from error
    return [row for name, array in arrays.items() for row in _rows(path, name, array)]


def _matlab(path: Path) -> list[list[str | None]]:
    from neurodyn.recording.matlab_file import load_variables

    rows = []
    for name, value in load_variables(path).items():
        array = np.asarray(value)
        cells = array.ravel() if array.dtype == object else [array]
        rows.extend(row for cell in cells for row in _rows(path, name, np.asarray(cell)))
    return rows


def _rows(path: Path, name: str, array: np.ndarray) -> list[list[str | None]]:
    """Rows of a vector or of a matrix of numbers."""
    if array.ndim not in (1, 2) or not (np.issubdtype(array.dtype, np.number) or array.dtype == bool):
        raise InputError(
            f"'{name}' in '{path}' must be a vector or a matrix (trials x time) of numbers, got {array.dtype} of shape "
            f"{array.shape}: leave only the sequences in the file"
        )
    array = array.reshape(1, -1) if array.ndim == 1 or 1 in array.shape else array
    values = array.astype(np.float64)
    wrong = values[np.isfinite(values) & (values % 1 != 0)]
    if len(wrong) or np.isinf(values).any():
        raise InputError(
            f"'{name}' in '{path}' must hold whole numbers, got {wrong[0] if len(wrong) else np.inf:g}: are these "
            "measurements? Sort them into classes first, or fit them with neurodyn.markov.fit_hmm"
        )
    return [[None if np.isnan(v) or v == -1 else str(int(v)) for v in row[: _end(row)]] for row in values]


def _end(row: np.ndarray) -> int:
    """Steps up to the last that is not missing: what comes then fills a shorter row up."""
    seen = np.flatnonzero(~np.isnan(row) & (row != -1))
    return int(seen[-1]) + 1 if len(seen) else 0
