"""Find where a network stands still: fixed points and slow points of any step function, from many starts at once."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from neurodyn.errors import InputError
from neurodyn.fixed_points.advice import advise
from neurodyn.fixed_points.ends import ConvergedStates, and_newton, continua_of, mirrored, numbered, with_origin
from neurodyn.fixed_points.merge import far_outside, groups, median_distance, near, outliers, to_length_one
from neurodyn.fixed_points.points import FixedPoints
from neurodyn.fixed_points.problem import Problem, Step, is_homogeneous, is_odd, make_problem, rounding_of
from neurodyn.fixed_points.solver import MATRIX_FREE, DescentResult, Known, Limits, descend, residuals
from neurodyn.fixed_points.status import Status

SECOND_TRY = 0.1
"""Share of the damping with which a start that came to no fixed point is tried a second time."""


@dataclass(frozen=True)
class SearchConfig:
    """How a search is run and what counts as found.

    Parameters
    ----------
    tolerance
        A state is a fixed point if ``max |F(h) - h| <= tolerance``; None: 1e-6 in float32, 1e-12 in float64, or four
        times what the step is seen to round off at the starts, whichever is more, and at least two units in the last
        place of the largest entry of the state. A homogeneous step has no unit of length: its tolerance is in units of
        ``max |h|``, and states below the square root of the tolerance times the size of a typical start are the origin.
    merge
        Two fixed points are one if no unit differs by more than ``merge * max(1, max |h|)`` (on rays: after both are
        scaled to ``max |h| = 1``), slow points if none differs by ten times that; None: the root of the tolerance.
    outlier
        A point is an outlier if its nearest start is more than this many times as far away as the starts are, in the
        median, from their mean.
    iterations
        The most per start by Levenberg and Marquardt.
    slow_iterations
        The most thereafter, with all second derivatives: what settles whether a start is at a slow point.
    damping
        Of the first iteration; more keeps starts closer to where they are. Starts that come to no fixed point are tried
        a second time with a tenth of it.
    mirror
        Whether a step that is seen to be odd, F(-h) = -F(h), as networks of tanh units without bias or input are, has
        the mirror image of each fixed point and the origin among its points, whether a start came to them or not.
    continua
        Whether lines, rings and surfaces of fixed points are recognised.
    matrix_free
        Whether equations are solved without Jacobians, by conjugate gradients, which takes memory in proportion to the
        size of a state instead of its square; None: for states of more than 1,024 entries.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import numpy as np
    >>> from neurodyn.fixed_points import SearchConfig, find
    >>> step, starts = lambda h, _: jnp.tanh(1.5 * h), np.array([[0.8], [1.0]], np.float32)
    >>> [len(find(step, starts, config=SearchConfig(mirror=mirror)).fixed.vectors) for mirror in (True, False)]
    [3, 1]
    """

    tolerance: float | None = None
    merge: float | None = None
    outlier: float = 3.0
    iterations: int = 50
    slow_iterations: int = 30
    damping: float = 0.1
    mirror: bool = True
    continua: bool = True
    matrix_free: bool | None = None

    def __post_init__(self) -> None:
        for name in ("tolerance", "merge", "outlier", "damping"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"{name} has to be positive, got {value}")
        if self.iterations < 1 or self.slow_iterations < 0:
            raise InputError(
                f"iterations have to be at least 1 and slow_iterations 0, got {self.iterations} and "
                f"{self.slow_iterations}"
            )

    def limits(self, starts: Float[np.ndarray, "starts size"], *, homogeneous: bool, rounding: float = 0.0) -> Limits:
        """When a start has arrived, in the precision of the starts; ``rounding`` is that of the step."""
        precision = float(np.finfo(starts.dtype).eps)
        tolerance = self.tolerance or max(1e-12 if precision < 1e-10 else 1e-6, 4 * rounding)
        size = float(np.median(np.abs(starts).max(axis=1))) or 1.0
        unit = size * tolerance**0.5 if homogeneous else None
        return Limits(tolerance, unit, 0.0 if self.tolerance else 2 * precision)

    def merge_distance(self, limits: Limits) -> float:
        """The distance below which two points are one."""
        return self.merge or limits.tolerance**0.5


def find(
    step: Step,
    starts: Any,
    inputs: Any = None,
    *,
    input_axis: int | None = None,
    config: SearchConfig | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> FixedPoints:
    """Find the fixed points and slow points of a step: ``F(h) = h``, or a minimum of ``|F(h) - h|^2 / 2``.

    Parameters
    ----------
    step
        ``step(state, input) -> state`` of one state, differentiable by JAX. The same function object again compiles
        nothing; parameters that change belong into ``inputs``, which may be any pytree.
    starts
        States to start from, a pytree whose arrays have one start per row; see `sample_starts`.
    inputs
        The input at which to solve: one for all starts; None for a step that ignores it.
    input_axis
        0 if every array of ``inputs`` has one row per start.
    config
        How; the defaults if None.
    progress
        Called after every iteration with the number of starts that are done, and of all.

    Returns
    -------
    FixedPoints
        Distinct points with status, residual, speed, iterations, and the number of starts that came to each. With one
        input per start, points of different inputs are different points, wherever they are. Of a positively
        homogeneous step (a network of rectifiers without bias or input) the origin is always one of them, under every
        input, and each other fixed point stands for a ray.

    Raises
    ------
    InputError
        See `neurodyn.fixed_points.problem.make_problem`.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import numpy as np
    >>> from neurodyn.fixed_points import find
    >>> step = lambda h, bias: jnp.tanh(1.5 * h + bias)
    >>> found = find(step, np.linspace(-2, 2, 10, dtype=np.float32)[:, None], np.float32(0.1))
    >>> np.sort(found.fixed.states[:, 0]).round(2)
    array([-0.8 , -0.21,  0.89], dtype=float32)
    """
    config = config or SearchConfig()
    problem = make_problem(step, starts, inputs, input_axis)
    return _search(problem, None, config, is_homogeneous(problem), progress)


def find_more(
    step: Step,
    found: FixedPoints,
    starts: Any,
    inputs: Any = None,
    *,
    radius: float | None = None,
    keep_far: bool = False,
    input_axis: int | None = None,
    config: SearchConfig | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> FixedPoints:
    """Look for fixed points that a search has missed, by deflating the ones it has found.

    The residual is multiplied by ``prod_k (1 + (radius / |h - h_k|)^2)``, which keeps every start away from the points
    h_k that are known; with one input per start, from those of its own input. Starts that find nothing new near by are
    driven far away, where a cell whose gates saturate stands still to within rounding: such phantoms are left out.

    Parameters
    ----------
    found
        What is known; its fixed points are deflated.
    radius
        How far a known point is felt, in units of the state (Euclidean); None: a quarter of the median distance of the
        starts from their mean. Much more drives starts away from everything.
    keep_far
        Keep the points far outside of the starts too: those of which a unit leaves the range of all units of the starts
        and the known points by more than that range is wide, and by more than twice the ``radius`` where that is given.
    step, starts, inputs, input_axis, config, progress
        As in `find`.

    Returns
    -------
    FixedPoints
        The new fixed points alone, which may be none.

    Reference
    ---------
    Farrell, Birkisson & Funke (2015), SIAM Journal on Scientific Computing 37(4).

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import numpy as np
    >>> from neurodyn.fixed_points import find, find_more
    >>> step = lambda h, bias: jnp.tanh(1.5 * h + bias)
    >>> found = find(step, np.array([[1.0]], np.float32), np.float32(0.1))
    >>> more = find_more(step, found, np.linspace(-2, 2, 10, dtype=np.float32)[:, None], np.float32(0.1))
    >>> len(found.fixed.states), len(more.fixed.states)
    (1, 2)
    """
    config = replace(config or SearchConfig(), slow_iterations=0)  # slow points of a deflated map mean nothing
    problem = make_problem(step, starts, inputs, input_axis)
    if problem.step.layout.names != found.layout.names:
        raise InputError(f"starts have {problem.vectors.shape[1]} units, the points found {found.vectors.shape[1]}")
    known = found.fixed
    width = median_distance(problem.vectors) / 4 if radius is None else radius
    result = _search(problem, _deflated(problem, known, width), config, found.homogeneous, progress)
    merge = config.merge_distance(config.limits(problem.vectors, homogeneous=False))
    new = np.array([status is Status.FIXED for status in result.status]) & ~_among(result, known, merge)
    if not (keep_far or found.homogeneous):  # the length of a ray's vector is arbitrary
        reference = np.concatenate([problem.vectors, known.vectors])
        new &= ~far_outside(result.vectors, reference, 0.0 if radius is None else 2 * radius)
    return result.where(new)


def _deflated(problem: Problem, known: FixedPoints, width: float) -> Known:
    """The known points, felt by the starts that have the same input."""
    dtype, rows = problem.vectors.dtype, problem.input_rows()
    if known.inputs is None or rows is None:
        radius = np.asarray(width, dtype)
    elif known.inputs.shape[1] != rows.shape[1]:
        raise InputError(f"inputs have {rows.shape[1]} numbers per start, those of the points {known.inputs.shape[1]}")
    else:
        ours, theirs = np.split(numbered(np.concatenate([rows, known.inputs])), [len(rows)])
        radius = np.where(ours[:, None] == theirs, width, 0).astype(dtype)
    return Known(jnp.asarray(known.vectors.astype(dtype)), jnp.asarray(radius))


def _among(result: FixedPoints, known: FixedPoints, merge: float) -> Bool[np.ndarray, " points"]:
    """Whether each point is one of the known ones."""
    vectors, others = result.vectors, known.vectors
    if known.homogeneous:
        vectors, others = to_length_one(vectors), to_length_one(others)
    found = np.zeros(len(result), np.bool_)
    for number, point in enumerate(others):
        same = near(vectors, point, merge)
        if known.inputs is not None and result.inputs is not None:
            same &= (result.inputs == known.inputs[number]).all(axis=1)
        found |= same
    return found


def _nothing(problem: Problem) -> Known:
    dtype = problem.vectors.dtype
    return Known(jnp.zeros((0, problem.vectors.shape[1]), dtype), jnp.ones((), dtype))


def _search(
    problem: Problem,
    known: Known | None,
    config: SearchConfig,
    homogeneous: bool,
    progress: Callable[[int, int], None] | None,
) -> FixedPoints:
    """Descend, try again, complete by symmetry, merge; ``known`` is None unless points are deflated."""
    limits = config.limits(problem.vectors, homogeneous=homogeneous, rounding=rounding_of(problem))
    kept_away = _nothing(problem) if known is None else known
    most = (config.iterations, config.slow_iterations)
    go = partial(descend, limits=limits, iterations=most, matrix_free=config.matrix_free)
    descent = go(problem, known=kept_away, damping=config.damping, progress=progress)
    again = kept_away.select(np.flatnonzero(~limits.fixed(descent.vectors, descent.residual)))
    retry = partial(go, known=again, damping=config.damping * SECOND_TRY)
    small = problem.vectors.shape[1] <= MATRIX_FREE and not config.matrix_free
    if known is None and small:
        retry = partial(and_newton, retry, limits=limits, most=config.iterations)
    descent, begun = _second_try(problem, limits, descent, retry)
    rows = problem.input_rows()
    kind = np.zeros(len(problem.vectors), np.int64) if rows is None else numbered(rows)
    odd = config.mirror and is_odd(problem)
    if odd:
        descent, begun = mirrored(descent, begun, limits)
    if homogeneous or odd:
        descent, begun = with_origin(problem, descent, begun, kind)
    ended = replace(problem, vectors=descent.vectors, inputs=problem.inputs_of(begun))
    speed = np.sum(residuals(ended, ended.vectors) ** 2, axis=1) / 2
    status = _status(descent, limits)
    merge = config.merge_distance(limits)
    members = _members(descent, status, kind[begun], limits, merge, homogeneous)
    best = np.array([group[0] for group in members])
    point_of = np.empty(len(status), np.int64)
    for number, group in enumerate(members):
        point_of[group] = number
    point_of = point_of[: len(problem.vectors)]
    vectors, kinds = descent.vectors[best], tuple(status[i] for i in best)
    found = FixedPoints(
        layout=problem.step.layout,
        vectors=vectors,
        status=kinds,
        residual=descent.residual[best],
        speed=speed[best].astype(descent.residual.dtype),
        iterations=descent.iterations[best],
        starts=np.bincount(point_of, minlength=len(best)),
        source=begun[best],
        outlier=outliers(vectors, problem.vectors, config.outlier),
        ray=np.array([homogeneous and kind is Status.FIXED for kind in kinds]) & ~limits.at_origin(vectors),
        point_of=point_of,
        homogeneous=homogeneous,
        tolerance=limits.tolerance,
        inputs=None if rows is None else rows[begun[best]],
    )
    if known is not None:
        return found
    ends = ConvergedStates(descent, best, begun, np.array([each is Status.FIXED for each in status]))
    solve = partial(go, known=kept_away, damping=config.damping, iterations=(config.iterations, 0))
    continua = continua_of(problem, ends, limits, merge, solve) if config.continua else ()
    return replace(found, continua=continua, advice=advise(problem, found))


def _second_try(
    problem: Problem, limits: Limits, descent: DescentResult, go: Callable[[Problem], DescentResult]
) -> tuple[DescentResult, Int[np.ndarray, " ends"]]:
    """Starts that came to no fixed point start again with longer steps, which may lead to new points.

    Returns
    -------
    Where the starts ended, and behind them the fixed points found from those that had come to a slow point, which they
    stay at; the start of each end.
    """
    begun = np.arange(len(descent.vectors))
    again = np.flatnonzero(~limits.fixed(descent.vectors, descent.residual))
    if not len(again):
        return descent, begun
    second = go(replace(problem, vectors=problem.vectors[again], inputs=problem.inputs_of(again)))
    found, slow = limits.fixed(second.vectors, second.residual), descent.slow[again]
    ends = DescentResult(
        *(np.append(part, new[found & slow], axis=0) for part, new in zip(descent, second, strict=True))
    )
    for part, new in zip(ends, second, strict=True):
        part[again[found & ~slow]] = new[found & ~slow]
    return ends, np.append(begun, again[found & slow])


def _status(descent: DescentResult, limits: Limits) -> list[Status]:
    fixed = limits.fixed(descent.vectors, descent.residual)
    finite = np.isfinite(descent.residual)
    conditions = zip(fixed, descent.slow, finite, strict=True)
    return [
        Status.FIXED if is_fixed else Status.DIVERGED if not ok else Status.SLOW if slow else Status.UNCONVERGED
        for is_fixed, slow, ok in conditions
    ]


def _members(
    descent: DescentResult,
    status: list[Status],
    inputs: Int[np.ndarray, " ends"],
    limits: Limits,
    merge: float,
    homogeneous: bool,
) -> list[Int[np.ndarray, " members"]]:
    """Ends that are one point, for every point: fixed ones, slow ones, then each of the others alone.

    ``inputs`` is the number of each end's input: ends of different inputs are never one point.
    """
    order = np.argsort(descent.residual, kind="stable")
    of = {kind: order[[status[i] is kind for i in order]] for kind in Status}

    def apart(chosen: np.ndarray, together: Callable[[np.ndarray], list[np.ndarray]]) -> list[np.ndarray]:
        found = [group for part in _by_input(chosen, inputs) for group in together(part)]
        place = {int(end): number for number, end in enumerate(order)}
        return sorted(found, key=lambda group: place[int(group[0])])

    members, fixed = [], of[Status.FIXED]
    if homogeneous:
        origin = limits.at_origin(descent.vectors[fixed])
        members, fixed = _by_input(fixed[origin], inputs), fixed[~origin]
    members += apart(fixed, lambda part: groups(descent.vectors, part, merge, rays=homogeneous))
    members += apart(of[Status.SLOW], lambda part: groups(descent.vectors, part, 10 * merge))
    return members + [np.array([i]) for kind in (Status.UNCONVERGED, Status.DIVERGED) for i in of[kind]]


def _by_input(chosen: Int[np.ndarray, " chosen"], inputs: Int[np.ndarray, " ends"]) -> list[np.ndarray]:
    """Ends in parts of one input each, their order kept."""
    if not len(chosen):
        return []
    kinds = inputs[chosen]
    by_kind = np.argsort(kinds, kind="stable")
    return np.split(chosen[by_kind], np.flatnonzero(np.diff(kinds[by_kind])) + 1)
