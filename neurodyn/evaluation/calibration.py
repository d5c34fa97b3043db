r"""Do predictive intervals hold what they promise, and how sharp are they?

The predictive distribution of a target dimension in a bin is normal, with the decoded value as its mean and the
decoder's own deviation. With the standardised error :math:`z = (y - \hat y) / \sigma`, its continuous ranked
probability score is

.. math::
    \mathrm{CRPS} = \sigma \left( z (2 \Phi(z) - 1) + 2 \phi(z) - \pi^{-1/2} \right)

which is the absolute error of a prediction without spread, in the unit of the target: lower is better, for being
right and for knowing how right.

Reference: Gneiting & Raftery (2007), Strictly proper scoring rules, prediction, and estimation, JASA 102.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from neurodyn.display import Shown, pluralised
from neurodyn.errors import InputError

LEVELS = (0.50, 0.80, 0.90, 0.95)
"""Shares of the truth that central intervals are asked to hold."""


@dataclass(frozen=True, repr=False)
class Calibration(Shown):
    """How predictive intervals fared, per target dimension.

    Parameters
    ----------
    levels
        (levels,) share of the truth that each central interval promises to hold.
    coverage
        (levels, dims) share that it held.
    width
        (dims,) mean width of the widest of them, in the unit of the target: small is sharp.
    crps
        (dims,) mean continuous ranked probability score, in the unit of the target.
    log_score
        (dims,) mean log density of the truth, nats; it depends on the target's unit.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.evaluation import calibrate
    >>> truth = np.random.default_rng(0).normal(size=(10_000, 1))
    >>> sure = calibrate(truth, np.zeros_like(truth), np.full_like(truth, 0.5))  # half as wide as is true
    >>> sure.levels, sure.coverage[:, 0].round(1).tolist()
    ((0.5, 0.8, 0.9, 0.95), [0.3, 0.5, 0.6, 0.7])
    """

    levels: tuple[float, ...]
    coverage: Float[np.ndarray, "levels dims"]
    width: Float[np.ndarray, " dims"]
    crps: Float[np.ndarray, " dims"]
    log_score: Float[np.ndarray, " dims"]

    def _title(self) -> str:
        return f"Calibration of {pluralised(len(self.width), 'dimension')}"

    def _facts(self) -> Iterable[tuple[str, str]]:
        for level, held in zip(self.levels, self.coverage, strict=True):
            yield f"{level:.0%} interval", f"holds {held.min():.1%} to {held.max():.1%} of the truth"


def calibrate(
    true: Float[np.ndarray, "bins dims"],
    predicted: Float[np.ndarray, "bins dims"],
    deviation: Float[np.ndarray, "bins dims"],
    *,
    levels: Sequence[float] = LEVELS,
) -> Calibration:
    """Hold normal predictive distributions against the truth.

    Parameters
    ----------
    true
        What was to be decoded.
    predicted, deviation
        Mean and standard deviation of the predictive distribution, in the same unit.
    levels
        Of the central intervals, between 0 and 1, in rising order.

    Raises
    ------
    InputError
        If shapes differ, there is no bin, a value is not finite, a deviation not positive or a level not in order.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.evaluation import calibrate
    >>> truth = np.random.default_rng(0).normal(size=(10_000, 1))
    >>> calibrate(truth, np.zeros_like(truth), np.ones_like(truth)).coverage[:, 0].round(2).tolist()
    [0.5, 0.8, 0.9, 0.95]
    """
    from scipy.special import ndtr, ndtri  # half of what it takes to start a command

    _check(true, predicted, deviation, levels)
    true, predicted, deviation = (values.astype(np.float64) for values in (true, predicted, deviation))
    z = (true - predicted) / deviation
    half = ndtri(0.5 + np.asarray(levels) / 2)
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    crps = deviation * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / np.sqrt(np.pi))
    log_density = -(z**2) / 2 - np.log(deviation) - np.log(2 * np.pi) / 2
    return Calibration(
        levels=tuple(levels),
        coverage=np.stack([np.mean(np.abs(z) <= bound, axis=0) for bound in half]),
        width=np.mean(2 * half[-1] * deviation, axis=0),
        crps=np.mean(crps, axis=0),
        log_score=np.mean(log_density, axis=0),
    )


def _check(true: np.ndarray, predicted: np.ndarray, deviation: np.ndarray, levels: Sequence[float]) -> None:
    if true.ndim != 2 or not true.shape == predicted.shape == deviation.shape or not len(true):
        raise InputError(
            "expected true and predicted values and deviations of one shape (bins, dims), got "
            f"{true.shape}, {predicted.shape} and {deviation.shape}"
        )
    for name, values in (("true values", true), ("predicted values", predicted), ("deviations", deviation)):
        if not np.isfinite(values).all():
            raise InputError(f"{name} must be finite: leave out the bins where the target is missing")
    if not (deviation > 0).all():
        raise InputError("deviations must be positive: a decoder that is certain cannot be calibrated")
    if not levels or list(levels) != sorted(set(levels)) or not 0 < levels[0] <= levels[-1] < 1:
        raise InputError(f"levels must rise and lie between 0 and 1, got {tuple(levels)}")
