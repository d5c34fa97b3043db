"""Linear read-out of a target from features, its penalty chosen inside the data it is fitted on.

Rows are bins; they may come block by block, and no step needs all of them at once (`rows`).  Few features are fitted
from the Gram matrices of the groups of rows (`gram`), many in a growing subspace of them (`subspace`).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from neurodyn.errors import InputError
from neurodyn.targets.gram import Solution, choose
from neurodyn.targets.rows import Stream, Summary, group_rows, in_blocks, standardised, summarise
from neurodyn.targets.subspace import fit_in_subspace
from neurodyn.threads import one_ahead, one_blas_thread

DEFAULT_PENALTIES = tuple(float(p) for p in np.logspace(-6, 2, 25))
"""Penalties tried by default, relative to the unit variance of a standardised feature."""

EXACT_FEATURES = 1024
"""With more features than these the regression is solved in a growing subspace instead of by Gram matrices."""


@dataclass(frozen=True)
class LinearTarget:
    """Affine map from features to a target, with the scatter of its held-out errors.

    Attributes
    ----------
    weights
        (features, dims), in target units per feature unit.
    intercept
        (dims,), in target units.
    penalty
        (dims,), the penalty chosen for each dimension.
    residual_covariance
        (dims, dims), second moment about zero of the cross-validated residuals at the chosen penalties: what
        a predictive interval needs.  Training residuals would make it too narrow.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.targets import fit_ridge, time_blocks
    >>> features = np.random.default_rng(0).normal(size=(90, 2))
    >>> target = fit_ridge(features, features @ np.array([[1.0], [2.0]]) + 3.0, time_blocks(np.array([90]), 3))
    >>> target.intercept.round(2).tolist(), target.predict(np.ones((4, 2))).round(1).ravel().tolist()
    ([3.0], [6.0, 6.0, 6.0, 6.0])
    """

    weights: Float[np.ndarray, "features dims"]
    intercept: Float[np.ndarray, " dims"]
    penalty: Float[np.ndarray, " dims"]
    residual_covariance: Float[np.ndarray, "dims dims"]

    def predict(self, features: Float[np.ndarray, "*bins features"]) -> Float[np.ndarray, "*bins dims"]:
        """Target predicted from features: ``features @ weights + intercept``.

        Parameters
        ----------
        features
            (..., features), the features the map was fitted on, in the same order and units.

        Returns
        -------
        (..., dims) in target units, float64.

        Raises
        ------
        InputError
            If the number of features differs from the fitted one.
        """
        if features.shape[-1] != len(self.weights):
            raise InputError(f"expected {len(self.weights)} features, got {features.shape[-1]}: use the fitted ones")
        return np.asarray(features, np.float64) @ self.weights + self.intercept


def fit_ridge(
    features: Float[np.ndarray, "..."],
    target: Float[np.ndarray, "..."],
    groups: Int[np.ndarray, "..."],
    *,
    penalties: tuple[float, ...] = DEFAULT_PENALTIES,
) -> LinearTarget:
    """Ridge regression, the penalty of each target dimension chosen by leave-one-group-out cross-validation.

    ``min over w, b of  mean (y - b - u w)^2 + penalty |w|^2``  with ``u`` the standardised features: the
    penalty is relative to the number of rows and to the features' units, and the intercept is not penalised.
    Each cross-validation round centres on its own rows but keeps the scale of all rows: a unit that is all
    but silent outside the held-out block would otherwise be blown up to unit variance there, and so would its
    weight.

    Parameters
    ----------
    features
        (bins, features), finite.
    target
        (bins, dims), finite, no dimension constant.
    groups
        (bins,), integer label of the group each row belongs to; at least two.  Use contiguous blocks of time
        (``time_blocks``): neighbouring bins are not independent.
    penalties
        Positive values to choose from.

    Returns
    -------
    LinearTarget fitted on all rows; computed in float64 up to `EXACT_FEATURES` features, see `fit_ridge_stream`.

    Raises
    ------
    InputError
        If shapes disagree, a value is not finite, a target dimension is constant, a penalty is not positive
        or there are fewer than two groups.

    Reference
    ---------
    Hoerl & Kennard (1970), Technometrics 12(1).

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.targets import fit_ridge, time_blocks
    >>> features = np.random.default_rng(0).normal(size=(90, 2))
    >>> target = fit_ridge(features, features @ np.array([[1.0], [2.0]]) + 3.0, time_blocks(np.array([90]), 3))
    >>> target.weights.round(2).ravel().tolist()
    [1.0, 2.0]
    """
    _check(features, target, groups)
    return fit_ridge_stream(lambda: in_blocks(features, target, groups), penalties=penalties)


def fit_ridge_stream(stream: Stream, *, penalties: tuple[float, ...] = DEFAULT_PENALTIES) -> LinearTarget:
    """`fit_ridge` on rows that come block by block, because all features together would not fit into memory.

    Up to `EXACT_FEATURES` features this takes two passes over the rows and keeps one Gram matrix per group.  With
    more, whose Gram matrices would neither fit into memory nor be decomposed in time, the same regression is solved in
    a growing subspace of the features (`neurodyn.targets.subspace`): one pass over the rows per step, some ten in all.
    Time is then linear in rows and in features.

    Parameters
    ----------
    stream
        Called once per pass; brings blocks of (features, target, groups), the same rows in the same order each time:
        a function that makes features of a stretch of time at a time, float32 or float64.
    penalties
        Positive values to choose from.

    Returns
    -------
    LinearTarget fitted on all rows.

    Raises
    ------
    InputError
        As `fit_ridge`.

    Warns
    -----
    UserWarning
        If the growing subspace ends before the solution is found to `neurodyn.targets.subspace.TOLERANCE`.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.targets import Rows, fit_ridge_stream
    >>> features, groups = np.random.default_rng(0).normal(size=(60, 2)), np.repeat([0, 1, 2], 20)
    >>> rows = Rows(features, features @ np.array([[1.0], [2.0]]), groups)
    >>> fit_ridge_stream(lambda: [rows]).weights.round(2).ravel().tolist()
    [1.0, 2.0]
    """
    return cross_fit_ridge_stream(stream, penalties=penalties)[0]


def cross_fit_ridge_stream(
    stream: Stream, *, penalties: tuple[float, ...] = DEFAULT_PENALTIES
) -> tuple[LinearTarget, dict[int, LinearTarget]]:
    """`fit_ridge_stream`, and what was fitted without each group on the way there.

    What is fitted without a group predicts its rows as rows that are new: what to fit the next stage of a cascade to.

    Parameters
    ----------
    stream, penalties
        As in `fit_ridge_stream`.

    Returns
    -------
    LinearTarget fitted on all rows, and by the label of each group the one fitted without it, at the same penalties and
    with the same residual covariance.

    Raises
    ------
    InputError
        As `fit_ridge`.

    Warns
    -----
    UserWarning
        As `fit_ridge_stream`.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.targets import Rows, cross_fit_ridge_stream
    >>> random = np.random.default_rng(0)
    >>> features, groups = random.normal(size=(60, 2)), np.repeat([0, 1, 2], 20)
    >>> rows = Rows(features, features @ np.array([[1.0], [2.0]]), groups)
    >>> target, without = cross_fit_ridge_stream(lambda: [rows])
    >>> target.weights.ravel().round(3).tolist(), sorted(without)
    ([1.0, 2.0], [0, 1, 2])
    """
    if not penalties or not all(np.isfinite(p) and p > 0 for p in penalties):
        raise InputError(f"penalties must be positive, got {penalties}")
    with one_blas_thread():  # between the passes there are many small products
        summary = summarise(stream)
        if summary.layout.n_features > EXACT_FEATURES:
            found = fit_in_subspace(stream, summary, penalties)
        else:
            found = choose(_group_grams(stream, summary), summary.layout.n_features, penalties).solution
    rounds = [found._replace(weights=fit[:-1], intercept=fit[-1]) for fit in found.rounds]
    without = {int(g): _in_user_units(one, summary) for g, one in zip(summary.groups, rounds, strict=True)}
    return _in_user_units(found, summary), without


def time_blocks(lengths: Int[np.ndarray, "..."], n_blocks: int) -> Int[np.ndarray, " bins"]:
    """Group labels of contiguous blocks of time, about equally long, over several runs laid end to end.

    A cut is moved to the boundary of a run where one is near (a quarter of a block): short trials stay whole.

    Parameters
    ----------
    lengths
        (runs,), bins per run, all positive.
    n_blocks
        Number of blocks, from 2 to the number of bins.

    Returns
    -------
    (bins,), labels 0 .. n_blocks - 1, never decreasing, every one in use.

    Raises
    ------
    InputError
        If a length is not positive or there are fewer bins than blocks.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.targets import time_blocks
    >>> time_blocks(np.array([3, 5, 4]), 3).tolist()
    [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]
    """
    lengths = np.asarray(lengths, np.int64)
    if lengths.ndim != 1 or np.any(lengths < 1):
        raise InputError(f"expected a positive number of bins per run, got {lengths.tolist()}")
    total = int(lengths.sum())
    if not 2 <= n_blocks <= total:
        raise InputError(f"cannot cut {total} bins into {n_blocks} blocks: use 2 to {total}")
    cuts = np.arange(1, n_blocks) * total // n_blocks
    boundaries = np.cumsum(lengths)
    nearest = boundaries[np.argmin(np.abs(boundaries - cuts[:, None]), axis=1)]
    # Each cut moves by less than a quarter of a block: the order is kept and no block is left empty.
    cuts = np.where(4 * n_blocks * np.abs(nearest - cuts) < total, nearest, cuts)
    return np.searchsorted(cuts, np.arange(total), side="right")


def _check(features: np.ndarray, target: np.ndarray, groups: np.ndarray) -> None:
    if features.ndim != 2 or target.ndim != 2 or groups.ndim != 1:
        raise InputError(
            "expected features (bins, features), target (bins, dims) and groups (bins,), got shapes "
            f"{features.shape}, {target.shape} and {groups.shape}"
        )
    if not len(features) == len(target) == len(groups):
        raise InputError(
            "features, target and groups must have one row per bin, got "
            f"{len(features)}, {len(target)} and {len(groups)} rows"
        )


def _group_grams(stream: Stream, summary: Summary) -> Float[np.ndarray, "groups columns columns"]:
    """Gram matrix of ``[x, 1, y]`` of every group, block after block."""
    columns = summary.layout.n_features + 1 + len(summary.layout.target_centre)
    grams = np.zeros((len(summary.groups), columns, columns))
    for block in one_ahead(stream()):
        x, y = standardised(block, summary.layout, np.float64)
        z = np.concatenate([x, np.ones((len(x), 1)), y], axis=1)
        for g, rows in group_rows(block.groups, summary.groups):
            some = z[rows]
            grams[g] += some.T @ some
    return grams


def _in_user_units(found: Solution, summary: Summary) -> LinearTarget:
    layout = summary.layout
    weights = found.weights / layout.feature_scale[:, None] * layout.target_scale
    intercept = layout.target_centre + found.intercept * layout.target_scale - layout.feature_centre @ weights
    covariance = found.covariance * np.outer(layout.target_scale, layout.target_scale)
    return LinearTarget(weights, intercept, found.penalty, (covariance + covariance.T) / 2)
