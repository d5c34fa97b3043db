"""Plots of results take what a decoder or a search returned, and draw those numbers."""

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from oracles import known_maps
from scipy.stats import chi2, norm

from neurodyn import plotting
from neurodyn.baselines import CausalRidge
from neurodyn.binning import MultimodalBatch
from neurodyn.errors import InputError
from neurodyn.evaluation.labelled import labelled_target
from neurodyn.fixed_points import find, linearise
from neurodyn.plotting.predictions import stretch_of


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def batch():
    """Two trials of 12 and 8 bins of 50 ms; the target is not known in bins 3 and 4 of the first."""
    rng = np.random.default_rng(0)
    target = rng.normal(size=(2, 12, 3))
    target[0, 3:5] = np.nan
    made = MultimodalBatch.from_arrays(
        {"spikes": rng.poisson(1.0, (2, 12, 2)).astype(float)}, width=0.05, likelihoods={"spikes": "poisson"},
        target=target, target_names=("x", "y", "log_speed"), lengths=np.array([12, 8]),
    )  # fmt: skip
    from dataclasses import replace

    return replace(made, target_units=("m", "m", "log(1 + cm/s)"))


@pytest.fixture(scope="module")
def prediction(batch):
    rng = np.random.default_rng(1)
    stacked = batch.stacked(observations=False)
    return labelled_target(batch, stacked, rng.normal(size=(2, 12, 3)), rng.uniform(0.5, 1.0, (2, 12, 3)))


def test_units_are_attributes(batch, prediction):
    assert prediction["seconds"].attrs["units"] == "s"
    assert prediction["unit"].to_numpy().tolist() == list(batch.target_units)
    assert "units" not in prediction["target"].attrs  # they are not all the same
    flat = labelled_target(batch, batch.stacked(), np.zeros((2, 12, 2)), np.ones((2, 12, 2)), ("a", "b"), ("m", "m"))
    assert flat["target"].attrs["units"] == flat["deviation"].attrs["units"] == "m"
    unknown = labelled_target(batch, batch.stacked(), np.zeros((2, 12, 1)), np.ones((2, 12, 1)), ("other",))
    assert "unit" not in unknown.coords
    assert "units" not in unknown["target"].attrs


def test_units_come_from_every_decoder(batch):
    from oracles.small_decoder import fit_small

    for decoder in (CausalRidge(blocks=2).fit(batch), fit_small(batch, epochs=1)):
        found = decoder.predict(batch)
        assert found["unit"].sel(dim="log_speed").item() == "log(1 + cm/s)"
    rates = decoder.transform(batch)
    assert rates["seconds"].attrs["units"] == "s"
    assert rates["spikes"].attrs.get("units", "") == batch.modality("spikes").unit


def test_one_trial_is_drawn_in_the_time_of_the_recording(batch, prediction):
    ax = plotting.plot_decoded(prediction, batch, dims="y", trial=1)
    true, decoded = ax.lines
    np.testing.assert_allclose(decoded.get_xdata(), prediction["seconds"].to_numpy()[1, :8])
    np.testing.assert_allclose(decoded.get_ydata(), prediction["target"].to_numpy()[1, :8, 1])
    np.testing.assert_allclose(true.get_ydata(), batch.target[12:20, 1], rtol=1e-6)
    widest = norm.ppf(0.975) * prediction["deviation"].to_numpy()[1, :8, 1]
    low, high = ax.collections[0].get_datalim(ax.transData).intervaly
    assert low == pytest.approx((decoded.get_ydata() - widest).min(), abs=1e-6)
    assert high == pytest.approx((decoded.get_ydata() + widest).max(), abs=1e-6)
    assert ax.get_ylabel() == "y\n(m)"
    assert ax.get_xlabel() == "time (s)"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["true", "decoded", "95 % interval"]


