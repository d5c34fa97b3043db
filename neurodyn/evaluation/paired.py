r"""Whether one method decodes better than another: paired over folds, with an interval that is not too narrow.

Both methods are scored on the same held-out data of each of :math:`k` folds, so their difference is looked at fold by
fold. The training parts of the folds overlap, and the differences are therefore not independent: the variance of their
mean is larger than :math:`s^2 / k`. The corrected resampled t-test takes it to be

.. math::
    \widehat{\operatorname{var}}(\bar d) = \left(\frac{1}{k} + \frac{n_\mathrm{test}}{n_\mathrm{train}}\right) s^2 ,
    \qquad t = \bar d \, / \sqrt{\widehat{\operatorname{var}}(\bar d)} \sim t_{k-1} .

Reference: Nadeau & Bengio (2003), Inference for the generalization error, Machine Learning 52, 239-281.

How large a difference is for its spread is the effect size :math:`\bar d / s`; its interval inverts the noncentral t
distribution of :math:`t`. Methods compared in one table are many tests: :mod:`neurodyn.evaluation.comparison` corrects
their p values, and a table calls a method better or worse only where the corrected p value is below 0.05.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from neurodyn.display import Shown, pluralised
from neurodyn.errors import InputError
from neurodyn.evaluation.methods import SUPERVISED

LEVEL = 0.95
"""Of the intervals."""

MEAN = "mean"
"""Name of the first entry: the mean over the dimensions of the target."""

SIGNIFICANCE = 0.05
"""Corrected p value below which one method is called better or worse than another."""

BETTER, WORSE, ALIKE = "better", "worse", "not distinguishable"
"""What a table says of a method beside another one."""

_FAR = 300.0
"""t statistic beyond which only the estimated spread matters: its chi-square distribution gives the noncentrality."""
_DEEPEST = 3.0
"""No noncentrality of a 95 % interval is below minus this if the t statistic is not negative."""


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
    test_to_train
        Scored bins of a fold divided by the bins that were trained on.
    p_corrected
        (dims,) p values corrected for the other methods of the table; None where nothing else is compared.

    Examples
    --------
    >>> import neurodyn as nd
    >>> batch = nd.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=12), seed=0)
    >>> methods = [nd.Method(name, nd.CausalRidge(), (name,)) for name in ("spikes", "field")]
    >>> found = nd.cross_validate(methods, nd.trial_folds(batch, 3, seed=0)).difference("spikes", "field")
    >>> found.dims, found.per_fold.shape, len(found.verdicts())
    (('mean', 'x', 'y', 'z'), (3, 4), 4)
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
    test_to_train: float = 0.25
    p_corrected: Float[np.ndarray, " dims"] | None = None

    @property
    def decisive(self) -> Float[np.ndarray, " dims"]:
        """(dims,) p values that verdicts rest on: corrected ones where there are any."""
        return self.p_value if self.p_corrected is None else self.p_corrected

    def verdicts(self) -> tuple[str, ...]:
        """Whether the method is 'better' or 'worse' than the other, or 'not distinguishable' from it, per entry."""
        return tuple(verdict(mean, p) for mean, p in zip(self.difference, self.decisive, strict=True))

    def effects(
        self,
    ) -> tuple[Float[np.ndarray, " dims"], Float[np.ndarray, " dims"], Float[np.ndarray, " dims"]]:
        """Effect sizes with the bounds of their 95 % intervals, see `effect_size`."""
        return effect_size(self.per_fold, self.test_to_train)

    def trainings(self) -> str:
        """Whether the two learned from the target, as a table has it."""
        one, other = self.training
        return f"both {one}" if one == other else f"{one} minus {other}"

    def cells(self) -> tuple[str, ...]:
        """Difference, interval and p value (corrected if it can be) of each entry, as a table has them."""
        rows = zip(self.difference, self.low, self.high, self.decisive, strict=True)
        return tuple(f"{mean:+.3f} [{low:+.3f}, {high:+.3f}] {p_text(p)}" for mean, low, high, p in rows)

    def to_dict(self) -> dict[str, Any]:
        """Numbers by name of the dimension, for JSON; None for the infinite effect of folds that are all alike."""
        effect, effect_low, effect_high = self.effects()
        said = self.verdicts()
        return {
            name: {
                "difference": float(self.difference[i]),
                "low": float(self.low[i]),
                "high": float(self.high[i]),
                "p_value": float(self.p_value[i]),
                "p_corrected": float(self.decisive[i]),
                "effect_size": _finite(effect[i]),
                "effect_low": _finite(effect_low[i]),
                "effect_high": _finite(effect_high[i]),
                "verdict": said[i],
                "per_fold": self.per_fold[:, i].tolist(),
            }
            for i, name in enumerate(self.dims)
        }

    def _title(self) -> str:
        what = {"r2": "R²"}.get(self.metric, self.metric)
        folds = pluralised(len(self.per_fold), "fold")
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

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.evaluation import paired_difference
    >>> gains = np.array([[0.02], [0.04], [0.03], [0.05], [0.06]])
    >>> [part.round(3).item() for part in paired_difference(gains, test_to_train=0.25)]
    [0.04, 0.011, 0.069, 0.02]
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


def effect_size(
    values: Float[np.ndarray, "folds dims"], test_to_train: float
) -> tuple[Float[np.ndarray, " dims"], Float[np.ndarray, " dims"], Float[np.ndarray, " dims"]]:
    """Mean difference divided by the standard deviation of the differences, with its 95 % interval, column by column.

    The interval holds every effect that the corrected t statistic does not contradict: it inverts the noncentral t
    distribution, so that it excludes 0 exactly where the p value of `paired_difference` is below 0.05 (the test over
    sessions, `neurodyn.evaluation.compare`, has a larger error and may not follow it).

    Parameters
    ----------
    values
        Difference of each fold; at least two folds.
    test_to_train
        Scored bins of a fold divided by the bins that were trained on; 0 for sessions, which share nothing.

    Returns
    -------
    effect, low, high
        Infinite, with the sign of the difference, where all folds differ by the same; 0 where they do not differ.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.evaluation.paired import effect_size
    >>> [part.round(2).item() for part in effect_size(np.array([[0.02], [0.04], [0.03], [0.05], [0.06]]), 0.25)]
    [2.53, 0.35, 4.62]
    """
    folds, scale = len(values), math.sqrt(1 / len(values) + test_to_train)
    spread, mean = values.std(axis=0, ddof=1), values.mean(axis=0)
    # A spread that is rounding of equal differences is none.
    spread = np.where(spread > 1e-12 * np.abs(values).max(axis=0), spread, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        effect = np.where(mean == 0, 0.0, mean / spread)
    bounds = [[scale * _noncentrality(one / scale, folds - 1, share) for one in effect] for share in _TAILS]
    low, high = (np.where(spread > 0, bound, effect) for bound in bounds)
    return effect, low, high


_TAILS = ((1 + LEVEL) / 2, (1 - LEVEL) / 2)


def _noncentrality(statistic: float, freedom: int, share: float) -> float:
    """The noncentrality whose t distribution has this share below a t statistic; the statistic itself if infinite."""
    from scipy.optimize import brentq
    from scipy.stats import chi2, nct

    if not math.isfinite(statistic):
        return statistic
    if statistic < 0:  # the distribution of t mirrors that of -t
        return -_noncentrality(-statistic, freedom, 1 - share)
    if statistic > _FAR:
        return statistic * math.sqrt(chi2.isf(share, freedom) / freedom)

    def excess(shift: float) -> float:
        below = float(nct.cdf(statistic, freedom, shift))  # not a number where SciPy's series ends: so far out it is 0
        return (0.0 if math.isnan(below) else below) - share

    if excess(0.0) < 0:
        low, high = -_DEEPEST, 0.0
    else:
        low, step = 0.0, 5 * math.sqrt(1 + statistic**2 / (2 * freedom))
        high = statistic + step
        while excess(high) > 0:
            low, high = high, high + step
    root: Any = brentq(excess, low, high)
    return float(root)


def verdict(difference: float, p_value: float) -> str:
    """Say what a table says: 'better', 'worse', or 'not distinguishable' unless the (corrected) p value is below 0.05.

    Examples
    --------
    >>> from neurodyn.evaluation.paired import verdict
    >>> verdict(0.02, 0.01), verdict(-0.02, 0.01), verdict(0.02, 0.06)
    ('better', 'worse', 'not distinguishable')
    """
    if not p_value < SIGNIFICANCE or difference == 0:
        return ALIKE
    return BETTER if difference > 0 else WORSE


def _finite(value: float) -> float | None:
    """A number for JSON, which has no infinity."""
    return float(value) if math.isfinite(value) else None
