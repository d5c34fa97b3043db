"""Scores of methods with the spread over folds, and the baseline they are held against."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from neurodyn.plotting.style import GREY, TRUTH, axes, method_colour, quiet


def plot_scores(
    scores: Mapping[str, Float[np.ndarray, " folds"]],
    *,
    baseline: str | None = None,
    label: str = "R²",
    ax: Any = None,
) -> Any:
    """Draw, per method, a dot for each fold and a line at their mean, and a line across at the baseline's mean.

    The axis need not begin at 0: lengths mean nothing here, places do.

    Parameters
    ----------
    scores
        Per method (folds,), drawn in this order.
    baseline
        Method whose mean is also drawn as a line across; None for none.
    label
        Label of the axis of scores.
    ax
        Axes; new ones if None.

    Returns
    -------
    The axes.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from neurodyn.plotting import plot_scores
    >>> scores = {"ridge": np.array([0.5, 0.55, 0.6]), "multimodal": np.array([0.6, 0.66, 0.7])}
    >>> plot_scores(scores, baseline="ridge", ax=Figure().subplots()).get_ylabel()
    'R²'
    """
    ax = quiet(axes(ax, size=(4.5, 3.2)))
    names = tuple(scores)
    for place, name in enumerate(names):
        folds = np.asarray(scores[name], np.float64)
        colour = method_colour(name, names)
        # Side by side in the order of folds: equal scores stay visible, and no chance is drawn.
        spread = np.linspace(-0.16, 0.16, len(folds)) if len(folds) > 1 else np.zeros(1)
        ax.plot(place + spread, folds, "o", color=colour, markersize=4.5, alpha=0.6, markeredgewidth=0)
        ax.plot([place - 0.31, place + 0.31], [folds.mean()] * 2, color=colour, linewidth=2.4)
        ax.annotate(
            f"{folds.mean():.2f}", (place, max(folds.max(), folds.mean())), xytext=(0, 5),
            textcoords="offset points", ha="center", va="bottom", fontsize=8, color=TRUTH, zorder=4,
        )  # fmt: skip
    if baseline is not None and baseline in scores:
        ax.axhline(float(np.mean(scores[baseline])), color=TRUTH, linewidth=1.0, linestyle=(0, (4, 3)), zorder=0.5)
    if ax.get_ylim()[0] < 0:
        ax.axhline(0.0, color=GREY, linewidth=0.8, zorder=0)
    many = len(names) > 3
    ax.set_xticks(range(len(names)), names, rotation=35 if many else 0, ha="right" if many else "center")
    ax.set_xlim(-0.6, len(names) - 0.4)
    ax.margins(y=0.14)
    ax.set_ylabel(label)
    return ax
