"""Decoded against true target over time."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from neurodyn.evaluation.intervals import NORMAL_95
from neurodyn.plotting.style import TRUTH, axes, quiet


def plot_decoded(
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
    """Draw one dimension of a target, true and decoded, with the central 95 % of the prediction.

    Parameters
    ----------
    time
        (bins,) seconds.
    true, decoded
        (bins,) in the unit of the target.
    deviation
        (bins,) standard error of ``decoded``; no band if None.
    scored
        (bins,) False where the true target is not known: nothing is drawn there.
    trial
        (bins,) number of the trial; lines break where it changes.
    colour, label
        Of the decoded line.
    name
        Of the dimension.
    ax
        Axes; new ones if None.

    Returns
    -------
    The axes.
    """
    ax = quiet(axes(ax, size=(8.0, 2.2)))
    breaks = np.zeros(0, np.int64) if trial is None else np.flatnonzero(np.diff(trial)) + 1
    shown = true if scored is None else np.where(scored, true, np.nan)
    if deviation is not None:
        low, high = decoded - NORMAL_95 * deviation, decoded + NORMAL_95 * deviation
        ax.fill_between(
            _split(time, breaks), _split(low, breaks), _split(high, breaks), color=colour, alpha=0.18, linewidth=0
        )
    ax.plot(_split(time, breaks), _split(shown, breaks), color=TRUTH, linewidth=1.6, label="true")
    ax.plot(_split(time, breaks), _split(decoded, breaks), color=colour, linewidth=1.6, label=label)
    ax.margins(x=0.005)
    ax.set_ylabel(name)
    return ax


def _split(values: np.ndarray, breaks: np.ndarray) -> np.ndarray:
    """Values with a NaN before each break, where a line then stops."""
    return np.insert(values.astype(np.float64), breaks, np.nan)
