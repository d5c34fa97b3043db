"""What a step does near its fixed points: Jacobians, modes, time constants, stability."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Complex, Float, Int

from neurodyn.display import Shown, pluralised
from neurodyn.errors import InputError
from neurodyn.fixed_points.problem import Layout, Problem, Step, VectorStep, make_problem
from neurodyn.fixed_points.spectrum import decay_seconds, eigen, frequency_hertz

if TYPE_CHECKING:
    import xarray as xr


class Stability(Enum):
    """What the eigenvalues of the Jacobian say about a fixed point of a map.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.fixed_points import Stability, linearise
    >>> pull_and_push = lambda h, _: np.float32([0.5, 2.0]) * h  # towards the point on one axis, away on the other
    >>> linearise(pull_and_push, np.zeros((1, 2), np.float32), dt=0.01).stability[0] is Stability.SADDLE
    True
    """

    ATTRACTOR = "attractor"  # all inside the unit circle
    SADDLE = "saddle"  # some outside, some inside
    REPELLER = "repeller"  # all outside
    MARGINAL = "marginal"  # none outside, some on it: the linear part does not decide


@dataclass(frozen=True)
class LineariseConfig:
    """How points are linearised.

    Parameters
    ----------
    vectors
        Whether eigenvectors are computed too; they take twice the time of the eigenvalues.
    input_jacobian
        Whether the derivative by the input is; leave it out where the input carries parameters.
    marginal
        An eigenvalue is on the unit circle if its length differs from 1 by no more.
    kink_distance
        A unit is near a kink if its derivative jumps within this distance from the point, in units of
        ``max(1, max |h|)``; 0 looks for none.
    kink_jump
        Share of a unit's derivative that has to change over that distance to be called a jump.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.fixed_points import LineariseConfig, linearise
    >>> halve, point = lambda h, _: 0.5 * h, np.zeros((1, 2), np.float32)
    >>> linearise(halve, point, dt=0.01, config=LineariseConfig(vectors=False)).right is None  # eigenvalues alone
    True
    """

    vectors: bool = True
    input_jacobian: bool = True
    marginal: float = 1e-4
    kink_distance: float = 1e-3
    kink_jump: float = 0.1

    def __post_init__(self) -> None:
        for name in ("marginal", "kink_distance"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} must not be negative, got {getattr(self, name)}")
        if not 0 < self.kink_jump < 1:
            raise InputError(f"kink_jump is a share between 0 and 1, got {self.kink_jump}")


@dataclass(frozen=True, eq=False, repr=False)
class Linearisation(Shown):
    """``dh[t+1] = A dh[t] + B dx[t]`` at each point; eigenvalues from the slowest (longest) to the fastest.

    Parameters
    ----------
    layout
        How a state lies in a vector.
    dt
        Seconds per step.
    jacobian
        (points, size, size) A.
    input_jacobian
        (points, size, inputs) B; None if not asked for.
    eigenvalues
        (points, size) of A, by decreasing length.
    right
        (points, size, mode) right eigenvectors, each a column of length 1; None if not asked for.
    left
        (points, mode, size) left eigenvectors, each a row, with ``left @ right = I``: what excites a mode. NaN where
        the right ones are (nearly) dependent, so that there are none.
    kinks
        (points, size) whether a unit's derivative jumps nearby. The linearisation of a piecewise-linear network
        holds only up to there.
    marginal
        See `LineariseConfig`.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.fixed_points import linearise
    >>> turn = lambda h, _: 0.9 * h + h[::-1] * np.float32([-0.3, 0.3])
    >>> found = linearise(turn, np.zeros((1, 2), np.float32), dt=0.01)
    >>> found.stability[0].value, found.time_constants.round(2).tolist(), found.frequencies.round(1).tolist()
    ('attractor', [[0.19, 0.19]], [[5.1, 5.1]])
    """

    layout: Layout
    dt: float
    jacobian: Float[np.ndarray, "points size size"]
    input_jacobian: Float[np.ndarray, "points size inputs"] | None
    eigenvalues: Complex[np.ndarray, "points size"]
    right: Complex[np.ndarray, "points size size"] | None
    left: Complex[np.ndarray, "points size size"] | None
    kinks: Bool[np.ndarray, "points size"]
    marginal: float

    @property
    def time_constants(self) -> Float[np.ndarray, "points size"]:
        """Seconds in which a mode decays to 1/e; negative if it grows, infinite on the unit circle."""
        return decay_seconds(self.eigenvalues, self.dt)

    @property
    def frequencies(self) -> Float[np.ndarray, "points size"]:
        """Frequency of each mode in hertz, from 0 to the Nyquist frequency ``1 / (2 dt)``."""
        return frequency_hertz(self.eigenvalues, self.dt)

    @property
    def unstable(self) -> Int[np.ndarray, " points"]:
        """Number of directions in which each point is left."""
        return np.sum(np.abs(self.eigenvalues) > 1 + self.marginal, axis=1)

    @property
    def stability(self) -> tuple[Stability, ...]:
        """Class of each point."""
        length = np.abs(self.eigenvalues)
        return tuple(_class(row, self.marginal) for row in length)

    def unstable_directions(self, point: int | np.integer) -> Float[np.ndarray, "directions size"]:
        """Orthonormal real directions that span what leaves a point, the fastest first."""
        if self.right is None:
            raise InputError("directions need eigenvectors: linearise with LineariseConfig(vectors=True)")
        leaving = self.right[point][:, : self.unstable[point]]
        spanning = np.concatenate([leaving.real, leaving.imag], axis=1)
        basis, size, _ = np.linalg.svd(spanning, full_matrices=False)
        return basis[:, size > 1e-6 * size.max(initial=1e-300)].T

    def table(self) -> str:
        """One line per point: class, unstable directions, slowest mode, units near a kink."""
        head = f"{'point':>5}  {'class':<9}  {'unstable':>8}  {'|eigenvalue|':>12}  {'seconds':>9}  {'hertz':>8}  notes"
        slowest = np.argmin(np.abs(np.abs(self.eigenvalues) - 1), axis=1)
        rows = [head]
        for i, (kind, mode) in enumerate(zip(self.stability, slowest, strict=True)):
            note = f"{self.kinks[i].sum()} units near a kink" if self.kinks[i].any() else ""
            rows.append(
                f"{i:>5}  {kind.value:<9}  {self.unstable[i]:>8}  {np.abs(self.eigenvalues[i, mode]):>12.6f}  "
                f"{self.time_constants[i, mode]:>9.4g}  {self.frequencies[i, mode]:>8.4g}  {note}".rstrip()
            )
        return "\n".join(rows)

    def _title(self) -> str:
        points, size = self.eigenvalues.shape
        return f"Linearisation: {pluralised(points, 'point')} of {size} dimensions, {self.dt:g} s per step"

    def _facts(self) -> Iterable[tuple[str, str]]:
        classes = Counter(self.stability)
        yield from ((kind.value, pluralised(classes[kind], "point")) for kind in Stability if classes[kind])
        if self.eigenvalues.size:
            lengths, unstable = np.abs(self.eigenvalues), self.unstable
            yield "unstable", f"{unstable.min()} to {unstable.max()} directions per point"
            yield "|eigenvalue|", f"{lengths.min():.4g} to {lengths.max():.4g}"
        if near := int(self.kinks.any(axis=1).sum()):
            yield "kinks", f"{pluralised(near, 'point')} with a unit near one"
        yield "vectors", "not asked for" if self.right is None else "left and right"

    def to_xarray(self) -> "xr.Dataset":
        """The same as labelled data; complex numbers as they are."""
        import xarray as xr

        parts = {
            "jacobian": (("point", "unit", "unit_before"), self.jacobian),
            "input_jacobian": (("point", "unit", "input"), self.input_jacobian),
            "eigenvalue": (("point", "mode"), self.eigenvalues),
            "time_constant": (("point", "mode"), self.time_constants, {"units": "s"}),
            "frequency": (("point", "mode"), self.frequencies, {"units": "Hz"}),
            "right": (("point", "unit", "mode"), self.right),
            "left": (("point", "mode", "unit"), self.left),
            "near_kink": (("point", "unit"), self.kinks),
            "unstable": ("point", self.unstable),
        }
        return xr.Dataset(
            {name: part for name, part in parts.items() if part[1] is not None},
            coords={
                "unit": list(self.layout.names),
                "unit_before": list(self.layout.names),
                "stability": ("point", np.array([kind.value for kind in self.stability], dtype="U9")),
            },
            attrs={"dt": self.dt},
        )


def linearise(
    step: Step,
    states: Any,
    inputs: Any = None,
    *,
    dt: float,
    input_axis: int | None = None,
    config: LineariseConfig | None = None,
) -> Linearisation:
    """Linearise a step at states: ``A = dF/dh``, ``B = dF/dx`` and the eigenvalues and eigenvectors of A.

    Parameters
    ----------
    step
        As in `neurodyn.fixed_points.find`.
    states
        A pytree with points along the first axis, such as ``found.fixed.states``.
    inputs
        The input at the points.
    dt
        Seconds per step.
    input_axis
        0 if every array of ``inputs`` has one row per point.
    config
        How; the defaults if None.

    Raises
    ------
    InputError
        If ``dt`` is not positive; else as in `neurodyn.fixed_points.find`.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import numpy as np
    >>> from neurodyn.fixed_points import find, linearise
    >>> step = lambda h, _: jnp.tanh(1.5 * h)
    >>> found = find(step, np.linspace(-2, 2, 10, dtype=np.float32)[:, None])
    >>> sorted(stability.value for stability in linearise(step, found.fixed.states, dt=0.01).stability)
    ['attractor', 'attractor', 'repeller']
    """
    if not dt > 0:
        raise InputError(f"dt has to be a positive number of seconds per step, got {dt}")
    config = config or LineariseConfig()
    problem = make_problem(step, states, inputs, input_axis)
    vectors = jnp.asarray(problem.vectors)
    jacobian = np.asarray(_jacobians(problem.step, problem.input_axis, vectors, problem.inputs), np.float64)
    by_input = None
    if config.input_jacobian:
        by_input = np.asarray(_input_jacobians(problem.step, problem.input_axis, vectors, problem.inputs), np.float64)
    eigenvalues, right, left = eigen(jacobian, vectors=config.vectors)
    return Linearisation(
        layout=problem.step.layout,
        dt=dt,
        jacobian=jacobian,
        input_jacobian=by_input,
        eigenvalues=eigenvalues,
        right=right,
        left=left,
        kinks=find_kinks(problem, config),
        marginal=config.marginal,
    )


def find_kinks(problem: Problem, config: LineariseConfig) -> Bool[np.ndarray, "points size"]:
    """Units whose derivative jumps within ``kink_distance`` of each point.

    Along a few random directions the derivative is taken at the distance and at an eighth of it, ahead and behind.
    Over an eighth of the way, the derivative of a smooth unit changes by about an eighth as much; that of a unit with a
    kink on the way has jumped by as much, or not at all.
    """
    if config.kink_distance == 0:
        return np.zeros(problem.vectors.shape, np.bool_)
    key, jump = jax.random.key(0), jnp.asarray(config.kink_jump, problem.vectors.dtype)
    distance = jnp.asarray(config.kink_distance, problem.vectors.dtype)
    vectors = jnp.asarray(problem.vectors)
    return np.asarray(
        _kinks(
            step=problem.step,
            input_axis=problem.input_axis,
            vectors=vectors,
            inputs=problem.inputs,
            key=key,
            distance=distance,
            jump=jump,
        )
    )


KINK_DIRECTIONS = 4


@partial(jax.jit, static_argnums=(0, 1))
def _kinks(
    step: VectorStep, input_axis: int | None, vectors: Array, inputs: Any, key: Array, distance: Array, jump: Array
):
    ways = jax.random.normal(key, (2, KINK_DIRECTIONS, vectors.shape[1]), vectors.dtype)

    def of_one(vector: Array, given: Any) -> Array:
        def slopes(point: Array) -> Array:
            return jax.vmap(lambda way: jax.jvp(lambda v: step(v, given), (point,), (way,))[1])(ways[0])

        def length(slope: Array) -> Array:
            return jnp.sqrt(jnp.sum(slope**2, axis=-2))

        shifts = distance * jnp.maximum(jnp.ones((), vector.dtype), jnp.abs(vector).max()) * ways[1]
        shifts = jnp.concatenate([shifts, -shifts])
        here, far = slopes(vector), jax.vmap(slopes)(vector + shifts)
        change = length(far - here)
        share = length(jax.vmap(slopes)(vector + shifts / 8) - here) / change
        smooth = (share > 1 / 16) & (share < 1 / 4)
        size = jnp.maximum(length(far), length(here))
        rounding = jnp.finfo(vector.dtype).eps ** 0.5 * size.max()  # what is left of a unit in saturation
        return ((change > jump * size + rounding) & ~smooth).any(axis=0)

    return jax.vmap(of_one, in_axes=(0, input_axis))(vectors, inputs)


@partial(jax.jit, static_argnums=(0, 1))
def _jacobians(step: VectorStep, input_axis: int | None, vectors: Array, inputs: Any) -> Array:
    return jax.vmap(jax.jacfwd(step), in_axes=(0, input_axis))(vectors, inputs)


@partial(jax.jit, static_argnums=(0, 1))
def _input_jacobians(step: VectorStep, input_axis: int | None, vectors: Array, inputs: Any) -> Array:
    def of_one(vector: Array, given: Any) -> Array:
        flat, restore = ravel_pytree(given)
        if flat.size == 0:
            return jnp.zeros((len(vector), 0), vector.dtype)
        return jax.jacrev(lambda x: step(vector, restore(x)))(flat)

    return jax.vmap(of_one, in_axes=(0, input_axis))(vectors, inputs)


def _class(length: np.ndarray, marginal: float) -> Stability:
    if (length > 1 + marginal).all():
        return Stability.REPELLER
    if (length > 1 + marginal).any():
        return Stability.SADDLE
    return Stability.ATTRACTOR if (length < 1 - marginal).all() else Stability.MARGINAL
