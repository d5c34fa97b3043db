"""From the embeddings of all modalities to one: ``a[t] = MLP(concat_i f_i[t])``."""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from neurodyn.multiscale.config import ModelConfig
from neurodyn.multiscale.networks import Mlp


class Fusion(nnx.Module):
    """Network from the concatenated embeddings of the modalities to the backbone's observation."""

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs) -> None:
        inputs = len(config.modalities) * config.embedding
        self.network = Mlp(inputs, config.fusion, config.embedding, skip=config.skip, rngs=rngs)

    def __call__(self, embeddings: Sequence[Float[Array, "*batch embedding"]]) -> Float[Array, "*batch embedding"]:
        """Fuse embeddings given in the order of the modality table."""
        return self.network(jnp.concatenate(list(embeddings), axis=-1))
