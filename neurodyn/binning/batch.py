"""MultimodalBatch: what the models see. A flat timeline of bins, and the trials drawn from it.

Axes are trial x time x channel wherever there is a trial axis, bins x channel on the flat timeline.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from neurodyn.binning.hiding import given_bins, given_channels, random_bins
from neurodyn.binning.labels import places_of
from neurodyn.binning.likelihoods import LIKELIHOODS
from neurodyn.display import Shown, counted, listed
from neurodyn.errors import InputError, unknown_name

_QUICKLY_COUNTED = 20_000_000
"""Entries of a mask up to which the share observed is worked out to be shown."""


@dataclass(frozen=True, repr=False)
class Modality(Shown):
    """One row of the table of modalities.

    Parameters
    ----------
    name
        Key of the modality in `MultimodalBatch.observations`.
    likelihood
        Name of one in :data:`neurodyn.binning.likelihoods.LIKELIHOODS`: ``"poisson"`` for counts, ``"gaussian"`` for
        real values, or one that was added.
    channels
        One label per channel.
    clock
        Bins between samples: 1 is observed in every bin, 5 in one bin of five.
    unit
        Of the values, for display and to tell recordings apart; empty if not known.
    rate
        Hertz of the signal that features were made from; None for counts, or if not known. Clocks of two recordings
        differ in the last digits, so that it is not compared here but, with a tolerance, where a stream is opened.

    Raises
    ------
    InputError
        For an unknown likelihood, no channels or a clock below 1.
    """

    name: str
    likelihood: str
    channels: tuple[str, ...]
    clock: int = 1
    unit: str = ""
    rate: float | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(str(channel) for channel in self.channels))
        if self.likelihood not in LIKELIHOODS:
            raise unknown_name(f"likelihood of modality '{self.name}'", str(self.likelihood), LIKELIHOODS)
        if not self.channels:
            raise InputError(f"modality '{self.name}' has no channels: give it at least one or leave it out")
        if self.clock < 1:
            raise InputError(f"modality '{self.name}': clock must be at least 1 bin, got {self.clock}")

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return len(self.channels)

    @property
    def counts(self) -> bool:
        """Whether the observations are counts of events per bin; if not, they are real values."""
        return LIKELIHOODS[self.likelihood].counts

    def _title(self) -> str:
        return f"Modality '{self.name}': {self._in_short()}"

    def _in_short(self) -> str:
        clock = f", a sample every {self.clock} bins" if self.clock > 1 else ""
        unit = f", {self.unit}" if self.unit else ""
        return f"{counted(self.n_channels, 'channel')}, {self.likelihood}{clock}{unit}"

    def _facts(self) -> Iterable[tuple[str, str]]:
        yield "channels", listed(self.channels)


@dataclass(frozen=True, eq=False, repr=False)
class Stacked(Shown):
    """Trials of a batch side by side, the shorter ones padded at their end with missing bins.

    Parameters
    ----------
    observations, observed
        Per modality, (trial, time, channel); padded entries are 0 and not observed.
    target, target_observed
        (trial, time, dim) and (trial, time).
    valid
        (trial, time): False where padded.
    context
        (trial, time): True in the leading bins that the decoder sees and nobody scores.
    time
        (trial, time) end of each bin in seconds; NaN where padded.
    """

    observations: dict[str, Float32[np.ndarray, "trials time _"]]
    observed: dict[str, Bool[np.ndarray, "trials time _"]]
    target: Float32[np.ndarray, "trials time dims"]
    target_observed: Bool[np.ndarray, "trials time"]
    valid: Bool[np.ndarray, "trials time"]
    context: Bool[np.ndarray, "trials time"]
    time: Float64[np.ndarray, "trials time"]

    def _facts(self) -> Iterable[tuple[str, str]]:
        trials, bins = self.valid.shape
        yield "trials", f"{trials:,} of at most {counted(bins, 'bin')}"
        yield from ((name, counted(values.shape[2], "channel")) for name, values in self.observations.items())
        yield "target", counted(self.target.shape[2], "dimension")

    def scored(self) -> Bool[np.ndarray, "trials time"]:
        """Bins where a prediction of the target counts: in a trial, after its lead, target observed."""
        return self.valid & ~self.context & self.target_observed


@dataclass(frozen=True, eq=False, repr=False)
class MultimodalBatch(Shown):
    """Binned observations of several modalities, a target, and the trials: immutable.

    Folds and segments share the arrays of the timeline and differ in `starts`, `lengths` and `lead` only.

    Parameters
    ----------
    observations
        Per modality (bins, channels) float32; missing entries are 0.
    observed
        Per modality (bins, channels) bool: the only place where missing is stored.
    target
        (bins, dims) float32; ``dims`` may be 0; missing entries are 0.
    target_observed
        (bins,) bool.
    time
        (bins,) END of each bin in seconds, increasing inside every trial.
    width
        Width of a bin in seconds.
    starts, lengths
        (trials,) trial i is the bins ``starts[i] : starts[i] + lengths[i]``.
    lead
        (trials,) the first `lead` bins of a trial are context: seen by the decoder, never scored or fitted.
    modalities
        One row per modality, in the order of fusion.
    target_names
        One name per target dimension.
    target_units
        One unit per target dimension, empty where it is not known; () if none is.

    Raises
    ------
    InputError
        When lengths disagree, a trial leaves the timeline, or a missing entry is not 0.
    """

    observations: dict[str, Float32[np.ndarray, "bins _"]]
    observed: dict[str, Bool[np.ndarray, "bins _"]]
    target: Float32[np.ndarray, "bins dims"]
    target_observed: Bool[np.ndarray, " bins"]
    time: Float64[np.ndarray, " bins"]
    width: float
    starts: Int64[np.ndarray, " trials"]
    lengths: Int64[np.ndarray, " trials"]
    lead: Int64[np.ndarray, " trials"]
    modalities: tuple[Modality, ...]
    target_names: tuple[str, ...]
    target_units: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [modality.name for modality in self.modalities]
        _check_names(names, self.observations, self.observed)
        store = {
            "observations": {name: _frozen(self.observations[name], np.float32) for name in names},
            "observed": {name: _frozen(self.observed[name], np.bool_) for name in names},
            "target": _frozen(self.target, np.float32),
            "target_observed": _frozen(self.target_observed, np.bool_),
            "time": _frozen(self.time, np.float64),
            "width": float(self.width),
            "starts": _frozen(self.starts, np.int64),
            "lengths": _frozen(self.lengths, np.int64),
            "lead": _frozen(self.lead, np.int64),
            "modalities": tuple(self.modalities),
            "target_names": tuple(self.target_names),
            "target_units": tuple(self.target_units),
        }
        for name, value in store.items():
            object.__setattr__(self, name, value)
        _check_timeline(self)
        _check_trials(self)
        for modality in self.modalities:
            _check_modality(self, modality)

    @classmethod
    def from_arrays(
        cls,
        observations: Mapping[str, Any],
        *,
        width: float,
        likelihoods: Mapping[str, str],
        target: Any = None,
        target_names: Sequence[str] | None = None,
        channels: Mapping[str, Sequence[str]] | None = None,
        clocks: Mapping[str, int] | None = None,
        lengths: Any = None,
    ) -> "MultimodalBatch":
        """Batch from arrays of trials; NaN means missing.

        Parameters
        ----------
        observations
            Per modality an array (trial, time, channel).
        width
            Width of a bin in seconds.
        likelihoods
            Per modality ``"poisson"``, ``"gaussian"`` or another of :data:`neurodyn.binning.likelihoods.LIKELIHOODS`.
        target
            (trial, time, dim), or None.
        target_names, channels, clocks
            Labels of the target dimensions, labels of the channels per modality, and bins between samples
            per modality; numbered labels and a clock of 1 when left out.
        lengths
            (trials,) bins of each trial that are real, when trials are padded at their end; all by default.

        Returns
        -------
        MultimodalBatch
            Trials lie end to end on the timeline, the first starting at 0 s.

        Raises
        ------
        InputError
            When shapes disagree or the data cannot be used (see `check_usable`).
        """
        arrays = {name: _three_axes(f"modality '{name}'", array) for name, array in observations.items()}
        if not arrays:
            raise InputError("a batch needs at least one modality, got none")
        n_trials, n_time = next(iter(arrays.values())).shape[:2]
        values = np.zeros((n_trials, n_time, 0)) if target is None else _three_axes("target", target)
        for name, array in {**arrays, "target": values}.items():
            if array.shape[:2] != (n_trials, n_time):
                raise InputError(
                    f"'{name}' has (trial, time) = {array.shape[:2]}, the first modality "
                    f"{(n_trials, n_time)}: all need the same trials and bins; pad with NaN"
                )
        kept = _real_bins(lengths, n_trials, n_time)
        modalities = tuple(
            _describe(name, arrays[name].shape[2], likelihoods, channels or {}, clocks or {}) for name in arrays
        )
        flat, masks = zip(*(_split_missing(arrays[name][kept]) for name in arrays), strict=True)
        flat_target, target_mask = _split_missing(values[kept])
        whole = np.asarray(target_mask.all(axis=1))
        spans = kept.sum(axis=1)
        batch = cls(
            observations=dict(zip(arrays, flat, strict=True)),
            observed=dict(zip(arrays, masks, strict=True)),
            target=np.where(whole[:, None], flat_target, np.float32(0)),
            target_observed=whole,
            time=width * (1.0 + np.arange(int(spans.sum()))),
            width=width,
            starts=np.cumsum(spans) - spans,
            lengths=spans,
            lead=np.zeros(n_trials, np.int64),
            modalities=modalities,
            target_names=tuple(target_names or (f"target{i}" for i in range(values.shape[2]))),
        )
        check_usable(batch)
        return batch

    @property
    def n_trials(self) -> int:
        """Number of trials."""
        return len(self.starts)

    @property
    def n_bins(self) -> int:
        """Number of bins in the trials, context included (not the length of the timeline)."""
        return int(self.lengths.sum())

    @property
    def n_dims(self) -> int:
        """Number of target dimensions."""
        return self.target.shape[1]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the modalities, in order."""
        return tuple(modality.name for modality in self.modalities)

    def _title(self) -> str:
        return f"MultimodalBatch: {self._in_short()}"

    def _in_short(self) -> str:
        lead = int(self.lead.sum())
        context = f", {lead:,} of them context" if lead else ""
        trials, bins = counted(self.n_trials, "trial"), counted(self.n_bins, "bin")
        return f"{trials}, {bins} of {1e3 * self.width:g} ms{context}"

    def _facts(self) -> Iterable[tuple[str, str]]:
        first, last = self.starts.min(), (self.starts + self.lengths).max() - 1
        yield "time", f"{self.time[first] - self.width:.2f} to {self.time[last]:.2f} s"
        for row in self.modalities:
            mask = self.observed[row.name]
            seen = f", {mask[self.in_trials()].mean():.1%} observed" if 0 < mask.size <= _QUICKLY_COUNTED else ""
            yield row.name, f"{row._in_short()}{seen}"
        yield "target", listed(self.target_names) or "none"

    @property
    def train(self) -> "MultimodalBatch":
        """First four fifths: of the trials, or of the time where there is one trial only."""
        from neurodyn.binning.folds import holdout

        return holdout(self).train

    @property
    def test(self) -> "MultimodalBatch":
        """Last fifth, 2 s away from `train` where a continuous recording is split."""
        from neurodyn.binning.folds import holdout

        return holdout(self).test

    def modality(self, name: str) -> Modality:
        """Row of the table with this name."""
        for modality in self.modalities:
            if modality.name == name:
                return modality
        raise unknown_name("modality", name, self.names)

    def trial(self, index: int) -> slice:
        """Bins of one trial on the timeline, context included."""
        return slice(int(self.starts[index]), int(self.starts[index] + self.lengths[index]))

    def with_modalities(self, names: Sequence[str]) -> "MultimodalBatch":
        """Batch with some of the modalities only, in the order given; one may be named by itself."""
        names = (names,) if isinstance(names, str) else tuple(names)
        modalities = tuple(self.modality(name) for name in names)
        return replace(
            self,
            observations={name: self.observations[name] for name in names},
            observed={name: self.observed[name] for name in names},
            modalities=modalities,
        )

    def aligned_to(self, modalities: Sequence[Modality], target_names: Sequence[str] = ()) -> "MultimodalBatch":
        """Batch with the modalities, channels and target of a model in the model's order, matched by label.

        Parameters
        ----------
        modalities
            Of the model; the batch may have more of them, and more channels in each. One that it lacks is missing in
            every bin, as a live decoder takes it.
        target_names
            Of the model's target; () leaves the target as it is.

        Returns
        -------
        MultimodalBatch
            This batch itself where nothing has to be moved.

        Raises
        ------
        InputError
            If no modality, a channel or a dimension of the target is not there, or the batch has a modality that the
            model does not know in the place of one that it knows; the message has both lists.
        """
        batch = self._with_absent(modalities)
        if tuple(row.name for row in modalities) != batch.names:
            batch = batch.with_modalities([row.name for row in modalities])
        for row in modalities:
            batch = batch._with_channels(row)
        return batch._with_target(tuple(target_names)) if target_names else batch

    def _with_absent(self, modalities: Sequence[Modality]) -> "MultimodalBatch":
        """Batch that has all modalities of another table; without a sample in those that it lacked."""
        absent = [row for row in modalities if row.name not in self.names]
        if not absent:
            return self
        known = {row.name for row in modalities}
        unknown = [name for name in self.names if name not in known]
        if unknown or len(absent) == len(modalities):
            raise InputError(
                f"the batch has {', '.join(self.names)}, the model was fitted on {', '.join(sorted(known))}: name the "
                f"modalities so, or leave '{(unknown or self.names)[0]}' out with batch.with_modalities(names), which "
                "makes it missing"
            )
        bins = len(self.time)
        return replace(
            self,
            observations={**self.observations, **{r.name: np.zeros((bins, r.n_channels), np.float32) for r in absent}},
            observed={**self.observed, **{r.name: np.zeros((bins, r.n_channels), np.bool_) for r in absent}},
            modalities=(*self.modalities, *absent),
        )

    def _with_channels(self, row: Modality) -> "MultimodalBatch":
        """Batch with the channels of one modality as another table has them."""
        own = self.modality(row.name)
        if own.channels == row.channels:
            return self
        places = places_of(row.channels, own.channels, what=f"modality '{row.name}'", other="the batch")
        return replace(
            self,
            observations={**self.observations, row.name: self.observations[row.name][:, places]},
            observed={**self.observed, row.name: self.observed[row.name][:, places]},
            modalities=tuple(
                replace(one, channels=row.channels) if one.name == row.name else one for one in self.modalities
            ),
        )

    def _with_target(self, names: tuple[str, ...]) -> "MultimodalBatch":
        """Batch with these dimensions of the target, in this order."""
        if names == self.target_names:
            return self
        places = places_of(names, self.target_names, what="the target", other="the batch", kind="dimensions")
        units = tuple(self.target_units[place] for place in places) if self.target_units else ()
        return replace(self, target=self.target[:, places], target_names=names, target_units=units)

    def hide(
        self,
        name: str,
        *,
        share: float | None = None,
        bins: Any = None,
        channels: str | Sequence[str] | None = None,
        bursts: float | str | None = None,
        seed: int = 0,
    ) -> "MultimodalBatch":
        """Batch in which samples of a modality are missing: to see what a decoder makes of it.

        Parameters
        ----------
        name
            Of the modality.
        share
            Part of the bins with a sample that is hidden, from 0 to 1; all if neither it nor ``bins`` is given.
        bins
            Or which: a slice, numbers of bins, or one flag for each bin of the timeline (``batch.time``).
        channels
            Labels of the channels that are hidden in those bins; None for all.
        bursts
            Seconds (``"500ms"`` will do) of the stretches that a share is hidden in; None for single bins.
        seed
            Of the choice at random.

        Returns
        -------
        MultimodalBatch
            The target, and what is scored, stays as it is.

        Raises
        ------
        InputError
            If a name, a channel or a bin is not there, the share is none, or both a share and bins are given.

        Examples
        --------
        >>> import neurodyn as nd
        >>> batch = nd.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=2, missing=0.0), seed=0)
        >>> float(batch.hide("spikes", share=0.25, bursts="50ms").observed["spikes"].mean())
        0.75
        """
        row = self.modality(name)
        if bins is not None and (share is not None or bursts is not None):
            raise InputError("hide either a share of the bins or the bins that are named, not both")
        chosen = (
            random_bins(self, name, share=1.0 if share is None else share, bursts=bursts, seed=seed)
            if bins is None
            else given_bins(self, bins)
        )
        kept = self.observed[name] & ~(chosen[:, None] & given_channels(row, channels))
        values = np.where(kept, self.observations[name], np.float32(0))
        return replace(self, observations={**self.observations, name: values}, observed={**self.observed, name: kept})

    def with_trials(self, indices: Any) -> "MultimodalBatch":
        """Batch with some of the trials only, in the order given; the timeline is shared."""
        indices = np.asarray(indices, np.int64)
        if indices.ndim != 1 or ((indices < 0) | (indices >= self.n_trials)).any():
            raise InputError(f"trial indices must lie in 0 .. {self.n_trials - 1}, got {indices.tolist()}")
        return self.with_runs(self.starts[indices], self.lengths[indices], self.lead[indices])

    def with_runs(self, starts: Any, lengths: Any, lead: Any) -> "MultimodalBatch":
        """Batch with other trials drawn from the same timeline.

        Parameters
        ----------
        starts, lengths, lead
            (trials,) first bin, number of bins and number of context bins of each trial.
        """
        return replace(self, starts=np.asarray(starts), lengths=np.asarray(lengths), lead=np.asarray(lead))

    def segments(self, seconds: float) -> "MultimodalBatch":
        """Batch cut into non-overlapping segments.

        Parameters
        ----------
        seconds
            Length of a segment; the rest of a trial that is left makes a shorter one. Nothing is dropped.

        Raises
        ------
        InputError
            When a segment would be shorter than one bin.
        """
        size = round(seconds / self.width)
        if size < 1:
            raise InputError(f"a segment of {seconds:g} s is shorter than a bin of {self.width:g} s")
        counts = -(-self.lengths // size)
        owner = np.repeat(np.arange(self.n_trials), counts)
        offset = size * (np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts))
        lengths = np.minimum(size, self.lengths[owner] - offset)
        lead = np.clip(self.lead[owner] - offset, 0, lengths)
        return self.with_runs(self.starts[owner] + offset, lengths, lead)

    def stacked(self, *, observations: bool = True) -> Stacked:
        """Trials side by side, padded at their end to the longest: (trial, time, ...).

        Parameters
        ----------
        observations
            False leaves the observations out, which would be copied.
        """
        step = np.arange(int(self.lengths.max()))
        valid = step < self.lengths[:, None]
        index = np.where(valid, self.starts[:, None] + step, 0)
        mask, names = valid[..., None], self.names if observations else ()
        return Stacked(
            observations={n: np.where(mask, self.observations[n][index], np.float32(0)) for n in names},
            observed={n: mask & self.observed[n][index] for n in names},
            target=np.where(mask, self.target[index], np.float32(0)),
            target_observed=valid & self.target_observed[index],
            valid=valid,
            context=valid & (step < self.lead[:, None]),
            time=np.where(valid, self.time[index], np.nan),
        )

    def scored(self) -> Bool[np.ndarray, "trials time"]:
        """Bins where a prediction counts, (trial, time): valid, after the lead, target observed."""
        return self.stacked(observations=False).scored()

    def in_trials(self, *, context: bool = False) -> Bool[np.ndarray, " bins"]:
        """Bins of the timeline that belong to a trial after its lead, which may be fitted on; with context, all."""
        edges = np.zeros(len(self.time) + 1, np.int64)
        np.add.at(edges, self.starts if context else self.starts + self.lead, 1)
        np.add.at(edges, self.starts + self.lengths, -1)
        return np.cumsum(edges)[:-1] > 0


