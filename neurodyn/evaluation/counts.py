"""How well numbers of events are decoded: dimensions of the target that count licks, presses or spikes in a bin.

Squared errors are least where a dimension is decoded as the expected number, which is the mean of a Poisson
distribution here. R² of rare events is small however well their rate is known; the share of the deviance that is
explained is not.

Reference: Cameron & Windmeijer (1996), R-squared measures for count data regression models with applications to
health-care utilization, Journal of Business & Economic Statistics 14.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy
from jaxtyping import Shaped

from neurodyn.binning.count_targets import NUMBER
from neurodyn.errors import InputError

LEAST = 1e-3
"""Least expected number of events in a bin: what was never seen may still come."""


class CountScore(NamedTuple):
    """How well one number of events was decoded.

    Parameters
    ----------
    deviance_explained
        Share of the Poisson deviance from the mean number that the decoded one explains: 1 where every number is
        decoded exactly, 0 for naming the mean of the scored bins, less for worse.
    log_loss
        Mean of minus the logarithm of the probability of the true number under a Poisson distribution, nats per bin.
    mean_log_loss
        Log loss of naming the mean of the scored bins.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.evaluation import count_score
    >>> found = count_score(np.array([0.0, 1.0, 3.0, 0.0]), np.array([0.1, 0.9, 2.5, 0.1]))
    >>> round(found.deviance_explained, 2), found.log_loss < found.mean_log_loss
    (0.92, True)
    """

    deviance_explained: float
    log_loss: float
    mean_log_loss: float


def count_dimensions(dims: Sequence[str]) -> dict[str, int]:
    """Places of the dimensions that are numbers of events, by name.

    Examples
    --------
    >>> count_dimensions(["x", "#licks"])
    {'#licks': 1}
    """
    return {dim: place for place, dim in enumerate(dims) if dim.startswith(NUMBER)}


def count_score(true: Shaped[np.ndarray, "..."], decoded: Shaped[np.ndarray, "..."]) -> CountScore:
    """Score a decoded number of events.

    Parameters
    ----------
    true
        (bins,), whole numbers of events.
    decoded
        (bins,), expected numbers, as a decoder gives them; those below `LEAST` count as that.

    Raises
    ------
    InputError
        If shapes differ, there is no bin, or what is true is not a number of events.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.evaluation import count_score
    >>> licks = np.array([0.0, 1.0, 3.0, 0.0])
    >>> round(count_score(licks, np.array([0.1, 0.9, 2.5, 0.1])).deviance_explained, 2)
    0.92
    """
    true, decoded = np.asarray(true, np.float64), np.asarray(decoded, np.float64)
    if true.shape != decoded.shape or true.ndim != 1 or not true.size:
        raise InputError(f"expected true and decoded numbers (bins,) alike, got {true.shape} and {decoded.shape}")
    if (true < 0).any() or (true != np.round(true)).any():
        raise InputError("what is counted are whole numbers of 0 or more: score other values by R2")
    mean = max(float(true.mean()), LEAST)
    log_loss, least = _log_loss(true, np.maximum(decoded, LEAST)), _log_loss(true, true)
    usual = _log_loss(true, np.full_like(true, mean))
    explained = 1 - (log_loss - least) / (usual - least) if usual > least else float("nan")
    return CountScore(deviance_explained=float(explained), log_loss=log_loss, mean_log_loss=usual)


def _log_loss(true: Shaped[np.ndarray, " bins"], expected: Shaped[np.ndarray, " bins"]) -> float:
    return float(np.mean(expected - scipy.special.xlogy(true, expected) + scipy.special.gammaln(true + 1)))
