"""Whether predictive intervals hold what they promise."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from neurodyn.plotting.style import TRUTH, axes, method_colour, quiet


def plot_reliability(coverage: Mapping[str, Float[np.ndarray, " levels"]], levels: Any, *, ax: Any = None) -> Any:
    """Draw the share of the truth that intervals held against the share they promise, a line per method.

    Parameters
    ----------
    coverage
        Per method (levels,), shares held, drawn in this order.
    levels
        (levels,) shares promised.
    ax
        Axes; new ones if None.

    Returns
    -------
    The axes. Below the diagonal intervals are too narrow, above it too wide.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from neurodyn.plotting import plot_reliability
    >>> levels = np.array([0.5, 0.8, 0.9, 0.95])
    >>> plot_reliability({"multimodal": levels - 0.02}, levels, ax=Figure().subplots()).get_xlabel()
    'promised (%)'
    """
    ax = quiet(axes(ax, size=(3.6, 3.4)))
    promised = 100 * np.asarray(levels, np.float64)
    ax.plot([0, 100], [0, 100], color=TRUTH, linewidth=1.0, linestyle=(0, (4, 3)), label="as promised")
    names = tuple(coverage)
    for name in names:
        held = 100 * np.asarray(coverage[name], np.float64)
        ax.plot(promised, held, "o-", color=method_colour(name, names), markersize=4, linewidth=1.4, label=name)
    low = min(promised.min(), *(100 * float(np.min(c)) for c in coverage.values())) - 5
    ax.set_xlim(max(low, 0), 100)
    ax.set_ylim(max(low, 0), 100)
    ax.set_aspect("equal")
    ax.set_xlabel("promised (%)")
    ax.set_ylabel("held (%)")
    ax.legend(frameon=False, fontsize=8, loc="upper left")
    return ax
