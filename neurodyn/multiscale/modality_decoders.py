"""From an embedding to the distribution of one modality's observations."""

from flax import nnx
from jaxtyping import Array, Float

from neurodyn.binning.likelihoods import likelihood
from neurodyn.multiscale.config import ModalityConfig, ModelConfig
from neurodyn.multiscale.networks import Mlp


class ModalityDecoder(nnx.Module):
    """Network ``MLP(C x)`` whose output parametrises the modality's likelihood."""

    def __init__(self, modality: ModalityConfig, config: ModelConfig, *, rngs: nnx.Rngs) -> None:
        self.likelihood = likelihood(modality.likelihood)
        self.network = Mlp(config.embedding, modality.decoder, modality.channels, rngs=rngs)

    def __call__(self, embedding: Float[Array, "*batch embedding"]) -> Float[Array, "*batch channel"]:
        """Output of the network: log of the expected count per bin, or expected z-scored value."""
        return self.network(embedding)

    def mean(self, embedding: Float[Array, "*batch embedding"]) -> Float[Array, "*batch channel"]:
        """Expected observation: counts per bin, or z-scored value."""
        return self.likelihood.expected(self(embedding))
