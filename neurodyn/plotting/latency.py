"""How long a step of a real-time decoder takes."""

from typing import Any

import numpy as np
from jaxtyping import Float

from neurodyn.plotting.style import GREY, TRUTH, axes, quiet


def plot_latency(
    microseconds: Float[np.ndarray, " steps"],
    *,
    bin_seconds: float | None = None,
    colour: str = "#D55E00",
    ax: Any = None,
) -> Any:
    """Draw the distribution of the times of steps, with its median, 95 % and 99 % points.

    Parameters
    ----------
    microseconds
        (steps,) duration of each step.
    bin_seconds
        Width of a bin: the time there is for a step, named in the title; None to leave it out.
    colour
        Colour of the bars.
    ax
        Axes; new ones if None.

    Returns
    -------
    The axes.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from neurodyn.plotting import plot_latency
    >>> steps = np.random.default_rng(0).normal(80.0, 5.0, size=1000)
    >>> plot_latency(steps, bin_seconds=0.01, ax=Figure().subplots()).get_xlabel()
    'time per step (µs)'
    """
    ax = quiet(axes(ax))
    points = np.percentile(microseconds, [50, 95, 99])
    low, high = microseconds.min(), max(np.percentile(microseconds, 99.8), microseconds.min() + 1)
    edges = np.geomspace(max(low, 1e-3), max(high, points[-1] * 1.05), 60)
    ax.hist(np.clip(microseconds, edges[0], edges[-1]), bins=edges, color=colour, alpha=0.85, linewidth=0)
    ax.set_xscale("log")
    for place, (name, value) in enumerate(zip(("median", "95 %", "99 %"), points.tolist(), strict=True)):
        _mark(ax, value, f"{name}: {value:,.0f} µs", height=1.0 - 0.12 * place, middle=float(np.sqrt(low * high)))
    ax.set_xlabel("time per step (µs)")
    ax.set_ylabel("steps")
    _plain_ticks(ax)
    if bin_seconds is not None:
        ax.set_title(f"a bin lasts {1e6 * bin_seconds:,.0f} µs", fontsize=9, color=GREY, loc="right")
    return ax


def _mark(ax: Any, value: float, text: str, *, height: float, middle: float) -> None:
    """Line across at a value, its name on the side where there is room."""
    left = value > middle
    ax.axvline(value, color=TRUTH, linewidth=1.0, linestyle=(0, (4, 3)))
    ax.annotate(
        text, (value, height), xycoords=("data", "axes fraction"), xytext=(-4 if left else 4, 0),
        textcoords="offset points", fontsize=9, ha="right" if left else "left", va="top", color=TRUTH,
        bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.8},
    )  # fmt: skip


def _plain_ticks(ax: Any) -> None:
    """Write 200, 500 instead of powers of ten: the whole range is often less than one."""
    low, high = ax.get_xlim()
    ticks = [m * 10.0**e for e in range(0, 9) for m in (1, 2, 5) if low <= m * 10.0**e <= high]
    ax.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks])
    ax.minorticks_off()
