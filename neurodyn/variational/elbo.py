r"""Terms of the evidence lower bound: Gaussian experts and their product, divergences, masked log-likelihoods.

.. math::
    \log p(x) \ge \langle \log p(x \mid z) \rangle_q - \mathrm{KL}(q(z \mid x) \,\|\, p(z))

Reference: Kingma & Welling (2014), Auto-encoding variational Bayes, ICLR.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from neurodyn.binning.likelihood import LEAST_COUNT, MAX_LOG_RATE

LOG_RATES = (float(np.log(LEAST_COUNT)), MAX_LOG_RATE)
"""Bounds of the log of the expected count in a bin."""


class Gaussian(NamedTuple):
    """Mean and variance of each latent, independent of the others."""

    mean: Float[Array, "*bins latent"]
    variance: Float[Array, "*bins latent"]

    def draw(self, key: Key[Array, ""]) -> Float[Array, "*bins latent"]:
        """A sample that is differentiable in mean and variance."""
        noise = jax.random.normal(key, self.mean.shape, self.mean.dtype)
        return self.mean + jnp.sqrt(self.variance) * noise


def product_of_experts(prior: Gaussian, experts: Sequence[Gaussian], seen: Sequence[Bool[Array, "*bins"]]) -> Gaussian:
    """Product of the prior expert and of the experts that are there: precisions add up, means are weighed by them.

    Parameters
    ----------
    prior
        Always there.
    experts
        One per modality.
    seen
        Where each of them takes part.

    Reference
    ---------
    Wu & Goodman (2018), Multimodal generative models for scalable weakly-supervised learning, NeurIPS 31.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from neurodyn.variational.elbo import Gaussian, product_of_experts
    >>> prior, expert = Gaussian(jnp.zeros(1), jnp.ones(1)), Gaussian(jnp.full(1, 3.0), jnp.full(1, 0.5))
    >>> found = product_of_experts(prior, [expert], [jnp.asarray(True)])
    >>> round(float(found.mean[0]), 3), round(float(found.variance[0]), 3)
    (2.0, 0.333)
    """
    precision, weighted = 1 / prior.variance, prior.mean / prior.variance
    for expert, there in zip(experts, seen, strict=True):
        share = there[..., None].astype(precision.dtype) / expert.variance
        precision, weighted = precision + share, weighted + share * expert.mean
    return Gaussian(weighted / precision, 1 / precision)


def divergence(one: Gaussian, other: Gaussian) -> Float[Array, "*bins"]:
    """Kullback-Leibler divergence from ``one`` to ``other``, nats, summed over latents."""
    shift = jnp.square(one.mean - other.mean)
    ratio = (one.variance + shift) / other.variance
    return 0.5 * jnp.sum(ratio - 1 + jnp.log(other.variance) - jnp.log(one.variance), axis=-1)


def gaussian_log_likelihood(
    values: Float[Array, "*bins channel"],
    observed: Bool[Array, "*bins channel"],
    mean: Float[Array, "*bins channel"],
    log_variance: Float[Array, " channel"],
) -> Float[Array, "*bins"]:
    """Log-density of the observed values of each bin, nats; a missing value adds nothing, whatever stands there."""
    error = jnp.square(jnp.where(observed, values - mean, 0))
    each = -0.5 * (error * jnp.exp(-log_variance) + log_variance + float(np.log(2 * np.pi)))
    return jnp.sum(jnp.where(observed, each, 0), axis=-1)


def poisson_log_likelihood(
    counts: Float[Array, "*bins channel"],
    observed: Bool[Array, "*bins channel"],
    log_rate: Float[Array, "*bins channel"],
) -> Float[Array, "*bins"]:
    """Log-probability of the observed counts of each bin, nats; a missing count adds nothing, whatever stands there."""
    counts = jnp.where(observed, counts, 0)
    log_rate = jnp.clip(log_rate, *LOG_RATES)
    each = counts * log_rate - jnp.exp(log_rate) - jax.lax.lgamma(counts + 1)
    return jnp.sum(jnp.where(observed, each, 0), axis=-1)
