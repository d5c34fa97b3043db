"""Plots of fixed points show what they are given."""

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")

from matplotlib import pyplot as plt

from neurodyn.errors import InputError
from neurodyn.plotting import plot_branch, plot_eigenvalues, plot_points


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


@pytest.mark.parametrize("dims", [2, 3])
def test_points_by_class_with_unstable_directions_to_both_sides(dims):
    points = np.arange(3.0 * dims).reshape(3, dims)
    directions = [np.zeros((0, dims)), np.eye(dims)[:1], np.eye(dims)[:2]]
    paths = np.zeros((4, 5, dims))
    ax = plot_points(points, ["attractor", "saddle", "saddle"], directions=directions, trajectories=paths, length=0.5)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["attractor (1)", "saddle (2)"]
    assert len(ax.lines) == 4 + 3
    if dims == 2:
        np.testing.assert_allclose(ax.lines[4].get_xydata(), [[1.5, 3.0], [2.5, 3.0]])
        np.testing.assert_allclose(ax.collections[1].get_offsets(), points[1:])


def test_points_without_directions_in_axes_that_are_given():
    _, ax = plt.subplots()
    assert plot_points(np.zeros((1, 2)), ["unheard of"], ax=ax) is ax
    with pytest.raises(InputError, match="2 or 3 dimensions, got 4"):
        plot_points(np.zeros((1, 4)), ["slow"])
    with pytest.raises(InputError, match="one per point"):
        plot_points(np.zeros((2, 2)), ["slow"])
    with pytest.raises(InputError, match="cannot show points in 3"):
        plot_points(np.zeros((1, 3)), ["slow"], ax=ax)


def test_eigenvalues_with_the_unit_circle():
    values = np.array([[0.5 + 0.5j, 0.5 - 0.5j], [1.5, 0.1]])
    ax = plot_eigenvalues(values, kinds=["attractor", "saddle"])
    np.testing.assert_allclose(np.hypot(*ax.lines[0].get_xydata().T), 1)
    np.testing.assert_allclose(ax.collections[0].get_offsets(), [[0.5, 0.5], [0.5, -0.5]])
    assert len(plot_eigenvalues(values).collections) == 1


def test_a_branch_is_dashed_where_it_is_unstable():
    values, stable = np.arange(5.0), np.array([True, True, False, False, True])
    ax = plot_branch(values, values**2, stable, events=[("fold", 2.0, 4.0), ("hopf", 4.0, 16.0)], value_name="input")
    assert [line.get_linestyle() for line in ax.lines] == ["-", "--", "-"]
    np.testing.assert_allclose(ax.lines[1].get_xdata(), [1, 2, 3])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["fold", "hopf"]
    assert ax.get_xlabel() == "input"
