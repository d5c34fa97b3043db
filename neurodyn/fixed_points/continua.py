r"""Which of the fixed points that a search found lie on one continuum: a line, a ring, a surface.

A network that holds an angle or a position has no isolated fixed points: each start comes to another point of a curve.
Points belong to one continuum if they are connected by fixed points, which is tested in four steps:

1. Neighbours: each point's nearest ones, and the edges of the minimum spanning tree.
2. Marginality: at a point of a continuum :math:`J - I`, :math:`J = dF/dh`, has a null space, the tangent.
3. Connection: from the midpoint of two neighbours the solver has to come to a fixed point that lies close to the
   midpoint, in proportion to the distance of the neighbours. Between isolated points it goes to one of the two.
4. Dimension: from points shifted along the null space the solver has to come to fixed points that are shifted as well.
   The number of directions in which they are is the dimension; a marginal direction of an isolated point is none.

An isolated point of higher order, where :math:`F(h) - h` vanishes as a cube, cannot be distinguished from a short line
by residuals below a tolerance: what is shorter than ten times the cube root of the tolerance is not called a continuum.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, dijkstra, minimum_spanning_tree
from scipy.spatial.distance import cdist

from neurodyn.components import principal_axes
from neurodyn.fixed_points.continuum import Continuum, Shape
from neurodyn.fixed_points.problem import Problem, VectorStep
from neurodyn.fixed_points.solver import Limits

Solve = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Lets starts descend; where they ended, and whether there is a fixed point."""

LEAST_POINTS = 5
"""Fewer are not called a continuum: on a ring they would be more than 72 degrees apart."""
NEIGHBOURS = 6
FLAT = 0.3
"""Length of ``(J - I) c`` along a unit chord c at its midpoint, above which two points are not looked at further: on a
continuum it vanishes with the square of the chord's length."""
BENT = 0.25
"""How far from the midpoint its fixed point may lie, in units of the chord: on a circle, chords of 106 degrees."""
APART = 0.35
"""Least distance of a ring's points from the midpoint of its last gap, in gaps: a line has points there."""
NULL = 10.0
"""Singular values up to this many times the root of the tolerance are candidates for zero."""
MOST_NULL = 8
PROBED = 8
"""Points of a continuum at which its dimension is measured."""


def recognise(
    vectors: Float[np.ndarray, "points size"], problem: Problem, limits: Limits, solve: Solve
) -> list[Continuum]:
    """Continua among fixed points of one input; the numbers of points are rows of ``vectors``.

    Parameters
    ----------
    vectors
        Distinct fixed points, the best first.
    problem
        The step, with the input at which these are fixed points.
    limits
        When a start has arrived.
    solve
        The search's own solver, at this input.
    """
    vectors = np.asarray(vectors, np.float64)
    if len(vectors) < LEAST_POINTS:
        return []
    edges = _neighbours(vectors)
    chords = vectors[edges[:, 1]] - vectors[edges[:, 0]]
    middles = vectors[edges].mean(axis=1)
    edges = edges[_slope(problem, middles, chords) <= FLAT]
    if len(np.unique(edges)) < LEAST_POINTS:
        return []
    tangents = {int(point): _null_space(problem, vectors[point], limits) for point in np.unique(edges)}
    edges = edges[[len(tangents[int(a)]) > 0 and len(tangents[int(b)]) > 0 for a, b in edges]]
    if not len(edges):
        return []
    edges = edges[_connected(vectors, edges, solve)[0]]
    smallest = 10 * limits.tolerance ** (1 / 3) * (1.0 if limits.unit is None else limits.unit / limits.tolerance**0.5)
    found = []
    for members in _components(edges, len(vectors)):
        inside = edges[np.isin(edges[:, 0], members)]
        piece = _Piece(vectors, members, inside, tangents, solve)
        if len(members) >= LEAST_POINTS and np.ptp(vectors[members], axis=0).max() >= smallest:
            dimension = _dimension(piece)
            if dimension:
                found.append(_curve(piece) if dimension == 1 else _surface(piece, dimension))
    return found


