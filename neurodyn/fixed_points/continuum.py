"""A line, a ring or a surface of fixed points, as a search has seen it: some points with coordinates along it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from neurodyn.display import Shown, pluralised


class Shape(Enum):
    """What kind of continuum it is.

    Examples
    --------
    >>> from neurodyn.fixed_points import Shape
    >>> [shape.value for shape in Shape]
    ['line', 'ring', 'surface']
    """

    LINE = "line"  # one dimension, two ends
    RING = "ring"  # one dimension, closed
    SURFACE = "surface"  # two dimensions or more


@dataclass(frozen=True, eq=False, repr=False)
class Continuum(Shown):
    """Fixed points that are connected by fixed points.

    Parameters
    ----------
    shape
        Line, ring or surface.
    points
        (members,) rows of the `FixedPoints` it belongs to, in the order of the first coordinate.
    coordinates
        (members, dimension) where each lies. On a ring: the phase in radians, from -pi to pi, in proportion to the arc
        length; the best point of the search has phase 0. On a line: the arc length from one end, in units of the state
        (Euclidean). On a surface: coordinates along its principal axes, which are true to scale where it is flat and
        name a point uniquely where it does not fold back. Which end is first, and which way a phase runs, is arbitrary.
    extent
        (dimension,) circumference of a ring, length of a line, range of the points along each axis of a surface; in
        units of the state. A line and a surface reach as far as the starts did, and may go on.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import numpy as np
    >>> from neurodyn.fixed_points import find
    >>> pull = lambda h, _: 0.5 * h + 0.5 * h / jnp.linalg.norm(h)  # every state on the unit circle rests
    >>> starts = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
    >>> (ring,) = find(pull, starts).continua
    >>> ring.shape.value, ring.dimension
    ('ring', 1)
    """

    shape: Shape
    points: Int[np.ndarray, " members"]
    coordinates: Float[np.ndarray, "members dimension"]
    extent: Float[np.ndarray, " dimension"]

    @property
    def dimension(self) -> int:
        """Number of directions in which it extends."""
        return self.coordinates.shape[1]

    @property
    def words(self) -> str:
        """Shape, dimension and size in a few words."""
        size = " x ".join(f"{length:.4g}" for length in self.extent)
        name = "length" if self.dimension == 1 else "extent"
        return f"{self.shape.value} of dimension {self.dimension}, {name} {size}"

    def __len__(self) -> int:
        return len(self.points)

    def _title(self) -> str:
        return f"Continuum: {self.words}"

    def _facts(self) -> Iterator[tuple[str, str]]:
        yield "seen at", pluralised(len(self), "point")
        unit = "phase in radians" if self.shape is Shape.RING else "in units of the state"
        yield "coordinates", f"{self.coordinates.min():.4g} to {self.coordinates.max():.4g}, {unit}"

    def renumbered(self, new: Int[np.ndarray, " points"]) -> "Continuum":
        """The same with other numbers of points; those with a negative one are left out.

        Parameters
        ----------
        new
            The new number of every point.
        """
        numbers = new[self.points]
        kept = numbers >= 0
        return replace(self, points=numbers[kept], coordinates=self.coordinates[kept])


def columns(
    continua: tuple[Continuum, ...], points: int
) -> tuple[Int[np.ndarray, " points"], Float[np.ndarray, "points dimension"]]:
    """For each point of a search the number of its continuum (-1: none), and its coordinates there (NaN: none).

    Parameters
    ----------
    continua
        Of the search.
    points
        Number of its points.
    """
    number = np.full(points, -1)
    widest = max((continuum.dimension for continuum in continua), default=0)
    coordinates = np.full((points, widest), np.nan)
    for which, continuum in enumerate(continua):
        number[continuum.points] = which
        coordinates[continuum.points, : continuum.dimension] = continuum.coordinates
    return number, coordinates


def write_continua(file: Any, continua: tuple[Continuum, ...]) -> None:
    """Write continua into an HDF5 file, a group each.

    Parameters
    ----------
    file
        Open for writing.
    continua
        What to write; nothing if there are none.
    """
    for number, continuum in enumerate(continua):
        group = file.create_group(f"continua/{number}")
        group.attrs["shape"] = continuum.shape.value
        for name in ("points", "coordinates", "extent"):
            group[name] = getattr(continuum, name)


def read_continua(file: Any) -> tuple[Continuum, ...]:
    """Read what `write_continua` wrote; none from a file of before there were any."""
    groups = file.get("continua", {})
    return tuple(
        Continuum(
            shape=Shape(groups[number].attrs["shape"]),
            **{name: np.array(groups[number][name]) for name in ("points", "coordinates", "extent")},
        )
        for number in sorted(groups, key=int)
    )
