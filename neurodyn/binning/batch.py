"""MultimodalBatch: what the models see. A flat timeline of bins, and the trials drawn from it.

Axes are trial x time x channel wherever there is a trial axis, bins x channel on the flat timeline.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from neurodyn.binning.alignment import aligned
from neurodyn.binning.consistent import check_modality, check_names, check_timeline, check_trials, check_usable, frozen
from neurodyn.binning.hiding import chosen_bins, given_channels
from neurodyn.binning.modality import Modality
from neurodyn.binning.stacked import Stacked
from neurodyn.binning.trial_arrays import on_timeline
from neurodyn.display import Shown, listed, pluralised
from neurodyn.errors import InputError, unknown_name

_ARRAYS = {
    "target": np.float32, "target_observed": np.bool_, "time": np.float64,
    "starts": np.int64, "lengths": np.int64, "lead": np.int64,
}  # fmt: skip
_QUICKLY_COUNTED = 20_000_000
"""Entries of a mask up to which the share observed is worked out to be shown."""


@dataclass(frozen=True, eq=False, repr=False)
class MultimodalBatch(Shown):
    """Binned observations of several modalities, a target, and the trials: immutable.

    Folds and segments share the arrays of the timeline and differ in `starts`, `lengths` and `lead` only.

    Parameters
    ----------
    observations, observed
        Per modality (bins, channels) float32, 0 where missing; and bool, the only place where missing is stored.
    target, target_observed
        (bins, dims) float32, 0 where missing, ``dims`` may be 0; and (bins,) bool.
    time, width
        (bins,) END of each bin in seconds, increasing inside every trial; and the width of a bin in seconds.
    starts, lengths
        (trials,) trial i is the bins ``starts[i] : starts[i] + lengths[i]``.
    lead
        (trials,) the first `lead` bins of a trial are context: seen by the decoder, never scored or fitted.
    modalities
        One row per modality, in the order of fusion.
    target_names, target_units
        One name and one unit per target dimension; a unit is empty where it is not known; () if none is.

    Raises
    ------
    InputError
        When lengths disagree, a trial leaves the timeline, or a missing entry is not 0.

    Examples
    --------
    >>> import neurodyn as nd
    >>> counts = [[[0, 1, 0], [2, 0, 1]], [[1, 1, 0], [0, 0, 3]]]  # trials x bins x units
    >>> batch = nd.MultimodalBatch.from_arrays({"spikes": counts}, width="10ms", likelihoods={"spikes": "poisson"})
    >>> batch.n_trials, batch.n_bins, batch.modality("spikes").n_channels
    (2, 4, 3)
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
        check_names(names, self.observations, self.observed)
        store = {
            "observations": {name: frozen(self.observations[name], np.float32) for name in names},
            "observed": {name: frozen(self.observed[name], np.bool_) for name in names},
            **{name: frozen(getattr(self, name), dtype) for name, dtype in _ARRAYS.items()},
            **{name: tuple(getattr(self, name)) for name in ("modalities", "target_names", "target_units")},
            "width": float(self.width),
        }
        for name, value in store.items():
            object.__setattr__(self, name, value)
        check_timeline(self)
        check_trials(self)
        for modality in self.modalities:
            check_modality(self, modality)

    @classmethod
    def from_arrays(
        cls,
        observations: Mapping[str, Any],
        *,
        width: float | str,
        likelihoods: Mapping[str, str],
        target: Any = None,
        target_names: str | Sequence[str] | None = None,
        channels: Mapping[str, Sequence[str]] | None = None,
        sample_every: Mapping[str, int] | None = None,
        lengths: Any = None,
    ) -> "MultimodalBatch":
        """Batch from arrays of trials; NaN means missing.

        Parameters
        ----------
        observations
            Per modality an array (trial, time, channel).
        width
            Width of a bin in seconds, or text like ``"10ms"``.
        likelihoods
            Per modality ``"poisson"``, ``"gaussian"`` or another of :data:`neurodyn.binning.likelihoods.LIKELIHOODS`.
        target
            (trial, time, dim), or None.
        target_names, channels, sample_every
            Labels of the target dimensions; labels of the channels, and bins from one sample to the next, per modality:
            numbered labels and a sample in every bin when left out.
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
        parts = on_timeline(
            observations, width=width, likelihoods=likelihoods, target=target, target_names=target_names,
            channels=channels or {}, sample_every=sample_every or {}, lengths=lengths,
        )  # fmt: skip
        check_usable(batch := cls(**parts))
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
        return f"MultimodalBatch: {self.in_short()}"

    def in_short(self) -> str:
        """Trials, bins and their width."""
        context = f", {lead:,} of them context" if (lead := int(self.lead.sum())) else ""
        size = f"{pluralised(self.n_bins, 'bin')} of {1e3 * self.width:g} ms"
        return f"{pluralised(self.n_trials, 'trial')}, {size}{context}"

    def _facts(self) -> Iterable[tuple[str, str]]:
        first, last = self.starts.min(), (self.starts + self.lengths).max() - 1
        yield "time", f"{self.time[first] - self.width:.2f} to {self.time[last]:.2f} s"
        for row in self.modalities:
            mask = self.observed[row.name]
            seen = f", {mask[self.in_trials()].mean():.1%} observed" if 0 < mask.size <= _QUICKLY_COUNTED else ""
            yield row.name, f"{row.in_short()}{seen}"
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
        return replace(
            self,
            modalities=tuple(self.modality(name) for name in names),  # first: it knows what was meant by another name
            observations={name: self.observations[name] for name in names},
            observed={name: self.observed[name] for name in names},
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
        return aligned(self, modalities, tuple(target_names))

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
        chosen = chosen_bins(self, name, share=share, bins=bins, bursts=bursts, seed=seed)
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
        return Stacked.of(self, observations=observations)

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
        "other": "make one with MultimodalBatch.from_arrays, or look at neurodyn.to_bins",
    }
    kind = type(given).__name__
    raise InputError(f"expected a MultimodalBatch, got a {kind}: {advice.get(kind, advice['other'])}")
