"""Linear read-out of a target from features, its penalty chosen inside the data it is fitted on.

Rows are bins.  Everything cross-validation needs from a block of rows is its Gram matrix, so choosing the
penalty costs one pass over the rows and then only (features x features) algebra:

1. For block g and rows ``z = [x, 1, y]`` keep ``G_g = sum z z'``.  All other blocks have ``G - G_g``.
2. The means, covariances and therefore the ridge solution of any set of blocks follow from its summed Gram
   matrix; one eigendecomposition serves all penalties.
3. With ``M = [-W; -b; I]`` the residual of a row is ``z' M``, so the summed outer products of a block's
   held-out residuals are ``M' G_g M``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from neurodyn.errors import InputError

DEFAULT_PENALTIES = tuple(float(p) for p in np.logspace(-6, 2, 25))
"""Penalties tried by default, relative to the unit variance of a standardised feature."""

_DEAD = 1e-12  # a deviation below this share of the mean is rounding error


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


@dataclass(frozen=True)
class _Layout:
    """Where features, the constant and target lie in a Gram matrix; centre and scale taken out beforehand."""

    n_features: int
    feature_centre: Float[np.ndarray, " features"]
    feature_scale: Float[np.ndarray, " features"]
    target_centre: Float[np.ndarray, " dims"]
    target_scale: Float[np.ndarray, " dims"]


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
    LinearTarget fitted on all rows; computed in float64.

    Raises
    ------
    InputError
        If shapes disagree, a value is not finite, a target dimension is constant, a penalty is not positive
        or there are fewer than two groups.

    Reference
    ---------
    Hoerl & Kennard (1970), Technometrics 12(1).
    """
    _check(features, target, groups, penalties)
    layout = _layout(features, target)
    grams = _group_grams(features, target, groups, layout)
    total = grams.sum(0)
    held_out = [_maps(total - gram, layout.n_features, penalties) for gram in grams]
    errors = np.stack([_squared_errors(m, gram) for m, gram in zip(held_out, grams, strict=True)])
    best = np.argmin(errors.sum(0), axis=0)
    scatter = np.stack([_scatter(m, gram, best) for m, gram in zip(held_out, grams, strict=True)]).sum(0)
    final = _pick(_maps(total, layout.n_features, penalties), best)
    return _in_user_units(final, np.asarray(penalties)[best], scatter / len(features), layout)


def average_targets(parts: Sequence[LinearTarget]) -> LinearTarget:
    """Average of read-outs from different features, as one read-out from all of them side by side.

    Errors of read-outs that see different things partly cancel, and none of them can crowd out the others, as features
    that were themselves fitted on the same bins do in a joint regression.

    Parameters
    ----------
    parts
        Read-outs of the same target.

    Returns
    -------
    LinearTarget whose residual covariance is the mean of the parts': an upper bound, since squares are convex.
    """
    n = len(parts)
    return LinearTarget(
        np.concatenate([part.weights for part in parts]) / n,
        np.mean([part.intercept for part in parts], axis=0),
        np.mean([part.penalty for part in parts], axis=0),
        np.mean([part.residual_covariance for part in parts], axis=0),
    )


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


def _check(features: np.ndarray, target: np.ndarray, groups: np.ndarray, penalties: tuple[float, ...]) -> None:
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
    if not (np.isfinite(features).all() and np.isfinite(target).all()):
        raise InputError("features and target must be finite: leave out the bins where one is missing")
    if len(np.unique(groups)) < 2:
        raise InputError("choosing the penalty needs at least two groups of bins: give more data or more blocks")
    constant = np.flatnonzero(np.ptp(target, axis=0) == 0)
    if len(constant):
        raise InputError(f"target dimension {constant[0]} is constant: there is nothing to decode")
    if not penalties or not all(np.isfinite(p) and p > 0 for p in penalties):
        raise InputError(f"penalties must be positive, got {penalties}")


def _layout(features: np.ndarray, target: np.ndarray) -> _Layout:
    """Centre and scale of all rows, taken out first only to keep the Gram matrices free of cancellation."""
    centre, scale = _centre_scale(np.asarray(features, np.float64))
    return _Layout(features.shape[1], centre, scale, *_centre_scale(np.asarray(target, np.float64)))


def _centre_scale(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    centre, scale = rows.mean(0), rows.std(0)
    dead = scale <= _DEAD * np.abs(centre)
    # A constant column then standardises to exact zeros.
    return np.where(dead, rows[0], centre), np.where(dead, 1.0, scale)


def _group_grams(
    features: np.ndarray, target: np.ndarray, groups: np.ndarray, layout: _Layout
) -> Float[np.ndarray, "groups columns columns"]:
    """Gram matrix of ``[x, 1, y]`` of every group."""
    grams = []
    for group in np.unique(groups):
        rows = groups == group
        x = (features[rows].astype(np.float64) - layout.feature_centre) / layout.feature_scale
        y = (target[rows].astype(np.float64) - layout.target_centre) / layout.target_scale
        z = np.concatenate([x, np.ones((len(x), 1)), y], axis=1)
        grams.append(z.T @ z)
    return np.stack(grams)


def _maps(
    gram: np.ndarray, n_features: int, penalties: tuple[float, ...]
) -> Float[np.ndarray, "penalties columns dims"]:
    """Residual maps ``M = [-W; -b; I]`` of the ridge fit on a Gram matrix, for every penalty."""
    f = n_features
    means = gram[f] / gram[f, f]
    covariance = gram / gram[f, f] - np.outer(means, means)
    values, vectors = np.linalg.eigh(covariance[:f, :f])
    # Rounding can make the smallest eigenvalues of a singular matrix slightly negative.
    shrunk = 1.0 / (np.maximum(values, 0.0) + np.asarray(penalties)[:, None])
    weights = vectors @ (shrunk[:, :, None] * (vectors.T @ covariance[:f, f + 1 :]))
    intercept = means[f + 1 :] - np.einsum("f,pfd->pd", means[:f], weights)
    identity = np.broadcast_to(np.eye(weights.shape[2]), (len(penalties), weights.shape[2], weights.shape[2]))
    return np.concatenate([-weights, -intercept[:, None], identity], axis=1)


def _squared_errors(maps: np.ndarray, gram: np.ndarray) -> Float[np.ndarray, "penalties dims"]:
    return np.einsum("pcd,pcd->pd", maps, gram @ maps)


def _pick(maps: np.ndarray, best: np.ndarray) -> Float[np.ndarray, "columns dims"]:
    """One map, each target dimension at its own penalty."""
    return np.take_along_axis(maps, best[None, None, :], axis=0)[0]


def _scatter(maps: np.ndarray, gram: np.ndarray, best: np.ndarray) -> Float[np.ndarray, "dims dims"]:
    chosen = _pick(maps, best)
    return chosen.T @ gram @ chosen


def _in_user_units(chosen: np.ndarray, penalty: np.ndarray, scatter: np.ndarray, layout: _Layout) -> LinearTarget:
    f, scale = layout.n_features, layout.target_scale
    weights = -chosen[:f] / layout.feature_scale[:, None] * scale
    intercept = layout.target_centre - chosen[f] * scale - layout.feature_centre @ weights
    covariance = scatter * np.outer(scale, scale)
    return LinearTarget(weights, intercept, penalty, (covariance + covariance.T) / 2)
