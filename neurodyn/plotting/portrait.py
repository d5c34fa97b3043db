"""Pictures of a network that emulates a hidden Markov model, from the data of ``neurodyn.mechanism.portrait``."""

from typing import TYPE_CHECKING, Any

import numpy as np

from neurodyn.display import symbol_name
from neurodyn.plotting.emulation import symbol_colour
from neurodyn.plotting.style import COLOURS, GREY, axes, legend_above, quiet

if TYPE_CHECKING:
    import xarray as xr

_LEVELS = ("#9ECAE1", "#4292C6", "#08306B", "#000000")
_KINDS = ("other units", "kick neurons", "units that drive them")
_FIRST, _SECOND = "first principal component", "second principal component"


def plot_orbit(data: "xr.Dataset", *, quiet_runs: bool = False, ax: Any = None) -> Any:
    """Draw trajectories in the leading plane, each state in the colour of its likeliest symbol.

    Parameters
    ----------
    data
        Of ``portrait``: ``place`` (trial, time, axis) and ``symbol`` (trial, time).
    quiet_runs
        The runs without input, ``quiet_place`` and ``quiet_symbol``, with a ring where each ends.
    ax
        Axes; new ones if None.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> from matplotlib.figure import Figure
    >>> turn = np.linspace(0, 6, 50)
    >>> shown = {"place": (("trial", "time", "axis"), np.stack([np.cos(turn), np.sin(turn)], axis=1)[None])}
    >>> shown["symbol"] = (("trial", "time"), (turn > 3).astype(int)[None])
    >>> data = xr.Dataset(shown | {"quiet_symbol": (("trial", "quiet_step"), [[0, 0]])})
    >>> plot_orbit(data, ax=Figure().subplots()).get_xlabel()
    'first principal component'
    """
    ax = quiet(axes(ax, size=(4.6, 4.2)))
    place, symbol = (np.asarray(data[f"quiet_{name}" if quiet_runs else name]) for name in ("place", "symbol"))
    for path in place:
        ax.plot(*path.T, color=GREY, linewidth=0.4, alpha=0.5, zorder=1)
    for value in np.unique([*np.unique(data["symbol"]), *np.unique(data["quiet_symbol"])]):
        here = symbol == value
        ax.scatter(*place[here].T, s=7, color=symbol_colour(int(value)), linewidths=0, zorder=2)
        ax.plot([], [], "o", color=symbol_colour(int(value)), markersize=5, label=symbol_name(int(value)))
    if quiet_runs:
        ax.plot(*place[:, -1].T, "o", color="black", fillstyle="none", markersize=8, zorder=3, label="end")
    ax.set_xlabel(_FIRST)
    ax.set_ylabel(_SECOND)
    legend_above(ax, columns=6)
    return ax


def plot_occupancy(data: "xr.Dataset", *, ax: Any = None) -> Any:
    """Draw the smallest region of the leading plane that holds four fifths of the time, at each level of the noise.

    Parameters
    ----------
    data
        Of ``portrait``: ``occupancy`` (level, x, y), ``x_edge`` and ``y_edge``.
    ax
        Axes; new ones if None.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> from matplotlib.figure import Figure
    >>> occupancy = np.random.default_rng(0).uniform(size=(2, 4, 4))
    >>> data = xr.Dataset({"occupancy": (("level", "x", "y"), occupancy)}, {"level": [1.0, 2.0]})
    >>> data = data.assign(x_edge=("edge", np.arange(5.0)), y_edge=("edge", np.arange(5.0)))
    >>> plot_occupancy(data, ax=Figure().subplots()).get_xlabel()
    'first principal component'
    """
    ax = quiet(axes(ax, size=(4.6, 4.2)))
    x, y = (np.asarray(data[name]) for name in ("x_edge", "y_edge"))
    middle = [(edge[1:] + edge[:-1]) / 2 for edge in (x, y)]
    levels = data["level"].to_numpy()
    for number, (share, level) in enumerate(zip(np.asarray(data["occupancy"]), levels, strict=True)):
        colour = _LEVELS[number % len(_LEVELS)]
        height = _height_of(share, 0.8)
        ax.contour(*middle, share.T, levels=[height], colors=[colour], linewidths=1.6)
        ax.plot([], [], color=colour, linewidth=1.6, label=f"noise {level:g}")
    ax.set_xlabel(_FIRST)
    ax.set_ylabel(_SECOND)
    legend_above(ax)
    return ax


