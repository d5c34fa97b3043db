"""From a batch to latents with a trained model: compiled once per padded length, host arrays out."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from neurodyn.binning.batch import MultimodalBatch
from neurodyn.multiscale.backbone import Latents
from neurodyn.multiscale.config import DecoderConfig
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
    """Latents of a batch on the host, padded bins included, and the variance of any linear read-out of them."""

    filtered: Float[np.ndarray, "trial time latent"]
    smoothed: Float[np.ndarray, "trial time latent"] | None
    filtered_covariance: Float[Array, "*trial time latent latent"]
    smoothed_covariance: Float[Array, "*trial time latent latent"] | None


def estimate(network: Network, batch: MultimodalBatch, *, smooth: bool) -> Estimates:
    """Filtered and, if asked, smoothed latents of every trial of a batch.

    Returns
    -------
    Arrays as long as the longest trial; what lies beyond a shorter trial's end is its prediction.
    """
    bins = int(batch.lengths.max())
    latents = _infer(network.parameters, network.constants, _observations(batch), network.graph, smooth)

    def cut(array: Array | None, axis: int) -> Any:
        return None if array is None else jax.lax.slice_in_dim(array, 0, bins, axis=axis)

    filtered, smoothed = cut(latents.filtered, 1), cut(latents.smoothed, 1)
    return Estimates(
        np.asarray(filtered),
        None if smoothed is None else np.asarray(smoothed),
        cut(latents.filtered_covariance, latents.filtered_covariance.ndim - 3),
        cut(latents.smoothed_covariance, latents.filtered_covariance.ndim - 3),
    )


@partial(jax.jit, static_argnames=("graph", "smooth"))
def _infer(parameters: Any, constants: Any, observations: Observations, graph: Any, smooth: bool) -> Latents:
    return nnx.merge(graph, parameters, constants).infer(observations, smooth=smooth)


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
    return np.asarray(
        jnp.einsum("...ij,id,jd->...d", covariance, *(jnp.asarray(weights, covariance.dtype),) * 2)
    )


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
        {n: _shared(o.any(axis=-1)) for n, o in observed.items()},
        _shared(pad(stacked.valid)),
    )


def _shared(mask: np.ndarray) -> Array:
    """A mask as time, when all trials have the same one, or trial x time."""
    return jnp.asarray(mask[0] if (mask == mask[:1]).all() else mask)
