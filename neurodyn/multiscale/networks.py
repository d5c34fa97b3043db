"""The feed-forward network that encoders, fusion and decoders share."""

from collections.abc import Iterator, Sequence

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float


class Mlp(nnx.Module):
    """Tanh network with a linear output, Glorot-normal weights and, if asked, a linear path around it.

    The linear path lets the network start as a linear map that the hidden layers bend: with slow initial modes in
    the state-space model behind it, training then starts about where an exponentially filtered linear decoder is.
    """

    def __init__(self, inputs: int, hidden: Sequence[int], outputs: int, *, skip: bool = False, rngs: nnx.Rngs) -> None:
        sizes = [inputs, *hidden, outputs]
        self.layers = nnx.List([_linear(a, b, rngs) for a, b in zip(sizes[:-1], sizes[1:], strict=True)])
        self.around = _linear(inputs, outputs, rngs, bias=False) if skip else None

    def __call__(self, inputs: Float[Array, "*batch inputs"]) -> Float[Array, "*batch outputs"]:
        """Apply the network to the last axis."""
        hidden = inputs
        for layer in list(self.layers)[:-1]:
            hidden = jnp.tanh(layer(hidden))
        output = self.layers[-1](hidden)
        return output if self.around is None else output + self.around(inputs)

    def kernels(self) -> Iterator[Float[Array, "inputs outputs"]]:
        """Weight matrices, for the weight penalty."""
        for layer in self.layers:
            yield layer.kernel[...]
        if self.around is not None:
            yield self.around.kernel[...]


def _linear(inputs: int, outputs: int, rngs: nnx.Rngs, *, bias: bool = True) -> nnx.Linear:
    return nnx.Linear(
        inputs,
        outputs,
        use_bias=bias,
        kernel_init=nnx.initializers.glorot_normal(),
        param_dtype=jnp.result_type(float),
        rngs=rngs,
    )
