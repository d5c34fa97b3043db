"""The Sinkhorn divergence against a dense recursion, finite differences, OTT, and what it has to be by definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.dense_sinkhorn import sinkhorn_divergence, transport_cost

from neurodyn.errors import InputError
from neurodyn.kernels import sinkhorn
from neurodyn.kernels.sinkhorn import (
    epsilon_schedule,
    one_hot,
    one_hot_diameter,
    one_hot_divergence,
    one_hot_energy,
)

EPSILONS = epsilon_schedule(6.0, 0.5)
# As long at the last temperature as it takes for the potentials to stand still.
CONVERGED = (*epsilon_schedule(6.0, 1.0), *[1.0] * 400)


@pytest.fixture
def sequences():
    rng = np.random.default_rng(1)
    return one_hot(jnp.asarray(rng.integers(3, size=(10, 6))), 3), one_hot(
        jnp.asarray(rng.integers(3, size=(14, 6))), 3
    )


def flat(sequences):
    """Each sequence as a point: the oracle knows of nothing else."""
    return tuple(each.reshape(len(each), -1) for each in sequences)


def test_the_schedule_is_that_of_geomloss():
    diameter, blur = 9.0, 0.2
    between = [np.exp(e) for e in np.arange(2 * np.log(diameter), 2 * np.log(blur), 2 * np.log(0.5))]
    np.testing.assert_allclose(epsilon_schedule(diameter, blur), [diameter**2, *between, blur**2])
    assert one_hot_diameter(30, 3) == pytest.approx(np.sqrt(90))


@pytest.mark.parametrize(("diameter", "blur", "scaling"), [(1.0, 2.0, 0.5), (1.0, 0.0, 0.5), (1.0, 0.1, 1.0)])
def test_a_schedule_that_does_not_fall_is_refused(diameter, blur, scaling):
    with pytest.raises(InputError, match="expected 0 < blur < diameter"):
        epsilon_schedule(diameter, blur, scaling)


def test_equal_to_the_dense_recursion(sequences):
    expected = sinkhorn_divergence(*flat(sequences), EPSILONS)
    np.testing.assert_allclose(one_hot_divergence(*sequences, EPSILONS), expected, rtol=1e-10)


@pytest.mark.filterwarnings("ignore:JAXopt is no longer maintained:DeprecationWarning")
def test_equal_to_ott(sequences):
    from ott.geometry import pointcloud
    from ott.tools import sinkhorn_divergence as ott

    # OTT takes the squared distance without the half.
    x, y = (cloud / np.sqrt(2) for cloud in flat(sequences))
    with jax.numpy_dtype_promotion("standard"):
        value, _ = ott.sinkhorn_divergence(
            pointcloud.PointCloud, x, y, epsilon=1.0, solve_kwargs={"threshold": 1e-12, "max_iterations": 5000}
        )
    np.testing.assert_allclose(one_hot_divergence(*sequences, CONVERGED), value, rtol=1e-6)
    np.testing.assert_allclose(sinkhorn_divergence(*flat(sequences), CONVERGED), value, rtol=1e-6)


def test_symmetric_and_zero_on_equal_clouds(sequences):
    x, y = sequences
    np.testing.assert_allclose(one_hot_divergence(x, y, EPSILONS), one_hot_divergence(y, x, EPSILONS), rtol=1e-12)
    np.testing.assert_allclose(one_hot_divergence(x, x, EPSILONS), 0, atol=1e-12)
    np.testing.assert_allclose(one_hot_divergence(x, jnp.flip(x, 0), EPSILONS), 0, atol=1e-12)
    assert one_hot_divergence(x, y, EPSILONS) > 0.05


def test_unchanged_by_other_names_of_the_symbols_and_by_doubled_points(sequences):
    x, y = sequences
    value = one_hot_divergence(x, y, EPSILONS)
    renamed = (jnp.roll(each[:, ::-1], 1, axis=-1) for each in sequences)
    np.testing.assert_allclose(one_hot_divergence(*renamed, EPSILONS), value, rtol=1e-9)
    doubled = jnp.concatenate([x, x])
    np.testing.assert_allclose(one_hot_divergence(doubled, y, EPSILONS), value, rtol=1e-9)


@pytest.mark.parametrize("which", [0, 1])
def test_gradient_by_finite_differences(sequences, which):
    """Off the one-hot sequences there is only the dense recursion: its slope at them is what the gradient has to be."""
    gradient = jax.grad(lambda *c: one_hot_divergence(*c, CONVERGED), argnums=which)(*sequences)
    direction = jnp.asarray(np.random.default_rng(2).normal(size=sequences[which].shape))

    def along(distance):
        moved = list(sequences)
        moved[which] = sequences[which] + distance * direction
        return sinkhorn_divergence(*flat(moved), CONVERGED)

    slope = (along(1e-5) - along(-1e-5)) / 2e-5
    np.testing.assert_allclose(jnp.vdot(gradient, direction), slope, rtol=1e-6)


@pytest.mark.parametrize("which", [0, 1])
def test_gradient_by_deriving_every_iteration(sequences, which):
    gradient = jax.grad(lambda *c: one_hot_divergence(*c, CONVERGED), argnums=which)(*sequences)
    expected = jax.grad(lambda *c: sinkhorn_divergence(*c, CONVERGED), argnums=which)(*flat(sequences))
    np.testing.assert_allclose(gradient.reshape(expected.shape), expected, rtol=1e-6, atol=1e-9)


def test_gradient_of_the_self_term_is_not_doubled():
    """A single pair of points: OT(x, x) / 2 of {a, b} has a derivative that can be written down."""
    epsilons = (1.0,) * 200
    sequences = one_hot(jnp.asarray([[0, 1, 2], [0, 2, 1]]), 3)
    apart = 2  # steps at which they differ: the cost between them
    # By symmetry both potentials are one number f: exp(2 f) mean(1, exp(-apart)) = 1.
    expected = -0.5 * jnp.log((1 + jnp.exp(-float(apart))) / 2)
    (x,) = flat([sequences])
    value, gradient = jax.jit(jax.value_and_grad(lambda x: sinkhorn._self(x, epsilons, 3, None)))(x)
    np.testing.assert_allclose(value, expected, rtol=1e-9)
    slope = 0.5 * (x[0] - x[1]) * np.exp(-apart) / (1 + np.exp(-apart))
    np.testing.assert_allclose(gradient, [slope, -slope], rtol=1e-9)


@pytest.mark.parametrize("block", [1, 4, 10, 50])
def test_blocks_change_nothing(sequences, block):
    together, parts = (
        jax.value_and_grad(lambda *c, size=size: one_hot_divergence(*c, EPSILONS, block=size), argnums=(0, 1))(
            *sequences
        )
        for size in (None, block)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-14), together, parts)


def test_energy_is_made_of_the_transport_costs(sequences):
    x, y = flat(sequences)
    (a, b), (c, d) = jnp.split(x, 2), jnp.split(y, 2)
    between = sum(transport_cost(one, other, EPSILONS) for one in (a, b) for other in (c, d)) / 4
    expected = between - transport_cost(a, b, EPSILONS) / 2 - transport_cost(c, d, EPSILONS) / 2
    np.testing.assert_allclose(one_hot_energy(*sequences, EPSILONS), expected, rtol=1e-10)


def test_energy_gradient_by_finite_differences(sequences):
    x, y = sequences
    direction = jnp.asarray(np.random.default_rng(3).normal(size=x.shape))
    points = flat(sequences)

    def energy(distance):
        moved = points[0] + distance * direction.reshape(points[0].shape)
        (a, b), (c, d) = jnp.split(moved, 2), jnp.split(points[1], 2)
        pairs = {(0, 2): 0.25, (0, 3): 0.25, (1, 2): 0.25, (1, 3): 0.25, (0, 1): -0.5, (2, 3): -0.5}
        parts = (a, b, c, d)
        return sum(weight * transport_cost(parts[i], parts[j], CONVERGED) for (i, j), weight in pairs.items())

    gradient = jax.grad(lambda x: one_hot_energy(x, y, CONVERGED))(x)
    slope = (energy(1e-5) - energy(-1e-5)) / 2e-5
    np.testing.assert_allclose(jnp.vdot(gradient, direction), slope, rtol=1e-6)


def test_energy_has_no_bias_where_the_divergence_has():
    """Two batches of the same distribution: the energy's mean is zero, the divergence's is far above."""
    rng = np.random.default_rng(4)
    epsilons = epsilon_schedule(one_hot_diameter(8, 2), 0.2)
    draws = one_hot(jnp.asarray(rng.integers(2, size=(100, 2, 16, 8))), 2)
    energies = jax.vmap(lambda pair: one_hot_energy(pair[0], pair[1], epsilons))(draws)
    divergences = jax.vmap(lambda pair: one_hot_divergence(pair[0], pair[1], epsilons))(draws)
    error = float(energies.std()) / np.sqrt(len(draws))
    assert abs(float(energies.mean())) < 4 * error
    assert float(divergences.mean()) > 40 * error


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 3))
def test_far_clouds_and_small_temperatures_stay_finite(seed, symbols):
    """Where rows underflow the search for the largest entry takes over: the same numbers as the dense recursion's."""
    rng = np.random.default_rng(seed)
    # The sets share no symbol unless there are more than two: every pair of the two is far apart.
    x = one_hot(jnp.asarray(rng.integers(symbols, size=(5, 40))), 4)
    y = one_hot(jnp.asarray(2 + rng.integers(2, size=(6, 40))), 4)
    epsilons = epsilon_schedule(one_hot_diameter(40, 4), 0.02, 0.2)
    expected = sinkhorn_divergence(*flat((x, y)), epsilons)
    np.testing.assert_allclose(one_hot_divergence(x, y, epsilons), expected, rtol=1e-8, atol=1e-10)


def test_underflow_is_noticed():
    """A row that no temperature before has prepared: its largest entry is exp(-5000)."""
    cost = jnp.asarray([[5000.0, 6000.0], [0.0, 1.0]])
    rows, columns = sinkhorn._log_means(cost, jnp.zeros(2), jnp.zeros(2), jnp.asarray(1.0), mirrored=False)
    np.testing.assert_allclose(rows, [-5000 - np.log(2), np.log((1 + np.exp(-1)) / 2)])
    np.testing.assert_allclose(columns, [-np.log(2), -1 - np.log(2)])


def test_single_precision(float32, sequences):
    x, y = (jnp.asarray(s, jnp.float32) for s in sequences)
    epsilons = epsilon_schedule(one_hot_diameter(6, 3), 0.2)
    value = one_hot_divergence(x, y, epsilons)
    assert value.dtype == jnp.float32
    with jax.enable_x64(True):
        expected = sinkhorn_divergence(*(jnp.asarray(each, jnp.float64) for each in flat((x, y))), epsilons)
    np.testing.assert_allclose(value, expected, rtol=1e-4)
