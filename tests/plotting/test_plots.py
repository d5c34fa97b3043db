"""Plots draw what they are given, into the axes they are given, and change nothing else."""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from neurodyn import plotting
from neurodyn.errors import InputError
from neurodyn.evaluation import LearningCurve
from neurodyn.plotting.style import axes

RNG = np.random.default_rng(0)
TIME = 0.1 * np.arange(1, 41)
SEEN = np.arange(40)[:, None] % 4 == np.arange(3) % 4
CURVE = LearningCurve(np.array([3.0, 2.0]), np.array([5, 10, 15]), np.array([2.0, 1.0, 1.5]), "finished")


def draw_decoded(ax):
    return plotting.plot_estimate(TIME, np.sin(TIME), np.cos(TIME), np.ones(40), ax=ax)


DRAW = {
    "decoded": draw_decoded,
    "trajectory": lambda ax: plotting.plot_trajectory(RNG.normal(size=(40, 2)), TIME, ax=ax, value_name="time"),
    "learning": lambda ax: plotting.plot_learning([CURVE], ax=ax),
    "scores": lambda ax: plotting.plot_scores({"spikes": np.array([0.1, 0.3])}, ax=ax),
    "latency": lambda ax: plotting.plot_latency(100 + 50 * RNG.random(500), bin_seconds=0.01, ax=ax),
    "counts": lambda ax: plotting.plot_counts(TIME, RNG.poisson(1.0, (40, 3)).astype(float), SEEN, ax=ax),
    "field": lambda ax: plotting.plot_field(TIME, RNG.normal(size=(40, 3)), SEEN, ax=ax),
}


@pytest.fixture
def ax():
    return Figure(layout="constrained").add_subplot()


@pytest.mark.parametrize("name", DRAW)
def test_returns_the_axes_given_and_leaves_global_settings(ax, name, tmp_path):
    before = dict(mpl.rcParams)
    assert DRAW[name](ax) is ax
    ax.figure.savefig(tmp_path / "plot.png")
    assert dict(mpl.rcParams) == before


def test_no_axes_makes_new_ones(monkeypatch):
    monkeypatch.setattr(mpl, "_backend_mod", None, raising=False)
    mpl.use("agg")
    one, two = axes(None), axes(None, projection="3d")
    assert one.figure is not two.figure
    assert two.name == "3d"
    import matplotlib.pyplot as plt

    plt.close("all")


def test_scores_are_means_dots_and_the_baseline(ax):
    scores = {"spikes": np.array([0.1, 0.3]), "ridge": np.array([0.4, 0.6])}
    plotting.plot_scores(scores, baseline="ridge", ax=ax)
    means = [line for line in ax.lines if line.get_linewidth() == 2.4]
    assert [line.get_ydata()[0] for line in means] == pytest.approx([0.2, 0.5])
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    assert [dot.get_ydata().tolist() for dot in dots] == [[0.1, 0.3], [0.4, 0.6]]
    assert any(line.get_linestyle() == "--" and line.get_ydata()[0] == 0.5 for line in ax.lines)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["spikes", "ridge"]
    assert means[0].get_color() == dots[0].get_color() == plotting.method_colour("spikes")


def test_decoded_breaks_between_trials_and_where_not_scored(ax):
    trial, scored = np.repeat([0, 1], 20), np.arange(40) >= 5
    plotting.plot_estimate(TIME, TIME, 2 * TIME, np.full(40, 0.5), trial=trial, scored=scored, ax=ax)
    true, decoded = (line.get_ydata() for line in ax.lines)
    assert np.isnan(true[:5]).all()
    assert np.flatnonzero(np.isnan(decoded)).tolist() == [20]
    np.testing.assert_allclose(np.delete(decoded, 20), 2 * TIME)
    low, high = ax.collections[0].get_datalim(ax.transData).intervaly
    assert (low, high) == pytest.approx((0.2 - 1.96 * 0.5, 8.0 + 1.96 * 0.5), abs=1e-3)


