"""Which points are one, and which lie far from where the search began."""

import numpy as np
from jaxtyping import Bool, Float, Int


def groups(
    vectors: Float[np.ndarray, "points size"], order: Int[np.ndarray, " chosen"], distance: float, *, rays: bool = False
) -> list[Int[np.ndarray, " members"]]:
    """Put points together: the first of the order takes all that are near it, then the next one that is left.

    Parameters
    ----------
    vectors
        (points, size).
    order
        Indices of the points to group, the best first.
    distance
        Points are one if no unit differs by more than ``distance * max(1, max |h|)``.
    rays
        Scale points to ``max |h| = 1`` before, so that multiples are one.

    Returns
    -------
    Indices of the members of each group, the best first.
    """
    vectors, found = to_length_one(vectors) if rays else vectors, []
    while len(order):
        same = near(vectors[order], vectors[order[0]], distance)
        same[0] = True
        found.append(order[same])
        order = order[~same]
    return found


def near(
    vectors: Float[np.ndarray, "points size"], point: Float[np.ndarray, " size"], distance: float
) -> Bool[np.ndarray, " points"]:
    """Whether each vector is the point, by the rule of `groups`."""
    return np.abs(vectors - point).max(axis=1) <= distance * max(1.0, float(np.abs(point).max()))


def to_length_one(vectors: Float[np.ndarray, "points size"]) -> Float[np.ndarray, "points size"]:
    """Scale each vector to ``max |h| = 1``; zero stays zero."""
    size = np.abs(vectors).max(axis=1, keepdims=True)
    return vectors / np.where(size > 0, size, 1)


def median_distance(vectors: Float[np.ndarray, "points size"]) -> float:
    """Median distance of points from their mean; 1 if they are all one."""
    return float(np.median(np.linalg.norm(vectors - vectors.mean(axis=0), axis=1))) or 1.0


def outliers(
    vectors: Float[np.ndarray, "points size"], starts: Float[np.ndarray, "starts size"], factor: float
) -> Bool[np.ndarray, " points"]:
    """Whether the nearest start is more than ``factor`` times the spread of the starts away."""
    limit = factor * median_distance(starts)
    return np.array([np.linalg.norm(starts - vector, axis=1).min() > limit for vector in vectors], np.bool_)


def far_outside(
    vectors: Float[np.ndarray, "points size"], reference: Float[np.ndarray, "starts size"], least: float
) -> Bool[np.ndarray, " points"]:
    """Whether a unit leaves the range of all units of the reference by more than that is wide, and than ``least``."""
    low, high = float(reference.min()), float(reference.max())
    margin = max(high - low, least) or 1.0
    return np.any((vectors < low - margin) | (vectors > high + margin), axis=1)
