"""All claims in one go: results, files and page."""

import math

import jax
import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from experiments.falsifiers.networks import gated, random_relu
from experiments.falsifiers.recordings import visits
from neurodyn.errors import InputError
from neurodyn.markov import HiddenMarkovModel
from neurodyn.mechanism import (
    Epoch,
    Evidence,
    RecordConfig,
    Verdict,
    explain,
    network_of,
    quick_config,
    record,
    subspaces,
)
from neurodyn.mechanism.hazards import Target, intact, outcomes, settled_starts
from neurodyn.mechanism.network import is_homogeneous, recurrent_weights
from neurodyn.report.mechanism import picture_of, render_explanation

HMM = HiddenMarkovModel(np.full(2, 0.5), np.array([[0.95, 0.05], [0.05, 0.95]]), np.eye(2), "two", 30)
NAMES = [
    "collapse", "rotation", "phase", "residency", "sensitivity", "kick_neurons", "intervention", "resonance",
    "subspaces",
]  # fmt: skip


@pytest.fixture(scope="module")
def explanation():
    heard = []
    network, untrained = gated(), random_relu(38, 38, 2)
    first = network.with_parameters(_padded(untrained.parameters, network.parameters))
    course = [Epoch(0, first), Epoch(4, first), Epoch(9, network)]
    found = explain(network, HMM, config=quick_config(), seed=0, epochs=course, report=heard.append)
    return found, heard


def _padded(weights, like):
    return {**like, **{name: weights[name] for name in ("recurrent", "input", "readout")}}


def test_nine_claims_in_order(explanation):
    found, heard = explanation
    assert [finding.name for finding in found.findings] == NAMES
    assert [finding.number for finding in found.findings] == list(range(1, 10))
    assert list(found.seconds) == heard
    assert all(isinstance(finding.verdict, Verdict) for finding in found.findings)
    assert found["subspaces"].verdict is Verdict.DOES_NOT_APPLY  # two symbols: one pair
    assert "9" in found.sentence


def test_claims_are_named_by_one_text_or_several(explanation):
    from neurodyn.mechanism.explain import _chosen

    assert _chosen("rotation") == _chosen(["rotation"]) == ["rotation"]
    with pytest.raises(InputError, match="no claims to examine"):
        _chosen([])
    with pytest.raises(InputError, match="unknown claim 'rotatoin': did you mean 'rotation'"):
        _chosen("rotatoin")


def test_every_number_is_a_number_or_was_not_measured(explanation):
    for row in explanation[0].to_rows():
        assert math.isnan(row["value"]) == math.isnan(row["low"])
        if not math.isnan(row["value"]):
            assert row["low"] <= row["value"] <= row["high"], row


def test_the_data_survive_a_file(explanation, tmp_path):
    data = explanation[0].to_xarray()
    data.to_netcdf(tmp_path / "mechanism.nc", engine="scipy")
    back = xr.open_dataset(tmp_path / "mechanism.nc", engine="scipy")
    assert set(back.variables) == set(data.variables)
    np.testing.assert_allclose(back["resonance_match"], data["resonance_match"])
    assert back.attrs["collapse_verdict"] == explanation[0]["collapse"].verdict.value
    back.close()


def test_the_page_shows_every_claim(explanation):
    page = render_explanation(explanation[0], title="A gate", facts={"seed": "0"}, versions={"python": "3"})
    assert page.count('<section class="claim"') == 9
    assert page.count("data:image/png;base64,") >= 8
    assert "not measured" in page
    for finding in explanation[0].findings:
        assert finding.claim in page


@pytest.mark.parametrize("name", NAMES)
def test_plots_draw_into_the_axes_given(explanation, name):
    from neurodyn.report.mechanism import FIGURES

    data = explanation[0][name].data
    for plot in FIGURES[name]:
        ax = Figure().add_subplot()
        assert plot(data, ax=ax) is ax


def test_the_motifs_of_three_pairs_are_drawn():
    config = subspaces.SubspaceConfig(before=3, after=3, splits=5, permutations=5)
    finding = subspaces.examine(Evidence(gated(), visits(shared=False, trials=20)), config, seed=0)
    assert picture_of(finding).png[:8] == b"\x89PNG\r\n\x1a\n"


