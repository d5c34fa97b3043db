"""What a modality is made from: spikes or a field potential, and which of the recording."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from neurodyn.binning.band_power import DEFAULT_BANDS, BandPower
from neurodyn.binning.field_feature import FieldFeature
from neurodyn.binning.likelihoods import likelihood
from neurodyn.binning.signal_mean import SignalMean
from neurodyn.errors import InputError, unknown_name
from neurodyn.given import names, real
from neurodyn.recording import (
    BinnedCounts,
    Recording,
    Signal,
    SpikeTrains,
)


@dataclass(frozen=True)
class Spikes:
    """Counts of spikes per unit and bin; Poisson unless another likelihood is named.

    From spike times, or from counts that were recorded in bins: then the bins of the batch have their width or a
    multiple of it, and begin where they do.

    Parameters
    ----------
    name
        What the modality is called in the batch.
    source
        Name of the spike trains, or of the counts, in the recording.
    units
        Labels of the units to use, in order; None for all.
    likelihood
        Of counts, by its name in `neurodyn.binning.likelihoods.LIKELIHOODS`.

    Raises
    ------
    InputError
        If there is no such likelihood, or it is not one of counts.

    Examples
    --------
    >>> import neurodyn as nd
    >>> session = nd.simulate_foraging(nd.simulation.ForagingSettings(seconds=20.0), seed=0)
    >>> session.spikes["spikes"].units[:3]
    ('0', '1', '2')
    >>> batch = nd.to_bins(session, width="50ms", modalities=nd.Spikes(units=session.spikes["spikes"].units[:3]))
    >>> batch.modality("spikes").n_channels, batch.modality("spikes").likelihood
    (3, 'poisson')
    """

    name: str = "spikes"
    source: str = "spikes"
    units: tuple[str, ...] | None = None
    likelihood: str = "poisson"

    def __post_init__(self) -> None:
        _check_likelihood(self.name, self.likelihood, counts=True)


@dataclass(frozen=True)
class Field:
    """Causal features of a field potential; Gaussian unless another likelihood is named.

    Parameters
    ----------
    name
        What the modality is called in the batch.
    source
        Name of the field in the recording; None for the one called `name`, or else the only one.
    channels
        Labels of the channels to use, in order; None for all.
    bands
        (low, high) in Hz per band for log band powers; None for the signal itself, averaged over the bin.
    width
        Seconds from one sample to the next where that is several bins (a multiple of their width): one
        feature over the long window, observed in the last of its bins. None for a sample per bin.
    smoothing, order, bridge
        Of the band powers, see `BandPower`.
    feature
        Another feature in the place of band powers (`FieldFeature`); None for what `bands` says.
    likelihood
        Of real values, by its name in `neurodyn.binning.likelihoods.LIKELIHOODS`.

    Raises
    ------
    InputError
        If both bands and another feature are given, or there is no such likelihood, or it is one of counts.

    Examples
    --------
    >>> import neurodyn as nd
    >>> session = nd.simulate_foraging(nd.simulation.ForagingSettings(seconds=20.0), seed=0)
    >>> theta = nd.Field(source="lfp", bands=((6.0, 10.0),), width=0.2)
    >>> batch = nd.to_bins(session, width="50ms", modalities=theta)
    >>> batch.modality("field").channels, batch.modality("field").sample_every
    (('lfp0 6-10 Hz', 'lfp1 6-10 Hz'), 4)
    """

    name: str = "field"
    source: str | None = None
    channels: tuple[str, ...] | None = None
    bands: tuple[tuple[float, float], ...] | None = DEFAULT_BANDS
    width: float | None = None
    smoothing: float = BandPower.smoothing
    order: int = BandPower.order
    bridge: float = BandPower.bridge
    feature: FieldFeature | None = None
    likelihood: str = "gaussian"

    def __post_init__(self) -> None:
        _check_likelihood(self.name, self.likelihood, counts=False)
        if self.bands is not None:
            object.__setattr__(self, "bands", _pairs(self.name, self.bands))
        if self.feature is None:
            return
        if not isinstance(self.feature, FieldFeature):
            raise InputError(
                f"the feature of field '{self.name}' must be an object like BandPower() or SignalMean(), got "
                f"{self.feature!r}"
            )
        usual = BandPower()
        given = [n for n in ("smoothing", "order", "bridge") if getattr(self, n) != getattr(usual, n)]
        given += ["bands"] if self.bands not in (None, DEFAULT_BANDS) else []
        if given:
            raise InputError(
                f"field '{self.name}' has {', '.join(given)} of band powers, and {self.feature.label} in their place: "
                "give these to the feature, or leave it out"
            )

    @property
    def made(self) -> FieldFeature:
        """What is made of the field: another feature, band powers, or the signal itself."""
        return self.feature or self.power or SignalMean()

    @property
    def power(self) -> BandPower | None:
        """Options of the band powers; None for the signal itself or another feature."""
        if self.bands is None or self.feature is not None:
            return None
        return BandPower(self.bands, self.smoothing, self.order, self.bridge)


def _pairs(name: str, bands: object) -> tuple[tuple[float, float], ...]:
    """Bands as a tuple of pairs; a single one has to be a list of one."""
    message = f"bands of field '{name}' are pairs in Hz, such as ((4.0, 8.0), (8.0, 12.0)), got {bands!r}"
    if not isinstance(bands, Iterable) or isinstance(bands, str):
        raise InputError(message)
    pairs: list[tuple[float, float]] = []
    for band in bands:
        if not isinstance(band, tuple | list) or len(band) != 2:
            raise InputError(message)
        pairs.append((real(band[0], message), real(band[1], message)))
    return tuple(pairs)


def _check_likelihood(name: str, given: str, *, counts: bool) -> None:
    """Refuse a likelihood of the other kind of numbers.

    Raises
    ------
    InputError
        If there is none of that name, or it is.
    """
    if likelihood(given).counts != counts:
        wanted, got = ("counts", "real values") if counts else ("real values", "counts")
        raise InputError(f"modality '{name}' has {wanted}, and the likelihood {given} is of {got}: choose another")


def asked_for(given: Any) -> list[Any]:
    """What was given as modalities, one by one; names may stand in a text with commas between them."""
    if isinstance(given, str):
        return list(names(given)) if "," in given else [given]
    return list(given) if isinstance(given, list | tuple) else [given]


def chosen_modalities(
    recording: Recording, given: str | Spikes | Field | Sequence[str | Spikes | Field]
) -> list[Spikes | Field]:
    """What was asked for, names with the usual settings.

    Raises
    ------
    InputError
        If nothing was, or a name is not in the recording.
    """
    if isinstance(given, str) and given == "all":
        return all_modalities(recording)
    items = asked_for(given)
    others = {"all"} if isinstance(given, str) and items == [given] else set()  # which stands for a list by itself
    found = [_named(recording, item, others) if isinstance(item, str) else item for item in items]
    if not found:
        raise InputError("to_bins needs at least one modality, got none: give Spikes() or Field()")
    for item in found:
        if not isinstance(item, Spikes | Field):
            shown = f"the class {item.__name__}" if isinstance(item, type) else repr(item)
            raise InputError(f"a modality is Spikes(), Field() or a name, got {shown}")
    return found


def all_modalities(recording: Recording) -> list[Spikes | Field]:
    """All spikes, counts and fields of a recording, with the usual settings.

    Raises
    ------
    InputError
        If there is none.
    """
    groups, fields = [*recording.spikes, *recording.counts], [*recording.fields]
    if not groups and not fields:
        raise InputError(f"recording '{recording.name}' has neither spikes nor a field potential to decode from")
    spikes = [Spikes("spikes" if len(groups) == 1 else source, source) for source in groups]
    return [*spikes, *(Field("field" if len(fields) == 1 else source, source) for source in fields)]


def _named(recording: Recording, name: str, others: set[str]) -> Spikes | Field:
    """Modality of this name, with the usual settings; the error knows other names that could have been meant."""
    groups = [*recording.spikes, *recording.counts]
    if name in groups:
        return Spikes(name, name)
    if name in recording.fields or name == "field":
        return Field(name)
    if name == "spikes":
        return Spikes(name, groups[0]) if len(groups) == 1 else Spikes(name)
    recording.check_usable(name)
    raise unknown_name("modality", name, {*others, "spikes", "field", *groups, *recording.fields})


def counts_of(recording: Recording, modality: Spikes | Field) -> BinnedCounts | None:
    """Counts that were recorded in bins, if the modality is made from such, of the units asked for."""
    if isinstance(modality, Field) or modality.source not in recording.counts:
        return None
    counts = recording.counts[modality.source]
    return counts if modality.units is None else counts.select(modality.units)


def all_counts(recording: Recording, modalities: Sequence[Spikes | Field]) -> list[BinnedCounts]:
    """Counts that were recorded in bins, of all modalities that are made from such."""
    found = (counts_of(recording, modality) for modality in modalities)
    return [counts for counts in found if counts is not None]


def rate_of(recording: Recording, modality: Spikes | Field) -> float | None:
    """Samples per second of the signal of a field; None for spikes."""
    if isinstance(modality, Spikes):
        return None
    rate = field_signal(recording, modality).typical_rate
    return float(rate) if math.isfinite(rate) else None


def unit_of(recording: Recording, modality: Spikes | Field) -> str:
    """Unit of a modality's values."""
    if isinstance(modality, Spikes):
        return "spikes per bin"
    return modality.made.unit(field_signal(recording, modality).unit)


def sample_every_of(modality: Spikes | Field, width: float) -> int:
    """Bins from one sample of a modality to the next."""
    if isinstance(modality, Spikes) or modality.width is None:
        return 1
    sample_every = round(modality.width / width)
    if sample_every < 1 or abs(sample_every * width - modality.width) > 1e-6 * width:
        raise InputError(
            f"modality '{modality.name}': its width of {modality.width:g} s must be a multiple of the bin "
            f"width of {width:g} s"
        )
    return sample_every


def field_signal(recording: Recording, field: Field) -> Signal:
    """The signal a field modality is made from, with the channels asked for."""
    source = field.source
    if source is None and field.name in recording.fields:
        source = field.name
    signal = recording.field(source)
    if signal.n_samples < 2:
        raise InputError(f"field '{signal.name}' has {signal.n_samples} samples: nothing to bin")
    return signal if field.channels is None else signal.select(field.channels)


def trains_of(recording: Recording, modality: Spikes) -> SpikeTrains:
    """The units that a modality asks for."""
    trains = recording.spike_trains(modality.source)
    return trains if modality.units is None else trains.select(modality.units)
