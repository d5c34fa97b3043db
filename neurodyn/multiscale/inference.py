"""From a batch to latents with a trained model: compiled once per padded length, host arrays out."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from neurodyn.binning.batch import MultimodalBatch
from neurodyn.kernels import kalman
from neurodyn.multiscale.model import Observations

PADDING = 512
"""Bins of long trials are padded to a multiple of this, so that trials of similar length share one compilation."""


class Network(NamedTuple):
    """A trained model as arrays: graph (static), parameters, constants of the training data."""

    graph: Any
    parameters: Any
    constants: Any

    def model(self):
        """The model with its methods."""
        return nnx.merge(self.graph, self.parameters, self.constants)


class Estimates(NamedTuple):
    """Latents of a batch (trial x time x latent, as long as the longest trial) and their covariances.

    Covariances are those of the trials' masks, without a trial axis where all trials have the same.
    """

    mean: Float[np.ndarray, "trial time latent"]
    covariance: Float[Array, "*trial time latent latent"]


def estimate(network: Network, batch: MultimodalBatch, *, smooth: bool) -> Estimates:
    """Filtered or smoothed latents of every trial; beyond a shorter trial's end stand predictions."""
    bins = int(batch.lengths.max())
    mean, covariance = _infer(network.parameters, network.constants, _observations(batch), network.graph, smooth)
    return Estimates(np.asarray(mean[:, :bins]), jax.lax.slice_in_dim(covariance, 0, bins, axis=-3))


@partial(jax.jit, static_argnames=("graph", "smooth"))
def _infer(
    parameters: Any, constants: Any, observations: Observations, graph: Any, smooth: bool
) -> tuple[Array, Array]:
    model = nnx.merge(graph, parameters, constants)
    latents = model.infer(observations, smooth=smooth)
    if not smooth:
        return latents.filtered, latents.filtered_covariance
    dynamics = model.backbone.parameters()
    return latents.smoothed, kalman.smoothed_covariances(
        dynamics, latents.filtered_covariance, latents.smoothed_information
    )


@partial(jax.jit, static_argnames="graph")
def decode_means(parameters: Any, constants: Any, latent: Array, graph: Any) -> tuple[Array, ...]:
    """Expected observation of each modality given latents (trial x time x latent)."""
    return nnx.merge(graph, parameters, constants).means(latent)


@partial(jax.jit, static_argnames=("graph", "steps"))
def look_ahead(parameters: Any, constants: Any, latent: Array, graph: Any, steps: int) -> Array:
    """Latents ``steps`` bins later, predicted by the backbone alone."""
    return nnx.merge(graph, parameters, constants).backbone.ahead(latent, (steps,))[0]


def readout_variance(covariance: Array, weights: Float[np.ndarray, "latent dim"]) -> np.ndarray:
    """``diag(W' P W)`` for each bin (... x dim)."""
    return np.asarray(jnp.einsum("...ij,id,jd->...d", covariance, *(jnp.asarray(weights, covariance.dtype),) * 2))


def _observations(batch: MultimodalBatch) -> Observations:
    """Stack, pad to a common length, and share masks where all trials have the same."""
    stacked = batch.stacked()
    dtype = jnp.result_type(float)
    bins = stacked.valid.shape[1]
    extra = (-bins) % PADDING if bins > PADDING else 0

    def pad(array: np.ndarray) -> np.ndarray:
        return np.pad(array, [(0, 0), (0, extra)] + [(0, 0)] * (array.ndim - 2))

    observed = {n: pad(o) for n, o in stacked.observed.items()}
    return Observations(
        {n: jnp.asarray(pad(v), dtype) for n, v in stacked.observations.items()},
        {n: jnp.asarray(o) for n, o in observed.items()},
        {n: _shared(np.any(o, axis=-1)) for n, o in observed.items()},
        _shared(pad(stacked.valid)),
    )


def _shared(mask: np.ndarray) -> Array:
    """A mask as time, when all trials have the same one, or trial x time."""
    return jnp.asarray(mask[0] if (mask == mask[:1]).all() else mask)
