"""The feed-forward network that encoders, fusion and decoders share."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

GLOROT = nnx.initializers.glorot_normal()


class Mlp(nnx.Module):
    """Tanh network with a linear output and Glorot-normal weights; if asked, with a linear path around it.

    With the linear path, the hidden layers start without a say (their output weights are zero): the network begins as
    a linear map that training bends only as far as that helps. Where a linear decoder is hard to beat, as with few
    spikes, this generalises better than hidden layers that have to unlearn their random start.
    """

    def __init__(self, inputs: int, hidden: Sequence[int], outputs: int, *, skip: bool = False, rngs: nnx.Rngs) -> None:
        sizes = [inputs, *hidden, outputs]
        pairs = list(pairwise(sizes))
        self.layers = nnx.List([_linear(a, b, GLOROT, rngs) for a, b in pairs[:-1]])
        self.output = _linear(*pairs[-1], nnx.initializers.zeros_init() if skip else GLOROT, rngs)
        self.around = _linear(inputs, outputs, GLOROT, rngs) if skip else None

    def __call__(self, inputs: Float[Array, "*batch inputs"]) -> Float[Array, "*batch outputs"]:
        """Apply the network to the last axis."""
        hidden = inputs
        for layer in self.layers:
            hidden = jnp.tanh(layer(hidden))
        output = self.output(hidden)
        return output if self.around is None else output + self.around(inputs)

    def kernels(self) -> Iterator[Float[Array, "inputs outputs"]]:
        """Weight matrices, for the weight penalty."""
        for layer in self.layers:
            yield layer.kernel[...]
        yield self.output.kernel[...]
        if self.around is not None:
            yield self.around.kernel[...]


def _linear(inputs: int, outputs: int, kernel_init: nnx.Initializer, rngs: nnx.Rngs) -> nnx.Linear:
    return nnx.Linear(inputs, outputs, kernel_init=kernel_init, param_dtype=jnp.result_type(float), rngs=rngs)
