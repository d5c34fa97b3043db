"""Draws from a posterior by Hamiltonian Monte Carlo: the sampler of every Bayesian fit of the package."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from neurodyn.errors import InputError
from neurodyn.given import any_number, count, keep_read


@dataclass(frozen=True)
class Sampler:
    """How draws are made.

    Parameters
    ----------
    warmup, draws, chains
        Steps that are thrown away, steps that are kept, and how many chains do so.
    accept
        Mean probability with which a step is to be accepted: higher ones take smaller steps, for densities with narrow
        places.
    progress_bar
        Whether steps are shown.

    Examples
    --------
    >>> from neurodyn.sampler import Sampler
    >>> Sampler(draws=1000).chains
    2
    """

    warmup: int = 500
    draws: int = 500
    chains: int = 2
    accept: float = 0.8
    progress_bar: bool = False

    def __post_init__(self) -> None:
        keep_read(self, count, ["warmup", "draws", "chains"])
        keep_read(self, any_number, ["accept"])
        if not 0 < self.accept < 1:
            raise InputError(f"accept must lie between 0 and 1, got {self.accept}")


def draw_sites(
    model: Callable[..., None],
    start: Mapping[str, Any],
    arguments: Mapping[str, Any],
    sampler: Sampler,
    *,
    seed: int,
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
    sampler
        How draws are made.
    seed
        Of the draws.

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
    >>> from neurodyn.sampler import Sampler, draw_sites
    >>> def heights(seen):
    ...     mean = numpyro.sample("mean", numpyro.distributions.Normal(0.0, 10.0))
    ...     numpyro.sample("height", numpyro.distributions.Normal(mean, 1.0), obs=seen)
    >>> seen = jnp.array([1.0, 2.0, 3.0])
    >>> few = Sampler(warmup=200, draws=400)
    >>> drawn, diverging = draw_sites(heights, {"mean": seen[0]}, {"seen": seen}, few, seed=0)
    >>> drawn["mean"].shape, bool(abs(drawn["mean"].mean() - 2.0) < 0.15)
    ((2, 400), True)
    """
    import jax
    from numpyro.infer import MCMC, NUTS, init_to_value

    kernel = NUTS(model, init_strategy=init_to_value(values=dict(start)), target_accept_prob=sampler.accept)
    chains = MCMC(
        kernel, num_warmup=sampler.warmup, num_samples=sampler.draws, num_chains=sampler.chains,
        chain_method="vectorized", progress_bar=sampler.progress_bar,
    )  # fmt: skip
    # NumPyro's own arithmetic mixes integers and reals, and leaves infinities to be overwritten.
    with jax.numpy_dtype_promotion("standard"):
        chains.run(jax.random.key(seed), extra_fields=("diverging",), **arguments)
        drawn = {name: np.array(v, np.float64) for name, v in chains.get_samples(group_by_chain=True).items()}
        diverging = np.asarray(chains.get_extra_fields(group_by_chain=True)["diverging"])
    return drawn, diverging


def largest_r_hat(parts: Iterable[Float[np.ndarray, "chains draws *rest"]]) -> float:
    """Largest potential scale reduction of a number: near 1 if chains and their halves agree.

    Numbers that never vary, as the start of a single state, have none; without any other it is 1.

    Parameters
    ----------
    parts
        Draws of each site.

    Reference
    ---------
    Gelman et al. (2013), Bayesian Data Analysis, chapter 11.4.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.sampler import largest_r_hat
    >>> alike = np.random.default_rng(0).normal(size=(2, 500, 3))
    >>> largest_r_hat([alike]) < 1.02, largest_r_hat([alike, alike + [[[0.0]], [[5.0]]]]) > 2
    (True, True)
    """
    from numpyro.diagnostics import split_gelman_rubin

    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.concatenate([np.ravel(split_gelman_rubin(part)) for part in parts])
    found = found[np.isfinite(found)]
    return float(found.max()) if found.size else 1.0
