"""Find where a network stands still: fixed points and slow points of any step function, from many starts at once."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from neurodyn.errors import InputError
from neurodyn.fixed_points.merge import far_outside, groups, near, outliers, spread, to_length_one
from neurodyn.fixed_points.points import FixedPoints, Status
from neurodyn.fixed_points.problem import Problem, Step, is_homogeneous, make_problem
from neurodyn.fixed_points.solver import Descent, Known, Limits, descend, residuals

SECOND_TRY = 0.1
"""Share of the damping with which a start that came to no fixed point is tried a second time."""


@dataclass(frozen=True)
class SearchConfig:
    """How a search is run and what counts as found.

    Parameters
    ----------
    tolerance
        A state is a fixed point if ``max |F(h) - h| <= tolerance``; None: 1e-6 in float32, 1e-12 in float64. A
        homogeneous step has no unit of length: its tolerance is in units of ``max |h|``, and states below the square
        root of the tolerance times the size of a typical start are the origin.
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
    """

    tolerance: float | None = None
    merge: float | None = None
    outlier: float = 3.0
    iterations: int = 50
    slow_iterations: int = 30
    damping: float = 0.1

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

    def limits(self, starts: Float[np.ndarray, "starts size"], *, homogeneous: bool) -> Limits:
        """When a start has arrived, in the precision of the starts."""
        tolerance = self.tolerance or (1e-12 if np.finfo(starts.dtype).eps < 1e-10 else 1e-6)
        size = float(np.median(np.abs(starts).max(axis=1))) or 1.0
        return Limits(tolerance, size * tolerance**0.5 if homogeneous else None)

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
    """
    config = config or SearchConfig()
    problem = make_problem(step, starts, inputs, input_axis)
    return _search(problem, _nothing(problem), config, is_homogeneous(problem), progress)


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
    """
    config = replace(config or SearchConfig(), slow_iterations=0)  # slow points of a deflated map mean nothing
    problem = make_problem(step, starts, inputs, input_axis)
    if problem.step.layout.names != found.layout.names:
        raise InputError(f"starts have {problem.vectors.shape[1]} units, the points found {found.vectors.shape[1]}")
    known = found.fixed
    width = spread(problem.vectors) / 4 if radius is None else radius
    result = _search(problem, _deflated(problem, known, width), config, found.homogeneous, progress)
    merge = config.merge_distance(config.limits(problem.vectors, homogeneous=False))
    new = np.array([status is Status.FIXED for status in result.status]) & ~_among(result, known, merge)
    if not (keep_far or found.homogeneous):  # the length of a ray's vector says nothing
        reference = np.concatenate([problem.vectors, known.vectors])
        new &= ~far_outside(result.vectors, reference, 0.0 if radius is None else 2 * radius)
    return result.where(new)


def sample_starts(states: Any, count: int, *, noise: float, seed: int, between: float = 0.0) -> Any:
    """Draw starts from trajectories, and add noise to see what lies beside them.

    Parameters
    ----------
    states
        A pytree of arrays (trial x time x ...): states a network went through.
    count
        Number of starts.
    noise
        Standard deviation of what is added to every unit, in units of the state.
    seed
        Of the draw.
    between
        Share of the starts that are halfway between two states instead: where points that divide basins are.

    Returns
    -------
    The same pytree with arrays (starts x ...), those in between last; no state is drawn twice unless ``count`` asks for
    more than there are.
    """
    leaves = jax.tree.leaves(states)
    if not leaves or any(np.ndim(leaf) < 3 or leaf.shape[:2] != leaves[0].shape[:2] for leaf in leaves):
        raise InputError(f"states have to be (trial x time x units), got {[np.shape(leaf) for leaf in leaves]}")
    if count < 1 or noise < 0 or not 0 <= between <= 1:
        raise InputError(
            f"count has to be at least 1, noise not negative, between a share, got {count}, {noise} and {between}"
        )
    random = np.random.default_rng(seed)
    total = leaves[0].shape[0] * leaves[0].shape[1]
    chosen = random.choice(total, count, replace=count > total)
    other = chosen.copy()
    middle = slice(count - round(between * count), count)
    other[middle] = random.integers(0, total, count)[middle]

    def draw(leaf: Any) -> np.ndarray:
        flat = np.asarray(leaf).reshape(total, *leaf.shape[2:])
        flat = (flat[chosen] + flat[other]) / 2
        return flat + noise * random.normal(size=flat.shape).astype(flat.dtype)

    return jax.tree.map(draw, states)


def _deflated(problem: Problem, known: FixedPoints, width: float) -> Known:
    """The known points, felt by the starts that have the same input."""
    dtype, rows = problem.vectors.dtype, problem.input_rows()
    if known.inputs is None or rows is None:
        radius = np.asarray(width, dtype)
    elif known.inputs.shape[1] != rows.shape[1]:
        raise InputError(f"inputs have {rows.shape[1]} numbers per start, those of the points {known.inputs.shape[1]}")
    else:
        ours, theirs = np.split(_numbered(np.concatenate([rows, known.inputs])), [len(rows)])
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


def _numbered(rows: Float[np.ndarray, "points entries"]) -> Int[np.ndarray, " points"]:
    """A number for each row, equal rows having one number."""
    return np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)


def _nothing(problem: Problem) -> Known:
    dtype = problem.vectors.dtype
    return Known(jnp.zeros((0, problem.vectors.shape[1]), dtype), jnp.ones((), dtype))


def _search(
    problem: Problem, known: Known, config: SearchConfig, homogeneous: bool, progress: Callable[[int, int], None] | None
) -> FixedPoints:
    limits = config.limits(problem.vectors, homogeneous=homogeneous)
    most = (config.iterations, config.slow_iterations)
    go = partial(descend, known=known, limits=limits, iterations=most)
    descent = go(problem, damping=config.damping, progress=progress)
    again = known.of(np.flatnonzero(~limits.fixed(descent.vectors, descent.residual)))
    go = partial(go, known=again, damping=config.damping * SECOND_TRY)
    descent, begun = _second_try(problem, limits, descent, go)
    ended = replace(problem, vectors=descent.vectors, inputs=problem.inputs_of(begun))
    speed = np.sum(residuals(ended, ended.vectors) ** 2, axis=1) / 2
    rows = problem.input_rows()
    kind = np.zeros(len(problem.vectors), np.int64) if rows is None else _numbered(rows)
    if homogeneous:  # the origin under every input, whether a start came to it or not
        last = len(kind) - 1 - np.unique(kind[::-1], return_index=True)[1]
        descent = Descent(*(np.append(p, np.zeros((len(last), *p.shape[1:]), p.dtype), axis=0) for p in descent))
        speed, begun = np.append(speed, np.zeros(len(last))), np.append(begun, last)
    status = _status(descent, limits)
    members = _members(descent, status, kind[begun], limits, config.merge_distance(limits), homogeneous)
    best = np.array([group[0] for group in members])
    point_of = np.empty(len(status), np.int64)
    for number, group in enumerate(members):
        point_of[group] = number
    point_of = point_of[: len(problem.vectors)]
    vectors, kinds = descent.vectors[best], tuple(status[i] for i in best)
    return FixedPoints(
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


def _second_try(
    problem: Problem, limits: Limits, descent: Descent, go: Callable[[Problem], Descent]
) -> tuple[Descent, Int[np.ndarray, " ends"]]:
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
    ends = Descent(*(np.append(part, new[found & slow], axis=0) for part, new in zip(descent, second, strict=True)))
    for part, new in zip(ends, second, strict=True):
        part[again[found & ~slow]] = new[found & ~slow]
    return ends, np.append(begun, again[found & slow])


def _status(descent: Descent, limits: Limits) -> list[Status]:
    fixed = limits.fixed(descent.vectors, descent.residual)
    finite = np.isfinite(descent.residual)
    conditions = zip(fixed, descent.slow, finite, strict=True)
    return [
        Status.FIXED if is_fixed else Status.DIVERGED if not ok else Status.SLOW if slow else Status.UNCONVERGED
        for is_fixed, slow, ok in conditions
    ]


def _members(
    descent: Descent,
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
