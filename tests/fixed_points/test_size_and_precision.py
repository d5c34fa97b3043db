"""What counts as found follows the scale of the states and the precision of the step; large states need no matrices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import known_maps as systems
from scipy.optimize import root

from neurodyn.errors import InputError
from neurodyn.fixed_points import SearchConfig, Status, find, sample_starts
from neurodyn.fixed_points.krylov import conjugate_gradients
from neurodyn.fixed_points.problem import is_odd, make_problem, rounding_of
from neurodyn.fixed_points.solver import Limits


def tanh_step(h, weights):
    return jnp.tanh(weights @ h)


def cell_starts(count, units, dtype):
    return {name: systems.cloud(count, units, seed=seed, dtype=dtype) for seed, name in enumerate("ch")}


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_saturated_gate_has_its_fixed_point_a_thousand_times_as_far_away(precision, request):
    """It is found from normal starts; its residual is rounding in units of the state, not of 1."""
    if precision == "float32":
        request.getfixturevalue("float32")
    found = find(systems.saturated(0.999), cell_starts(60, 2, jnp.dtype(precision)))
    expected = np.tanh(1.5) / 0.001
    assert len(found.fixed) == 1
    np.testing.assert_allclose(found.fixed.states["c"], np.full((1, 2), expected), rtol=1e-3)
    np.testing.assert_allclose(found.fixed.states["h"], np.full((1, 2), 0.5), rtol=1e-6)


@pytest.mark.usefixtures("float32")
def test_a_gate_that_precision_cannot_tell_from_one_has_no_fixed_point():
    found = find(systems.saturated(1 - 1e-9), cell_starts(40, 2, jnp.float32))
    assert not len(found.fixed)


@pytest.mark.usefixtures("float32")
def test_mirror_images_are_complete_in_single_precision():
    weights = systems.random_network(60, 1.5, symmetric=True)
    starts = systems.cloud(24, 60)
    for _ in range(5):  # from the trajectories: random states mostly lead to the origin
        starts = jax.vmap(tanh_step, (0, None))(starts, weights)
    found = find(tanh_step, starts, weights).fixed
    assert len(found) >= 5
    for vector in found.vectors:
        assert np.abs(found.vectors + vector).max(axis=1).min() <= 1e-3
    assert len(found) % 2 == 1  # the origin is its own mirror image
    assert (np.abs(found.vectors).max(axis=1) == 0).sum() == 1
    wide = np.asarray(weights, np.float64)
    for vector in found.vectors[:8]:
        again = root(lambda h: np.tanh(wide @ h) - h, vector.astype(np.float64), tol=1e-13).x
        np.testing.assert_allclose(vector, again, atol=1e-3)
    plain = find(tanh_step, starts, weights, config=SearchConfig(mirror=False)).fixed
    assert len(plain) < len(found)


def test_a_step_is_odd_or_not():
    starts = systems.cloud(10, 4)
    weights = jnp.asarray(np.random.default_rng(0).normal(size=(4, 4)))
    assert is_odd(make_problem(tanh_step, starts, weights, None))
    for other in (lambda h, w: jnp.tanh(w @ h + 0.1), lambda h, w: jax.nn.relu(w @ h), lambda h, w: 0 * h):
        assert not is_odd(make_problem(other, starts, weights, None))


@pytest.mark.parametrize("size", [1.0, 1e4])
def test_rounding_is_measured_and_not_curvature(size):
    """A step that adds and takes away a constant rounds to that constant's last place."""
    unit, big = jnp.asarray(size), 2.0**30 * size
    smooth = make_problem(lambda h, _: unit * jnp.sin(h / unit), size * systems.cloud(20, 5), None, None)
    assert rounding_of(smooth) < 1e-15 * size
    rough = make_problem(lambda h, x: (0.3 * h + x) - x, size * systems.cloud(20, 5), jnp.asarray(big), None)
    last_place = 2.0**-52 * big
    assert 0.1 * last_place < rounding_of(rough) < 2 * last_place


@pytest.mark.usefixtures("float32")
def test_the_tolerance_is_what_the_step_rounds_off():
    """In float32 this step is good to 1e-5 alone, whatever the state: its points are fixed to that."""
    starts = systems.cloud(40, 6)
    step = lambda h, x: jnp.tanh(0.9 * h + 0.3) + ((0.1 * h + x) - x)  # noqa: E731
    found = find(step, starts, jnp.float32(100.0))
    assert 4e-6 < found.tolerance < 1e-4
    assert len(found.fixed) == 1
    given = find(step, starts, jnp.float32(100.0), config=SearchConfig(tolerance=1e-6))
    assert given.tolerance == 1e-6
    assert Limits(1e-6, precision=2.0**-22).fixed(np.array([[1.0], [1e4]]), np.array([2e-6, 2e-3])).tolist() == [
        False,
        True,
    ]


