"""Branches whose shape and bifurcations are known in closed form."""

import jax.numpy as jnp
import numpy as np
import pytest
from oracles import known_maps as systems

from neurodyn.errors import InputError
from neurodyn.fixed_points import BranchEnd, ContinuationConfig, Crossing, between, continue_along


def same(value):
    return value


def test_a_fold_is_passed_and_located():
    branch = continue_along(systems.saddle_node, jnp.asarray([1.0, 0.0]), same, 1.0, -1.0)
    np.testing.assert_allclose(branch.vectors[:, 0] ** 2, branch.values, atol=1e-10)
    assert branch.vectors[0, 0] > 0 > branch.vectors[-1, 0]  # over the fold to the other side
    (event,) = branch.events
    assert event.kind is Crossing.FOLD
    assert abs(event.value) < 1e-10
    np.testing.assert_allclose(event.vector, [0, 0], atol=1e-5)
    assert abs(event.eigenvalue - 1) < 1e-5
    assert branch.end is BranchEnd.REACHED
    np.testing.assert_allclose(branch.values[-1], 1.0, atol=1e-10)  # it came back to where it began
    assert branch.stable[0]
    assert not branch.stable[-1]


def test_a_pitchfork_is_a_branch_point():
    branch = continue_along(systems.pitchfork, jnp.zeros(2), same, -1.0, 1.03)
    np.testing.assert_allclose(branch.vectors, 0, atol=1e-12)
    (event,) = branch.events
    assert event.kind is Crossing.BRANCH
    assert abs(event.value) < 1e-9
    assert branch.stable[: event.after + 1].all()
    assert not branch.stable[event.after + 1 :].any()


def test_a_crossing_that_a_step_lands_on_is_located_beside_it():
    """Halves of the steps from 0.5 to 1.5 meet 1, where the Jacobian has an eigenvalue of 1: nothing can be solved."""
    branch = continue_along(lambda h, g: jnp.tanh(g * h), jnp.zeros(1), same, 0.5, 1.5)
    (event,) = branch.events
    assert event.kind is Crossing.BRANCH
    assert abs(event.value - 1) < 1e-6
    assert branch.end is BranchEnd.REACHED


def test_a_limit_cycle_is_born_in_a_hopf_point():
    branch = continue_along(systems.limit_cycle, jnp.zeros(2), same, -0.5, 1.0)
    (event,) = branch.events
    assert event.kind is Crossing.HOPF
    assert abs(event.value) < 1e-9
    np.testing.assert_allclose(abs(np.angle(event.eigenvalue)), 0.3, atol=1e-8)
    assert branch.end is BranchEnd.REACHED
    assert branch.values[-1] == 1.0


def test_a_flip_of_the_logistic_map():
    branch = continue_along(systems.flip, jnp.asarray([0.5]), same, 2.0, 3.9)
    np.testing.assert_allclose(branch.vectors[:, 0], 1 - 1 / branch.values, atol=1e-10)
    (event,) = branch.events
    assert event.kind is Crossing.FLIP
    assert abs(event.value - 3) < 1e-8


def test_two_folds_of_a_bistable_unit():
    step = lambda h, x: jnp.tanh(2 * h + x)  # noqa: E731
    start = systems.solve_scalar(lambda h: np.tanh(2 * h - 1.0) - h, -1.0, 0.0)
    branch = continue_along(step, jnp.asarray([start]), same, -1.0, 1.0)
    # At a fold the slope 2 (1 - h^2) is 1, and x = atanh(h) - 2 h.
    fold = np.arctanh(0.5**0.5) - 2 * 0.5**0.5
    assert [event.kind for event in branch.events] == [Crossing.FOLD, Crossing.FOLD]
    np.testing.assert_allclose([event.value for event in branch.events], [-fold, fold], atol=1e-9)
    assert branch.end is BranchEnd.REACHED
    assert branch.values[-1] == 1.0


@pytest.mark.usefixtures("float32")
def test_single_precision():
    branch = continue_along(systems.saddle_node, jnp.asarray([1.0, 0.0], jnp.float32), same, 1.0, -1.0)
    (event,) = branch.events
    assert event.kind is Crossing.FOLD
    assert abs(event.value) < 1e-5
    np.testing.assert_allclose(branch.vectors[:, 0] ** 2, branch.values, atol=1e-4)


def test_a_parameter_in_any_pytree():
    first, last = {"w": jnp.eye(2) * 0.2, "b": jnp.ones(2)}, {"w": jnp.eye(2) * 0.6, "b": jnp.zeros(2)}
    step = lambda h, p: p["w"] @ h + p["b"]  # noqa: E731
    branch = continue_along(step, jnp.full(2, 1.25), between(first, last), 0.0, 1.0)
    expected = (1 - branch.values) / (1 - (0.2 + 0.4 * branch.values))
    np.testing.assert_allclose(branch.vectors, np.stack([expected, expected], axis=1), atol=1e-10)
    assert branch.events == ()


def test_a_branch_ends_when_it_has_its_points():
    config = ContinuationConfig(points=5)
    branch = continue_along(systems.pitchfork, jnp.zeros(2), same, -1.0, 1.0, config=config)
    assert len(branch.values) == 5
    assert branch.end is BranchEnd.POINTS
    assert "points" in branch.table()


def test_progress_and_labels():
    seen = []
    branch = continue_along(
        systems.saddle_node, jnp.asarray([1.0, 0.0]), same, 1.0, -1.0, progress=lambda *count: seen.append(count)
    )
    assert seen[-1] == (len(branch.values), 1000)
    data = branch.to_xarray()
    assert data["event"].to_numpy().tolist() == ["fold"]
    assert data["state"].dims == ("point", "unit")
    assert "fold" in branch.table()


def test_bad_input():
    with pytest.raises(InputError, match="no fixed point near"):
        continue_along(systems.saddle_node, jnp.asarray([3.0, 0.0]), same, -1.0, 1.0)
    with pytest.raises(InputError, match="both 1"):
        continue_along(systems.pitchfork, jnp.zeros(2), same, 1.0, 1.0)
    with pytest.raises(InputError, match="shortest"):
        ContinuationConfig(first=1.0)
    with pytest.raises(InputError, match="state_scale"):
        ContinuationConfig(state_scale=0.0)