def test_trajectory_breaks_between_trials(ax):
    trial = np.repeat([0, 1], 20)
    plotting.plot_trajectory(RNG.normal(size=(40, 2)), TIME, trial=trial, ax=ax)
    lines = ax.collections[0]
    assert len(lines.get_segments()) == 38
    np.testing.assert_allclose(lines.get_array(), np.delete(TIME, [0, 20]))
    space = Figure().add_subplot(projection="3d")
    assert plotting.plot_trajectory(RNG.normal(size=(40, 3)), TIME, ax=space) is space
    with pytest.raises(InputError, match="2 or 3 dimensions, got 4"):
        plotting.plot_trajectory(RNG.normal(size=(40, 4)), TIME, ax=ax)
    with pytest.raises(InputError, match="cannot show a trajectory in 3 dimensions"):
        plotting.plot_trajectory(RNG.normal(size=(40, 3)), TIME, ax=ax)


def test_learning_marks_the_best(ax):
    plotting.plot_learning([CURVE], ax=ax)
    assert ax.lines[0].get_xydata().tolist() == [[5, 2.0], [10, 1.0], [15, 1.5]]
    assert ax.lines[1].get_xydata().tolist() == [[10, 1.0]]


def test_latency_marks_percentiles(ax):
    times = np.arange(1.0, 1001.0)
    plotting.plot_latency(times, ax=ax)
    assert sum(bar.get_height() for bar in ax.patches) == 1000
    marks = [line.get_xdata()[0] for line in ax.lines]
    np.testing.assert_allclose(marks, np.percentile(times, [50, 95, 99]))


def test_field_draws_observed_samples_only(ax):
    values = RNG.normal(size=(40, 3))
    plotting.plot_field(TIME, values, SEEN, ax=ax)
    line = ax.lines[0]
    np.testing.assert_allclose(line.get_xdata(), TIME[SEEN[:, 0]])
    np.testing.assert_allclose(line.get_ydata(), values[SEEN[:, 0], 0] / 4)


def test_counts_are_drawn_channel_by_time(ax):
    counts = RNG.poisson(1.0, (40, 3)).astype(float)
    plotting.plot_counts(TIME, counts, SEEN, ax=ax)
    image = ax.images[-1].get_array()
    np.testing.assert_array_equal(image.mask, ~SEEN.T)
    np.testing.assert_array_equal(image[~image.mask], counts.T[SEEN.T])
    np.testing.assert_allclose(ax.images[-1].get_extent()[:2], [0.0, 4.0], atol=1e-12)


def test_each_method_has_one_colour_of_its_own():
    names = ("multimodal", "spikes", "field", "ridge", "lfp", "ecog")
    colours = [plotting.method_colour(name, names) for name in names]
    assert len(set(colours)) == len(names)
    assert plotting.method_colour("lfp", ("spikes", "lfp")) == plotting.method_colour("lfp", ("lfp",))


# Viénot, Brettel & Mollon (1999): linear RGB as a protanope and a deuteranope see it.
PROTAN = np.array([[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]])
DEUTAN = np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]])


@pytest.mark.parametrize("seen_as", [np.eye(3), PROTAN, DEUTAN], ids=["usual", "protanope", "deuteranope"])
def test_methods_can_be_told_apart_by_colour_blind_readers(seen_as):
    colours = {n: np.array(to_rgb(plotting.method_colour(n))) for n in ("multimodal", "spikes", "field", "ridge")}
    seen = {n: np.clip(seen_as @ c**2.2, 0, 1) ** (1 / 2.2) for n, c in colours.items()}
    pairs = [(a, b) for a in seen for b in seen if a < b]
    distances = {(a, b): float(np.linalg.norm(seen[a] - seen[b])) for a, b in pairs}
    assert min(distances.values()) > 0.15, distances
