"""Draws from a posterior by Hamiltonian Monte Carlo: the sampler of every Bayesian fit of the package."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool


def draw_sites(
    model: Callable[..., None],
    start: Mapping[str, Any],
    arguments: Mapping[str, Any],
    *,
    warmup: int,
    draws: int,
    chains: int,
    seed: int,
    accept: float = 0.8,
    progress_bar: bool = False,
) -> tuple[dict[str, np.ndarray], Bool[np.ndarray, "chains draws"]]:
    """Draw the sites of a model of NumPyro, and which steps diverged.

    Parameters
    ----------
    model
        Of NumPyro.
    start
        Values of the sites at which all chains start.
    arguments
        Of the model, by name.
    warmup, draws, chains
        Steps that are thrown away, steps that are kept, and how many chains do so.
    seed
        Seed of the sampler.
    accept
        Mean probability with which a step is to be accepted: higher ones take smaller steps, for densities with narrow
        places.
    progress_bar
        Whether it shows its steps.

    Returns
    -------
    drawn, diverging
        (chains, draws, ...) of float64 by site, those of ``numpyro.deterministic`` among them; (chains, draws).

    Reference
    ---------
    Hoffman & Gelman (2014), The No-U-Turn Sampler, JMLR 15.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import numpyro
    >>> from neurodyn.sampler import draw_sites
    >>> def heights(seen):
    ...     mean = numpyro.sample("mean", numpyro.distributions.Normal(0.0, 10.0))
    ...     numpyro.sample("height", numpyro.distributions.Normal(mean, 1.0), obs=seen)
    >>> seen = jnp.array([1.0, 2.0, 3.0])
    >>> drawn, diverging = draw_sites(
    ...     heights, {"mean": seen[0]}, {"seen": seen}, warmup=200, draws=400, chains=2, seed=0
    ... )
    >>> drawn["mean"].shape, bool(abs(drawn["mean"].mean() - 2.0) < 0.15)
    ((2, 400), True)
    """
    import jax
    from numpyro.infer import MCMC, NUTS, init_to_value

    sampler = MCMC(
        NUTS(model, init_strategy=init_to_value(values=dict(start)), target_accept_prob=accept),
        num_warmup=warmup, num_samples=draws, num_chains=chains,
        chain_method="vectorized", progress_bar=progress_bar,
    )  # fmt: skip
    # NumPyro's own arithmetic mixes integers and reals, and leaves infinities to be overwritten.
    with jax.numpy_dtype_promotion("standard"):
        sampler.run(jax.random.key(seed), extra_fields=("diverging",), **arguments)
        drawn = {name: np.array(v, np.float64) for name, v in sampler.get_samples(group_by_chain=True).items()}
        diverging = np.asarray(sampler.get_extra_fields(group_by_chain=True)["diverging"])
    return drawn, diverging
