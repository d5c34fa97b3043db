"""Histories of observations that a linear read-out can use: filters and lags over observed samples only.

Arrays are (trial, time, channel).  Values are deviations from the channel's mean: 0 means "nothing known".
Everything here is causal; the future comes in by running the same functions on reversed time.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.signal import lfilter

from neurodyn.errors import InputError


@dataclass(frozen=True)
class ExponentialFilters:
    """Exponentially weighted means of the observed samples, one per time constant, beside the newest sample.

    ``h[t] = sum_k a^k m[t-k] v[t-k] / (sum_k a^k m[t-k] + prior)``  with  ``a = exp(-width / seconds)``,
    ``m`` the mask and ``prior = strength * sum_k a^k``: with few samples observed so far the mean is drawn
    towards 0.

    Parameters
    ----------
    seconds
        Time constants in seconds.
    strength
        Weight of the channel's mean, relative to the weight of an endless history with no sample missing.
    """

    seconds: tuple[float, ...] = (0.2, 0.5, 1.0, 2.0, 5.0)
    strength: float = 0.05

    def __post_init__(self) -> None:
        if not self.seconds or not all(np.isfinite(s) and s > 0 for s in self.seconds):
            raise InputError(f"time constants must be positive seconds, got {self.seconds}")
        if not (np.isfinite(self.strength) and self.strength >= 0):
            raise InputError(f"the strength of the prior must not be negative, got {self.strength}")

    def history(
        self,
        values: Float[np.ndarray, "trials time channels"],
        observed: Bool[np.ndarray, "trials time channels"],
        width: float,
    ) -> Float[np.ndarray, "trials time features"]:
        """Features of every bin from the samples up to and including it; bins are ``width`` seconds wide."""
        filtered = [_weighted_mean(values, observed, np.exp(-width / s), self.strength) for s in self.seconds]
        return np.concatenate([hold(values, observed), *filtered], axis=2)


@dataclass(frozen=True)
class Lags:
    """The newest sample of this bin and of each of the bins before it.

    Parameters
    ----------
    bins
        Number of bins, the present one included.
    """

    bins: int = 20

    def __post_init__(self) -> None:
        if self.bins < 1:
            raise InputError(f"expected at least one lag, got {self.bins}")

    def history(
        self,
        values: Float[np.ndarray, "trials time channels"],
        observed: Bool[np.ndarray, "trials time channels"],
        width: float,
    ) -> Float[np.ndarray, "trials time features"]:
        """Features of every bin from the samples up to and including it; before the trial they are 0."""
        held = hold(values, observed)
        return np.concatenate([_delayed(held, k) for k in range(min(self.bins, values.shape[1]))], axis=2)


def hold(
    values: Float[np.ndarray, "trials time channels"], observed: Bool[np.ndarray, "trials time channels"]
) -> Float[np.ndarray, "trials time channels"]:
    """Newest observed sample of each channel; 0 before the first."""
    time = np.arange(values.shape[1])[None, :, None]
    newest = np.maximum.accumulate(np.where(observed, time, -1), axis=1)
    return np.where(newest >= 0, np.take_along_axis(values, np.maximum(newest, 0), axis=1), 0)


def _weighted_mean(values: np.ndarray, observed: np.ndarray, decay: float, strength: float) -> np.ndarray:
    weight = _decaying_sum(observed.astype(np.float64), decay) + strength / (1.0 - decay)
    total = _decaying_sum(np.where(observed, values, 0.0), decay)
    # Long after the last sample both sums underflow together; nothing is known then.
    return (total / np.maximum(weight, np.finfo(np.float64).tiny)).astype(values.dtype)


def _decaying_sum(samples: np.ndarray, decay: float) -> np.ndarray:
    return np.asarray(lfilter([1.0], [1.0, -decay], samples, axis=1))


def _delayed(values: np.ndarray, bins: int) -> np.ndarray:
    padded = np.zeros_like(values)
    padded[:, bins:] = values[:, : values.shape[1] - bins]
    return padded
