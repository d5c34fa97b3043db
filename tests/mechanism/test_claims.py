"""Each claim is supported where it is true by construction and not where it is false."""

import dataclasses

import numpy as np
import pytest
import xarray as xr

from experiments.falsifiers.networks import (
    COPY,
    DISTRACTORS,
    INTEGRATORS,
    KICK,
    bistable,
    exact_emulator,
    flicker,
    gated,
    gradient_system,
    independent_units,
    integrator,
    linear,
    random_relu,
    ring,
    spiral,
)
from experiments.falsifiers.recordings import orbit, telegraph, visits
from neurodyn.errors import InputError
from neurodyn.markov import HiddenMarkovModel, cycle, linear_chain
from neurodyn.mechanism import (
    Epoch,
    Evidence,
    KickConfig,
    RecordConfig,
    ResidencyConfig,
    Verdict,
    collapse,
    course,
    find_kick_neurons,
    hazards,
    intervention,
    kick_neurons,
    kick_search,
    phase,
    record,
    residency,
    residency_measure,
    resonance,
    rotation,
    sensitivity,
    subspaces,
)
from neurodyn.mechanism import activity as activity_module
from neurodyn.mechanism import evidence as evidence_module
from neurodyn.mechanism.dwell import dwell_of_model, jumping
from neurodyn.mechanism.finding import Criterion, Estimate, Finding
from neurodyn.mechanism.hazards import Outcomes
from neurodyn.mechanism.power import final_sample, sample_until_decided

RECORDING = RecordConfig(trials=48, steps=80, burn_in=20)
COLLAPSE = collapse.CollapseConfig(starts=128, steps=250)
ROTATION = rotation.RotationConfig(surrogates=10)
PHASE = phase.PhaseConfig(permutations=20)
RESIDENCY = ResidencyConfig(states=400, near_changes=60, draws=12, horizon=30, jacobians=6)
KICKS = KickConfig(
    runs=128,
    horizon=25,
    settled=3,
    least_changes=15,
    permutations=100,
    random_sets=40,
    neighbours=8,
    untrained=2,
    most_times=1,
)
INTERVENTION = intervention.InterventionConfig(factors=(0.0, 1.0, 2.0), control_sets=10)


def untrained_first(network):
    return Epoch(0, random_relu(60, 20, 2)), Epoch(1, network)


@pytest.fixture(scope="module")
def on_the_ring():
    network = ring()
    return network, record(network, RecordConfig(trials=64, steps=160, burn_in=20), seed=0)


@pytest.fixture(scope="module")
def gate():
    network = gated()
    return network, record(network, RecordConfig(trials=64, steps=100, burn_in=10), seed=0)


@pytest.fixture(scope="module")
def kicks(gate):
    return find_kick_neurons(*gate, KICKS, seed=0)


def recorded(network):
    return Evidence(network, record(network, RECORDING, seed=0))


def along(networks, hmm):
    """Evidence of a training, of which nothing was recorded."""
    course = tuple(Epoch(number, network) for number, network in enumerate(networks))
    return Evidence(networks[-1], record(networks[-1], RecordConfig(1, 2, 0), seed=0), hmm=hmm, epochs=course)


def criterion(finding, text):
    (found,) = [c for c in finding.every_criterion if text in c.estimate.name]
    return found


# 1 collapse -------------------------------------------------------------------------------------------------------


def test_a_contraction_collapses():
    network = spiral(radius=0.9)
    finding = collapse.examine(recorded(network), COLLAPSE, seed=0)
    assert finding.verdict is Verdict.SUPPORTED, finding.criteria
    assert finding.estimate.value == 1.0


def test_a_contracting_relu_network_collapses_along_one_ray():
    recurrent = 0.5 * np.full((6, 6), 1 / 6) + 0.1 * np.eye(6)  # a positive matrix: one ray (Perron and Frobenius)
    network = random_relu(6, 6)
    network = network.with_parameters({**network.parameters, "recurrent": recurrent, "input": np.eye(6)})
    finding = collapse.examine(recorded(network), COLLAPSE, seed=0)
    assert finding.verdict is Verdict.SUPPORTED, finding.criteria
    note = finding.notes[-1]
    assert "at least 1.0000" in note
    assert "factor of 0.600 per step" in note  # the largest eigenvalue: 0.5 + 0.1


