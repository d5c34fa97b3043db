"""Real values whose channels are independent given the state."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from neurodyn.errors import InputError, NumericalError
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

LOG_2_PI = float(np.log(2 * np.pi))


@dataclass(frozen=True)
class DiagonalGaussian(Emission):
    """Normal distribution of each channel; NaN, or a masked entry, where a value is missing, channel by channel.

    Its parameters are ``mean`` and ``variance`` (states, channels).

    Parameters
    ----------
    strength
        Of the prior, in steps: as if each state had been seen for so many steps more, at the mean of the data and with
        their variance. It keeps a state from shrinking to a single value, where the likelihood is infinite. 0 is none.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.markov import DiagonalGaussian, EmConfig, fit_hmm
    >>> rng = np.random.default_rng(0)
    >>> values = [np.repeat([0.0, 5.0], 30) + rng.normal(size=60) for _ in range(3)]
    >>> fit = fit_hmm(values, 2, emission=DiagonalGaussian(), seed=0, config=EmConfig(restarts=2))
    >>> np.abs(np.sort(fit.hmm.parameters["mean"].ravel())).round(0).tolist()
    [0.0, 5.0]
    """

    strength: float = 0.1

    def __post_init__(self) -> None:
        check_strength(self.strength)

    def to_arrays(self, observations: Any) -> Prepared:
        """Values and which were observed."""
        values, lengths = real_sequences(observations)
        values, observed = time_first(values)
        return Prepared((values, observed), np.asarray(observed.any(axis=-1)), lengths, values.shape[-1])

    def prior(self, prepared: Prepared) -> Parameters:
        """Mean and variance of each channel."""
        mean, variance = moments(*prepared.data)
        return {"strength": self.strength, "mean": mean, "variance": variance}

    def start(self, prepared: Prepared, states: int, rng: np.random.Generator) -> Parameters:
        """Values of steps that are unlike each other, and the variance of all."""
        values, observed = prepared.data
        mean, variance = moments(values, observed)
        rows = (np.where(observed, values, mean)[prepared.seen] - mean) / np.sqrt(variance)
        chosen = spread_out(rows, states, rng) * np.sqrt(variance) + mean
        return {"mean": chosen, "variance": np.tile(variance, (states, 1))}

    def natural(self, parameters: Parameters) -> Parameters:
        """Means, inverse standard deviations and the logarithm of each density's height."""
        xp = library(parameters)
        variance = parameters["variance"]
        height = -0.5 * (LOG_2_PI + xp.log(variance))
        return {"mean": parameters["mean"], "precision_root": 1 / xp.sqrt(variance), "height": height}

    def log_probability(self, natural: Parameters, data: Any) -> Float[Array, "time trials states"]:
        """Sum of the log-densities of the observed channels."""
        values, observed = data
        scaled = (values[..., None, :] - natural["mean"]) * natural["precision_root"]
        terms = natural["height"] - 0.5 * scaled**2
        return jnp.sum(terms, axis=-1, where=observed[..., None, :])

    def statistics(self, natural: Parameters, data: Any, weights: Float[Array, "time trials states"]) -> Parameters:
        """Weights, and sums of the deviations from the present mean and of their squares.

        Deviations and not values are squared, so that channels far from zero lose no digits.
        """
        values, observed = data
        weight = weights[..., None] * observed[..., None, :].astype(weights.dtype)
        deviation = values[..., None, :] - natural["mean"]
        return {
            "steps": weight.sum(axis=0),
            "deviations": (weight * deviation).sum(axis=0),
            "squares": (weight * deviation**2).sum(axis=0),
        }

    def maximise(self, statistics: Parameters, before: Parameters, prior: Parameters) -> Parameters:
        """Weighted mean and variance, the steps of the prior included."""
        strength = prior["strength"]
        steps, mean = statistics["steps"] + strength, before["mean"]
        total = np.where(steps > 0, steps, 1)
        offset = prior["mean"] - mean
        moved = (statistics["deviations"] + strength * offset) / total
        second = (statistics["squares"] + strength * (offset**2 + prior["variance"])) / total
        variance = np.where(steps > 0, second - moved**2, before["variance"])
        if not (variance > 0).all():
            state, channel = np.argwhere(~(variance > 0))[0]
            raise NumericalError(
                f"state {state} has shrunk to a single value in channel {channel}: give the emission a strength above 0"
            )
        return {"mean": mean + np.where(steps > 0, moved, 0), "variance": variance}

    def log_prior(self, parameters: Parameters, prior: Parameters) -> float:
        """``-strength/2 (log v + ((m - mean)^2 + variance) / v)``."""
        mean, variance = parameters["mean"], parameters["variance"]
        spread = (mean - prior["mean"]) ** 2 + prior["variance"]
        return float(-0.5 * prior["strength"] * (np.log(variance) + spread / variance).sum())

    def draw(self, states: int, prior: Parameters) -> Parameters:
        """Means within about three standard deviations of the data, deviations around half of theirs."""
        mean, deviation = draw_location_and_scale(states, prior["mean"], np.sqrt(prior["variance"]))
        return {"mean": mean, "variance": deviation**2}

    def sites(self, parameters: Parameters) -> Parameters:
        """Mean and standard deviation."""
        return {"mean": parameters["mean"], "deviation": np.sqrt(parameters["variance"])}

    def sample(
        self, parameters: Parameters, states: Int[np.ndarray, "trials time"], rng: np.random.Generator
    ) -> Float[np.ndarray, "trials time channels"]:
        """Values."""
        return rng.normal(parameters["mean"][states], np.sqrt(parameters["variance"])[states])

    def check(self, parameters: Parameters, states: int) -> None:
        """Variances above zero."""
        mean = checked_parameter(parameters, "mean", (states, None), "(states, channels)")
        variance = checked_parameter(parameters, "variance", mean.shape, "(states, channels)")
        if not (variance > 0).all():
            raise InputError(f"variance must be positive, got {variance.min():g}")

    def channels(self, parameters: Parameters) -> int:
        """Columns of the means."""
        return parameters["mean"].shape[1]

    def count(self, parameters: Parameters) -> int:
        """A mean and a variance per state and channel."""
        return 2 * parameters["mean"].size

    def describe(self, parameters: Parameters, state: int) -> str:
        """Mean and deviation of the first channels."""
        return describe_normal(parameters["mean"][state], parameters["variance"][state])


