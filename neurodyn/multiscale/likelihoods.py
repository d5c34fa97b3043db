"""How a decoder's output becomes a distribution over the observations of one modality.

A likelihood is one small class: the number of network outputs is the number of channels, ``distribution`` turns
them into a numpyro distribution, and ``divergence`` measures how far consecutive outputs are apart.
"""

from typing import Protocol, runtime_checkable

import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array, Float

from neurodyn.errors import unknown_name

MAX_LOG_RATE = 5.0
"""Bounds the log of the expected count in a bin: exp(5) = 148 spikes is beyond any neuron's bin."""


@runtime_checkable
class Likelihood(Protocol):
    """What the model needs to know about a modality's noise."""

    scaled: bool
    """Whether observations are z-scored (True) or kept in their own unit (False, e.g. counts)."""

    def distribution(self, output: Array) -> dist.Distribution:
        """Distribution of the observations of one bin given the decoder's output (... x channel)."""
        ...

    def divergence(self, output: Array, other: Array) -> Array:
        """Kullback-Leibler divergence from ``distribution(output)`` to ``distribution(other)``, per channel."""
        ...


class Poisson:
    """Spike counts: the output is the log of the expected count per bin, clipped to [-5, 5]."""

    scaled = False

    def distribution(self, output: Float[Array, "..."]) -> dist.Distribution:
        """Poisson with rate ``exp(clip(output))`` in counts per bin."""
        return dist.Poisson(jnp.exp(_clip(output)))

    def divergence(self, output: Float[Array, "..."], other: Float[Array, "..."]) -> Float[Array, "..."]:
        """``r log(r / s) - r + s`` for rates r and s."""
        log_rate, log_other = _clip(output), _clip(other)
        rate = jnp.exp(log_rate)
        return rate * (log_rate - log_other) - rate + jnp.exp(log_other)


class Gaussian:
    """Field features after z-scoring: the output is the mean, the variance is one."""

    scaled = True

    def distribution(self, output: Float[Array, "..."]) -> dist.Distribution:
        """Normal with unit variance."""
        return dist.Normal(output, jnp.ones((), output.dtype))

    def divergence(self, output: Float[Array, "..."], other: Float[Array, "..."]) -> Float[Array, "..."]:
        """Half the squared difference of the means."""
        return 0.5 * jnp.square(output - other)


LIKELIHOODS: dict[str, Likelihood] = {"poisson": Poisson(), "gaussian": Gaussian()}


def likelihood(name: str) -> Likelihood:
    """Look a likelihood up by name.

    Raises
    ------
    InputError
        If there is none of that name; the message lists those there are.
    """
    if name not in LIKELIHOODS:
        raise unknown_name("likelihood", name, LIKELIHOODS)
    return LIKELIHOODS[name]


def _clip(log_rate: Array) -> Array:
    return jnp.clip(log_rate, -MAX_LOG_RATE, MAX_LOG_RATE)
