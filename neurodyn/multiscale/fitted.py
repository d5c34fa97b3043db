"""A trained model with everything needed to decode with it: network, target read-out, names and units."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from neurodyn.binning.batch import Modality, MultimodalBatch
from neurodyn.binning.scaling import Scaling
from neurodyn.errors import InputError
from neurodyn.multiscale.config import DecoderConfig
from neurodyn.multiscale.inference import Estimates, Network, estimate, estimate_both, readout_variance
from neurodyn.targets.linear import LinearTarget, average_targets, fit_ridge, time_blocks
from neurodyn.training import History

RIDGE_BLOCKS = 10
"""Blocks of training time among which the penalty of the target read-out is chosen."""

PREDICTED_BINS = 2**14
"""Bins per trial that the target is read out in at once."""


@dataclass(frozen=True)
class Readout:
    """Linear map from the model's states and the traces of its observations to the target, and how uncertain it is.

    Arguments
    ---------
    linear: fitted on the training bins; its residual covariance comes from held-out blocks of them.
    usual_variance: mean over the training bins of ``diag(W' P W)``, the part of the residual variance that the
        latent's own uncertainty explains; a bin with more uncertainty than that gets a wider interval.
    """

    linear: LinearTarget
    usual_variance: Float[np.ndarray, " dim"]

    def predict(self, estimates: Estimates) -> Float[np.ndarray, "trial time dim"]:
        """Target in every bin; a stretch of bins at a time, since features are wide and in double precision."""
        bins = range(0, estimates.latent.shape[1], PREDICTED_BINS)
        return np.concatenate(
            [self.linear.predict(estimates.bins(first, first + PREDICTED_BINS).features) for first in bins], axis=1
        )

    def variance(self, estimates: Estimates) -> np.ndarray:
        """Predictive variance of the target for each bin (... x dim), in squared target units."""
        excess = np.asarray(estimates.spread) - self.usual_variance
        return np.diag(self.linear.residual_covariance) + np.maximum(excess, 0)


@dataclass(frozen=True)
class Fitted:
    """Result of a fit; immutable, and all that is saved."""

    config: DecoderConfig
    network: Network
    scaling: Scaling
    modalities: tuple[Modality, ...]
    target_names: tuple[str, ...]
    width: float
    filtered: Readout | None
    smoothed: Readout | None
    history: History
    status: str
    provenance: dict[str, Any]
    target_units: tuple[str, ...] = ()

    def check(self, batch: MultimodalBatch) -> None:
        """Refuse a batch the model was not trained for.

        Raises
        ------
        InputError
            If modalities, their channels, rates or units, or the bin width differ; the message names the first
            difference.
        """
        if not np.isclose(batch.width, self.width):
            raise InputError(f"the model was fitted on {self.width:g} s bins, the batch has {batch.width:g} s bins")
        for row in self.modalities:
            found = batch.modality(row.name)
            if found.channels != row.channels:
                raise InputError(
                    f"modality '{row.name}' was fitted on {row.n_channels} channels "
                    f"({_shortened(row.channels)}), the batch has {found.n_channels} ({_shortened(found.channels)})"
                )
            if found.clock != row.clock:
                raise InputError(
                    f"modality '{row.name}' was fitted with a sample every {row.clock * self.width:g} s, "
                    f"the batch has one every {found.clock * self.width:g} s"
                )
            if row.unit and found.unit and found.unit != row.unit:
                raise InputError(f"modality '{row.name}' was fitted in {row.unit}, the batch is in {found.unit}")

    def aligned(self, batch: MultimodalBatch, *, target: bool = False) -> MultimodalBatch:
        """The batch with the model's channels, and its target too if asked, in the model's order, by label; checked.

        Raises
        ------
        InputError
            If a label of the model is not in the batch, or as in `check`.
        """
        aligned = batch.aligned_to(self.modalities, self.target_names if target else ())
        self.check(aligned)
        return aligned

    def estimate(self, batch: MultimodalBatch, *, smooth: bool) -> Estimates:
        """Every state in every bin of every trial (see :mod:`neurodyn.multiscale.inference`)."""
        batch = self.aligned(batch)
        filtered, smoothed = (None if r is None else r.linear.weights for r in (self.filtered, self.smoothed))
        if smooth:
            return estimate_both(self.network, batch, filtered, smoothed)[1]
        return estimate(self.network, batch, filtered)


def fit_readouts(network: Network, batch: MultimodalBatch) -> tuple[Readout | None, Readout | None]:
    """Ridge regressions from filtered and from smoothed latents to the target, on the batch's scored bins."""
    if batch.n_dims == 0:
        return None, None
    filtered, smoothed = estimate_both(network, batch)
    return _fit_readout(batch, filtered), _fit_readout(batch, smoothed)


def _fit_readout(batch: MultimodalBatch, states: Estimates) -> Readout:
    stacked = batch.stacked()
    scored = stacked.scored()
    blocks = np.zeros(scored.shape, int)
    blocks[stacked.valid] = time_blocks(batch.lengths, RIDGE_BLOCKS)
    target = np.asarray(stacked.target[scored], np.float64)
    parts = [part for part in (states.states, np.asarray(states.traces, np.float64)) if part.shape[-1]]
    linear = average_targets([fit_ridge(part[scored], target, blocks[scored]) for part in parts])
    return Readout(linear, np.asarray(readout_variance(states.usual, linear.weights)))


def _shortened(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