@dataclass(frozen=True, eq=False)
class _Piece:
    """Points that are connected, by which edges, and the null space at each."""

    vectors: Float[np.ndarray, "points size"]
    members: Int[np.ndarray, " members"]
    edges: Int[np.ndarray, "edges 2"]
    tangents: dict[int, np.ndarray]
    solve: Solve

    def arc(self, edges: Int[np.ndarray, "edges 2"]) -> Float[np.ndarray, " edges"]:
        """Length along the continuum: of the circle that has the chord and, on average, its angles to the tangents."""
        chords = self.vectors[edges[:, 1]] - self.vectors[edges[:, 0]]
        length = np.linalg.norm(chords, axis=1)
        angles = np.empty(edges.shape)
        for number, (edge, chord) in enumerate(zip(edges, chords / length[:, None], strict=True)):
            for side, point in enumerate(edge):
                along = np.linalg.norm(self.tangents[int(point)] @ chord)
                angles[number, side] = np.arccos(min(along, 1.0))
        angle = np.minimum(angles.mean(axis=1), 1.0)
        return length / np.sinc(angle / np.pi)


def _neighbours(vectors: np.ndarray) -> Int[np.ndarray, "edges 2"]:
    """Pairs of points: the nearest ones of each, and those of the minimum spanning tree."""
    distance = cdist(vectors, vectors)
    near = np.argsort(distance, axis=1)[:, 1 : NEIGHBOURS + 1]
    pairs = np.stack([np.repeat(np.arange(len(vectors)), near.shape[1]), near.ravel()], axis=1)
    tree = minimum_spanning_tree(distance).tocoo()
    pairs = np.concatenate([pairs, np.stack([tree.row, tree.col], axis=1)])
    return np.unique(np.sort(pairs, axis=1), axis=0)


def _slope(problem: Problem, points: np.ndarray, ways: np.ndarray) -> Float[np.ndarray, " points"]:
    """Length of ``(J - I) c`` for the unit vector c along each way."""
    ways = ways / np.linalg.norm(ways, axis=1, keepdims=True)
    dtype = problem.vectors.dtype
    given = problem.inputs_of(np.zeros(len(points), np.int64))
    change = _changes(problem.step, problem.input_axis, points.astype(dtype), ways.astype(dtype), given)
    return np.linalg.norm(np.asarray(change) - ways, axis=1)


@partial(jax.jit, static_argnums=(0, 1))
def _changes(step: VectorStep, input_axis: int | None, points: Array, ways: Array, inputs: Any) -> Array:
    def of_one(point: Array, way: Array, given: Any) -> Array:
        return jax.jvp(lambda vector: step(vector, given), (point,), (way,))[1]

    return jax.vmap(of_one, in_axes=(0, 0, input_axis))(points, ways, inputs)


@partial(jax.jit, static_argnums=(0,))
def _jacobian(step: VectorStep, point: Array, inputs: Any) -> Array:
    return jax.jacfwd(step)(point, inputs)


def _null_space(problem: Problem, point: np.ndarray, limits: Limits) -> Float[np.ndarray, "directions size"]:
    """Orthonormal directions along which ``J - I`` is (nearly) zero.

    Inverse iteration on ``A'A`` for ``A = J - I``: a tenth of the time of a singular value decomposition of a large A.
    """
    given = jax.tree.map(lambda leaf: leaf[0], problem.inputs) if problem.input_axis == 0 else problem.inputs
    matrix = np.asarray(_jacobian(problem.step, point.astype(problem.vectors.dtype), given), np.float64)
    matrix = matrix - np.eye(len(matrix))
    if not np.isfinite(matrix).all():
        return matrix[:0]
    threshold = NULL * limits.tolerance**0.5
    count = min(len(matrix), MOST_NULL)
    square = matrix.T @ matrix
    shift = max(threshold, 1e-6) ** 2 * max(1.0, np.trace(square) / len(square))
    factor = cho_factor(square + shift * np.eye(len(matrix)))
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(len(matrix), count)))[0]
    for _ in range(4):
        basis = np.linalg.qr(cho_solve(factor, basis))[0]
    _, sizes, turns = np.linalg.svd(matrix @ basis, full_matrices=False)
    return (basis @ turns.T).T[sizes <= threshold]


