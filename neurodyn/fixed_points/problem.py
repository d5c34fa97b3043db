"""A user's step function as a map of vectors, checked before any work starts."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from neurodyn.errors import InputError

Step = Callable[[Any, Any], Any]
"""``step(state, input) -> state``: one time step; the state is any pytree of floating-point arrays."""

PROBES = 8
"""Starts at which the derivative is held against a finite difference, and homogeneity is tested."""
SCALES = (0.5, 4.0)
"""Powers of two: a product with them is exact."""


class PrecisionWarning(UserWarning):
    """What was given in double precision is computed in single precision.

    Examples
    --------
    >>> from neurodyn.fixed_points import PrecisionWarning
    >>> issubclass(PrecisionWarning, UserWarning)  # warnings.simplefilter("error", PrecisionWarning) refuses to round
    True
    """


@dataclass(frozen=True)
class Layout:
    """How a state lies in a vector.

    Parameters
    ----------
    structure
        Of the pytree.
    shapes
        Of each leaf.
    names
        One per entry of the vector, for example ``[0][17]``.
    """

    structure: Any
    shapes: tuple[tuple[int, ...], ...]
    names: tuple[str, ...]

    @property
    def size(self) -> int:
        """Entries of the vector."""
        return len(self.names)

    def vector(self, state: Any) -> Float[Array, " size"]:
        """Put a state into a vector."""
        leaves = jax.tree.leaves(state)
        return leaves[0].reshape(-1) if len(leaves) == 1 else jnp.concatenate([leaf.reshape(-1) for leaf in leaves])

    def vectors(self, states: Any) -> Float[np.ndarray, "points size"]:
        """Put states (points x ...) into rows, on the host."""
        leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(states)]
        return np.concatenate([leaf.reshape(len(leaf), -1) for leaf in leaves], axis=1)

    def states(self, vectors: Any) -> Any:
        """Take states out of vectors (... x size)."""
        ends = np.cumsum([int(np.prod(shape)) for shape in self.shapes])
        leaves = [
            vectors[..., end - int(np.prod(shape)) : end].reshape(*vectors.shape[:-1], *shape)
            for end, shape in zip(ends, self.shapes, strict=True)
        ]
        return jax.tree.unflatten(self.structure, leaves)


def layout_of(state: Any) -> Layout:
    """Layout of vectors for states like this one: each entry is named by the path of its leaf and its index there."""
    names = []
    for path, leaf in jax.tree_util.tree_flatten_with_path(state)[0]:
        start = jax.tree_util.keystr(path)
        names += [start + "".join(f"[{i}]" for i in index) for index in np.ndindex(leaf.shape)]
    shapes = tuple(tuple(leaf.shape) for leaf in jax.tree.leaves(state))
    return Layout(jax.tree.structure(state), shapes, tuple(names))


@dataclass(frozen=True)
class VectorStep:
    """The step as a map of vectors; hashable, so that compiled solvers are shared by calls with the same step."""

    step: Step
    layout: Layout

    def __call__(self, vector: Float[Array, " size"], inputs: Any) -> Float[Array, " size"]:
        """One step."""
        return self.layout.vector(self.step(self.layout.states(vector), inputs))


@dataclass(frozen=True, eq=False)
class Problem:
    """A step, the vectors to start from and the input, checked.

    Parameters
    ----------
    step
        The map.
    vectors
        (points, size).
    inputs
        As given; leaves as arrays.
    input_axis
        0 if every leaf of ``inputs`` has one entry per point, None if one input serves all.
    """

    step: VectorStep
    vectors: Float[np.ndarray, "points size"]
    inputs: Any
    input_axis: int | None

    def inputs_of(self, chosen: np.ndarray) -> Any:
        """Inputs of some of the points."""
        return self.inputs if self.input_axis is None else jax.tree.map(lambda leaf: leaf[chosen], self.inputs)

    def input_rows(self) -> Float[np.ndarray, "points entries"] | None:
        """The input of every point as a row of numbers, in double precision; None if one input, or none, serves all."""
        leaves = jax.tree.leaves(self.inputs)
        if self.input_axis is None or not leaves:
            return None
        return np.concatenate([_numbers(leaf) for leaf in leaves], axis=1)


def _numbers(leaf: Array) -> Float[np.ndarray, "points entries"]:
    """An array with a row of real numbers per point, whatever it holds."""
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    rows = np.asarray(leaf).reshape(len(leaf), -1)
    if np.iscomplexobj(rows):
        rows = np.concatenate([np.real(rows), np.imag(rows)], axis=1)
    return rows.astype(np.float64)


def make_problem(step: Step, states: Any, inputs: Any, input_axis: int | None) -> Problem:
    """Check a step, states (points x ...) and inputs, and return them as a problem on vectors.

    Raises
    ------
    InputError
        If the states are empty, not floating-point, of several types, ragged or not finite; if the step fails on the
        input given, cannot be traced, changes the structure, shape or type of the state; if inputs do not fit the
        points; or if the derivative of the step is not its slope.

    Warns
    -----
    PrecisionWarning
        If the states are float64 and JAX computes in float32.
    """
    _announce_precision(states)
    states = jax.tree.map(jnp.asarray, states)
    count = _check_states(states)
    inputs = jax.tree.map(jnp.asarray, inputs)
    _check_inputs(inputs, input_axis, count)
    first = jax.tree.map(lambda leaf: leaf[0], states)
    _check_step(step, first, _one(inputs, input_axis, 0), input_axis)
    layout = layout_of(first)
    problem = Problem(VectorStep(_hashable(step), layout), layout.vectors(states), inputs, input_axis)
    _check_slope(problem)
    return problem


def _announce_precision(states: Any) -> None:
    """JAX turns float64 into float32 without a word unless x64 is on; results are then good to 1e-6, not to 1e-12."""
    wide = any(getattr(leaf, "dtype", None) == np.float64 for leaf in jax.tree.leaves(states))
    if wide and jnp.result_type(float) != np.float64:
        text = (
            "starts are float64, but JAX computes in float32 here: for double precision call "
            "jax.config.update('jax_enable_x64', True) first, else convert the starts to float32"
        )
        warnings.warn(text, PrecisionWarning, stacklevel=4)


def is_homogeneous(problem: Problem) -> bool:
    """Whether the step is positively homogeneous at this input, as seen at some of the starts.

    Every unit has to scale: ``|F(c h) - c F(h)| <= 100 eps max |c F(h)|``.
    """
    after, *scaled = (
        np.asarray(_after(problem.step, problem.input_axis, *_probed(problem, c))) for c in (1.0, *SCALES)
    )
    if (after == 0).all() or not np.isfinite(after).all():
        return False
    allowed = 100 * np.finfo(after.dtype).eps * np.abs(after).max(axis=1, keepdims=True)
    return all((np.abs(other / c - after) <= allowed).all() for other, c in zip(scaled, SCALES, strict=True))


def is_odd(problem: Problem) -> bool:
    """Whether the step is odd at this input, F(-h) = -F(h) to ``100 eps max |F(h)|``, as seen at some starts."""
    after, mirrored = (np.asarray(_after(problem.step, problem.input_axis, *_probed(problem, c))) for c in (1.0, -1.0))
    if (after == 0).all() or not np.isfinite(after).all():
        return False
    allowed = 100 * np.finfo(after.dtype).eps * np.abs(after).max(axis=1, keepdims=True)
    return bool((np.abs(after + mirrored) <= allowed).all())


def rounding_of(problem: Problem) -> float:
    """What the step rounds off at the starts: the median over some of them, each with its worst unit.

    The fourth difference of F at states that are exact in their precision vanishes with the fourth power of their
    distance d, which is chosen so that this is less than rounding; what is left are the errors of five evaluations.
    """
    points, inputs = _probed(problem, 1.0)
    points = np.asarray(points)
    share, exponent = np.frexp(points)
    coarse = np.ldexp(np.round(share * 2.0**6), exponent - 6).astype(points.dtype)  # the last bits are for the shifts
    signs = np.random.default_rng(0).choice([-1, 1], points.shape)
    distance = np.finfo(points.dtype).nmant // 4 + 2
    shift = np.ldexp(signs * (coarse != 0), exponent - distance).astype(points.dtype)
    values = [
        np.asarray(_after(problem.step, problem.input_axis, jnp.asarray(coarse + times * shift), inputs))
        for times in range(-2, 3)
    ]
    weights = np.array([1, -4, 6, -4, 1], points.dtype)
    errors = np.abs(np.tensordot(weights, np.stack(values), 1)).max(axis=1) / np.sqrt(np.sum(weights**2))
    return float(np.median(errors)) if np.isfinite(errors).all() else 0.0


def _probed(problem: Problem, scale: float) -> tuple[Array, Any]:
    """A few starts, scaled, with their inputs."""
    chosen = _probes(problem)
    return jnp.asarray(scale * problem.vectors[chosen]), problem.inputs_of(chosen)


@partial(jax.jit, static_argnums=(0, 1))
def _after(step: VectorStep, input_axis: int | None, points: Array, inputs: Any) -> Array:
    return jax.vmap(step, in_axes=(0, input_axis))(points, inputs)


def _probes(problem: Problem) -> np.ndarray:
    return np.linspace(0, len(problem.vectors) - 1, min(PROBES, len(problem.vectors))).astype(int)


def _hashable(step: Step) -> Step:
    """The step, behind a function if it cannot be the key of a cache itself."""
    try:
        hash(step)
    except TypeError:
        return lambda state, inputs: step(state, inputs)
    return step


def _check_states(states: Any) -> int:
    """Return how many states there are."""
    leaves = jax.tree_util.tree_flatten_with_path(states)[0]
    if not leaves:
        raise InputError("starts hold no array: give arrays with one start per row (starts x units)")
    named = {jax.tree_util.keystr(path) or "the array": leaf for path, leaf in leaves}
    for name, leaf in named.items():
        if leaf.ndim < 2 and len(named) == 1:
            raise InputError(
                f"starts have to be (starts x units), got an array of shape {leaf.shape}: one row per start"
            )
        if leaf.ndim < 1:
            raise InputError(f"starts: {name} is a single number: one entry per start is needed along the first axis")
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise InputError(f"starts have to be floating-point, {name} is {leaf.dtype}: convert it")
    lengths = {name: len(leaf) for name, leaf in named.items()}
    if len(set(lengths.values())) > 1 or 0 in lengths.values():
        raise InputError(f"starts: every array needs the same, positive number of rows, got {lengths}")
    kinds = {str(leaf.dtype) for leaf in named.values()}
    if len(kinds) > 1:
        raise InputError(f"starts have to be of one floating-point type, got {sorted(kinds)}: convert them")
    for name, leaf in named.items():
        bad = np.flatnonzero(~np.isfinite(np.asarray(leaf)).reshape(len(leaf), -1).all(axis=1))
        if len(bad):
            raise InputError(
                f"starts: NaN or infinity in {len(bad)} of {len(leaf)} rows of {name}, first in row {bad[0]}: "
                "leave them out"
            )
    return next(iter(lengths.values()))


def _check_inputs(inputs: Any, input_axis: int | None, count: int) -> None:
    if input_axis not in (None, 0):
        raise InputError(f"input_axis is None (one input for all) or 0 (one per start), got {input_axis}")
    for leaf in jax.tree.leaves(inputs):
        if jnp.issubdtype(leaf.dtype, jnp.floating) and not bool(jnp.isfinite(leaf).all()):
            raise InputError(f"inputs: NaN or infinity in an array of shape {leaf.shape}: give the input to solve at")
        if input_axis == 0 and (leaf.ndim == 0 or len(leaf) != count):
            raise InputError(
                f"inputs with input_axis=0 need one row per start: expected {count} rows, got shape {leaf.shape}"
            )


def _one(inputs: Any, input_axis: int | None, index: int) -> Any:
    return inputs if input_axis is None else jax.tree.map(lambda leaf: leaf[index], inputs)


def _check_step(step: Step, state: Any, inputs: Any, input_axis: int | None) -> None:
    """The step runs under tracing and returns what it was given."""
    shapes = f"state {_shapes(state)} and input {_shapes(inputs)}"
    try:
        after = jax.eval_shape(step, state, inputs)
    except (jax.errors.TracerArrayConversionError, jax.errors.ConcretizationTypeError) as error:
        raise InputError(
            f"step cannot be differentiated: it takes values out of JAX ({_first_line(error)}): write it with jax.numpy"
        ) from error
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        hint = "" if input_axis == 0 else "; if inputs hold one row per start, give input_axis=0"
        raise InputError(f"step failed on {shapes}: {_first_line(error)}: check the size of the input{hint}") from error
    if jax.tree.structure(after) != jax.tree.structure(state):
        raise InputError(
            f"step has to return a state as it takes it, {jax.tree.structure(state)}, got {jax.tree.structure(after)}: "
            "of a flax cell, take the first of what it returns"
        )
    for given, got in zip(jax.tree.leaves(state), jax.tree.leaves(after), strict=True):
        if given.shape != got.shape:
            raise InputError(f"step changes the shape of the state from {given.shape} to {got.shape} ({shapes})")
        if given.dtype != got.dtype:
            raise InputError(
                f"step changes the type of the state from {given.dtype} to {got.dtype}: convert one of them"
            )


def _check_slope(problem: Problem) -> None:
    """The derivative JAX takes is the slope of the step (it is not of rounding, sampling or a stopped gradient).

    At a kink it may be the slope on either side. A derivative may also be zero because a step is flat; one that is flat
    at every start and yet moves over a tenth of their size is one of stairs.
    """
    points, inputs = _probed(problem, 1.0)
    along = np.random.default_rng(0).choice([-1.0, 1.0], points.shape).astype(points.dtype)
    size = np.abs(np.asarray(points)).max(axis=1, keepdims=True)
    typical = float(np.median(np.abs(problem.vectors).max(axis=1)))
    try:
        after = lambda shift: np.asarray(_after(problem.step, problem.input_axis, points + shift, inputs))  # noqa: E731
        slope = np.asarray(_slopes(problem.step, problem.input_axis, points, jnp.asarray(along), inputs))
    except (TypeError, ValueError, NotImplementedError) as error:
        raise InputError(f"step cannot be differentiated: {_first_line(error)}") from error
    # A map may live on any scale: a step that is long next to the states does not measure their slope, and one that
    # is short next to what is rounded inside of the map does not either.
    wrong = _not_the_slope(after, slope, along, np.maximum(size, typical or 1.0))
    if 2 * wrong.sum() > len(points):
        wrong &= _not_the_slope(after, slope, along, 1 + size)
    if 2 * wrong.sum() > len(points):
        raise InputError(
            "step is not differentiable: its derivative differs from a finite difference at "
            f"{wrong.sum()} of {len(points)} starts: is something in it rounded, compared or cut off from gradients?"
        )


def _not_the_slope(
    after: Callable[[Any], np.ndarray], slope: np.ndarray, along: np.ndarray, size: np.ndarray
) -> Bool[np.ndarray, " probes"]:
    """Where a derivative differs from finite differences, with steps in proportion to ``size``."""
    precision = np.finfo(slope.dtype).eps
    fine, coarse = precision ** (1 / 3) * size, 0.1 * (1 + size)
    ahead, here, behind = after(fine * along), after(0 * fine), after(-fine * along)
    differences = np.stack([ahead - here, here - behind, (ahead - behind) / 2]) / fine
    noise = precision * (size + np.abs(ahead).max(axis=1, keepdims=True)) / fine  # of a difference, from rounding
    scale = np.maximum(np.abs(slope), np.abs(differences).max(axis=0)).max(axis=1, keepdims=True)
    if (slope == 0).all() and (differences == 0).all():
        return (after(coarse * along) != after(-coarse * along)).any(axis=1)
    return np.asarray((np.abs(slope - differences).min(axis=0) > 0.5 * scale + 10 * noise).any(axis=1))


@partial(jax.jit, static_argnums=(0, 1))
def _slopes(step: VectorStep, input_axis: int | None, points: Array, along: Array, inputs: Any) -> Array:
    def of_one(point: Array, direction: Array, given: Any) -> Array:
        return jax.jvp(lambda vector: step(vector, given), (point,), (direction,))[1]

    return jax.vmap(of_one, in_axes=(0, 0, input_axis))(points, along, inputs)


def _shapes(tree: Any) -> str:
    shapes = [str(tuple(leaf.shape)) for leaf in jax.tree.leaves(tree)]
    return ", ".join(shapes) or "None"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200]
