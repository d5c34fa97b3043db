"""Features of the bins of a batch, a piece of it at a time: all of them together would not fit into memory.

1000 units seen through six filters are 6000 features; for twenty minutes in bins of 20 ms they take 1.4 GB, twelve with
the future 2.9 GB. A piece holds a stretch of time of one long trial, or several short ones whole, and where the filters
stand is carried from stretch to stretch, so that no feature depends on how a batch is cut.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from neurodyn.binning.batch import MultimodalBatch
from neurodyn.binning.pieces import Piece, cut_out
from neurodyn.binning.scaling import Scaling
from neurodyn.history.filters import History, StreamedHistory
from neurodyn.targets.linear import time_blocks
from neurodyn.targets.rows import Rows

PIECE_BYTES = 2**23
"""Size of the features of a piece in single precision, about: what a processor's cache holds."""

KEPT_BYTES = 2**28
"""Rows that take no more than these are made once and kept for the passes to come."""


class Features:
    """Histories of the observations of a batch, made anew at every pass, a piece at a time.

    Parameters
    ----------
    batch
        Observations that the features are made of.
    history
        What makes them. One that is not a `StreamedHistory` sees whole trials, however long.
    scaling
        Centre and scale of the channels, taken out first.
    future
        Also the same features of reversed time, up to the end of the trial, behind those of the past.

    Attributes
    ----------
    n_features
        How many there are of a bin.

    Examples
    --------
    >>> import neurodyn as nd
    >>> from neurodyn.history import Features, Lags
    >>> batch = nd.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=4), seed=0)
    >>> Features(batch, Lags(3), nd.binning.Scaling.fit(batch), future=False).n_features  # 10 + 10 channels, 3 lags
    60
    """

    def __init__(self, batch: MultimodalBatch, history: History, scaling: Scaling, *, future: bool) -> None:
        self._batch, self._scaling, self._future = batch, scaling, future
        self._streamed = isinstance(history, StreamedHistory)
        self._history: StreamedHistory = history if isinstance(history, StreamedHistory) else _Whole(history)
        self._bins = int(batch.lengths.max())
        parts = self._advance(self._start(1), self._nothing())[1]
        self.n_features = (1 + future) * sum(part.shape[2] for part in parts)
        self._rows = max(1, PIECE_BYTES // (4 * self.n_features))
        self._later: dict[int, list[Any]] = {}

    def __iter__(self) -> Iterator[tuple[Piece, Float[np.ndarray, "trials time features"]]]:
        """Every bin of every trial once, in pieces; bins beyond the end of a trial hold anything."""
        for trials in self._groups():
            cuts = self._cuts(trials)
            state = self._start(trials.stop - trials.start)
            later = self._states_later(trials, cuts) if self._future else []
            for index, piece in enumerate(cuts):
                seen = self._observations(piece)
                state, parts = self._advance(state, seen)
                if self._future:
                    parts += [part[:, ::-1] for part in self._advance(later[index], _reversed(seen))[1]]
                yield piece, np.concatenate(parts, axis=2)

    def rows(self, groups: Int[np.ndarray, "trials time"]) -> "TrainingRows":
        """Bins with their target and the group they belong to; those of group -1 are left out."""
        return TrainingRows(self, self._batch, groups)

    def _groups(self) -> Iterator[slice]:
        """Trials that go together: as many as fit, at least one."""
        first, longest = 0, 0
        for trial, length in enumerate(self._batch.lengths.tolist()):
            longest = max(longest, length)
            if trial > first and longest * (trial + 1 - first) > self._rows:
                yield slice(first, trial)
                first, longest = trial, length
        yield slice(first, self._batch.n_trials)

    def _cuts(self, trials: slice) -> list[Piece]:
        longest = int(self._batch.lengths[trials].max())
        bins = max(1, self._rows // (trials.stop - trials.start)) if self._streamed else longest
        return [Piece(trials, first, min(first + bins, longest)) for first in range(0, longest, bins)]

    def _states_later(self, trials: slice, cuts: list[Piece]) -> list[Any]:
        """Where the filters of reversed time stand at the end of each piece; found once for all passes."""
        if trials.start not in self._later:
            state, states = self._start(trials.stop - trials.start), []
            for piece in reversed(cuts):
                states.append(state)
                if piece.first:  # padding is not observed: a reversed trial that starts with it starts like any other
                    state = self._advance(state, _reversed(self._observations(piece)))[0]
            self._later[trials.start] = states[::-1]
        return self._later[trials.start]

    def _observations(self, piece: Piece) -> list[tuple[np.ndarray, np.ndarray]]:
        """Scaled values and mask of every modality; nothing is observed beyond the end of a trial."""
        result = []
        for name in self._batch.names:
            values, seen = (
                cut_out(self._batch, a[name], piece) for a in (self._batch.observations, self._batch.observed)
            )
            values = (values - self._scaling.mean[name]) / self._scaling.scale[name]
            result.append((np.where(seen, values, np.float32(0)), seen))
        return result

    def _nothing(self) -> list[tuple[np.ndarray, np.ndarray]]:
        shapes = [(1, 1 if self._streamed else self._bins, m.n_channels) for m in self._batch.modalities]
        return [(np.zeros(shape, np.float32), np.zeros(shape, bool)) for shape in shapes]

    def _start(self, trials: int) -> list[Any]:
        return [self._history.start(trials, m.n_channels, self._bins) for m in self._batch.modalities]

    def _advance(
        self, state: list[Any], observations: list[tuple[np.ndarray, np.ndarray]]
    ) -> tuple[list[Any], list[np.ndarray]]:
        moved = [
            self._history.advance(one, *seen, self._batch.width) for one, seen in zip(state, observations, strict=True)
        ]
        return [state for state, _ in moved], [features for _, features in moved]


class TrainingRows:
    """Stream of the rows that a read-out is fitted on (see `neurodyn.targets.rows.Stream`).

    Parameters
    ----------
    features
        Of the batch; anything that brings them in pieces.
    batch
        Gives the targets and says which bins are scored.
    groups
        (trials, time), which group each bin belongs to, as long as the longest trial; -1 for bins that are left out.

    Examples
    --------
    >>> import neurodyn as nd
    >>> from neurodyn.history import Features, Lags, scored_blocks
    >>> batch = nd.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=4), seed=0)
    >>> features = Features(batch, Lags(3), nd.binning.Scaling.fit(batch), future=False)
    >>> rows = features.rows(scored_blocks(batch, 5))
    >>> nd.targets.fit_ridge_stream(rows).weights.shape
    (60, 3)
    """

    def __init__(self, features: Any, batch: MultimodalBatch, groups: Int[np.ndarray, "trials time"]) -> None:
        self._features, self._batch, self._groups = features, batch, groups
        self._kept: list[Rows] | None = None

    def __call__(self) -> Iterator[Rows]:
        """One pass over the rows."""
        if self._kept is not None:
            yield from self._kept
            return
        kept, few = [], False
        for number, rows in enumerate(self._made()):
            if number == 0:
                few = rows.features.nbytes / len(rows.features) * np.count_nonzero(self._groups >= 0) <= KEPT_BYTES
            if few:
                kept.append(rows)
            yield rows
        if few:
            self._kept = kept

    def _made(self) -> Iterator[Rows]:
        for piece, features in self._features:
            groups = self._groups[piece.trials, piece.first : piece.last].ravel()
            target = cut_out(self._batch, self._batch.target, piece)
            rows, wanted = features.reshape(-1, features.shape[2]), target.reshape(-1, target.shape[2])
            kept = groups >= 0
            if not kept.any():
                continue
            yield Rows(rows, wanted, groups) if kept.all() else Rows(rows[kept], wanted[kept], groups[kept])


def scored_blocks(batch: MultimodalBatch, blocks: int) -> Int[np.ndarray, "trials time"]:
    """Which of so many contiguous blocks of time each scored bin belongs to; -1 for the others.

    Examples
    --------
    >>> import numpy as np
    >>> import neurodyn as nd
    >>> batch = nd.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=4), seed=0)
    >>> np.unique(nd.history.scored_blocks(batch, 5)).tolist()
    [0, 1, 2, 3, 4]
    """
    scored = batch.scored()
    lengths, groups = scored.sum(1), np.full(scored.shape, -1, np.int32)
    groups[scored] = time_blocks(lengths[lengths > 0], blocks)
    return groups


def _reversed(observations: list[tuple[np.ndarray, np.ndarray]]) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(values[:, ::-1], seen[:, ::-1]) for values, seen in observations]


class _Whole:
    """A history that cannot be cut: its features of whole trials."""

    def __init__(self, history: History) -> None:
        self._of = history

    def history(self, values: np.ndarray, observed: np.ndarray, width: float) -> np.ndarray:
        """Causal features of every bin."""
        return self._of.history(values, observed, width)

    def start(self, trials: int, channels: int, bins: int) -> None:
        """No state."""

    def advance(self, state: None, values: np.ndarray, observed: np.ndarray, width: float) -> tuple[None, np.ndarray]:
        """Features of a whole trial."""
        return None, self._of.history(values, observed, width)