def test_all_trials_and_dimensions_are_drawn_below_each_other(batch, prediction):
    rows = plotting.plot_decoded(prediction, batch)
    assert [row.get_ylabel().split("\n")[0] for row in rows] == ["x", "y", "log speed"]
    true, decoded = (line.get_ydata() for line in rows[0].lines)
    assert np.flatnonzero(np.isnan(decoded)).tolist() == [12]  # the line breaks between trials
    assert np.flatnonzero(np.isnan(true)).tolist() == [3, 4, 12]
    assert np.diff(rows[0].lines[0].get_xdata()[[0, 1]])[0] == pytest.approx(0.05)
    assert rows[2].get_xlabel() == "time (s), trials end to end"


def test_what_a_batch_without_a_target_predicts_is_drawn_alone(batch, prediction):
    from dataclasses import replace

    blind = replace(batch, target=batch.target[:, :0], target_names=(), target_units=())
    ax = plotting.plot_decoded(prediction, blind, dims="x", trial=0)
    assert np.isnan(ax.lines[0].get_ydata()).all()
    assert np.isfinite(ax.lines[1].get_ydata()).all()


def test_a_part_in_axes_that_are_given(batch, prediction):
    given = Figure().subplots(2, 1)
    rows = plotting.plot_decoded(prediction, batch, dims=("x", "y"), between=(0.2, 0.4), trial=0, ax=given)
    assert list(rows) == list(given)
    seconds = prediction["seconds"].to_numpy()[0]
    np.testing.assert_allclose(rows[0].lines[1].get_xdata(), seconds[(seconds >= 0.2) & (seconds <= 0.4)])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"dims": "z"}, "unknown dimension of the target 'z'"),
        ({"trial": 2}, "trial: the batch has 2, numbered from 0; got 2"),
        ({"between": (1.0,)}, "between is a first and a last second"),
        ({"between": (50.0, 60.0)}, "no bin of the prediction lies there"),
        ({"ax": Figure().add_subplot()}, "needs 3 axes, one above the other, got 1"),
    ],
)
def test_what_cannot_be_drawn(batch, prediction, arguments, said):
    with pytest.raises(InputError, match=said):
        plotting.plot_decoded(prediction, batch, **arguments)


def test_what_is_no_trial_and_no_part(batch, prediction):
    with pytest.raises(InputError, match="trial: expected a whole number"):
        stretch_of(prediction, batch, trial="first")
    with pytest.raises(InputError, match="between is a first and a last second"):
        stretch_of(prediction, batch, between=5)


def test_a_prediction_of_something_else(batch, prediction):
    other = MultimodalBatch.from_arrays({"a": np.ones((2, 12, 1))}, width=0.1, likelihoods={"a": "gaussian"})
    with pytest.raises(InputError, match="made of another batch"):
        plotting.plot_decoded(prediction, other)
    with pytest.raises(InputError, match="expected what predict"):
        plotting.plot_decoded(np.zeros((3, 3)), batch)
    with pytest.raises(InputError, match="expected what predict"):
        plotting.plot_arena(batch, batch)


def test_an_arena_has_regions_that_hold_both_dimensions(batch, prediction):
    ax = plotting.plot_arena(prediction, batch, trial=1)
    target, deviation = prediction["target"].to_numpy()[1, :8], prediction["deviation"].to_numpy()[1, :8]
    np.testing.assert_allclose(ax.lines[-1].get_xydata(), target[:, :2])
    assert len(ax.patches) == 8  # one per bin, where there are so few
    radius = np.sqrt(chi2(2).ppf(0.95))
    for ellipse, middle, one in zip(ax.patches, target[:, :2], deviation[:, :2], strict=True):
        np.testing.assert_allclose(ellipse.center, middle)
        np.testing.assert_allclose((ellipse.width, ellipse.height), 2 * radius * one)
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_aspect()) == ("x (m)", "y (m)", 1.0)
    unlike = plotting.plot_arena(prediction, batch, dims=("x", "log_speed"), ax=Figure().add_subplot())
    assert unlike.get_aspect() == "auto"
    with pytest.raises(InputError, match="an arena has two dimensions"):
        plotting.plot_arena(prediction, batch, dims="xy")


