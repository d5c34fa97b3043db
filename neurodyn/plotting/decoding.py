"""Decoded against true target over time."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Int

from neurodyn.binning import MultimodalBatch
from neurodyn.evaluation.intervals import NORMAL_95
from neurodyn.plotting.predictions import Stretch, chosen_dims, stretch_of
from neurodyn.plotting.style import TRUTH, axes, column_of_axes, method_colour, quiet

if TYPE_CHECKING:
    import xarray as xr


def plot_decoded(
    prediction: "xr.Dataset",
    batch: MultimodalBatch,
    *,
    dims: str | Sequence[str] | None = None,
    trial: int | None = None,
    between: Sequence[float] | None = None,
    colour: str = method_colour("multimodal"),
    ax: Any = None,
) -> Any:
    """Draw what a decoder predicted over time, with the truth and the central 95 % of the prediction.

    Parameters
    ----------
    prediction
        What ``predict(batch)`` of any decoder returned.
    batch
        What it was made of. Its target is drawn where it is scored; a batch without one has nothing to compare with.
    dims
        One dimension of the target, or several; None for all.
    trial
        Number of the one trial to draw; None draws all of them, end to end.
    between
        First and last second of the recording; None for all of it.
    colour
        Colour of the prediction.
    ax
        One axes per dimension; new ones, one above the other, if None.

    Returns
    -------
    The axes: one where one dimension is drawn, an array where several are.

    Raises
    ------
    InputError
        If the prediction is of another batch, a dimension or a part is not there, or there are not as many axes.

    Examples
    --------
    >>> import neurodyn as nd
    >>> batch = nd.simulation.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=9, seconds=1.0), seed=0)
    >>> found = nd.CausalRidge().fit(batch.train).predict(batch.test)
    >>> ax = nd.plotting.plot_decoded(found, batch.test, dims="x", trial=0)
    >>> ax.get_ylabel()
    'x'
    """
    stretch = stretch_of(prediction, batch, trial=trial, between=between)
    names = chosen_dims(stretch, dims)
    rows = column_of_axes(ax, len(names))
    for name, row in zip(names, rows, strict=True):
        _draw(stretch, name, colour, row)
    several = len(stretch.breaks) > 0
    handles = [*rows[0].lines[-2:], rows[0].collections[-1]]
    rows[0].legend(handles=handles, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, frameon=False, fontsize=9)
    rows[-1].set_xlabel("time (s), trials end to end" if several else "time (s)")
    return rows if len(rows) > 1 else rows[0]


def _draw(stretch: Stretch, name: str, colour: str, ax: Any) -> None:
    """One dimension of a stretch."""
    place = stretch.names.index(name)
    plot_estimate(
        stretch.time, stretch.true[:, place], stretch.decoded[:, place], stretch.deviation[:, place],
        trial=stretch.trial, colour=colour, name=stretch.label(name, "\n"), ax=ax,
    )  # fmt: skip
    ax.collections[-1].set_label("95 % interval")


def plot_estimate(
    time: Float[np.ndarray, " bins"],
    true: Float[np.ndarray, " bins"],
    decoded: Float[np.ndarray, " bins"],
    deviation: Float[np.ndarray, " bins"] | None = None,
    *,
    scored: Bool[np.ndarray, " bins"] | None = None,
    trial: Int[np.ndarray, " bins"] | None = None,
    colour: str = "#D55E00",
    label: str = "decoded",
    name: str = "",
    ax: Any = None,
) -> Any:
    """Draw arrays: one dimension of a target, true and decoded, with the central 95 % of the prediction.

    :func:`plot_decoded` does the same with what ``predict(batch)`` returned.

    Parameters
    ----------
    time
        (bins,) seconds.
    true, decoded
        (bins,) in the unit of the target.
    deviation
        (bins,) standard deviation of the predictive distribution around ``decoded``; no band if None.
    scored
        (bins,) False where the true target is not known: nothing is drawn there.
    trial
        (bins,) number of the trial; lines break where it changes.
    colour, label
        Of the decoded line.
    name
        Name of the dimension.
    ax
        Axes; new ones if None.

    Returns
    -------
    The axes.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from neurodyn.plotting import plot_estimate
    >>> time = np.arange(100) * 0.05
    >>> true, decoded = np.sin(time), np.sin(time - 0.1)
    >>> plot_estimate(time, true, decoded, np.full(100, 0.2), name="x (m)", ax=Figure().subplots()).get_ylabel()
    'x (m)'
    """
    ax = quiet(axes(ax, size=(8.0, 2.2)))
    breaks = None if trial is None else np.flatnonzero(np.diff(trial)) + 1
    shown = true if scored is None else np.where(scored, true, np.nan)
    if deviation is not None:
        low, high = decoded - NORMAL_95 * deviation, decoded + NORMAL_95 * deviation
        ax.fill_between(
            split_at(time, breaks), split_at(low, breaks), split_at(high, breaks), color=colour, alpha=0.18, linewidth=0
        )
    ax.plot(split_at(time, breaks), split_at(shown, breaks), color=TRUTH, linewidth=1.6, label="true")
    ax.plot(split_at(time, breaks), split_at(decoded, breaks), color=colour, linewidth=1.6, label=label)
    ax.margins(x=0.005)
    ax.set_ylabel(name)
    return ax


def split_at(values: np.ndarray, breaks: Int[np.ndarray, " breaks"] | None) -> np.ndarray:
    """Values with a NaN before each break, where a line then stops."""
    values = values.astype(np.float64)
    return values if breaks is None else np.insert(values, breaks, np.nan)
