"""The latent dynamics all modalities share: ``x[t+1] = A x[t] + w``, ``a[t] = C x[t] + r``."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from neurodyn.multiscale.dynamics import LinearDynamics


class Backbone(LinearDynamics):
    """Linear dynamics over the fused embedding."""

    def ahead(
        self, latent: Float[Array, "*batch latent"], horizons: tuple[int, ...]
    ) -> Float[Array, "horizon *batch latent"]:
        """``A^k x`` for each horizon k in bins, in the order given."""
        transition = self.stable_transition()
        states, here = {}, latent
        for k in range(max(horizons) + 1):
            states[k] = here
            here = here @ transition.T
        return jnp.stack([states[k] for k in horizons])
