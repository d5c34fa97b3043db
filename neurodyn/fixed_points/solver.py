"""Many starts descend on the speed at once; those that have arrived leave the batch.

For a map F the residual of a state is ``G(h) = F(h) - h`` and its speed ``q(h) = |G(h)|^2 / 2``. One iteration solves

    (B + lambda I) p = -J' G,     J = dG/dh,     lambda = mu |G|

by a batched Cholesky factorisation, with ``B = J'J`` (Levenberg and Marquardt) or, for starts that this does not bring
to a fixed point, with B the full second derivative of q, which also converges where G is not zero. ``lambda`` in
proportion to ``|G|`` keeps the convergence quadratic, even where J is singular. As mu grows the step turns into a short
step down the gradient: the fallback is part of the method. Each factorisation serves two more corrections
``-(B + lambda I)^-1 J' G(h + p)``, which cost next to nothing.

Reference: Fan & Yuan (2005), Computing 74; Fan (2012), Mathematics of Computation 81, for the corrections;
Sussillo & Barak (2013), Neural Computation 25(3), for the speed.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import cho_factor, cho_solve
from jaxtyping import Array, Bool, Float, Int

from neurodyn.fixed_points.krylov import direction
from neurodyn.fixed_points.problem import Problem, VectorStep

CORRECTIONS = 2
SMALLEST_BATCH = 16
LARGEST_MATRICES = {"cpu": 2**23}
"""Entries that the Jacobians of one batch may have together: a piece of work for a core, or (others) for a device."""
ON_A_DEVICE = 2**26
MATRIX_FREE = 1024
"""Entries of a state above which equations are solved without matrices (``krylov.py``), by default."""
DAMPING_LIMITS = (1e-8, 1e8)
"""Beyond the upper one no step lowers the speed any more: a kink, or rounding."""
OVERDAMPED = 1e-3
"""Damping, next to the largest curvature, above which a small predicted decrease is not informative about the point."""
PATIENCE = 10
"""Iterations in which Levenberg and Marquardt have to halve the residual; starts that do not go on with the full B."""


class Candidate(NamedTuple):
    """A start on its way, or many of them; arrays of JAX when compiled, of NumPy on the host."""

    vector: Any  # (..., size)
    damping: Any  # (...), mu
    residual: Any  # (...), max |F(h) - h|
    promise: Any  # (...), share of the speed that the model promises to take away; infinite if overdamped


class Known(NamedTuple):
    """Points that are deflated: the residual is multiplied by ``prod_k (1 + (radius / |h - h_k|)^2)``.

    The radius is one for all, or one per start and point: 0 where the point is one of another input than the start's.
    """

    vectors: Float[Array, "known size"]
    radius: Float[Array, "*starts_known"]

    def select(self, chosen: np.ndarray) -> "Known":
        """What some of the starts keep away from."""
        return self if self.radius.ndim == 0 else Known(self.vectors, self.radius[chosen])


@dataclass(frozen=True)
class Limits:
    """When a start has arrived.

    Parameters
    ----------
    tolerance
        On ``max |F(h) - h|``; of a homogeneous map in units of ``max |h|``, at least of ``unit``.
    unit
        Size of states of a homogeneous map: those below it are the origin. None for any other map.
    precision
        Relative rounding of a state's largest entry, below which no residual is asked for.
    """

    tolerance: float
    unit: float | None = None
    precision: float = 0.0

    @property
    def promise(self) -> float:
        """Share of the speed that a step must promise to take away; a point is a minimum of the speed below it."""
        return 1e-3 * self.tolerance**0.5

    def fixed(self, vectors: np.ndarray, residual: np.ndarray) -> Bool[np.ndarray, " points"]:
        """Whether each is a fixed point."""
        if self.unit is None:
            return residual <= np.maximum(self.tolerance, self.precision * np.abs(vectors).max(axis=1))
        return residual <= self.tolerance * np.maximum(np.abs(vectors).max(axis=1), self.unit)

    def at_origin(self, vectors: np.ndarray) -> Bool[np.ndarray, " points"]:
        """Whether each is the origin of a homogeneous map."""
        return np.abs(vectors).max(axis=1) <= (-1 if self.unit is None else self.unit)


class DescentResult(NamedTuple):
    """Where every start came to."""

    vectors: Float[np.ndarray, "points size"]
    residual: Float[np.ndarray, " points"]
    slow: Bool[np.ndarray, " points"]
    iterations: Int[np.ndarray, " points"]


def deflation(vector: Float[Array, " size"], known: Known) -> Float[Array, ""]:
    """Factor that grows without bound near known points and is 1 far away (Farrell et al., 2015)."""
    # A start may stand on a fixed point of another input, whose radius is 0: no division by zero, not in the derivative
    # either.
    distance = jnp.where(known.radius > 0, jnp.sum((vector - known.vectors) ** 2, axis=1), 1)
    return jnp.prod(1 + known.radius**2 / distance)


def residual_of(step: VectorStep, vector: Float[Array, " size"], inputs: Any) -> Float[Array, " size"]:
    """``F(h) - h``."""
    return step(vector, inputs) - vector


def _improve(step: VectorStep, kind: "IterationKind", now: Candidate, inputs: Any, known: Known) -> Candidate:
    """One iteration of one start."""

    def deflated(vector: Array) -> Array:
        return residual_of(step, vector, inputs) * deflation(vector, known)

    here, vector = deflated(now.vector), now.vector
    merit = jnp.sum(here**2)
    damping = now.damping * jnp.sqrt(merit)
    if kind.matrix_free:
        change, gradient, largest = direction(deflated, vector, damping, full=kind.full)
        correct = None
    else:
        change, gradient, largest, correct = _factorised(deflated, vector, damping, full=kind.full)
    ahead = deflated(vector + change)
    promised = damping * jnp.sum(change**2) - gradient @ change  # by the quadratic model; a sum of positive terms
    gain = (merit - jnp.sum(ahead**2)) / promised
    accepted = jnp.sum(ahead**2) < merit  # also False for NaN: a matrix that is not positive-definite
    there = vector + change
    for _ in range(CORRECTIONS if correct is not None else 0):
        assert correct is not None
        further = there - correct(ahead)
        value = deflated(further)
        better = jnp.sum(value**2) < jnp.sum(ahead**2)
        there, ahead = jnp.where(better, further, there), jnp.where(better, value, ahead)
    there = jnp.where(accepted, there, vector)
    residual = jnp.abs(jnp.where(accepted, ahead, here)).max() / deflation(there, known)
    promise = jnp.where(damping <= OVERDAMPED * largest, promised / merit, jnp.inf)
    return Candidate(there, _damping(now.damping, gain, accepted), residual, promise)


def _factorised(
    deflated: Callable[[Array], Array], vector: Array, damping: Array, *, full: bool
) -> tuple[Array, Array, Array, Callable[[Array], Array]]:
    """The step by a Cholesky factorisation, the gradient, the largest curvature, and what corrects a residual."""

    def half_square(state: Array) -> Array:
        return jnp.sum(deflated(state) ** 2) / 2

    jacobian = jax.jacfwd(deflated)(vector)
    gradient = jacobian.T @ deflated(vector)
    curvature = jax.jacfwd(jax.grad(half_square))(vector) if full else jacobian.T @ jacobian
    factor = cho_factor(curvature + damping * jnp.eye(len(vector), dtype=vector.dtype))
    correct = lambda ahead: cho_solve(factor, jacobian.T @ ahead)  # noqa: E731
    return -cho_solve(factor, gradient), gradient, jnp.diag(curvature).max(), correct


def _damping(damping: Array, gain: Array, accepted: Array) -> Array:
    """Less damping where the model held, more where it did not."""
    change = jnp.where(gain > 0.75, 0.2, jnp.where(gain > 0.25, 1.0, jnp.where(accepted, 2.0, 8.0)))
    return jnp.clip(damping * change.astype(damping.dtype), *DAMPING_LIMITS)


class IterationKind(NamedTuple):
    """How an iteration is made; each kind is compiled."""

    full: bool  # B is the full second derivative
    matrix_free: bool


@partial(jax.jit, static_argnums=(0, 1, 2))
def _improve_batch(
    step: VectorStep, kind: IterationKind, input_axis: int | None, now: Candidate, inputs: Any, known: Known
) -> Candidate:
    each = Known(None, 0 if known.radius.ndim else None)  # pyright: ignore[reportArgumentType]  (axes, not arrays)
    return jax.vmap(partial(_improve, step, kind), in_axes=(0, input_axis, each))(now, inputs, known)


@partial(jax.jit, static_argnums=(0, 1))
def _residuals(step: VectorStep, input_axis: int | None, vectors: Array, inputs: Any) -> Array:
    return jax.vmap(partial(residual_of, step), in_axes=(0, input_axis))(vectors, inputs)


def residuals(problem: Problem, vectors: Float[np.ndarray, "points size"]) -> Float[np.ndarray, "points size"]:
    """``F(h) - h`` of every point."""
    return np.asarray(_residuals(problem.step, problem.input_axis, jnp.asarray(vectors), problem.inputs))


def descend(
    problem: Problem,
    known: Known,
    limits: Limits,
    *,
    damping: float,
    iterations: tuple[int, int],
    progress: Callable[[int, int], None] | None = None,
    matrix_free: bool | None = None,
) -> DescentResult:
    """Let every start descend until it has arrived, is stuck, or has had its iterations.

    Parameters
    ----------
    problem
        With the vectors to start from.
    known
        Points to stay away from.
    limits
        When a start has arrived.
    damping
        mu of the first iteration.
    iterations
        The most with ``B = J'J`` (Levenberg and Marquardt), and then with the full second derivative.
    progress
        Called with the number of starts that are done, and of all.
    matrix_free
        Whether equations are solved without matrices; None: if a state has more than `MATRIX_FREE` entries.
    """
    vectors = np.array(problem.vectors)
    residual = np.abs(residuals(problem, vectors)).max(axis=1)
    now = Candidate(vectors, np.full_like(residual, damping), residual, np.full_like(residual, np.inf))
    taken = np.zeros(len(vectors), np.int32)
    free = vectors.shape[1] > MATRIX_FREE if matrix_free is None else matrix_free
    for full, most in zip((False, True), iterations, strict=True):
        active = np.flatnonzero(np.isfinite(now.residual) & ~limits.fixed(now.vector, now.residual))
        now.damping[active] = damping
        before = now.residual.copy()
        for iteration in range(most):
            if not len(active):
                break
            _iterate(problem, IterationKind(full, free), now, active, known)
            taken[active] += 1
            done = limits.fixed(now.vector, now.residual) | (now.damping >= DAMPING_LIMITS[1])
            if full:
                done |= now.promise <= limits.promise
            elif iteration % PATIENCE == PATIENCE - 1:
                done |= now.residual > before / 2
                before = now.residual.copy()
            active = active[~done[active]]
            if progress is not None:
                progress(len(vectors) - len(active), len(vectors))
        if not full:
            now.promise[:] = np.inf  # only the full second derivative identifies a minimum
    slow = (now.promise <= limits.promise) | (now.damping >= DAMPING_LIMITS[1])
    return DescentResult(now.vector, now.residual, slow & np.isfinite(now.residual), taken)


def _chosen(now: Candidate, chosen: np.ndarray) -> Candidate:
    return Candidate(*(part[chosen] for part in now))


def _iterate(problem: Problem, kind: IterationKind, now: Candidate, active: np.ndarray, known: Known) -> None:
    """One iteration of the active starts, in batches of few sizes so that few programs are compiled.

    LAPACK takes one matrix at a time, so on a CPU the batches are shared out to a thread per core.
    """

    precise = jax.config.jax_enable_x64  # pyright: ignore[reportAttributeAccessIssue]

    def improve(batch: np.ndarray) -> Candidate:
        given = problem.inputs_of(batch)
        with jax.enable_x64(precise):  # a thread of its own does not know of the caller's
            after = _improve_batch(
                problem.step, kind, problem.input_axis, _chosen(now, batch), given, known.select(batch)
            )
            return jax.device_get(after)

    parts = batches(active, problem.vectors.shape[1], matrices=not kind.matrix_free)
    with ThreadPoolExecutor(max(1, min(len(parts), os.cpu_count() or 1))) as threads:
        for batch, after in zip(parts, list(threads.map(improve, parts)), strict=True):
            for part, new in zip(now, after, strict=True):
                part[batch] = new  # padding repeats entries, with equal results


def batches(active: Int[np.ndarray, " active"], size: int, *, matrices: bool = True) -> list[Int[np.ndarray, " batch"]]:
    """Split indices into batches of 16, 64, 256, 1024, ... as memory allows; the last one is padded by repetition."""
    largest = SMALLEST_BATCH
    entries = size**2 if matrices else size
    while 4 * largest * entries <= LARGEST_MATRICES.get(jax.default_backend(), ON_A_DEVICE):
        largest *= 4
    found, start = [], 0
    while start < len(active):
        length = largest
        while length > max(SMALLEST_BATCH, len(active) - start):
            length //= 4
        found.append(np.resize(active[start : start + length], length))
        start += length
    return found