def moments(values: np.ndarray, observed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of each channel where it was observed; a channel that never varies has the variance 1."""
    count = np.maximum(observed.sum(axis=(0, 1)), 1)
    mean = values.sum(axis=(0, 1)) / count
    variance = np.where(observed, (values - mean) ** 2, 0).sum(axis=(0, 1)) / count
    return mean, np.where(variance > 0, variance, 1.0)


def draw_location_and_scale(
    states: int, mean: np.ndarray, deviation: np.ndarray, name: str = "mean"
) -> tuple[Any, Any]:
    """Sample sites of a location (``name``) and a standard deviation (``deviation``) per state and channel."""
    import numpyro
    import numpyro.distributions as dist

    shape = (states, len(mean))
    centre, scale = (jnp.broadcast_to(jnp.asarray(one), shape) for one in (mean, deviation))
    location = numpyro.sample(name, dist.Normal(centre, 3 * scale).to_event(2))
    spread = dist.LogNormal(jnp.log(0.5 * scale), jnp.ones_like(scale)).to_event(2)
    return location, numpyro.sample("deviation", spread)


def describe_normal(mean: Float[np.ndarray, " channels"], variance: Float[np.ndarray, " channels"]) -> str:
    """Mean plus or minus deviation of the first channels."""
    parts = [f"{m:.3g} ± {d:.2g}" for m, d in zip(mean[:4], np.sqrt(variance[:4]), strict=True)]
    return "emits " + ", ".join(parts) + (", ..." if len(mean) > 4 else "")
