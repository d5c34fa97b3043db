"""The bootstrap: which rows a resample holds, and the interval between percentiles of what was found in them.

Everything that the package resamples (trials, pairs, fits) is drawn here. ``scipy.stats.bootstrap`` is not used: it
resamples arrays along one axis, whereas here whole trials with their counts are resampled as weights, one set of draws
is used for several statistics, and draws of two samples alternate.

Reference: Efron & Tibshirani (1993), An Introduction to the Bootstrap.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int


def resamples(count: int, repeats: int, rng: np.random.Generator) -> Iterator[Int[np.ndarray, " rows"]]:
    """Rows of each resample: as many as there are, drawn with replacement.

    Parameters
    ----------
    count
        How many rows there are.
    repeats
        How many resamples to draw; each is drawn when it is asked for.
    rng
        Draws them.

    Examples
    --------
    >>> import numpy as np
    >>> values = np.arange(10.0)
    >>> means = [values[rows].mean() for rows in resamples(10, 100, np.random.default_rng(0))]
    >>> len(means)
    100
    """
    for _ in range(repeats):
        yield rng.integers(count, size=count)


def percentile_interval(
    values: Float[np.ndarray, "repeats *rest"], level: float, *, skip_nan: bool = False
) -> tuple[Float[np.ndarray, "*rest"], Float[np.ndarray, "*rest"]]:
    """Lower and upper bound of the middle ``level`` of the values, along the first axis.

    Parameters
    ----------
    values
        One entry per resample.
    level
        Coverage, between 0 and 1.
    skip_nan
        Whether resamples in which the statistic is not defined are left out; else the bounds are then NaN.
    """
    quantile = np.nanquantile if skip_nan else np.quantile
    low, high = quantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return np.asarray(low), np.asarray(high)
