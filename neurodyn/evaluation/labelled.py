"""Predictions of a target as a labelled data set, and their score: one layout for every decoder."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from neurodyn.binning.batch import MultimodalBatch
from neurodyn.binning.stacked import Stacked
from neurodyn.evaluation.metrics import Score, score

if TYPE_CHECKING:
    import xarray as xr


def labelled(
    variables: Mapping[str, tuple[np.ndarray, str, Sequence[str]]],
    batch: MultimodalBatch,
    stacked: Stacked,
    units: Mapping[str, str] | None = None,
) -> "xr.Dataset":
    """Name the axes of what was found in every bin.

    Parameters
    ----------
    variables
        By name: values (trial x time x channel), the name of their last axis, and a label for each entry of it.
    batch
        What was decoded; gives the width of a bin.
    stacked
        The same batch, trials side by side.
    units
        Unit of each variable, by name, as far as it is known.

    Returns
    -------
    Dataset of the variables, NaN beyond a trial's end; coordinates ``seconds`` (end of each bin) and ``context`` (bins
    seen and never scored). Units are attributes called ``units``, which the plots of xarray write on their axes.
    """
    import xarray as xr

    inside = stacked.valid[..., None]
    return xr.Dataset(
        {
            name: (("trial", "time", axis), np.where(inside, values, np.nan), _attributes((units or {}).get(name, "")))
            for name, (values, axis, _) in variables.items()
        },
        coords={
            **{axis: list(labels) for _, axis, labels in variables.values()},
            "seconds": (("trial", "time"), stacked.time, {"units": "s", "long_name": "end of the bin"}),
            "context": (("trial", "time"), stacked.context, {"long_name": "seen by the decoder and never scored"}),
        },
        attrs={"bin_width_seconds": batch.width},
    )


def labelled_target(
    batch: MultimodalBatch,
    stacked: Stacked,
    target: Float[np.ndarray, "trials time dims"],
    deviation: Float[np.ndarray, "trials time dims"],
    names: Sequence[str] | None = None,
    units: Sequence[str] | None = None,
) -> "xr.Dataset":
    """Name the axes of a decoded target.

    Parameters
    ----------
    batch, stacked
        What was decoded, and the same with its trials side by side.
    target, deviation
        Mean and standard deviation of the predictive distribution, in the unit of the target.
    names
        Of the dimensions; those of the batch's own target if None.
    units
        One per dimension, empty where it is not known; those that the batch has for dimensions of these names if None.

    Returns
    -------
    Dataset with ``target`` and ``deviation`` (trial x time x dim), as :func:`labelled` makes it. The unit of each
    dimension is the coordinate ``unit``; where all have the same, it is the attribute ``units`` as well.

    Examples
    --------
    >>> import neurodyn as nd
    >>> batch = nd.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=4), seed=0)
    >>> stacked = batch.stacked()
    >>> found = nd.evaluation.labelled_target(batch, stacked, stacked.target, 0.1 + 0 * stacked.target)
    >>> dict(found["target"].sizes), found["dim"].values.tolist()
    ({'trial': 4, 'time': 100, 'dim': 3}, ['x', 'y', 'z'])
    """
    names = batch.target_names if names is None else names
    known = dict(zip(batch.target_names, batch.target_units, strict=False))  # a batch may know no units
    units = list(units or (known.get(name, "") for name in names))
    shared = units[0] if len(set(units)) == 1 else ""
    found = labelled(
        {"target": (target, "dim", names), "deviation": (deviation, "dim", names)},
        batch,
        stacked,
        {"target": shared, "deviation": shared},
    )
    found["target"].attrs["long_name"] = "decoded target"
    found["deviation"].attrs["long_name"] = "standard deviation of the predictive distribution"
    return found.assign_coords(unit=("dim", units)) if any(units) else found


def _attributes(unit: str) -> dict[str, str]:
    return {"units": unit} if unit else {}


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
