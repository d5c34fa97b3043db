"""Histories of observations that a linear read-out can use: filters and lags over observed samples only.

Arrays are (trial, time, channel).  Values are deviations from the channel's mean: 0 means "nothing known".
Everything here is causal; the future comes in by running the same functions on reversed time.  A long recording is
taken a stretch of time at a time: ``advance`` brings the features of the next one, the same to the last bit.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import scipy
from jaxtyping import Bool, Float

from neurodyn.errors import InputError

PRIOR = 0.05
"""Weight of a channel's mean in an average of its past, relative to that of an endless history with no sample missing.

The traces of the state-space model are the same averages, written in JAX, and take it from here.
"""

_SUMS = 2**17
"""Sums in double precision made at once, about: what stays in the processor's cache."""

_FEW = 64
"""With fewer series than these, SciPy filters each of them faster than NumPy takes a step of all of them."""


@runtime_checkable
class History(Protocol):
    """What turns the observations up to a bin into features of that bin.

    Examples
    --------
    >>> from neurodyn.history import ExponentialFilters, History, Lags
    >>> [isinstance(made, History) for made in (ExponentialFilters(), Lags())]
    [True, True]
    """

    def history(
        self,
        values: Float[np.ndarray, "trials time channels"],
        observed: Bool[np.ndarray, "trials time channels"],
        width: float,
    ) -> Float[np.ndarray, "trials time features"]:
        """Causal features of every bin."""
        ...


@runtime_checkable
class StreamedHistory(History, Protocol):
    """A history that can be made a stretch of time at a time.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.history import Lags
    >>> values, observed, lags = np.arange(4.0)[None, :, None], np.ones((1, 4, 1), bool), Lags(2)
    >>> state, first = lags.advance(lags.start(1, 1, 4), values[:, :2], observed[:, :2], 0.01)
    >>> _, rest = lags.advance(state, values[:, 2:], observed[:, 2:], 0.01)
    >>> first[0].tolist(), rest[0].tolist()
    ([[0.0, 0.0], [1.0, 0.0]], [[2.0, 1.0], [3.0, 2.0]])
    """

    def start(self, trials: int, channels: int, bins: int) -> Any:
        """State before the first bin of trials of at most so many bins."""
        ...

    def advance(
        self,
        state: Any,
        values: Float[np.ndarray, "trials time channels"],
        observed: Bool[np.ndarray, "trials time channels"],
        width: float,
    ) -> tuple[Any, Float[np.ndarray, "trials time features"]]:
        """State after the next stretch of time, and its features; the state given is not changed."""
        ...


class FilterState(NamedTuple):
    """Where exponential filters stand.

    Attributes
    ----------
    newest
        (trials, channels), newest sample of each channel.
    total
        (trials, filters, channels), decayed sums of the samples.
    weight
        (trials, filters, channels), decayed sums of the mask; one column as long as all channels share theirs.
    """

    newest: Float[np.ndarray, "trials channels"]
    total: Float[np.ndarray, "trials filters channels"]
    weight: Float[np.ndarray, "trials filters _"]


class LagState(NamedTuple):
    """Where lags stand: the samples held in the bins before, the oldest first, and how many lags there are."""

    before: Float[np.ndarray, "trials time channels"]
    lags: int


class _FromStart:
    """Features of whole trials, of a history that is made a stretch of time at a time."""

    def history(
        self: StreamedHistory,
        values: Float[np.ndarray, "trials time channels"],
        observed: Bool[np.ndarray, "trials time channels"],
        width: float,
    ) -> Float[np.ndarray, "trials time features"]:
        """Features of every bin from the samples up to and including it; bins are ``width`` seconds wide.

        Before the first sample of a trial they are 0.
        """
        state = self.start(values.shape[0], values.shape[2], values.shape[1])
        return self.advance(state, values, observed, width)[1]