def test_two_attractors_do_not_collapse():
    network = bistable()
    finding = collapse.examine(recorded(network), COLLAPSE, seed=0)
    assert finding.verdict is Verdict.NOT_SUPPORTED
    assert finding.estimate.value < 0.9


def test_growing_activity_does_not_collapse():
    network = linear(1.01 * np.eye(3))
    finding = collapse.examine(recorded(network), COLLAPSE, seed=0)
    assert finding.verdict is Verdict.NOT_SUPPORTED


# 2 rotation -------------------------------------------------------------------------------------------------------


def test_a_noisy_rotation_has_a_current():
    finding = rotation.examine(recorded(spiral()), ROTATION, seed=0)
    assert finding.verdict is Verdict.SUPPORTED, finding.criteria
    assert finding.control.high < 0.2


def test_a_gradient_system_has_none():
    finding = rotation.examine(recorded(gradient_system()), ROTATION, seed=0)
    assert finding.verdict is Verdict.NOT_SUPPORTED
    assert abs(finding.estimate.value) < 0.1


def test_the_current_of_a_rotation_goes_around():
    data = rotation.examine(recorded(spiral()), ROTATION, seed=0).data
    x, y, flow = data["x"].to_numpy(), data["y"].to_numpy(), data["current"].to_numpy()
    turning = x[:, None] * flow[..., 1] - y[None] * flow[..., 0]
    right_way = (np.sign(turning) == np.sign(turning.sum()))[np.abs(turning) > 1e-5]
    assert right_way.mean() > 0.9
    assert data["occupancy"].sum() == pytest.approx(1.0, abs=0.05)


# 3 phase ----------------------------------------------------------------------------------------------------------


def test_a_readout_on_the_orbit_follows_the_phase(on_the_ring):
    finding = phase.examine(Evidence(*on_the_ring), PHASE, seed=0)
    assert criterion(finding, "explains").holds
    assert finding.estimate.value > 0.95


def test_a_readout_in_the_plane_lies_near_it():
    network = spiral(others=20)
    finding = phase.examine(recorded(network), PHASE, seed=0)
    assert finding.verdict is Verdict.SUPPORTED, finding.criteria


def test_a_readout_off_the_plane_does_not_follow_the_phase():
    network = spiral(others=20)
    off = np.zeros((2, 22))
    off[:, 5] = 1.0, -1.0
    network = network.with_parameters({**network.parameters, "readout": off})
    finding = phase.examine(recorded(network), PHASE, seed=0)
    assert finding.verdict is Verdict.NOT_SUPPORTED
    assert criterion(finding, "cosine").holds is False


@pytest.mark.parametrize("readout", [0.0, 0.5 * np.pi])
def test_a_telegraph_has_a_phase_that_says_no_more_than_a_coordinate(readout):
    finding = phase.examine(telegraph(seed=1, readout=readout, trials=192), PHASE, seed=0)
    assert finding.verdict is not Verdict.SUPPORTED
    assert criterion(finding, "best coordinate").estimate.value < 0.003
    if readout == 0.0:
        assert criterion(finding, "explains").estimate.value > 0.95  # which was once all that was asked


@pytest.mark.parametrize(("noise", "memory"), [(0.1, 0.0), (0.3, 0.8)])
def test_the_phase_of_an_orbit_says_more_than_a_coordinate(noise, memory):
    finding = phase.examine(orbit(seed=0, noise=noise, memory=memory), PHASE, seed=0)
    assert finding.verdict is Verdict.SUPPORTED, [(c.text, str(c.estimate)) for c in finding.criteria]


def test_probabilities_that_do_not_change_leave_nothing_to_explain():
    network = spiral().with_parameters({**spiral().parameters, "readout": np.zeros((2, 6))})
    assert phase.examine(recorded(network), PHASE, seed=0).verdict is Verdict.DOES_NOT_APPLY


