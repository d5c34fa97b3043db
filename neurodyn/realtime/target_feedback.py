"""What a live decoder makes of the true target: kept, and followed by its intervals and its read-out."""

from collections import deque
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from neurodyn.errors import InputError
from neurodyn.realtime.adaptive import AdaptiveIntervals
from neurodyn.realtime.recalibration import SUMS, Recalibration
from neurodyn.realtime.runner import LiveEstimate


class TargetFeedback:
    """Correct decoded targets and intervals from the true targets observed so far.

    Parameters
    ----------
    dims
        Dimensions of the target.
    remembered
        Bins whose truth is kept.
    intervals, recalibration
        How intervals and read-out follow; None: they do not.

    Attributes
    ----------
    handed_out
        Estimate of the last bin since the decoder began or was restored; None if there is none.
    last
        Time and target that were handed out last, also before it was restored.
    """

    def __init__(
        self, dims: int, remembered: int, intervals: AdaptiveIntervals | None, recalibration: Recalibration | None
    ) -> None:
        self.intervals, self.recalibration = intervals, recalibration
        self._dims = dims
        self._pairs: deque[tuple[float, np.ndarray, np.ndarray]] = deque(maxlen=remembered)
        self._decoded = np.full(dims, np.nan)  # by the model, in the last bin
        self.handed_out: LiveEstimate | None = None
        self.last: tuple[float, np.ndarray] | None = None
        self.reset()

    def reset(self) -> None:
        """Go back to the intervals and the read-out of training; what is kept stays."""
        self.widening, self._sums = np.ones(self._dims), np.zeros((SUMS, self._dims))
        self.gain, self._offset = np.ones(self._dims), np.zeros(self._dims)

    def corrected(self, estimate: LiveEstimate) -> LiveEstimate:
        """The estimate with read-out and intervals as the truths have left them."""
        if self.intervals is None and self.recalibration is None:
            return estimate
        target, half = estimate.target, self.widening * (estimate.upper - estimate.lower) / 2
        if self.recalibration is not None:
            dtype = target.dtype
            target, half = (self.gain * target + self._offset).astype(dtype), self.gain * half
        return estimate._replace(target=target, lower=target - half, upper=target + half)

    def decoded(self, target: Float[np.ndarray, " dim"]) -> None:
        """Remember what the model decoded in the last bin."""
        self._decoded = target

    def hand_out(self, estimate: LiveEstimate) -> None:
        """Remember what was handed out."""
        self.handed_out, self.last = estimate, (estimate.time, estimate.target)

    def update(self, target: Float[np.ndarray, " dim"]) -> None:
        """Update the corrections with the true target of the last returned bin; a second value is stored but not used.

        Raises
        ------
        InputError
            If it has another number of dimensions, or there is no such bin.
        """
        handed_out = self.handed_out
        if handed_out is None:
            raise InputError("there is no decoded bin to observe the target of: step first")
        if np.shape(target) != (self._dims,):
            raise InputError(f"the target has {self._dims} dimensions, got shape {np.shape(target)}")
        true = np.array(target, np.float64)
        first = not self._pairs or self._pairs[-1][0] != handed_out.time
        if self.intervals is not None and first:
            self.widening = self.intervals.updated(self.widening, true, handed_out.lower, handed_out.upper)
        if self.recalibration is not None and first:
            self._follow(self.recalibration.updated(self._sums, self._decoded.astype(np.float64), true))
        self._pairs.append((handed_out.time, handed_out.target, true))

    def history(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Times (bins,), decoded and true targets (bins, dims)."""
        times, decoded, true = zip(*self._pairs, strict=True) if self._pairs else ((), (), ())
        return np.asarray(times), np.reshape(decoded, (-1, self._dims)), np.reshape(true, (-1, self._dims))

    def snapshot(self) -> dict[str, np.ndarray]:
        """What the next estimate depends on."""
        time, target = (np.nan, np.full(self._dims, np.nan)) if self.last is None else self.last
        last = np.append(np.asarray(target, np.float64), time)
        return {"widening": self.widening.copy(), "recalibration": self._sums.copy(), "handed_out": last}

    def checked(self, snapshot: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Those parts of a snapshot that are used: what was handed out last, and what is followed.

        Raises
        ------
        ValueError
            If they are damaged.
        """
        found = {"handed_out": np.array(snapshot.get("handed_out", [np.nan] * (self._dims + 1)), np.float64)}
        if found["handed_out"].shape != (self._dims + 1,):
            raise ValueError("the snapshot is damaged: the last returned target has the wrong shape")
        if self.intervals is not None:
            found["widening"] = widening = np.array(snapshot.get("widening", self.widening), np.float64)
            if widening.shape != self.widening.shape or not np.all(np.isfinite(widening) & (widening > 0)):
                raise ValueError("the snapshot is damaged: the widening of its intervals is not positive and finite")
        if self.recalibration is not None:
            found["recalibration"] = sums = np.array(snapshot.get("recalibration", self._sums), np.float64)
            if sums.shape != self._sums.shape or not np.all(np.isfinite(sums)) or (sums[[0, 2]] < 0).any():
                raise ValueError("the snapshot is damaged: the recalibration state is invalid")
        return found

    def restore(self, checked: Mapping[str, np.ndarray]) -> None:
        """Go on from what `checked` has found."""
        *target, time = checked["handed_out"].tolist()
        self.handed_out, self.last = None, (time, np.asarray(target)) if np.isfinite([*target, time]).all() else None
        self.widening = checked.get("widening", self.widening)
        if "recalibration" in checked:
            self._follow(checked["recalibration"])

    def _follow(self, sums: np.ndarray) -> None:
        assert self.recalibration is not None
        self._sums = sums
        self.gain, self._offset = self.recalibration.correction(sums)