def _connected(
    vectors: np.ndarray, edges: Int[np.ndarray, "edges 2"], solve: Solve
) -> tuple[Bool[np.ndarray, " edges"], Float[np.ndarray, "edges size"]]:
    """Whether there is a fixed point close to the midpoint of each pair, and where."""
    length = np.linalg.norm(vectors[edges[:, 1]] - vectors[edges[:, 0]], axis=1)
    middles = vectors[edges].mean(axis=1)
    ends, fixed = solve(middles)
    return fixed & (np.linalg.norm(ends - middles, axis=1) <= BENT * length), ends


def _components(edges: Int[np.ndarray, "edges 2"], count: int) -> list[Int[np.ndarray, " members"]]:
    """Points that are connected by edges; those with none are left out."""
    graph = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(count, count))
    label = connected_components(graph, directed=False)[1]
    return [np.flatnonzero(label == number) for number in np.unique(label[edges])]


def _dimension(piece: _Piece) -> int:
    """Number of directions in which there are further fixed points: the median over some of the points.

    The null space may have directions in which there are none; its basis mixes them with the others, so the rank is
    taken of where the shifted points came to.
    """
    chosen = piece.members[np.unique(np.linspace(0, len(piece.members) - 1, PROBED).astype(int))]
    ends = piece.vectors[piece.edges]
    shift = float(np.median(np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)))
    ways = [np.concatenate([piece.tangents[int(point)], -piece.tangents[int(point)]]) for point in chosen]
    starts = np.concatenate([piece.vectors[p] + shift * way for p, way in zip(chosen, ways, strict=True)])
    came, fixed = piece.solve(starts)
    came = np.where(fixed[:, None], came, np.repeat(piece.vectors[chosen], [len(way) for way in ways], axis=0))
    ranks = []
    for point, part in zip(chosen, np.split(came, np.cumsum([len(way) for way in ways])[:-1]), strict=True):
        moved = (part - piece.vectors[point]) @ piece.tangents[int(point)].T / shift
        ranks.append(int(np.sum(np.linalg.svd(moved, compute_uv=False) > 0.5)))
    return int(np.median(ranks))


def _curve(piece: _Piece) -> Continuum:
    """A ring or a line with its arc length, along the minimum spanning tree of the connections."""
    tree = _tree(piece)
    first = int(np.argmax(dijkstra(tree, directed=False, indices=int(piece.members[0]), limit=np.inf)[piece.members]))
    along = dijkstra(tree, directed=False, indices=int(piece.members[first]))[piece.members]
    last = int(np.argmax(along))
    ends = piece.members[[first, last]]
    shape, length = Shape.LINE, float(along[last])
    if _closes(piece, ends):
        shape, length = Shape.RING, length + float(piece.arc(ends[None])[0])
        turned = 2 * np.pi * (along - along[0]) / length
        along = np.angle(np.exp(1j * turned))
    order = np.argsort(along, kind="stable")
    return Continuum(shape, piece.members[order], along[order, None], np.array([length]))


def _tree(piece: _Piece) -> Any:
    """The minimum spanning tree of the connections, with lengths along the continuum."""
    size = (len(piece.vectors), len(piece.vectors))
    return minimum_spanning_tree(coo_array((piece.arc(piece.edges), tuple(piece.edges.T)), shape=size).tocsr())


def _closes(piece: _Piece, ends: Int[np.ndarray, " 2"]) -> bool:
    """Whether the gap between the ends of a curve is bridged by fixed points that are not among the curve's others."""
    connected, bridge = _connected(piece.vectors, ends[None], piece.solve)
    gap = np.linalg.norm(piece.vectors[ends[1]] - piece.vectors[ends[0]])
    nearest = np.linalg.norm(piece.vectors[piece.members] - bridge[0], axis=1).min()
    return bool(connected[0] and nearest >= APART * gap)


def _surface(piece: _Piece, dimension: int) -> Continuum:
    """Coordinates along the principal axes of the points."""
    found = principal_axes(piece.vectors[piece.members], dimension).points(piece.vectors[piece.members])
    order = np.argsort(found[:, 0], kind="stable")
    return Continuum(Shape.SURFACE, piece.members[order], found[order], np.ptp(found, axis=0))