@dataclass(frozen=True)
class ExponentialFilters(_FromStart):
    """Exponentially weighted means of the observed samples, one per time constant, beside the newest sample.

    ``h[t] = sum_k a^k m[t-k] v[t-k] / (sum_k a^k m[t-k] + prior)``  with  ``a = exp(-width / seconds)``,
    ``m`` the mask and ``prior = strength * sum_k a^k``: with few samples observed so far the mean is drawn
    towards 0.

    Parameters
    ----------
    seconds
        Time constants in seconds.
    strength
        Weight of the channel's mean, relative to the weight of an endless history with no sample missing.
    newest
        False leaves the newest sample out.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.history import ExponentialFilters
    >>> values, observed = np.ones((1, 4, 1)), np.array([True, True, False, True])[None, :, None]
    >>> ExponentialFilters(seconds=(0.1,)).history(values, observed, 0.05)[0].round(2).tolist()
    [[1.0, 0.89], [1.0, 0.93], [1.0, 0.88], [1.0, 0.93]]
    """

    seconds: tuple[float, ...] = (0.2, 0.5, 1.0, 2.0, 5.0)
    strength: float = PRIOR
    newest: bool = True

    def __post_init__(self) -> None:
        if not self.seconds or not all(np.isfinite(s) and s > 0 for s in self.seconds):
            raise InputError(f"time constants must be positive seconds, got {self.seconds}")
        if not (np.isfinite(self.strength) and self.strength >= 0):
            raise InputError(f"the strength of the prior must not be negative, got {self.strength}")

    def start(self, trials: int, channels: int, bins: int) -> FilterState:
        """State before the first bin: nothing observed yet."""
        filters = len(self.seconds)
        return FilterState(
            np.zeros((trials, channels)), np.zeros((trials, filters, channels)), np.zeros((trials, filters, 1))
        )

    def advance(
        self,
        state: FilterState,
        values: Float[np.ndarray, "trials time channels"],
        observed: Bool[np.ndarray, "trials time channels"],
        width: float,
    ) -> tuple[FilterState, Float[np.ndarray, "trials time features"]]:
        """State after the next stretch of time, and its features: those of ``history``."""
        trials, bins, channels = values.shape
        decays = np.exp(-width / np.asarray(self.seconds))
        features = np.empty((trials, bins, self.newest + len(decays), channels), values.dtype)
        newest = state.newest
        if self.newest:
            features[:, :, 0] = held = hold(values, observed, newest)
            newest = held[:, -1].astype(np.float64) if bins else newest
        # Where whole bins are missing or none, one series of weights serves all channels.
        shared = state.weight.shape[2] == 1 and bool((observed == observed[:, :, :1]).all())
        mask = observed[:, :, :1] if shared else observed
        weight = state.weight if shared else np.broadcast_to(state.weight, state.total.shape)
        total, prior = state.total, (self.strength / (1.0 - decays))[:, None]
        stretch = max(8, _SUMS // total.size)
        for first in range(0, bins, stretch):
            cut = slice(first, first + stretch)
            sums, total = _decaying_sums(np.where(observed[:, cut], values[:, cut], 0.0), decays, total)
            weights, weight = _decaying_sums(mask[:, cut].astype(np.float64), decays, weight)
            # Long after the last sample both sums underflow together; nothing is known then.
            weights = np.maximum(weights + prior, np.finfo(np.float64).tiny)
            np.divide(sums, weights, out=features[:, cut, self.newest :], casting="same_kind")
        return FilterState(newest, total, weight), features.reshape(trials, bins, -1)


@dataclass(frozen=True)
class Lags(_FromStart):
    """The newest sample of this bin and of each of the bins before it.

    Parameters
    ----------
    bins
        Number of bins, the present one included.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.history import Lags
    >>> values, observed = np.array([1.0, 2.0, 3.0])[None, :, None], np.array([True, False, True])[None, :, None]
    >>> Lags(2).history(values, observed, 0.01)[0].tolist()
    [[1.0, 0.0], [1.0, 1.0], [3.0, 1.0]]
    """

    bins: int = 20

    def __post_init__(self) -> None:
        if self.bins < 1:
            raise InputError(f"expected at least one lag, got {self.bins}")

    def start(self, trials: int, channels: int, bins: int) -> LagState:
        """State before the first bin; no trial has more lags than bins."""
        lags = min(self.bins, bins)
        return LagState(np.zeros((trials, max(lags, 1), channels)), lags)

    def advance(
        self,
        state: LagState,
        values: Float[np.ndarray, "trials time channels"],
        observed: Bool[np.ndarray, "trials time channels"],
        width: float,
    ) -> tuple[LagState, Float[np.ndarray, "trials time features"]]:
        """State after the next stretch of time, and its features: those of ``history``."""
        return _side_by_side(state, hold(values, observed, state.before[:, -1]))


@dataclass(frozen=True)
class SampleLags(_FromStart):
    """The samples of this bin and of each of the bins before it, and what stands for those that are missing.

    Unlike `Lags` it holds no sample: a bin that was lost says nothing. The number of features does not depend on how
    long trials are; bins before the first of a trial are missing.

    Parameters
    ----------
    bins
        Number of bins, the present one included.
    missing
        Stands for a missing sample: 0, which is the channel's mean, or NaN for methods that know what it is.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.history import SampleLags
    >>> values, observed = np.array([1.0, 2.0, 3.0])[None, :, None], np.array([True, False, True])[None, :, None]
    >>> SampleLags(2).history(values, observed, 0.01)[0].tolist()
    [[1.0, 0.0], [0.0, 1.0], [3.0, 0.0]]
    """

    bins: int = 10
    missing: float = 0.0

    def __post_init__(self) -> None:
        if self.bins < 1:
            raise InputError(f"expected at least one lag, got {self.bins}")

    def start(self, trials: int, channels: int, bins: int) -> LagState:
        """State before the first bin: nothing observed yet."""
        return LagState(np.full((trials, self.bins - 1, channels), self.missing), self.bins)

    def advance(
        self,
        state: LagState,
        values: Float[np.ndarray, "trials time channels"],
        observed: Bool[np.ndarray, "trials time channels"],
        width: float,
    ) -> tuple[LagState, Float[np.ndarray, "trials time features"]]:
        """State after the next stretch of time, and its features: those of ``history``."""
        return _side_by_side(state, np.where(observed, values, values.dtype.type(self.missing)))


def _side_by_side(
    state: LagState, now: Float[np.ndarray, "trials time channels"]
) -> tuple[LagState, Float[np.ndarray, "trials time features"]]:
    """State after a stretch of time, and what each of its bins and the bins before it had, the newest first."""
    before, bins = state.before, now.shape[1]
    kept, newest = np.concatenate([before, now], axis=1, dtype=now.dtype), before.shape[1]
    features = [kept[:, newest - k : newest - k + bins] for k in range(state.lags)]
    return LagState(kept[:, bins:].astype(np.float64), state.lags), np.concatenate(features, axis=2)


def hold(
    values: Float[np.ndarray, "trials time channels"],
    observed: Bool[np.ndarray, "trials time channels"],
    before: Float[np.ndarray, "trials channels"] | None = None,
) -> Float[np.ndarray, "trials time channels"]:
    """Newest observed sample of each channel; that of the bins ``before``, or 0, until the first."""
    if observed.all():
        return values
    time = np.arange(values.shape[1])[None, :, None]
    newest = np.maximum.accumulate(np.where(observed, time, -1), axis=1)
    earlier = values.dtype.type(0) if before is None else before[:, None].astype(values.dtype)
    return np.where(newest >= 0, np.take_along_axis(values, np.maximum(newest, 0), axis=1), earlier)


def _decaying_sums(
    samples: np.ndarray, decays: np.ndarray, before: np.ndarray
) -> tuple[Float[np.ndarray, "trials time filters channels"], Float[np.ndarray, "trials filters channels"]]:
    """``s[t] = decay s[t - 1] + x[t]`` for every decay, and where it ends; either way the same to the last bit."""
    trials, bins, channels = samples.shape
    sums = np.empty((trials, bins, len(decays), channels))
    if trials * channels < _FEW:
        for k, decay in enumerate(decays):
            start = decay * before[:, None, k]
            sums[:, :, k] = np.asarray(scipy.signal.lfilter([1.0], [1.0, -decay], samples, axis=1, zi=start)[0])
    else:
        state, fading = before, decays[:, None]
        for t in range(bins):
            state = np.multiply(state, fading, out=sums[:, t])
            state += samples[:, t, None]
    return sums, sums[:, -1].copy()