def test_a_claim_takes_as_many_trials_as_its_verdict_needs():
    """A bound at the number that few trials give is straddled by their interval; one that is far from it is not."""
    network = spiral()
    few = RecordConfig(trials=6, steps=40, burn_in=20, most_times=4)
    evidence = Evidence(network, record(network, few, seed=0), recording=few)
    first = rotation.examine(Evidence(network, evidence.activity), ROTATION, seed=0)
    assert first.verdict is Verdict.SUPPORTED
    assert rotation.examine(evidence, ROTATION, seed=0).notes[-1].startswith("examined on the usual trials")
    strict = dataclasses.replace(ROTATION, least_rotation=first.estimate.value)
    told = rotation.examine(evidence, strict, seed=0).notes[-1]
    assert told.startswith(("examined on 2 times the usual trials", "examined on 4 times the usual trials"))
    assert [len(evidence.recorded(times).states) for times in (1, 2, 4)] == [6, 12, 24]
    np.testing.assert_array_equal(evidence.recorded(4).states[:12], evidence.recorded(2).states)
    assert len(np.unique(evidence.recorded(4).states[:, 0, 0])) == 24
    with pytest.raises(InputError, match="at most 4 times"):
        evidence.recorded(8)


def _found(low, high, least=0.5):
    criterion = Criterion(Estimate("x", 0.5, low, high), least=least)
    return Finding(
        number=2, name="x", claim="", estimate=criterion.estimate, control=criterion.estimate, criteria=(criterion,),
        data=xr.Dataset(), notes=(),
    )  # fmt: skip


def test_samples_grow_until_an_interval_is_narrower_than_its_margin():
    looked = []

    def look(times, away=0.1, width=0.3):
        looked.append(times)
        return _found(0.5 + away - width / times, 0.5 + away + width / times)

    found = sample_until_decided(look, 8, "trials")
    assert looked == [1, 2, 4]  # 0.3, 0.15, 0.075: below 0.1
    assert found.verdict is Verdict.SUPPORTED
    assert found.notes[-1] == "examined on 4 times the usual trials: that decided it"
    looked.clear()
    told = sample_until_decided(lambda times: look(times, away=0.0), 4, "states").notes[-1]
    assert looked == [1, 2, 4]
    assert told == "examined on 4 times the usual states, the limit is 4 times: an interval still straddles its bound"
    unknown = sample_until_decided(lambda times: _found(np.nan, np.nan), 4, "states").notes[-1]
    assert "could not be measured" in unknown
    assert "usual states:" in unknown


def test_a_look_for_which_there_is_too_little_leaves_the_one_before():
    looks = {1: _found(0.3, 0.9), 2: _found(0.4, 0.8)}
    times, found = final_sample(looks.get, 8, lambda finding: finding)
    assert (times, found) == (2, looks[2])
    assert found.verdict is Verdict.UNDECIDED


# 4 residency and 5 sensitivity ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ring_bands(on_the_ring):
    return residency_measure.measure(*on_the_ring, RESIDENCY, seed=0)


def test_an_excitable_ring_has_slow_regions_and_fast_transitions(on_the_ring, ring_bands):
    finding = residency.examine(Evidence(*on_the_ring, known_residency=ring_bands), RESIDENCY, seed=0)
    assert finding.verdict is Verdict.SUPPORTED, [(c.text, str(c.estimate)) for c in finding.criteria]


def test_an_integrator_has_no_fast_transitions():
    network = integrator()
    activity = record(network, RecordConfig(trials=64, steps=160, burn_in=60), seed=0)
    finding = residency.examine(Evidence(network, activity, residency_config=RESIDENCY), seed=0)
    assert finding.verdict is Verdict.NOT_SUPPORTED
    assert criterion(finding, "in a transition").holds is False


@pytest.mark.parametrize("model", [linear_chain(2), linear_chain(5)], ids=["chain2", "chain5"])
def test_a_network_that_jumps_as_its_model_does_is_not_failed_for_it(model):
    """Claims 4 and 5 find nothing on the way from state to state, however long the model's symbols last."""
    network = exact_emulator(model)
    evidence = Evidence(
        network, record(network, RecordConfig(48, 100, 10), seed=0), hmm=model, residency_config=RESIDENCY
    )
    for claim in (residency, sensitivity):
        finding = claim.examine(evidence, seed=0)
        assert finding.verdict is Verdict.DOES_NOT_APPLY
        assert "single step" in finding.not_applicable_because