def test_the_same_seed_gives_the_same_findings():
    network = gated()
    config = RecordConfig(trials=6, steps=20, burn_in=5)
    first, again, other = (record(network, config, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.states, again.states)
    assert np.abs(first.states - other.states).max() > 0


# What all claims stand on ------------------------------------------------------------------------------------------


def test_a_recording_is_a_loop_of_the_step():
    network = random_relu()
    activity = record(network, RecordConfig(trials=3, steps=8, burn_in=4), seed=0)
    for trial in range(3):
        for t in range(1, 8):
            state = network.step(network.parameters, activity.states[trial, t - 1], activity.inputs[trial, t])
            np.testing.assert_allclose(activity.states[trial, t], state, atol=1e-12)
    readout = np.asarray(network.parameters["readout"])
    np.testing.assert_allclose(activity.logits, activity.states @ readout.T, atol=1e-12)
    np.testing.assert_allclose(activity.probabilities.sum(axis=-1), 1.0)


def test_settled_and_changes_against_a_loop():
    activity = record(random_relu(), RecordConfig(trials=4, steps=40, burn_in=2), seed=1)
    symbols, settled = activity.likeliest, activity.settled(3)
    for trial in range(4):
        for t in range(40):
            constant = t >= 2 and len(set(symbols[trial, t - 2 : t + 1].tolist())) == 1
            assert settled[trial, t] == (symbols[trial, t] if constant else -1)
    rows = [
        (trial, t, symbols[trial, t - 1], symbols[trial, t])
        for trial in range(4)
        for t in range(1, 40)
        if symbols[trial, t] != symbols[trial, t - 1]
    ]
    np.testing.assert_array_equal(activity.changes(), rows)


@pytest.mark.parametrize("target", list(Target))
def test_interventions_against_a_loop(target):
    network, factor = random_relu(), 0.3
    activity = record(network, RecordConfig(trials=16, steps=40, burn_in=5), seed=2)
    source = int(np.bincount(activity.likeliest.ravel()).argmax())
    starts = settled_starts(network, activity, source, runs=6, horizon=12, settled=1, seed=0)
    assert starts is not None
    sets = np.random.default_rng(0).random((2, network.hidden)) < 0.4
    found = outcomes(network, starts, sets, factor, target)
    for number, units in enumerate(sets):
        for run in range(6):
            expected = _loop(network, starts, run, units, factor, target)
            assert (found.target[number, run], found.wait[number, run]) == expected


def _loop(network, starts, run, units, factor, target):
    parameters, state = network.parameters, np.asarray(starts.states[run])
    if target is Target.ACTIVITY:
        state = np.where(units, factor * state, state)
    for wait, noise in enumerate(np.asarray(starts.noise[:, run]), start=1):
        after = np.asarray(network.step(parameters, state, noise))
        if target is Target.NOISE:
            after = np.where(units, network.step(parameters, state, factor * noise), after)
        state = np.where(units, factor * after, after) if target is Target.ACTIVITY else after
        seen = np.where(units, factor * state, state) if target is Target.READOUT else state
        symbol = int(np.argmax(network.readout(parameters, jax.numpy.asarray(seen))))
        if symbol != starts.source:
            return symbol, wait
    return -1, len(starts.noise)


def test_a_factor_of_one_changes_nothing():
    network = random_relu()
    activity = record(network, RecordConfig(trials=16, steps=40, burn_in=5), seed=2)
    source = int(np.bincount(activity.likeliest.ravel()).argmax())
    starts = settled_starts(network, activity, source, runs=20, horizon=10, settled=1, seed=0)
    assert starts is not None
    base = intact(network, starts)
    everyone = np.ones((1, network.hidden), bool)
    for target in Target:
        np.testing.assert_array_equal(outcomes(network, starts, everyone, 1.0, target).wait, base.wait)


def test_too_few_starts_are_none():
    activity = record(random_relu(), RecordConfig(trials=2, steps=4, burn_in=0), seed=0)
    assert settled_starts(random_relu(), activity, 0, runs=1000, horizon=4, settled=2, seed=0) is None


def test_other_epochs_compile_nothing(explanation):
    from neurodyn.mechanism.activity import run

    network = random_relu(seed=1)
    noise = np.zeros((4, 2, network.inputs))
    run(network, np.zeros((2, network.hidden)), noise)
    compiled = run._cache_size()
    run(network.with_parameters(random_relu(seed=2).parameters), np.zeros((2, network.hidden)), noise)
    assert run._cache_size() == compiled


def test_homogeneity_is_seen():
    assert is_homogeneous(random_relu())
    assert not is_homogeneous(gated())


def test_weights_are_read_only_where_they_are_the_weights():
    network = random_relu()
    np.testing.assert_array_equal(recurrent_weights(network), network.parameters["recurrent"])
    gated_cell = network.with_parameters({**network.parameters, "recurrent": np.zeros((36, 12))})
    assert recurrent_weights(gated_cell) is None


def test_in_single_precision(float32):
    network = random_relu()
    activity = record(network, RecordConfig(trials=8, steps=20, burn_in=5), seed=0)
    assert activity.states.dtype == np.float32
    assert jax.tree.leaves(network.parameters)[0].dtype == np.float32


def test_wrong_input_is_named():
    with pytest.raises(
        InputError, match=r"expected a fitted HmmEmulator, a mechanism\.Network or an object with .*got dict"
    ):
        network_of({})
    with pytest.raises(InputError, match="give it as the second argument"):
        explain(gated(), config=quick_config())
    growing = random_relu().with_parameters({**random_relu().parameters, "recurrent": 100 * np.ones((12, 12))})
    with pytest.raises(InputError, match="does not stay finite"):
        record(growing, RecordConfig(trials=2, steps=400), seed=0)
