"""From an embedding to the distribution of one modality's observations."""

from flax import nnx
from jaxtyping import Array, Float

from neurodyn.multiscale.config import ModalityConfig, ModelConfig
from neurodyn.multiscale.likelihoods import likelihood
from neurodyn.multiscale.networks import Mlp


class ModalityDecoder(nnx.Module):
    """Network ``MLP(C x)`` whose output parametrises the modality's likelihood."""

    def __init__(self, modality: ModalityConfig, config: ModelConfig, *, rngs: nnx.Rngs) -> None:
        self.likelihood = likelihood(modality.likelihood)
        self.network = Mlp(config.embedding, modality.decoder, modality.channels, rngs=rngs)

    def __call__(self, embedding: Float[Array, "*batch embedding"]) -> Float[Array, "*batch channel"]:
        """Output of the network: log expected count (Poisson) or mean of the z-scored value (Gaussian)."""
        return self.network(embedding)

    def mean(self, embedding: Float[Array, "*batch embedding"]) -> Float[Array, "*batch channel"]:
        """Expected observation: counts per bin (Poisson) or z-scored value (Gaussian)."""
        return self.likelihood.distribution(self(embedding)).mean
