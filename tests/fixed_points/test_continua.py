"""Lines, rings and surfaces of fixed points that are known in closed form are each reported as one continuum."""

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import known_maps as systems
from scipy.optimize import root

from neurodyn.fixed_points import FixedPoints, SearchConfig, Shape, find
from neurodyn.fixed_points.continuum import columns


def turned(phases, expected):
    """The difference of two sets of phases, up to the zero and the direction, which are arbitrary."""
    ways = [np.angle(np.exp(1j * (expected - sign * phases))) for sign in (1, -1)]
    ways = [np.angle(np.exp(1j * (way - way[0]))) for way in ways]
    return min(np.abs(way).max() for way in ways)


def check_ring(ring, angles, *, tolerance=1e-6):
    assert (ring.shape, ring.dimension) == (Shape.RING, 1)
    assert turned(ring.coordinates[:, 0], angles[ring.points]) < tolerance


@pytest.mark.parametrize("count", [30, 200])
def test_a_circle_is_one_ring_with_the_angle_as_its_phase(count):
    found = find(systems.circle, systems.cloud(count, 2), 2.0)
    (ring,) = found.continua
    check_ring(ring, np.arctan2(found.vectors[:, 1], found.vectors[:, 0]))
    np.testing.assert_allclose(ring.extent, 4 * np.pi, rtol=1e-6)
    assert set(ring.points) == set(np.flatnonzero(np.linalg.norm(found.vectors, axis=1) > 1))  # the origin is on none
    assert (np.diff(ring.coordinates[:, 0]) > 0).all()
    assert "ring of dimension 1" in repr(found)
    rows = found.table().splitlines()
    assert len(rows) == 3 + len(found) - len(ring) + bool(found.advice)
    assert f"ring of dimension 1, length 12.57; {len(ring)} points" in rows[1]


@pytest.mark.usefixtures("float32")
def test_single_precision_sees_the_same_ring():
    found = find(systems.circle, systems.cloud(40, 2), jnp.float32(1.0))
    assert found.vectors.dtype == np.float32
    (ring,) = found.continua
    check_ring(ring, np.arctan2(found.vectors[:, 1], found.vectors[:, 0]), tolerance=1e-3)


def test_the_bump_of_a_ring_network_is_one_ring():
    """Cosine weights and a smooth rate: every position of the bump rests, and its phase is its position."""
    size = 48
    step = systems.ring_network(size, 6.0)
    missed = find(step, systems.cloud(50, size, scale=0.1))  # random starts are near the origin's own directions
    assert missed.continua == ()
    assert "50 of 50 starts came to point 0, which is unstable" in missed.advice
    assert "sample_starts" in missed.table()
    modes = np.exp(2j * np.pi * np.arange(size) / size)
    bumps = np.cos(np.random.default_rng(1).uniform(0, 2 * np.pi, (50, 1)) - np.angle(modes))
    found = find(step, jnp.asarray(bumps) + systems.cloud(50, size, scale=0.1))
    assert found.advice == ""
    (ring,) = found.continua
    check_ring(ring, np.angle(found.vectors @ modes), tolerance=1e-4)
    assert len(ring) == (np.abs(found.fixed.vectors @ modes) > 1).sum()
    again = root(lambda h: np.asarray(step(h, None)) - h, found.vectors[ring.points[3]])
    np.testing.assert_allclose(again.x, found.vectors[ring.points[3]], atol=1e-8)


def test_two_rings_of_one_map_are_two():
    found = find(systems.circles, systems.cloud(120, 2, scale=1.5))
    assert [ring.shape for ring in found.continua] == [Shape.RING, Shape.RING]
    radii = [np.linalg.norm(found.vectors[ring.points], axis=1) for ring in found.continua]
    assert sorted(np.round([r.mean() for r in radii], 6)) == [1.0, 3.0]
    assert all(np.ptp(r) < 1e-6 for r in radii)
    number, coordinates = columns(found.continua, len(found))
    assert sorted(set(number)) == [-1, 0, 1] or sorted(set(number)) == [0, 1]
    assert np.isfinite(coordinates[number >= 0]).all()


def test_a_curved_line_has_its_arc_length():
    """States (x, sin x, 0) rest, for every x: the length of a sine."""
    found = find(systems.sine, systems.cloud(80, 3, scale=2.0))
    (line,) = found.continua
    assert (line.shape, len(line)) == (Shape.LINE, len(found))
    x = found.vectors[line.points, 0]
    x = x if x[0] < x[-1] else -x
    fine = np.linspace(x[0], x[-1], 100_001)
    length = np.append(0, np.cumsum(np.hypot(np.diff(fine), np.diff(np.sin(fine)))))
    np.testing.assert_allclose(line.coordinates[:, 0], np.interp(x, fine, length), atol=0.02 * length[-1])
    np.testing.assert_allclose(line.extent, length[-1], rtol=0.02)