def test_symbols_that_never_change_leave_nothing_to_test(on_the_ring):
    network = on_the_ring[0].with_parameters({**on_the_ring[0].parameters, "noise": 0.0})
    evidence = Evidence(network, record(network, RECORDING, seed=0))
    assert residency.examine(evidence, seed=0).verdict is Verdict.DOES_NOT_APPLY
    assert sensitivity.examine(evidence, seed=0).verdict is Verdict.DOES_NOT_APPLY


@pytest.mark.parametrize("model", [linear_chain(3), linear_chain(4), cycle(4)], ids=["chain3", "chain4", "cycle4"])
def test_the_dwell_of_a_model_is_that_of_its_samples(model):
    rng, horizon, waits, changes = np.random.default_rng(0), 40, [], []
    emissions = model.emissions
    clear = np.isclose(emissions, emissions.max(axis=1, keepdims=True)).sum(axis=1) == 1
    symbol = np.where(clear, emissions.argmax(axis=1), -1)
    for _ in range(4000):
        state = first = int(rng.choice(np.flatnonzero(clear)))  # the families here spend as long in every state
        for wait in range(1, horizon + 1):
            state = int(rng.choice(len(symbol), p=model.transitions[state]))
            if wait == 1:
                changes.append(symbol[state] != symbol[first])
            if symbol[state] != symbol[first]:
                break
        waits.append(wait)
    found = dwell_of_model(model, horizon)
    assert found.steps == pytest.approx(np.mean(waits), rel=0.05)
    assert found.rate == pytest.approx(np.mean(changes), rel=0.1)
    steps, leaving = 6, min(found.rate, 0.5)
    both_ways = np.array([[1 - leaving, leaving], [leaving, 1 - leaving]])
    assert found.undecided(steps) == pytest.approx(np.linalg.matrix_power(both_ways, steps)[0, 1])


def test_residency_of_independent_symbols_is_that_of_a_coin():
    network = linear(np.zeros((2, 2)), readout=np.array([[1.0, 0.0], [-1.0, 0.0]]))
    activity = record(network, RECORDING, seed=0)
    found = residency_measure.measure(network, activity, RESIDENCY, seed=0)
    assert found.draws.mean() == pytest.approx(2.0, abs=0.1)  # geometric with probability 1/2


def test_unstable_directions_of_a_linear_map():
    network = linear(np.diag([1.5, -1.5, 0.5, 0.9]))
    activity = record(network, RecordConfig(trials=8, steps=12, burn_in=0), seed=0)
    found = residency_measure.measure(network, activity, ResidencyConfig(states=10, near_changes=0, draws=2), seed=0)
    unstable, _ = residency.unstable_directions(network, activity, found, 6)
    assert set(unstable.tolist()) == {2}


def test_noise_decides_in_the_cluster(on_the_ring, ring_bands):
    config = sensitivity.SensitivityConfig(draws=12, steps=8)
    finding = sensitivity.examine(Evidence(*on_the_ring, known_residency=ring_bands), config, seed=0)
    assert finding.verdict is Verdict.SUPPORTED, [(c.text, str(c.estimate)) for c in finding.criteria]
    assert float(finding.data["undecided"].sel(mixture=0.0).max()) == 0.0
    spread = finding.data["distance"].sel(band="cluster").isel(step=-1).to_numpy()
    assert spread[0] < 1e-6 < spread[1] < spread[2]


def test_noise_that_decides_between_two_wells_decides_in_the_transition():
    network = flicker()
    evidence = Evidence(network, record(network, RecordConfig(64, 120, 20), seed=0), residency_config=RESIDENCY)
    finding = sensitivity.examine(evidence, seed=0)
    assert finding.verdict is Verdict.NOT_SUPPORTED, finding.not_applicable_because
    assert finding.estimate.high < 0


def test_bands_the_wrong_way_round_are_not_supported(on_the_ring, ring_bands):
    config = sensitivity.SensitivityConfig(draws=12, steps=8)
    swapped = dataclasses.replace(ring_bands, band=2 - ring_bands.band)
    finding = sensitivity.examine(Evidence(*on_the_ring, known_residency=swapped), config, seed=0)
    assert finding.verdict is Verdict.NOT_SUPPORTED


