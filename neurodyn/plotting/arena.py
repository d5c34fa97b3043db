"""Two dimensions of a decoded target against each other: an animal in its arena, a hand on its table."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from neurodyn.binning import MultimodalBatch
from neurodyn.errors import InputError, import_extra
from neurodyn.plotting.decoding import split_at
from neurodyn.plotting.predictions import chosen_dims, stretch_of
from neurodyn.plotting.style import TRUTH, axes, method_colour, quiet

if TYPE_CHECKING:
    import xarray as xr

REGION_95 = 2.4477468306808166
"""Radius, in standard deviations, of the circle that holds 95 % of a normal distribution in two dimensions."""
MOST_REGIONS = 10
"""Regions that one picture can show."""


def plot_arena(
    prediction: "xr.Dataset",
    batch: MultimodalBatch,
    *,
    dims: Sequence[str] = ("x", "y"),
    trial: int | None = None,
    between: Sequence[float] | None = None,
    colour: str = method_colour("multimodal"),
    ax: Any = None,
) -> Any:
    """Draw one dimension of a target against another, true and decoded, with regions that hold 95 % of the prediction.

    A region is an ellipse whose axes are those of the picture: decoders give a standard deviation per dimension and no
    correlation between them. It is wider than the interval of each dimension alone, for it has to hold both at once.
    Regions are drawn at bins that are equally far apart, ten at most, and their middles are dots.

    Parameters
    ----------
    prediction
        What ``predict(batch)`` of any decoder returned.
    batch
        What it was made of.
    dims
        What goes to the right and what goes up.
    trial
        Number of the one trial to draw; None for all of them.
    between
        First and last second of the recording; None for all of it. About ten seconds remain legible.
    colour
        Colour of the prediction.
    ax
        Axes; new ones if None.

    Returns
    -------
    The axes.

    Raises
    ------
    InputError
        If the prediction is of another batch, or a dimension or a part is not there.

    Examples
    --------
    >>> import neurodyn as nd
    >>> batch = nd.simulation.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=9, seconds=1.0), seed=0)
    >>> found = nd.CausalRidge().fit(batch.train).predict(batch.test)
    >>> ax = nd.plotting.plot_arena(found, batch.test, dims=("x", "z"), trial=0)
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('x', 'z')
    """
    stretch = stretch_of(prediction, batch, trial=trial, between=between)
    if isinstance(dims, str) or len(dims) != 2:
        raise InputError(f'an arena has two dimensions, such as dims=("x", "y"); got {dims!r}')
    names = chosen_dims(stretch, dims)
    ax = quiet(axes(ax, size=(5.4, 5.0)))
    places = [stretch.names.index(name) for name in names]
    true, decoded, deviation = (values[:, places] for values in (stretch.true, stretch.decoded, stretch.deviation))
    draw_arena(true, decoded, deviation, breaks=stretch.breaks, colour=colour, ax=ax)
    if _comparable(stretch.units[places[0]], stretch.units[places[1]]):
        ax.set_aspect("equal", adjustable="datalim")
    ax.set_xlabel(stretch.label(names[0]))
    ax.set_ylabel(stretch.label(names[1]))
    return ax


def draw_arena(
    true: Float[np.ndarray, "bins 2"],
    decoded: Float[np.ndarray, "bins 2"],
    deviation: Float[np.ndarray, "bins 2"],
    *,
    breaks: Int[np.ndarray, " breaks"] | None,
    colour: str,
    ax: Any,
) -> None:
    """Both paths into axes that are there, with regions and a legend above."""
    _regions(decoded.T, deviation.T, colour, ax)
    for path, shade, width, label in ((true, TRUTH, 1.6, "true"), (decoded, colour, 1.2, "decoded")):
        x, y = (split_at(values, breaks) for values in path.T)
        ax.plot(x, y, color=shade, linewidth=width, label=label)
    ax.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, frameon=False, fontsize=9)


def _regions(decoded: np.ndarray, deviation: np.ndarray, colour: str, ax: Any) -> None:
    patches = import_extra("matplotlib.patches", "plot")
    to_rgba = import_extra("matplotlib.colors", "plot").to_rgba
    bins = decoded.shape[1]
    chosen = np.unique(np.linspace(0, bins - 1, min(MOST_REGIONS, bins)).round().astype(int))
    for number, place in enumerate(chosen):
        width, height = 2 * REGION_95 * deviation[:, place]
        label = "95 % region" if number == 0 else None
        ax.add_patch(
            patches.Ellipse(
                decoded[:, place], width, height, facecolor=to_rgba(colour, 0.07), edgecolor=to_rgba(colour, 0.45),
                linewidth=0.7, label=label, zorder=1,
            )
        )  # fmt: skip
    ax.plot(*decoded[:, chosen], color=colour, linestyle="", marker="o", markersize=4)
    ax.autoscale_view()


def _comparable(one: str, other: str) -> bool:
    """Whether a step to the right is as far as a step up."""
    return one == other
