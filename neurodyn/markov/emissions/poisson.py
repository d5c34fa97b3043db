"""Counts per step and channel, as those of spikes in bins."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln
from jaxtyping import Array, Float, Int
from scipy.special import xlogy

from neurodyn.errors import InputError
from neurodyn.markov.emissions.base import (
    Emission,
    Parameters,
    Prepared,
    check_strength,
    checked_parameter,
    library,
    real_sequences,
    spread_out,
    time_first,
)


@dataclass(frozen=True)
class Poisson(Emission):
    """Independent Poisson counts in each channel; NaN, or a masked entry, where one is missing.

    Its parameter is ``rate`` (states, channels), the expected count per step.

    Parameters
    ----------
    strength
        Of the gamma prior, in steps: as if each state had been seen for so many steps more, with the channel's mean
        count. 0 is none.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.markov import Poisson, fit_hmm
    >>> counts = [np.repeat([1, 9, 1], 20), np.repeat([9, 1], 30)]
    >>> fit = fit_hmm(counts, 2, emission=Poisson(strength=1.0), seed=0)
    >>> np.sort(fit.hmm.parameters["rate"].ravel()).round(1).tolist()
    [1.0, 8.9]
    """

    strength: float = 0.1

    def __post_init__(self) -> None:
        check_strength(self.strength)

    def to_arrays(self, observations: Any) -> Prepared:
        """Counts and which were observed."""
        values, lengths = real_sequences(observations)
        wrong = np.argwhere((values < 0) | (values % 1 > 0))
        if len(wrong):
            trial, step, channel = wrong[0]
            raise InputError(
                f"counts must be whole numbers from 0, NaN where missing; sequence {trial} has "
                f"{values[trial, step, channel]:g} at step {step}, channel {channel}"
            )
        counts, observed = time_first(values)
        return Prepared((counts, observed), np.asarray(observed.any(axis=-1)), lengths, counts.shape[-1])

    def prior(self, prepared: Prepared) -> Parameters:
        """Mean count of each channel."""
        counts, observed = prepared.data
        return {"strength": self.strength, "mean": counts.sum(axis=(0, 1)) / np.maximum(observed.sum(axis=(0, 1)), 1)}

    def start(self, prepared: Prepared, states: int, rng: np.random.Generator) -> Parameters:
        """Counts of steps that are unlike each other, half way to the mean."""
        counts, observed = prepared.data
        mean = counts.sum(axis=(0, 1)) / np.maximum(observed.sum(axis=(0, 1)), 1)
        rows = np.where(observed, counts, mean)[prepared.seen]
        return {"rate": 0.5 * (spread_out(rows, states, rng) + mean) + 1e-3}

    def natural(self, parameters: Parameters) -> Parameters:
        """Rates and their logarithms."""
        xp = library(parameters)
        with np.errstate(divide="ignore"):  # a silent channel is meant
            return {"rate": parameters["rate"], "log": xp.log(parameters["rate"])}

    def log_probability(self, natural: Parameters, data: Any) -> Float[Array, "time trials states"]:
        """``sum_c y_c log rate_c - rate_c - log y_c!`` over the observed channels."""
        counts, observed = data
        y = counts[..., None, :]
        # A count of zero is possible at a rate of zero, of which the logarithm is minus infinity.
        expected = jnp.where(y > 0, y * natural["log"], jnp.zeros_like(y)) - natural["rate"]
        terms = expected - gammaln(y + 1)
        return jnp.sum(terms, axis=-1, where=observed[..., None, :])

    def statistics(self, natural: Parameters, data: Any, weights: Float[Array, "time trials states"]) -> Parameters:
        """Expected steps of each state at which a channel was observed, and the counts of these."""
        counts, observed = data
        return {
            "steps": jnp.einsum("tnk,tnc->nkc", weights, observed.astype(weights.dtype)),
            "counts": jnp.einsum("tnk,tnc->nkc", weights, counts),
        }

    def maximise(self, statistics: Parameters, before: Parameters, prior: Parameters) -> Parameters:
        """Counts per step, those of the prior included."""
        strength = prior["strength"]
        steps = statistics["steps"] + strength
        rate = (statistics["counts"] + strength * prior["mean"]) / np.where(steps > 0, steps, 1)
        return {"rate": np.where(steps > 0, rate, before["rate"])}

    def log_prior(self, parameters: Parameters, prior: Parameters) -> float:
        """``strength (mean log rate - rate)``."""
        rate = parameters["rate"]
        return float(prior["strength"] * (xlogy(prior["mean"], rate) - rate).sum())

    def draw(self, states: int, prior: Parameters) -> Parameters:
        """Gamma, of the strength of at least a tenth of a step, for without any it is not a distribution."""
        import numpyro
        import numpyro.distributions as dist

        strength, mean = max(prior["strength"], 0.1), prior["mean"]
        shape = jnp.broadcast_to(jnp.asarray(1 + strength * mean), (states, len(mean)))
        return {"rate": numpyro.sample("rate", dist.Gamma(shape, jnp.full_like(shape, strength)).to_event(2))}

    def sample(
        self, parameters: Parameters, states: Int[np.ndarray, "trials time"], rng: np.random.Generator
    ) -> Float[np.ndarray, "trials time channels"]:
        """Counts, as float64."""
        return rng.poisson(parameters["rate"][states]).astype(np.float64)

    def check(self, parameters: Parameters, states: int) -> None:
        """No rate below zero."""
        rate = checked_parameter(parameters, "rate", (states, None), "(states, channels)")
        if (rate < 0).any():
            raise InputError(f"rate must not be negative, got {rate.min():g}")

    def channels(self, parameters: Parameters) -> int:
        """Columns of the rates."""
        return parameters["rate"].shape[1]

    def count(self, parameters: Parameters) -> int:
        """One rate per state and channel."""
        return parameters["rate"].size

    def describe(self, parameters: Parameters, state: int) -> str:
        """Rates of the first channels."""
        return "rates " + _few(parameters["rate"][state]) + " per step"

    def sites(self, parameters: Parameters) -> Parameters:
        """Rates, none of them at zero, where the sampler's coordinate is infinite."""
        return {"rate": np.maximum(parameters["rate"], 1e-3)}


def _few(values: Float[np.ndarray, " n"]) -> str:
    return ", ".join(f"{value:.3g}" for value in values[:4]) + (", ..." if len(values) > 4 else "")