# 6 kick neurons and 7 intervention --------------------------------------------------------------------------------


def test_the_unit_that_gates_a_transition_is_found(kicks):
    assert [kick.name for kick in kicks] == ["A→B", "B→A"]
    for kick, own, other in zip(kicks, KICK, reversed(KICK), strict=True):
        assert own in kick.passed
        assert other not in kick.units
        assert not set(kick.units) & {*DISTRACTORS, *COPY}


def test_units_that_add_up_noise_for_a_kick_neuron_are_found(kicks):
    for kick, own in zip(kicks, INTEGRATORS, strict=True):
        assert set(own) <= {*kick.integrating.tolist(), *kick.units.tolist()}
        assert not set(kick.integrating) & set(DISTRACTORS)


def test_a_unit_that_only_the_readout_needs_scores_nothing(kicks):
    for kick in kicks:
        np.testing.assert_allclose(kick.score[list(COPY)], 0.0, atol=1e-12)


def test_kick_neurons_are_supported_in_the_gated_network(gate, kicks):
    evidence = Evidence(*gate, known_kicks=kicks, epochs=untrained_first(gate[0]), kick_config=KICKS)
    finding = kick_neurons.examine(evidence, KICKS, seed=0)
    named = [(c.holds, c.text, str(c.estimate)) for c in finding.every_criterion]
    assert finding.verdict is Verdict.SUPPORTED, named
    assert finding.estimate.value > 0.8


def test_without_an_untrained_network_the_claim_stays_open(gate, kicks):
    finding = kick_neurons.examine(Evidence(*gate, known_kicks=kicks), KICKS, seed=0)
    assert finding.verdict is Verdict.UNDECIDED


def test_independent_units_have_no_kick_neurons():
    network = independent_units()
    finding = kick_neurons.examine(dataclasses.replace(recorded(network), kick_config=KICKS), seed=0)
    assert finding.verdict is Verdict.NOT_SUPPORTED
    assert not finding.data["kick"].any()


def test_units_that_do_nothing_pass_as_often_as_the_level_says():
    """Silenced or only unseen makes no difference: in 5 % of the searches some unit passes all the same."""
    rng, found, searches, shape = np.random.default_rng(0), 0, 300, (20, 80)

    def chance(sets):
        wait = rng.geometric(0.1, size=(sets, shape[1]))
        return Outcomes(np.where(rng.random((sets, shape[1])) < 0.7, 1, 2), wait)

    for _ in range(searches):
        _, significance, threshold = kick_search._scores(chance(shape[0]), chance(shape[0]), chance(1), 1, 100, rng)
        found += int(significance.min() < -threshold)
    assert 0.02 < found / searches < 0.09


def test_scaling_the_gate_swings_its_transition(gate, kicks):
    config = INTERVENTION
    known = tuple(
        dataclasses.replace(kick, group=np.array([unit]), integrating=np.array(sources))
        for kick, unit, sources in zip(kicks, KICK, INTEGRATORS, strict=True)
    )
    finding = intervention.examine(
        Evidence(*gate, known_kicks=known, kick_config=KICKS, epochs=untrained_first(gate[0])), config, seed=0
    )
    rows = [(c.holds, c.text, str(c.estimate)) for c in finding.every_criterion]
    assert finding.verdict is Verdict.SUPPORTED, rows
    assert (finding.data["hazard"].sel(factor=0.0)[::2] < 0.2).all()  # what had begun at the start comes to its end
    np.testing.assert_array_equal(finding.data["hazard"].sel(factor=1.0), 1.0)


def test_each_transition_has_a_verdict_of_its_own(gate, kicks):
    """The kick neurons of one transition are taken for units that do nothing: the other keeps its verdict."""
    useless = np.array(DISTRACTORS[:2])
    half = (dataclasses.replace(kicks[0], passed=useless, group=useless, integrating=useless), kicks[1])
    evidence = Evidence(*gate, known_kicks=half, epochs=untrained_first(gate[0]), kick_config=KICKS)
    finding = kick_neurons.examine(evidence, KICKS, seed=0)
    assert [part.verdict for part in finding.parts] == [Verdict.NOT_SUPPORTED, Verdict.SUPPORTED]
    assert finding.headline == "supported in 1 of 2 transitions"
    none = dataclasses.replace(kicks[0], group=np.zeros(0, int))
    scaled = intervention.examine(dataclasses.replace(evidence, known_kicks=(none, kicks[1])), INTERVENTION, seed=0)
    assert [part.verdict for part in scaled.parts] == [Verdict.DOES_NOT_APPLY, Verdict.SUPPORTED]
    assert scaled.headline == "supported in 1 of 1 transitions"
    assert scaled.verdict is Verdict.SUPPORTED