def check_batch(given: Any) -> MultimodalBatch:
    """What was given, if it is a batch; else an error that says how to make one.

    Raises
    ------
    InputError
        For anything else.
    """
    if isinstance(given, MultimodalBatch):
        return given
    advice = {
        "Recording": "bin it first with neurodyn.to_bins(recording, width=0.05, ...)",
        "Fold": "take its part  fold.train  or  fold.test",
        "list": "choose one of its items",
        "ndarray": "make one with MultimodalBatch.from_arrays, or look at neurodyn.to_bins",
        "dict": "make one with MultimodalBatch.from_arrays",
    }
    kind = type(given).__name__
    raise InputError(f"expected a MultimodalBatch, got a {kind}: {advice.get(kind, advice['ndarray'])}")


def check_usable(batch: MultimodalBatch) -> None:
    """Refuse data that no model could be fitted on, naming the modality, channel or target dimension.

    Raises
    ------
    InputError
        For a modality or channel without any observed sample, a target that is never observed or constant.
    """
    inside = check_batch(batch).in_trials()
    for modality in batch.modalities:
        seen = batch.observed[modality.name][inside].any(axis=0)
        if not seen.any():
            raise InputError(f"modality '{modality.name}' has no observed sample in the time analysed: leave it out")
        if not seen.all():
            channel = modality.channels[int(np.argmin(seen))]
            raise InputError(
                f"modality '{modality.name}', channel '{channel}' has no observed sample (all NaN): leave it out"
            )
    if not batch.n_dims:
        return
    values = batch.target[inside & batch.target_observed]
    if not len(values):
        raise InputError(f"target {', '.join(batch.target_names)} is never observed in the time analysed")
    constant = values.max(axis=0) == values.min(axis=0)
    if constant.any():
        name = batch.target_names[int(np.argmax(constant))]
        raise InputError(f"target '{name}' is constant in the time analysed: there is nothing to decode, leave it out")


