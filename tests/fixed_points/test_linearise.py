"""Jacobians against finite differences, eigenvalues against known matrices, kinks where there are some."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from oracles import known_maps as systems

from neurodyn.errors import InputError
from neurodyn.fixed_points import LineariseConfig, Stability, find, linearise


def tanh_step(seed=0, size=5, inputs=2):
    random = np.random.default_rng(seed)
    weights, drive = random.normal(size=(size, size)), random.normal(size=(size, inputs))
    return lambda h, x: jnp.tanh(jnp.asarray(weights) @ h + jnp.asarray(drive) @ x)


def differences(function, point, width=1e-6):
    """Central differences, one column per entry of the point."""
    columns = []
    for index in range(len(point)):
        shift = np.zeros(len(point))
        shift[index] = width
        columns.append((np.asarray(function(point + shift)) - np.asarray(function(point - shift))) / (2 * width))
    return np.stack(columns, axis=1)


def test_jacobians_are_finite_differences():
    step, states, x = tanh_step(), systems.cloud(3, 5), np.array([0.3, -0.1])
    linear = linearise(step, states, x, dt=0.01)
    for index, state in enumerate(np.asarray(states)):
        np.testing.assert_allclose(linear.jacobian[index], differences(lambda h: step(h, x), state), atol=1e-8)
        by_input = differences(lambda given, state=state: step(state, given), x)
        np.testing.assert_allclose(linear.input_jacobian[index], by_input, atol=1e-8)


def test_a_pair_of_arrays_as_state():
    cell = nnx.OptimizedLSTMCell(2, 3, dtype=jnp.float64, param_dtype=jnp.float64, rngs=nnx.Rngs(0))
    states = (systems.cloud(2, 3), systems.cloud(2, 3, seed=1))
    x = jnp.asarray([0.5, -0.5])
    linear = linearise(lambda s, given: cell(s, given)[0], states, x, dt=1.0)
    flat = np.concatenate([np.asarray(part) for part in states], axis=1)
    for index in range(2):
        expected = differences(lambda v: np.concatenate(cell((v[:3], v[3:]), x)[0]), flat[index])
        np.testing.assert_allclose(linear.jacobian[index], expected, atol=1e-8)


def test_every_point_has_its_own_input():
    step, states, given = tanh_step(), systems.cloud(3, 5), systems.cloud(3, 2, seed=4)
    together = linearise(step, states, given, dt=0.01, input_axis=0)
    for index in range(3):
        alone = linearise(step, states[index : index + 1], given[index], dt=0.01)
        np.testing.assert_allclose(together.jacobian[index], alone.jacobian[0], atol=1e-14)


def test_eigenvalues_time_constants_and_frequencies_of_a_known_matrix():
    dt, decay, hertz = 0.02, 0.5, 3.0
    length, angle = np.exp(-dt / decay), 2 * np.pi * hertz * dt
    block = length * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.zeros((4, 4))
    matrix[:2, :2], matrix[2, 2], matrix[3, 3] = block, 1.1, 0.0
    axes = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0]
    matrix = axes @ matrix @ axes.T
    linear = linearise(systems.linear(jnp.asarray(matrix), jnp.zeros(4)), jnp.zeros((1, 4)), dt=dt)
    np.testing.assert_allclose(np.abs(linear.eigenvalues[0]), [1.1, length, length, 0], atol=1e-12)
    np.testing.assert_allclose(linear.time_constants[0, :3], [-dt / np.log(1.1), decay, decay], rtol=1e-9)
    assert 0 <= linear.time_constants[0, 3] < 1e-3
    np.testing.assert_allclose(linear.frequencies[0, :3], [0, hertz, hertz], atol=1e-9)
    assert linear.eigenvalues[0, 1].imag > 0 > linear.eigenvalues[0, 2].imag
    assert linear.unstable.tolist() == [1]
    (direction,) = linear.unstable_directions(0)
    np.testing.assert_allclose(np.abs(direction @ axes), [0, 0, 1, 0], atol=1e-10)


def test_eigenvectors_are_biorthogonal_and_solve_the_matrix():
    linear = linearise(tanh_step(), systems.cloud(4, 5), jnp.zeros(2), dt=1.0)
    identity = np.broadcast_to(np.eye(5), (4, 5, 5))
    np.testing.assert_allclose(linear.left @ linear.right, identity, atol=1e-10)
    np.testing.assert_allclose(np.linalg.norm(linear.right, axis=1), 1, atol=1e-12)
    rebuilt = (linear.right * linear.eigenvalues[:, None]) @ linear.left
    np.testing.assert_allclose(rebuilt, linear.jacobian, atol=1e-10)


def test_a_matrix_without_enough_eigenvectors_has_no_left_ones():
    shear = jnp.asarray([[0.5, 1.0], [0.0, 0.5]])
    linear = linearise(systems.linear(shear, jnp.zeros(2)), jnp.zeros((1, 2)), dt=1.0)
    assert np.isnan(linear.left).all()
    np.testing.assert_allclose(linear.eigenvalues[0], 0.5, atol=1e-7)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0.5, 0.2), Stability.ATTRACTOR),
        ((1.5, 0.2), Stability.SADDLE),
        ((1.5, -1.2), Stability.REPELLER),
        ((1.0, 0.2), Stability.MARGINAL),
        ((1.5, 1.0), Stability.SADDLE),
    ],
)
def test_stability(values, expected):
    linear = linearise(systems.linear(jnp.diag(jnp.asarray(values)), jnp.zeros(2)), jnp.zeros((1, 2)), dt=1.0)
    assert linear.stability == (expected,)
    assert linear.unstable.tolist() == [sum(abs(v) > 1 + 1e-4 for v in values)]


def test_two_unstable_directions_of_a_spiral():
    found = find(systems.limit_cycle, systems.cloud(10, 2), 1.0)
    linear = linearise(systems.limit_cycle, found.states, 1.0, dt=systems.DT)
    assert linear.stability == (Stability.REPELLER,)
    directions = linear.unstable_directions(0)
    np.testing.assert_allclose(directions @ directions.T, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(linear.frequencies[0], 0.3 / (2 * np.pi * systems.DT), rtol=1e-9)
    bare = linearise(systems.limit_cycle, found.states, 1.0, dt=1.0, config=LineariseConfig(vectors=False))
    with pytest.raises(InputError, match="need eigenvectors"):
        bare.unstable_directions(0)


def test_without_vectors_the_eigenvalues_are_the_same():
    states = systems.cloud(3, 5)
    config = LineariseConfig(vectors=False, input_jacobian=False)
    few = linearise(tanh_step(), states, jnp.zeros(2), dt=1.0, config=config)
    assert few.right is None
    assert few.left is None
    assert few.input_jacobian is None
    all_ = linearise(tanh_step(), states, jnp.zeros(2), dt=1.0)
    np.testing.assert_allclose(few.eigenvalues, all_.eigenvalues, atol=1e-12)
    assert "right" not in few.to_xarray()


# Kinks --------------------------------------------------------------------------------------------------------


def test_a_rectifier_near_its_kink_is_flagged():
    step = lambda h, x: jax.nn.relu(0.5 * h + x)  # noqa: E731
    states = jnp.asarray([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    given = jnp.asarray([[0.5, 0.5, 0.5], [0.5, -0.5001, 0.5]])  # unit 1 of the second: 1e-4 beyond its threshold
    linear = linearise(step, states, given, dt=1.0, input_axis=0)
    np.testing.assert_array_equal(linear.kinks, [[False, False, False], [False, True, False]])
    assert "1 units near a kink" in linear.table().splitlines()[2]
    assert "kink" not in linear.table().splitlines()[1]
    none = linearise(step, states, given, dt=1.0, input_axis=0, config=LineariseConfig(kink_distance=0.0))
    assert not none.kinks.any()


def test_the_origin_of_a_homogeneous_map_is_all_kinks():
    random = np.random.default_rng(0)
    step = systems.relu_step(jnp.asarray(random.normal(size=(6, 6))))
    assert linearise(step, jnp.zeros((1, 6)), dt=1.0).kinks.all()


@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])
def test_a_smooth_map_has_no_kinks(scale):
    assert not linearise(tanh_step(), systems.cloud(20, 5, scale=scale), jnp.zeros(2), dt=1.0).kinks.any()


# Labels and bad input -----------------------------------------------------------------------------------------


def test_xarray_has_units_and_classes():
    found = find(systems.pitchfork, systems.cloud(40, 2, scale=2.0), 0.7)
    data = linearise(systems.pitchfork, found.states, 0.7, dt=systems.DT).to_xarray()
    assert data["time_constant"].attrs["units"] == "s"
    assert data["jacobian"].dims == ("point", "unit", "unit_before")
    assert sorted(data["stability"].to_numpy().tolist()) == ["attractor", "attractor", "saddle"]
    assert data["input_jacobian"].shape == (3, 2, 1)


@pytest.mark.parametrize("dt", [0.0, -1.0, np.nan])
def test_dt_has_to_be_positive(dt):
    with pytest.raises(InputError, match="dt has to be"):
        linearise(systems.pitchfork, systems.cloud(1, 2), 0.7, dt=dt)


@pytest.mark.parametrize("options", [{"marginal": -1.0}, {"kink_distance": -1.0}, {"kink_jump": 1.0}])
def test_settings_that_make_no_sense(options):
    with pytest.raises(InputError, match=next(iter(options))):
        LineariseConfig(**options)