def test_the_control_is_several_untrained_networks(gate, kicks):
    evidence = Evidence(*gate, known_kicks=kicks, epochs=untrained_first(gate[0]), kick_config=KICKS)
    assert evidence.untrained_kicks is not None
    first, second = (np.asarray(each.network.parameters["recurrent"]) for each in evidence.untrained_kicks)
    np.testing.assert_array_equal(np.sort(first, axis=None), np.sort(second, axis=None))
    assert np.abs(first - second).max() > 0.1


def test_scaling_units_that_do_nothing_is_not_supported(gate, kicks):
    useless = np.array(DISTRACTORS[:2])
    fake = tuple(dataclasses.replace(kick, passed=useless, group=useless, integrating=useless) for kick in kicks)
    config = intervention.InterventionConfig(factors=(0.0, 1.0, 2.0), control_sets=5)
    finding = intervention.examine(Evidence(*gate, known_kicks=fake, kick_config=KICKS), config, seed=0)
    assert finding.verdict is Verdict.NOT_SUPPORTED
    np.testing.assert_allclose(finding.data["hazard"], 1.0)
    nothing = intervention.examine(Evidence(*gate, known_kicks=(), kick_config=KICKS), config, seed=0)
    assert nothing.verdict is Verdict.DOES_NOT_APPLY


# 8 resonance ------------------------------------------------------------------------------------------------------

RESONANCE = resonance.ResonanceConfig(
    levels=(0.0, 0.2, 0.4, 0.7, 1.0, 1.5, 3.0, 6.0), trials=256, steps=100, burn_in=20,
    effect_states=16, effect_draws=64, resamples=60,
)  # fmt: skip


def two_states(change):
    stay = np.array([[1 - change, change], [change, 1 - change]])
    return HiddenMarkovModel(np.full(2, 0.5), stay, np.array([[0.998, 0.002], [0.002, 0.998]]), "two", 40)


def test_an_excitable_system_resonates():
    trained = ring(noise=0.12)
    evidence = along([ring(noise=0.012), ring(noise=0.02), trained], two_states(0.025))
    finding = resonance.examine(evidence, RESONANCE, seed=0)
    rows = [(c.holds, c.text, str(c.estimate)) for c in finding.every_criterion]
    assert finding.verdict is Verdict.SUPPORTED, rows


def test_a_homogeneous_network_cannot_resonate():
    """Its likeliest symbols do not depend on the level; the sharper symbols are drawn, the more coherent they are."""
    network = random_relu(12, 5, 3)
    recurrent = 0.95 * np.eye(12)
    network = network.with_parameters({**network.parameters, "recurrent": recurrent})
    finding = resonance.examine(along([network] * 3, two_states_of_three()), RESONANCE, seed=0)
    assert finding.verdict is Verdict.NOT_SUPPORTED
    assert finding.estimate.value == 0.0  # a training that changes nothing
    assert any("positively homogeneous" in note for note in finding.notes)
    assert not [c for c in finding.criteria if "peaks" in c.estimate.name]
    assert int(finding.data["coherence"].to_numpy()[-1].argmax()) == len(RESONANCE.levels) - 1
    assert {finding.data.attrs[f"{name}_turns"] for name in course.QUANTITIES} == {-1}


