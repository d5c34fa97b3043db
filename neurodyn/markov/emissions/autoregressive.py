"""Real values that each state predicts from the last ones in its own way."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from neurodyn.errors import InputError
from neurodyn.markov.emissions.base import Parameters, Prepared, checked_parameter, library
from neurodyn.markov.emissions.diagonal import draw_location_and_scale
from neurodyn.markov.emissions.linear import Linear, noise


@dataclass(frozen=True)
class Autoregressive(Linear):
    """A linear prediction from the last values of the sequence, one per state, plus Gaussian noise of full covariance.

    ``y_t = intercept_k + sum_l coefficients[k, l-1] y_{t-l} + noise``, l = 1 .. lags. Everything is conditional on what
    the prediction needs: the first ``lags`` steps of a sequence, and steps within ``lags`` after one with a missing
    value, say nothing about the state and are only predicted from. That is exact for the start of a sequence; after a
    gap it leaves out what little the values beyond the gap say. Entries of ``y_t`` may be missing one by one.

    Its parameters are ``intercept`` (states, channels), ``coefficients`` (states, lags, channels, channels) and
    ``covariance`` (states, channels, channels).

    Parameters
    ----------
    strength
        Of the prior, in steps: as if each state had been seen for so many steps more, of the variance of the data and
        with a prediction that is their mean. 0 is none.
    lags
        Steps back.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.markov import Autoregressive, GeneralHmm, sample
    >>> parameters = {"intercept": [[0], [0]], "coefficients": [[[[0.9]]], [[[-0.9]]]], "covariance": [[[1]], [[1]]]}
    >>> slow_or_fast = GeneralHmm([0.5, 0.5], [[0.99, 0.01], [0.01, 0.99]], Autoregressive(lags=1), parameters)
    >>> sample(slow_or_fast, trials=2, steps=100, seed=0).observations.shape
    (2, 100, 1)
    """

    lags: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lags < 1:
            raise InputError(f"lags must be at least 1, got {self.lags}: without any, use the emission gaussian")

    def design(self, values: np.ndarray, observed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The constant and the last values; known where all of these were observed."""
        complete, ones = np.asarray(observed.all(axis=-1)), np.ones((*values.shape[:2], 1))
        known, terms = np.ones(values.shape[:2], bool), [ones]
        for lag in range(1, self.lags + 1):
            lag = min(lag, len(values))
            terms.append(np.concatenate([np.zeros_like(values[:lag]), values[: len(values) - lag]]))
            known[:lag] = False
            known[lag:] &= complete[: len(values) - lag]
        return np.concatenate(terms, axis=-1), known

    def weights_of(self, parameters: Parameters) -> Any:
        """Intercepts and coefficients side by side."""
        xp = library(parameters)
        states, size = parameters["intercept"].shape
        lagged = xp.moveaxis(parameters["coefficients"], 1, 2).reshape(states, size, self.lags * size)
        return xp.concatenate([parameters["intercept"][..., None], lagged], axis=-1)

    def named(self, weights: Any) -> Parameters:
        """Intercepts and coefficients apart."""
        states, size, _ = weights.shape
        lagged = weights[..., 1:].reshape(states, size, self.lags, size)
        return {"intercept": weights[..., 0], "coefficients": np.moveaxis(lagged, 2, 1)}

    def start(self, prepared: Prepared, states: int, rng: np.random.Generator) -> Parameters:
        """Regressions over random stretches of a sequence, and the covariance of what one over all leaves."""
        values, design, observed = prepared.data
        usable = prepared.seen if observed is None else prepared.seen & observed.all(axis=-1)
        if not usable.any():
            raise InputError(f"no step has all its values and the {self.lags} before it: use fewer lags")
        # Steps of a sequence side by side, so that a stretch holds few changes of state.
        x, y = design.swapaxes(0, 1)[usable.T], values.swapaxes(0, 1)[usable.T]
        ridge = 1e-3 * np.diag((x**2).sum(axis=0)) + 1e-9 * np.eye(x.shape[1])
        overall = np.linalg.solve(x.T @ x + ridge, x.T @ y)
        left = y - x @ overall
        covariance = left.T @ left / len(y) + 1e-6 * np.diag(y.var(axis=0) + 1e-6)
        length, weights = max(5 * x.shape[1], len(x) // (5 * states)), []
        for _ in range(states):
            first = rng.integers(max(len(x) - length, 0) + 1)
            some, of = x[first : first + length], y[first : first + length]
            pull = ridge * max(len(some) / len(x), 0.02)
            weights.append(np.linalg.solve(some.T @ some + pull, some.T @ of + pull @ overall).T)
        return {**self.named(np.stack(weights)), "covariance": np.tile(covariance, (states, 1, 1))}

    def draw(self, states: int, prior: Parameters) -> Parameters:
        """Coefficients standard normal in units of the channels' deviations; the rest as in `Gaussian`."""
        import numpyro
        import numpyro.distributions as dist

        scale = np.sqrt(prior["variance"])
        intercept, deviation = draw_location_and_scale(states, prior["mean"], scale, "intercept")
        shape = (states, self.lags, len(scale), len(scale))
        spread = jnp.broadcast_to(jnp.asarray(scale[:, None] / scale), shape)
        coefficients = numpyro.sample("coefficients", dist.Normal(jnp.zeros(shape), spread).to_event(4))
        return {
            "intercept": intercept, "coefficients": coefficients,
            "covariance": self.draw_covariance(states, deviation),
        }  # fmt: skip

    def sample(
        self, parameters: Parameters, states: Int[np.ndarray, "trials time"], rng: np.random.Generator
    ) -> Float[np.ndarray, "trials time channels"]:
        """Values; those before the beginning are taken to be 0."""
        trials, steps = states.shape
        drawn = noise(parameters["covariance"], states, rng)
        past = np.zeros((trials, steps + self.lags, drawn.shape[-1]))
        for step in range(steps):
            state = states[:, step]
            value = parameters["intercept"][state] + drawn[:, step]
            for lag in range(1, self.lags + 1):
                before = past[:, step + self.lags - lag]
                value = value + np.einsum("nde,ne->nd", parameters["coefficients"][state, lag - 1], before)
            past[:, step + self.lags] = value
        return past[:, self.lags :]

    def check(self, parameters: Parameters, states: int) -> None:
        """Intercepts, coefficients, and covariances that are symmetric and positive definite."""
        size = checked_parameter(parameters, "intercept", (states, None), "(states, channels)").shape[1]
        axes = f"(states, {self.lags} lags, channels, channels)"
        checked_parameter(parameters, "coefficients", (states, self.lags, size, size), axes)
        super().check(parameters, states)

    def channels(self, parameters: Parameters) -> int:
        """Columns of the intercepts."""
        return parameters["intercept"].shape[1]

    def count(self, parameters: Parameters) -> int:
        """Intercepts, coefficients, and one triangle of each covariance."""
        states, size = parameters["intercept"].shape
        return states * (size + self.lags * size * size + size * (size + 1) // 2)
