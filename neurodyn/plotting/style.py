"""What all plots share: colours, quiet axes, and new axes where none are given."""

from typing import Any

import numpy as np

from neurodyn.errors import InputError, import_extra

TRUTH = "#1A1A1A"
"""Colour of what really happened."""

GREY = "#6B6B6B"
"""Colour of text and lines that stand back."""

COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Of transitions, pairs and other things that are many and have no colour of their own."""

_METHODS = {"multimodal": "#D55E00", "spikes": "#0072B2", "field": "#009E73", "ridge": "#5A5A5A"}
_OTHERS = ("#CC79A7", "#56B4E9", "#E69F00", "#7A5195")


def method_colour(name: str, others: tuple[str, ...] = ()) -> str:
    """Colour of a method, the same in every figure.

    Parameters
    ----------
    name
        Name of the method.
    others
        All methods shown that have no colour of their own, in a fixed order; needed if ``name`` is one of them.

    Examples
    --------
    >>> from neurodyn.plotting import method_colour
    >>> method_colour("multimodal")
    '#D55E00'
    >>> method_colour("mine", ("mine", "yours")) == method_colour("yours", ("mine", "yours"))
    False
    """
    if name in _METHODS:
        return _METHODS[name]
    without_colour = [other for other in others if other not in _METHODS]
    return _OTHERS[without_colour.index(name) % len(_OTHERS)] if name in without_colour else _OTHERS[0]


def axes(ax: Any, *, size: tuple[float, float] = (6.0, 3.5), projection: str | None = None) -> Any:
    """Return the axes given, or those of a new figure of this size in inches."""
    if ax is not None:
        return ax
    pyplot = import_extra("matplotlib.pyplot", "plot")
    return pyplot.figure(figsize=size, layout="constrained").add_subplot(projection=projection)


def column_of_axes(ax: Any, rows: int) -> np.ndarray:
    """Return the axes given as a flat array, or those of a new figure, one above the other with one time axis.

    Raises
    ------
    InputError
        If there are not as many as rows.
    """
    if ax is None:
        pyplot = import_extra("matplotlib.pyplot", "plot")
        size = (8.0, 1.7 * rows + 0.6)
        return pyplot.subplots(rows, 1, sharex=True, squeeze=False, figsize=size, layout="constrained")[1][:, 0]
    given = np.ravel(np.asarray(ax, dtype=object))
    if len(given) != rows:
        raise InputError(f"what is drawn needs {rows} axes, one above the other, got {len(given)}: choose with dims=")
    return given


def quiet(ax: Any) -> Any:
    """Take away the frame's upper and right side, and return the axes."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(GREY)
    ax.tick_params(colors=GREY, labelsize=9)
    for label in (ax.xaxis.label, ax.yaxis.label):
        label.set_size(10)
    return ax


def legend_above(ax: Any, columns: int = 3) -> None:
    """A legend over the axes, where it hides no data."""
    ax.legend(
        frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=columns, borderaxespad=0.2,
        columnspacing=1.2, handlelength=1.6,
    )  # fmt: skip
