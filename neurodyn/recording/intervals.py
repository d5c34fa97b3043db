"""Labelled stretches of time: epochs, trials."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float, Int, Shaped

from neurodyn.display import Shown, listed, pluralised
from neurodyn.errors import InputError, unknown_name
from neurodyn.recording.edges import cut
from neurodyn.recording.names import columns, texts
from neurodyn.recording.times import check_span, seconds
from neurodyn.recording.where import rows_where


@dataclass(frozen=True, eq=False, repr=False)
class Intervals(Shown):
    """Labelled stretches of time: epochs, trials.  They may overlap and labels may repeat.

    Parameters
    ----------
    name
        What the table is called in its recording.
    starts, stops
        Bounds in seconds, one per interval, ``start <= stop``.
    labels
        One label per interval; left out, they are the row numbers ``0, 1, ...``.
    columns
        What else is known of each interval (``response``, ``contrast``...): one array over intervals per name.

    Raises
    ------
    InputError
        If lengths do not match, a bound is not finite, or an interval ends before it starts.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.recording import Intervals
    >>> hit = {"hit": np.array([True, False, True])}
    >>> trials = Intervals("trials", np.array([0.0, 2.0, 4.0]), np.array([1.5, 3.5, 5.5]), columns=hit)
    >>> trials.where("hit").starts.tolist(), trials.between(1.0, 3.0).stops.tolist()
    ([0.0, 4.0], [1.5, 3.0])
    """

    name: str
    starts: Float[np.ndarray, " intervals"]
    stops: Float[np.ndarray, " intervals"]
    labels: tuple[str, ...] = ()
    columns: Mapping[str, Shaped[np.ndarray, " intervals"]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        starts, stops = (seconds(bound, f"intervals '{self.name}'") for bound in (self.starts, self.stops))
        labels = texts(self.labels, f"intervals '{self.name}'", "label") or tuple(
            str(row) for row in range(starts.size)
        )
        if starts.ndim != 1 or starts.shape != stops.shape or len(labels) != starts.size:
            raise InputError(
                f"intervals '{self.name}' need equal numbers of starts, stops and labels,"
                f" got {starts.size}, {stops.size} and {len(labels)}"
            )
        wrong = np.flatnonzero(~(np.isfinite(starts) & np.isfinite(stops) & (starts <= stops)))
        if wrong.size:
            row = wrong[0]
            raise InputError(
                f"interval {row} ('{labels[row]}') of '{self.name}' is {starts[row]} to {stops[row]} s,"
                " expected finite bounds with start <= stop"
                f" ({wrong.size} of {starts.size} {'are' if wrong.size > 1 else 'is'} not):"
                f" leave rows out by their number:  --skip '{self.name}[{row}]'"
            )
        known = columns(self.columns, starts.size, f"intervals '{self.name}'", "column", "interval")
        for attribute, value in (("starts", starts), ("stops", stops), ("labels", labels), ("columns", known)):
            object.__setattr__(self, attribute, value)

    def __len__(self) -> int:
        return self.starts.size

    def _title(self) -> str:
        return f"Intervals '{self.name}': {self.in_short()}"

    def in_short(self) -> str:
        """How many there are."""
        return pluralised(len(self), "interval")

    def _facts(self) -> Iterable[tuple[str, str]]:
        if len(self):
            yield "time", f"{self.starts.min():.2f} to {self.stops.max():.2f} s"
        yield "labels", listed(dict.fromkeys(self.labels))
        if self.columns:
            yield "columns", listed(self.columns)

    def labelled(self, label: str) -> "Intervals":
        """Return the intervals that carry a label.

        Raises
        ------
        InputError
            If none does.
        """
        rows = np.array([row for row, each in enumerate(self.labels) if each == label], dtype=int)
        if rows.size == 0:
            raise unknown_name("interval", label, set(self.labels))
        return self.rows(rows)

    def rows(self, rows: Int[np.ndarray, " chosen"]) -> "Intervals":
        """Return the intervals at the given positions, in that order."""
        labels = tuple(self.labels[row] for row in rows)
        known = {name: values[rows] for name, values in self.columns.items()}
        return Intervals(self.name, self.starts[rows], self.stops[rows], labels, known)

    def where(self, expression: str) -> "Intervals":
        """Return the intervals for which a condition holds, such as ``is_good and response == 'hit'``.

        Parameters
        ----------
        expression
            Comparisons of columns with values, joined by ``and``, ``or`` and ``not``; ``in ('a', 'b')``.  Every
            interval has the columns ``label``, ``start`` and ``stop`` (seconds) besides its own.

        Raises
        ------
        InputError
            If it cannot be understood, names a column that is not there, or holds for no interval.
        """
        fixed_columns = {"label": np.array(self.labels, dtype=str), "start": self.starts, "stop": self.stops}
        chosen = np.flatnonzero(rows_where(expression, {**fixed_columns, **self.columns}, len(self)))
        if not chosen.size:
            raise InputError(
                f"the condition '{expression}' holds for none of the {len(self)} intervals of '{self.name}'"
            )
        return self.rows(chosen)

    def between(self, start: float, stop: float) -> "Intervals":
        """Return what lies between two times in seconds: intervals over the bounds are cut there.

        An interval without duration, an event, is inside if ``start <= time < stop``; one that only touches a bound, up
        to rounding (`neurodyn.recording.edges`), is not.
        """
        check_span(start, stop)
        event = self.starts == self.stops
        after = np.where(event, self.starts >= cut(float(start)), cut(self.stops) > start)
        inside = self.rows(np.flatnonzero((self.starts < cut(float(stop))) & after))
        return replace(inside, starts=np.clip(inside.starts, start, stop), stops=np.clip(inside.stops, start, stop))
