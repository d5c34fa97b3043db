r"""Intervals that keep their promise while a recording drifts, as long as the true target is given now and then.

The half width of each dimension is multiplied by a factor that grows whenever the truth lies outside and shrinks
slowly while it lies inside:

.. math::
    \log f \leftarrow \log f + \gamma \, (\mathrm{outside} - (1 - \mathrm{level}))

As long as the factor stays within its bounds, the share of truths outside tends to what was asked for, whatever the
errors do, since the factor could not stay there otherwise; :math:`\gamma` decides within how many truths.

Reference: Gibbs & Candès (2021), Adaptive conformal inference under distribution shift, NeurIPS 34; of the width
instead of the level: Angelopoulos, Candès & Tibshirani (2023), Conformal PID control for time series prediction,
NeurIPS 36.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from neurodyn.errors import InputError
from neurodyn.given import number

LEVEL = 0.95
"""Share of the truth that a live interval is to hold."""


@dataclass(frozen=True)
class AdaptiveIntervals:
    """How fast the widths of live intervals follow the truth, and how far.

    Parameters
    ----------
    rate
        Step of the logarithm of the factor: 0.05 widens by 5 % for a truth outside and narrows by 0.25 % for one
        inside, so that a wrong width is right after some hundred truths.
    least, most
        Bounds of the factor.

    Raises
    ------
    InputError
        If the rate is not positive, or the bounds do not hold one between them.

    Examples
    --------
    >>> from neurodyn.realtime import AdaptiveIntervals
    >>> AdaptiveIntervals(rate=0.02).most
    10.0
    """

    rate: float = 0.05
    least: float = 0.1
    most: float = 10.0

    def __post_init__(self) -> None:
        for name in ("rate", "least", "most"):
            number(getattr(self, name), f"{name} of adaptive intervals must be a number, got {getattr(self, name)!r}")
        if not 0 < self.rate < np.inf:
            raise InputError(f"the rate of adaptive intervals must be positive, got {self.rate}")
        if not 0 < self.least <= 1 <= self.most < np.inf:
            raise InputError(f"bounds of the width must be 0 < least <= 1 <= most, got {self.least} and {self.most}")

    def updated(
        self,
        factor: Float[np.ndarray, " dim"],
        target: Float[np.ndarray, " dim"],
        lower: Float[np.ndarray, " dim"],
        upper: Float[np.ndarray, " dim"],
    ) -> Float[np.ndarray, " dim"]:
        """The factors after a truth, which lay inside its interval or not; a dimension that is not finite says nothing.

        Parameters
        ----------
        factor
            Before.
        target
            The truth of a bin.
        lower, upper
            Its interval, as it was handed out.
        """
        outside = (target < lower) | (target > upper)
        step = np.where(np.isfinite(target), self.rate * (outside - (1 - LEVEL)), 0.0)
        return np.clip(factor * np.exp(step), self.least, self.most)
