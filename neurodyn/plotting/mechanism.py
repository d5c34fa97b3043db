"""Figures of the claims of ``neurodyn.mechanism``: each takes the data of one finding and axes.  Runs and
orbits are drawn in `orbits`.

Where a claim does not apply there are no data, and the axes stay empty.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from neurodyn.plotting.style import COLOURS, GREY, TRUTH, axes, legend_above, quiet

if TYPE_CHECKING:
    import xarray as xr

_BANDS = {"transition": "#D55E00", "kick zone": "#E69F00", "cluster": "#0072B2"}


def plot_intervals(numbers: Mapping[str, tuple[float, float, float]], *, ax: Any = None) -> Any:
    """Draw numbers with their intervals below one another: the picture of a claim that has none of its own.

    Parameters
    ----------
    numbers
        Value and both ends of its interval, by name; what is NaN is not drawn.
    ax
        Axes; new ones if None.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> plot_intervals({"rotation": (12.0, 11.0, 13.5)}, ax=Figure().subplots()).get_yticklabels()[0].get_text()
    'rotation'
    """
    ax = quiet(axes(ax))
    for place, (value, low, high) in enumerate(numbers.values()):
        ax.plot([low, high], [-place, -place], color=COLOURS[place % len(COLOURS)], linewidth=2)
        ax.plot([value], [-place], "o", color=COLOURS[place % len(COLOURS)])
    ax.set_yticks([-place for place in range(len(numbers))], list(numbers))
    ax.set_ylim(0.5 - len(numbers), 0.5)
    return ax


def plot_rotation(data: "xr.Dataset", *, ax: Any = None) -> Any:
    """Draw the current of probability as arrows on the occupancy of the leading plane, with one trajectory.

    Parameters
    ----------
    data
        ``occupancy`` (x, y), ``current`` (x, y, axis), ``trajectory`` (trial, time, axis).
    ax
        Axes; new ones if None.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> from matplotlib.figure import Figure
    >>> x = np.linspace(-1.0, 1.0, 5)
    >>> turn = np.stack(np.meshgrid(-x, x), axis=-1)
    >>> flow = {"occupancy": (("x", "y"), np.ones((5, 5))), "current": (("x", "y", "axis"), turn)}
    >>> path = {"trajectory": (("trial", "time", "axis"), np.zeros((1, 9, 2)))}
    >>> plot_rotation(xr.Dataset(flow | path, {"x": x, "y": x}), ax=Figure().subplots()).get_xlabel()
    'first principal component'
    """
    ax = quiet(axes(ax, size=(5.0, 4.5)))
    x, y = np.asarray(data["x"]), np.asarray(data["y"])
    ax.pcolormesh(x, y, np.asarray(data["occupancy"]).T, cmap="Greys", shading="nearest", alpha=0.6)
    path = np.asarray(data["trajectory"])[0]
    ax.plot(path[:, 0], path[:, 1], color=COLOURS[1], linewidth=0.6, alpha=0.6)
    flow = np.asarray(data["current"])
    ax.quiver(x, y, flow[..., 0].T, flow[..., 1].T, color=COLOURS[0], pivot="mid")
    ax.set_xlim(x[0], x[-1])
    ax.set_ylim(y[0], y[-1])
    ax.set_xlabel("first principal component")
    ax.set_ylabel("second principal component")
    return ax


def plot_residency(data: "xr.Dataset", *, ax: Any = None) -> Any:
    """Draw states in the leading plane, coloured by their band of residency.

    Parameters
    ----------
    data
        ``place`` (state, axis), ``band`` (state) and ``steps`` (state).
    ax
        Axes; new ones if None.

    Examples
    --------
    >>> import xarray as xr
    >>> states = xr.Dataset({"place": (("state", "axis"), [[0.0, 1.0], [2.0, 1.0]]), "band": ("state", [0, 2])})
    >>> plot_residency(states).get_xlabel()
    'first principal component'
    """
    ax = quiet(axes(ax, size=(5.0, 4.5)))
    if "place" not in data:
        return ax
    place, band = np.asarray(data["place"]), np.asarray(data["band"])
    for number, (name, colour) in reversed(list(enumerate(_BANDS.items()))):
        inside = band == number
        ax.scatter(*place[inside].T, s=9, color=colour, label=f"{name} ({inside.sum()} states)", linewidths=0)
    ax.set_xlabel("first principal component")
    ax.set_ylabel("second principal component")
    legend_above(ax)
    return ax


def plot_sensitivity(data: "xr.Dataset", *, ax: Any = None) -> Any:
    """Draw how undecided runs with fresh noise are, from each band of residency.

    Parameters
    ----------
    data
        ``undecided`` (band, mixture, step).
    ax
        Axes; new ones if None.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> from matplotlib.figure import Figure
    >>> runs = {"undecided": (("band", "mixture", "step"), np.zeros((3, 1, 10)))}
    >>> axes_of = {"band": ["transition", "kick zone", "cluster"], "mixture": [0.5], "step": np.arange(10)}
    >>> len(plot_sensitivity(xr.Dataset(runs, axes_of), ax=Figure().subplots()).lines)
    3
    """
    ax = quiet(axes(ax))
    if "undecided" not in data:
        return ax
    styles = ("-", "--", ":", "-.")
    mixtures = [m for m in np.asarray(data["mixture"]).tolist() if m > 0]
    for band, colour in _BANDS.items():
        for mixture, style in zip(reversed(mixtures), styles, strict=False):
            line = data["undecided"].sel(band=band, mixture=mixture)
            ax.plot(data["step"], line, color=colour, linestyle=style, label=f"{band}, {mixture:g} fresh")
    ax.set_xlabel("step")
    ax.set_ylabel("share of runs not where most are")
    legend_above(ax)
    return ax


def plot_kick_neurons(data: "xr.Dataset", *, ax: Any = None) -> Any:
    """Draw the causal score of every unit, per transition: full dots are the group, rings are units that passed alone.

    Parameters
    ----------
    data
        ``score``, ``kick`` and ``passed`` (transition, unit).
    ax
        Axes; new ones if None.

    Examples
    --------
    >>> import xarray as xr
    >>> from matplotlib.figure import Figure
    >>> units = {"score": [[0.1, 0.7, 0.6]], "kick": [[False, True, True]], "passed": [[False, True, False]]}
    >>> data = xr.Dataset({name: (("transition", "unit"), row) for name, row in units.items()}, {"transition": ["A→C"]})
    >>> plot_kick_neurons(data, ax=Figure().subplots()).lines[0].get_label()
    'A→C: 2 kick neurons'
    """
    ax = quiet(axes(ax))
    names = data["transition"].to_numpy().tolist()
    for row, name in enumerate(names):
        score, kick = np.asarray(data["score"])[row], np.asarray(data["kick"])[row].astype(bool)
        order = np.argsort(score)
        colour = COLOURS[row % 6]
        ax.plot(score[order], color=colour, linewidth=1.0, label=f"{name}: {kick.sum()} kick neurons")
        chosen = np.flatnonzero(kick[order])
        ax.plot(chosen, score[order][chosen], "o", color=colour, markersize=5)
        alone = np.flatnonzero(np.asarray(data["passed"])[row].astype(bool)[order])
        ax.plot(alone, score[order][alone], "o", color=colour, markersize=8, fillstyle="none")
    ax.axhline(0, color=GREY, linewidth=0.7)
    ax.set_xlabel("unit, in the order of its score")
    ax.set_ylim(-1.05, 1.05)
    ax.set_ylabel("change of the hazard when silenced")
    if names:
        legend_above(ax)
    return ax


def plot_ablation(data: "xr.Dataset", *, ax: Any = None) -> Any:
    """Draw what silencing the kick neurons cuts of the hazard, with its interval, over the random sets.

    Parameters
    ----------
    data
        ``cut`` (transition, bound) and ``random_cut`` (transition, set).
    ax
        Axes; new ones if None.

    Examples
    --------
    >>> import xarray as xr
    >>> from matplotlib.figure import Figure
    >>> cuts = {"cut": (("transition", "bound"), [[0.9, 0.8, 1.0]]), "random_cut": (("transition", "set"), [[0.1]])}
    >>> plot_ablation(xr.Dataset(cuts, {"transition": ["A→C"]}), ax=Figure().subplots()).get_ylabel()
    'share of the hazard that is cut'
    """
    ax = quiet(axes(ax))
    names = data["transition"].to_numpy().tolist()
    for row, name in enumerate(names):
        random, colour = np.asarray(data["random_cut"])[row], COLOURS[row % 6]
        shift = np.random.default_rng(row).uniform(-0.15, 0.15, len(random))
        ax.plot(row + shift, random, ".", color=GREY, markersize=3, alpha=0.6)
        value, low, high = np.asarray(data["cut"])[row]
        ax.errorbar(row, value, [[value - low], [high - value]], fmt="o", color=colour, capsize=3, label=name)
    ax.axhline(0, color=GREY, linewidth=0.7)
    ax.set_xticks(range(len(names)), names)
    ax.set_ylim(-1.05, 1.05)
    ax.set_ylabel("share of the hazard that is cut")
    return ax


def plot_interventions(data: "xr.Dataset", *, ax: Any = None) -> Any:
    """Draw hazards against the factor that scales kick neurons or the noise to integrating units; controls pale.

    Parameters
    ----------
    data
        ``hazard`` (curve, factor), ``control`` (curve, set, factor), with coordinates ``transition`` and ``kind``.
    ax
        Axes; new ones if None.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> from matplotlib.figure import Figure
    >>> hazards = {"hazard": (("curve", "factor"), [[0.2, 1.0]])}
    >>> controls = {"control": (("curve", "set", "factor"), np.ones((1, 3, 2)))}
    >>> labels = {"transition": ("curve", ["A→C"]), "kind": ("curve", ["kick neurons"]), "factor": [0.0, 1.0]}
    >>> plot_interventions(xr.Dataset(hazards | controls, labels), ax=Figure().subplots()).get_ylabel()
    'hazard (1: untouched)'
    """
    ax = quiet(axes(ax))
    if "hazard" not in data:
        return ax
    factor, kinds = np.asarray(data["factor"]), data["kind"].to_numpy().tolist()
    first = kinds[0]
    for row, (transition, kind) in enumerate(zip(data["transition"].to_numpy().tolist(), kinds, strict=True)):
        colour, style = COLOURS[row // 2 % 6], "-" if kind == first else "--"
        ax.plot(factor, np.asarray(data["control"])[row].T, color=GREY, linewidth=0.4, alpha=0.3, zorder=0)
        ax.plot(
            factor,
            np.asarray(data["hazard"])[row],
            color=colour,
            linestyle=style,
            marker="o",
            label=f"{transition}, {kind}",
        )
    ax.axhline(1, color=TRUTH, linewidth=0.7)
    ax.set_xlabel("factor μ")
    ax.set_ylabel("hazard (1: untouched)")
    legend_above(ax)
    return ax


def plot_resonance(data: "xr.Dataset", *, ax: Any = None) -> Any:
    """Draw coherence (full) and match (broken) against the level of the noise; later epochs are darker.

    Parameters
    ----------
    data
        ``coherence`` and ``match`` (epoch, level); attribute ``training_level``.
    ax
        Axes; new ones if None.

    Examples
    --------
    >>> import xarray as xr
    >>> from matplotlib.figure import Figure
    >>> curves = {name: (("epoch", "level"), [[0.1, 0.9, 0.3]]) for name in ("coherence", "match")}
    >>> data = xr.Dataset(curves, {"epoch": [100], "level": [0.5, 1.0, 2.0]}, attrs={"training_level": 1.0})
    >>> [line.get_label() for line in plot_resonance(data, ax=Figure().subplots()).lines[:2]]
    ['coherence, bits (epoch 100)', 'match (epoch 100)']
    """
    ax = quiet(axes(ax))
    if "coherence" not in data:
        return ax
    epochs, level = data["epoch"].to_numpy().tolist(), np.asarray(data["level"])
    for row, epoch in enumerate(epochs):
        last = row == len(epochs) - 1
        shade = {"color": "#B0B0B0", "alpha": 0.3 + 0.5 * row / len(epochs)}
        name = f" (epoch {epoch})" if last else ""
        coherence, match = np.asarray(data["coherence"])[row], np.asarray(data["match"])[row]
        ax.plot(
            level,
            coherence,
            **({"color": COLOURS[1]} if last else shade),
            label=f"coherence, bits{name}" if last else None,
        )
        ax.plot(
            level, match, "--", **({"color": COLOURS[0]} if last else shade), label=f"match{name}" if last else None
        )
    ax.axvline(float(data.attrs["training_level"]), color=TRUTH, linewidth=0.7, linestyle=":")
    ax.set_xlabel("level of the noise (dotted: in training)")
    ax.set_ylabel("coherence, match")
    legend_above(ax)
    return ax


def plot_epochs(data: "xr.Dataset", *, ax: Any = None) -> Any:
    """Draw the rate of changes of the likeliest symbol and the second-order effect of the noise along the training.

    Parameters
    ----------
    data
        ``rate`` and ``effect`` (epoch); attributes ``rate_turns`` and ``effect_turns``, the epochs at which they turn.
    ax
        Axes; new ones if None.

    Examples
    --------
    >>> import xarray as xr
    >>> from matplotlib.figure import Figure
    >>> courses = {"rate": ("epoch", [0.0, 0.1, 0.2]), "effect": ("epoch", [0.0, 0.0, 0.5])}
    >>> data = xr.Dataset(courses, {"epoch": [0, 10, 20]}, attrs={"rate_turns": 10})
    >>> plot_epochs(data, ax=Figure().subplots()).lines[0].get_label()
    'changes of the likeliest symbol per step (turns at epoch 10)'
    """
    ax = quiet(axes(ax))
    _courses(
        data, {"rate": "changes of the likeliest symbol per step", "effect": "second-order effect of the noise"}, ax
    )
    return ax


def plot_eigenvalues(data: "xr.Dataset", *, ax: Any = None) -> Any:
    """Draw the number of complex pairs and of unstable eigenvalues of the Jacobian along the training.

    Parameters
    ----------
    data
        ``complex_pairs`` and ``unstable`` (epoch), and the epochs at which they turn as attributes.
    ax
        Axes; new ones if None.
    """
    ax = quiet(axes(ax))
    _courses(data, {"complex_pairs": "complex pairs of eigenvalues", "unstable": "unstable eigenvalues"}, ax)
    return ax


def _courses(data: "xr.Dataset", names: Mapping[str, str], ax: Any) -> None:
    """Draw quantities over epochs, each with a line at the epoch at which it turns."""
    if "epoch" not in data.coords:
        return
    for (name, words), colour in zip(names.items(), (COLOURS[1], COLOURS[0]), strict=True):
        turn = int(data.attrs.get(f"{name}_turns", -1))
        label = f"{words} (turns at epoch {turn})" if turn >= 0 else words
        ax.plot(data["epoch"], data[name], marker="o", color=colour, label=label)
        if turn >= 0:
            ax.axvline(turn, color=colour, linewidth=0.7, linestyle=":")
    ax.set_xlabel("epoch")
    ax.set_ylim(bottom=0)
    legend_above(ax)
