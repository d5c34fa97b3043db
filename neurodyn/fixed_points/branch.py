"""Fixed points along a value, and the points at which their stability changes."""

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Complex, Float

from neurodyn.fixed_points.problem import Layout

if TYPE_CHECKING:
    import xarray as xr


class Crossing(Enum):
    """How the stability of a fixed point of a map changes.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from neurodyn.fixed_points import Crossing, continue_along
    >>> branch = continue_along(lambda h, x: jnp.tanh(2 * h + x), jnp.ones(1), lambda x: x, start=1.0, stop=-1.0)
    >>> [event.kind.value for event in branch.events if event.kind is Crossing.FOLD]
    ['fold', 'fold']
    """

    FOLD = "fold"  # the branch turns back: an eigenvalue of +1
    BRANCH = "branch"  # an eigenvalue of +1 without a turn: another branch crosses (pitchfork, transcritical)
    FLIP = "flip"  # an eigenvalue of -1: a period of two steps
    HOPF = "hopf"  # a pair of eigenvalues on the unit circle: an invariant circle (Neimark-Sacker)


class BranchEnd(Enum):
    """Why a branch was followed no further.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from neurodyn.fixed_points import ContinuationConfig, continue_along
    >>> step, few = lambda h, x: jnp.tanh(2 * h + x), ContinuationConfig(points=5)
    >>> continue_along(step, jnp.ones(1), lambda x: x, start=1.0, stop=-1.0, config=few).end
    <BranchEnd.POINTS: 'points'>
    """

    REACHED = "reached"  # an end of the range
    POINTS = "points"  # as many points as were asked for
    STUCK = "stuck"  # no step, however short, comes back to the branch


@dataclass(frozen=True, eq=False)
class Event:
    """A point of the branch at which its stability changes.

    Parameters
    ----------
    kind
        How.
    value
        Value of what is varied.
    vector
        (size,) the state there.
    after
        Index of the last point of the branch before it.
    eigenvalue
        The one on the unit circle.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from neurodyn.fixed_points import continue_along
    >>> branch = continue_along(lambda h, x: jnp.tanh(2 * h + x), jnp.ones(1), lambda x: x, start=1.0, stop=-1.0)
    >>> [(event.kind.value, round(event.value, 3), round(event.eigenvalue.real, 2)) for event in branch.events]
    [('fold', -0.533, 1.0), ('fold', 0.533, 1.0)]
    """

    kind: Crossing
    value: float
    vector: Float[np.ndarray, " size"]
    after: int
    eigenvalue: complex


@dataclass(frozen=True, eq=False)
class Branch:
    """Fixed points along a value, in the order they were followed.

    Parameters
    ----------
    layout
        How a state lies in a vector.
    values
        (points,) what was varied.
    vectors
        (points, size) the fixed point at each.
    eigenvalues
        (points, size) of the Jacobian, by decreasing length.
    events
        In order.
    end
        Why it ends.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from neurodyn.fixed_points import continue_along
    >>> branch = continue_along(lambda h, x: jnp.tanh(2 * h + x), jnp.ones(1), lambda x: x, start=1.0, stop=-1.0)
    >>> branch.end.value, len(branch.events)
    ('reached', 2)
    >>> bool(branch.stable[0]), bool(branch.stable.all()), bool(branch.stable[-1])
    (True, False, True)
    """

    layout: Layout
    values: Float[np.ndarray, " points"]
    vectors: Float[np.ndarray, "points size"]
    eigenvalues: Complex[np.ndarray, "points size"]
    events: tuple[Event, ...]
    end: BranchEnd

    @property
    def states(self) -> Any:
        """The points as states."""
        return self.layout.states(self.vectors)

    @property
    def stable(self) -> np.ndarray:
        """(points,) whether all eigenvalues are inside the unit circle."""
        return np.abs(self.eigenvalues).max(axis=1) < 1

    def table(self) -> str:
        """One line per event and one for the end."""
        rows = [f"{e.kind.value:<7}  at {e.value:>12.6g}  eigenvalue {e.eigenvalue:.4g}" for e in self.events]
        last = f"{len(self.values)} points from {self.values[0]:.6g} to {self.values[-1]:.6g}: {self.end.value}"
        return "\n".join([*rows, last])

    def to_xarray(self) -> "xr.Dataset":
        """The same as labelled data: points, and events."""
        import xarray as xr

        size = len(self.layout.names)
        events = np.array([e.vector for e in self.events]).reshape(-1, size)
        return xr.Dataset(
            {
                "state": (("point", "unit"), self.vectors),
                "eigenvalue": (("point", "mode"), self.eigenvalues),
                "stable": ("point", self.stable),
                "event_state": (("event", "unit"), events),
                "event_after": ("event", np.array([e.after for e in self.events], np.int64)),
            },
            coords={
                "value": ("point", self.values),
                "unit": list(self.layout.names),
                "event": np.array([e.kind.value for e in self.events], dtype="U6"),
                "event_value": ("event", np.array([e.value for e in self.events], np.float64)),
            },
            attrs={"end": self.end.value},
        )
