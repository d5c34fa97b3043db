"""Where the starts of a search came to: completed by symmetry, and looked through for continua."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from neurodyn.fixed_points.continua import recognise
from neurodyn.fixed_points.continuum import Continuum
from neurodyn.fixed_points.merge import groups
from neurodyn.fixed_points.newton import newton
from neurodyn.fixed_points.problem import Problem
from neurodyn.fixed_points.solver import DescentResult, Limits, residuals


def numbered(rows: Float[np.ndarray, "points entries"]) -> Int[np.ndarray, " points"]:
    """A number for each row, equal rows having one number."""
    return np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)


class ConvergedStates(NamedTuple):
    """Where starts came to, which of them are the points of the search, where each began, and whether it is fixed."""

    descent: DescentResult
    best: Int[np.ndarray, " points"]
    begun: Int[np.ndarray, " ends"]
    fixed: Bool[np.ndarray, " ends"]


def continua_of(
    problem: Problem, ends: ConvergedStates, limits: Limits, merge: float, descend_from: Callable[..., DescentResult]
) -> tuple[Continuum, ...]:
    """Continua of the fixed points of each input; of a homogeneous map those of the ends of all starts.

    A ray is one point of the search, and many ends: their lengths show that it is a line.
    """
    points = np.flatnonzero(ends.fixed[ends.best])
    chosen = ends.best[points]
    if limits.unit is not None:
        others = np.setdiff1d(np.flatnonzero(ends.fixed), chosen)
        groups_of = groups(ends.descent.vectors, np.concatenate([chosen, others]), merge)
        chosen = np.concatenate([chosen, np.setdiff1d([group[0] for group in groups_of], chosen)]).astype(np.int64)
    rows = problem.input_rows()
    kinds = np.zeros(len(chosen), np.int64) if rows is None else numbered(rows[ends.begun[chosen]])
    number = np.full(len(chosen), -1)
    number[: len(points)] = points  # ends that belong to no point of the search have no number
    found = []
    for kind in np.unique(kinds):
        part = np.flatnonzero(kinds == kind)
        start = int(ends.begun[chosen[part[0]]])

        def solve(vectors: np.ndarray, start: int = start) -> tuple[np.ndarray, np.ndarray]:
            # As many at once as there were starts, so that batches are of sizes that are compiled.
            parts = np.array_split(vectors.astype(problem.vectors.dtype), -(-len(vectors) // len(problem.vectors)))
            given = [problem.inputs_of(np.full(len(part), start)) for part in parts]
            problems = (replace(problem, vectors=part, inputs=x) for part, x in zip(parts, given, strict=True))
            came = [descend_from(each) for each in problems]
            fixed = np.concatenate([limits.fixed(each.vectors, each.residual) for each in came])
            return np.concatenate([each.vectors for each in came]).astype(np.float64), fixed

        here = replace(problem, inputs=problem.inputs_of(np.full(len(problem.vectors), start)))
        recognised = recognise(ends.descent.vectors[chosen[part]], here, limits, solve)
        found += [continuum.renumbered(number[part]) for continuum in recognised]
    return tuple(sorted((continuum for continuum in found if len(continuum)), key=len, reverse=True))


def and_newton(go: Callable[[Problem], DescentResult], problem: Problem, *, limits: Limits, most: int) -> DescentResult:
    """A second try by descent, and by Newton's method for those that this leaves on the way."""
    second = go(problem)
    left = np.flatnonzero(~limits.fixed(second.vectors, second.residual))
    if len(left):
        third = newton(
            replace(problem, vectors=problem.vectors[left], inputs=problem.inputs_of(left)), limits, most=most
        )
        good = limits.fixed(third.vectors, third.residual)
        for part, new in zip(second, third, strict=True):
            part[left[good]] = new[good]
    return second


def mirrored(
    descent: DescentResult, begun: Int[np.ndarray, " before"], limits: Limits
) -> tuple[DescentResult, Int[np.ndarray, " ends"]]:
    """Behind the ends the mirror images of the fixed ones: of an odd step they are fixed as well."""
    chosen = np.flatnonzero(limits.fixed(descent.vectors, descent.residual))
    images = DescentResult(*(part[chosen] for part in descent))._replace(vectors=-descent.vectors[chosen])
    both = DescentResult(*(np.append(part, new, axis=0) for part, new in zip(descent, images, strict=True)))
    return both, np.append(begun, begun[chosen])


def with_origin(
    problem: Problem, descent: DescentResult, begun: Int[np.ndarray, " before"], kind: Int[np.ndarray, " starts"]
) -> tuple[DescentResult, Int[np.ndarray, " ends"]]:
    """Behind the ends the origin under every input, whether a start came to it or not; where the step has one there."""
    last = len(kind) - 1 - np.unique(kind[::-1], return_index=True)[1]
    zeros = np.zeros((len(last), descent.vectors.shape[1]), descent.vectors.dtype)
    at_origin = replace(problem, vectors=zeros, inputs=problem.inputs_of(last))
    last = last[(residuals(at_origin, zeros) == 0).all(axis=1)]
    parts = (np.append(part, np.zeros((len(last), *part.shape[1:]), part.dtype), axis=0) for part in descent)
    return DescentResult(*parts), np.append(begun, last)
