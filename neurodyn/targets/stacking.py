r"""Weights of several decoders of one target, from held-out bins.

Every decoder ("expert") predicts the target in bins that none of them was fitted on. Their weights are non-negative
and may change with what has been lost lately: each bin has a share in a few *conditions* (everything observed; this or
that modality lost), and each condition has its own weights.

.. math::
    \hat y_t = \sum_c \phi_c(t) \sum_e w_{ce}\, p_e(t), \qquad w \ge 0

Errors last, so that few of the bins are independent. The dimensions of a target therefore share what they can: weights
common to all of them are fitted first, drawn to equal ones, and each dimension's own are drawn to these.

An expert that averages K members may predict the held-out bins with the few that have not seen them. Its scatter is
larger there than it will be; what is known of the difference is taken out of its second moment, as in regression with
errors in the regressors.

References: Breiman (1996), Stacked regressions, Machine Learning 24; Fuller (1987), Measurement error models.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy
from jaxtyping import Bool, Float

from neurodyn.errors import InputError

COMMON_DEVIATION = 0.5
"""How far weights common to all dimensions are expected to lie from equal ones: how strongly few bins are trusted."""
OWN_DEVIATION = 0.1
"""How far the weights of a dimension are expected to lie from the common ones."""
ROUNDS = 3
"""Times that the noise is taken anew from the errors that the weights leave."""


def fit_stack(
    predictions: Float[np.ndarray, "bins experts dims"],
    target: Float[np.ndarray, "bins dims"],
    conditions: Float[np.ndarray, "bins conditions"],
    independent: Float[np.ndarray, " dims"],
    scatter: Float[np.ndarray, "bins experts dims"] | None = None,
) -> Float[np.ndarray, "conditions experts dims"]:
    """Non-negative weights of the experts, for each condition and target dimension.

    For each dimension the weights minimise ``|y - sum_ce phi_c w_ce p_e|^2 + penalty |w - common|^2`` over ``w >= 0``,
    and the common ones the same summed over all dimensions of unit variance, with ``1/experts`` in their place: with
    little evidence they stay at the plain average.

    Parameters
    ----------
    predictions
        Of each expert, in bins that it was not fitted on, minus the training mean of the target.
    target
        The truth there, minus the same mean.
    conditions
        Share of each bin in each condition; each row adds up to 1.
    independent
        (dims,), how many of the bins count as independent (:func:`independent_bins`). The penalty is the noise variance
        per independent bin over the prior variance of the weights; the noise is what the weights leave.
    scatter
        Variance that each prediction has in these bins and will not have later; None: none.

    Raises
    ------
    InputError
        If shapes disagree or there are no bins.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.targets.stacking import fit_stack
    >>> truth = np.sin(np.arange(1000) / 9.0)[:, None]
    >>> noise = np.random.default_rng(0).normal(size=(1000, 1))
    >>> experts = np.stack([truth, truth + noise], axis=1)
    >>> fit_stack(experts, truth, np.ones((1000, 1)), np.asarray([1000.0])).round(1)[0, :, 0].tolist()
    [1.0, 0.0]
    """
    bins, experts, dims = predictions.shape
    if bins == 0 or target.shape != (bins, dims) or len(conditions) != bins:
        raise InputError(
            "expected predictions (bins, experts, dims), target (bins, dims) and conditions (bins, n) of the same "
            f"bins, got {predictions.shape}, {target.shape} and {conditions.shape}"
        )
    moments = [
        _Moments.of(predictions[..., d], target[:, d], conditions, None if scatter is None else scatter[..., d])
        for d in range(dims)
    ]
    equal = np.full(conditions.shape[1] * experts, 1.0 / experts)
    common = _weights(_Moments.summed(moments), equal, float(independent.sum()), COMMON_DEVIATION)
    own = [common] if dims == 1 else [
        _weights(some, common, float(count), OWN_DEVIATION) for some, count in zip(moments, independent, strict=True)
    ]  # fmt: skip
    return np.stack(own, axis=1).reshape(conditions.shape[1], experts, dims)


def independent_bins(
    errors: Float[np.ndarray, "trials time dims"], counted: Bool[np.ndarray, "trials time"]
) -> Float[np.ndarray, " dims"]:
    r"""How many independent bins errors that last are worth: ``n / (1 + 2 sum_k r_k)``.

    ``r_k`` is the autocorrelation at a lag of k bins, about zero and not about the mean, since an error that never
    changes is one sample; the sum ends where it first falls below 0.05.

    Parameters
    ----------
    errors
        Of a prediction on held-out runs.
    counted
        Bins that count.

    Reference
    ---------
    Geyer (1992), Practical Markov chain Monte Carlo, Statistical Science 7.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.targets import independent_bins
    >>> fresh = np.random.default_rng(0).normal(size=(1, 1000, 1))
    >>> lasting = np.repeat(fresh[:, :100], 10, axis=1)
    >>> counted = np.ones((1, 1000), bool)
    >>> bool(independent_bins(fresh, counted)[0] > 900), bool(independent_bins(lasting, counted)[0] < 150)
    (True, True)
    """
    masked = np.where(counted[..., None], errors, 0.0)
    size = 2 * masked.shape[1]
    spectrum = np.abs(np.fft.rfft(masked, size, axis=1)) ** 2
    pairs = np.abs(np.fft.rfft(counted.astype(np.float64), size, axis=1)) ** 2
    products = np.fft.irfft(spectrum.sum(axis=0), size, axis=0)[: masked.shape[1]]
    count = np.fft.irfft(pairs.sum(axis=0), size)[: masked.shape[1], None]
    covariance = products / np.maximum(np.round(count), 1)
    correlation = covariance / np.maximum(covariance[:1], np.finfo(np.float64).tiny)
    alike = np.cumprod(correlation > 0.05, axis=0).astype(bool)
    lasting = 2 * np.sum(np.where(alike, correlation, 0), axis=0) - 1
    return np.maximum(counted.sum() / np.maximum(lasting, 1), 1)


class _Moments(NamedTuple):
    """What the squared error of weights depends on: of the weighed predictions, with the target, of the target."""

    products: Float[np.ndarray, "weights weights"]
    along: Float[np.ndarray, " weights"]
    size: float
    bins: int

    @classmethod
    def of(
        cls, predictions: np.ndarray, target: np.ndarray, conditions: np.ndarray, scatter: np.ndarray | None
    ) -> "_Moments":
        bins, experts = predictions.shape
        inputs = (conditions[:, :, None] * predictions[:, None]).reshape(bins, -1)
        products = inputs.T @ inputs
        if scatter is not None:
            for expert in range(experts):
                products[expert::experts, expert::experts] -= conditions.T @ (scatter[:, [expert]] * conditions)
            values, vectors = np.linalg.eigh(products)
            products = (vectors * np.maximum(values, 0)) @ vectors.T
        return cls(products, inputs.T @ target, float(target @ target), bins)

    @classmethod
    def summed(cls, several: Sequence["_Moments"]) -> "_Moments":
        """Of several dimensions, each in units of its own size."""
        unit = [max(one.size, np.finfo(np.float64).tiny) / one.bins for one in several]
        products = np.sum([one.products / u for one, u in zip(several, unit, strict=True)], axis=0)
        along = np.sum([one.along / u for one, u in zip(several, unit, strict=True)], axis=0)
        size = sum(one.size / u for one, u in zip(several, unit, strict=True))
        return cls(products, along, size, sum(one.bins for one in several))


def _weights(moments: _Moments, prior: np.ndarray, independent: float, deviation: float) -> np.ndarray:
    products, along, size, bins = moments
    weights = prior
    for _ in range(ROUNDS):
        noise = max(size - 2 * along @ weights + weights @ products @ weights, 1e-9 * size) / bins
        penalty = noise * bins / max(independent, 1.0) / deviation**2
        factor = scipy.linalg.cholesky(products + penalty * np.eye(len(prior)), lower=False)
        weights = scipy.optimize.nnls(
            factor, scipy.linalg.solve_triangular(factor.T, along + penalty * prior, lower=True)
        )[0]
    return weights
