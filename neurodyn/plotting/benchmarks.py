"""How time, and memory where it was measured, grows with size."""

from collections.abc import Sequence
from typing import Any

from neurodyn.errors import import_extra
from neurodyn.plotting.style import axes, legend_above, quiet

MEMORY = "peak memory, GB"
"""Note of a measurement that is drawn below its seconds."""


def plot_growth(measurements: Sequence[Any], *, along: str = "", what: str = "seconds", ax: Any = None) -> Any:
    """Draw seconds against a size, one line per thing measured, both axes logarithmic.

    Parameters
    ----------
    measurements
        `neurodyn.benchmarks.timing.Measurement`: ``name``, ``sizes`` and ``seconds`` are read. Of each thing those
        are drawn that differ in nothing but the size on the axis.
    along
        Name of the size on the horizontal axis; if empty, the one that takes most values.
    what
        ``"seconds"``, or the name of a note that is a number, drawn of the measurements that have it.
    ax
        Axes; new ones if None.

    Returns
    -------
    The axes.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from matplotlib.figure import Figure
    >>> from neurodyn.plotting import plot_growth
    >>> sizes = {10: 0.1, 100: 0.9, 1000: 9.5}
    >>> runs = [SimpleNamespace(name="filter", sizes={"bins": n}, seconds=s, notes={}) for n, s in sizes.items()]
    >>> ax = plot_growth(runs, along="bins", ax=Figure().subplots())
    >>> ax.get_xlabel(), ax.get_xscale()
    ('bins', 'log')
    """
    ax = quiet(axes(ax))
    along = along or max(_sizes(measurements), key=lambda size: len(_longest(measurements, size)))
    _lines(measurements, along, what, ax)
    legend_above(ax, columns=2)
    return ax


def _lines(measurements: Sequence[Any], along: str, what: str, ax: Any) -> None:
    """One line per thing, in a colour that is its own in every panel; ticks are the sizes that were measured."""
    ticks: set[Any] = set()
    for number, name in enumerate(dict.fromkeys(row.name for row in measurements)):
        rows = _longest([row for row in measurements if row.name == name], along, what)
        if rows:
            ticks |= set(rows)
            ax.loglog(
                *zip(*sorted(rows.items()), strict=True), marker="o", markersize=4, label=name, color=f"C{number}"
            )
    ax.set_xscale("log")
    ax.set_xticks(_apart(sorted(ticks)), [f"{tick:,g}" for tick in _apart(sorted(ticks))])
    ax.set_xticks([], minor=True)
    ax.set_xlabel(along)
    ax.set_ylabel(what)


def _apart(ticks: Sequence[Any]) -> list[Any]:
    """Ticks without those that lie closer than a seventh of the axis to the one before: their labels would overlap."""
    if len(ticks) < 2:
        return list(ticks)
    kept, least = [ticks[0]], (ticks[-1] / ticks[0]) ** (1 / 7)
    for tick in ticks[1:]:
        if tick >= least * kept[-1]:
            kept.append(tick)
    return kept


def growth_figure(report: Any) -> Any:
    """A figure with one panel per size that something was measured at several values of, and a row of memory.

    Parameters
    ----------
    report
        `neurodyn.benchmarks.timing.Report`.

    Returns
    -------
    The figure, which writes itself by ``savefig``.
    """
    backend, module = import_extra("matplotlib.backends.backend_agg", "plot"), import_extra("matplotlib.figure", "plot")
    sizes = growing_sizes(report.measurements) or [""]
    shown = ["seconds", *([MEMORY] if any(MEMORY in row.notes for row in report.measurements) else [])]
    figure = module.Figure(figsize=(4.2 * len(sizes), 3.4 * len(shown)), layout="constrained")
    backend.FigureCanvasAgg(figure)
    panels = figure.subplots(len(shown), len(sizes), squeeze=False, sharey="row")
    for what, row in zip(shown, panels, strict=True):
        for size, ax in zip(sizes, row, strict=True):
            _lines(report.measurements, size or _sizes(report.measurements)[0], what, quiet(ax))
            if ax is not row[0]:
                ax.set_ylabel("")
    lines = {line.get_label(): line for ax in panels.flat for line in ax.get_lines()}
    figure.legend(
        lines.values(), lines.keys(), loc="outside upper left", ncols=3, frameon=False, fontsize=9,
        title=f"bench {report.name}",
    )  # fmt: skip
    return figure


def growing_sizes(measurements: Sequence[Any]) -> list[str]:
    """Sizes that some thing was measured at two or more values of, the other sizes being equal."""
    names = dict.fromkeys(row.name for row in measurements)
    groups = [[row for row in measurements if row.name == name] for name in names]
    return [size for size in _sizes(measurements) if any(len(_longest(group, size)) > 1 for group in groups)]


def _sizes(measurements: Sequence[Any]) -> list[str]:
    """Names of the sizes that are numbers, in order."""
    return list(dict.fromkeys(k for row in measurements for k, v in row.sizes.items() if not isinstance(v, str)))


def _longest(measurements: Sequence[Any], along: str, what: str = "seconds") -> dict[Any, float]:
    """What was measured by one size, where the other sizes are those that it was varied at most at."""
    series: dict[Any, dict[Any, float]] = {}
    for row in measurements:
        if along in row.sizes and (what == "seconds" or what in row.notes):
            others = tuple(sorted((k, v) for k, v in row.sizes.items() if k != along))
            value = row.seconds if what == "seconds" else row.notes[what]
            series.setdefault((row.name, others), {})[row.sizes[along]] = value
    return max(series.values(), key=len, default={})
