"""Figures of the claims of ``neurodyn.mechanism`` about runs and orbits: without input, round, there and back.

Where a claim does not apply there are no data, and the axes stay empty.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from neurodyn.display import symbol_name
from neurodyn.plotting.emulation import symbol_colour
from neurodyn.plotting.style import COLOURS, axes, legend_above, quiet

if TYPE_CHECKING:
    import xarray as xr


def plot_collapse(data: "xr.Dataset", *, ax: Any = None) -> Any:
    """Draw the size of the activity without input along each run, from starts of very different size.

    Parameters
    ----------
    data
        ``size`` (step x start), relative to the activity under noise, and ``collapsed`` (start).
    ax
        Axes; new ones if None.

    Examples
    --------
    >>> import xarray as xr
    >>> from matplotlib.figure import Figure
    >>> runs = {"size": (("step", "start"), [[1.0, 2.0], [0.1, 0.2]]), "collapsed": ("start", [True, True])}
    >>> plot_collapse(xr.Dataset(runs), ax=Figure().subplots()).get_xlabel()
    'step without input'
    """
    ax = quiet(axes(ax))
    size = np.asarray(data["size"])
    collapsed = np.asarray(data["collapsed"]).astype(bool)
    floor = 1e-12
    for kind, colour in ((collapsed, COLOURS[1]), (~collapsed, COLOURS[0])):
        if kind.any():
            name = "come to the common point" if colour == COLOURS[1] else "do not"
            lines = ax.plot(np.maximum(size[:, kind], floor), color=colour, linewidth=0.5, alpha=0.5)
            lines[0].set_label(f"{kind.sum()} runs {name}")
    ax.set_yscale("log")
    ax.set_ylim(bottom=floor)
    ax.set_xlabel("step without input")
    ax.set_ylabel("size of the activity (1: under noise)")
    legend_above(ax)
    return ax


def plot_phase(data: "xr.Dataset", *, ax: Any = None) -> Any:
    """Draw the mean emission probabilities against the phase on the orbit.

    Parameters
    ----------
    data
        ``probability`` (phase, symbol) and ``occupancy`` (phase).
    ax
        Axes; new ones if None.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> from matplotlib.figure import Figure
    >>> parts = {"probability": (("phase", "symbol"), np.full((8, 2), 0.5)), "occupancy": ("phase", np.ones(8))}
    >>> phases = xr.Dataset(parts, {"phase": np.linspace(-np.pi, np.pi, 8, endpoint=False)})
    >>> plot_phase(phases, ax=Figure().subplots()).get_xlabel()
    'phase in the leading plane'
    """
    ax = quiet(axes(ax))
    if "probability" not in data:
        return ax
    phase, probability = np.asarray(data["phase"]), np.asarray(data["probability"])
    occupancy = np.asarray(data["occupancy"])
    width = phase[1] - phase[0]
    ax.bar(
        phase, occupancy / max(occupancy.max(), 1e-12), width=width, color="#E3E3E3", label="time spent (of the most)"
    )
    for symbol in range(probability.shape[1]):
        ax.plot(
            phase,
            probability[:, symbol],
            marker="o",
            markersize=3,
            color=symbol_colour(symbol),
            label=f"symbol {symbol_name(symbol)}",
        )
    ax.set_xticks([-np.pi, 0, np.pi], ["-π", "0", "π"])
    ax.set_xlabel("phase in the leading plane")
    ax.set_ylabel("emission probability")
    legend_above(ax)
    return ax


def plot_subspaces(data: "xr.Dataset", *, ax: Any = None) -> Any:
    """Draw the mean course of every pair of symbols in its own plane: there (full) and back (broken).

    Parameters
    ----------
    data
        ``motif`` (pair, way, step, axis).
    ax
        Axes; new ones if None.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> from matplotlib.figure import Figure
    >>> courses = {"motif": (("pair", "way", "step", "axis"), np.random.default_rng(0).normal(size=(1, 2, 10, 2)))}
    >>> ax = plot_subspaces(xr.Dataset(courses, {"pair": ["AB"]}), ax=Figure().subplots())
    >>> len(ax.lines), ax.lines[0].get_label()
    (2, 'pair AB')
    """
    ax = quiet(axes(ax, size=(5.0, 4.5)))
    if "motif" not in data:
        return ax
    for row, name in enumerate(data["pair"].to_numpy().tolist()):
        motif, colour = np.asarray(data["motif"])[row], COLOURS[row % 6]
        for course, style in zip(motif, ("-", "--"), strict=True):
            ax.plot(
                course[:, 0],
                course[:, 1],
                style,
                color=colour,
                marker=".",
                label=f"pair {name}" if style == "-" else None,
            )
    ax.set_xlabel("first axis of the pair")
    ax.set_ylabel("second axis of the pair")
    legend_above(ax)
    return ax
