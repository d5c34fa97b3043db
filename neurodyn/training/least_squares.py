"""The shortest task there is, to copy from: the linear map with the least squared error."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key

Pairs = tuple[Float[Array, "rows inputs"], Float[Array, " rows"]]
"""Inputs and outputs."""


@dataclass(frozen=True)
class LeastSquares:
    """Weights from inputs to an output, as a :class:`neurodyn.training.Task`.

    Parameters
    ----------
    rate
        Of the gradient steps.
    average
        Decay of the running average of the weights, per step; 0 for none.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from neurodyn.training.least_squares import LeastSquares
    >>> inputs, outputs = jnp.asarray([[1.0, 0.0], [1.0, 2.0]]), jnp.asarray([3.0, 1.0])
    >>> float(LeastSquares().loss(jnp.zeros(2), (inputs, outputs)))
    5.0
    """

    rate: float = 0.5
    average: float = 0.0

    def optimizer(self) -> optax.GradientTransformation:
        """Plain gradient descent."""
        return optax.sgd(self.rate)

    def sample(self, data: Pairs, chosen: Array, key: Key[Array, ""]) -> Pairs:
        """The rows of a step; nothing is random here."""
        inputs, outputs = data
        return inputs[chosen], outputs[chosen]

    def loss(self, parameters: Float[Array, " inputs"], sample: Pairs) -> Float[Array, ""]:
        """Mean squared error."""
        inputs, outputs = sample
        return jnp.mean((inputs @ parameters - outputs) ** 2)

    def loss_or_nan(self, loss: Float[Array, ""], gradient: Any) -> Float[Array, ""]:
        """The loss: where the gradient is not finite, the next one is not either."""
        return loss

    def score(self, parameters: Float[Array, " inputs"], held: Pairs) -> Float[Array, ""]:
        """The same error of held-out rows."""
        return self.loss(parameters, held)

    def scores(self, parameters: Float[Array, "member inputs"], held: Any) -> Float[Array, " member"]:
        """That of several runs."""
        return jax.vmap(self.score)(parameters, held)
