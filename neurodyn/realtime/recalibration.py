r"""A read-out that follows the truth while a recording drifts: a gain and a shift of each dimension of the target.

Of the truths told so far, each weighing less the older it is, the errors of what the model decoded are regressed on
what it decoded, by least squares; that is recursive least squares with forgetting, in sums:

.. math::
    \hat y = c + s + g (d - c), \qquad g = 1 + \frac{n}{n + p} \frac{\mathrm{cov}(y - d, d)}{\mathrm{var}(d)}, \qquad
    s = \frac{n}{n + p} \overline{(y - d)}

with :math:`c` the mean of the decoded :math:`d`, :math:`n` the weight of all truths and :math:`p` that of the belief
that training was right. Both are bounded, so that truths that are wrong cannot take the read-out far.

Reference: Haykin (2014), Adaptive filter theory, 5th edition, chapter 10; of decoders: Gilja et al. (2012), A
high-performance neural prosthesis enabled by control algorithm design, Nature Neuroscience 15.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from neurodyn.errors import InputError
from neurodyn.given import number

SUMS = 5
"""Sums of a dimension: weights, decoded, its square, error, error times decoded."""


@dataclass(frozen=True)
class Recalibration:
    """How fast the read-out of the target follows the truth, and how far.

    Parameters
    ----------
    memory
        Truths after which one weighs 1/e of what it did: errors last, so that it takes minutes of them to tell a gain.
    belief
        Truths that the belief in the gain and the shift of training is worth.
    least_gain, most_gain
        Bounds of the gain.
    most_shift
        Bound of the shift, in standard deviations of what was decoded.

    Raises
    ------
    InputError
        If one of them is not positive, or the bounds of the gain do not hold one between them.

    Examples
    --------
    >>> from neurodyn.realtime import Recalibration
    >>> Recalibration(memory=6000.0).most_gain
    2.0
    """

    memory: float = 3000.0
    belief: float = 300.0
    least_gain: float = 0.5
    most_gain: float = 2.0
    most_shift: float = 1.0

    def __post_init__(self) -> None:
        for name in ("memory", "belief", "least_gain", "most_gain", "most_shift"):
            value = getattr(self, name)
            number(value, f"{name} of a recalibration must be a number, got {value!r}")
            if not 0 < value < np.inf:
                raise InputError(f"{name} of a recalibration must be positive, got {value}")
        if self.memory < 1 or not self.least_gain <= 1 <= self.most_gain:
            raise InputError(
                "a recalibration needs a memory of at least one truth and bounds of the gain with 1 between them, got "
                f"{self.memory}, {self.least_gain} and {self.most_gain}"
            )

    def updated(
        self, sums: Float[np.ndarray, "5 dim"], decoded: Float[np.ndarray, " dim"], true: Float[np.ndarray, " dim"]
    ) -> Float[np.ndarray, "5 dim"]:
        """The sums after a truth; a dimension of it that is not finite says nothing.

        Parameters
        ----------
        sums
            Before; zeros at the start.
        decoded
            By the model, before any correction.
        true
            Of the same bin.
        """
        error = true - decoded
        terms = np.stack([np.ones_like(error), decoded, decoded**2, error, error * decoded])
        return np.where(np.isfinite(error), np.exp(-1 / self.memory) * sums + terms, sums)

    def correction(
        self, sums: Float[np.ndarray, "5 dim"]
    ) -> tuple[Float[np.ndarray, " dim"], Float[np.ndarray, " dim"]]:
        """Gain and offset of each dimension: what is handed out is ``gain * decoded + offset``.

        Parameters
        ----------
        sums
            As `updated` gives them.
        """
        weight = sums[0]
        centre, square, error, product = sums[1:] / np.maximum(weight, np.finfo(np.float64).tiny)
        spread = np.maximum(square - centre**2, 0.0)
        trust = weight / (weight + self.belief)
        slope = np.where(spread > 0, (product - error * centre) / np.where(spread > 0, spread, 1.0), 0.0)
        gain = np.clip(1 + trust * slope, self.least_gain, self.most_gain)
        most = self.most_shift * np.sqrt(spread)
        shift = np.clip(trust * error, -most, most)
        return gain, centre + shift - gain * centre
