"""The latent dynamics all modalities share: ``x[t+1] = A x[t] + w``, ``a[t] = C x[t] + r``."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from neurodyn.kernels import kalman
from neurodyn.multiscale.dynamics import LinearDynamics


class Latents(NamedTuple):
    """Estimates of the backbone's state; covariances are shared by trials with one mask."""

    filtered: Float[Array, "trial time latent"]  # x[t|t], causal
    filtered_covariance: Float[Array, "*trial time latent latent"]
    smoothed: Float[Array, "trial time latent"] | None  # x[t|T], offline
    smoothed_variance: Float[Array, "*trial time latent"] | None
    smoothed_information: Float[Array, "*trial time latent latent"] | None


class Backbone(LinearDynamics):
    """Kalman filter and smoother over the fused embedding."""

    def infer(
        self,
        embedding: Float[Array, "trial time embedding"],
        seen: Bool[Array, " time"] | Bool[Array, "trial time"],
        *,
        smooth: bool,
    ) -> Latents:
        """Filtered and, if asked, smoothed latents of whole trials."""
        model = self.parameters()
        filtered = kalman.filter_trials(model, embedding, seen[..., None])
        covariance = filtered.covariances.filtered
        if not smooth:
            return Latents(filtered.mean, covariance, None, None, None)
        return Latents(filtered.mean, covariance, *kalman.smooth_trials(model, filtered))

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
