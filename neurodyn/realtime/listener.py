"""What a decoder tells of itself while it runs, to whoever writes it down."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np

from neurodyn.realtime.runner import LiveEstimate


@runtime_checkable
class StepListener(Protocol):
    """Told of every step of a decoder; whatever it does must be quick, and must not raise."""

    def before(self, snapshot: Callable[[], dict[str, np.ndarray]]) -> None:
        """Told before a step; what is given returns the state it starts from."""
        ...

    def stepped(self, observations: Mapping[str, Any], estimate: LiveEstimate) -> None:
        """Told after a step, of what went in and what was handed out."""
        ...

    def observed(self, target: np.ndarray) -> None:
        """Told of the true target of the last step."""
        ...

    def moved(self) -> None:
        """Told that the next step does not start from where the last one ended."""
        ...
