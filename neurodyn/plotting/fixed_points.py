"""Fixed points with their unstable directions, eigenvalues, and branches along a parameter."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Complex, Float

from neurodyn.errors import InputError
from neurodyn.plotting.style import GREY, TRUTH, axes, quiet

KINDS = {
    "attractor": ("#0072B2", "o"),
    "saddle": ("#D55E00", "X"),
    "repeller": ("#CC79A7", "s"),
    "marginal": ("#E69F00", "D"),
    "slow": (GREY, "v"),
}
"""Colour and marker of each class of points; other names are drawn as slow points are."""

EVENTS = {"fold": "o", "branch": "D", "flip": "s", "hopf": "^"}
"""Marker of each kind of bifurcation."""


def plot_fixed_points(
    points: Float[np.ndarray, "points dims"],
    kinds: Sequence[str],
    *,
    directions: Sequence[np.ndarray] | None = None,
    trajectories: Float[np.ndarray, "trial time dims"] | None = None,
    length: float = 1.0,
    axis_names: tuple[str, ...] = ("1", "2", "3"),
    ax: Any = None,
) -> Any:
    """Draw points of a state space in two or three dimensions, each with the directions in which it is left.

    Parameters
    ----------
    points
        (points, 2 or 3) coordinates.
    kinds
        One per point: 'attractor', 'saddle', 'repeller', 'marginal' or 'slow'.
    directions
        For each point its unstable directions (directions, 2 or 3); drawn to both sides.
    trajectories
        (trial, time, 2 or 3) drawn thinly behind the points.
    length
        Of a direction of length 1, to each side, in units of the axes.
    axis_names
        One per dimension.
    ax
        Axes, three-dimensional ones for three dimensions; new ones if None.

    Returns
    -------
    The axes.

    Raises
    ------
    InputError
        If there are neither two nor three dimensions, the axes do not fit, or kinds or directions are not one a point.
    """
    dims = points.shape[1]
    if dims not in (2, 3):
        raise InputError(f"points are drawn in 2 or 3 dimensions, got {dims}: choose some")
    if len(kinds) != len(points) or (directions is not None and len(directions) != len(points)):
        raise InputError(f"kinds and directions have to be one per point: expected {len(points)}")
    ax = axes(ax, size=(5.5, 4.5), projection="3d" if dims == 3 else None)
    if (ax.name == "3d") != (dims == 3):
        raise InputError(f"axes of projection '{ax.name}' cannot show points in {dims} dimensions")
    for path in () if trajectories is None else trajectories:
        ax.plot(*path.T, color=GREY, linewidth=0.5, alpha=0.35, zorder=1)
    for point, ways, kind in zip(points, directions or [()] * len(points), kinds, strict=True):
        for way in ways:
            ends = np.stack([point - length * way, point + length * way])
            ax.plot(*ends.T, color=KINDS.get(kind, KINDS["slow"])[0], linewidth=1.2, zorder=2)
    for kind in dict.fromkeys(kinds):
        chosen = points[[other == kind for other in kinds]]
        colour, marker = KINDS.get(kind, KINDS["slow"])
        ax.scatter(*chosen.T, color=colour, marker=marker, s=36, label=f"{kind} ({len(chosen)})", zorder=3)
    for axis, name in zip("xyz"[:dims], axis_names[:dims], strict=True):
        getattr(ax, f"set_{axis}label")(name)
    if kinds:
        ax.legend(frameon=False, fontsize=9)
    return quiet(ax) if dims == 2 else ax


def plot_eigenvalues(
    eigenvalues: Complex[np.ndarray, "points modes"], kinds: Sequence[str] | None = None, *, ax: Any = None
) -> Any:
    """Draw eigenvalues in the complex plane with the unit circle, outside of which a mode grows.

    Parameters
    ----------
    eigenvalues
        (points, modes).
    kinds
        One per point, for the colours; see `plot_fixed_points`.
    ax
        Axes; new ones if None.

    Returns
    -------
    The axes.
    """
    ax = quiet(axes(ax, size=(4.0, 4.0)))
    turn = np.linspace(0, 2 * np.pi, 200)
    ax.plot(np.cos(turn), np.sin(turn), color=GREY, linewidth=0.8)
    kinds = kinds or ["slow"] * len(eigenvalues)
    for kind in dict.fromkeys(kinds):
        chosen = eigenvalues[[other == kind for other in kinds]].ravel()
        label = kind if kind in KINDS else None
        ax.scatter(
            np.real(chosen), np.imag(chosen), s=8, color=KINDS.get(kind, KINDS["slow"])[0], label=label, alpha=0.7
        )
    ax.set_aspect("equal")
    ax.set_xlabel("real part")
    ax.set_ylabel("imaginary part")
    return ax


def plot_branch(
    values: Float[np.ndarray, " points"],
    coordinate: Float[np.ndarray, " points"],
    stable: Bool[np.ndarray, " points"],
    *,
    events: Sequence[tuple[str, float, float]] = (),
    value_name: str = "",
    coordinate_name: str = "",
    ax: Any = None,
) -> Any:
    """Draw a fixed point along a parameter: a full line where it is stable, a dashed one where it is not.

    Parameters
    ----------
    values
        (points,) of the parameter, in the order of the branch.
    coordinate
        (points,) of the fixed point.
    stable
        (points,) whether it is.
    events
        Kind ('fold', 'branch', 'flip', 'hopf'), value and coordinate of each bifurcation.
    value_name, coordinate_name
        Of the axes.
    ax
        Axes; new ones if None.

    Returns
    -------
    The axes.
    """
    ax = quiet(axes(ax))
    edges = np.flatnonzero(np.diff(stable)) + 1
    for first, last in zip([0, *edges], [*edges, len(values)], strict=True):
        part = slice(max(first - 1, 0), last)  # from the last point of the part before: no gap
        ax.plot(values[part], coordinate[part], color=TRUTH, linestyle="-" if stable[first] else "--", linewidth=1.4)
    for kind in dict.fromkeys(event[0] for event in events):
        _, x, y = zip(*(event for event in events if event[0] == kind), strict=True)
        ax.scatter(x, y, color=KINDS["saddle"][0], marker=EVENTS.get(kind, "o"), label=kind, zorder=3)
    if events:
        ax.legend(frameon=False, fontsize=9)
    ax.set_xlabel(value_name)
    ax.set_ylabel(coordinate_name)
    return ax