def _frozen(array: Any, dtype: type) -> np.ndarray:
    """View of the array in this type that cannot be written through."""
    view = np.asarray(array, dtype).view()
    view.flags.writeable = False
    return view


def _check_names(names: list[str], observations: Mapping[str, Any], observed: Mapping[str, Any]) -> None:
    """Modalities, observations and masks speak of the same names."""
    if not names:
        raise InputError("a batch needs at least one modality, got none")
    if len(set(names)) != len(names):
        raise InputError(f"modalities need different names, got {', '.join(names)}")
    for kind, table in (("observations", observations), ("observed", observed)):
        if set(table) != set(names):
            raise InputError(f"{kind} are of {sorted(table)}, the modalities are {sorted(names)}")


def _check_timeline(batch: MultimodalBatch) -> None:
    """Lengths along the timeline agree, and the target has a name per dimension."""
    if not (np.isfinite(batch.width) and batch.width > 0):
        raise InputError(f"the bin width must be positive seconds, got {batch.width}")
    if batch.time.ndim != 1 or not np.isfinite(batch.time).all():
        raise InputError("time must be one finite value in seconds per bin")
    bins = len(batch.time)
    if batch.target.shape != (bins, len(batch.target_names)):
        raise InputError(f"target must be (bins, names) = {(bins, len(batch.target_names))}, got {batch.target.shape}")
    if batch.target_units and len(batch.target_units) != batch.target.shape[1]:
        raise InputError(f"target_units must be one per target dimension, got {len(batch.target_units)}")
    if batch.target_observed.shape != (bins,):
        raise InputError(f"target_observed must be ({bins},), got {batch.target_observed.shape}")
    _check_missing_is_zero("target", batch.target, batch.target_observed[:, None])


