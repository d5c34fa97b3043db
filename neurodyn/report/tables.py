"""Scores laid out as rows: methods x (filtered, smoothed), a column per target dimension."""

from dataclasses import dataclass

import numpy as np

from neurodyn.evaluation import CrossValidation


@dataclass(frozen=True)
class ScoreRow:
    """One line of a table of scores.

    Parameters
    ----------
    method
        Name of the method.
    training
        'supervised' if the target was in its objective, 'unsupervised' if not.
    estimate
        'filtered' (causal: what a live decoder knows) or 'smoothed' (the whole trial).
    mean, spread
        Mean over dimensions: its mean and standard deviation over folds.
    per_dimension, spread_per_dimension
        (mean, standard deviation over folds) of each target dimension.
    best
        Whether no other method with this estimate has a higher mean.

    Examples
    --------
    >>> import neurodyn as nd
    >>> batch = nd.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=12), seed=0)
    >>> ridge = nd.Method("ridge", nd.CausalRidge(), ("spikes",))
    >>> rows = nd.report.score_rows(nd.cross_validate([ridge], nd.trial_folds(batch, 3, seed=0)), "r2")
    >>> rows[0].method, rows[0].estimate, rows[0].training, len(rows[0].cells())
    ('ridge', 'filtered', 'supervised', 4)
    """

    method: str
    training: str
    estimate: str
    mean: float
    spread: float
    per_dimension: tuple[float, ...]
    spread_per_dimension: tuple[float, ...]
    best: bool

    def cells(self) -> tuple[str, ...]:
        """Return ``mean ± spread`` over all dimensions, then of each dimension."""
        pairs = zip((self.mean, *self.per_dimension), (self.spread, *self.spread_per_dimension), strict=True)
        return tuple(f"{mean:.2f} ± {spread:.2f}" for mean, spread in pairs)


def score_rows(result: CrossValidation, metric: str) -> tuple[ScoreRow, ...]:
    """Rows of one metric, the filtered estimates first.

    Parameters
    ----------
    result
        All methods on all folds.
    metric
        'r2' or 'correlation', a field of ``Score``.

    Examples
    --------
    >>> import neurodyn as nd
    >>> batch = nd.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=12), seed=0)
    >>> ridge = nd.Method("ridge", nd.CausalRidge(), ("spikes",))
    >>> result = nd.cross_validate([ridge], nd.trial_folds(batch, 3, seed=0))
    >>> [(row.method, row.estimate) for row in nd.report.score_rows(result, "r2")]
    [('ridge', 'filtered'), ('ridge', 'smoothed')]
    """
    rows = []
    for smoothed in (False, True):
        table = {
            method: np.stack([getattr(score, metric) for score in result.scores(method, smoothed=smoothed)])
            for method in result.methods
            if result.scores(method, smoothed=smoothed)
        }
        if not table:
            continue
        top = max(values.mean() for values in table.values())
        for method, values in table.items():
            estimate = "smoothed" if smoothed else "filtered"
            rows.append(_row(method, result.training(method), estimate, values, bool(values.mean() >= top)))
    return tuple(rows)


def _row(method: str, training: str, estimate: str, values: np.ndarray, best: bool) -> ScoreRow:
    return ScoreRow(
        method=method, training=training, estimate=estimate,
        mean=float(values.mean()), spread=float(values.mean(axis=1).std()),
        per_dimension=tuple(values.mean(axis=0).tolist()), spread_per_dimension=tuple(values.std(axis=0).tolist()),
        best=best,
    )  # fmt: skip