def test_without_matrices_the_same_points_are_found():
    weights = systems.random_network(30, 1.6, symmetric=True, dtype=np.float64)
    starts = systems.cloud(32, 30)
    for _ in range(5):
        starts = jax.vmap(tanh_step, (0, None))(starts, weights)
    dense, free = (find(tanh_step, starts, weights, config=SearchConfig(matrix_free=way)) for way in (False, True))
    assert (free.fixed.residual < 1e-12).all()
    assert len(free.fixed) >= 3
    for vector in free.fixed.vectors:
        again = root(lambda h: np.tanh(np.asarray(weights) @ h) - h, vector, tol=1e-14).x
        np.testing.assert_allclose(vector, again, atol=1e-9)
    both = np.abs(dense.fixed.vectors[:, None] - free.fixed.vectors).max(axis=-1) < 1e-9
    assert both.any(axis=1).mean() > 0.5
    ghost = find(systems.saddle_node, systems.cloud(16, 2), -0.01, config=SearchConfig(matrix_free=True))
    assert set(ghost.status) == {Status.SLOW}
    np.testing.assert_allclose(ghost.vectors, np.zeros((len(ghost), 2)), atol=1e-4)


@pytest.mark.usefixtures("float32")
def test_two_thousand_units_need_no_matrix_of_their_square():
    """All arrays of the compiled iteration are of the size of a state and of the weights, which are given."""
    size = 2000
    weights = systems.random_network(size, 0.9)
    offset = systems.cloud(1, size, seed=3, dtype=jnp.float32)[0]
    found = find(lambda h, x: jnp.tanh(x[0] @ h + x[1]), systems.cloud(4, size, dtype=jnp.float32), (weights, offset))
    assert found.status == (Status.FIXED,)
    state = np.zeros(size)
    for _ in range(400):  # a contraction, run in double precision
        state = np.tanh(np.asarray(weights, np.float64) @ state + np.asarray(offset, np.float64))
    np.testing.assert_allclose(found.vectors[0], state, atol=1e-4)


def test_conjugate_gradients_solve_and_stop_at_negative_curvature():
    random = np.random.default_rng(0)
    half = random.normal(size=(12, 12))
    matrix, right = half @ half.T + np.eye(12), random.normal(size=12)
    found = conjugate_gradients(lambda p: jnp.asarray(matrix) @ p, jnp.asarray(right), jnp.asarray(1e-12))
    np.testing.assert_allclose(found, np.linalg.solve(matrix, right), rtol=1e-8)
    down = conjugate_gradients(lambda p: -p, jnp.asarray(right), jnp.asarray(1e-12))
    np.testing.assert_array_equal(down, right)


def test_starts_are_drawn_from_ragged_trajectories_with_their_inputs():
    lengths = np.array([4, 1, 6])
    valid = np.arange(6) < lengths[:, None]
    states = np.where(valid[..., None], np.arange(18.0).reshape(3, 6, 1), np.nan)
    inputs = {"x": 100 + np.arange(18.0).reshape(3, 6, 1)}
    starts, given = sample_starts(states, int(valid.sum()), noise=0.0, seed=0, valid=valid, inputs=inputs)
    np.testing.assert_array_equal(np.sort(starts[:, 0]), states[valid][:, 0])
    np.testing.assert_array_equal(given["x"], 100 + starts)
    both = sample_starts(states, 50, noise=0.0, seed=0, between=1.0, valid=valid)
    assert np.isfinite(both).all()
    np.testing.assert_array_equal(
        sample_starts(states[2:], 6, noise=0.1, seed=1),
        sample_starts(states[2:], 6, noise=0.1, seed=1, valid=valid[2:]),
    )
    for options, message in (
        ({"valid": valid[:2]}, r"valid has to be bool \(trial x time\), \(3, 6\)"),
        ({"valid": valid.astype(int)}, "got int64"),
        ({"valid": np.zeros((3, 6), bool)}, "no state to start from"),
        ({}, "NaN or infinity in 7 of 18 states, first in trial 0 at step 4"),
        ({"valid": valid, "inputs": np.zeros((3, 5))}, "inputs have to be"),
    ):
        with pytest.raises(InputError, match=message):
            sample_starts(states, 5, noise=0.0, seed=0, **options)
