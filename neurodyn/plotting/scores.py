"""Scores of methods with the spread over folds, and the yardstick they are held against."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from neurodyn.plotting.style import GREY, TRUTH, axes, method_colour, quiet


def plot_scores(
    scores: Mapping[str, Float[np.ndarray, " folds"]],
    *,
    yardstick: str | None = None,
    label: str = "R²",
    ax: Any = None,
) -> Any:
    """Draw one bar per method at the mean over folds, a dot per fold, and a line at the yardstick's mean.

    Parameters
    ----------
    scores
        Per method (folds,), drawn in this order.
    yardstick
        Method whose mean is also drawn as a line across; None for none.
    label
        Of the axis of scores.
    ax
        Axes; new ones if None.

    Returns
    -------
    The axes.
    """
    ax = quiet(axes(ax, size=(4.5, 3.2)))
    names = tuple(scores)
    for place, name in enumerate(names):
        folds = np.asarray(scores[name], np.float64)
        colour = method_colour(name, names)
        ax.bar(place, folds.mean(), width=0.62, color=colour, alpha=0.85, linewidth=0)
        # Side by side in the order of folds: equal scores stay visible, and no chance is drawn.
        spread = np.linspace(-0.16, 0.16, len(folds)) if len(folds) > 1 else np.zeros(1)
        ax.plot(place + spread, folds, "o", color="white", markeredgecolor=TRUTH, markersize=4, markeredgewidth=0.8)
        ax.annotate(
            f"{folds.mean():.2f}", (place, max(folds.max(), 0.0)), xytext=(0, 5), textcoords="offset points",
            ha="center", va="bottom", fontsize=9, fontweight="bold", color=colour, zorder=4,
            bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none"},
        )  # fmt: skip
    if yardstick is not None and yardstick in scores:
        ax.axhline(float(np.mean(scores[yardstick])), color=TRUTH, linewidth=1.0, linestyle=(0, (4, 3)), zorder=0.5)
    ax.axhline(0.0, color=GREY, linewidth=0.8)
    ax.set_xticks(range(len(names)), names)
    ax.margins(y=0.12)
    ax.set_ylabel(label)
    return ax
