"""From a batch to latents with a trained model: compiled once per padded length, host arrays out."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from neurodyn.binning.batch import MultimodalBatch
from neurodyn.kernels.kalman import Belief
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
    """Every state of the model in every bin of a batch, the backbone's first, and the traces of the observations.

    Means are trial x time x state, as long as the longest trial. Covariances are those of the trials' masks, without a
    trial axis where all trials have the same.
    """

    means: tuple[np.ndarray, ...]
    covariances: tuple[Array, ...]
    traces: np.ndarray

    @property
    def latent(self) -> Float[np.ndarray, "trial time latent"]:
        """Mean of the backbone's state, x."""
        return self.means[0]

    @property
    def states(self) -> Float[np.ndarray, "trial time feature"]:
        """All means side by side, in double precision."""
        return np.concatenate(self.means, axis=-1, dtype=np.float64)

    @property
    def features(self) -> Float[np.ndarray, "trial time feature"]:
        """States, then traces: what the target is read out from."""
        return np.concatenate([*self.means, self.traces], axis=-1, dtype=np.float64)


def estimate(network: Network, batch: MultimodalBatch, *, smooth: bool) -> Estimates:
    """Filtered or smoothed states of every trial; beyond a shorter trial's end stand predictions."""
    bins = int(batch.lengths.max())
    states, traces = _infer(network.parameters, network.constants, _observations(batch), network.graph, smooth)
    return Estimates(
        tuple(np.asarray(mean[:, :bins]) for mean, _ in states),
        tuple(jax.lax.slice_in_dim(covariance, 0, bins, axis=covariance.ndim - 3) for _, covariance in states),
        np.asarray(traces[:, :bins]),
    )


@partial(jax.jit, static_argnames=("graph", "smooth"))
def _infer(
    parameters: Any, constants: Any, observations: Observations, graph: Any, smooth: bool
) -> tuple[tuple[Belief, ...], Array]:
    model = nnx.merge(graph, parameters, constants)
    traces = [model.traces(observations)] + ([model.traces(observations, reverse=True)] if smooth else [])
    return model.states(observations, smooth=smooth), jnp.concatenate(traces, axis=-1)


@partial(jax.jit, static_argnames="graph")
def decode_means(parameters: Any, constants: Any, latent: Array, graph: Any) -> tuple[Array, ...]:
    """Expected observation of each modality given latents (trial x time x latent)."""
    return nnx.merge(graph, parameters, constants).means(latent)


@partial(jax.jit, static_argnames=("graph", "steps"))
def look_ahead(parameters: Any, constants: Any, latent: Array, graph: Any, steps: int) -> Array:
    """Latents ``steps`` bins later, predicted by the backbone alone."""
    return nnx.merge(graph, parameters, constants).backbone.ahead(latent, (steps,))[0]


def readout_variance(
    covariances: Sequence[Array], weights: Float[np.ndarray | Array, "feature dim"]
) -> Float[Array, "*bins dim"]:
    """``diag(W' P W)`` for each bin, P block-diagonal with one block per state.

    The correlation between the errors of the backbone and of a modality's own state is not known and left out.
    """
    total, first = jnp.zeros(()), 0
    for covariance in covariances:
        part = jnp.asarray(weights[first : first + covariance.shape[-1]], covariance.dtype)
        total = total + jnp.einsum("...ij,id,jd->...d", covariance, part, part)
        first += covariance.shape[-1]
    return total


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