def plot_received(data: "xr.Dataset", *, ax: Any = None) -> Any:
    """Draw what the kick neurons of each transition receive, against the phase on the orbit.

    Parameters
    ----------
    data
        Of ``portrait``: ``received`` (transition, phase).
    ax
        Axes; new ones if None.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> from matplotlib.figure import Figure
    >>> received = {"received": (("transition", "phase"), [[0.1, 0.5, 0.2]])}
    >>> data = xr.Dataset(received, {"transition": ["A→C"], "phase": [-2.0, 0.0, 2.0]})
    >>> plot_received(data, ax=Figure().subplots()).get_xlabel()
    'phase in the leading plane'
    """
    ax = quiet(axes(ax, size=(4.6, 4.2)))
    _per_transition(data, "received", "phase", ax)
    ax.axhline(0, color=GREY, linewidth=0.7)
    ax.set_xticks([-np.pi, 0, np.pi], ["-π", "0", "π"])
    ax.set_xlabel("phase in the leading plane")
    ax.set_ylabel(str(data.attrs.get("received_is", "received")))
    return ax


def plot_scaled_eigenvalues(data: "xr.Dataset", *, ax: Any = None) -> Any:
    """Draw the largest modulus of the Jacobian's eigenvalues against the factor that scales the kick neurons.

    Parameters
    ----------
    data
        Of ``portrait``: ``largest_eigenvalue`` (transition, factor).
    ax
        Axes; new ones if None.

    Examples
    --------
    >>> import xarray as xr
    >>> from matplotlib.figure import Figure
    >>> largest = {"largest_eigenvalue": (("transition", "factor"), [[0.8, 0.95, 1.1]])}
    >>> data = xr.Dataset(largest, {"transition": ["A→C"], "factor": [0.0, 1.0, 2.0]})
    >>> plot_scaled_eigenvalues(data, ax=Figure().subplots()).get_ylabel()
    'largest modulus (dotted: 1)'
    """
    ax = quiet(axes(ax, size=(4.6, 4.2)))
    _per_transition(data, "largest_eigenvalue", "factor", ax, marker="o", markersize=4)
    ax.axhline(1, color=GREY, linewidth=0.7, linestyle=":")
    ax.set_xlabel("factor of the kick neurons")
    ax.set_ylabel("largest modulus (dotted: 1)")
    return ax


def plot_sorted_weights(data: "xr.Dataset", *, ax: Any = None) -> Any:
    """Draw the recurrent matrix with kick neurons first, the units that drive them next, and lines between the three.

    Parameters
    ----------
    data
        Of ``portrait``: ``weight`` (to_unit, from_unit), ``unit_kind`` (to_unit).
    ax
        Axes; new ones if None.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> from matplotlib.figure import Figure
    >>> shown = {"weight": (("to_unit", "from_unit"), np.eye(4)), "unit_kind": ("to_unit", [0, 1, 2, 2])}
    >>> plot_sorted_weights(xr.Dataset(shown), ax=Figure().subplots()).get_xlabel()
    'from unit, sorted'
    """
    ax = quiet(axes(ax, size=(4.6, 4.2)))
    weight, kind = np.asarray(data["weight"]), np.asarray(data["unit_kind"])
    reach = float(np.quantile(np.abs(weight), 0.99)) or 1.0
    image = ax.imshow(weight, cmap="RdBu_r", vmin=-reach, vmax=reach, interpolation="nearest")
    ax.figure.colorbar(image, ax=ax, shrink=0.7, label="weight")
    ends = np.flatnonzero(np.diff(kind)) + 1
    for end in ends:
        ax.axhline(end - 0.5, color="black", linewidth=0.7)
        ax.axvline(end - 0.5, color="black", linewidth=0.7)
    starts, stops = [0, *ends], [*ends, len(kind)]
    counts = [f"{stop - start} {_KINDS[kind[start]]}" for start, stop in zip(starts, stops, strict=True)]
    ax.set_title(",\n".join(counts), fontsize=8, loc="left")
    ax.set_xlabel("from unit, sorted")
    ax.set_ylabel("to unit, sorted")
    return ax


def _per_transition(data: "xr.Dataset", variable: str, along: str, ax: Any, **style: Any) -> None:
    """A line for each transition, in the colour that it has in the figures of the claims."""
    for row, name in enumerate(data["transition"].to_numpy().tolist()):
        colour = COLOURS[row % len(COLOURS)]
        ax.plot(data[along], np.asarray(data[variable])[row], color=colour, label=name, **style)
    legend_above(ax, columns=4)


def _height_of(share: np.ndarray, held: float) -> float:
    """Height over which lie the cells that together hold a share of the time: the smallest region that does."""
    falling = np.sort(share.ravel())[::-1]
    return float(falling[np.searchsorted(np.cumsum(falling), held * falling.sum())])
