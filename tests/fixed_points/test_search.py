"""Every known fixed point is found from random starts, to the last digit, and nothing else is called one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from oracles import known_maps as systems
from scipy.optimize import brentq

from neurodyn.errors import InputError
from neurodyn.fixed_points import (
    FixedPoints,
    PrecisionWarning,
    SearchConfig,
    Stability,
    Status,
    find,
    find_more,
    find_rays,
    linearise,
    sample_starts,
    solver,
)
from neurodyn.fixed_points.merge import far_outside, groups, outliers
from neurodyn.fixed_points.problem import make_problem
from neurodyn.fixed_points.search import _second_try
from neurodyn.fixed_points.solver import SMALLEST_BATCH, DescentResult, Limits, batches


def rows(points):
    """Sorted, so that sets of points can be compared."""
    points = np.atleast_2d(np.asarray(points, np.float64))
    return points[np.lexsort(np.round(points, 6).T[::-1])]


def check_found(found, expected, *, tolerance):
    fixed = found.fixed
    assert (fixed.residual < tolerance).all()
    np.testing.assert_allclose(rows(fixed.vectors), rows(expected), atol=20 * tolerance, rtol=0)


def test_pitchfork():
    found = find(systems.pitchfork, systems.cloud(200, 2, scale=2.0), 0.7)
    check_found(found, [[0, 0], [0.7**0.5, 0], [-(0.7**0.5), 0]], tolerance=1e-12)
    assert found.starts.sum() == 200
    assert (found.starts > 10).all()


def test_pitchfork_before_it_forks_has_one():
    check_found(find(systems.pitchfork, systems.cloud(50, 2), -0.5), [[0, 0]], tolerance=1e-12)


@pytest.mark.usefixtures("float32")
def test_single_precision_reaches_its_own_tolerance():
    starts = systems.cloud(200, 2, scale=2.0)
    assert starts.dtype == np.float32
    found = find(systems.pitchfork, starts, jnp.float32(0.7))
    assert found.vectors.dtype == np.float32
    check_found(found, [[0, 0], [0.7**0.5, 0], [-(0.7**0.5), 0]], tolerance=1e-6)


@pytest.mark.usefixtures("float32")
def test_double_precision_asked_for_by_the_caller_alone():
    with jax.enable_x64(True):
        found = find(systems.pitchfork, systems.cloud(30, 2, scale=2.0), 0.7)
    check_found(found, [[0, 0], [0.7**0.5, 0], [-(0.7**0.5), 0]], tolerance=1e-12)


def test_saddle_node_and_the_ghost_it_leaves():
    starts = systems.cloud(60, 2)
    check_found(find(systems.saddle_node, starts, 0.25), [[0.5, 0], [-0.5, 0]], tolerance=1e-12)
    ghost = find(systems.saddle_node, starts, -0.01)
    assert len(ghost.fixed) == 0
    (status,) = set(ghost.status)
    assert status is Status.SLOW
    np.testing.assert_allclose(ghost.vectors, np.zeros((len(ghost), 2)), atol=1e-4)
    np.testing.assert_allclose(ghost.speed, 0.5 * (0.01 * systems.DT) ** 2, rtol=1e-6)


def test_without_second_derivatives_no_point_is_called_slow():
    found = find(systems.saddle_node, systems.cloud(30, 2), -0.01, config=SearchConfig(slow_iterations=0))
    assert set(found.status) == {Status.UNCONVERGED}


def test_a_second_try_adds_what_slow_starts_find_and_mends_those_that_came_to_nothing():
    residual, slow = np.array([0.0, 1.0, 1.0, 1.0]), np.array([False, True, False, True])
    first = DescentResult(np.arange(4.0)[:, None], residual, slow, np.full(4, 9))
    asked = []

    def again(problem):
        asked.extend(problem.vectors[:, 0])
        vectors = 10 + np.asarray(problem.vectors)
        return DescentResult(vectors, np.array([0.0, 0.0, 1.0]), np.zeros(3, bool), np.full(3, 5))

    problem = make_problem(lambda h, _: h, jnp.arange(4.0)[:, None], jnp.zeros(1), None)
    ends, begun = _second_try(problem, Limits(1e-3), first, again)
    assert asked == [1, 2, 3]
    assert ends.vectors[:, 0].tolist() == [0, 1, 12, 3, 11]
    assert begun.tolist() == [0, 1, 2, 3, 1]
    assert ends.slow.tolist() == [False, True, False, True, False]
    assert ends.iterations.tolist() == [9, 9, 5, 9, 5]


@pytest.mark.parametrize("input_axis", [None, 0])
def test_a_point_found_by_a_second_try_stands_beside_the_slow_point(monkeypatch, input_axis):
    """The first try is told to end every start at a slow point; the second one is left alone."""
    tries = []

    def descend(problem, *given, **options):
        tries.append(len(problem.vectors))
        if len(tries) > 1:
            return solver.descend(problem, *given, **options)
        ends = np.array([[5.0], [0.1], [7.0]])
        return DescentResult(ends, 0.5 * np.abs(ends[:, 0]), np.ones(3, bool), np.full(3, 9))

    monkeypatch.setattr("neurodyn.fixed_points.search.descend", descend)
    inputs = jnp.zeros((3, 1) if input_axis == 0 else 1)
    found = find(lambda h, x: 0.5 * h + x, jnp.asarray([[5.0], [0.1], [7.0]]), inputs, input_axis=input_axis)
    assert tries == [3, 3]
    assert found.status[0] is Status.FIXED
    np.testing.assert_allclose(found.vectors[0], 0, atol=1e-12)
    assert found.starts.tolist() == [0, 1, 1, 1]
    assert [found.vectors[p, 0] for p in found.point_of] == [5.0, 0.1, 7.0]
    np.testing.assert_allclose(found.speed, np.append(0, 0.5 * (0.5 * found.vectors[1:, 0]) ** 2), atol=1e-20)


def test_limit_cycle_has_the_origin_only():
    check_found(find(systems.limit_cycle, systems.cloud(60, 2), 1.0), [[0, 0]], tolerance=1e-12)


@pytest.mark.parametrize("size", [1, 5, 40])
def test_linear(size):
    random = np.random.default_rng(size)
    matrix, offset = random.normal(size=(size, size)), random.normal(size=size)
    found = find(systems.linear(jnp.asarray(matrix), jnp.asarray(offset)), systems.cloud(20, size))
    check_found(found, np.linalg.solve(np.eye(size) - matrix, offset), tolerance=1e-12)
    assert found.starts.tolist() == [20]


def test_hopfield_patterns_and_their_negatives():
    patterns, gain = systems.orthogonal_patterns(3, 32), 2.0
    size = systems.solve_scalar(lambda c: np.tanh(gain * c) - c, 0.1, 1.0)
    known = size * np.concatenate([patterns, -patterns])
    starts = jnp.asarray(np.repeat(known, 10, axis=0)) + systems.cloud(60, 32, scale=0.3)
    found = find(systems.hopfield(jnp.asarray(patterns), gain), starts).fixed
    assert (found.residual < 1e-12).all()
    for point in known:
        assert np.abs(found.vectors - point).max(axis=1).min() < 1e-11


def test_rank_one_network():
    random = np.random.default_rng(3)
    left = random.normal(size=30)
    right = 3 * left + random.normal(size=30)
    top = systems.solve_scalar(lambda k: right @ np.tanh(k * left) / 30 - k, 1e-3, 20.0)
    starts = systems.cloud(60, 30) + jnp.linspace(-2, 2, 60)[:, None] * left
    found = find(systems.rank_one(jnp.asarray(left), jnp.asarray(right)), starts)
    check_found(found, [0 * left, top * left, -top * left], tolerance=1e-12)


def test_every_start_has_its_own_input():
    offsets = jnp.linspace(-1, 1, 9)[:, None] * jnp.ones(3)
    found = find(lambda h, b: 0.5 * h + b, systems.cloud(9, 3), offsets, input_axis=0)
    np.testing.assert_allclose(found.vectors[found.point_of], 2 * np.asarray(offsets), atol=1e-11)
    np.testing.assert_allclose(found.vectors, 2 * np.asarray(offsets)[found.source], atol=1e-11)


def gain_step(h, x):
    """Every unit for itself: h -> h/2 + tanh(x h)/2. Below x = 1 it rests at 0, above also where tanh(x h) = h."""
    return 0.5 * h + 0.5 * jnp.tanh(x[0] * h)


def test_a_state_that_rests_under_two_inputs_is_two_points():
    inputs = jnp.asarray(np.repeat([[0.5], [2.0]], 60, axis=0))
    found = find(gain_step, 0.3 * systems.cloud(120, 1), inputs, input_axis=0)
    height = brentq(lambda h: np.tanh(2 * h) - h, 0.5, 1.0)
    expected = {(0.5, 0.0), (2.0, 0.0), (2.0, height), (2.0, -height)}
    given = np.asarray(inputs)[found.source].ravel()
    points = list(zip(given, found.vectors.ravel(), strict=True))
    assert set(found.status) == {Status.FIXED}
    for x, state in expected:
        assert sum(x == a and abs(state - b) < 1e-10 for a, b in points) == 1 or (x, state) == (2.0, 0.0)
    assert len(points) <= len(expected)
    np.testing.assert_array_equal(found.inputs.ravel(), given)
    np.testing.assert_array_equal(np.asarray(inputs).ravel(), given[found.point_of])
    origin = np.abs(found.vectors).max(axis=1) < 1e-8
    slopes = 0.5 + 0.5 * given[origin]  # of the step at 0
    linear = linearise(gain_step, found.states, inputs[found.source], input_axis=0, dt=1.0)
    stable = [linear.stability[i] is Stability.ATTRACTOR for i in np.flatnonzero(origin)]
    assert stable == (slopes < 1).tolist()


def test_both_classes_of_an_origin_are_kept():
    """The origin attracts at 0.5 and repels at 2, in all five units: starts beside it come to it under either input."""
    inputs = jnp.asarray(np.repeat([[0.5], [2.0]], 40, axis=0))
    found = find(gain_step, 0.05 * systems.cloud(80, 5), inputs, input_axis=0)
    origin = np.flatnonzero(np.abs(found.vectors).max(axis=1) < 1e-8)
    linear = linearise(gain_step, found.states, inputs[found.source], input_axis=0, dt=1.0)
    kinds = {float(found.inputs[i, 0]): linear.stability[i] for i in origin}
    assert kinds == {0.5: Stability.ATTRACTOR, 2.0: Stability.REPELLER}
    assert found.starts[origin].sum() > 40


def test_slow_points_and_the_origins_of_homogeneous_maps_are_told_apart_by_input():
    inputs = jnp.asarray(np.repeat([-0.01, -0.02], 30))
    ghosts = find(systems.saddle_node, systems.cloud(60, 2), inputs, input_axis=0).slow
    assert sorted(set(ghosts.inputs.ravel().tolist())) == [-0.02, -0.01]
    gains = jnp.asarray(np.repeat([0.5, 0.9], 10))
    rays = find(lambda h, gain: gain * jnp.maximum(h, 0), systems.cloud(20, 3), gains, input_axis=0)
    assert rays.homogeneous
    assert sorted(rays.fixed.inputs.ravel().tolist()) == [0.5, 0.9]
    assert rays.starts.sum() == 20


def test_inputs_may_be_of_any_kind_or_none():
    starts = systems.cloud(6, 2)
    assert find(lambda h, _: 0.5 * h, starts, None, input_axis=0).inputs is None
    keys = jax.random.split(jax.random.key(0), 6)
    given = {
        "key": keys,
        "turn": jnp.asarray(np.exp(1j * np.arange(6.0))),
        "on": jnp.arange(6) % 2 == 0,
        "mode": jnp.arange(6),
    }
    found = find(lambda h, x: 0.5 * h + jnp.real(x["turn"]), starts, given, input_axis=0)
    np.testing.assert_allclose(found.vectors[:, 0], 2 * np.cos(np.arange(6.0))[found.source], atol=1e-11)
    assert found.inputs.shape == (6, 2 + 2 + 1 + 1)


CELLS = {
    "lstm": (nnx.OptimizedLSTMCell, 2),
    "gru": (nnx.GRUCell, 1),
    "simple": (nnx.SimpleCell, 1),
}


@pytest.mark.parametrize("name", CELLS)
def test_cells_of_flax_with_their_own_states(name):
    make, parts = CELLS[name]
    cell = make(2, 6, dtype=jnp.float64, param_dtype=jnp.float64, rngs=nnx.Rngs(1))
    starts = [systems.cloud(12, 6, seed=part) for part in range(parts)]
    starts = tuple(starts) if parts > 1 else starts[0]
    found = find(lambda state, x: cell(state, x)[0], starts, jnp.asarray([0.3, -0.2])).fixed
    assert len(found) >= 1
    assert jax.tree.structure(found.states) == jax.tree.structure(starts)
    given = jnp.broadcast_to(jnp.asarray([0.3, -0.2]), (len(found), 2))
    after = cell(found.states, given)[0]
    for before, later in zip(jax.tree.leaves(found.states), jax.tree.leaves(after), strict=True):
        np.testing.assert_allclose(later, before, atol=1e-11)


def test_a_state_may_be_any_pytree_of_any_shape():
    def step(state, _):
        return {"a": jnp.tanh(state["a"]) / 2 + 1, "b": (state["b"][0] / 2 + state["a"].sum(),)}

    starts = {"a": systems.cloud(8, 4).reshape(8, 2, 2), "b": (systems.cloud(8, 1)[:, 0],)}
    found = find(step, starts)
    assert found.states["a"].shape == (1, 2, 2)
    assert found.states["b"][0].shape == (1,)
    np.testing.assert_allclose(found.states["b"][0], 2 * found.states["a"].sum(), atol=1e-11)
    assert found.layout.names[0] == "['a'][0][0]"


def test_the_order_of_the_starts_does_not_matter():
    starts = systems.cloud(50, 2, scale=2.0)
    forward, backward = (find(systems.pitchfork, s, 0.7) for s in (starts, starts[::-1]))
    np.testing.assert_allclose(rows(forward.vectors), rows(backward.vectors), atol=1e-11)
    assert sorted(forward.starts) == sorted(backward.starts)


def test_a_search_in_many_batches_is_the_search_in_one(monkeypatch):
    starts = systems.cloud(100, 2, scale=2.0)
    whole = find(systems.pitchfork, starts, 0.7)
    monkeypatch.setattr("neurodyn.fixed_points.solver.LARGEST_MATRICES", {"cpu": 1})
    assert len(batches(np.arange(100), 2)) == -(-100 // SMALLEST_BATCH)
    parts = find(systems.pitchfork, starts, 0.7)
    np.testing.assert_array_equal(parts.point_of, whole.point_of)


def test_the_same_step_again_compiles_nothing():
    traces = []

    def step(state, r):
        traces.append(1)
        return systems.pitchfork(state, r)

    find(step, systems.cloud(40, 2), 0.7)
    before = len(traces)
    find(step, systems.cloud(40, 2, seed=1), 0.6)
    checks = len(traces) - before  # shape, slope and homogeneity are looked at anew
    find(step, systems.cloud(40, 2, seed=2), 0.5)
    assert len(traces) - before == 2 * checks
    assert checks < before


# Rays ---------------------------------------------------------------------------------------------------------


def test_the_origin_of_a_homogeneous_map_is_found_and_rays_are_one_point():
    matrix = jnp.asarray([[1.0, 0.0], [0.5, 0.5]])  # keeps (1, 1), halves (0, 1)
    found = find(systems.relu_step(matrix), systems.cloud(200, 2))
    assert found.homogeneous
    assert found.ray.tolist() == [False, True]
    assert (found.starts > 20).all()
    np.testing.assert_array_equal(found.vectors[0], [0, 0])
    np.testing.assert_allclose(found.vectors[1] / found.vectors[1, 0], [1, 1], atol=1e-10)
    assert "ray" in found.table()


def test_a_map_with_a_bias_is_not_homogeneous():
    step = lambda h, x: jax.nn.relu(0.3 * h + x)  # noqa: E731
    assert find(step, systems.cloud(10, 3), jnp.zeros(3)).homogeneous
    assert not find(step, systems.cloud(10, 3), jnp.ones(3)).homogeneous


def test_rays_are_kept_directions_with_their_growth():
    random = np.random.default_rng(0)
    matrix = jnp.asarray(random.uniform(0.0, 0.5, size=(4, 4)))  # positive: one direction, by Perron and Frobenius
    rays = find_rays(systems.relu_step(matrix), jnp.abs(systems.cloud(30, 4)))
    values, vectors = np.linalg.eig(matrix)
    top = np.argmax(values.real)
    assert len(rays.points.fixed) == 1
    np.testing.assert_allclose(rays.growth, [values[top].real], atol=1e-11)
    np.testing.assert_allclose(rays.points.vectors[0], np.abs(vectors[:, top].real), atol=1e-11)
    with pytest.raises(InputError, match="not positively homogeneous"):
        find_rays(systems.pitchfork, systems.cloud(10, 2), 0.7)


# Slow points, outliers, more points ---------------------------------------------------------------------------


def test_non_convergence_is_a_status_and_the_table_says_so():
    found = find(
        systems.pitchfork, systems.cloud(30, 2, scale=3.0), 0.7, config=SearchConfig(iterations=1, slow_iterations=0)
    )
    unconverged = sum(status is Status.UNCONVERGED for status in found.status)
    assert unconverged > 5
    assert f"{unconverged} unconverged ({unconverged} starts)" in found.table()
    assert found.iterations.max() == 1


def test_a_step_that_is_not_finite_is_a_status():
    step = lambda h, _: jnp.where(h > 2.0, jnp.nan, 0.5 * h + 0.1)  # noqa: E731
    starts = jnp.concatenate([systems.cloud(9, 1, scale=0.5), jnp.full((1, 1), 5.0)])
    found = find(step, starts)
    assert found.status == (Status.FIXED, Status.DIVERGED)
    assert found.point_of[-1] == 1


def test_points_far_from_every_start_are_flagged():
    starts = 10 + systems.cloud(40, 2, scale=0.1)
    found = find(lambda h, _: 0.5 * h, starts)
    assert found.outlier.all()
    assert not find(lambda h, _: 0.5 * h + 5, starts).outlier.any()
    assert outliers(np.array([[3.1], [2.9]]), np.array([[-1.0], [1.0], [1.0], [-1.0]]), 2.0).tolist() == [True, False]


def test_groups_follow_the_rule():
    vectors = np.array([[0.0], [0.09], [0.18], [100.0], [109.0]])
    order = np.array([1, 0, 2, 3, 4])
    assert [g.tolist() for g in groups(vectors, order, 0.1)] == [[1, 0, 2], [3, 4]]
    assert [g.tolist() for g in groups(vectors, order[::-1], 0.08)] == [[4], [3], [2], [0], [1]]
    rays = np.array([[1.0, 2.0], [2.0, 4.0], [2.0, 1.0], [-1.0, -2.0]])
    assert [g.tolist() for g in groups(rays, np.arange(4), 1e-6, rays=True)] == [[0, 1], [2], [3]]


def test_deflation_finds_what_is_left():
    starts = systems.cloud(20, 2, scale=0.05) + jnp.asarray([0.85, 0.0])  # all in the basin of one point
    first = find(systems.pitchfork, starts, 0.7, config=SearchConfig(mirror=False))
    np.testing.assert_allclose(first.vectors, [[0.7**0.5, 0]], atol=1e-10)
    more = find_more(systems.pitchfork, first, starts, 0.7, radius=1.0)
    assert len(more) >= 1
    assert set(more.status) == {Status.FIXED}
    for point in more.vectors:
        assert min(np.abs(point - known).max() for known in ([0, 0], [-(0.7**0.5), 0])) < 1e-10


def test_deflation_keeps_away_from_the_points_of_its_own_input_alone():
    starts = 0.05 * systems.cloud(40, 1)
    first = find(gain_step, starts[:20], jnp.full((20, 1), 0.5), input_axis=0)  # the origin, under 0.5
    np.testing.assert_allclose(first.vectors, [[0]], atol=1e-10)
    both = jnp.asarray(np.repeat([[0.5], [0.4]], 20, axis=0))
    more = find_more(gain_step, first, starts, both, input_axis=0)
    np.testing.assert_allclose(more.vectors, [[0]], atol=1e-10)  # under 0.4 it is a new one
    np.testing.assert_array_equal(more.inputs, [[0.4]])
    with pytest.raises(InputError, match="inputs have 2 numbers per start, those of the points 1"):
        find_more(gain_step, first, starts[:20], jnp.full((20, 2), 0.5), input_axis=0)


def test_points_far_outside_of_the_starts_are_left_out_unless_asked_for():
    """h rests at 0 and at 30; a wide deflation of the one drives starts beside it to the other."""

    def step(h, _):
        return h + h * (30 - h) / 100

    starts = systems.cloud(60, 1)
    assert float(jnp.abs(starts).max()) < 5
    first = find(step, starts)
    np.testing.assert_allclose(first.fixed.vectors, [[0]], atol=1e-9)
    far = find_more(step, first, starts, radius=10.0, keep_far=True)
    np.testing.assert_allclose(far.vectors, [[30]], rtol=1e-9)
    assert len(find_more(step, first, starts, radius=10.0)) == 0
    wide = find_more(step, first, 8 * starts, radius=10.0)  # with starts that go so far it is not outside of them
    np.testing.assert_allclose(wide.vectors, [[30]], rtol=1e-9)
    vectors = np.array([[2.9, 0.0], [3.1, 0.0], [0.0, -3.1], [4.1, 0.0]])
    unit = np.array([[-1.0, 0.0], [1.0, 0.5]])
    assert far_outside(vectors, unit, 0.0).tolist() == [False, True, True, True]
    assert far_outside(vectors, unit, 3.0).tolist() == [False, False, False, True]


def test_deflating_everything_leaves_nothing():
    found = find(systems.pitchfork, systems.cloud(100, 2, scale=2.0), 0.7)
    assert len(find_more(systems.pitchfork, found, systems.cloud(50, 2, seed=1), 0.7)) == 0


# Starts and files ---------------------------------------------------------------------------------------------


def test_starts_are_states_with_noise():
    states = (np.arange(24.0).reshape(2, 3, 4), 100 + np.arange(6.0).reshape(2, 3, 1))
    one, two = sample_starts(states, 6, noise=0.0, seed=0)
    np.testing.assert_array_equal(np.sort(one[:, 0]), np.arange(0, 24, 4))
    np.testing.assert_array_equal(two[:, 0] - 100, one[:, 0] / 4)  # rows stay together
    many = sample_starts(states[0], 5000, noise=0.5, seed=0)
    nearest = np.round(many / 4 - np.arange(4) / 4) * 4 + np.arange(4)
    assert abs((many - nearest).std() - 0.5) < 0.02
    mixed = sample_starts(states[0], 6, noise=0.0, seed=0, between=0.5)
    np.testing.assert_array_equal(mixed[:3], one[:3])
    np.testing.assert_array_equal(2 * mixed[:, 0] % 4, 0)
    assert not np.array_equal(mixed[3:], one[3:])
    with pytest.raises(InputError, match="between"):
        sample_starts(states, 6, noise=0.0, seed=0, between=2.0)
    with pytest.raises(InputError, match="trial x time x units"):
        sample_starts(np.zeros((3, 4)), 2, noise=0.1, seed=0)


def test_saved_points_come_back(tmp_path):
    step = lambda s, _: (0.5 * s[0] + 1, {"x": jnp.tanh(s[1]["x"])})  # noqa: E731
    found = find(step, (systems.cloud(7, 2), {"x": systems.cloud(7, 3)}))
    found.save(tmp_path / "points.h5")
    again = FixedPoints.load(tmp_path / "points.h5")
    assert again.table() == found.table()
    assert again.to_xarray().identical(found.to_xarray())
    assert jax.tree.structure(again.states) == jax.tree.structure(found.states)
    more = find_more(step, again, (systems.cloud(7, 2), {"x": systems.cloud(7, 3)}))
    assert len(more) == 0
    (tmp_path / "text.h5").write_text("no")
    with pytest.raises(InputError, match=r"text\.h5"):
        FixedPoints.load(tmp_path / "text.h5")


def test_xarray_names_units_and_points():
    data = find(systems.pitchfork, systems.cloud(60, 2), 0.7).to_xarray()
    assert data["state"].dims == ("point", "unit")
    assert data["unit"].to_numpy().tolist() == ["[0]", "[1]"]
    assert set(data["status"].to_numpy()) == {"fixed"}


def test_where_keeps_track_of_the_starts():
    found = find(systems.pitchfork, systems.cloud(60, 2), 0.7)
    right = found.where(found.vectors[:, 0] > 0.5)
    assert len(right) == 1
    assert (right.point_of == 0).sum() == right.starts[0]
    assert (right.point_of == -1).sum() == 60 - right.starts[0]


def test_progress_counts_to_the_end():
    seen = []
    find(systems.pitchfork, systems.cloud(30, 2), 0.7, progress=lambda done, count: seen.append((done, count)))
    assert seen[-1] == (30, 30)
    assert seen == sorted(seen)


@pytest.mark.parametrize("size", [1e-6, 1e-3, 1.0, 1e3, 1e6])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_map_of_states_of_any_size_is_differentiable(size, precision, request):
    if precision == "float32":
        request.getfixturevalue("float32")
    starts = size * systems.cloud(20, 2)
    unit = jnp.asarray(size, starts.dtype)
    make_problem(lambda h, _: unit * jnp.tanh(1.5 * h / unit), starts, None, None)
    with pytest.raises(InputError, match="not differentiable"):
        make_problem(lambda h, _: jax.lax.stop_gradient(0.9 * h), starts, None, None)


@pytest.mark.usefixtures("float32")
def test_double_precision_that_is_not_to_be_had_is_announced():
    starts = np.random.default_rng(0).normal(size=(5, 2))
    with pytest.warns(PrecisionWarning, match=r"starts are float64, but JAX computes in float32"):
        found = find(systems.pitchfork, starts, jnp.float32(0.7))
    assert found.vectors.dtype == np.float32
    find(systems.pitchfork, starts.astype(np.float32), jnp.float32(0.7))  # warnings are errors here


def test_a_start_on_a_kink_is_no_bad_input():
    found = find(systems.relu_step(jnp.asarray([[0.5, -1.0], [1.0, 0.2]])), jnp.zeros((1, 2)))
    assert found.status == (Status.FIXED,)


# Bad input ----------------------------------------------------------------------------------------------------

GRU = nnx.GRUCell(2, 4, param_dtype=jnp.float64, rngs=nnx.Rngs(0))


def bad(step=systems.pitchfork, starts=None, inputs=0.7, **options):
    return dict(step=step, starts=systems.cloud(5, 2) if starts is None else starts, inputs=inputs, **options)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (bad(lambda h, _: h[:1]), r"changes the shape of the state from \(2,\) to \(1,\)"),
        (bad(lambda h, _: (h, h)), "has to return a state as it takes it"),
        (bad(lambda h, _: h.astype(jnp.float32)), "changes the type of the state from float64 to float32"),
        (bad(starts=jnp.zeros((5, 2)).at[3].set(jnp.nan)), "NaN or infinity in 1 of 5 rows of the array, first in"),
        (bad(starts=jnp.zeros((5, 2), int)), "have to be floating-point"),
        (bad(starts=jnp.zeros(5)), "one row per start"),
        (bad(starts=jnp.zeros((0, 2))), "positive number of rows"),
        (bad(starts=(jnp.zeros((5, 2)), jnp.zeros((4, 2)))), "same, positive number of rows"),
        (bad(starts=(jnp.zeros((5, 2)), jnp.zeros((5, 2), jnp.float32))), "one floating-point type"),
        (bad(starts={}), "hold no array"),
        (bad(lambda h, x: GRU(h, x)[0], jnp.zeros((5, 4)), jnp.zeros(3)), r"failed on state \(4,\) and input \(3,\)"),
        (bad(inputs=jnp.zeros((4, 1)), input_axis=0), "expected 5 rows"),
        (bad(inputs=jnp.nan), "inputs: NaN"),
        (bad(input_axis=1), "input_axis is None"),
        (bad(lambda h, _: jnp.round(10 * h) / 10), "not differentiable"),
        (bad(lambda h, _: jax.lax.stop_gradient(h / 2)), "not differentiable"),
        (bad(lambda h, _: jnp.sign(h), starts=jnp.full((5, 40), 0.05)), "not differentiable"),
        (bad(lambda h, _: jnp.asarray(np.tanh(np.asarray(h)))), "takes values out of JAX"),
        (
            bad(lambda h, _: jax.pure_callback(np.tanh, jax.ShapeDtypeStruct(h.shape, h.dtype), h)),
            "cannot be differentiated",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_named(given, message):
    with pytest.raises(InputError, match=message):
        find(given.pop("step"), given.pop("starts"), given.pop("inputs"), **given)


@pytest.mark.parametrize(
    "options", [{"tolerance": 0.0}, {"merge": -1.0}, {"outlier": 0.0}, {"iterations": 0}, {"slow_iterations": -1}]
)
def test_settings_that_make_no_sense(options):
    with pytest.raises(InputError, match=next(iter(options))):
        SearchConfig(**options)
