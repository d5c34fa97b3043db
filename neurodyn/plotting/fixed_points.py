"""Fixed points with their unstable directions, eigenvalues, and branches along a parameter."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from neurodyn.components import Axes, principal_axes
from neurodyn.errors import InputError, import_extra
from neurodyn.plotting.style import GREY, TRUTH, axes, quiet

KINDS = {
    "attractor": ("#0072B2", "o"),
    "saddle": ("#D55E00", "X"),
    "repeller": ("#CC79A7", "s"),
    "marginal": ("#E69F00", "D"),
    "fixed": ("#56B4E9", "o"),
    "slow": (GREY, "v"),
}
"""Colour and marker of each class of points; other names are drawn as slow points are."""

EVENTS = {"fold": "o", "branch": "D", "flip": "s", "hopf": "^"}
"""Marker of each kind of bifurcation."""


def plot_fixed_points(
    found: Any,
    linear: Any = None,
    *,
    trajectories: np.ndarray | None = None,
    view: Axes | None = None,
    length: float | None = None,
    ax: Any = None,
) -> Any:
    """Draw fixed and slow points in the plane, or the space, in which the states vary most; diverged ones are left out.

    Parameters
    ----------
    found
        What `neurodyn.fixed_points.find` found.
    linear
        What `neurodyn.fixed_points.linearise` says of the same points, for their classes and unstable directions. None
        shows which are fixed and which slow.
    trajectories
        (trial, time, size) states of trials, drawn thinly behind the points; they decide what the plane is.
    view
        Directions to look along (`neurodyn.fixed_points.principal_axes`). None: the entries themselves of states that
        have as many as the picture has dimensions, and otherwise principal components of trajectories and points.
    length
        Length of an unstable direction, to each side, in units of the state; a tenth of the picture if None.
    ax
        Axes, three-dimensional ones for three dimensions; new ones with two if None.

    Returns
    -------
    The axes.

    Raises
    ------
    InputError
        If something else was given, ``linear`` is of other points, or states have one entry only.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import numpy as np
    >>> from neurodyn.fixed_points import find, linearise
    >>> from neurodyn.plotting import plot_fixed_points
    >>> def step(state, drive):
    ...     return state + 0.1 * (drive * state - state**3)
    >>> found = find(step, np.random.default_rng(0).normal(size=(50, 2)), 1.0).fixed
    >>> ax = plot_fixed_points(found, linearise(step, found.states, 1.0, dt=0.1))
    >>> ax.get_xlabel()
    'state[0]'
    """
    vectors, kinds = _points_of(found, linear)
    somewhere = np.isfinite(vectors).all(axis=1)
    numbers, vectors = np.flatnonzero(somewhere), vectors[somewhere]
    kinds = [kinds[number] for number in numbers]
    dims = 3 if ax is not None and ax.name == "3d" else 2
    paths = _states(trajectories, vectors.shape[1])
    view, names = _view(found, vectors, paths, dims) if view is None else (view, _names(view))
    placed = view.points(vectors)
    ways = None
    if linear is not None and linear.right is not None:
        ways = [view.direction_coordinates(linear.unstable_directions(number)) for number in numbers]
    drawn = placed if paths is None else np.concatenate([placed, view.points(paths).reshape(-1, placed.shape[1])])
    extent = float(np.ptp(drawn, axis=0).max()) if len(drawn) else 0.0
    return plot_points(
        placed, kinds, directions=ways, trajectories=None if paths is None else view.points(paths),
        length=(0.1 * extent or 1.0) if length is None else length, axis_names=names, ax=ax,
    )  # fmt: skip


def _points_of(found: Any, linear: Any) -> tuple[np.ndarray, list[str]]:
    """Vectors of the points and the class of each."""
    if not hasattr(found, "vectors") or not hasattr(found, "status"):
        raise InputError(
            f"expected what neurodyn.fixed_points.find returns, got a {type(found).__name__}: plot_points draws arrays"
        )
    if linear is None:
        return found.vectors, [status.value for status in found.status]
    if not hasattr(linear, "stability"):
        raise InputError(f"expected what neurodyn.fixed_points.linearise returns, got a {type(linear).__name__}")
    if len(linear.stability) != len(found.vectors):
        raise InputError(
            f"there are {len(found.vectors)} points, and {len(linear.stability)} are linearised: give the same ones, "
            "such as  found.fixed  and  linearise(step, found.fixed.states, ...)"
        )
    slow = [status.value != "fixed" for status in found.status]
    return found.vectors, [
        status.value if other else kind.value
        for status, kind, other in zip(found.status, linear.stability, slow, strict=True)
    ]


def _states(trajectories: Any, size: int) -> np.ndarray | None:
    if trajectories is None:
        return None
    states = np.asarray(trajectories, np.float64)
    if states.ndim != 3 or states.shape[2] != size:
        raise InputError(f"trajectories are (trial, time, {size}), the states of trials; got shape {states.shape}")
    return states


def _view(found: Any, vectors: np.ndarray, paths: np.ndarray | None, dims: int) -> tuple[Axes, tuple[str, ...]]:
    """Directions to look along, and what the axes are called."""
    size = vectors.shape[1]
    if size < 2:
        raise InputError("a state of one entry has no plane to be drawn in: see plot_branch")
    if size == dims:
        names = getattr(found.layout, "names", ())
        return Axes(np.zeros(size), np.eye(size), np.full(size, 1 / size)), tuple(f"state{name}" for name in names)
    rows = vectors if paths is None else np.concatenate([vectors, paths.reshape(-1, size)])
    if len(rows) <= dims:  # too few to span a plane: any direction beside theirs will do
        middle = rows.mean(axis=0) if len(rows) else np.zeros(size)
        rows = np.concatenate([rows, np.tile(middle, (dims + 1, 1))])
    view = principal_axes(rows, min(dims, size))
    return view, _names(view)


def _names(view: Axes) -> tuple[str, ...]:
    return tuple(f"PC {place} ({share:.0%})" for place, share in enumerate(view.share, start=1))


def plot_points(
    points: Float[np.ndarray, "points dims"],
    kinds: Sequence[str],
    *,
    directions: Sequence[np.ndarray] | None = None,
    trajectories: Float[np.ndarray, "trial time dims"] | None = None,
    length: float = 1.0,
    axis_names: tuple[str, ...] = ("1", "2", "3"),
    ax: Any = None,
) -> Any:
    """Draw arrays: points of a state space in two or three dimensions, each with the directions in which it is left.

    :func:`plot_fixed_points` does the same with what :mod:`neurodyn.fixed_points` found.

    Parameters
    ----------
    points
        (points, 2 or 3) coordinates.
    kinds
        One per point: 'attractor', 'saddle', 'repeller', 'marginal', 'fixed' or 'slow'.
    directions
        For each point its unstable directions (directions, 2 or 3); drawn to both sides.
    trajectories
        (trial, time, 2 or 3) drawn thinly behind the points.
    length
        Length of a direction of length 1, to each side, in units of the axes.
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

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from neurodyn.plotting import plot_points
    >>> points, kinds = np.array([[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]]), ["attractor", "saddle", "attractor"]
    >>> ax = plot_points(points, kinds, axis_names=("h1", "h2"), ax=Figure().subplots())
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('h1', 'h2')
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
    if dims == 3:
        _few_ticks(ax)
    if kinds:
        ax.legend(frameon=False, fontsize=9, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    return quiet(ax) if dims == 2 else ax


def _few_ticks(ax: Any) -> None:
    """Numbers along three axes that leave room for the names."""
    for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
        axis.set_major_locator(import_extra("matplotlib.ticker", "plot").MaxNLocator(4))
    ax.tick_params(colors=GREY, labelsize=8, pad=0)


def plot_eigenvalues(linear: Any, *, kinds: Sequence[str] | None = None, ax: Any = None) -> Any:
    """Draw the eigenvalues of linearised points in the complex plane with the unit circle: outside it a mode grows.

    Parameters
    ----------
    linear
        What `neurodyn.fixed_points.linearise` returned, or the eigenvalues themselves, (points, modes).
    kinds
        One per point, for the colours (see `plot_points`); the stability found by ``linear`` if None.
    ax
        Axes; new ones if None.

    Returns
    -------
    The axes.

    Raises
    ------
    InputError
        If something else was given, or kinds are not one per point.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.plotting import plot_eigenvalues
    >>> ax = plot_eigenvalues(np.array([[0.5 + 0.5j, 0.5 - 0.5j]]), kinds=["attractor"])
    >>> ax.get_xlabel()
    'real part'
    """
    eigenvalues = _eigenvalues(linear)
    if kinds is None:
        kinds = [kind.value for kind in getattr(linear, "stability", ())] or ["slow"] * len(eigenvalues)
    if len(kinds) != len(eigenvalues):
        raise InputError(f"kinds have to be one per point: expected {len(eigenvalues)}, got {len(kinds)}")
    ax = quiet(axes(ax, size=(4.6, 4.4)))
    turn = np.linspace(0, 2 * np.pi, 200)
    ax.plot(np.cos(turn), np.sin(turn), color=GREY, linewidth=0.8, label="unit circle")
    for place, kind in enumerate(dict.fromkeys(kinds)):
        chosen = eigenvalues[[other == kind for other in kinds]].ravel()
        colour, marker = KINDS.get(kind, KINDS["slow"])
        ax.scatter(
            np.real(chosen), np.imag(chosen), s=max(34 - 10 * place, 8), color=colour, marker=marker, linewidths=0,
            label=kind if kind in KINDS else None, alpha=0.8,
        )  # fmt: skip
    half = 1.08 * max(1.0, float(np.abs(eigenvalues[np.isfinite(eigenvalues)]).max(initial=0.0)))
    ax.set(xlim=(-half, half), ylim=(-half, half), aspect="equal")
    ax.set_xlabel("real part")
    ax.set_ylabel("imaginary part")
    ax.legend(frameon=False, fontsize=9, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, columnspacing=1.0)
    return ax


def _eigenvalues(linear: Any) -> np.ndarray:
    values = np.asarray(getattr(linear, "eigenvalues", linear))
    if values.ndim != 2 or not np.issubdtype(values.dtype, np.number):
        raise InputError(
            f"expected what neurodyn.fixed_points.linearise returns, or eigenvalues (points, modes); got a "
            f"{type(linear).__name__}"
        )
    return values


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

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from neurodyn.plotting import plot_branch
    >>> gain, events = np.linspace(0.5, 1.5, 20), [("branch", 1.0, 0.0)]
    >>> ax = plot_branch(gain, np.zeros(20), gain < 1, events=events, value_name="gain", ax=Figure().subplots())
    >>> ax.get_xlabel()
    'gain'
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
        ax.legend(frameon=False, fontsize=9, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4)
    ax.set_xlabel(value_name)
    ax.set_ylabel(coordinate_name)
    return ax
