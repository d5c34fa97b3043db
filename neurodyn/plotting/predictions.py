"""What a decoder predicted beside the truth, as lines of bins that can be drawn."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Int

from neurodyn.binning import MultimodalBatch
from neurodyn.binning.batch import check_batch
from neurodyn.errors import InputError, unknown_name
from neurodyn.given import argument_named, integer, number

if TYPE_CHECKING:
    import xarray as xr

BETWEEN_TRIALS = 5
"""Bins left free between two trials that are drawn end to end."""


@dataclass(frozen=True, eq=False)
class Stretch:
    """Bins of a prediction that are to be drawn, one after the other.

    Parameters
    ----------
    time
        (bins,) seconds: of the recording within one trial; of several, laid end to end with a gap between them.
    trial
        (bins,) number of the trial.
    true
        (bins, dims) in the unit of the target, NaN where it is not known or not scored.
    decoded, deviation
        (bins, dims) mean and standard deviation of the predictive distribution.
    names, units
        One per dimension; a unit that is not known is empty.
    """

    time: Float[np.ndarray, " bins"]
    trial: Int[np.ndarray, " bins"]
    true: Float[np.ndarray, "bins dims"]
    decoded: Float[np.ndarray, "bins dims"]
    deviation: Float[np.ndarray, "bins dims"]
    names: tuple[str, ...]
    units: tuple[str, ...]

    @property
    def breaks(self) -> Int[np.ndarray, " breaks"]:
        """Bins at which a new trial begins, where lines have to break."""
        return np.flatnonzero(np.diff(self.trial)) + 1

    def label(self, name: str, between: str = " ") -> str:
        """Name of a dimension for an axis, with its unit."""
        unit = self.units[self.names.index(name)]
        return f"{name.replace('_', ' ')}{between}({unit})" if unit else name.replace("_", " ")


def stretch_of(prediction: "xr.Dataset", batch: MultimodalBatch, *, trial: Any = None, between: Any = None) -> Stretch:
    """Lay the bins of a prediction out beside the target of the batch that it was made of.

    Parameters
    ----------
    prediction
        What ``predict(batch)`` returned.
    batch
        The same batch.
    trial
        Number of the one trial to draw; None for all of them.
    between
        First and last second of the recording to draw; None for all.

    Raises
    ------
    InputError
        If something else was given, the prediction is of another batch, or no bin is left to be drawn.
    """
    _check_prediction(prediction)
    stacked = check_batch(batch).stacked(observations=False)
    time = stacked.time
    seconds = prediction["seconds"].to_numpy()
    if seconds.shape != time.shape or not np.allclose(seconds, time, equal_nan=True):
        raise InputError("the prediction was made of another batch: give the one that predict(batch) was called with")
    chosen = stacked.valid & _of_trial(trial, len(time))[:, None] & _between(time, between)
    if not chosen.any():
        raise InputError("no bin of the prediction lies there: choose another trial, or another part with between=")
    names = tuple(str(name) for name in prediction["dim"].to_numpy())
    true = np.full((*time.shape, len(names)), np.nan)
    for place, name in enumerate(names):
        if name in batch.target_names:
            of_name = stacked.target[..., batch.target_names.index(name)]
            true[..., place] = np.where(stacked.scored(), of_name, np.nan)
    owner = np.broadcast_to(np.arange(len(time))[:, None], time.shape)[chosen]
    return Stretch(
        time=end_to_end(time[chosen], owner, batch.width, begin=batch.width),
        trial=owner,
        true=true[chosen],
        decoded=prediction["target"].to_numpy()[chosen].astype(np.float64),
        deviation=prediction["deviation"].to_numpy()[chosen].astype(np.float64),
        names=names,
        units=_units(prediction, len(names)),
    )


def chosen_dims(stretch: Stretch, dims: Any) -> tuple[str, ...]:
    """Names of the dimensions to draw: one, several, or all for None."""
    names = stretch.names if dims is None else (dims,) if isinstance(dims, str) else tuple(dims)
    for name in names:
        if name not in stretch.names:
            raise unknown_name("dimension of the target", str(name), stretch.names)
    return names


def _check_prediction(prediction: Any) -> None:
    parts = ("target", "deviation", "seconds")
    try:
        complete = all(part in prediction for part in parts) and "dim" in prediction["target"].dims
    except (TypeError, AttributeError, KeyError, ValueError):
        complete = False
    if not complete:
        kind = type(prediction).__name__
        raise InputError(f"expected what predict(batch) returns, with {', '.join(parts)}; got a {kind}")


def _of_trial(trial: Any, trials: int) -> Bool[np.ndarray, " trials"]:
    if trial is None:
        return np.ones(trials, np.bool_)
    given = argument_named("trial", integer, trial)
    if not -trials <= given < trials:
        raise InputError(f"trial: the batch has {trials}, numbered from 0; got {given}")
    return np.arange(trials) == given % trials


def _between(time: Float[np.ndarray, "trials time"], between: Any) -> Bool[np.ndarray, "trials time"]:
    if between is None:
        return np.ones(time.shape, np.bool_)
    message = f"between is a first and a last second, such as (10, 30); got {between!r}"
    if not isinstance(between, tuple | list) or len(between) != 2:
        raise InputError(message)
    first, last = (number(value, message) for value in between)
    return (time >= first) & (time <= last)


def end_to_end(
    time: Float[np.ndarray, " bins"], trial: Int[np.ndarray, " bins"], width: float, *, begin: float = 0.0
) -> Float[np.ndarray, " bins"]:
    """Recorded time within one trial; of several, bins of this width laid end to end from a time on, with gaps."""
    if (trial == trial[0]).all():
        return time
    gaps = np.concatenate([[0], np.cumsum(np.diff(trial) != 0)])
    return begin + width * (np.arange(len(time)) + BETWEEN_TRIALS * gaps)


def _units(prediction: "xr.Dataset", dims: int) -> tuple[str, ...]:
    if "unit" in prediction.coords:
        return tuple(str(unit) for unit in prediction["unit"].to_numpy())
    return ("",) * dims
