r"""Many methods, seeds and sessions: p values corrected for all that one table compares, and one test over sessions.

**Sessions.** Scores of one session depend on each other, through the animal, the day and overlapping training parts;
scores of different sessions do not. The hierarchical bootstrap draws sessions, and within each of them seeds and folds,
with replacement, and takes the spread of the mean over the draws. With the few sessions that there usually are, the
percentiles of the draws are too narrow (with five sessions they call one true null hypothesis in eight a difference,
``tests/evaluation/test_comparison.py``), so that the interval is built from the spread and the t distribution instead:

.. math::
    \bar d \pm t_{S-1,\,0.975}\, \sqrt{\tfrac{S}{S-1}}\; \operatorname{sd}_\mathrm{boot}(\bar d) .

**One session.** Seeds are averaged (they share every bin of data), and folds compared by the corrected resampled t-test
(:mod:`neurodyn.evaluation.paired`).

**Many methods.** Of :math:`m` comparisons in one table, Holm's method multiplies the smallest p value by :math:`m`, the
next by :math:`m - 1`, and so on, and never lets a larger one fall below a smaller one: the probability of a single
false difference in the whole table stays below 0.05, however the tests depend on each other.

References: Holm (1979), Scandinavian Journal of Statistics 6, 65-70; Saravanan, Berman & Sober (2020), Application of
the hierarchical bootstrap to multi-level data in neuroscience, Neurons, Behavior, Data analysis and Theory 3(5).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float

from neurodyn.errors import InputError
from neurodyn.evaluation.paired import LEVEL, PairedDifference, effect_size, p_text, paired_difference, verdict

DRAWS = 4000
"""Draws of the bootstrap: its standard error is then known to about 1 %."""


@dataclass(frozen=True)
class Comparison:
    """By how much one method's score exceeds another's, over sessions, seeds and folds.

    Parameters
    ----------
    difference, low, high
        Mean difference with its 95 % interval.
    p_value
        Probability of a mean this far from 0, or farther, if the methods were equally good (two-sided).
    effect, effect_low, effect_high
        Mean difference divided by its standard deviation over sessions (of one session: over folds), with its 95 %
        interval.
    sessions, folds
        How many there were; folds of all sessions together.
    p_corrected
        p value corrected for the other comparisons of the table; None where there are none.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.evaluation import compare
    >>> rng = np.random.default_rng(0)
    >>> found = compare([0.03 + 0.01 * rng.normal(size=(1, 5)) for _ in range(6)], test_to_train=0.25)
    >>> found.sessions, found.folds, found.verdict(), bool(found.low < found.difference < found.high)
    (6, 30, 'better', True)
    """

    difference: float
    low: float
    high: float
    p_value: float
    effect: float
    effect_low: float
    effect_high: float
    sessions: int
    folds: int
    p_corrected: float | None = None

    @property
    def decisive(self) -> float:
        """The p value that the verdict rests on: the corrected one if there is one."""
        return self.p_value if self.p_corrected is None else self.p_corrected

    def verdict(self) -> str:
        """Say 'better', 'worse', or 'not distinguishable' unless the (corrected) p value is below 0.05."""
        return verdict(self.difference, self.decisive)

    def cell(self) -> str:
        """Difference, interval and p value, as a table has them."""
        return f"{self.difference:+z.3f} [{self.low:+z.3f}, {self.high:+z.3f}] {p_text(self.decisive)}"


def compare(
    differences: Sequence[Float[np.ndarray, "_ _"]], test_to_train: float, *, draws: int = DRAWS, seed: int = 0
) -> Comparison:
    """Compare two methods by the differences of their scores on the same folds.

    Parameters
    ----------
    differences
        (seeds, folds) of each session: score of the one method minus that of the other. Sessions may differ in numbers.
        A method that has no seed is repeated for each of them.
    test_to_train
        Scored bins of a fold divided by the bins that were trained on; it matters for a single session.
    draws, seed
        Of the bootstrap over several sessions.

    Raises
    ------
    InputError
        If there is one fold of one session only, or a difference is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.evaluation import compare
    >>> rng = np.random.default_rng(0)
    >>> sessions = [0.03 + 0.01 * rng.normal(size=(1, 5)) for _ in range(6)]
    >>> compare(sessions, test_to_train=0.25).verdict()
    'better'
    """
    tables = [np.asarray(table, np.float64) for table in differences]
    if not tables or any(table.ndim != 2 or not table.size for table in tables):
        raise InputError("differences are one array (seeds, folds) for each session, none of them empty")
    if not all(np.isfinite(table).all() for table in tables):
        raise InputError("differences must be finite: a score is missing or undefined")
    sessions, folds = len(tables), sum(table.shape[1] for table in tables)
    if sessions == 1:
        values = tables[0].mean(axis=0)[:, None]
        found = tuple(float(part[0]) for part in paired_difference(values, test_to_train))
        effects = effect_size(values, test_to_train)
    else:
        found = _over_sessions(tables, draws, seed)
        effects = effect_size(np.asarray([[table.mean()] for table in tables]), 0.0)
    mean, low, high, p_value = found
    effect, effect_low, effect_high = (float(part[0]) for part in effects)
    return Comparison(
        difference=mean, low=low, high=high, p_value=p_value, effect=effect, effect_low=effect_low,
        effect_high=effect_high, sessions=sessions, folds=folds,
    )  # fmt: skip


def hierarchical_bootstrap(
    tables: Sequence[Float[np.ndarray, "_ _"]], *, draws: int = DRAWS, seed: int = 0
) -> Float[np.ndarray, " draws"]:
    """Means over sessions that are drawn with replacement, and within each of them its seeds and its folds.

    Seeds and folds of a session cross: a fold that is drawn twice counts twice for every seed.

    Parameters
    ----------
    tables
        (seeds, folds) values of each session.
    draws, seed
        How many, and of what randomness.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.evaluation import hierarchical_bootstrap
    >>> hierarchical_bootstrap([np.zeros((1, 3)), np.ones((1, 3))], draws=1000).std().round(1).item()
    0.4
    """
    rng, count = np.random.default_rng(seed), len(tables)
    # How often each session is drawn. It is drawn anew in its seeds and folds every time.
    times = rng.multinomial(count, np.full(count, 1 / count), size=draws)
    total = np.zeros(draws)
    for table, drawn in zip(tables, times.T, strict=True):
        owner = np.repeat(np.arange(draws), drawn)
        weights = [rng.multinomial(n, np.full(n, 1 / n), size=len(owner)) / n for n in table.shape]
        means = np.einsum("ds,sf,df->d", weights[0], table, weights[1])
        total += np.bincount(owner, weights=means, minlength=draws)
    return total / count


def _over_sessions(tables: Sequence[np.ndarray], draws: int, seed: int) -> tuple[float, float, float, float]:
    """Mean over sessions, bounds of its 95 % interval and p value.

    The means of sessions already scatter by what their seeds and folds scatter, which is drawn once more here: where
    sessions hardly differ, the error is too large and the test says "not distinguishable" too often, never too rarely.
    """
    from scipy.stats import t as student

    count, mean = len(tables), float(np.mean([table.mean() for table in tables]))
    # A bootstrap of few sessions underestimates the variance by the share that a sample variance does.
    error = float(hierarchical_bootstrap(tables, draws=draws, seed=seed).std() * np.sqrt(count / (count - 1)))
    if error <= 1e-12 * max(np.abs(table).max() for table in tables):
        return mean, mean, mean, 1.0 if mean == 0 else 0.0
    half = float(student.ppf((1 + LEVEL) / 2, count - 1)) * error
    return mean, mean - half, mean + half, float(2 * student.sf(abs(mean) / error, count - 1))


def holm(p_values: Float[np.ndarray, "tests *columns"]) -> Float[np.ndarray, "tests *columns"]:
    """p values corrected for their number by Holm's method, column by column.

    Parameters
    ----------
    p_values
        One row for each comparison of the table.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.evaluation import holm
    >>> holm(np.array([0.01, 0.04, 0.03])).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, axis=0, kind="stable")
    left = np.arange(len(p_values), 0, -1).reshape(-1, *(1,) * (p_values.ndim - 1))
    raised = np.maximum.accumulate(np.take_along_axis(p_values, order, axis=0) * left, axis=0)
    corrected = np.empty_like(raised)
    np.put_along_axis(corrected, order, np.minimum(raised, 1.0), axis=0)
    return corrected


_Compared = TypeVar("_Compared", Comparison, PairedDifference)


def corrected(comparisons: Sequence[_Compared]) -> list[_Compared]:
    """The comparisons of one table, their p values corrected for each other; of differences, dimension by dimension.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.evaluation import compare, corrected
    >>> rng = np.random.default_rng(0)
    >>> table = [compare([0.1 * place + rng.normal(size=(1, 5))], 0.25) for place in range(3)]
    >>> [row.p_corrected >= row.p_value for row in corrected(table)]
    [True, True, True]
    """
    if not comparisons:
        return []
    raised: Any = holm(np.asarray([one.p_value for one in comparisons], np.float64))
    single = raised.ndim == 1
    return [replace(one, p_corrected=float(p) if single else p) for one, p in zip(comparisons, raised, strict=True)]
