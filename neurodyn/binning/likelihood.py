"""What a likelihood is: the base of the classes in the table of ``likelihoods.py``, which imports them from here.

JAX is imported where a distribution is made, so that binning works without it: arrays are JAX's where nothing else is
said, and ``...`` stands for any axes.
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

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
        >>> from neurodyn.binning.likelihoods import Gaussian, Poisson
        >>> Poisson().output_of_mean(np.array([1.0])), Gaussian().output_of_mean(np.array([3.0]))
        (array([0.]), array([0.]))
        """
        return np.log(np.maximum(mean, LEAST_COUNT)) if self.counts else np.zeros_like(mean)
