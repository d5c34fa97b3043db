"""What a search found: points with a status each, as arrays, as a table, as xarray and in a file."""

import json
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

import h5py
import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from neurodyn.display import Shown
from neurodyn.errors import InputError
from neurodyn.fixed_points.problem import Layout, layout_of
from neurodyn.writing import replace_atomically

if TYPE_CHECKING:
    import xarray as xr


class Status(Enum):
    """How a search from a start ended."""

    FIXED = "fixed"  # F(h) = h within the tolerance
    SLOW = "slow"  # a minimum of the speed that is not zero
    UNCONVERGED = "unconverged"  # out of iterations: neither of the two
    DIVERGED = "diverged"  # the step is not finite there


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
        (points,) max |F(h) - h|, in units of the state.
    speed
        (points,) |F(h) - h|^2 / 2.
    iterations
        (points,) of the start that came closest.
    starts
        (points,) number of starts that came here; 0 for a point found by the second try of a start that stays at its
        slow point.
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
        return replace(self, status=status, point_of=new[self.point_of], inputs=inputs, **parts)

    def table(self) -> str:
        """One line per point, and a last line that counts the starts by how they ended."""
        head = f"{'point':>5}  {'status':<11}  {'residual':>9}  {'speed':>9}  {'iterations':>10}  {'starts':>6}  notes"
        rows = [
            f"{i:>5}  {self.status[i].value:<11}  {self.residual[i]:>9.2e}  {self.speed[i]:>9.2e}  "
            f"{self.iterations[i]:>10}  {self.starts[i]:>6}  {self._notes(i)}".rstrip()
            for i in range(len(self))
        ]
        return "\n".join([head, *rows, self._summary()])

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
        for name in ("outlier", "ray"):
            if (number := int(getattr(self, name).sum())) > 0:
                yield name, str(number)
        yield "search", f"{len(self.point_of)} starts, tolerance {self.tolerance:.0e}"

    def _notes(self, index: int) -> str:
        return ", ".join(name for name in ("outlier", "ray") if getattr(self, name)[index])

    def _summary(self) -> str:
        points = Counter(self.status)
        starts = Counter(self.status[point] for point in self.point_of if point >= 0)
        parts = [f"{points[s]} {s.value} ({starts[s]} starts)" for s in Status if points[s]]
        return f"{len(self.point_of)} starts, tolerance {self.tolerance:.0e}: {', '.join(parts) or 'no points'}"

    def to_xarray(self) -> "xr.Dataset":
        """The same as labelled data: ``state`` is point x unit."""
        import xarray as xr

        columns = {name: ("point", getattr(self, name)) for name in _COLUMNS}
        inputs = {} if self.inputs is None else {"input": (("point", "entry"), self.inputs)}
        return xr.Dataset(
            {"state": (("point", "unit"), self.vectors), **inputs, **columns, "point_of": ("start", self.point_of)},
            coords={
                "point": np.arange(len(self)),
                "unit": list(self.layout.names),
                "status": ("point", np.array([status.value for status in self.status], dtype="U11")),
            },
            attrs={"homogeneous": int(self.homogeneous), "tolerance": self.tolerance},
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to an HDF5 file, atomically.

        Raises
        ------
        InputError
            If the file cannot be written.
        """
        with replace_atomically(path) as temporary, h5py.File(temporary, "w") as file:
            for name in (*_COLUMNS, "vectors", "point_of"):
                file[name] = getattr(self, name)
            if self.inputs is not None:
                file["inputs"] = self.inputs
            first = self.layout.states(np.zeros(self.layout.size))
            file.attrs["state"] = json.dumps(_skeleton(first))
            file.attrs["status"] = json.dumps([status.value for status in self.status])
            file.attrs["homogeneous"], file.attrs["tolerance"] = self.homogeneous, self.tolerance

    @staticmethod
    def load(path: str | os.PathLike[str]) -> "FixedPoints":
        """Read what `save` wrote; named tuples and other containers come back as plain tuples.

        Raises
        ------
        InputError
            If the file is not one of fixed points.
        """
        try:
            with h5py.File(path, "r") as file:
                arrays: Any = {name: np.array(file[name]) for name in (*_COLUMNS, "vectors", "point_of")}
                inputs = np.array(file["inputs"]) if "inputs" in file else None
                attributes: Any = dict(file.attrs)
        except (OSError, KeyError) as error:
            raise InputError(f"cannot read fixed points from {path}: {error}") from error
        state = _zeros(json.loads(attributes["state"]))
        status = tuple(Status(name) for name in json.loads(attributes["status"]))
        return FixedPoints(
            layout=layout_of(state),
            status=status,
            homogeneous=bool(attributes["homogeneous"]),
            tolerance=float(attributes["tolerance"]),
            inputs=inputs,
            **arrays,
        )


_COLUMNS = ("residual", "speed", "iterations", "starts", "source", "outlier", "ray")


def _skeleton(tree: Any) -> Any:
    """Nested containers as JSON, the shape in place of an array."""
    if isinstance(tree, dict):
        return {"dict": {str(key): _skeleton(value) for key, value in tree.items()}}
    if isinstance(tree, list):
        return {"list": [_skeleton(value) for value in tree]}
    if isinstance(tree, tuple):
        return {"tuple": [_skeleton(value) for value in tree]}
    if isinstance(tree, np.ndarray):
        return {"shape": list(tree.shape)}
    return {"tuple": [{"shape": list(leaf.shape)} for leaf in jax.tree.leaves(tree)]}


def _zeros(skeleton: dict[str, Any]) -> Any:
    ((kind, content),) = skeleton.items()
    if kind == "shape":
        return np.zeros(content)
    if kind == "dict":
        return {key: _zeros(value) for key, value in content.items()}
    values = [_zeros(value) for value in content]
    return values if kind == "list" else tuple(values)