def _check_trials(batch: MultimodalBatch) -> None:
    """Trials are not empty and stay on the timeline; their lead stays in them."""
    starts, lengths, lead = batch.starts, batch.lengths, batch.lead
    if starts.ndim != 1 or not starts.shape == lengths.shape == lead.shape:
        raise InputError(
            f"starts, lengths and lead must be one number per trial, got {starts.shape}, {lengths.shape}, {lead.shape}"
        )
    if not len(starts):
        raise InputError("a batch needs at least one trial, got none")
    outside = (starts < 0) | (lengths < 1) | (starts + lengths > len(batch.time))
    if outside.any():
        i = int(np.argmax(outside))
        raise InputError(
            f"trial {i} covers bins {starts[i]} to {starts[i] + lengths[i]} of a timeline of "
            f"{len(batch.time)}: trials need at least one bin and must stay inside"
        )
    if ((lead < 0) | (lead > lengths)).any():
        i = int(np.argmax((lead < 0) | (lead > lengths)))
        raise InputError(f"trial {i} has {lead[i]} context bins of {lengths[i]}: it needs 0 to its length")


def _check_modality(batch: MultimodalBatch, modality: Modality) -> None:
    """Shapes of one modality, missing entries 0, counts not negative."""
    name, expected = modality.name, (len(batch.time), modality.n_channels)
    for kind, array in (("observations", batch.observations[name]), ("observed", batch.observed[name])):
        if array.shape != expected:
            raise InputError(f"{kind} of '{name}' must be (bins, channels) = {expected}, got {array.shape}")
    _check_missing_is_zero(f"modality '{name}'", batch.observations[name], batch.observed[name])
    if modality.counts and (batch.observations[name] < 0).any():
        kind = modality.likelihood
        raise InputError(f"modality '{name}' has negative counts, which no {kind} likelihood allows: use gaussian")


