"""Ridge regression from thousands of features: solved in a subspace that grows until the equations hold.

The Gram matrices of ten groups of rows with 7,000 features take 4 GB, and decomposing them takes many minutes.  But
targets have few dimensions, and their weights lie close to a space of a few hundred directions:

1. Start with no directions.  In the space spanned so far, orthonormal ``Q``, the features ``Q'x`` are few: their
   Gram matrices give the ridge solutions of every round of cross-validation at every penalty exactly (`gram`), and
   since ``|Q v| = |v|``, with the penalty of the full problem.
2. Of each round, ``C`` the covariance of its features and ``c`` that with the target, the residual of the normal
   equations is ``r = c - (C + penalty) Q v``.  The residuals at the chosen penalties, and at those whose held-out error
   is close, are the directions in which the solutions are wrong; the strongest ones of all rounds and dimensions join
   ``Q``.
3. One pass over the rows brings ``X_g' X_g q`` of every new direction and group g; everything else follows from
   these, the sums and the products with the target.
4. What a solution's regularised error is above the smallest possible one is ``r' inv(C + penalty) r``, at most
   ``|r|^2 / penalty``.  Stop when that bound is below `TOLERANCE` of the held-out error in every round and dimension (a
   hundred times that at penalties that are merely close) and no penalty has changed.

All rounds, dimensions and penalties share the directions, so a few passes are enough where conjugate gradients would
take as many for each of them.

Reference
---------
Saad (2011), Numerical Methods for Large Eigenvalue Problems, 2nd edition, chapter 6 (block Krylov subspaces).
"""

import warnings
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from neurodyn.targets.gram import Choice, Solution, choose
from neurodyn.targets.rows import Stream, Summary, group_rows, standardised
from neurodyn.threads import one_ahead

TOLERANCE = 1e-4
"""Largest share of the held-out error by which the regularised error may lie above the smallest possible one."""

DIRECTIONS = 96
"""Directions that join the subspace in one pass over the rows."""

MOST_DIRECTIONS = 1024
"""Directions at which the search ends."""

_CLOSE, _LOOSE, _CONTENDERS = 1.05, 100.0, 8
"""Penalties are contenders up to this multiple of the smallest held-out error; their tolerance is this much larger; how
many there are at most."""

_TINY = np.finfo(np.float64).tiny


class _Totals(NamedTuple):
    """Sums over the rows of each group: rows ``n``, features ``x``, targets ``y`` and their products."""

    n: Float[np.ndarray, " groups"]
    x: Float[np.ndarray, "groups features"]
    y: Float[np.ndarray, "groups dims"]
    xy: Float[np.ndarray, "groups features dims"]
    yy: Float[np.ndarray, "groups dims dims"]

    def round(self, left_out: int | None) -> "_Totals":
        """Sums of all groups but one, or of all of them."""
        total = [part.sum(0) for part in self]
        return _Totals(*(t if left_out is None else t - part[left_out] for t, part in zip(total, self, strict=True)))