def test_a_homogeneous_network_is_judged_by_its_course():
    """Recurrent weights that grow a rotation from nothing: complex pairs appear, and noise comes to matter less."""
    still = random_relu(12, 5, 2)

    def turning(radius):
        turn = np.kron(np.eye(6), radius * np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]]))
        return still.with_parameters({**still.parameters, "recurrent": turn})

    first = still.with_parameters({**still.parameters, "recurrent": 0.1 * np.eye(12)})
    evidence = along([first, first, turning(0.9), turning(0.95)], two_states(0.1))
    finding = resonance.examine(evidence, RESONANCE, seed=0)
    assert finding.data["complex_pairs"][0] == 0
    assert finding.data["complex_pairs"][-1] > 0
    assert finding.data.attrs["rate_turns"] == finding.data.attrs["effect_turns"] == 2
    assert finding.verdict is Verdict.SUPPORTED, [(c.text, str(c.estimate)) for c in finding.criteria]


def test_symbols_that_never_change_come_no_closer_to_those_of_the_model():
    """Before the training as after it: nothing has changed, which is not the same as coming closer."""
    still = linear(0.5 * np.eye(4))
    found = course.Course((0, 1), np.zeros((2, 6)), np.zeros((2, 6)), np.zeros((2, 3)), np.zeros((2, 3)))
    assert Criterion(found.closer_to(0.05, np.random.default_rng(0)), least=0.1 * 0.05).holds is False
    finding = resonance.examine(along([still] * 3, two_states(0.05)), RESONANCE, seed=0)
    assert finding.verdict is Verdict.NOT_SUPPORTED


@pytest.mark.parametrize("model", [linear_chain(3), linear_chain(5), cycle(4)], ids=["chain3", "chain5", "cycle4"])
def test_flips_of_a_model_are_those_of_a_network_that_jumps_as_it_does(model):
    likeliest = jumping(model, trials=400, steps=200, seed=1).likeliest
    found = (likeliest[:, 1:] != likeliest[:, :-1]).mean()
    assert dwell_of_model(model, 40).flips == pytest.approx(found, abs=0.006)  # five standard errors


def test_complex_pairs_and_unstable_eigenvalues_of_a_known_map():
    import jax

    block = 1.2 * np.array([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]])
    known = np.zeros((5, 5))
    known[:2, :2], known[2:, 2:] = block, np.diag([-1.5, 0.5, 0.2])
    sizes = course.CourseSizes(4, 8, 3)
    found = course.follow(
        [Epoch(0, linear(0.5 * np.eye(5))), Epoch(7, linear(known))], trials=8, steps=10, burn_in=3, level=1.0,
        sizes=sizes, key=jax.random.key(0),
    )  # fmt: skip
    assert found.complex_pairs.tolist() == [[0, 0, 0], [1, 1, 1]]
    assert found.unstable.tolist() == [[0, 0, 0], [3, 3, 3]]
    assert found.turns["unstable"] == 7


def test_a_training_that_was_not_followed_has_no_course():
    finding = resonance.examine(along([ring()] * 2, two_states(0.025)), seed=0)
    assert finding.verdict is Verdict.DOES_NOT_APPLY
    assert "snapshots" in finding.not_applicable_because


def two_states_of_three():
    emissions = np.array([[0.9, 0.05, 0.05], [0.05, 0.05, 0.9]])
    return HiddenMarkovModel(np.full(2, 0.5), np.array([[0.9, 0.1], [0.1, 0.9]]), emissions, "three", 40)


def test_pairs_of_the_model_are_those_of_its_samples():
    from neurodyn.markov import sample

    model = two_states_of_three()
    symbols = sample(model, 2000, 30, seed=0).symbols
    counts = np.zeros((3, 3))
    np.add.at(counts, (symbols[:, :-1].ravel(), symbols[:, 1:].ravel()), 1)
    np.testing.assert_allclose(resonance._pairs_of(model), counts / counts.sum(), atol=0.01)


def test_second_order_effect_of_a_relu_is_the_mean_of_a_rectified_gaussian():
    import jax

    network = random_relu(8, 4, seed=3)
    found = course.second_order_effect(network, 10, 1.0, course.CourseSizes(6, 4000), jax.random.key(0))
    from scipy.stats import norm

    from neurodyn.mechanism.activity import draw_noise, run

    noise = draw_noise(network, 10, 6, 1.0, jax.random.key(0))
    states = np.asarray(run(network, np.zeros((6, 8)), noise)[0][-1])
    drive = states @ np.asarray(network.parameters["recurrent"]).T
    width = np.linalg.norm(np.asarray(network.parameters["input"]), axis=1)
    mean = drive * norm.cdf(drive / width) + width * norm.pdf(drive / width)
    still = np.maximum(drive, 0)
    exact = np.linalg.norm(mean - still, axis=1) / np.linalg.norm(still, axis=1)
    np.testing.assert_allclose(found, exact, rtol=0.1)