def _check_missing_is_zero(what: str, values: np.ndarray, observed: np.ndarray) -> None:
    """A value that is not finite, or hidden but not 0, would leak through a mask sooner or later."""
    if not np.isfinite(values).all():
        raise InputError(
            f"{what} holds NaN or infinity: missing is stored in the mask, with value 0 "
            "(MultimodalBatch.from_arrays does it)"
        )
    if (values[~np.broadcast_to(observed, values.shape)] != 0).any():
        raise InputError(f"{what} has values where its mask says missing: set them to 0")


def _three_axes(what: str, array: Any) -> np.ndarray:
    """Array as (trial, time, channel)."""
    array = np.asarray(array)
    if array.ndim != 3 or 0 in array.shape:
        raise InputError(f"{what} must be (trial, time, channel) and not empty, got shape {array.shape}")
    if np.isinf(array).any():
        raise InputError(f"{what} holds infinite values: use NaN where a sample is missing")
    return array


def _real_bins(lengths: Any, n_trials: int, n_time: int) -> Bool[np.ndarray, "trials time"]:
    """True in the bins that are not padding."""
    if lengths is None:
        return np.ones((n_trials, n_time), np.bool_)
    lengths = np.asarray(lengths)
    if lengths.shape != (n_trials,) or ((lengths < 1) | (lengths > n_time)).any():
        raise InputError(f"lengths must be {n_trials} numbers in 1 .. {n_time}, got {lengths.tolist()}")
    return np.arange(n_time) < lengths[:, None]


def _describe(
    name: str,
    n_channels: int,
    likelihoods: Mapping[str, str],
    channels: Mapping[str, Sequence[str]],
    clocks: Mapping[str, int],
) -> Modality:
    """Row of the table for one array."""
    if name not in likelihoods:
        raise InputError(f"likelihoods has no entry for modality '{name}': give one of {', '.join(LIKELIHOODS)}")
    labels = tuple(channels.get(name, [f"{name}{i}" for i in range(n_channels)]))
    return Modality(name, likelihoods[name], labels, clocks.get(name, 1))


def _split_missing(
    values: np.ndarray,
) -> tuple[Float32[np.ndarray, "bins channels"], Bool[np.ndarray, "bins channels"]]:
    """Values with 0 for NaN, and where they are observed."""
    observed = ~np.isnan(values)
    return np.where(observed, values, 0).astype(np.float32), observed