@dataclass
class _Subspace:
    """Directions so far, and what was seen along them.

    Attributes
    ----------
    basis
        (features, directions), orthonormal columns.
    images
        Per pass, ``X_g' X_g q`` of that pass's directions, (groups, features, directions of the pass).
    inner
        (groups, directions, directions), ``Q' X_g' X_g Q``.
    """

    basis: Float[np.ndarray, "features directions"]
    images: list[Float[np.ndarray, "groups features _"]]
    inner: Float[np.ndarray, "groups directions directions"]

    def grams(self, totals: _Totals) -> Float[np.ndarray, "groups columns columns"]:
        """Gram matrices of ``[Q'x, 1, y]``."""
        m, dims = self.basis.shape[1], totals.y.shape[1]
        result = np.zeros((len(totals.n), m + 1 + dims, m + 1 + dims))
        result[:, :m, :m] = self.inner
        result[:, :m, m] = result[:, m, :m] = totals.x @ self.basis
        result[:, :m, m + 1 :] = self.basis.T @ totals.xy
        result[:, m + 1 :, :m] = result[:, :m, m + 1 :].transpose(0, 2, 1)
        result[:, m, m] = totals.n
        result[:, m, m + 1 :] = result[:, m + 1 :, m] = totals.y
        result[:, m + 1 :, m + 1 :] = totals.yy
        return result

    def second_moments(self, weights: Float[np.ndarray, "rounds directions _"]) -> np.ndarray:
        """``sum of X_g' X_g Q v`` over the groups of each round: all but one each, and in the last round all."""
        rounds, _, columns = weights.shape
        result, first = np.zeros((rounds, len(self.basis), columns)), 0
        for image in self.images:
            part = weights[:, first : first + image.shape[2]].astype(image.dtype)
            result += np.einsum("fm,rmc->rfc", image.sum(0), part, optimize=True)
            result[:-1] -= image @ part[:-1]
            first += image.shape[2]
        return result

    def grow(self, directions: np.ndarray, images: Float[np.ndarray, "groups features _"]) -> "_Subspace":
        """With more directions, orthonormal to those so far."""
        across = np.stack([self.basis.T @ image for image in images])
        along = np.stack([directions.T @ image for image in images])
        top = np.concatenate([self.inner, across], axis=2)
        bottom = np.concatenate([across.transpose(0, 2, 1), (along + along.transpose(0, 2, 1)) / 2], axis=2)
        basis = np.concatenate([self.basis, directions], axis=1)
        return _Subspace(basis, [*self.images, images], np.concatenate([top, bottom], axis=1))


def fit_in_subspace(stream: Stream, summary: Summary, penalties: tuple[float, ...]) -> Solution:
    """Ridge regression, each dimension's penalty chosen by leaving out one group at a time (`targets.fit_ridge`).

    Parameters
    ----------
    stream
        The rows; called once per pass.
    summary
        Of the same rows.
    penalties
        Positive values to choose from.

    Returns
    -------
    Solution in standardised units; to the precision of the features, float32 or float64.

    Warns
    -----
    UserWarning
        If `MOST_DIRECTIONS` are not enough for `TOLERANCE`: the solution then has less weight along the directions in
        which the features vary least than its penalty says.  Its held-out errors are still those of its own weights.
    """
    totals, dtype = _totals(stream, summary)
    groups, features = totals.x.shape
    space = _Subspace(np.zeros((features, 0)), [], np.zeros((groups, 0, 0)))
    choice, before, bound = None, None, np.inf
    while True:
        residuals, bound = _residuals(space, totals, choice, penalties)
        if choice is not None:
            settled = before is not None and np.array_equal(choice.best, before)
            if bound <= TOLERANCE and (settled or bound <= 1e-3 * TOLERANCE):
                break
            before = choice.best
        room = min(features, MOST_DIRECTIONS) - space.basis.shape[1]
        directions = _strongest(residuals, space.basis, min(DIRECTIONS, room))
        if not directions.shape[1]:
            break
        space = space.grow(directions, _images(stream, summary, directions, dtype))
        choice = choose(space.grams(totals), space.basis.shape[1], penalties)
    assert choice is not None
    if bound > TOLERANCE and space.basis.shape[1] < features:
        warnings.warn(
            f"ridge regression from {features} features stopped at {space.basis.shape[1]} directions with its error "
            f"known to {bound:.1%} only: leave out features that are copies of others, or give larger penalties",
            UserWarning,
            stacklevel=5,
        )
    found = choice.solution
    rounds = np.concatenate([space.basis @ found.rounds[:, :-1], found.rounds[:, -1:]], axis=1)
    return found._replace(weights=space.basis @ found.weights, rounds=rounds)


