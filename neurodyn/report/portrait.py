"""The pictures of a network on the page of its explanation, each with what its words mean."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from neurodyn.plotting import portrait as plots
from neurodyn.plotting.emulation import plot_symbol_transitions
from neurodyn.report.pictures import Picture, new_figure

if TYPE_CHECKING:
    import xarray as xr


class _Entry(NamedTuple):
    """A picture: drawn where its variable is in the data."""

    variable: str
    title: str
    caption: str
    draw: Callable[..., Any]


def portrait_pictures(data: "xr.Dataset") -> list[Picture]:
    """Draw every picture whose data are there.

    Parameters
    ----------
    data
        Of `neurodyn.mechanism.portrait`.
    """
    pictures = []
    for entry in _PICTURES:
        if entry.variable not in data:
            continue
        figure = new_figure((3.7, 3.5))
        entry.draw(data, ax=figure.add_subplot())
        pictures.append(Picture(entry.title, entry.caption, figure))
    return pictures


def _transitions(data: "xr.Dataset", *, ax: Any) -> Any:
    return plot_symbol_transitions(np.asarray(data["emitted"]), np.asarray(data["expected"]), ax=ax)


_PICTURES = (
    _Entry(
        "place",
        "Under noise",
        "States of the network in the plane in which they vary most (the first two principal components), each in the "
        "colour of the symbol that it would most likely emit.",
        plots.plot_orbit,
    ),
    _Entry(
        "quiet_place",
        "Without noise",
        "The same network from the same states without any input: where it runs to by itself. Rings are the last "
        "states.",
        partial(plots.plot_orbit, quiet_runs=True),
    ),
    _Entry(
        "occupancy",
        "Levels of the noise",
        "The smallest region that holds four fifths of the time, at half, once and twice the noise: whether the orbit "
        "grows with it.",
        plots.plot_occupancy,
    ),
    _Entry(
        "received",
        "What the kick neurons receive",
        "Kick neurons are the units without which a transition does not start. Their mean recurrent input along the "
        "orbit; the phase is the angle around the middle of the plane.",
        plots.plot_received,
    ),
    _Entry(
        "weight",
        "Recurrent weights, sorted",
        "Kick neurons first, then the units whose weights onto them are larger than chance (the integrating "
        "populations), then the others; a row is what a unit receives.",
        plots.plot_sorted_weights,
    ),
    _Entry(
        "largest_eigenvalue",
        "Kick neurons scaled",
        "The Jacobian is the linear map of small deviations over one step; while the modulus of all its eigenvalues is "
        "below 1 they die out. Its largest modulus as the kick neurons of a transition are scaled.",
        plots.plot_scaled_eigenvalues,
    ),
    _Entry(
        "emitted",
        "Transitions of the symbols",
        "Probability of the next symbol (column) given the present one (row): the network's large, the model's exact "
        "one small below it.",
        _transitions,
    ),
)
