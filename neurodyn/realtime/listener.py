"""Callbacks with which the steps of a running decoder are recorded."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np

from neurodyn.realtime.runner import LiveEstimate


@runtime_checkable
class StepListener(Protocol):
    """Callbacks around each decoding step; they must return quickly and must not raise."""

    def before(self, snapshot: Callable[[], dict[str, np.ndarray]]) -> None:
        """Called before a step; ``snapshot`` returns the state that the step starts from."""
        ...

    def stepped(self, observations: Mapping[str, Any], estimate: LiveEstimate) -> None:
        """Called after a step, with its observations and the returned estimate."""
        ...

    def observed(self, target: np.ndarray) -> None:
        """Called with the true target of the last step."""
        ...

    def moved(self) -> None:
        """Called when the next step starts from another state than the last one left."""
        ...
