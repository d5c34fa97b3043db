"""How many states a hidden Markov model should have."""

from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from neurodyn.errors import import_extra
from neurodyn.plotting.style import GREY, TRUTH, axes, quiet

CURVE = "#0072B2"
"""Colour of the scores."""


@runtime_checkable
class Choice(Protocol):
    """What is drawn of a ``neurodyn.markov.StateChoice``."""

    @property
    def candidates(self) -> Int[np.ndarray, " candidates"]:
        """Numbers of states."""
        ...

    @property
    def scores(self) -> Float[np.ndarray, "candidates folds"]:
        """Held-out log-likelihood per step of each fold."""
        ...

    @property
    def mean(self) -> Float[np.ndarray, " candidates"]:
        """Mean over the folds."""
        ...

    @property
    def standard_error(self) -> Float[np.ndarray, " candidates"]:
        """Standard error of the mean."""
        ...

    @property
    def chosen(self) -> int:
        """Number of states that the scores speak for."""
        ...


def plot_state_choice(choice: Choice, *, ax: Any = None) -> Any:
    """Draw held-out scores over the number of states: folds as thin lines, their mean with its standard error.

    Parameters
    ----------
    choice
        What ``neurodyn.markov.choose_states`` returned. A number of states whose model cannot emit some held-out
        sequence has no finite score, and is left out.
    ax
        Axes; new ones if None.

    Returns
    -------
    The axes. A ring marks the number of states that was chosen, which can lie below the highest mean.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from neurodyn.markov import StateChoice
    >>> from neurodyn.plotting import plot_state_choice
    >>> choice = StateChoice(np.array([1, 2, 3]), np.array([[-2.1, -2.0], [-1.1, -1.0], [-1.1, -0.98]]))
    >>> plot_state_choice(choice, ax=Figure().subplots()).get_xlabel()
    'hidden states'
    """
    ax = quiet(axes(ax, size=(4.5, 3.2)))
    finite = np.isfinite(choice.mean)
    states, mean, error = (part[finite] for part in (choice.candidates, choice.mean, choice.standard_error))
    for fold in choice.scores[finite].T:
        ax.plot(states, fold, color=GREY, linewidth=0.7, alpha=0.5)
    ax.errorbar(states, mean, error, color=CURVE, marker="o", markersize=4, linewidth=1.4, capsize=3)
    height = mean[states == choice.chosen]
    ax.plot(
        [choice.chosen], height, "o", color=TRUTH, fillstyle="none", markersize=11, markeredgewidth=1.4,
        label=f"chosen: {choice.chosen}",
    )  # fmt: skip
    ax.xaxis.set_major_locator(import_extra("matplotlib.ticker", "plot").MaxNLocator(integer=True))
    ax.set_xlabel("hidden states")
    ax.set_ylabel("held-out log-likelihood\nper step (nats)")
    ax.legend(frameon=False, fontsize=8, loc="lower right")
    return ax
