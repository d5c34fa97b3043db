"""Follow a fixed point while an input or a parameter changes, around folds too, and mark where its stability changes.

Pseudo-arclength continuation: with the parameter as one more unknown, a point of the branch is predicted along the
tangent and corrected by Newton's method at right angles to it, so a fold is a point like any other.

Reference: Keller (1977), Numerical solution of bifurcation and nonlinear eigenvalue problems; Kuznetsov (2004),
Elements of applied bifurcation theory, chapters 4 (maps) and 10.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from neurodyn.errors import InputError
from neurodyn.fixed_points.branch import Branch, BranchEnd, Crossing, Event
from neurodyn.fixed_points.problem import Step, VectorStep, make_problem
from neurodyn.fixed_points.spectrum import eigen

CORRECTIONS = 12
BISECTIONS = 40
PARTS = (0.5, 0.4, 0.7)
"""Where a step is cut, as parts of it: in the middle if the equations can be solved there."""


@dataclass(frozen=True)
class ContinuationConfig:
    """How a branch is followed.  Steps are arclengths, where the range of the value counts as 1.

    Parameters
    ----------
    first, longest, shortest
        Steps along the branch.
    points
        The most that are computed.
    state_scale
        Root mean square change of the state that counts as much as the whole range of the value.
    tolerance
        On ``max |F(h) - h|`` in units of ``max(1, max |h|)``; None: 1e-6 in float32, 1e-12 in float64.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from neurodyn.fixed_points import ContinuationConfig, continue_along
    >>> step, short = lambda h, x: jnp.tanh(2 * h + x), ContinuationConfig(longest=0.02, points=10)
    >>> len(continue_along(step, jnp.ones(1), lambda x: x, start=1.0, stop=-1.0, config=short).values)
    10
    """

    first: float = 0.01
    longest: float = 0.05
    shortest: float = 1e-5
    points: int = 1000
    state_scale: float = 1.0
    tolerance: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.shortest <= self.first <= self.longest:
            raise InputError(
                f"steps have to be 0 < shortest <= first <= longest, got {self.shortest}, {self.first}, {self.longest}"
            )
        if self.points < 2 or not self.state_scale > 0:
            raise InputError(
                f"points have to be at least 2 and state_scale positive, got {self.points} and {self.state_scale}"
            )


def between(first: Any, last: Any) -> Callable[[Array], Any]:
    """A path from one input (any pytree) at value 0 to another at value 1, for `continue_along`.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from neurodyn.fixed_points import between
    >>> path = between(jnp.asarray([0.0, 1.0]), jnp.asarray([2.0, 1.0]))
    >>> path(jnp.asarray(0.25)).tolist()
    [0.5, 1.0]
    """
    return lambda value: jax.tree.map(lambda a, b: jnp.asarray(a) + value * (jnp.asarray(b) - a), first, last)


def continue_along(
    step: Step,
    state: Any,
    along: Callable[[Array], Any],
    start: float,
    stop: float,
    *,
    config: ContinuationConfig | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Branch:
    """Follow a fixed point of ``step(state, along(value))`` from one value towards another.

    Parameters
    ----------
    step
        As in `neurodyn.fixed_points.find`.
    state
        The fixed point at ``start``, or a state close to it: one state, without an axis of points.
    along
        The input at a value, differentiable by JAX: any pytree, so that a parameter can be varied as well as an input.
        The same functions again compile nothing.
    start, stop
        Of the value. The branch ends where it leaves the range between them, on either side.
    config
        How; the defaults if None.
    progress
        Called with the number of points, and the most there can be.

    Returns
    -------
    Branch
        With folds, branch points, flips and Hopf (Neimark-Sacker) points, each located by bisection.

    Raises
    ------
    InputError
        If the state is not near a fixed point, or start and stop are the same; else as in `neurodyn.fixed_points.find`.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from neurodyn.fixed_points import continue_along
    >>> step = lambda h, x: jnp.tanh(2 * h + x)  # a unit that excites itself has two states where the input is weak
    >>> branch = continue_along(step, jnp.ones(1), lambda x: x, start=1.0, stop=-1.0)
    >>> [(event.kind.value, round(event.value, 3)) for event in branch.events]
    [('fold', -0.533), ('fold', 0.533)]
    """
    if start == stop:
        raise InputError(f"start and stop of the value are both {start}: give a range")
    config = config or ContinuationConfig()
    one = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], state)
    problem = make_problem(step, one, along(_scalar(start, one)), None)
    dtype = problem.vectors.dtype
    tolerance = config.tolerance or (1e-12 if np.finfo(dtype).eps < 1e-10 else 1e-6)
    path = _Path(problem.step, along)
    scale = np.asarray([start, stop - start, config.state_scale * problem.vectors.shape[1] ** 0.5, tolerance], dtype)
    follower = _Follower(path, jnp.asarray(scale), config)
    return follower.run(jnp.asarray(problem.vectors[0]), progress)


def _scalar(value: float, like: Any) -> Array:
    return jnp.asarray(value, jax.tree.leaves(like)[0].dtype)


class _Path(NamedTuple):
    """What is followed: hashable, the key of the compiled corrector."""

    step: VectorStep
    along: Callable[[Array], Any]


class _Spot(NamedTuple):
    """A point of the branch: scaled state and value as one vector, and the tangent there."""

    place: Float[Array, " size_and_one"]
    tangent: Float[Array, " size_and_one"]


class _Corrected(NamedTuple):
    """A spot with what its step found out."""

    spot: _Spot
    jacobian: Float[Array, "size size"]
    converged: Array
    iterations: Array


def _residual(path: _Path, scale: Array, place: Array) -> Array:
    state, value = place[:-1] * scale[2], scale[0] + place[-1] * scale[1]
    return path.step(state, path.along(value)) - state


@partial(jax.jit, static_argnums=0)
def _correct(path: _Path, scale: Array, place: Array, tangent: Array) -> _Corrected:
    """Newton's method at right angles to the tangent; the new tangent points the same way."""

    def bordered(here: Array) -> Array:
        return jnp.concatenate([jax.jacfwd(partial(_residual, path, scale))(here), tangent[None]])

    def unfinished(carry: tuple[Array, Array, Array]) -> Array:
        here, count, residual = carry
        allowed = scale[3] * jnp.maximum(jnp.ones((), here.dtype), jnp.abs(here[:-1] * scale[2]).max())
        return (residual > allowed) & (count < CORRECTIONS)

    def improve(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        here, count, _ = carry
        right = jnp.append(_residual(path, scale, here), tangent @ (here - place))
        here = here - jnp.linalg.solve(bordered(here), right)
        return here, count + 1, jnp.abs(_residual(path, scale, here)).max()

    first = (place, jnp.zeros((), jnp.int32), jnp.full((), jnp.inf, place.dtype))
    here, count, residual = last = jax.lax.while_loop(unfinished, improve, first)
    onward = jnp.linalg.solve(bordered(here), jnp.zeros_like(place).at[-1].set(1))
    jacobian = jax.jacfwd(path.step)(here[:-1] * scale[2], path.along(scale[0] + here[-1] * scale[1]))
    converged = ~unfinished((*last[:1], jnp.zeros((), jnp.int32), residual)) & jnp.isfinite(onward).all()
    return _Corrected(_Spot(here, onward / jnp.linalg.norm(onward)), jacobian, converged, count)


@dataclass(frozen=True, eq=False)
class _Follower:
    """Walks along one branch."""

    path: _Path
    scale: Array
    config: ContinuationConfig

    def run(self, state: Array, progress: Callable[[int, int], None] | None) -> Branch:
        """Follow the branch from a state at the start of the range."""
        spots, matrices, events = [self._first(state)], [], []
        matrices.append(self._jacobian(spots[0]))
        length, end = self.config.first, BranchEnd.POINTS
        while len(spots) < self.config.points:
            after, length = self._next(spots[-1], length)
            if after is None:
                end = BranchEnd.STUCK
                break
            outside = not 0 <= float(after.spot.place[-1]) <= 1
            after = self._at_edge(spots[-1], after) if outside else after
            matrices.append(np.asarray(after.jacobian, np.float64))
            events += self._events(spots[-1], after, matrices[-2], len(spots) - 1)
            spots.append(after.spot)
            if progress is not None:
                progress(len(spots), self.config.points)
            if outside:
                end = BranchEnd.REACHED
                break
        return self._branch(spots, matrices, events, end)

    def _first(self, state: Array) -> _Spot:
        place = jnp.append(state / self.scale[2], 0).astype(state.dtype)
        upwards = jnp.zeros_like(place).at[-1].set(1)
        found = _correct(self.path, self.scale, place, upwards)
        if not bool(found.converged):
            raise InputError(
                f"no fixed point near the state given at value {float(self.scale[0]):g}: find one there first, or "
                "start a little further along if its Jacobian has an eigenvalue of 1"
            )
        return found.spot

    def _jacobian(self, spot: _Spot) -> np.ndarray:
        return np.asarray(self._step_to(spot, 0.0).jacobian, np.float64)

    def _step_to(self, spot: _Spot, length: float) -> _Corrected:
        place = spot.place + jnp.asarray(length, spot.place.dtype) * spot.tangent
        return _correct(self.path, self.scale, place, spot.tangent)

    def _next(self, spot: _Spot, length: float) -> tuple[_Corrected | None, float]:
        """The next point, and the step to try from there."""
        while length >= self.config.shortest:
            after = self._step_to(spot, length)
            turn = float(after.spot.tangent @ spot.tangent)
            if bool(after.converged) and turn > 0.9:
                easy = int(after.iterations) <= 4 and turn > 0.99
                return after, min(length * (1.5 if easy else 1.0), self.config.longest)
            length /= 2
        return None, length

    def _at_edge(self, spot: _Spot, after: _Corrected) -> _Corrected:
        """The point at which the branch leaves the range."""
        edge = 1.0 if float(after.spot.place[-1]) > 1 else 0.0
        share = (edge - spot.place[-1]) / (after.spot.place[-1] - spot.place[-1])
        place = (spot.place + share * (after.spot.place - spot.place)).at[-1].set(edge)
        level = jnp.zeros_like(place).at[-1].set(1)  # keeps the value while the state is corrected
        found = _correct(self.path, self.scale, place, level)
        if not bool(found.converged):
            return after
        onward = found.spot.tangent * jnp.sign(found.spot.tangent @ spot.tangent)
        return found._replace(spot=_Spot(found.spot.place, onward))

    def _events(self, spot: _Spot, after: _Corrected, jacobian: np.ndarray, index: int) -> list[Event]:
        change = _outside(np.asarray(after.jacobian, np.float64)) - _outside(jacobian)
        turned = float(after.spot.tangent[-1]) * float(spot.tangent[-1]) < 0
        events = []
        if turned:
            sign = np.sign(float(spot.tangent[-1]))
            events.append(
                self._locate(spot, after, index, lambda c: float(c.spot.tangent[-1]) * sign > 0, Crossing.FOLD)
            )
        if abs(change) > (1 if turned else 0):
            count = _outside(jacobian)
            before = lambda c: _outside(np.asarray(c.jacobian, np.float64)) == count  # noqa: E731
            events.append(self._locate(spot, after, index, before, None))
        return sorted(events, key=lambda event: abs(event.value - self._value(spot)))

    def _locate(
        self, spot: _Spot, after: _Corrected, index: int, before: Callable[[_Corrected], bool], kind: Crossing | None
    ) -> Event:
        """Bisect the step until the point is known to rounding, or nothing can be solved so near to it."""
        low, high = 0.0, float((after.spot.place - spot.place) @ spot.tangent)
        found = after
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            if middle in (low, high):
                break
            for middle in (low + part * (high - low) for part in PARTS):
                here = self._step_to(spot, middle)
                if bool(here.converged):  # on the crossing itself the equations may be singular: then beside it
                    break
            else:
                break
            found = here
            low, high = (middle, high) if before(found) else (low, middle)
        values = eigen(np.asarray(found.jacobian, np.float64)[None], vectors=False)[0][0]
        nearest = complex(values[np.argmin(np.abs(np.abs(values) - 1))])
        state = np.asarray(found.spot.place[:-1] * self.scale[2])
        return Event(kind or _kind(nearest), self._value(found.spot), state, index, nearest)

    def _value(self, spot: _Spot) -> float:
        return float(self.scale[0] + spot.place[-1] * self.scale[1])

    def _branch(self, spots: list[_Spot], matrices: list[np.ndarray], events: list[Event], end: BranchEnd) -> Branch:
        places = np.stack([np.asarray(spot.place) for spot in spots])
        return Branch(
            layout=self.path.step.layout,
            values=np.array([self._value(spot) for spot in spots]),
            vectors=places[:, :-1] * np.asarray(self.scale[2]),
            eigenvalues=eigen(np.stack(matrices), vectors=False)[0],
            events=tuple(events),
            end=end,
        )


def _outside(jacobian: np.ndarray) -> int:
    """Eigenvalues outside the unit circle."""
    return int(np.sum(np.abs(np.linalg.eigvals(jacobian)) > 1))


def _kind(eigenvalue: complex) -> Crossing:
    angle = abs(np.angle(eigenvalue))
    if angle < 1e-3:
        return Crossing.BRANCH
    return Crossing.FLIP if angle > np.pi - 1e-3 else Crossing.HOPF
