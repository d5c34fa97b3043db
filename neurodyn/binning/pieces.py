"""Stretches of the trials of a batch, for what would not fit into memory as a whole."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from neurodyn.binning.batch import MultimodalBatch


@dataclass(frozen=True)
class Piece:
    """Bins ``first`` to ``last`` (not included) of some trials that follow each other.

    Attributes
    ----------
    trials
        Which of the batch.
    first, last
        Bins, counted from the start of each trial; some trials may be over before.
    """

    trials: slice
    first: int
    last: int


def cut_out(
    batch: MultimodalBatch, array: np.ndarray, piece: Piece
) -> Float[np.ndarray, "trials time _"] | Bool[np.ndarray, "trials time _"]:
    """Part of an array (bins, columns) on the timeline of a batch, zeros or False beyond the end of a trial."""
    starts, lengths = batch.starts[piece.trials], batch.lengths[piece.trials]
    if len(starts) == 1 and piece.last <= lengths[0]:  # all of it lies in the trial: no copy
        return array[None, int(starts[0]) + piece.first : int(starts[0]) + piece.last]
    step = np.arange(piece.first, piece.last)
    inside = step < lengths[:, None]
    return np.where(inside[..., None], array[np.where(inside, starts[:, None] + step, 0)], array.dtype.type(0))
