"""Stream held-out trials through a real-time decoder, and compare what it says with the offline result."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from neurodyn.binning.batch import MultimodalBatch
from neurodyn.display import Shown, pluralised
from neurodyn.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

WARM_UP_BINS = 20
"""First steps whose time is not counted: caches are cold, and the clock of the processor may be low."""


@runtime_checkable
class Live(Protocol):
    """Takes one bin at a time."""

    def reset(self) -> None:
        """Forget everything seen."""
        ...

    def step(self, observations: dict[str, Any], t: float) -> Any:
        """Return an estimate with ``latent``, ``target`` and ``microseconds``."""
        ...


@runtime_checkable
class Streamable(Protocol):
    """A fitted decoder that also runs bin by bin."""

    def transform(self, batch: MultimodalBatch) -> "xr.Dataset":
        """Return filtered latents as ``latent`` (trial x time x latent)."""
        ...

    def predict(self, batch: MultimodalBatch) -> "xr.Dataset":
        """Return the filtered target as ``target`` (trial x time x dim)."""
        ...

    def realtime(self) -> Live:
        """Return a decoder that takes one bin at a time."""
        ...


@dataclass(frozen=True, eq=False, repr=False)
class Streamed(Shown):
    """What a decoder said bin by bin.

    Parameters
    ----------
    latent
        (bins, latent), trials end to end, context bins included.
    target
        (bins, dims) in the unit of the target.
    microseconds
        (bins,) time that each step took, conversion of its input included.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.evaluation import Streamed
    >>> streamed = Streamed(latent=np.zeros((3, 8)), target=np.zeros((3, 2)), microseconds=np.array([80.0, 75.0, 90.0]))
    >>> streamed.target.shape, float(np.median(streamed.microseconds))
    ((3, 2), 80.0)
    """

    latent: Float[np.ndarray, "bins latent"]
    target: Float[np.ndarray, "bins dims"]
    microseconds: Float[np.ndarray, " bins"]

    def _facts(self) -> Iterable[tuple[str, str]]:
        yield "bins", f"{len(self.target):,}"
        yield "latent", pluralised(self.latent.shape[1], "dimension")
        yield "target", pluralised(self.target.shape[1], "dimension")
        yield from _step_time(self.microseconds)


@dataclass(frozen=True, eq=False, repr=False)
class OnlineCheck(Shown):
    """How a decoder that takes one bin at a time differs from the offline filter, and how long its steps take.

    Parameters
    ----------
    n_bins
        Bins streamed.
    latent_difference
        Largest absolute difference of a latent, online against offline.
    target_difference
        Largest absolute difference of the decoded target, in standard deviations of the true one.
    microseconds
        (steps,) time of each step after the warm-up.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.evaluation import OnlineCheck
    >>> check = OnlineCheck(500, latent_difference=2e-7, target_difference=1e-6, microseconds=np.full(450, 80.0))
    >>> check.n_bins, check.target_difference < 1e-4
    (500, True)
    """

    n_bins: int
    latent_difference: float
    target_difference: float
    microseconds: Float[np.ndarray, " steps"]

    def _title(self) -> str:
        return f"OnlineCheck over {pluralised(self.n_bins, 'bin')}"

    def _facts(self) -> Iterable[tuple[str, str]]:
        yield "latent", f"differs by {self.latent_difference:.1e} at most"
        yield "target", f"differs by {self.target_difference:.1e} standard deviations at most"
        yield from _step_time(self.microseconds)


def _step_time(microseconds: Float[np.ndarray, " steps"]) -> Iterable[tuple[str, str]]:
    if len(microseconds):
        yield "step", f"{np.median(microseconds):.0f} µs at the median, {microseconds.max():.0f} µs at most"


def stream(live: Live, batch: MultimodalBatch, *, max_bins: int | None = None) -> Streamed:
    """Feed the trials of a batch to a real-time decoder, each from a fresh start.

    Parameters
    ----------
    live
        The decoder.
    batch
        What it sees, context bins included, its channels matched by label to those of the decoder (where that says
        ``channel_names``); a bin in which a modality has no observed channel is given as None.
    max_bins
        Stop after so many bins; None for all.

    Returns
    -------
    Streamed, the trials end to end.

    Raises
    ------
    InputError
        If ``max_bins`` is not positive.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> import numpy as np
    >>> import neurodyn as nd
    >>> batch = nd.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=2), seed=0)
    >>> class Mean:  # knows nothing but the mean; decoder.realtime() of a fitted model knows more
    ...     def reset(self):
    ...         pass
    ...     def step(self, observations, t):
    ...         return SimpleNamespace(latent=np.zeros(2), target=np.zeros(3), microseconds=0.0)
    >>> nd.evaluation.stream(Mean(), batch, max_bins=50).target.shape
    (50, 3)
    """
    names: Mapping[str, tuple[str, ...]] = getattr(live, "channel_names", {})
    batch = batch.aligned_to(
        [replace(batch.modality(name), channels=labels) for name, labels in names.items()] or batch.modalities
    )
    estimates = list(steps(live, batch, max_bins))
    return Streamed(
        np.stack([np.asarray(e.latent) for e in estimates]),
        np.stack([np.asarray(e.target) for e in estimates]),
        np.asarray([e.microseconds for e in estimates], np.float64),
    )


def steps(live: Live, batch: MultimodalBatch, max_bins: int | None = None) -> Iterator[Any]:
    """Step a real-time decoder through the trials of a batch, each from a fresh start; yields each estimate.

    Parameters
    ----------
    live, batch, max_bins
        As in :func:`stream`; the batch has the decoder's channels in the decoder's order.
    """
    bins, resets = _trial_bins(batch, max_bins)
    for bin_, first in zip(bins.tolist(), resets.tolist(), strict=True):
        if first:
            live.reset()
        yield live.step(_sample_of(batch, bin_), float(batch.time[bin_]))


def check_online(decoder: Streamable, batch: MultimodalBatch, *, max_bins: int | None = None) -> OnlineCheck:
    """Compare a decoder's real-time estimates with its offline filter on the same trials.

    Parameters
    ----------
    decoder
        A fitted decoder.
    batch
        Held-out trials.
    max_bins
        Compare so many bins at most; None for all.

    Returns
    -------
    OnlineCheck

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> import numpy as np
    >>> import xarray as xr
    >>> import neurodyn as nd
    >>> class Nothing:  # says zero, live and offline; a fitted MultiscaleDecoder says more
    ...     def realtime(self):
    ...         return self
    ...     def reset(self):
    ...         pass
    ...     def step(self, observations, t):
    ...         return SimpleNamespace(latent=np.zeros(2), target=np.zeros(3), microseconds=0.0)
    ...     def transform(self, batch):
    ...         return xr.Dataset({"latent": (("trial", "time", "latent"), np.zeros((*batch.scored().shape, 2)))})
    ...     def predict(self, batch):
    ...         target = np.zeros((*batch.scored().shape, 3))
    ...         return xr.Dataset({"target": (("trial", "time", "dim"), target)}, {"dim": list(batch.target_names)})
    >>> batch = nd.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=2), seed=0)
    >>> check = nd.evaluation.check_online(Nothing(), batch, max_bins=50)
    >>> check.n_bins, check.latent_difference, check.target_difference
    (50, 0.0, 0.0)
    """
    streamed = stream(decoder.realtime(), batch, max_bins=max_bins)
    valid = batch.stacked(observations=False).valid
    count = len(streamed.microseconds)
    latent = decoder.transform(batch)["latent"].to_numpy()[valid][:count]
    predicted = decoder.predict(batch)["target"]
    target = predicted.to_numpy()[valid][:count]
    batch = batch.aligned_to(batch.modalities, tuple(predicted["dim"].to_numpy().tolist()))
    spread = batch.target[batch.in_trials() & batch.target_observed].std(axis=0)
    return OnlineCheck(
        count,
        float(np.abs(streamed.latent - latent).max()),
        float((np.abs(streamed.target - target) / spread).max()),
        streamed.microseconds[min(WARM_UP_BINS, count - 1) :],
    )


def _trial_bins(
    batch: MultimodalBatch, max_bins: int | None = None
) -> tuple[Int[np.ndarray, " bins"], Int[np.ndarray, " bins"]]:
    """Place on the timeline of each bin of each trial in turn, and 1 where a trial begins."""
    if max_bins is not None and max_bins < 1:
        raise InputError(f"max_bins must be at least 1, got {max_bins}")
    bins = np.concatenate([np.arange(s, s + n) for s, n in zip(batch.starts, batch.lengths, strict=True)])
    first = np.zeros(len(bins), np.int64)
    first[np.cumsum(batch.lengths) - batch.lengths] = 1
    return bins[:max_bins], first[:max_bins]


def _sample_of(batch: MultimodalBatch, bin_: int) -> dict[str, Any]:
    """One bin as a live decoder takes it: None for a modality, and NaN for a channel, without a sample."""
    sample: dict[str, Any] = {}
    for name in batch.names:
        seen = batch.observed[name][bin_]
        sample[name] = np.where(seen, batch.observations[name][bin_], np.float32(np.nan)) if seen.any() else None
    return sample
