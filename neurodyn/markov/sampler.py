"""Draws from the posterior of a hidden Markov model: what the fits of all emissions have in common."""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from neurodyn.markov.config import BayesConfig
from neurodyn.markov.inference import along_time
from neurodyn.sampler import Sampler, draw_sites


def draw_posterior(
    model: Callable[..., None],
    start: Mapping[str, Array],
    arguments: Mapping[str, Any],
    config: BayesConfig,
    *,
    seed: int,
    progress_bar: bool,
) -> tuple[dict[str, np.ndarray], Bool[np.ndarray, "chains draws"]]:
    """Draw the sites of a model, and which steps diverged.

    Parameters
    ----------
    model
        Of NumPyro, with a site ``log_likelihood`` that is relative to the argument ``reference``: what the sampler
        weighs is how much better a draw is than the start, which in float32 is not lost in the total.
    start
        Values of the sites at which all chains start.
    arguments
        Of the model, by name; ``reference`` (time, trials) is the log-likelihood of each step at the start.
    config
        The sampler.
    seed
        Seed of the sampler.
    progress_bar
        Whether it shows its steps.

    Returns
    -------
    drawn, diverging
        (chains, draws, ...) of float64 by site, ``log_likelihood`` that of all sequences; (chains, draws).
    """
    how = Sampler(config.warmup, config.draws, config.chains, progress_bar=progress_bar)
    drawn, diverging = draw_sites(model, start, arguments, how, seed=seed)
    drawn["log_likelihood"] = drawn["log_likelihood"] + along_time(arguments["reference"]).sum()
    return drawn, diverging


def inside(row: Float[np.ndarray, "*rows n"]) -> Array:
    """Probabilities with none at zero or one, where the sampler's coordinates are infinite."""
    return jnp.asarray(0.99 * row + 0.01 / row.shape[-1])
