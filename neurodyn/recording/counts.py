"""Spikes that were recorded, or kept, only as counts in bins."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float, Shaped

from neurodyn.display import Shown, listed, pluralised
from neurodyn.errors import InputError
from neurodyn.recording.names import columns, places_of, unique_names
from neurodyn.recording.times import check_span

WHOLE = 1e-3
"""How far from a whole number a count may be: what is left of rates in Hz that were rounded in single precision."""
_HAIR = 1e-6


@dataclass(frozen=True, eq=False, repr=False)
class BinnedCounts(Shown):
    """Counts of spikes in bins of equal width: bin k covers ``[start + k width, start + (k + 1) width)``.

    When a spike was inside its bin is not known, so bins of another width are made of whole ones only.

    Parameters
    ----------
    name
        What the group of units is called in its recording.
    values
        Bins x units, whole numbers of 0 or more; NaN where a bin was not recorded.
    width
        Width of a bin in seconds.
    start
        Begin of the first bin in seconds.
    units
        One unique label per unit; left out, they are ``0, 1, ...``.
    attributes
        What else is known of each unit: one array over units per name.

    Raises
    ------
    InputError
        If a count is negative or no whole number, the width is not above 0, or lengths and labels do not match.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.recording import BinnedCounts
    >>> counts = BinnedCounts("M1", np.array([[2.0, 0.0], [1.0, 3.0], [np.nan, np.nan]]), width=0.02, units=("a", "b"))
    >>> counts.n_bins, counts.n_spikes, counts.select(["b"]).n_units
    (3, 6, 1)
    """

    name: str
    values: Float[np.ndarray, "bins units"]
    width: float
    start: float = 0.0
    units: tuple[str, ...] = ()
    attributes: Mapping[str, Shaped[np.ndarray, " units"]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        owner = f"counts '{self.name}'"
        width, start = _seconds(self.width, owner, "width"), _seconds(self.start, owner, "start")
        if width <= 0:
            raise InputError(f"{owner} need a width of more than 0 seconds, got {width:g}")
        values = _whole(self.values, owner)
        units = self.units or tuple(str(unit) for unit in range(values.shape[1]))
        units = unique_names(units, values.shape[1], owner, "unit")
        attributes = columns(self.attributes, len(units), owner, "attribute", "unit")
        settled = {"values": values, "width": width, "start": start, "units": units, "attributes": attributes}
        for field_name, value in settled.items():
            object.__setattr__(self, field_name, value)

    @property
    def n_bins(self) -> int:
        """Number of bins."""
        return self.values.shape[0]

    @property
    def n_units(self) -> int:
        """Number of units."""
        return self.values.shape[1]

    @property
    def n_spikes(self) -> int:
        """Number of spikes of all units together, in the bins that were recorded."""
        return int(np.nansum(self.values))

    @property
    def stop(self) -> float:
        """End of the last bin in seconds."""
        return self.start + self.n_bins * self.width

    def _title(self) -> str:
        return f"BinnedCounts '{self.name}': {self.in_short()}"

    def in_short(self) -> str:
        """Units, and bins with their width."""
        return f"{pluralised(self.n_units, 'unit')} x {pluralised(self.n_bins, 'bin')} of {1e3 * self.width:g} ms"

    def _facts(self) -> Iterable[tuple[str, str]]:
        yield "time", f"{self.start:.2f} to {self.stop:.2f} s"
        yield "units", listed(self.units)

    def select(self, units: Iterable[str]) -> "BinnedCounts":
        """Return the named units, in the order given.

        Raises
        ------
        InputError
            If a unit is not there.
        """
        chosen, rows = places_of(units, self.units, "unit")
        attributes = {name: values[rows] for name, values in self.attributes.items()}
        return replace(self, values=self.values[:, rows], units=chosen, attributes=attributes)

    def between(self, start: float, stop: float) -> "BinnedCounts":
        """Return the bins that lie whole between two times in seconds."""
        check_span(start, stop)
        first = min(max(0, math.ceil(max(start - self.start, 0.0) / self.width - _HAIR)), self.n_bins)
        last = math.floor(min(stop - self.start, self.stop - self.start) / self.width + _HAIR)
        last = min(max(first, last), self.n_bins)
        return replace(self, values=self.values[first:last], start=self.start + first * self.width)


def _seconds(value: float, owner: str, what: str) -> float:
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        raise InputError(f"{owner} need a {what} in seconds, got {value!r}")
    if not math.isfinite(value):
        raise InputError(f"{owner} need a finite {what} in seconds, got {value}")
    return float(value)


def _whole(values: np.ndarray, owner: str) -> np.ndarray:
    """Counts in double precision; values that are not counts are refused."""
    array = np.asarray(values)
    if array.ndim != 2 or array.dtype.kind not in "biuf":
        raise InputError(f"{owner} need a matrix of numbers, bins x units, got {array.dtype} of shape {array.shape}")
    array = array.astype(np.float64)
    known = array[~np.isnan(array)]
    if not np.isfinite(known).all():
        raise InputError(f"{owner} hold infinite values: mark bins that were not recorded with NaN")
    if known.size and known.min() < 0:
        raise InputError(
            f"{owner}: counts must be 0 or more, got {known.min():g}; read such values as a field (Gaussian)"
        )
    rounded = np.round(array)
    wrong = np.flatnonzero(np.abs(known - np.round(known)) > WHOLE)
    if wrong.size:
        raise InputError(
            f"{owner} hold {wrong.size:,} values that are not whole numbers, such as {known[wrong[0]]:g}: rates in Hz "
            "need  rates: true  and the width of their bins; smoothed rates are read as a field (Gaussian)"
        )
    return rounded
