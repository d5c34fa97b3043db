"""Predictions of a target as a labelled data set, and their score: one layout for every decoder."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from neurodyn.binning.batch import MultimodalBatch, Stacked
from neurodyn.evaluation.metrics import Score, score

if TYPE_CHECKING:
    import xarray as xr


def labelled_target(
    batch: MultimodalBatch,
    stacked: Stacked,
    target: Float[np.ndarray, "trials time dims"],
    deviation: Float[np.ndarray, "trials time dims"],
    names: Sequence[str] | None = None,
) -> "xr.Dataset":
    """Name the axes of a decoded target.

    Parameters
    ----------
    batch
        What was decoded; gives the width of a bin.
    stacked
        The same batch, trials side by side.
    target, deviation
        Predicted mean and its standard error, in the unit of the target.
    names
        Of the dimensions; those of the batch's own target if None.

    Returns
    -------
    Dataset with ``target`` and ``deviation`` (trial x time x dim), NaN beyond a trial's end; coordinates
    ``seconds`` (end of each bin) and ``context`` (bins seen and never scored).
    """
    import xarray as xr

    inside = stacked.valid[..., None]
    axes, names = ("trial", "time", "dim"), list(batch.target_names if names is None else names)
    return xr.Dataset(
        {
            "target": (axes, np.where(inside, target, np.nan)),
            "deviation": (axes, np.where(inside, deviation, np.nan)),
        },
        coords={
            "dim": names,
            "seconds": (("trial", "time"), stacked.time),
            "context": (("trial", "time"), stacked.context),
        },
        attrs={"bin_width_seconds": batch.width},
    )


def score_of(batch: MultimodalBatch, found: "xr.Dataset") -> Score:
    """Score what a decoder predicts of a batch, over its scored bins.

    Parameters
    ----------
    batch
        Held-out data, with the target's dimensions in the decoder's order.
    found
        What :func:`labelled_target` made of the prediction.

    Raises
    ------
    InputError
        If a metric is not defined on these data.
    """
    stacked = batch.stacked(observations=False)
    scored = stacked.scored()
    predicted, deviation = (found[name].to_numpy()[scored] for name in ("target", "deviation"))
    return score(stacked.target[scored], predicted, batch.target_names, deviation)
