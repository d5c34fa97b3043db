"""A trained model with everything needed to decode with it: network, target read-out, names and units."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float

from neurodyn.binning.batch import Modality, MultimodalBatch
from neurodyn.binning.scaling import Scaling
from neurodyn.errors import InputError
from neurodyn.multiscale.config import DecoderConfig
from neurodyn.multiscale.inference import Estimates, Network, estimate, readout_variance
from neurodyn.targets.linear import LinearTarget, average_targets, fit_ridge, time_blocks
from neurodyn.training import History

RIDGE_BLOCKS = 10
"""Blocks of training time among which the penalty of the target read-out is chosen."""


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

    def variance(self, covariances: Sequence[Array]) -> np.ndarray:
        """Predictive variance of the target for each bin (... x dim), in squared target units."""
        excess = np.asarray(readout_variance(covariances, self.linear.weights)) - self.usual_variance
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

    def check(self, batch: MultimodalBatch) -> None:
        """Refuse a batch the model was not trained for.

        Raises
        ------
        InputError
            If modalities, channels or bin width differ; the message names the first difference.
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

    def estimate(self, batch: MultimodalBatch, *, smooth: bool) -> Estimates:
        """Latents of every trial (see :func:`neurodyn.multiscale.inference.estimate`)."""
        self.check(batch)
        return estimate(self.network, batch.with_modalities([m.name for m in self.modalities]), smooth=smooth)


def fit_readouts(network: Network, batch: MultimodalBatch) -> tuple[Readout | None, Readout | None]:
    """Ridge regressions from filtered and from smoothed latents to the target, on the batch's scored bins."""
    if batch.n_dims == 0:
        return None, None
    return (
        _fit_readout(batch, estimate(network, batch, smooth=False)),
        _fit_readout(batch, estimate(network, batch, smooth=True)),
    )


def _fit_readout(batch: MultimodalBatch, states: Estimates) -> Readout:
    stacked = batch.stacked()
    scored = stacked.scored()
    blocks = np.zeros(scored.shape, int)
    blocks[stacked.valid] = time_blocks(batch.lengths, RIDGE_BLOCKS)
    target = np.asarray(stacked.target[scored], np.float64)
    parts = [part for part in (states.states, np.asarray(states.traces, np.float64)) if part.shape[-1]]
    linear = average_targets([fit_ridge(part[scored], target, blocks[scored]) for part in parts])
    spread = np.asarray(readout_variance(states.covariances, linear.weights))
    usual = np.broadcast_to(spread, (*scored.shape, spread.shape[-1]))[scored].mean(axis=0)
    return Readout(linear, usual)


def to_host(tree: Any) -> Any:
    """Copy every array of a pytree to the host."""
    return jax.tree.map(np.asarray, tree)


def _shortened(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
