"""What a search found: points with a status each, as arrays, as a table, as xarray and in a file."""

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Int

from neurodyn.display import Shown, pluralised
from neurodyn.errors import InputError
from neurodyn.fixed_points.continuum import Continuum, columns
from neurodyn.fixed_points.points_file import read_points, to_dataset, write_points
from neurodyn.fixed_points.problem import Layout
from neurodyn.fixed_points.status import Status

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True, eq=False, repr=False)
class FixedPoints(Shown):
    """Distinct points, fixed ones first, then slow ones, then every start that came to neither.

    With one input per start a point is a state with its input: one state under two inputs is two points.

    Parameters
    ----------
    layout
        How a state lies in a vector.
    vectors
        (points, size) the states as vectors.
    status
        Of each point.
    residual
        (points,) ``max |F(h) - h|``, in units of the state.
    speed
        (points,) ``|F(h) - h|^2 / 2``.
    iterations
        (points,) of the start that came closest.
    starts
        (points,) number of starts that came here; 0 for a point found by the second try of a start that stays at its
        slow point, and for one that is known by the symmetry of the step.
    source
        (points,) the start that came closest; with one input per start, its input is the point's.
    outlier
        (points,) far from every start, see `neurodyn.fixed_points.SearchConfig`.
    ray
        (points,) stands for all its positive multiples, which are fixed points too.
    point_of
        (starts,) the point each start came to.
    homogeneous
        Whether the step was seen to be positively homogeneous, F(c h) = c F(h).
    tolerance
        On the residual.
    inputs
        (points, entries) the input of each point as a row of numbers, with one input per start; None if all have one.
    continua
        Lines, rings and surfaces that points lie on, largest number of points first.
    advice
        What would make the search better, in a sentence; empty if nothing is known to.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import numpy as np
    >>> from neurodyn.fixed_points import find
    >>> found = find(lambda h, _: jnp.tanh(1.5 * h), np.linspace(-2, 2, 10, dtype=np.float32)[:, None])
    >>> len(found.fixed.vectors), found.fixed.states.shape
    (3, (3, 1))
    >>> [status.value for status in found.status], int(found.starts.sum())
    (['fixed', 'fixed', 'fixed'], 10)
    """

    layout: Layout
    vectors: Float[np.ndarray, "points size"]
    status: tuple[Status, ...]
    residual: Float[np.ndarray, " points"]
    speed: Float[np.ndarray, " points"]
    iterations: Int[np.ndarray, " points"]
    starts: Int[np.ndarray, " points"]
    source: Int[np.ndarray, " points"]
    outlier: Bool[np.ndarray, " points"]
    ray: Bool[np.ndarray, " points"]
    point_of: Int[np.ndarray, " starts"]
    homogeneous: bool
    tolerance: float
    inputs: Float[np.ndarray, "points entries"] | None = None
    continua: tuple[Continuum, ...] = ()
    advice: str = ""

    def __len__(self) -> int:
        return len(self.status)

    @property
    def states(self) -> Any:
        """The points as states: the pytree of the starts, points along the first axis."""
        return self.layout.states(self.vectors)

    @property
    def fixed(self) -> "FixedPoints":
        """The true fixed points."""
        return self.where([status is Status.FIXED for status in self.status])

    @property
    def slow(self) -> "FixedPoints":
        """The minima of the speed that are not fixed points."""
        return self.where([status is Status.SLOW for status in self.status])

    def where(self, chosen: Any) -> "FixedPoints":
        """Some of the points; starts that came to another one have -1 in ``point_of``.

        Parameters
        ----------
        chosen
            One flag per point.
        """
        chosen = np.asarray(chosen, np.bool_)
        if chosen.shape != (len(self),):
            raise InputError(
                f"one flag per point is needed: expected {len(self)}, got an array of shape {chosen.shape}"
            )
        new = np.append(np.where(chosen, np.cumsum(chosen) - 1, -1), -1)
        names = ("vectors", "residual", "speed", "iterations", "starts", "source", "outlier", "ray")
        parts = {name: getattr(self, name)[chosen] for name in names}
        status = tuple(status for status, keep in zip(self.status, chosen, strict=True) if keep)
        inputs = None if self.inputs is None else self.inputs[chosen]
        remaining = (continuum.renumbered(new[:-1]) for continuum in self.continua)
        continua = tuple(continuum for continuum in remaining if len(continuum))
        return replace(self, status=status, point_of=new[self.point_of], inputs=inputs, continua=continua, **parts)

    def table(self) -> str:
        """One line per continuum and per point on none, and a last line that counts the starts by how they ended."""
        head = f"{'point':>5}  {'status':<11}  {'residual':>9}  {'speed':>9}  {'iterations':>10}  {'starts':>6}  notes"
        number, _ = columns(self.continua, len(self))
        rows = [
            self._row(f"c{which}", continuum.points, f"{continuum.words}; {pluralised(len(continuum), 'point')}")
            for which, continuum in enumerate(self.continua)
        ]
        rows += [self._row(str(i), np.array([i])) for i in np.flatnonzero(number < 0)]
        return "\n".join([head, *rows, self._summary(), *([self.advice] if self.advice else [])])

    def _row(self, name: str, points: Int[np.ndarray, " some"], words: str = "") -> str:
        """One point, or the points of a continuum with what is largest of each, and what there is to say of them."""
        notes = ", ".join([*([words] if words else []), *self._flags(points)])
        residual, speed = self.residual[points].max(), self.speed[points].max()
        counts = f"{self.iterations[points].max():>10}  {self.starts[points].sum():>6}"
        status = self.status[int(points[0])].value
        return f"{name:>5}  {status:<11}  {residual:>9.2e}  {speed:>9.2e}  {counts}  {notes}".rstrip()

    def _title(self) -> str:
        return f"FixedPoints: {len(self)} of states with {self.layout.size} entries"

    def _facts(self) -> Iterable[tuple[str, str]]:
        points = Counter(self.status)
        starts = Counter(self.status[point] for point in self.point_of if point >= 0)
        for status in Status:
            if points[status]:
                residual = self.residual[[one is status for one in self.status]]
                extent = f"residual {residual.min():.1e} to {residual.max():.1e}"
                yield status.value, f"{points[status]} from {starts[status]} starts, {extent}"
        for which, continuum in enumerate(self.continua):
            on_it = f"{pluralised(len(continuum), 'point')} from {self.starts[continuum.points].sum()} starts"
            yield f"continuum {which}", f"{continuum.words}; {on_it}"
        for name in ("outlier", "ray"):
            if (number := int(getattr(self, name).sum())) > 0:
                yield name, str(number)
        yield "search", f"{len(self.point_of)} starts, tolerance {self.tolerance:.0e}"
        if self.advice:
            yield "advice", self.advice

    def _flags(self, points: Int[np.ndarray, " some"]) -> list[str]:
        return [flag for flag in ("outlier", "ray") if getattr(self, flag)[points].any()]

    def _summary(self) -> str:
        points = Counter(self.status)
        starts = Counter(self.status[point] for point in self.point_of if point >= 0)
        parts = [f"{points[s]} {s.value} ({starts[s]} starts)" for s in Status if points[s]]
        if self.continua:
            number = "1 continuum" if len(self.continua) == 1 else f"{len(self.continua)} continua"
            parts.append(f"of them {pluralised(sum(map(len, self.continua)), 'point')} on {number}")
        return f"{len(self.point_of)} starts, tolerance {self.tolerance:.0e}: {', '.join(parts) or 'no points'}"

    def to_xarray(self) -> "xr.Dataset":
        """The same as labelled data: ``state`` is point x unit.

        ``continuum`` is the number of each point's continuum (-1: none) and ``coordinate`` (point x parameter) where it
        lies there; ``shape``, ``dimension`` and ``extent`` are those of each continuum.
        """
        return to_dataset(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to an HDF5 file, atomically.

        Raises
        ------
        InputError
            If the file cannot be written.
        """
        write_points(path, self)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> "FixedPoints":
        """Read what `save` wrote; named tuples and other containers come back as plain tuples.

        Raises
        ------
        InputError
            If the file is not one of fixed points.
        """
        return FixedPoints(**read_points(path))
