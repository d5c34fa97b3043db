"""Likelihoods: what kind of numbers a modality has, and how a model's output becomes a distribution over them.

Each row of the table of modalities names one (:class:`neurodyn.binning.Modality`). A new one is a class and a line:

    class NegativeBinomial(Likelihood): ...
    LIKELIHOODS["negative_binomial"] = NegativeBinomial()

It then works in batches, training, read-outs, saved models and live. Whether observations are counts decides, wherever
it matters, how they are treated: counts are kept in their own unit for the model, and square-rooted for regressions and
recurrent networks; they come live as spikes, and their expectation is given as a rate in hertz. Everything else is
z-scored, and comes live as samples.

JAX is imported where a distribution is made, so that binning works without it: arrays are JAX's where nothing else is
said, and ``...`` stands for any axes.
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from neurodyn.errors import unknown_name

MAX_LOG_RATE = 5.0
"""Bounds the log of the expected count in a bin: exp(5) = 148 spikes is beyond any neuron's bin."""

LEAST_COUNT = 1e-4
"""Expected count per bin that a silent channel is taken to have where a logarithm is needed."""


class Likelihood(ABC):
    """Distribution of the observations of one bin and channel, given one output of the model's decoder.

    Attributes
    ----------
    counts
        Whether observations are counts of events per bin, and the output the log of the expected count; if not,
        observations are z-scored and the output is their expected value.
    bounds
        Least and greatest output of a decoder of counts; outputs beyond are taken to lie on them.
    smoothness
        Default weight of the divergence between consecutive outputs in the training objective (MRINE: 250 for spikes,
        5 to 10 for the field).
    """

    counts: bool
    smoothness: float
    bounds: tuple[float, float] = (-MAX_LOG_RATE, MAX_LOG_RATE)

    @property
    def scaled(self) -> bool:
        """Whether observations are z-scored: all but counts are."""
        return not self.counts

    @abstractmethod
    def distribution(self, output: Any) -> Any:
        """Distribution (``numpyro``) of the observations given outputs (..., channel); its mean is `expected`."""

    @abstractmethod
    def divergence(self, output: Any, other: Any) -> Any:
        """Kullback-Leibler divergence from ``distribution(output)`` to ``distribution(other)``, (..., channel)."""

    def expected(self, output: Any) -> Any:
        """Expected observation, counts per bin or z-scored value, given outputs (..., channel).

        The live decoder does the same in NumPy, so that a likelihood may not change it.
        """
        import jax.numpy as jnp

        return jnp.exp(self.log_rate(output)) if self.counts else output

    def log_rate(self, output: Any) -> Any:
        """Log of the expected count per bin: the output, held within `bounds`."""
        import jax.numpy as jnp

        return jnp.clip(output, *self.bounds)

    def output_of_mean(self, mean: np.ndarray) -> np.ndarray:
        """The output (channel,) whose expected observation is each channel's mean in training.

        Parameters
        ----------
        mean
            (channel,) counts per bin, or values in the unit of the recording, which z-scoring takes to 0.

        Examples
        --------
        >>> Poisson().output_of_mean(np.array([1.0])), Gaussian().output_of_mean(np.array([3.0]))
        (array([0.]), array([0.]))
        """
        return np.log(np.maximum(mean, LEAST_COUNT)) if self.counts else np.zeros_like(mean)


class Poisson(Likelihood):
    """Spike counts: the output is the log of the expected count per bin, clipped to [-5, 5].

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> round(float(Poisson().distribution(jnp.log(2.0)).log_prob(jnp.array(0.0))), 3)
    -2.0
    """

    counts = True
    smoothness = 250.0

    def distribution(self, output: Any) -> Any:
        """Poisson with rate ``exp(clip(output))`` in counts per bin."""
        import numpyro.distributions as dist

        return dist.Poisson(self.expected(output))

    def divergence(self, output: Any, other: Any) -> Any:
        """``r log(r / s) - r + s`` for rates r and s."""
        import jax.numpy as jnp

        log_rate, log_other = self.log_rate(output), self.log_rate(other)
        rate = jnp.exp(log_rate)
        return rate * (log_rate - log_other) - rate + jnp.exp(log_other)


class Gaussian(Likelihood):
    """Field features after z-scoring: the output is the mean, the variance is one.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> float(Gaussian().divergence(jnp.array(1.0), jnp.array(3.0)))
    2.0
    """

    counts = False
    smoothness = 5.0

    def distribution(self, output: Any) -> Any:
        """Normal with unit variance."""
        import jax.numpy as jnp
        import numpyro.distributions as dist

        return dist.Normal(output, jnp.ones((), output.dtype))

    def divergence(self, output: Any, other: Any) -> Any:
        """Half the squared difference of the means."""
        import jax.numpy as jnp

        return 0.5 * jnp.square(output - other)


LIKELIHOODS: dict[str, Likelihood] = {"poisson": Poisson(), "gaussian": Gaussian()}
"""By the name that a row of the table of modalities, a saved model and an exported decoder give."""


def likelihood(name: str) -> Likelihood:
    """Look a likelihood up by its name.

    Parameters
    ----------
    name
        A key of `LIKELIHOODS`.

    Raises
    ------
    InputError
        If there is none of that name; the message lists those there are.

    Examples
    --------
    >>> likelihood("poisson").counts
    True
    """
    if name not in LIKELIHOODS:
        raise unknown_name("likelihood", name, LIKELIHOODS)
    return LIKELIHOODS[name]
