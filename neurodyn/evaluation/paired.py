r"""Whether one method decodes better than another: paired over folds, with an interval that is not too narrow.

Both methods are scored on the same held-out data of each of :math:`k` folds, so their difference is looked at fold by
fold. The training parts of the folds overlap, and the differences are therefore not independent: the variance of their
mean is larger than :math:`s^2 / k`. The corrected resampled t-test takes it to be

.. math::
    \widehat{\operatorname{var}}(\bar d) = \left(\frac{1}{k} + \frac{n_\mathrm{test}}{n_\mathrm{train}}\right) s^2 ,
    \qquad t = \bar d \, / \sqrt{\widehat{\operatorname{var}}(\bar d)} \sim t_{k-1} .

Reference: Nadeau & Bengio (2003), Inference for the generalization error, Machine Learning 52, 239-281.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from neurodyn.display import Shown, counted
from neurodyn.errors import InputError
from neurodyn.evaluation.methods import SUPERVISED

LEVEL = 0.95
"""Of the intervals."""

MEAN = "mean"
"""Name of the first entry: the mean over the dimensions of the target."""


@dataclass(frozen=True, eq=False, repr=False)
class PairedDifference(Shown):
    """By how much one method's score exceeds another's, fold by fold.

    Parameters
    ----------
    method, other
        Names: the difference is the score of ``method`` minus that of ``other``.
    metric, estimate
        'r2' or 'correlation'; 'filtered' or 'smoothed'.
    dims
        'mean', for the mean over the dimensions of the target, then the dimensions.
    per_fold
        (folds, dims) differences.
    difference, low, high
        (dims,) mean over folds with its 95 % interval.
    p_value
        (dims,) probability of a mean this far from 0, or farther, if the methods were equally good (two-sided).
    training
        Of the method and of the other: 'supervised' or 'unsupervised'.
    """

    method: str
    other: str
    metric: str
    estimate: str
    dims: tuple[str, ...]
    per_fold: Float[np.ndarray, "folds dims"]
    difference: Float[np.ndarray, " dims"]
    low: Float[np.ndarray, " dims"]
    high: Float[np.ndarray, " dims"]
    p_value: Float[np.ndarray, " dims"]
    training: tuple[str, str] = (SUPERVISED, SUPERVISED)

    def trainings(self) -> str:
        """Whether the two learned from the target, as a table has it."""
        one, other = self.training
        return f"both {one}" if one == other else f"{one} minus {other}"

    def cells(self) -> tuple[str, ...]:
        """Difference, interval and p value of each entry, as a table has them."""
        rows = zip(self.difference, self.low, self.high, self.p_value, strict=True)
        return tuple(f"{mean:+.3f} [{low:+.3f}, {high:+.3f}] {p_text(p)}" for mean, low, high, p in rows)

    def to_dict(self) -> dict[str, Any]:
        """Numbers by name of the dimension, for JSON."""
        return {
            name: {
                "difference": float(self.difference[i]),
                "low": float(self.low[i]),
                "high": float(self.high[i]),
                "p_value": float(self.p_value[i]),
                "per_fold": self.per_fold[:, i].tolist(),
            }
            for i, name in enumerate(self.dims)
        }

    def _title(self) -> str:
        what = {"r2": "R²"}.get(self.metric, self.metric)
        folds = counted(len(self.per_fold), "fold")
        return f"PairedDifference: {what} of {self.method} minus {self.other}, {self.estimate}, {folds}"

    def _facts(self) -> Iterable[tuple[str, str]]:
        yield from zip(self.dims, self.cells(), strict=True)


def paired_difference(
    values: Float[np.ndarray, "folds dims"], test_to_train: float
) -> tuple[
    Float[np.ndarray, " dims"], Float[np.ndarray, " dims"], Float[np.ndarray, " dims"], Float[np.ndarray, " dims"]
]:
    """Mean, bounds of its 95 % interval and p value of differences of scores, column by column.

    Parameters
    ----------
    values
        Difference of each fold; at least two folds.
    test_to_train
        Scored bins of a fold divided by the bins that were trained on.

    Returns
    -------
    mean, low, high, p
        Where all folds differ by the same, the interval is that number, and p is 0 unless it is 0.

    Raises
    ------
    InputError
        For fewer than two folds, or a ratio that is not positive.
    """
    from scipy.stats import t as student

    folds = len(values)
    if folds < 2:
        raise InputError(f"a difference needs at least 2 folds to have an interval, got {folds}")
    if not (math.isfinite(test_to_train) and test_to_train > 0):
        raise InputError(f"the ratio of test to training data must be positive, got {test_to_train}")
    mean = values.mean(axis=0)
    error = values.std(axis=0, ddof=1) * math.sqrt(1 / folds + test_to_train)
    half = student.ppf((1 + LEVEL) / 2, folds - 1) * error
    with np.errstate(divide="ignore", invalid="ignore"):
        p_value = 2 * student.sf(np.abs(mean) / error, folds - 1)
    p_value = np.where(error > 0, p_value, np.where(mean == 0, 1.0, 0.0))
    return mean, mean - half, mean + half, p_value


def p_text(p_value: float) -> str:
    """A p value as it is written: ``p = 0.012``, ``p < 0.001``."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.2g}"
