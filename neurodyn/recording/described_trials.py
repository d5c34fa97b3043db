"""Where the trials lie in time in which the variables of a layout come, and the table of these trials."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from neurodyn.errors import InputError
from neurodyn.recording.described_pieces import counts_pieces, signal_pieces
from neurodyn.recording.described_values import Described, Pieces, missing
from neurodyn.recording.intervals import Intervals
from neurodyn.recording.left_out import chosen_intervals
from neurodyn.recording.paths import shape_of

TRIALS = "trials"
"""Name of the table of trials that a layout gives rise to."""


@dataclass(frozen=True, eq=False)
class PlacedTrials:
    """Where trials lie in time, in seconds: starts on a multiple of the longest period."""

    starts: np.ndarray
    durations: np.ndarray

    def joined(self, pieces: Pieces, what: str) -> np.ndarray:
        """All trials on one regular clock from 0 s on, NaN between them."""
        firsts = np.round(self.starts / pieces.period).astype(np.int64)
        rows = int(max(first + len(piece) for first, piece in zip(firsts, pieces.values, strict=True)))
        values = missing(rows, pieces.values[0].shape[1], what)
        for first, piece in zip(firsts, pieces.values, strict=True):
            values[first : first + len(piece)] = piece
        return values


class DescribedTrials(Described):
    """The variables of a file, with the trials in which they come put one after the other."""

    @cached_property
    def _in_trials(self) -> list[Pieces]:
        """Pieces of everything that comes in trials; what cannot be used is left to its own maker."""
        found = []
        rows = [*self.layout.fields, *self.layout.behaviour]
        makers = [partial(signal_pieces, self, row) for row in rows]
        if self.layout.counts is not None:
            makers.append(partial(counts_pieces, self, self.layout.counts))
        for make in makers:
            try:
                pieces = make()
            except InputError:
                continue
            if isinstance(pieces, Pieces):
                found.append(pieces)
        return found

    @property
    def has_trials(self) -> bool:
        """Whether anything comes in trials."""
        return bool(self._in_trials)

    @cached_property
    def placed(self) -> PlacedTrials:
        """Trials one after the other, with a gap between them."""
        pieces = [piece for piece in self._in_trials if piece.times is None]
        if not pieces:
            raise InputError(
                "the layout has nothing that says how long trials are: describe a signal or counts in trials"
            )
        numbers = {len(piece.values) for piece in pieces}
        if len(numbers) != 1:
            raise InputError(
                f"the layout has items with {' and '.join(map(str, sorted(numbers)))} trials: they must agree"
            )
        grid = max(piece.period for piece in pieces)
        lengths = np.array([[len(values) * piece.period for values in piece.values] for piece in pieces])
        durations = lengths.max(axis=0)
        steps = np.ceil(durations / grid - 1e-6) + math.ceil(self.layout.gap / grid - 1e-6)
        return PlacedTrials(np.concatenate([[0.0], np.cumsum(steps)[:-1]]) * grid, durations)

    def table(self) -> Intervals:
        """Table of the trials, with what is known of each."""
        timed = [piece for piece in self._in_trials if piece.times is not None]
        if self.layout.trials and not self.has_trials:
            raise InputError("the layout names trials, but nothing in it comes in trials")
        if timed:
            sizes = np.array([len(values) for values in timed[0].values])
            ends, times = np.cumsum(sizes), timed[0].times
            assert times is not None
            starts, stops = times[ends - sizes], times[ends - 1] + timed[0].period
        else:
            starts, stops = self.placed.starts, self.placed.starts + self.placed.durations
        names = [str(row + 1) for row in range(starts.size)]
        return chosen_intervals(TRIALS, starts, stops, names, self._columns(starts.size), self.choices)

    def _columns(self, trials: int) -> dict[str, np.ndarray]:
        """Members of the struct array of trials that are one number or one text each."""
        if not self.layout.trials:
            return {}
        rows = self.find(self.layout.trials)
        rows: Any = [rows] if isinstance(rows, Mapping) else rows
        if not (isinstance(rows, list) and len(rows) == trials and all(isinstance(row, Mapping) for row in rows)):
            raise InputError(f"'{self.layout.trials}' must be an array of {trials} structs, it is a {shape_of(rows)}")
        columns = {}
        for name in rows[0]:
            values: list[Any] = [row.get(name) for row in rows]
            if all(isinstance(value, str) for value in values):
                columns[name] = np.array(values, dtype=str)
            elif all(isinstance(v, np.ndarray) and v.size == 1 and v.dtype.kind in "biuf" for v in values):
                columns[name] = np.array([value.item() for value in values])
        return columns
