"""Every yardstick by its name: ``neurodyn decode --methods`` fits those that are named, and reports call them so.

To add one: a class with ``fit``, ``predict`` and ``score`` in a file of its own, and a line in :data:`BASELINES`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from neurodyn.baselines.kalman import VelocityKalman
from neurodyn.baselines.recurrent import CausalGru
from neurodyn.baselines.ridge import CausalRidge


@dataclass(frozen=True)
class Baseline:
    """One row.

    Parameters
    ----------
    description
        What a sentence calls it.
    make
        From the settings of the model's recurrent network (None if it has none), which a yardstick may share, to an
        estimator that is not fitted.
    alone
        Whether it costs so little that it is also fitted to each modality alone.
    """

    description: str
    make: Callable[[Any], Any]
    alone: bool = False


BASELINES: dict[str, Baseline] = {
    "gru": Baseline("a causal GRU", CausalGru.beside),
    "kalman": Baseline("a velocity Kalman filter", lambda _: VelocityKalman()),
    "ridge": Baseline("causal ridge regression", lambda _: CausalRidge(), alone=True),
}
"""The yardsticks, in the order of tables."""
