"""The Sinkhorn divergence against finite differences, OTT, a textbook loop, and what it has to be by definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodyn.errors import InputError
from neurodyn.kernels import sinkhorn
from neurodyn.kernels.sinkhorn import (
    epsilon_schedule,
    one_hot,
    one_hot_diameter,
    one_hot_divergence,
    one_hot_energy,
    sinkhorn_divergence,
)

EPSILONS = epsilon_schedule(6.0, 0.5)
# As long at the last temperature as it takes for the potentials to stand still.
CONVERGED = (*epsilon_schedule(6.0, 1.0), *[1.0] * 400)


@pytest.fixture
def clouds():
    rng = np.random.default_rng(0)
    return jnp.asarray(rng.normal(size=(13, 4))), jnp.asarray(rng.normal(0.7, 1.2, size=(17, 4)))


@pytest.fixture
def sequences():
    rng = np.random.default_rng(1)
    return one_hot(jnp.asarray(rng.integers(3, size=(10, 6))), 3), one_hot(
        jnp.asarray(rng.integers(3, size=(14, 6))), 3
    )


def textbook(x, y, epsilons):
    """One potential after the other, with the largest entry taken out, every exponential by itself."""

    def softmin(potential, cost, epsilon):
        exponents = (potential - cost) / epsilon
        top = exponents.max(axis=1)
        return -epsilon * (top + np.log(np.exp(exponents - top[:, None]).mean(axis=1)))

    def cost_of(x, y):
        cost = 0.5 * ((np.asarray(x)[:, None] - np.asarray(y)) ** 2).sum(-1)
        f, g = softmin(np.zeros(len(y)), cost, epsilons[0]), softmin(np.zeros(len(x)), cost.T, epsilons[0])
        for epsilon in epsilons:
            f, g = (f + softmin(g, cost, epsilon)) / 2, (g + softmin(f, cost.T, epsilon)) / 2
        return softmin(g, cost, epsilons[-1]).mean() + softmin(f, cost.T, epsilons[-1]).mean()

    return cost_of(x, y) - 0.5 * cost_of(x, x) - 0.5 * cost_of(y, y)


transport = jax.jit(sinkhorn._cross, static_argnums=(2, 3, 4))


def test_the_schedule_is_that_of_geomloss():
    diameter, blur = 9.0, 0.2
    between = [np.exp(e) for e in np.arange(2 * np.log(diameter), 2 * np.log(blur), 2 * np.log(0.5))]
    np.testing.assert_allclose(epsilon_schedule(diameter, blur), [diameter**2, *between, blur**2])
    assert one_hot_diameter(30, 3) == pytest.approx(np.sqrt(90))


@pytest.mark.parametrize(("diameter", "blur", "scaling"), [(1.0, 2.0, 0.5), (1.0, 0.0, 0.5), (1.0, 0.1, 1.0)])
def test_a_schedule_that_does_not_fall_is_refused(diameter, blur, scaling):
    with pytest.raises(InputError, match="expected 0 < blur < diameter"):
        epsilon_schedule(diameter, blur, scaling)


def test_equal_to_the_textbook(clouds):
    np.testing.assert_allclose(sinkhorn_divergence(*clouds, EPSILONS), textbook(*clouds, EPSILONS), rtol=1e-10)


@pytest.mark.filterwarnings("ignore:JAXopt is no longer maintained:DeprecationWarning")
def test_equal_to_ott(clouds):
    from ott.geometry import pointcloud
    from ott.tools import sinkhorn_divergence as ott

    # OTT takes the squared distance without the half.
    x, y = (cloud / np.sqrt(2) for cloud in clouds)
    with jax.numpy_dtype_promotion("standard"):
        value, _ = ott.sinkhorn_divergence(
            pointcloud.PointCloud, x, y, epsilon=1.0, solve_kwargs={"threshold": 1e-12, "max_iterations": 5000}
        )
    np.testing.assert_allclose(sinkhorn_divergence(*clouds, CONVERGED), value, rtol=1e-6)


def test_symmetric_and_zero_on_equal_clouds(clouds):
    x, y = clouds
    np.testing.assert_allclose(sinkhorn_divergence(x, y, EPSILONS), sinkhorn_divergence(y, x, EPSILONS), rtol=1e-12)
    np.testing.assert_allclose(sinkhorn_divergence(x, x, EPSILONS), 0, atol=1e-12)
    np.testing.assert_allclose(sinkhorn_divergence(x, jnp.flip(x, 0), EPSILONS), 0, atol=1e-12)
    assert sinkhorn_divergence(x, y, EPSILONS) > 0.05


def test_unchanged_by_a_shift_and_by_doubled_points(clouds):
    x, y = clouds
    value = sinkhorn_divergence(x, y, EPSILONS)
    np.testing.assert_allclose(sinkhorn_divergence(x + 3.0, y + 3.0, EPSILONS), value, rtol=1e-9)
    doubled = jnp.concatenate([x, x])
    np.testing.assert_allclose(sinkhorn_divergence(doubled, y, EPSILONS), value, rtol=1e-9)


@pytest.mark.parametrize("which", [0, 1])
def test_gradient_by_finite_differences(clouds, which):
    gradient = jax.grad(lambda *c: sinkhorn_divergence(*c, CONVERGED), argnums=which)(*clouds)
    direction = jnp.asarray(np.random.default_rng(2).normal(size=clouds[which].shape))

    def along(distance):
        moved = list(clouds)
        moved[which] = clouds[which] + distance * direction
        return sinkhorn_divergence(*moved, CONVERGED)

    slope = (along(1e-5) - along(-1e-5)) / 2e-5
    np.testing.assert_allclose(jnp.vdot(gradient, direction), slope, rtol=1e-6)


def test_gradient_of_the_self_term_is_not_doubled(clouds):
    """A single pair of points: OT(x, x) / 2 of {a, b} has a derivative that can be written down."""
    epsilon, gap = 1.0, 1.3
    x = jnp.asarray([[0.0], [gap]])
    epsilons = (epsilon,) * 200
    # By symmetry both potentials are one number f: exp(f) ... mean(1, exp(-gap^2 / 2)) = 1 gives 2 f.
    expected = -0.5 * jnp.log((1 + jnp.exp(-(gap**2) / 2)) / 2)
    value, gradient = jax.jit(jax.value_and_grad(lambda x: sinkhorn._self(x, epsilons, None, None)))(x)
    np.testing.assert_allclose(value, expected, rtol=1e-9)
    slope = 0.5 * gap * np.exp(-(gap**2) / 2) / (1 + np.exp(-(gap**2) / 2))
    np.testing.assert_allclose(gradient[:, 0], [-slope, slope], rtol=1e-9)


@pytest.mark.parametrize("block", [1, 4, 13, 50])
def test_blocks_change_nothing(clouds, block):
    whole, parts = (
        jax.value_and_grad(lambda *c, size=size: sinkhorn_divergence(*c, EPSILONS, block=size), argnums=(0, 1))(*clouds)
        for size in (None, block)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-14), whole, parts)


@pytest.mark.parametrize("block", [None, 4])
def test_one_hot_form_is_the_general_form(sequences, block):
    flat = [s.reshape(len(s), -1) for s in sequences]
    ours, gradient = jax.value_and_grad(lambda x: one_hot_divergence(x, sequences[1], EPSILONS, block=block))(
        sequences[0]
    )
    theirs, expected = jax.value_and_grad(lambda x: sinkhorn_divergence(x, flat[1], EPSILONS))(flat[0])
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    np.testing.assert_allclose(gradient.reshape(expected.shape), expected, rtol=1e-9, atol=1e-15)


def test_energy_is_made_of_the_transport_costs(sequences):
    x, y = (s.reshape(len(s), -1) for s in sequences)
    (a, b), (c, d) = jnp.split(x, 2), jnp.split(y, 2)
    between = (
        transport(a, c, EPSILONS, None, None)
        + transport(a, d, EPSILONS, None, None)
        + transport(b, c, EPSILONS, None, None)
        + transport(b, d, EPSILONS, None, None)
    ) / 4
    expected = between - transport(a, b, EPSILONS, None, None) / 2 - transport(c, d, EPSILONS, None, None) / 2
    np.testing.assert_allclose(one_hot_energy(*sequences, EPSILONS), expected, rtol=1e-10)


def test_energy_gradient_by_finite_differences(sequences):
    x, y = sequences
    direction = jnp.asarray(np.random.default_rng(3).normal(size=x.shape))
    flat = [s.reshape(len(s), -1) for s in sequences]

    def energy(distance):
        moved = flat[0] + distance * direction.reshape(flat[0].shape)
        (a, b), (c, d) = jnp.split(moved, 2), jnp.split(flat[1], 2)
        pairs = {(0, 2): 0.25, (0, 3): 0.25, (1, 2): 0.25, (1, 3): 0.25, (0, 1): -0.5, (2, 3): -0.5}
        parts = (a, b, c, d)
        return sum(weight * transport(parts[i], parts[j], CONVERGED, None, None) for (i, j), weight in pairs.items())

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
@given(st.integers(0, 10_000), st.floats(0.01, 50.0))
def test_far_clouds_and_small_temperatures_stay_finite(seed, scale):
    """Where rows underflow the search for the largest entry takes over: the same numbers as the textbook's."""
    rng = np.random.default_rng(seed)
    x, y = scale * jnp.asarray(rng.normal(size=(5, 2))), scale * jnp.asarray(rng.normal(size=(6, 2)) + 4)
    epsilons = epsilon_schedule(100.0, 0.02, 0.2)
    expected = textbook(x, y, epsilons)
    np.testing.assert_allclose(sinkhorn_divergence(x, y, epsilons), expected, rtol=1e-8, atol=1e-10)


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
    expected = textbook(*(np.asarray(s, np.float64).reshape(len(s), -1) for s in sequences), epsilons)
    np.testing.assert_allclose(value, expected, rtol=1e-4)
