"""Learning curves."""

from collections.abc import Sequence
from typing import Any

from neurodyn.errors import import_extra
from neurodyn.evaluation.results import LearningCurve
from neurodyn.plotting.style import axes, quiet


def plot_learning(curves: Sequence[LearningCurve], *, colour: str = "#D55E00", label: str = "", ax: Any = None) -> Any:
    """Draw the validation score of each fold over the epochs, with a dot where it was best and kept.

    Parameters
    ----------
    curves
        One per fold.
    colour, label
        Of the lines.
    ax
        Axes; new ones if None.

    Returns
    -------
    The axes.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from neurodyn.evaluation import LearningCurve
    >>> from neurodyn.plotting import plot_learning
    >>> curve = LearningCurve(np.array([2.0, 1.5, 1.2, 1.1]), np.array([2, 4]), np.array([1.7, 1.3]), "finished")
    >>> plot_learning([curve], ax=Figure().subplots()).get_xlabel()
    'epoch'
    """
    ax = quiet(axes(ax))
    for number, curve in enumerate(curves):
        ax.plot(
            curve.validation_epoch, curve.validation, color=colour, linewidth=1.2, alpha=0.7,
            label=label if number == 0 else "_",
        )  # fmt: skip
        if len(curve.validation):
            best = int(curve.validation.argmin())
            ax.plot(curve.validation_epoch[best], curve.validation[best], "o", color=colour, markersize=4)
    ax.xaxis.set_major_locator(import_extra("matplotlib.ticker", "plot").MaxNLocator(5, integer=True))
    ax.set_xlabel("epoch")
    ax.set_ylabel("validation score (lower is better)")
    return ax
