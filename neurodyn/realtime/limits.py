"""What a decoder takes for a measurement, and what it lets out: limits of the inputs, bounds of the target."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from neurodyn.binning.batch import Modality, MultimodalBatch
from neurodyn.binning.scaling import Scaling
from neurodyn.errors import InputError
from neurodyn.realtime.runner import LiveEstimate

DEVIATIONS = 20.0
"""Standard deviations of the training data beyond which a value is no measurement of its channel."""
FASTEST = 1000.0
"""Hertz: no neuron fires faster, so that no count of a sparse one is refused that could be one."""


def learn_limits(
    modalities: Sequence[Modality],
    mean: Mapping[str, Float[np.ndarray, " _"]],
    scale: Mapping[str, Float[np.ndarray, " _"]],
    width: float,
    *,
    deviations: float = DEVIATIONS,
) -> dict[str, list[list[float]]]:
    """Lowest and highest value of each channel that is a measurement, from the statistics of the training data.

    Parameters
    ----------
    modalities
        Table of modalities.
    mean, scale
        Mean and standard deviation of each channel in the training data, per modality, in the unit of the recording.
    width
        Of a bin, seconds.
    deviations
        How far from its mean a value may be, in standard deviations.

    Returns
    -------
    dict
        Per modality a row of lowest and a row of highest values, fit for JSON.
    """
    limits = {}
    for row in modalities:
        centre, reach = np.asarray(mean[row.name], np.float64), deviations * np.asarray(scale[row.name], np.float64)
        counts = row.counts
        low = np.zeros(len(centre)) if counts else centre - reach
        high = np.maximum(centre + reach, FASTEST * width) if counts else centre + reach
        limits[row.name] = [low.tolist(), high.tolist()]
    return limits


def measurements_of(batch: MultimodalBatch, scaling: Scaling) -> MultimodalBatch:
    """The batch as a live decoder takes it in: values beyond the limits of their channels are missing.

    Parameters
    ----------
    batch
        With the modalities that the scaling knows.
    scaling
        Means and scales of the training data, which the limits are learned from.

    Returns
    -------
    The batch itself if all its values are measurements.
    """
    limits = learn_limits(batch.modalities, scaling.mean, scaling.scale, batch.width)
    observations, observed = {}, {}
    for name, (low, high) in limits.items():
        values = batch.observations[name]
        beyond = ((values < np.asarray(low)) | (values > np.asarray(high))) & batch.observed[name]
        if beyond.any():
            observed[name] = batch.observed[name] & ~beyond
            observations[name] = np.where(beyond, np.float32(0), values)
    if not observed:
        return batch
    return replace(batch, observations={**batch.observations, **observations}, observed={**batch.observed, **observed})


@dataclass(frozen=True)
class OutputLimits:
    """What becomes of the target before it is handed out; its interval moves with it.

    Attributes
    ----------
    low, high
        Bounds of each dimension, in the unit of the target; None for none.
    slew
        Largest change per second, in the unit of the target; None for any.
    hold
        Whether the target stays where it was while every modality is overdue.

    Raises
    ------
    InputError
        If a lower bound lies above the upper one, or the slew is not positive.

    Examples
    --------
    >>> OutputLimits(low=(0.0,), high=(1.2,), slew=0.5)
    OutputLimits(low=(0.0,), high=(1.2,), slew=0.5, hold=False)
    """

    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None
    slew: float | None = None
    hold: bool = False

    def __post_init__(self) -> None:
        low, high = self.low or (), self.high or ()
        if low and high and (len(low) != len(high) or not all(a <= b for a, b in zip(low, high, strict=True))):
            raise InputError(f"bounds need low <= high in each dimension, got {low} and {high}")
        if self.slew is not None and not self.slew > 0:
            raise InputError(f"the slew must be more than 0 per second, got {self.slew}")

    def check(self, dims: int) -> None:
        """Refuse bounds of another number of dimensions.

        Raises
        ------
        InputError
            If they do not have ``dims`` dimensions.
        """
        for name in ("low", "high"):
            bounds = getattr(self, name)
            if bounds is not None and len(bounds) != dims:
                raise InputError(f"'{name}' needs one bound for each of the target's {dims} dimensions, got {bounds}")

    def apply(self, estimate: LiveEstimate, last: LiveEstimate | None, modalities: int) -> LiveEstimate:
        """The estimate within the limits.

        Parameters
        ----------
        estimate
            As decoded.
        last
            The one handed out before, None if there is none.
        modalities
            How many there are.
        """
        target = estimate.target
        if last is not None and self.hold and len(estimate.stale) == modalities:
            target = last.target
        if last is not None and self.slew is not None:
            most = self.slew * max(estimate.time - last.time, 0.0)
            target = np.clip(target, last.target - most, last.target + most)
        if self.low is not None or self.high is not None:
            target = np.clip(target, self.low, self.high)
        if target is estimate.target:
            return estimate
        target = target.astype(estimate.target.dtype)
        by = target - estimate.target
        return estimate._replace(target=target, lower=estimate.lower + by, upper=estimate.upper + by)