def _residuals(
    space: _Subspace, totals: _Totals, choice: Choice | None, penalties: tuple[float, ...]
) -> tuple[Float[np.ndarray, "features _"], float]:
    """Residuals of the normal equations of every round, each in units of the error it stands for, and the bound.

    Those at other penalties whose held-out error is close are there because the choice itself must be right.
    """
    rounds = [totals.round(left_out) for left_out in [*range(len(totals.n)), None]]
    n, mean = np.array([r.n for r in rounds]), np.stack([r.x / r.n for r in rounds])
    level = np.stack([r.y / r.n for r in rounds])
    products = np.stack([r.xy / r.n for r in rounds]) - mean[:, :, None] * level[:, None]
    if choice is None:
        return np.concatenate(list(products), axis=1), np.inf
    columns, worst, ranks = [], 0.0, np.argsort(choice.errors, axis=0)
    dims = np.arange(len(choice.best))
    for rank, near in enumerate(ranks[:_CONTENDERS]):
        error = np.maximum(choice.errors[near, dims], _TINY)
        close = error <= _CLOSE * choice.errors[choice.best, dims]
        if rank and not close.any():
            break
        weights = -np.stack([m[near, : space.basis.shape[1], dims].T for m in choice.maps])
        full, penalty = space.basis @ weights, np.asarray(penalties)[near]
        residual = products - space.second_moments(weights) / n[:, None, None] - penalty * full
        residual += mean[:, :, None] * np.einsum("rf,rfd->rd", mean, full)[:, None]
        # A contender only has to be known well enough to be told from the best one.
        residual /= np.sqrt(penalty * error) * (1.0 if rank == 0 else np.sqrt(_LOOSE))
        if rank:
            residual = residual[:, :, close]
        columns += list(residual)
        worst = max(worst, float(np.max(np.sum(residual**2, axis=1))))
    return np.concatenate(columns, axis=1), worst


def _strongest(columns: np.ndarray, basis: np.ndarray, count: int) -> Float[np.ndarray, "features _"]:
    """Orthonormal directions that hold most of what the columns have outside the basis."""
    size = np.sqrt(np.sum(columns**2, axis=0).max(initial=0.0))
    for _ in range(2):  # once is not enough in floating point
        columns = columns - basis @ (basis.T @ columns)
    values, vectors = np.linalg.eigh(columns.T @ columns)
    kept = np.flatnonzero(values > (1e-7 * size) ** 2)[::-1][: max(count, 0)]
    directions = columns @ (vectors[:, kept] / np.sqrt(values[kept]))
    directions -= basis @ (basis.T @ directions)
    return np.linalg.qr(directions)[0]


def _totals(stream: Stream, summary: Summary) -> tuple[_Totals, np.dtype]:
    """Sums over each group in one pass, and the precision of the features."""
    groups, layout = len(summary.groups), summary.layout
    dims, features, dtype = len(layout.target_centre), layout.n_features, np.dtype(np.float32)
    n, x, y = np.zeros(groups), np.zeros((groups, features)), np.zeros((groups, dims))
    xy, yy = np.zeros((groups, features, dims)), np.zeros((groups, dims, dims))
    for block in one_ahead(stream()):
        dtype = np.result_type(dtype, block.features.dtype)
        rows, target = standardised(block, layout, dtype)
        for g, cut in group_rows(block.groups, summary.groups):
            some, wanted = rows[cut], target[cut]
            products = some.T @ np.concatenate([np.ones((len(some), 1)), wanted], axis=1).astype(dtype)
            n[g] += len(some)
            x[g] += products[:, 0]
            xy[g] += products[:, 1:]
            y[g] += wanted.sum(0)
            yy[g] += wanted.T @ wanted
    return _Totals(n, x, y, xy, yy), dtype


def _images(
    stream: Stream, summary: Summary, directions: np.ndarray, dtype: np.dtype
) -> Float[np.ndarray, "groups features _"]:
    """``X_g' X_g q`` of every direction and group, in one pass."""
    result = np.zeros((len(summary.groups), *directions.shape), dtype)
    directions = directions.astype(dtype)
    for block in one_ahead(stream()):
        rows, _ = standardised(block, summary.layout, dtype)
        for g, cut in group_rows(block.groups, summary.groups):
            result[g] += rows[cut].T @ (rows[cut] @ directions)
    return result
