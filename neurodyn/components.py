"""Principal components: the directions in which states vary most."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from neurodyn.errors import InputError


@dataclass(frozen=True, eq=False)
class Axes:
    """A few orthonormal directions through a point.

    Parameters
    ----------
    middle
        (size,) the point.
    directions
        (dims, size).
    share
        (dims,) of the variance that lies along each.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.components import principal_axes
    >>> states = np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [1.0, 0.1]])
    >>> axes = principal_axes(states, 1)
    >>> axes.middle.tolist(), axes.points(states).shape
    ([1.0, 0.025], (4, 1))
    """

    middle: Float[np.ndarray, " size"]
    directions: Float[np.ndarray, "dims size"]
    share: Float[np.ndarray, " dims"]

    def points(self, vectors: Float[np.ndarray, "*batch size"]) -> Float[np.ndarray, "*batch dims"]:
        """Coordinates of states."""
        return (vectors - self.middle) @ self.directions.T

    def direction_coordinates(self, vectors: Float[np.ndarray, "*batch size"]) -> Float[np.ndarray, "*batch dims"]:
        """Coordinates of directions."""
        return vectors @ self.directions.T


def principal_axes(vectors: Float[np.ndarray, "points size"], dims: int) -> Axes:
    """The ``dims`` directions in which states vary most.

    Parameters
    ----------
    vectors
        One state per row.
    dims
        How many directions; at most as many as there are rows or columns.

    Raises
    ------
    InputError
        If there are not so many directions.

    Examples
    --------
    >>> import numpy as np
    >>> axes = principal_axes(np.array([[0.0, 0.0], [1.0, 0.1], [2.0, 0.0]]), 1)
    >>> bool(axes.share[0] > 0.99)
    True
    """
    vectors = np.asarray(vectors, np.float64)
    if not 1 <= dims <= min(vectors.shape):
        raise InputError(f"dims has to be between 1 and {min(vectors.shape)}, got {dims}")
    middle = vectors.mean(axis=0)
    _, size, directions = np.linalg.svd(vectors - middle, full_matrices=False)
    return Axes(middle, directions[:dims], size[:dims] ** 2 / max(float(np.sum(size**2)), np.finfo(float).tiny))


def principal_scores(vectors: Float[np.ndarray, "points size"], most: int) -> Float[np.ndarray, "points dims"]:
    """Coordinates of states along the first principal axes, ``most`` of them or as many as there are."""
    return principal_axes(vectors, min(most, *vectors.shape)).points(vectors)
