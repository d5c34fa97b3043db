"""Intervals, controls and angles: the statistics that several claims share."""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Num
from scipy import stats

from neurodyn import resampling
from neurodyn.mechanism.finding import Estimate

LEVEL = 0.95
"""Coverage of every interval here."""


def bootstrap(
    name: str,
    samples: Num[np.ndarray, "trials ..."],
    statistic: Callable[[np.ndarray], float],
    rng: np.random.Generator,
    *,
    resamples: int = 500,
    unit: str = "",
) -> Estimate:
    """Percentile bootstrap of a statistic over trials.

    Parameters
    ----------
    name, unit
        Of the estimate.
    samples
        (trials, ...) what is resampled, whole trials at a time.
    statistic
        Of such an array.
    rng
        Draws the resamples.
    resamples
        How many.

    Returns
    -------
    The statistic with its interval; NaN throughout if there are fewer than 2 trials or it is not finite.

    Reference: Efron & Tibshirani (1993), An Introduction to the Bootstrap.
    """
    if len(samples) < 2 or not math.isfinite(value := float(statistic(samples))):
        return not_measured(name, unit)
    drawn = np.array([statistic(samples[rows]) for rows in resampling.resamples(len(samples), resamples, rng)], float)
    low, high = resampling.percentile_interval(drawn, LEVEL, skip_nan=True)
    return Estimate(name, value, float(low), float(high), unit)


def difference_of_means(
    name: str,
    first: Float[np.ndarray, " n"],
    second: Float[np.ndarray, " m"],
    rng: np.random.Generator,
    *,
    resamples: int = 500,
    unit: str = "",
) -> Estimate:
    """Mean of one sample minus that of another, each resampled on its own."""
    if len(first) < 2 or len(second) < 2:
        return not_measured(name, unit)
    pairs = zip(*(resampling.resamples(len(part), resamples, rng) for part in (first, second)), strict=True)
    drawn = np.array([float(first[rows].mean()) - float(second[others].mean()) for rows, others in pairs])
    low, high = resampling.percentile_interval(drawn, LEVEL)
    return Estimate(name, float(first.mean() - second.mean()), float(low), float(high), unit)


def share(name: str, successes: int, total: int) -> Estimate:
    """A share with its exact interval (Clopper & Pearson 1934, Biometrika 26)."""
    if total == 0:
        return not_measured(name)
    tail = (1 - LEVEL) / 2
    low = stats.beta.ppf(tail, successes, total - successes + 1) if successes else 0.0
    high = stats.beta.isf(tail, successes + 1, total - successes) if successes < total else 1.0
    return Estimate(name, successes / total, float(low), float(high))


def known_value(name: str, value: float, unit: str = "") -> Estimate:
    """A number that is known, not estimated."""
    return Estimate(name, float(value), float(value), float(value), unit)


def not_measured(name: str, unit: str = "") -> Estimate:
    """A number that could not be measured."""
    return Estimate(name, math.nan, math.nan, math.nan, unit)


def control_range(name: str, values: Float[np.ndarray, " repeats"], unit: str = "") -> Estimate:
    """Mean of a control's repeats and the range of 95 % of them."""
    if not len(values):
        return not_measured(name, unit)
    low, high = resampling.percentile_interval(np.asarray(values, float), LEVEL)
    return Estimate(name, float(values.mean()), float(low), float(high), unit)


def excess_over_control(name: str, estimate: Estimate, top: float) -> Estimate:
    """How far an estimate lies above what a control reaches."""
    return Estimate(name, estimate.value - top, estimate.low - top, estimate.high - top, estimate.unit)


def principal_cosines(
    first: Float[np.ndarray, "a dims"], second: Float[np.ndarray, "b dims"]
) -> Float[np.ndarray, " angles"]:
    """Cosines of the principal angles between the row spaces of two matrices, the largest first.

    Reference: Björck & Golub (1973), Mathematics of Computation 27(123).
    """
    bases = [_row_basis(rows) for rows in (first, second)]
    return np.clip(np.linalg.svd(bases[0].T @ bases[1], compute_uv=False), 0.0, 1.0)


def phase_randomised(
    series: Float[np.ndarray, "trials time dims"], rng: np.random.Generator
) -> Float[np.ndarray, "trials time dims"]:
    """Same spectrum in every dimension, but no relation in time between the dimensions (nor between trials).

    Reference: Theiler et al. (1992), Physica D 58, for the surrogate of one series.
    """
    transformed = np.fft.rfft(series, axis=1)
    turns = np.exp(2j * np.pi * rng.random(transformed.shape))
    turns[:, 0] = 1.0  # the mean is real
    if series.shape[1] % 2 == 0:
        turns[:, -1] = 1.0
    return np.fft.irfft(transformed * turns, n=series.shape[1], axis=1)


def _row_basis(rows: np.ndarray) -> np.ndarray:
    """Orthonormal columns that span the rows."""
    _, sizes, directions = np.linalg.svd(rows, full_matrices=False)
    return directions[sizes > 1e-10 * sizes[0]].T
