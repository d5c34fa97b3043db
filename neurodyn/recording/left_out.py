"""What a reader leaves out: items that are named, samples that repeat a time, items that cannot be used."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from jaxtyping import Float

from neurodyn.errors import InputError, unknown_name
from neurodyn.recording.intervals import Intervals
from neurodyn.recording.spikes import SpikeTrains
from neurodyn.recording.support import TimeSupport

KINDS = ("spikes", "counts", "fields", "behaviour", "intervals")
"""Groups of items of a recording, in order."""


class Repeated(Enum):
    """What becomes of samples that share a time.

    Examples
    --------
    >>> from neurodyn.recording import Repeated
    >>> [way.value for way in Repeated]
    ['mean', 'first', 'drop']
    """

    MEAN = "mean"
    """One sample with the mean of their values; NaN counts as missing."""
    FIRST = "first"
    """The first of them."""
    DROP = "drop"
    """None of them."""


@dataclass(frozen=True)
class Choices:
    """How to take what is in a file; the same for every reader.

    Parameters
    ----------
    skip
        Names of items to leave out; ``trials[17]`` is a row of intervals, ``spikes[7]`` the unit labelled 7.
    repeated
        What becomes of samples that repeat a time; None: such a signal cannot be used.
    strict
        Whether one item that cannot be used is an error; else it goes to `Recording.unusable` with the reason.
    lazy
        Whether the values of fields stay in the file until they are needed; None: if they have more than 1 GiB.
    """

    skip: tuple[str, ...] = ()
    repeated: Repeated | None = None
    strict: bool = True
    lazy: bool | None = None

    @classmethod
    def of(
        cls, skip: Iterable[str] = (), repeated: "Repeated | str | None" = None, strict: bool = True,
        lazy: bool | None = None,
    ) -> "Choices":  # fmt: skip
        """Choices from what a user gives: any names, a way by its name.

        Raises
        ------
        InputError
            For an unknown way to take repeated times.
        """
        known = {way.value: way for way in Repeated}
        if isinstance(repeated, str):
            if repeated not in known:
                raise unknown_name("way to take repeated times", repeated, known)
            repeated = known[repeated]
        return cls((skip,) if isinstance(skip, str) else tuple(skip), repeated, strict, lazy)

    def signal_times(
        self, name: str, values: Any, timestamps: Float[np.ndarray, " samples"]
    ) -> tuple[Any, Float[np.ndarray, " kept"]]:
        """Values and timestamps with repeated times resolved as chosen; both as they are where no time repeats."""
        times = np.asarray(timestamps, np.float64)
        if self.repeated is None or times.ndim != 1 or times.shape[0] != values.shape[0] or times.size < 2:
            return values, timestamps
        steps = np.diff(times)
        # Times that go back, or are not finite, are another fault, which the signal itself refuses.
        if not (steps == 0).any() or not (steps >= 0).all():
            return values, timestamps
        return _resolved(np.asarray(values, np.float64), times, self.repeated)

    def members(self, name: str) -> set[str]:
        """Rows, or units, of an item that are left out."""
        return {label for item, label in map(_parts, self.skip) if item == name and label is not None}


def _resolved(values: np.ndarray, times: np.ndarray, how: Repeated) -> tuple[np.ndarray, np.ndarray]:
    firsts = np.flatnonzero(np.insert(np.diff(times) > 0, 0, True))
    if how is Repeated.FIRST:
        return values[firsts], times[firsts]
    sizes = np.diff(np.append(firsts, times.size))
    if how is Repeated.DROP:
        alone = firsts[sizes == 1]
        return values[alone], times[alone]
    known = ~np.isnan(values)
    sums = np.add.reduceat(np.where(known, values, 0.0), firsts, axis=0)
    number = np.add.reduceat(known.astype(np.float64), firsts, axis=0)
    means = np.full(sums.shape, np.nan)
    np.divide(sums, number, out=means, where=number > 0)
    return means, times[firsts]


@dataclass(frozen=True)
class Unusable:
    """An item of a file that cannot be used.

    Parameters
    ----------
    kind
        One of `KINDS`.
    name
        What it is called.
    reason
        Why, in a line.

    Examples
    --------
    >>> import neurodyn as nd
    >>> broken = nd.recording.Unusable("fields", "lfp", "timestamps do not increase")
    >>> session = nd.Recording("session", unusable=(broken,))
    >>> session.field("lfp")
    Traceback (most recent call last):
        ...
    neurodyn.errors.InputError: 'lfp' of recording 'session' cannot be used: timestamps do not increase
    """

    kind: str
    name: str
    reason: str


class NoSuchMemberError(InputError):
    """A row or unit to leave out that the item does not have."""


def build_items(
    makers: Mapping[str, Mapping[str, Callable[[], Any]]], choices: Choices, *, hint: bool = True
) -> tuple[dict[str, dict[str, Any]], tuple[Unusable, ...]]:
    """Make every item that is not left out.

    Parameters
    ----------
    makers
        By kind and name.
    choices
        What to leave out, and whether an item that cannot be used is an error.
    hint
        Whether the error names the way to leave the item out.

    Returns
    -------
    items, unusable
        By kind and name; what could not be made, with the reason.

    Raises
    ------
    InputError
        For a name to skip that is not there, and, if strict, for the first item that cannot be used.
    """
    known = {name for group in makers.values() for name in group}
    for entry in choices.skip:
        name, member = _parts(entry)
        if entry not in known and name not in known:
            raise unknown_name("item to skip", name if member is not None else entry, known)
    items: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
    unusable = []
    for kind, group in makers.items():
        for name, make in group.items():
            if name in choices.skip:
                continue
            try:
                items[kind][name] = make()
            except NoSuchMemberError:  # a wrong option, not an item that cannot be used
                raise
            except InputError as error:
                if choices.strict:
                    way = f"; or leave it out:  --skip {_quoted(name)}" if hint else ""
                    raise InputError(f"{error}{way}") from error
                unusable.append(Unusable(kind, name, str(error)))
    return items, tuple(unusable)


def kept_rows(name: str, labels: Iterable[str], members: set[str], kind: str) -> np.ndarray:
    """Positions of the rows, or units, that are not left out.

    Raises
    ------
    InputError
        If one that is left out is not there.
    """
    labels = tuple(labels)
    for member in members:
        if member not in labels:
            raise NoSuchMemberError(str(unknown_name(f"{kind} of '{name}' to skip", member, labels)))
    return np.array([row for row, label in enumerate(labels) if label not in members], dtype=int)


def _parts(entry: str) -> tuple[str, str | None]:
    """Name of the item and, in square brackets after it, of one of its members."""
    if entry.endswith("]") and "[" in entry[1:]:
        name, _, member = entry[:-1].rpartition("[")
        return name, member
    return entry, None


def _quoted(name: str) -> str:
    return name if name.replace("_", "").replace("/", "").isalnum() else f"'{name}'"


def chosen_units(
    name: str,
    times: Sequence[np.ndarray],
    units: Sequence[str],
    attributes: Mapping[str, np.ndarray],
    choices: Choices,
    support: TimeSupport | Sequence[TimeSupport] | None = None,
) -> SpikeTrains:
    """Spike trains of the units that are not left out; the others may be such as no spike train can be."""
    members = choices.members(name)
    if not members or len(units) != len(times):
        return SpikeTrains(name, tuple(times), tuple(units), attributes, support)
    rows = kept_rows(name, units, members, "unit")
    kept = {key: values[rows] for key, values in attributes.items()}
    kept_support = (
        support if support is None or isinstance(support, TimeSupport) else tuple(support[row] for row in rows)
    )
    return SpikeTrains(
        name, tuple(times[row] for row in rows), tuple(str(units[int(row)]) for row in rows), kept, kept_support
    )


def chosen_intervals(
    name: str,
    starts: np.ndarray,
    stops: np.ndarray,
    labels: Sequence[str],
    columns: Mapping[str, np.ndarray],
    choices: Choices,
) -> Intervals:
    """Intervals of the rows, by their numbers, that are not left out; the others may be such as no interval can be."""
    members = choices.members(name)
    if not members or starts.shape != stops.shape or starts.ndim != 1:
        return Intervals(name, starts, stops, tuple(labels), columns)
    rows = kept_rows(name, [str(row) for row in range(starts.size)], members, "row")
    labels = labels or [str(row) for row in range(starts.size)]
    kept = {key: values[rows] for key, values in columns.items()}
    return Intervals(name, starts[rows], stops[rows], tuple(labels[int(row)] for row in rows), kept)
