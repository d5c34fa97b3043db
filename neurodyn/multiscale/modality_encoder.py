"""From the observations of one modality to an embedding in every bin, causal and robust to missing samples."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from neurodyn.kernels import kalman
from neurodyn.multiscale import piecewise
from neurodyn.multiscale.config import ModalityConfig, ModelConfig
from neurodyn.multiscale.dynamics import LinearDynamics
from neurodyn.multiscale.networks import Mlp

MAX_INFLATION = 2.0
"""Most that the inputs left over are scaled up by when other channels of the bin are missing."""


class Constant(nnx.Variable):
    """Part of the model that is fixed by the training data, not by gradients: centres and scales."""


class ModalityEncoder(nnx.Module):
    """Scaling, network ``e = MLP(y)`` and Kalman filter ``f = C z[t|t]`` of one modality."""

    def __init__(
        self,
        modality: ModalityConfig,
        config: ModelConfig,
        center: Float[Array, " channel"],
        scale: Float[Array, " channel"],
        *,
        filtered: bool,
        parallel: bool | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        self.center = Constant(center)
        self.scale = Constant(scale)
        self.network = Mlp(modality.channels, modality.encoder, config.embedding, skip=config.skip, rngs=rngs)
        self.dynamics = (
            LinearDynamics(
                config.modality_state, config.embedding, config.memory, start=config.start, parallel=parallel, rngs=rngs
            )
            if filtered
            else None
        )

    def scaled(self, values: Float[Array, "*batch channel"]) -> Float[Array, "*batch channel"]:
        """Z-score with the statistics of the training data."""
        return (values - self.center[...]) / self.scale[...]

    def embed(
        self,
        values: Float[Array, "*batch channel"],
        observed: Bool[Array, "*batch channel"],
        hidden: Bool[Array, "*batch channel"] | None = None,
        gain: float | Float[Array, ""] | None = None,
    ) -> Float[Array, "*batch embedding"]:
        """Embed single bins; a missing channel enters as its mean, and the others are scaled up to make up for it.

        Parameters
        ----------
        values
            In the unit of the recording; never read where not observed.
        observed
            True where the channel is observed.
        hidden
            True where training hides a channel, which then enters like a missing one.
        gain
            What inputs beside hidden ones are multiplied by; None: they make up for them as for missing ones.
        """
        if values.ndim == 3 and values.size > piecewise.MANY:
            arrays = (values, observed) if hidden is None else (values, observed, hidden)

            def of_piece(values: Array, observed: Array, hidden: Array | None = None) -> Array:
                return self._embed(values, observed, hidden, gain)

            return piecewise.as_bins(piecewise.in_pieces(of_piece, arrays, values.shape[2]), *values.shape[:2])
        return self._embed(values, observed, hidden, gain)

    def _embed(
        self,
        values: Float[Array, "*batch channel"],
        observed: Bool[Array, "*batch channel"],
        hidden: Bool[Array, "*batch channel"] | None,
        gain: float | Float[Array, ""] | None,
    ) -> Float[Array, "*batch embedding"]:
        kept = observed if hidden is None else observed & ~hidden
        inputs = jnp.where(kept, self.scaled(values), jnp.zeros_like(values))
        counted = kept if gain is None else observed
        share = jnp.mean(counted.astype(inputs.dtype), axis=-1, keepdims=True)
        scaled = inputs / jnp.maximum(share, 1 / MAX_INFLATION)
        return self.network(scaled if gain is None else gain * scaled)

    def fill(
        self,
        embedding: Float[Array, "trial time embedding"],
        seen: Bool[Array, " time"] | Bool[Array, "trial time"],
        start: kalman.Belief | None = None,
    ) -> tuple[Float[Array, "trial time embedding"], kalman.Filtered | None]:
        """Embedding in every bin, from the bins seen so far: ``C z[t|t]``, and the modality's state z it comes from."""
        if self.dynamics is None:
            return embedding, None
        filtered = self.dynamics.filter(embedding, seen, start)
        return self.dynamics.emit(filtered.mean), filtered
