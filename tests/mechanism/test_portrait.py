"""The pictures of a network show what NumPy works out from its equations; and each is drawn from them."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from experiments.falsifiers.networks import exact_emulator, gated, spiral
from neurodyn.markov import HiddenMarkovModel, linear_chain
from neurodyn.mechanism import Evidence, PortraitConfig, RecordConfig, explain, portrait, quick_config, record
from neurodyn.mechanism.measured import Kick
from neurodyn.plotting import portrait as plots
from neurodyn.plotting.emulation import symbol_colour
from neurodyn.report.portrait import portrait_pictures

MODEL = HiddenMarkovModel(np.full(2, 0.5), np.array([[0.95, 0.05], [0.05, 0.95]]), np.eye(2), "two", 30)
CONFIG = PortraitConfig(trials=3, quiet_steps=10, levels=(0.5, 1.0), bins=8, factors=(0.0, 1.0, 2.0), jacobians=5)


def kick(group, integrating=(), source=0, target=1, hidden=6):
    return Kick(
        source, target, 0.1, np.zeros(hidden), np.zeros(hidden), 1.0, np.array(group, int), np.array(group, int),
        np.array(integrating, int),
    )  # fmt: skip


def evidence_of(network, model=MODEL, trials=40, steps=60):
    config = RecordConfig(trials, steps, burn_in=10)
    return Evidence(network, record(network, config, seed=0), model)


@pytest.fixture(scope="module")
def turning():
    """A rotation of two units, four that forget; unit 0 plays the kick neuron, unit 3 drives it."""
    evidence = evidence_of(spiral())
    return evidence, portrait(evidence, [kick([0], [3])], CONFIG, seed=1)


def test_without_input_the_state_is_multiplied_by_the_matrix(turning):
    evidence, data = turning
    matrix = np.asarray(evidence.network.parameters["recurrent"])
    for trial, start in enumerate(evidence.activity.states[:3, 0]):
        for step in range(11):
            state = np.linalg.matrix_power(matrix, step) @ start
            place = evidence.plane.axes @ (state - evidence.plane.centre)
            np.testing.assert_allclose(data["quiet_place"][trial, step], place, atol=1e-9)
            assert data["quiet_symbol"][trial, step] == (state[0] < 0)


def test_trajectories_are_those_recorded(turning):
    evidence, data = turning
    np.testing.assert_array_equal(data["symbol"], evidence.activity.states[:3, :, 0] < 0)
    expected = (evidence.activity.states[:3] - evidence.plane.centre) @ evidence.plane.axes.T
    np.testing.assert_allclose(data["place"], expected)


def test_more_noise_takes_more_room(turning):
    _, data = turning
    np.testing.assert_allclose(data["level"], [0.5, 1.0])
    assert np.all(data["occupancy"].sum(("x", "y")) > 0.97)
    x, y = ((edge[1:] + edge[:-1]) / 2 for edge in (data["x_edge"].to_numpy(), data["y_edge"].to_numpy()))
    radius = np.hypot(x[:, None], y[None])
    half, whole = (float((share * radius).sum()) for share in data["occupancy"].to_numpy())
    assert half / whole == pytest.approx(0.5, abs=0.12)  # the network is linear; cells are wide


def test_eigenvalues_are_those_of_the_matrix_with_scaled_columns(turning):
    evidence, data = turning
    for factor in CONFIG.factors:
        scaled = np.array(evidence.network.parameters["recurrent"])
        scaled[:, 0] *= factor
        expected = np.abs(np.linalg.eigvals(scaled)).max()
        assert float(data["largest_eigenvalue"].sel(factor=factor)[0]) == pytest.approx(expected, abs=1e-9)


def test_what_the_kick_neurons_receive_is_the_mean_in_each_cell_of_the_phase(turning):
    evidence, data = turning
    drive = evidence.activity.states @ np.asarray(evidence.network.parameters["recurrent"])[0]
    phases = evidence.plane.phase(evidence.activity.states)
    for number, middle in enumerate(data["phase"].to_numpy()):
        here = np.abs(phases - middle) <= np.pi / CONFIG.bins
        np.testing.assert_allclose(data["received"][0, number], drive[here].mean(), atol=1e-9)


def test_weights_are_sorted_by_what_a_unit_is(turning):
    evidence, data = turning
    matrix = np.asarray(evidence.network.parameters["recurrent"])
    np.testing.assert_array_equal(data["to_unit"], [0, 3, 1, 2, 4, 5])
    np.testing.assert_array_equal(data["unit_kind"], [1, 2, 0, 0, 0, 0])
    for row, to in enumerate(data["to_unit"].to_numpy()):
        for column, origin in enumerate(data["from_unit"].to_numpy()):
            assert data["weight"][row, column] == matrix[to, origin]


def test_a_unit_of_two_groups_is_shown_once():
    evidence = evidence_of(spiral())
    data = portrait(evidence, [kick([1], [0, 2]), kick([0, 1], [2], source=1, target=0)], CONFIG)
    np.testing.assert_array_equal(data["to_unit"], [1, 0, 2, 3, 4, 5])
    assert data["transition"].to_numpy().tolist() == ["A→B", "B→A"]


def test_an_exact_emulator_has_the_transitions_of_its_model():
    model = linear_chain(3, trial_steps=60)
    data = portrait(evidence_of(exact_emulator(model), model, trials=400), config=CONFIG)
    np.testing.assert_allclose(data["emitted"].sum("to_symbol"), 1)
    np.testing.assert_allclose(data["emitted"], data["expected"], atol=0.02)
    assert data["emitted"]["to_symbol"].to_numpy().tolist() == ["A", "B", "C"]
    assert not {"received", "weight", "largest_eigenvalue"} & set(data.variables)


def test_a_cell_without_one_matrix_shows_the_activity_of_its_kick_neurons():
    evidence = evidence_of(exact_emulator(MODEL))
    data = portrait(evidence, [kick([1], hidden=2)], CONFIG)
    assert data.attrs["received_is"] == "activity of the kick neurons"
    assert "weight" not in data
    assert np.nanmax(data["received"]) == 1.0


def test_the_region_drawn_is_the_smallest_that_holds_so_much():
    share = np.array([[0.5, 0.2], [0.2, 0.1]])
    assert plots._height_of(share, 0.8) == 0.2
    assert plots._height_of(share, 0.4) == 0.5


def test_symbols_have_the_colours_of_the_other_page(turning):
    for quiet_runs in (False, True):
        ax = Figure().add_subplot()
        plots.plot_orbit(turning[1], quiet_runs=quiet_runs, ax=ax)
        legend = {text.get_text(): line for text, line in zip(ax.get_legend().get_texts(), ax.lines[3:], strict=False)}
        assert set(legend) >= {"A", "B"}
        colours = {matched.get_color() for matched in ax.get_legend().get_lines()}
        assert {symbol_colour(0), symbol_colour(1)} <= colours


def test_each_picture_is_drawn_and_has_words(turning):
    pictures = portrait_pictures(turning[1])
    assert [each.title for each in pictures][:2] == ["Under noise", "Without noise"]
    assert len(pictures) == 7
    assert all(each.png.startswith(b"\x89PNG") and len(each.caption) > 60 for each in pictures)


def test_an_explanation_has_them(tmp_path):
    found = explain(gated(), MODEL, config=quick_config(), seed=0, claims=["rotation"])
    assert "place" in found.portrait
    assert "received" not in found.portrait  # no claim asked for the kick neurons
    assert "portrait_emitted" in found.to_xarray()
    found.to_xarray().to_netcdf(tmp_path / "mechanism.nc", engine="scipy")
