"""What was recorded: counts of spikes and field features over time."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from neurodyn.plotting.style import GREY, axes, quiet


def plot_counts(
    time: Float[np.ndarray, " bins"],
    counts: Float[np.ndarray, "bins channels"],
    observed: Bool[np.ndarray, "bins channels"],
    *,
    ax: Any = None,
) -> Any:
    """Draw counts per bin as an image, dark where there are many; missing bins are tinted.

    Parameters
    ----------
    time
        (bins,) end of each bin in seconds, evenly spaced.
    counts
        (bins, channels) spikes per bin.
    observed
        (bins, channels) False where missing.
    ax
        Axes; new ones if None.

    Returns
    -------
    The axes.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from neurodyn.plotting import plot_counts
    >>> counts = np.random.default_rng(0).poisson(1.0, size=(50, 8)).astype(float)
    >>> ax = plot_counts(np.arange(1, 51) * 0.02, counts, np.ones((50, 8), bool), ax=Figure().subplots())
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('', 'unit')
    """
    ax = quiet(axes(ax, size=(8.0, 2.5)))
    step = time[1] - time[0] if len(time) > 1 else 1.0
    extent = (time[0] - step, time[-1], counts.shape[1] - 0.5, -0.5)
    shared = {"aspect": "auto", "extent": extent, "interpolation": "nearest"}
    ax.imshow(np.where(observed, np.nan, 0.6).T, cmap="Reds", vmin=0, vmax=4, **shared)
    top = max(1.0, float(np.percentile(counts[observed], 99.5))) if observed.any() else 1.0
    ax.imshow(np.where(observed, counts, np.nan).T, cmap="Greys", vmin=0, vmax=top, **shared)
    ax.set_ylabel("unit")
    ax.set_yticks(_few(counts.shape[1]))
    return ax


def plot_field(
    time: Float[np.ndarray, " bins"],
    values: Float[np.ndarray, "bins channels"],
    observed: Bool[np.ndarray, "bins channels"],
    *,
    colour: str = "#009E73",
    ax: Any = None,
) -> Any:
    """Draw one line per field channel, one above the other, through its observed samples.

    Parameters
    ----------
    time
        (bins,) end of each bin in seconds.
    values
        (bins, channels) standardised: two units apart on the axis.
    observed
        (bins, channels) False where missing; slower sampling leaves bins between samples.
    colour
        Colour of the lines.
    ax
        Axes; new ones if None.

    Returns
    -------
    The axes.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from neurodyn.plotting import plot_field
    >>> values = np.random.default_rng(0).normal(size=(50, 3))
    >>> ax = plot_field(np.arange(1, 51) * 0.02, values, np.ones((50, 3), bool), ax=Figure().subplots())
    >>> ax.get_xlabel(), len(ax.get_lines())
    ('', 6)
    """
    ax = quiet(axes(ax, size=(8.0, 2.5)))
    channels = values.shape[1]
    for channel in range(channels):
        seen = observed[:, channel]
        marker = "o" if seen.mean() < 0.5 else ""  # sampled more slowly: show the samples
        line = {"color": colour, "linewidth": 0.8, "alpha": 0.9, "marker": marker, "markersize": 2.5}
        ax.plot(time[seen], values[seen, channel] / 4.0 - channel, **line)
        ax.axhline(-channel, color=GREY, linewidth=0.3, alpha=0.4)
    ax.set_ylim(-channels, 1)
    ax.set_yticks([-tick for tick in _few(channels)], [str(tick) for tick in _few(channels)])
    ax.set_ylabel("feature")
    ax.margins(x=0)
    return ax


def _few(count: int) -> list[int]:
    """At most five evenly spaced indices."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(count, 5))})
