"""What happened in a training run, and what is said of one that failed."""

import math
import warnings
from dataclasses import dataclass, field

import numpy as np

from neurodyn.errors import NumericalError


@dataclass
class History:
    """What happened in each epoch and at each validation.

    Examples
    --------
    >>> from neurodyn.training import History
    >>> history = History(loss=[2.0, 1.5])
    >>> history.add_validation(1.7), history.add_validation(1.8)
    (True, False)
    >>> history.best, history.since_best
    (1.7, 1)
    """

    loss: list[float] = field(default_factory=list)
    validation_epoch: list[int] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)

    @property
    def best(self) -> float:
        """Best validation score so far, infinite before the first."""
        return min(self.validation, default=math.inf)

    @property
    def since_best(self) -> int:
        """Validations since the best one."""
        return len(self.validation) - 1 - int(np.argmin(self.validation)) if self.validation else 0

    def add_validation(self, score: float) -> bool:
        """Write down a validation after the last epoch; returns whether it is the best so far."""
        improved = score < self.best
        self.validation_epoch.append(len(self.loss))
        self.validation.append(score if math.isfinite(score) else math.inf)
        return improved


def raise_if_failed(status: str, history: History, who: str = "") -> None:
    """Refuse a run that kept nothing; say what to try after one that kept something and then failed.

    Parameters
    ----------
    who
        Put in front of the message where one of several runs is meant.

    Raises
    ------
    NumericalError
        If no validation was finite.
    """
    advice = "lower the learning rate, or check the data for extreme values"
    if not math.isfinite(history.best):
        what = "training loss" if status == "not finite" else "validation score"
        raise NumericalError(
            f"{who}the {what} stopped being finite by epoch {len(history.loss) + 1}, before anything could be kept: "
            f"{advice}"
        )
    if status == "not finite":
        kept = history.validation_epoch[int(np.argmin(history.validation))]
        warnings.warn(
            f"{who}the training loss stopped being finite in epoch {len(history.loss) + 1}; the parameters of epoch "
            f"{kept} are kept. To train on: {advice}",
            RuntimeWarning,
            stacklevel=4,
        )
