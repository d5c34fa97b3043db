"""Likelihoods: what kind of numbers a modality has, and how a model's output becomes a distribution over them.

Each row of the table of modalities names one (:class:`neurodyn.binning.Modality`). A new one is a class and a line
(ADDING_A_LIKELIHOOD.md). It then works in batches, training, read-outs, saved models and live. Whether observations
are counts decides, wherever it matters, how they are treated: counts are kept in their own unit for the model, and
square-rooted for regressions and recurrent networks; they come live as spikes, and their expectation is given as a rate
in hertz. Everything else is z-scored, and comes live as samples.
"""

from typing import Any

from neurodyn.binning.likelihood import Likelihood
from neurodyn.errors import unknown_name


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
