"""How well sequences of symbols resemble those of the model they should come from."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from neurodyn.display import symbol_name
from neurodyn.plotting.style import GREY, TRUTH, axes, quiet

EMULATOR, MODEL = "#D55E00", "#0072B2"
"""Colours of the emulator and of the model's own sequences."""

SYMBOLS = ("#0072B2", "#F0E442", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
"""Colours of symbols."""


def plot_sequences(symbols: Int[np.ndarray, "trials time"], *, symbol_count: int, ax: Any = None) -> Any:
    """Draw trials as rows of coloured symbols.

    Parameters
    ----------
    symbols
        (trials, time) from 0.
    symbol_count
        Number of symbols there are.
    ax
        Axes; new ones if None.

    Returns
    -------
    The axes.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from neurodyn.markov import linear_chain, sample
    >>> from neurodyn.plotting import plot_sequences
    >>> symbols = sample(linear_chain(2), trials=20, steps=100, seed=0).symbols
    >>> plot_sequences(symbols, symbol_count=3, ax=Figure().subplots()).get_xlabel()
    'step'
    """
    ax = quiet(axes(ax))
    palette = np.array([_rgb(symbol_colour(symbol)) for symbol in range(symbol_count)])
    ax.imshow(palette[symbols], aspect="auto", interpolation="nearest")
    ax.set_xlabel("step")
    ax.set_ylabel("trial")
    return ax


def plot_frequencies(
    emulator: Float[np.ndarray, "bounds symbols"], expected: Float[np.ndarray, " symbols"], *, ax: Any = None
) -> Any:
    """Draw the frequency of each symbol as a bar with its interval, and the exact one as a line across it.

    Parameters
    ----------
    emulator
        (value, low, high) of each symbol.
    expected
        Exact frequencies of the model.
    ax
        Axes; new ones if None.

    Returns
    -------
    The axes.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from neurodyn.plotting import plot_frequencies
    >>> found = np.array([[0.5, 0.3, 0.2], [0.45, 0.25, 0.15], [0.55, 0.35, 0.25]])  # value, low, high of each symbol
    >>> plot_frequencies(found, np.array([0.52, 0.28, 0.2]), ax=Figure().subplots()).get_ylabel()
    'frequency'
    """
    ax = quiet(axes(ax))
    value, low, high = emulator
    place = range(len(expected))
    ax.bar(place, value, width=0.6, color=[symbol_colour(s) for s in place], alpha=0.6, linewidth=0)
    ax.vlines(place, low, high, color=EMULATOR, linewidth=2.5, label="emulator, interval")
    ax.hlines(expected, np.subtract(place, 0.38), np.add(place, 0.38), color=TRUTH, linewidth=1.5, label="model, exact")
    ax.set_xticks(place, [symbol_name(s) for s in place])
    ax.set_ylabel("frequency")
    ax.margins(y=0.3)  # room for the legend
    _legend(ax)
    return ax


def plot_symbol_transitions(
    emulator: Float[np.ndarray, "symbols symbols"], expected: Float[np.ndarray, "symbols symbols"], *, ax: Any = None
) -> Any:
    """Draw the transition matrix of the symbols: the emulator's large, and the exact one small below it.

    Parameters
    ----------
    emulator, expected
        Probability of the next symbol (column) given the present one (row); NaN where there is none.
    ax
        Axes; new ones if None.

    Returns
    -------
    The axes.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from neurodyn.plotting import plot_symbol_transitions
    >>> found, exact = np.array([[0.9, 0.1], [0.3, 0.7]]), np.array([[0.88, 0.12], [0.28, 0.72]])
    >>> plot_symbol_transitions(found, exact, ax=Figure().subplots()).get_xlabel()
    'next symbol'
    """
    ax = axes(ax)
    ax.imshow(emulator, cmap="Greys", vmin=0, vmax=2.2)  # pale enough for what is written on it
    for row, column in np.ndindex(*emulator.shape):
        ax.text(column, row - 0.08, f"{emulator[row, column]:.3f}", ha="center", va="center", fontsize=10)
        ax.text(
            column, row + 0.25, f"{expected[row, column]:.3f}", ha="center", va="center", fontsize=8, color="#444444"
        )
    names = [symbol_name(s) for s in range(len(emulator))]
    ax.set_xticks(range(len(names)), names)
    ax.set_yticks(range(len(names)), names)
    ax.set_xlabel("next symbol")
    ax.set_ylabel("symbol")
    ax.tick_params(length=0)
    return ax


def plot_dwell_times(
    emulator: Float[np.ndarray, "symbols dwells"], expected: Float[np.ndarray, "symbols dwells"], *, ax: Any = None
) -> Any:
    """Draw, for each symbol, the share of its runs that last a number of steps or longer.

    Parameters
    ----------
    emulator
        Share of the runs with each length from 1; dots.
    expected
        Exact shares of the model; lines.
    ax
        Axes; new ones if None.

    Returns
    -------
    The axes.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from neurodyn.plotting import plot_dwell_times
    >>> exact = 0.9 ** np.arange(20) * np.array([[0.1], [0.1]])
    >>> plot_dwell_times(exact, exact, ax=Figure().subplots()).get_xlabel()
    'steps'
    """
    ax = quiet(axes(ax))
    steps = np.arange(1, emulator.shape[1] + 1)
    for symbol, (found, true) in enumerate(zip(emulator, expected, strict=True)):
        colour, longer = symbol_colour(symbol), 1 - np.cumsum(true) + true
        shown = longer > 1e-3
        ax.plot(steps[shown], longer[shown], color=colour, linewidth=2, alpha=0.7, label=symbol_name(symbol))
        ax.plot(
            steps[shown], (1 - np.cumsum(found) + found)[shown], ".", color=colour, markersize=5, mec=TRUTH, mew=0.4
        )
    ax.set_yscale("log")
    ax.set_ylim(1e-3, 1.2)
    ax.set_xlabel("steps")
    ax.set_ylabel("share of runs as long or longer")
    _legend(ax, title="dots: emulator")
    return ax


def plot_symbol_autocorrelation(
    emulator: Float[np.ndarray, "bounds lags"], expected: Float[np.ndarray, " lags"], *, ax: Any = None
) -> Any:
    """Draw the autocorrelation of symbols with its interval, and the exact one.

    Parameters
    ----------
    emulator
        (value, low, high) at lags from 1.
    expected
        Exact one of the model.
    ax
        Axes; new ones if None.

    Returns
    -------
    The axes.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from neurodyn.plotting import plot_symbol_autocorrelation
    >>> exact = 0.8 ** np.arange(1, 11)
    >>> found = exact + np.array([[0.0], [-0.05], [0.05]])  # value, low, high at each lag
    >>> plot_symbol_autocorrelation(found, exact, ax=Figure().subplots()).get_xlabel()
    'lag (steps)'
    """
    ax = quiet(axes(ax))
    lags = np.arange(1, len(expected) + 1)
    ax.fill_between(lags, emulator[1], emulator[2], color=EMULATOR, alpha=0.3, linewidth=0)
    ax.plot(lags, emulator[0], color=EMULATOR, linewidth=1.5, label="emulator")
    ax.plot(lags, expected, color=TRUTH, linewidth=1.2, linestyle=(0, (4, 3)), label="model, exact")
    ax.axhline(0, color=GREY, linewidth=0.8)
    ax.set_xlabel("lag (steps)")
    ax.set_ylabel("autocorrelation")
    _legend(ax)
    return ax


def plot_two_distributions(
    emulator: Float[np.ndarray, " some"],
    model: Float[np.ndarray, " others"],
    *,
    label: str,
    whole: bool = False,
    ax: Any = None,
) -> Any:
    """Draw two histograms over each other.

    Parameters
    ----------
    emulator, model
        Values of the emulator's trials and of the model's own.
    label
        Label of the values.
    whole
        Whether they are whole numbers, which get one bar each if there are not too many.
    ax
        Axes; new ones if None.

    Returns
    -------
    The axes.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from neurodyn.plotting import plot_two_distributions
    >>> rng = np.random.default_rng(0)
    >>> found, model = rng.poisson(5.0, size=200) * 1.0, rng.poisson(5.5, size=200) * 1.0
    >>> plot_two_distributions(found, model, label="changes per trial", ax=Figure().subplots()).get_xlabel()
    'changes per trial'
    """
    ax = quiet(axes(ax))
    edges = _edges(np.concatenate([emulator, model]), whole)
    ax.hist(model, edges, density=True, color=MODEL, alpha=0.35, linewidth=0, label="model")
    ax.hist(emulator, edges, density=True, histtype="step", color=EMULATOR, linewidth=1.6, label="emulator")
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.set_xlabel(label)
    _legend(ax)
    return ax


def plot_limits(statistics: Sequence[Any], *, ax: Any = None) -> Any:
    """Draw how much of its limit each statistic takes up: the emulator with its interval, and the model itself.

    Parameters
    ----------
    statistics
        ``emulation.Statistic``: value, low, high and the same of the floor, and the limits are read. The scale is 0 in
        the middle of two limits (or at nought, or at chance for the classifier) and 1 at the limit.
    ax
        Axes; new ones if None.

    Returns
    -------
    The axes.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from neurodyn.emulation import Statistic
    >>> from neurodyn.plotting import plot_limits
    >>> numbers = {"value": 0.012, "low": 0.008, "high": 0.015, "floor": 0.004, "floor_low": 0.0, "floor_high": 0.008}
    >>> error = Statistic("frequency_error", "error of a frequency", **numbers, lower_limit=0.0, upper_limit=0.02)
    >>> [text.get_text() for text in plot_limits([error], ax=Figure().subplots()).get_yticklabels()]
    ['frequency error']
    """
    ax = quiet(axes(ax))
    longest = 2.0
    for row, statistic in enumerate(statistics):
        emulator = [_of_limit(statistic, v) for v in (statistic.value, statistic.low, statistic.high)]
        floor = [_of_limit(statistic, v) for v in (statistic.floor, statistic.floor_low, statistic.floor_high)]
        for (value, *ends), colour, shift in ((emulator, EMULATOR, -0.14), (floor, MODEL, 0.14)):
            ax.plot(np.clip(ends, -longest, longest), [row + shift] * 2, color=colour, linewidth=2, alpha=0.5)
            inside = abs(value) <= longest
            mark = "o" if inside else ">" if value > 0 else "<"
            ax.plot(np.clip(value, -longest, longest), row + shift, mark, color=colour, markersize=5)
    for place in (-1, 1):
        ax.axvline(place, color=TRUTH, linewidth=1, linestyle=(0, (4, 3)))
    ax.axvline(0, color=GREY, linewidth=0.8)
    ax.set_yticks(range(len(statistics)), [s.name.replace("_", " ").replace(" max", "") for s in statistics])
    ax.invert_yaxis()
    ax.set_xlim(-longest * 1.05, longest * 1.05)
    ax.set_xlabel("share of the limit (orange: emulator, blue: model itself)")
    return ax


def symbol_colour(symbol: int) -> str:
    """Colour of a symbol."""
    return SYMBOLS[symbol % len(SYMBOLS)]


def _of_limit(statistic: Any, value: float) -> float:
    low, high = statistic.lower_limit, statistic.upper_limit
    chance = {"classifier_accuracy": 0.5, "matched_distance": statistic.floor}
    middle = (low + high) / 2 if np.isfinite(low) else chance.get(statistic.name, 0.0)
    return (value - middle) / max(high - middle, 1e-12)


def _edges(values: np.ndarray, whole: bool) -> np.ndarray:
    low, high = values.min(), values.max()
    if whole and high - low <= 60:
        return np.arange(np.floor(low), np.ceil(high) + 2) - 0.5
    return np.linspace(low, high + 1e-9, 41)


def _rgb(colour: str) -> tuple[float, ...]:
    return tuple(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))


def _legend(ax: Any, title: str | None = None) -> None:
    ax.legend(frameon=False, fontsize=8, title=title, title_fontsize=8)