def test_the_line_of_a_linear_integrator_is_one_line_through_both_rays():
    """Its map is homogeneous: a ray to each side of the origin, all points of which rest."""
    found = find(systems.integrator(1, 20), systems.cloud(60, 20))
    assert found.homogeneous
    (line,) = found.continua
    assert (line.shape, len(line), found.ray.sum()) == (Shape.LINE, 3, 2)
    np.testing.assert_allclose(np.abs(np.diff(line.coordinates[:, 0])), np.linalg.norm(np.diff(
        found.vectors[line.points], axis=0), axis=1), rtol=1e-6)  # fmt: skip


@pytest.mark.parametrize("offset", [0.0, 0.1])
def test_a_plane_has_two_dimensions_and_coordinates_true_to_scale(offset):
    found = find(systems.integrator(2, 5), systems.cloud(80, 5), offset * jnp.asarray([0, 0, 0, 0, 1.0]))
    (plane,) = found.continua
    assert (plane.shape, plane.dimension) == (Shape.SURFACE, 2)
    vectors = found.vectors[plane.points]
    for a, b in [(0, 1), (3, 20), (5, -1)]:
        expected = np.linalg.norm(vectors[a] - vectors[b])
        np.testing.assert_allclose(np.linalg.norm(plane.coordinates[a] - plane.coordinates[b]), expected, rtol=1e-6)


def test_isolated_points_are_no_continuum():
    """Attractors with saddles halfway between them, and a point of third order that starts come to from all sides."""
    for step, scale in ((systems.grid, 3.0), (systems.cubic, 1.0)):
        found = find(step, systems.cloud(150, 2, scale=scale))
        assert len(found.fixed) > 5
        assert found.continua == ()
    assert "continu" not in repr(found)


def test_a_marginal_direction_that_leads_nowhere_does_not_count():
    """A circle, and beside it a unit that rests at 0 alone, where its slope is 1: the null space has two directions."""

    def step(state, _):
        return jnp.concatenate([systems.circle(state[:2], 1.0), state[2:] - 0.5 * state[2:] ** 3])

    found = find(step, systems.cloud(60, 3), config=SearchConfig(iterations=200))
    (ring,) = [each for each in found.continua if len(each) > 20]
    assert (ring.shape, ring.dimension) == (Shape.RING, 1)


def test_each_input_has_continua_of_its_own():
    radii = jnp.asarray(np.repeat([1.0, 2.0], 30))
    found = find(systems.circle, systems.cloud(60, 2), radii, input_axis=0)
    assert len(found.continua) == 2
    for ring in found.continua:
        assert len(set(found.inputs[ring.points, 0])) == 1
        np.testing.assert_allclose(ring.extent, 2 * np.pi * found.inputs[ring.points[0], 0], rtol=1e-3)


def test_part_of_a_ring_is_a_line():
    angles = np.linspace(0, 0.8 * np.pi, 25)
    starts = jnp.asarray(np.stack([np.cos(angles), np.sin(angles)], axis=1))
    (line,) = find(systems.circle, starts, 1.0, config=SearchConfig(mirror=False)).continua
    assert line.shape is Shape.LINE
    np.testing.assert_allclose(line.coordinates[:, 0], angles, atol=1e-6)


def test_files_xarray_and_choices_keep_continua(tmp_path):
    found = find(systems.circle, systems.cloud(40, 2), 1.0)
    found.save(tmp_path / "points.h5")
    again = FixedPoints.load(tmp_path / "points.h5")
    assert again.table() == found.table()
    assert repr(again) == repr(found)
    data = again.to_xarray()
    assert data.identical(found.to_xarray())
    assert data["shape"].to_numpy().tolist() == ["ring"]
    (ring,) = found.continua
    np.testing.assert_array_equal(data["coordinate"][ring.points, 0], ring.coordinates[:, 0])
    half = found.where(np.arange(len(found)) % 2 == 0)
    (rest,) = half.continua
    np.testing.assert_array_equal(half.vectors[rest.points], found.vectors[ring.points[ring.points % 2 == 0]])
    assert found.where(np.zeros(len(found), bool)).continua == ()
    with h5py.File(tmp_path / "points.h5", "a") as file:  # as files were before
        del file["continua"], file.attrs["advice"]
    old = FixedPoints.load(tmp_path / "points.h5")
    assert (old.continua, old.advice) == ((), "")
    np.testing.assert_array_equal(old.vectors, found.vectors)
    assert find(systems.circle, systems.cloud(40, 2), 1.0, config=SearchConfig(continua=False)).continua == ()
    assert jax.tree.structure(old.states) == jax.tree.structure(found.states)
