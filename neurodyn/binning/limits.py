"""What counts as a measurement: limits of each channel, learned from the training data, the same offline and live."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from neurodyn.binning.batch import MultimodalBatch
from neurodyn.binning.modality import Modality
from neurodyn.binning.scaling import Scaling

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
    return within_limits(batch, learn_limits(batch.modalities, scaling.mean, scaling.scale, batch.width))


def within_limits(batch: MultimodalBatch, limits: Mapping[str, Sequence[Sequence[float]]]) -> MultimodalBatch:
    """The batch with the values beyond the limits of their channels missing.

    Parameters
    ----------
    batch
        With the modalities of the limits.
    limits
        As `learn_limits` gives them.

    Returns
    -------
    The batch itself if all its values are measurements.
    """
    observations, observed = {}, {}
    for name, rows in limits.items():
        values, (low, high) = batch.observations[name], np.asarray(rows)
        # A look at each channel's extremes is enough as a rule, and needs no memory.
        if (values.min(axis=0, initial=np.inf) >= low).all() and (values.max(axis=0, initial=-np.inf) <= high).all():
            continue
        beyond = ((values < low) | (values > high)) & batch.observed[name]
        if beyond.any():
            observed[name] = batch.observed[name] & ~beyond
            observations[name] = np.where(beyond, np.float32(0), values)
    if not observed:
        return batch
    return replace(batch, observations={**batch.observations, **observations}, observed={**batch.observed, **observed})
