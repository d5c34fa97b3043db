"""Trajectories of latents in two or three dimensions."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from neurodyn.errors import InputError, import_extra
from neurodyn.plotting.style import GREY, axes, quiet


def plot_trajectory(
    latent: Float[np.ndarray, "bins dims"],
    value: Float[np.ndarray, " bins"],
    *,
    trial: Int[np.ndarray, " bins"] | None = None,
    value_name: str = "",
    axis_names: tuple[str, ...] = ("1", "2", "3"),
    ax: Any = None,
) -> Any:
    """Draw a path through two or three latent dimensions, coloured by a value along it.

    Parameters
    ----------
    latent
        (bins, 2 or 3).
    value
        (bins,) what the colour shows.
    trial
        (bins,) number of the trial; the path breaks where it changes.
    value_name
        Name of the value, beside the colour scale; no scale if empty.
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
        If ``latent`` has neither two nor three dimensions, or the axes do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from neurodyn.plotting import plot_trajectory
    >>> turn = np.linspace(0, 6, 50)
    >>> latent = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    >>> plot_trajectory(latent, turn, axis_names=("latent 1", "latent 2"), ax=Figure().subplots()).get_ylabel()
    'latent 2'
    """
    dims = latent.shape[1]
    if dims not in (2, 3):
        raise InputError(f"a trajectory is drawn in 2 or 3 dimensions, got {dims}: choose some")
    ax = axes(ax, size=(5.0, 4.0), projection="3d" if dims == 3 else None)
    if (ax.name == "3d") != (dims == 3):
        raise InputError(f"axes of projection '{ax.name}' cannot show a trajectory in {dims} dimensions")
    lines = _path(latent, value, trial)
    (ax.add_collection3d if dims == 3 else ax.add_collection)(lines)
    for axis, column, name in zip("xyz"[:dims], latent.T, axis_names[:dims], strict=True):
        getattr(ax, f"set_{axis}lim")(*_limits(column))
        getattr(ax, f"set_{axis}label")(name, labelpad=-12 if dims == 3 else None)
        getattr(ax, f"set_{axis}ticks")([])
    if dims == 2:
        quiet(ax)
    else:
        _open(ax)
    if value_name:
        bar = ax.figure.colorbar(lines, ax=ax, shrink=0.6, pad=0.02, label=value_name)
        bar.outline.set_visible(False)
        bar.ax.tick_params(colors=GREY, labelsize=8)
    return ax


def _path(latent: np.ndarray, value: np.ndarray, trial: np.ndarray | None) -> Any:
    """Pieces of line from bin to bin inside each trial."""
    collections = import_extra("matplotlib.collections", "plot")
    pieces = np.stack([latent[:-1], latent[1:]], axis=1)
    inside = np.ones(len(pieces), np.bool_) if trial is None else trial[1:] == trial[:-1]
    if latent.shape[1] == 3:
        collection = import_extra("mpl_toolkits.mplot3d.art3d", "plot").Line3DCollection
    else:
        collection = collections.LineCollection
    return collection(pieces[inside], array=value[1:][inside], cmap="viridis", linewidths=0.9, alpha=0.85)


def _limits(column: np.ndarray) -> tuple[float, float]:
    """Range that shows nearly all of the path, so that single excursions do not shrink it."""
    low, high = np.percentile(column, [0.5, 99.5])
    margin = 0.05 * (high - low) or 1.0
    return float(low - margin), float(high + margin)


def _open(ax: Any) -> None:
    """Three-dimensional axes without walls."""
    for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
        axis.set_pane_color((1, 1, 1, 0))
        axis.line.set_color(GREY)
    ax.set_box_aspect(None, zoom=0.92)  # or the label of the upright axis is cut off
