"""What a terminal shows of a running session."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from rich import box
from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from neurodyn.realtime.monitor import LATENCY_EDGES, Status

_BLOCKS = " ▁▂▃▄▅▆▇█"
_LONGEST = 32
"""Most channels of a modality whose rates fit into a line; more are averaged in groups."""


def view(status: Status, target_names: Sequence[str], *, title: str) -> RenderableType:
    """Lay out the state of a session.

    Parameters
    ----------
    status
        From `Monitor.status`.
    target_names
        Of the target's dimensions.
    title
        Of the session.
    """
    if status.estimate is None:
        return Panel(Text("waiting for the first data ..."), title=Text(title), title_align="left")
    tables = [_numbers(status), _target(status, target_names), _modalities(status)]
    parts: list[RenderableType] = [Columns(tables, padding=(0, 3)), _latency(status), _budget(status)]
    if status.events:
        parts.append(_events(status))
    return Panel(Group(*parts), title=Text(f"{title}   {status.estimate.time:.2f} s"), title_align="left")


def summary(status: Status) -> str:
    """One line on a session that has ended."""
    missed = f"{status.missed:,} missed" if status.missed else "none missed"
    dropped = f", {status.dropped:,} not taken by a sink" if status.dropped else ""
    found = status.latency
    figures = f"{_microseconds(found.p50)} median latency, 99.9 % below {_microseconds(found.p999)}, "
    latency = figures if found.count else ""
    return f"{status.bins:,} bins, {missed}{dropped}, {latency}{status.faults:,} events"


def sparkline(values: np.ndarray) -> str:
    """Bars for values from 0 to their largest; unknown ones are dots."""
    groups = np.array_split(values, min(len(values), _LONGEST))
    means = np.array([group.mean() for group in groups])
    shown = np.where(np.isfinite(means), means, 0.0)
    top = max(float(shown.max(initial=0.0)), 1e-12)
    steps = np.clip(shown / top, 0, 1) * (len(_BLOCKS) - 1)
    return "".join(
        "·" if not math.isfinite(m) else _BLOCKS[max(round(s), 0)] for m, s in zip(means, steps, strict=True)
    )


def _numbers(status: Status) -> Table:
    table = _table("session", ["", ""])
    for name, value in (("bins", status.bins), ("missed", status.missed), ("not taken", status.dropped)):
        table.add_row(name, Text(f"{value:,}", "red" if value and name != "bins" else ""))
    table.add_row("events", f"{status.faults:,}")
    return table


def _target(status: Status, names: Sequence[str]) -> Table:
    assert status.estimate is not None
    table = _table("decoded target", ["", "", "95 %"])
    estimate = status.estimate
    for name, value, low, high in zip(names, estimate.target, estimate.lower, estimate.upper, strict=True):
        table.add_row(Text(name), f"{value:.4g}", Text(f"{low:.3g} to {high:.3g}", "dim"))
    return table


def _modalities(status: Status) -> Table:
    assert status.estimate is not None
    table = _table("modalities", ["", "seen", "rates"])
    for name, share in status.seen.items():
        table.add_row(Text(name), _health(share, status.silent[name]), _rates(status.estimate.rates, name))
    return table


def _rates(rates: Mapping[str, np.ndarray], name: str) -> str:
    values = np.asarray(rates[name], np.float64)
    return f"{sparkline(values - min(float(values.min()), 0.0))} mean {values.mean():.3g}"


def _health(share: float, silent: float) -> Text:
    if math.isnan(silent):
        return Text("never", "red")
    if silent > 1.0:
        return Text(f"silent {silent:.0f} s", "red")
    return Text(f"{share:.0%} of bins", "green" if share > 0 else "yellow")


def _latency(status: Status) -> Text:
    shape = sparkline(np.sqrt(status.histogram.astype(np.float64)))
    ends = f"{_microseconds(LATENCY_EDGES[0])} [{shape}] {_microseconds(LATENCY_EDGES[-1])}"
    return Text(f"latency  {ends}   from data in hand to hand-over")


def _budget(status: Status) -> Table:
    """Where the time goes, part by part."""
    table = _table("", ["", "median", "99 %", "99.9 %", "longest"])
    for name, found in status.budget.items():
        values = (found.p50, found.p99, found.p999, found.worst)
        table.add_row(name, *(_microseconds(value) if found.count else "" for value in values))
    return table


def _events(status: Status) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for event in reversed(status.events):
        what = f"{event.modality}: {event.detail}" if event.modality else event.detail
        table.add_row(Text(f"{event.time:.2f} s", "dim"), Text(str(event.kind), "yellow"), Text(what, "dim"))
    return table


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, show_header=any(columns))
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


def _microseconds(value: float) -> str:
    return f"{value:.0f} µs" if value < 1000 else f"{value / 1000:.3g} ms"