@pytest.fixture(scope="module")
def found():
    return find(known_maps.pitchfork, known_maps.cloud(40, 2), 0.5).fixed


def test_fixed_points_as_they_were_found(found):
    """x' = x / 2 - x^3 rests at 0, where it leaves along x, and at +- sqrt(1 / 2)."""
    linear = linearise(known_maps.pitchfork, found.states, 0.5, dt=0.1)
    ax = plotting.plot_fixed_points(found, linear, length=0.25)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert sorted(labels) == ["attractor (2)", "saddle (1)"]
    drawn = {c.get_label(): np.asarray(c.get_offsets()) for c in ax.collections}
    np.testing.assert_allclose(drawn["saddle (1)"], [[0, 0]], atol=1e-6)
    np.testing.assert_allclose(np.sort(drawn["attractor (2)"][:, 0]), [-np.sqrt(0.5), np.sqrt(0.5)], atol=1e-5)
    (way,) = (line.get_xydata() for line in ax.lines)
    np.testing.assert_allclose(np.sort(np.abs(way), axis=None), [0, 0, 0.25, 0.25], atol=1e-5)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("state[0]", "state[1]")
    alone = plotting.plot_fixed_points(found)
    assert [text.get_text() for text in alone.get_legend().get_texts()] == ["fixed (3)"]


def test_many_dimensions_are_seen_along_their_principal_components():
    """Two points at +- 1 of ten-dimensional states, on one line: the first component holds all."""
    points = find(
        lambda state, _: state + 0.5 * (state - state**3), np.sign(np.eye(1, 10) * 2 - 1) * [[1.0], [-1.0]], 0.0
    )
    ax = plotting.plot_fixed_points(points)
    assert ax.get_xlabel() == "PC 1 (100%)"
    space = plt.figure().add_subplot(projection="3d")
    assert plotting.plot_fixed_points(points, trajectories=np.zeros((2, 5, 10)), ax=space) is space
    assert len(space.lines) == 2


def test_fixed_points_that_do_not_fit(found):
    linear = linearise(known_maps.pitchfork, found.states[:1], 0.5, dt=0.1)
    with pytest.raises(InputError, match="there are 3 points, and 1 are linearised"):
        plotting.plot_fixed_points(found, linear)
    with pytest.raises(InputError, match=r"expected what neurodyn\.fixed_points\.find returns, got a ndarray"):
        plotting.plot_fixed_points(found.vectors)
    with pytest.raises(InputError, match=r"expected what neurodyn\.fixed_points\.linearise returns, got a ndarray"):
        plotting.plot_fixed_points(found, np.zeros(3))
    with pytest.raises(InputError, match=r"trajectories are \(trial, time, 2\)"):
        plotting.plot_fixed_points(found, trajectories=np.zeros((5, 2)))


def test_eigenvalues_of_what_was_linearised(found):
    linear = linearise(known_maps.pitchfork, found.states, 0.5, dt=0.1)
    ax = plotting.plot_eigenvalues(linear)
    drawn = np.concatenate([np.asarray(c.get_offsets()) for c in ax.collections])
    # In Euler steps of 0.1: 1 + 0.1 (1/2 - 3 x^2) along x, 0.9 along y.
    np.testing.assert_allclose(np.sort(drawn[:, 0]), [0.9] * 5 + [1.05], atol=1e-5)
    low, high = ax.get_xlim()
    assert -low == high > 1.05
    with pytest.raises(InputError, match="kinds have to be one per point: expected 3, got 1"):
        plotting.plot_eigenvalues(linear, kinds=["saddle"])
    with pytest.raises(InputError, match=r"expected what neurodyn\.fixed_points\.linearise returns"):
        plotting.plot_eigenvalues("eigenvalues")


def test_every_plot_is_in_the_package():
    """A function that draws is not hidden in a module."""
    import ast
    from pathlib import Path

    written = {
        node.name
        for path in Path(plotting.__file__).parent.glob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("plot_")
    }
    assert written == {name for name in plotting.__all__ if name.startswith("plot_")}
