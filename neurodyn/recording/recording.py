"""A recording in seconds: spike times, sampled signals, behaviour and intervals on one clock.

Every container is frozen and checked when it is made, so code further on never asks again whether spike times
are sorted or names are unique.  NaN in a signal's values means missing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from neurodyn.display import Shown, listed
from neurodyn.errors import InputError, unknown_name
from neurodyn.recording.counts import BinnedCounts
from neurodyn.recording.intervals import Intervals
from neurodyn.recording.left_out import KINDS, Unusable
from neurodyn.recording.signal import Signal
from neurodyn.recording.spikes import SpikeTrains

_Item = TypeVar("_Item")


@dataclass(frozen=True, eq=False, repr=False)
class Recording(Shown):
    """All that was recorded together, on one clock in seconds.

    Parameters
    ----------
    name
        What to call it in tables and messages (the file's name, for one that was read).
    spikes
        Groups of sorted units; the units table of a file is ``"spikes"``.
    fields
        Field potentials and other electrical signals.
    behaviour
        Position, speed, head direction and other signals to decode.
    intervals
        Epochs, trials.
    counts
        Groups of units of which only counts in bins are known.
    unusable
        Items of the file that cannot be used, and why; asking for one of them is an error that says so.
    unread
        How many items of which type the file has besides, that are not read.

    Raises
    ------
    InputError
        If an item is filed under a name that is not its own.

    Examples
    --------
    >>> import neurodyn as nd
    >>> session = nd.simulate_foraging(nd.simulation.ForagingSettings(seconds=20.0), seed=0)
    >>> session.spike_trains().units[:2], session.field().channels, session.behaviour_signal().channels
    (('0', '1'), ('lfp0', 'lfp1'), ('x', 'y'))
    >>> round(session.between(5.0, 10.0).stop)
    10
    """

    name: str
    spikes: Mapping[str, SpikeTrains] = field(default_factory=dict)
    fields: Mapping[str, Signal] = field(default_factory=dict)
    behaviour: Mapping[str, Signal] = field(default_factory=dict)
    intervals: Mapping[str, Intervals] = field(default_factory=dict)
    counts: Mapping[str, BinnedCounts] = field(default_factory=dict)
    unusable: tuple[Unusable, ...] = ()
    unread: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for kind in KINDS:
            for key, item in getattr(self, kind).items():
                if key != item.name:
                    raise InputError(f"'{item.name}' is filed under '{key}' in recording '{self.name}'")

    @property
    def start(self) -> float:
        """Earliest spike or sample in seconds (NaN if there is none)."""
        return min((item.start for item in self._timed()), default=float("nan"))

    @property
    def stop(self) -> float:
        """Latest spike or sample in seconds (NaN if there is none)."""
        return max((item.stop for item in self._timed()), default=float("nan"))

    def spike_trains(self, name: str = "spikes") -> SpikeTrains:
        """Return a group of units by name.

        Raises
        ------
        InputError
            If the recording has no units, or none under that name.
        """
        self.check_usable(name, "spikes")
        if not self.spikes:
            raise InputError(
                f"recording '{self.name}' has no units table, so there are no spikes to decode from:"
                " leave spikes out, or choose another recording"
            )
        return _pick(self.spikes, "spikes", name, self.name)

    def check_usable(self, name: str | None, *kinds: str) -> None:
        """Refuse an item of the file that cannot be used, with the reason.

        Parameters
        ----------
        name
            Of the item; None for the only one of its kind.
        kinds
            Of items, as in `left_out.KINDS`; none given: any.

        Raises
        ------
        InputError
            If it is one of those.
        """
        there = {key for kind in kinds for key in getattr(self, kind)}
        for item in self.unusable:
            asked = item.name == name or (name is None and not there)
            if asked and (not kinds or item.kind in kinds):
                raise InputError(f"'{item.name}' of recording '{self.name}' cannot be used: {item.reason}")

    def field(self, name: str | None = None) -> Signal:
        """Return a field potential by name, or the only one.

        Raises
        ------
        InputError
            If there is none, none under that name, or several and no name was given.
        """
        self.check_usable(name, "fields")
        return _pick(self.fields, "field", name, self.name)

    def behaviour_signal(self, name: str | None = None) -> Signal:
        """Return a behavioural signal by name, or the only one.

        Raises
        ------
        InputError
            If there is none, none under that name, or several and no name was given.
        """
        self.check_usable(name, "behaviour")
        return _pick(self.behaviour, "behaviour", name, self.name)

    def find_intervals(self, name: str) -> Intervals:
        """Return a whole table of intervals by its name (``trials``), or the ones with a label (``task``).

        Raises
        ------
        InputError
            If neither a table nor a label has that name, or the label stands in more than one table.
        """
        if name in self.intervals:
            return self.intervals[name]
        self.check_usable(name, "intervals")
        holders = [table for table in self.intervals.values() if name in table.labels]
        if len(holders) > 1:
            tables = ", ".join(table.name for table in holders)
            raise InputError(f"interval '{name}' stands in more than one table ({tables}): give start and stop")
        if not holders:
            labels = {label for table in self.intervals.values() for label in table.labels}
            raise unknown_name("interval", name, labels.union(self.intervals))
        return holders[0].labelled(name)

    def between(self, start: float, stop: float) -> "Recording":
        """Return what was recorded with ``start <= time < stop`` (seconds); the clock stays as it is."""
        parts = {kind: {name: one.between(start, stop) for name, one in getattr(self, kind).items()} for kind in KINDS}
        return replace(self, **parts)

    def _title(self) -> str:
        return f"Recording '{self.name}': {self.start:.2f} to {self.stop:.2f} s"

    def _facts(self) -> Iterable[tuple[str, str]]:
        kinds = {"spikes": self.spikes, "counts": self.counts, "field": self.fields, "behaviour": self.behaviour}
        for kind, items in {**kinds, "intervals": self.intervals}.items():
            yield from ((name, f"{kind}: {item.in_short()}") for name, item in items.items())
        if self.unusable:
            yield "unusable", listed(item.name for item in self.unusable)
        if self.unread:
            yield "not read", listed(f"{number} {kind}" for kind, number in self.unread.items())

    def _timed(self) -> list[Signal | SpikeTrains | BinnedCounts]:
        signals = [*self.fields.values(), *self.behaviour.values()]
        return [
            *(trains for trains in self.spikes.values() if trains.n_spikes),
            *(signal for signal in signals if signal.n_samples),
            *(counts for counts in self.counts.values() if counts.n_bins),
        ]


def _pick(items: Mapping[str, _Item], kind: str, name: str | None, recording: str) -> _Item:
    if name is None and len(items) == 1:
        return next(iter(items.values()))
    if not items:
        raise InputError(f"recording '{recording}' has no {kind}: run  neurodyn inspect  on it to see what it has")
    if name is None:
        raise InputError(f"recording '{recording}' has more than one {kind} ({', '.join(items)}): name one")
    if name not in items:
        raise unknown_name(kind, name, items)
    return items[name]