def test_levels_that_end_near_training_are_refused():
    with pytest.raises(InputError, match=r"levels have to reach below 0\.5 and above 2"):
        resonance.ResonanceConfig(levels=(0.0, 1.0, 2.0))


# 9 subspaces ------------------------------------------------------------------------------------------------------

SUBSPACES = subspaces.SubspaceConfig(before=3, after=3, splits=20, permutations=40)


def test_one_motif_in_a_plane_per_pair_is_supported():
    finding = subspaces.examine(Evidence(ring(), visits(shared=False)), SUBSPACES, seed=0)
    assert finding.verdict is Verdict.SUPPORTED, [(c.text, str(c.estimate)) for c in finding.criteria]
    np.testing.assert_allclose(np.diag(finding.data["overlap"]), 1.0, atol=1e-9)


def test_one_plane_for_all_pairs_is_not():
    finding = subspaces.examine(Evidence(ring(), visits(shared=True)), SUBSPACES, seed=0)
    assert finding.verdict is not Verdict.SUPPORTED
    assert criterion(finding, "within a pair").holds is not True
    off = finding.data["overlap"].to_numpy()[~np.eye(3, dtype=bool)]
    assert off.min() > 0.9


def test_one_pair_leaves_nothing_to_compare(on_the_ring):
    finding = subspaces.examine(Evidence(*on_the_ring), SUBSPACES, seed=0)
    assert finding.verdict is Verdict.DOES_NOT_APPLY
    assert "nothing to compare" in finding.not_applicable_because


# The level of the noise ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [0.25, 1.0, 4.0])
def test_every_run_of_a_claim_has_the_level_of_the_recording(monkeypatch, level):
    """Every noise that is drawn anywhere is seen here: none of it may have another standard deviation."""
    drawn = []
    draw = activity_module.draw_noise

    def watched(network, steps, trials, given, key):
        drawn.append(float(given))
        return draw(network, steps, trials, given, key)

    for module in (activity_module, collapse, hazards, residency_measure, sensitivity):
        monkeypatch.setattr(module, "draw_noise", watched)
    network = linear(
        np.zeros((3, 3)), np.eye(2, 3)
    )  # a state is its last input, and the likeliest symbol its larger part
    activity = record(network, RecordConfig(trials=24, steps=40, burn_in=5, level=level), seed=0)
    assert activity.level == level
    assert activity.states.std() == pytest.approx(level, rel=0.1)
    config = dataclasses.replace(KICKS, settled=1, permutations=10, random_sets=5, runs=32)
    course = (Epoch(0, network), Epoch(1, network))
    evidence = Evidence(network, activity, epochs=course, residency_config=RESIDENCY, kick_config=config)
    sensitivity.examine(evidence, seed=0)
    collapse.examine(evidence, COLLAPSE, seed=0)
    kick_neurons.examine(evidence, seed=0)
    starts = hazards.settled_starts(network, activity, 0, runs=16, horizon=50, settled=1, seed=0)
    assert np.asarray(starts.noise).std() == pytest.approx(level, rel=0.1)
    assert len(drawn) > 10
    assert set(drawn) == {level}


def test_what_several_claims_need_is_measured_once_and_when_it_is_needed(monkeypatch, on_the_ring):
    calls, measure = [], residency_measure.measure
    monkeypatch.setattr(
        evidence_module, "measure", lambda *given, **named: calls.append(given[0]) or measure(*given, **named)
    )
    evidence = Evidence(*on_the_ring, residency_config=dataclasses.replace(RESIDENCY, states=20, draws=4))
    rotation.examine(evidence, ROTATION, seed=0)
    assert calls == []
    first = evidence.residency
    assert evidence.residency is first
    assert calls == [on_the_ring[0]]
    assert evidence.level == on_the_ring[1].level == 1.0
    assert evidence.untrained is None
    with pytest.raises(InputError, match="hidden Markov model"):
        _ = evidence.model
