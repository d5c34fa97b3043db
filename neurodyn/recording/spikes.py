"""Spike times of sorted units, and when each unit was recorded."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float, Shaped

from neurodyn.display import Shown, listed, pluralised
from neurodyn.errors import InputError
from neurodyn.recording.edges import cut
from neurodyn.recording.names import columns, places_of, unique_names
from neurodyn.recording.support import EVERYTHING, TimeSupport, shared
from neurodyn.recording.times import check_span, seconds


@dataclass(frozen=True, eq=False, repr=False)
class SpikeTrains(Shown):
    """Spike times of sorted units.

    Parameters
    ----------
    name
        What the group of units is called in its recording.
    times
        One array of spike times in seconds per unit, in order of time.
    units
        One unique label per unit.
    attributes
        What else is known of each unit (``quality``, ``location``...): one array over units per name.
    support
        When the units were recorded: one support for all, or one per unit; None if that is not known, then they were
        as far as the recording goes (`neurodyn.recording.spike_supports`).  Outside of it spikes are missing, not
        absent; spikes that lie there all the same are kept and not counted.

    Raises
    ------
    InputError
        If a unit's spike times are not finite, non-negative and sorted, or lengths and labels do not match.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.recording import SpikeTrains
    >>> trains = SpikeTrains("spikes", (np.array([0.1, 0.5, 2.0]), np.array([0.7])), units=("a", "b"))
    >>> trains.n_units, trains.n_spikes, trains.between(0.0, 1.0).n_spikes
    (2, 4, 3)
    """

    name: str
    times: tuple[Float[np.ndarray, " _"], ...]
    units: tuple[str, ...]
    attributes: Mapping[str, Shaped[np.ndarray, " units"]] = field(default_factory=dict)
    support: TimeSupport | Sequence[TimeSupport] | None = None

    def __post_init__(self) -> None:
        units = unique_names(self.units, len(self.times), f"spikes '{self.name}'", "unit")
        owners = [f"unit '{unit}' of '{self.name}'" for unit in units]
        times = tuple(seconds(train, owner) for train, owner in zip(self.times, owners, strict=True))
        for train, owner in zip(times, owners, strict=True):
            _check_spike_times(train, owner)
        attributes = columns(self.attributes, len(times), f"spikes '{self.name}'", "attribute", "unit")
        support = _common_support(self.support, len(times), self.name)
        parts = (("times", times), ("units", units), ("attributes", attributes), ("support", support))
        for field_name, value in parts:
            object.__setattr__(self, field_name, value)

    @property
    def n_units(self) -> int:
        """Number of units."""
        return len(self.units)

    @property
    def n_spikes(self) -> int:
        """Number of spikes of all units together."""
        return sum(train.size for train in self.times)

    @property
    def start(self) -> float:
        """Time of the first spike in seconds (NaN if there is none)."""
        return float(min((train[0] for train in self.times if train.size), default=np.nan))

    @property
    def stop(self) -> float:
        """Time of the last spike in seconds (NaN if there is none)."""
        return float(max((train[-1] for train in self.times if train.size), default=np.nan))

    def _title(self) -> str:
        return f"SpikeTrains '{self.name}': {self.in_short()}"

    def in_short(self) -> str:
        """Units and spikes."""
        return f"{pluralised(self.n_units, 'unit')}, {pluralised(self.n_spikes, 'spike')}"

    def _facts(self) -> Iterable[tuple[str, str]]:
        yield "time", f"{self.start:.2f} to {self.stop:.2f} s"
        yield "units", listed(self.units)
        if self.attributes:
            yield "attributes", listed(self.attributes)

    @property
    def unit_supports(self) -> tuple[TimeSupport, ...]:
        """When each unit was recorded, as far as that is stated: without bounds where it is not."""
        if isinstance(self.support, tuple):
            return self.support
        return (self.support if isinstance(self.support, TimeSupport) else EVERYTHING,) * self.n_units

    def select(self, units: Iterable[str]) -> "SpikeTrains":
        """Return the named units, in the order given.

        Raises
        ------
        InputError
            If a unit is not there.
        """
        chosen, rows = places_of(units, self.units, "unit")
        attributes = {name: values[rows] for name, values in self.attributes.items()}
        support = tuple(self.unit_supports[row] for row in rows)
        return SpikeTrains(self.name, tuple(self.times[row] for row in rows), chosen, attributes, support)

    def between(self, start: float, stop: float) -> "SpikeTrains":
        """Return the spikes with ``start <= time < stop`` (seconds); units without any stay, empty.

        A spike on a bound, up to rounding, belongs to what begins there (`neurodyn.recording.edges`).  A
        stated support is cut at the two times.
        """
        check_span(start, stop)
        bounds = [np.searchsorted(train, cut(np.array([start, stop], np.float64))) for train in self.times]
        kept = tuple(train[first:last] for train, (first, last) in zip(self.times, bounds, strict=True))
        if self.support is None:
            return replace(self, times=kept)
        parts = {one: one.between(start, stop) for one in set(self.unit_supports)}
        return replace(self, times=kept, support=tuple(parts[one] for one in self.unit_supports))


def _common_support(
    support: TimeSupport | Sequence[TimeSupport] | None, units: int, owner: str
) -> TimeSupport | tuple[TimeSupport, ...] | None:
    """One support if all units have the same, None if it has no bounds at all."""
    if isinstance(support, TimeSupport):
        support = (support,) * units
    stated = tuple(support or ())
    if stated and (len(stated) != units or not all(isinstance(one, TimeSupport) for one in stated)):
        raise InputError(
            f"spikes '{owner}' need one TimeSupport for all units or one for each of {units}, got {len(stated)}:"
            " make them with TimeSupport.of(rows)"
        )
    stated = shared(stated)
    if not stated or all(one.same_as(EVERYTHING) for one in stated):
        return None
    return stated[0] if len(set(stated)) == 1 else stated


def _check_spike_times(times: np.ndarray, owner: str) -> None:
    if times.ndim != 1:
        raise InputError(f"{owner} needs a one-dimensional array of spike times, got shape {times.shape}")
    if not np.isfinite(times).all():
        raise InputError(f"{owner} has spike times that are not finite: remove them")
    if times.size and times.min() < 0:
        raise InputError(f"{owner} has a negative spike time, {times.min()} s: shift all times to start at 0 or later")
    wrong = np.flatnonzero(np.diff(times) < 0)
    if wrong.size:
        row = wrong[0]
        raise InputError(
            f"spike times of {owner} are not sorted: {times[row + 1]} s follows {times[row]} s"
            f" (spike {row + 1}); sort them, or check that the file is what you think it is"
        )
