"""How well a prediction matches: correlation, R2, bits per spike, and their summary over folds.

A metric that is undefined raises instead of returning NaN: a constant target or prediction is a fact to
report, not a number to average.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float

from neurodyn.display import Shown, pluralised
from neurodyn.errors import InputError, unknown_name
from neurodyn.evaluation.calibration import Calibration, calibrate

if TYPE_CHECKING:
    import xarray as xr

METRICS = ("correlation", "r2")
"""Metrics that have one number per target dimension."""


@dataclass(frozen=True, repr=False)
class Score(Shown):
    """Agreement of one prediction with the truth, per target dimension.

    Attributes
    ----------
    dims
        Names of the target dimensions.
    correlation
        (dims,), Pearson correlation.
    r2
        (dims,), coefficient of determination.
    n_bins
        Number of bins scored.
    bits_per_spike
        For each spiking modality that the decoder predicts: bits per spike over each unit's mean count; empty for a
        decoder that predicts no spikes.
    intervals
        How the predictive intervals fared (:func:`neurodyn.evaluation.calibrate`); None if there are none.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.evaluation import score
    >>> found = score(np.array([[0.0], [1.0], [2.0]]), np.array([[0.0], [1.0], [1.0]]), ["speed"])
    >>> round(found.mean("r2"), 2), found["r2"].dims
    (0.5, ('dim',))
    >>> found
    Score over 3 bins, mean R² 0.500, mean correlation 0.866
      speed  R² 0.500, correlation 0.866
    """

    dims: tuple[str, ...]
    correlation: Float[np.ndarray, " dims"]
    r2: Float[np.ndarray, " dims"]
    n_bins: int
    bits_per_spike: Mapping[str, float] = field(default_factory=dict)
    intervals: Calibration | None = None

    def __post_init__(self) -> None:
        if not len(self.dims) == len(self.correlation) == len(self.r2):
            raise InputError(
                f"a score needs one correlation and one R2 per dimension, got {len(self.correlation)} and "
                f"{len(self.r2)} for {self.dims}"
            )

    def _title(self) -> str:
        means = f", mean R² {self.mean():.3f}, mean correlation {self.mean('correlation'):.3f}" if self.dims else ""
        return f"Score over {pluralised(self.n_bins, 'bin')}{means}"

    def _facts(self) -> Iterable[tuple[str, str]]:
        for name, bits in self.bits_per_spike.items():
            yield name, f"{bits:.3f} bits per spike"
        held = [""] * len(self.dims)
        if (found := self.intervals) is not None and found.levels:
            held = [f", {share:.1%} in the {found.levels[-1]:.0%} interval" for share in found.coverage[-1]]
        for name, r2, correlation, share in zip(self.dims, self.r2, self.correlation, held, strict=True):
            yield name, f"R² {r2:.3f}, correlation {correlation:.3f}{share}"

    def mean(self, metric: str = "r2") -> float:
        """Mean over the target dimensions of ``"r2"`` or ``"correlation"``.

        Raises
        ------
        InputError
            If there is no such metric, or no target.
        """
        if metric not in METRICS:
            raise unknown_name("metric", metric, METRICS)
        if not self.dims:
            raise InputError("there is no target, so there is nothing to average: fit with a target")
        return float(getattr(self, metric).mean())

    def to_xarray(self) -> "xr.Dataset":
        """The same, labelled: ``correlation`` and ``r2`` per dimension, ``bits_per_spike`` per spiking modality.

        With intervals also ``coverage`` per level, ``width`` (of 95 %), ``crps`` and ``log_score``.
        """
        import xarray as xr

        variables: dict = {name: ("dim", getattr(self, name)) for name in METRICS if self.dims}
        if self.bits_per_spike:
            variables["bits_per_spike"] = ("modality", np.array(list(self.bits_per_spike.values())))
        coordinates: dict = {"dim": list(self.dims), "modality": list(self.bits_per_spike)}
        if self.intervals is not None:
            coordinates["level"] = list(self.intervals.levels)
            variables["coverage"] = (("level", "dim"), self.intervals.coverage)
            variables |= {name: ("dim", getattr(self.intervals, name)) for name in ("width", "crps", "log_score")}
        return xr.Dataset(variables, coordinates)

    def __getitem__(self, name: str) -> "xr.DataArray":
        """One metric, labelled."""
        found = self.to_xarray()
        if name not in found:
            raise unknown_name("metric", name, [str(each) for each in found.data_vars])
        return found[name]


def correlation(true: Float[np.ndarray, "..."], predicted: Float[np.ndarray, "..."]) -> Float[np.ndarray, " dims"]:
    """Pearson correlation of each dimension over bins.

    Parameters
    ----------
    true, predicted
        (bins, dims), finite; the unit does not matter.

    Returns
    -------
    (dims,), in [-1, 1].

    Raises
    ------
    InputError
        If shapes disagree, a value is not finite, or a dimension of either is constant.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.evaluation import correlation
    >>> true = np.array([[0.0, 3.0], [1.0, 2.0], [2.0, 1.0]])
    >>> correlation(true, 2 * true + 1).round(2).tolist()
    [1.0, 1.0]
    """
    true, predicted = _checked(true, predicted)
    _raise_if_constant(true, "true values", "a correlation")
    _raise_if_constant(predicted, "predicted values", "a correlation")
    a, b = _unit(true), _unit(predicted)
    return np.clip(np.sum(a * b, axis=0), -1.0, 1.0)


def r2(true: Float[np.ndarray, "..."], predicted: Float[np.ndarray, "..."]) -> Float[np.ndarray, " dims"]:
    """Coefficient of determination of each dimension: ``1 - sum (y - p)^2 / sum (y - mean y)^2``.

    Parameters
    ----------
    true, predicted
        (bins, dims), finite, in the same unit.

    Returns
    -------
    (dims,), at most 1; negative where the mean of the true values would have predicted better.

    Raises
    ------
    InputError
        If shapes disagree, a value is not finite, or a dimension of the true values is constant.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.evaluation import r2
    >>> r2(np.array([[0.0], [1.0], [2.0]]), np.array([[0.0], [1.0], [1.0]])).tolist()
    [0.5]
    """
    true, predicted = _checked(true, predicted)
    _raise_if_constant(true, "true values", "R2")
    return 1.0 - np.sum((true - predicted) ** 2, axis=0) / np.sum((true - true.mean(0)) ** 2, axis=0)


def angle_error(true: Float[np.ndarray, "..."], predicted: Float[np.ndarray, "..."]) -> Float[np.ndarray, " bins"]:
    """How far a decoded direction lies from the true one, the shorter way round.

    Parameters
    ----------
    true, predicted
        (bins, 2), cosine and sine; neither needs to have length one.

    Returns
    -------
    (bins,), degrees, 0 to 180.

    Raises
    ------
    InputError
        If shapes disagree, a value is not finite, or there are not two columns.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.evaluation import angle_error
    >>> angle_error(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[0.0, -0.5], [0.0, 2.0]])).tolist()
    [90.0, 0.0]
    """
    true, predicted = _checked(true, predicted)
    if true.shape[1] != 2:
        raise InputError(f"an angle is given by its cosine and sine, got {true.shape[1]} columns")
    along = np.sum(true * predicted, axis=1)
    across = true[:, 0] * predicted[:, 1] - true[:, 1] * predicted[:, 0]
    return np.degrees(np.abs(np.arctan2(across, along)))


def bits_per_spike(
    rates: Float[np.ndarray, "..."], counts: Float[np.ndarray, "..."], observed: Bool[np.ndarray, "..."]
) -> float:
    """Poisson log-likelihood gained over each channel's mean rate, in bits per spike.

    ``(L(rates) - L(mean counts)) / (spikes ln 2)``  with  ``L(r) = sum of n ln r - r - ln n!`` over observed
    entries.

    Parameters
    ----------
    rates
        (..., channels), expected spikes per bin, not negative, positive where there are spikes.
    counts
        (..., channels), spikes per bin.
    observed
        (..., channels), False where a count is missing.

    Returns
    -------
    Bits per spike; 0 means no better than the mean rates of these very data.

    Raises
    ------
    InputError
        If shapes disagree, a rate or count is negative or not finite, a rate is zero where there are spikes,
        or there is no spike.

    Reference
    ---------
    Pei et al. (2021), Neural Latents Benchmark, section on co-smoothing.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.evaluation import bits_per_spike
    >>> counts = np.array([[0.0], [4.0], [0.0], [4.0]])
    >>> round(bits_per_spike(np.array([[0.1], [3.9], [0.1], [3.9]]), counts, np.ones((4, 1), bool)), 2)
    0.96
    """
    rates, counts = _checked_counts(rates, counts, observed)
    channels = counts.shape[-1]
    mask = observed.reshape(-1, channels)
    n = np.where(mask, counts.reshape(-1, channels), 0.0)
    r = np.where(mask, rates.reshape(-1, channels), 0.0)
    mean = np.broadcast_to(n.sum(0) / np.maximum(mask.sum(0), 1), n.shape)
    null = np.where(mask, mean, 0.0)
    if not n.any():
        raise InputError("bits per spike need at least one observed spike, got none")
    return float((_poisson(n, r) - _poisson(n, null)) / (n.sum() * np.log(2)))


def score(
    true: Float[np.ndarray, "..."],
    predicted: Float[np.ndarray, "..."],
    dims: Sequence[str],
    deviation: Float[np.ndarray, "..."] | None = None,
) -> Score:
    """Score a prediction against the truth over the bins of one held-out set.

    Parameters
    ----------
    true, predicted
        (bins, dims), finite, in the same unit: pass the scored bins only.
    dims
        Name of each dimension.
    deviation
        (bins, dims), standard deviation of the predictive distribution; None, or where there is a bin without spread,
        leaves the intervals out.

    Returns
    -------
    Score with the correlation and R2 of each dimension, and how the intervals fared if deviations are given.

    Raises
    ------
    InputError
        As ``correlation`` and ``r2``, or if there is not one name per dimension.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.evaluation import score
    >>> found = score(np.array([[0.0], [1.0], [2.0]]), np.array([[0.0], [1.0], [1.0]]), ["speed"])
    >>> round(found.mean("r2"), 2), round(found.mean("correlation"), 2)
    (0.5, 0.87)
    """
    if true.ndim == 2 and true.shape[1] != len(dims):
        raise InputError(f"expected one name per target dimension, got {len(dims)} for {true.shape[1]} dimensions")
    intervals = None
    if deviation is not None and (deviation > 0).all():
        intervals = calibrate(true, predicted, deviation)
    return Score(tuple(dims), correlation(true, predicted), r2(true, predicted), len(true), intervals=intervals)


def summarise(scores: Sequence[Score]) -> dict[str, dict]:
    """Mean over folds and dimensions, with the parts it is made of, as plain numbers that JSON can hold.

    Parameters
    ----------
    scores
        One score per fold, all with the same dimensions.

    Returns
    -------
    ``{"correlation": part, "r2": part}``, each part ``{"mean": float, "per_dimension": {name: mean over
    folds}, "per_fold": [mean over dimensions], "per_fold_per_dimension": [[one row per fold]]}``.

    Raises
    ------
    InputError
        If there is no score or their dimensions differ.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.evaluation import score, summarise
    >>> true = np.array([[0.0], [1.0], [2.0]])
    >>> folds = [score(true, true + noise * np.array([[1.0], [-1.0], [1.0]]), ["speed"]) for noise in (0.0, 0.5)]
    >>> summarise(folds)["r2"]["per_fold"], summarise(folds)["r2"]["mean"]
    ([1.0, 0.625], 0.8125)
    """
    if not scores:
        raise InputError("expected at least one score to summarise, got none")
    if any(s.dims != scores[0].dims for s in scores):
        raise InputError(f"scores of different dimensions cannot be averaged: {sorted({s.dims for s in scores})}")
    dims = scores[0].dims
    return {
        "correlation": _part(np.stack([s.correlation for s in scores]), dims),
        "r2": _part(np.stack([s.r2 for s in scores]), dims),
    }


def _part(values: Float[np.ndarray, "folds dims"], dims: tuple[str, ...]) -> dict:
    return {
        "mean": float(values.mean()),
        "per_dimension": {name: float(v) for name, v in zip(dims, values.mean(0), strict=True)},
        "per_fold": [float(v) for v in values.mean(1)],
        "per_fold_per_dimension": values.tolist(),
    }


def _checked(true: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if true.ndim != 2 or true.shape != predicted.shape:
        raise InputError(
            f"expected true and predicted values of one shape (bins, dims), got {true.shape} and {predicted.shape}"
        )
    if len(true) < 2:
        raise InputError(f"expected at least 2 bins to score, got {len(true)}")
    for name, values in (("true", true), ("predicted", predicted)):
        if not np.isfinite(values).all():
            raise InputError(f"{name} values must be finite: leave out the bins where the target is missing")
    return true.astype(np.float64), predicted.astype(np.float64)


def _raise_if_constant(values: np.ndarray, kind: str, metric: str) -> None:
    constant = np.flatnonzero(np.ptp(values, axis=0) == 0)
    if len(constant):
        raise InputError(f"{kind} of dimension {constant[0]} are constant: {metric} is not defined there")


def _unit(values: np.ndarray) -> np.ndarray:
    centred = values - values.mean(0)
    return centred / np.linalg.norm(centred, axis=0)


def _checked_counts(rates: np.ndarray, counts: np.ndarray, observed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if not rates.shape == counts.shape == observed.shape or counts.ndim < 1:
        raise InputError(
            f"rates, counts and observed must have one shape, got {rates.shape}, {counts.shape} and {observed.shape}"
        )
    for name, values in (("rates", rates), ("counts", counts)):
        if not np.all(np.isfinite(values[observed]) & (values[observed] >= 0)):
            raise InputError(f"{name} must be finite and not negative where observed")
    if np.any((rates <= 0) & (counts > 0) & observed):
        raise InputError("a rate is zero where spikes were observed: rates are expected counts per bin, not logs")
    return rates.astype(np.float64), counts.astype(np.float64)


def _poisson(counts: np.ndarray, rates: np.ndarray) -> float:
    from scipy.special import gammaln, xlogy  # half of what it takes to start a command, if it is imported at the top

    return float(np.sum(xlogy(counts, rates) - rates - gammaln(counts + 1)))
