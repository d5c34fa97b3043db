"""From an embedding to the distribution of one modality's observations."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from neurodyn.binning.likelihoods import likelihood
from neurodyn.multiscale.config import ModalityConfig, ModelConfig
from neurodyn.multiscale.networks import Mlp


class ModalityDecoder(nnx.Module):
    """Network ``MLP(C x)`` whose output parametrises the modality's likelihood.

    A variance that is learned is one number per channel, and one before training.
    """

    def __init__(self, modality: ModalityConfig, config: ModelConfig, *, rngs: nnx.Rngs) -> None:
        self.likelihood = likelihood(modality.likelihood)
        self.network = Mlp(config.embedding, modality.decoder, modality.channels, rngs=rngs)
        blank = jnp.zeros(modality.channels, jnp.result_type(float))
        self.log_variance = nnx.Param(blank) if modality.learned_variance else None

    def __call__(self, embedding: Float[Array, "*batch embedding"]) -> Float[Array, "*batch channel"]:
        """Output of the network: log of the expected count per bin, or expected z-scored value."""
        return self.network(embedding)

    def mean(self, embedding: Float[Array, "*batch embedding"]) -> Float[Array, "*batch channel"]:
        """Expected observation: counts per bin, or z-scored value."""
        return self.likelihood.expected(self(embedding))

    def log_prob(
        self, output: Float[Array, "*batch channel"], values: Float[Array, "*shared channel"]
    ) -> Float[Array, "*batch channel"]:
        """Log density of observations (counts, or z-scored) given outputs of the network."""
        if self.log_variance is None:
            return jnp.asarray(self.likelihood.distribution(output).log_prob(values))
        # The density of the likelihood, which has unit variance, in units of each channel's own deviation.
        deviation = jnp.exp(0.5 * self.log_variance[...])
        scaled = self.likelihood.distribution(output / deviation).log_prob(values / deviation)
        return jnp.asarray(scaled) - jnp.log(deviation)

    def divergence(
        self, output: Float[Array, "*batch channel"], other: Float[Array, "*batch channel"]
    ) -> Float[Array, "*batch channel"]:
        """Divergence from the distribution of one output to that of another."""
        if self.log_variance is None:
            return self.likelihood.divergence(output, other)
        deviation = jnp.exp(0.5 * self.log_variance[...])
        return self.likelihood.divergence(output / deviation, other / deviation)
