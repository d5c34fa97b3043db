"""What a fitted model says of a batch, as labelled data sets."""

from typing import TYPE_CHECKING

import numpy as np

from neurodyn.binning.batch import MultimodalBatch
from neurodyn.binning.stacked import Stacked
from neurodyn.errors import InputError
from neurodyn.evaluation.intervals import NORMAL_95
from neurodyn.evaluation.labelled import labelled, labelled_target
from neurodyn.evaluation.metrics import bits_per_spike
from neurodyn.evaluation.streaming import steps
from neurodyn.multiscale.fitted import Fitted
from neurodyn.multiscale.inference import expected_observations, look_ahead

if TYPE_CHECKING:
    import xarray as xr

    from neurodyn.realtime.decoder import RealtimeDecoder


def labelled_states(fitted: Fitted, batch: MultimodalBatch, *, smoothed: bool, ahead: int) -> "xr.Dataset":
    """Latents and expected observations of every trial, as `MultiscaleDecoder.transform` returns them."""
    if ahead and smoothed:
        raise InputError("a smoothed estimate knows the whole trial: predict ahead from the filtered one")
    batch = fitted.aligned(batch)
    latent = fitted.estimate(batch, smooth=smoothed).latent
    if ahead:
        graph, *arrays = fitted.network
        latent = np.asarray(look_ahead(*arrays, latent, graph, ahead))
    variables = {"latent": (latent, "component", [f"x{i}" for i in range(latent.shape[-1])])}
    for row, mean in zip(fitted.modalities, expected_observations(fitted.network, latent), strict=True):
        values = fitted.scaling.invert_observation(row.name, mean)
        variables[row.name] = (values, f"{row.name}_channel", list(row.channels))
    units = {row.name: row.unit for row in fitted.modalities}
    return labelled(variables, batch, batch.stacked(observations=False), units)


def labelled_ahead(fitted: Fitted, live: "RealtimeDecoder", batch: MultimodalBatch, ahead: int) -> "xr.Dataset":
    """What a live decoder says of the bin that comes so many bins later, in every bin of every trial."""
    coming = [live.predict_ahead(ahead) for _ in steps(live, batch)]
    stacked = batch.stacked(observations=False)
    target = np.zeros((*stacked.valid.shape, len(fitted.target_names)))
    deviation = np.zeros_like(target)
    target[stacked.valid] = [one.target for one in coming]
    deviation[stacked.valid] = [(one.upper - one.lower) / (2 * NORMAL_95) for one in coming]
    return labelled_target(batch, stacked, target, deviation, fitted.target_names, fitted.target_units)


def predicted_bits(rates: np.ndarray, stacked: Stacked, name: str, ahead: int) -> float:
    """Bits per spike of the rates of a modality, looking so many bins ahead."""
    bins = rates.shape[1] - ahead
    counted = stacked.observed[name][:, ahead:] & ~stacked.context[:, ahead:, None]
    return bits_per_spike(rates[:, :bins], stacked.observations[name][:, ahead:], counted)
