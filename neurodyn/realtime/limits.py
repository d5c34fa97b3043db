"""Limits of the decoded target: bounds, largest change per second, and hold."""

import math
from dataclasses import dataclass

import numpy as np

from neurodyn.errors import InputError
from neurodyn.realtime.runner import LiveEstimate


@dataclass(frozen=True)
class OutputLimits:
    """Bounds, slew limit and hold applied to the decoded target before it is returned; its interval moves with it.

    Attributes
    ----------
    low, high
        Bounds of each dimension, or one for all of them, in the unit of the target; None for none.
    slew
        Largest change per second, in the unit of the target; None for any.
    hold
        Whether the target stays where it was while every modality is overdue.

    Raises
    ------
    InputError
        If a lower bound lies above the upper one or is not a number, or the slew is not positive.

    Examples
    --------
    >>> OutputLimits(low=(0.0,), high=(1.2,), slew=0.5)
    OutputLimits(low=(0.0,), high=(1.2,), slew=0.5, hold=False)
    """

    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None
    slew: float | None = None
    hold: bool = False

    def __post_init__(self) -> None:
        low, high = self.low or (), self.high or ()
        dims = max(len(low), len(high))
        # One for all stands for as many as the other has; one that is missing is infinite.
        first = low * dims if len(low) == 1 else low or (-math.inf,) * dims
        second = high * dims if len(high) == 1 else high or (math.inf,) * dims
        if len(first) != len(second) or not all(a <= b for a, b in zip(first, second, strict=True)):
            raise InputError(f"bounds need low <= high in each dimension, got {low} and {high}")
        if self.slew is not None and not self.slew > 0:
            raise InputError(f"the slew must be more than 0 per second, got {self.slew}")

    def check(self, dims: int) -> None:
        """Refuse bounds of another number of dimensions.

        Raises
        ------
        InputError
            If they have neither ``dims`` dimensions nor one bound for all.
        """
        for name in ("low", "high"):
            bounds = getattr(self, name)
            if bounds is not None and len(bounds) not in (1, dims):
                raise InputError(
                    f"'{name}' needs one bound for each of the target's {dims} dimensions or one for all, got {bounds}"
                )

    def apply(self, estimate: LiveEstimate, last: tuple[float, np.ndarray] | None, overdue: bool) -> LiveEstimate:
        """The estimate within the limits.

        Parameters
        ----------
        estimate
            As decoded.
        last
            Time and target of the one handed out before, None if there is none.
        overdue
            Whether every modality is.
        """
        target = estimate.target
        before = target if last is None else np.asarray(last[1], target.dtype)
        if last is not None and self.hold and overdue:
            target = before
        if last is not None and self.slew is not None:
            most = self.slew * max(estimate.time - last[0], 0.0)
            target = np.clip(target, before - most, before + most)
        if self.low is not None or self.high is not None:
            target = np.clip(target, self.low, self.high)
        if target is estimate.target:
            return estimate
        target = target.astype(estimate.target.dtype)
        by = target - estimate.target
        return estimate._replace(target=target, lower=estimate.lower + by, upper=estimate.upper + by)
