"""Learnable linear dynamics: the parameters behind each modality filter and the backbone."""

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float

from neurodyn.kernels import kalman
from neurodyn.kernels.kalman import Belief, Filtered, FutureEvidence, LinearGaussian, Smoothed
from neurodyn.kernels.linalg import spectral_norm

MAX_NORM = 0.9995
"""Bound on the spectral norm of the transition: memories of up to 2,000 bins, and no growth without input."""


class LinearDynamics(nnx.Module):
    """A linear Gaussian state-space model whose parameters are trained.

    It starts as ``latent`` independent leaky modes of unit stationary variance, their time constants spaced
    geometrically between the two ends of ``memory`` (bins), each seen through a random emission of unit row norm.
    The initial state, mean 0 and covariance I, is fixed. Started as in the paper, it has A = 0.9 I, entries of C
    0.9 times standard normal, Q = 0.5 I and R = I.

    Parameters
    ----------
    latent
        Dimensions of the state.
    embedding
        Dimensions of what is observed of it.
    memory
        Shortest and longest time constant that modes start with, bins.
    start
        "modes" or "paper".
    parallel
        Recursion of logarithmic depth over time (see :func:`neurodyn.kernels.kalman.filter_trials`).
    """

    def __init__(
        self,
        latent: int,
        embedding: int,
        memory: tuple[float, float],
        *,
        start: str = "modes",
        parallel: bool | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        dtype = jnp.result_type(float)
        if start == "paper":
            decay, noise, emission = np.full(latent, 0.9), np.full(latent, 0.5), 0.9
        else:
            decay = np.exp(-1.0 / np.geomspace(*memory, latent))
            noise, emission = 1 - decay**2, 1.0 / np.sqrt(latent)
        rows = nnx.initializers.normal(emission)
        self.transition = nnx.Param(jnp.asarray(np.diag(decay), dtype))
        self.emission = nnx.Param(rows(rngs.params(), (embedding, latent), dtype))
        self.log_process_noise = nnx.Param(jnp.asarray(np.log(noise), dtype))
        self.log_observation_noise = nnx.Param(jnp.zeros(embedding, dtype))
        self.latent, self.parallel = latent, parallel

    def parameters(self) -> LinearGaussian:
        """The parameters as the kernels take them."""
        transition = self.stable_transition()
        latent = transition.shape[0]
        return LinearGaussian(
            transition,
            jnp.exp(self.log_process_noise[...]),
            self.emission[...],
            jnp.exp(self.log_observation_noise[...]),
            jnp.zeros(latent, transition.dtype),
            jnp.eye(latent, dtype=transition.dtype),
        )

    def stable_transition(self) -> Float[Array, "latent latent"]:
        """The transition matrix, scaled down if its spectral norm exceeds the bound.

        A modality may be silent for minutes: with an unstable mode its predicted covariance would then overflow.
        """
        transition = jnp.asarray(self.transition[...])
        norm = spectral_norm(transition)
        return transition * jnp.minimum(jnp.ones_like(norm), MAX_NORM / norm)

    def emit(self, latent: Float[Array, "*batch latent"]) -> Float[Array, "*batch embedding"]:
        """``C x``: the embedding that goes with a latent state."""
        return latent @ self.emission[...].T

    def filter(
        self,
        embedding: Float[Array, "trial time embedding"],
        seen: Bool[Array, " time"] | Bool[Array, "trial time"],
        start: Belief | None = None,
    ) -> Filtered:
        """Causal estimates of the state in every bin, from the bins seen so far (and from ``start`` on)."""
        return kalman.filter_trials(self.parameters(), embedding, seen[..., None], start, parallel=self.parallel)

    def smooth(self, filtered: Filtered, future: FutureEvidence | None = None) -> Smoothed:
        """Estimates of the state from whole trials, or from a piece of them and what the pieces after it say."""
        return kalman.smooth_trials(self.parameters(), filtered, future, parallel=self.parallel)

    def after(self, filtered: Filtered) -> Belief:
        """The prediction for the bin after the last."""
        return kalman.after(self.parameters(), filtered)

    def smoothed_covariances(self, filtered: Filtered, smoothed: Smoothed) -> Float[Array, "*trial time latent latent"]:
        """``P[t|T]`` of every bin."""
        return kalman.smoothed_covariances(self.parameters(), filtered.covariances.filtered, smoothed.information)
