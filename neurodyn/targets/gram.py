"""Ridge regression from Gram matrices alone: everything that cross-validation needs of a group of rows.

1. For group g and rows ``z = [x, 1, y]`` keep ``G_g = sum z z'``.  All other groups have ``G - G_g``.
2. The means, covariances and therefore the ridge solution of any set of groups follow from its summed Gram
   matrix; one eigendecomposition serves all penalties.
3. With ``M = [-W; -b; I]`` the residual of a row is ``z' M``, so the summed outer products of a group's
   held-out residuals are ``M' G_g M``.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from neurodyn.threads import side_by_side


class Solution(NamedTuple):
    """A chosen regression, in standardised units.

    Attributes
    ----------
    weights, intercept
        (features, dims) and (dims,).
    penalty
        (dims,), chosen.
    covariance
        (dims, dims), second moment of the held-out residuals at the chosen penalties.
    rounds
        (groups, features + 1, dims), weights and in the last row the intercept, fitted without each group in turn at
        the same penalties.
    """

    weights: Float[np.ndarray, "features dims"]
    intercept: Float[np.ndarray, " dims"]
    penalty: Float[np.ndarray, " dims"]
    covariance: Float[np.ndarray, "dims dims"]
    rounds: Float[np.ndarray, "groups columns dims"]


@dataclass(frozen=True)
class Choice:
    """Ridge fits of all groups but one and of all of them, for every penalty, and what the groups left out say.

    Attributes
    ----------
    maps
        Residual maps of each round: one without each group, then one of all.
    errors
        Mean squared held-out error.
    best
        Index of the penalty of each dimension with the smallest one.
    solution
        Fitted on all groups at those penalties.
    """

    maps: list[Float[np.ndarray, "penalties columns dims"]]
    errors: Float[np.ndarray, "penalties dims"]
    best: Int[np.ndarray, " dims"]
    solution: Solution


def choose(grams: Float[np.ndarray, "groups columns columns"], n_features: int, penalties: tuple[float, ...]) -> Choice:
    """Fit every round and choose the penalty of each dimension by the error on the groups left out."""
    total, f = grams.sum(0), n_features
    maps = side_by_side(lambda g: _maps(total if g is None else total - g, f, penalties), [*grams, None])
    held_out = list(zip(maps[:-1], grams, strict=True))
    errors = np.stack([_squared_errors(m, gram) for m, gram in held_out]).sum(0) / total[f, f]
    best = np.argmin(errors, axis=0)
    chosen = np.stack([_pick(m, best) for m in maps])
    scatter = np.stack([m.T @ gram @ m for m, gram in zip(chosen[:-1], grams, strict=True)]).sum(0) / total[f, f]
    fits = -chosen[:, : f + 1]
    solution = Solution(fits[-1, :f], fits[-1, f], np.asarray(penalties)[best], scatter, fits[:-1])
    return Choice(maps, errors, best, solution)


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
