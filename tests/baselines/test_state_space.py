"""EM of the linear dynamical system on systems that are one, and the baseline through its interface."""

from dataclasses import replace

import numpy as np
import pytest
import scipy
from oracles.multiscale_states import simulated

from neurodyn.baselines import LinearDynamicalSystem
from neurodyn.baselines.em import expectation, fit_em
from neurodyn.baselines.loadings import RIDGE, CountsGivenStates, fit_loadings, log_means, upper_triangles
from neurodyn.baselines.state_space import _sizes
from neurodyn.binning import MultimodalBatch
from neurodyn.errors import InputError
from neurodyn.kernels.laplace import LinearMultiscale, Observations

TRIALS, BINS, SIGNALS, COUNTS = 12, 150, 8, 25


def a_rotation(radius, angle):
    return radius * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


@pytest.fixture(scope="module")
def truth():
    """Two rotations, a slow and a fast one, with states of unit variance."""
    random = np.random.default_rng(0)
    transition = scipy.linalg.block_diag(a_rotation(0.98, 0.1), a_rotation(0.93, 0.5))
    return LinearMultiscale(
        transition=transition, process_noise=np.eye(4) - transition @ transition.T,
        emission=random.normal(size=(SIGNALS, 4)), offset=random.normal(size=SIGNALS),
        observation_noise=0.5 + random.random(SIGNALS),
        loadings=0.5 * random.normal(size=(COUNTS, 4)), baseline=np.log(0.3 + random.random(COUNTS)),
        initial_mean=np.zeros(4), initial_covariance=np.eye(4),
    )  # fmt: skip


@pytest.fixture(scope="module")
def data(truth):
    """Of that system, a fifth of the samples missing."""
    _, values, counts = simulated(truth, (TRIALS, BINS), seed=1)
    random = np.random.default_rng(2)
    return Observations(values, random.random(values.shape) > 0.2, counts, random.random(counts.shape) > 0.2)


VALID = np.ones((TRIALS, BINS), bool)


@pytest.fixture(scope="module")
def of_both(data):
    return fit_em(data, VALID, 4, iterations=25, tolerance=0.0)


def without_counts(data):
    return data._replace(counts=data.counts[..., :0], counted=data.counted[..., :0])


def test_with_signals_alone_the_likelihood_never_falls(data):
    """EM is exact there; no tolerance but that of rounding."""
    found = fit_em(without_counts(data), VALID, 4, iterations=12, tolerance=0.0)
    growth = np.diff(found.log_likelihood)
    assert len(growth) == 12
    assert (growth > -1e-9 * abs(found.log_likelihood[0])).all()
    assert growth[0] > 100


def test_with_counts_its_approximation_falls_by_next_to_nothing(of_both):
    """By no more than 1e-4 nats per bin: the approximation, not the likelihood itself, is at hand."""
    growth = np.diff(of_both.log_likelihood) / VALID.sum()
    assert (growth > -1e-4).all()
    assert growth.sum() > 0.1


def test_what_was_simulated_is_found_up_to_the_choice_of_axes(truth, of_both):
    """Eigenvalues of A do not depend on the axes of the states, nor does the space that loadings span."""
    model = of_both.model
    expected, found = (np.linalg.eigvals(each.transition) for each in (truth, model))
    for one in expected:
        assert np.abs(found - one).min() < 0.02
    for one, other in [
        (truth.emission, model.emission),
        (truth.loadings, model.loadings),
        (np.concatenate([truth.emission, truth.loadings]), np.concatenate([model.emission, model.loadings])),
    ]:
        assert np.rad2deg(scipy.linalg.subspace_angles(one, other)).max() < 8.0
    np.testing.assert_allclose(model.observation_noise, truth.observation_noise, rtol=0.15)
    np.testing.assert_allclose(model.offset, truth.offset, atol=0.3)


def test_it_is_more_likely_than_the_truth(truth, data, of_both):
    """As the most likely parameters are of the data that they were fitted to."""
    assert of_both.log_likelihood[-1] > expectation(truth, data, VALID)[1]


def test_loadings_of_counts_are_scipys():
    """The expected log-likelihood of each channel written out, maximised by a general method."""
    random = np.random.default_rng(3)
    bins, n = 300, 2
    states, factors = random.normal(size=(bins, n)), random.normal(size=(bins, n, n))
    covariances = 0.3 * factors @ factors.transpose(0, 2, 1)
    counts = random.poisson(np.exp(states @ np.array([[0.8, -0.5], [0.2, 0.4]]) - 0.3)).astype(float)
    counts = np.concatenate([counts, np.zeros((bins, 1))], axis=1)  # the last channel never fires
    counted = random.random(counts.shape) > 0.2
    inputs = np.concatenate([states, np.ones((bins, 1))], axis=1)
    seen = CountsGivenStates(
        inputs, upper_triangles(inputs[:, :, None] * inputs[:, None, :]), upper_triangles(covariances), counts, counted
    )
    loadings, baseline = fit_loadings(np.zeros((3, n + 1)), seen, 60)
    centre = log_means(counts, counted)
    for channel in range(3):

        def cost(weights, channel=channel):
            linear = inputs @ weights
            exponent = linear + np.einsum("i,tij,j->t", weights[:n], covariances, weights[:n]) / 2
            away = weights - np.array([0.0, 0.0, centre[channel]])
            terms = counts[:, channel] * linear - np.exp(exponent)
            return RIDGE / 2 * away @ away - terms[counted[:, channel]].sum()

        best = scipy.optimize.minimize(cost, np.zeros(n + 1), method="BFGS", options={"gtol": 1e-6})
        np.testing.assert_allclose([*loadings[channel], baseline[channel]], best.x, atol=1e-4)
    assert np.isfinite(loadings).all()


def test_it_stops_when_it_has_converged(data):
    few = Observations(*(array[:4, :60] for array in without_counts(data)))
    calls = []
    found = fit_em(few, VALID[:4, :60], 2, iterations=200, tolerance=0.05, progress=lambda *each: calls.append(each))
    assert found.converged
    assert len(found.log_likelihood) < 50
    assert [number for number, _ in calls] == list(range(len(found.log_likelihood)))
    growth = np.diff(found.log_likelihood) / 240
    assert growth[-1] < 0.05
    assert (growth[:-1] >= 0.05).all()


def test_bins_that_pad_a_trial_change_nothing(data):
    short = Observations(*(array[:4, :60] for array in without_counts(data)))
    padded = Observations(*(np.pad(array, [(0, 0), (0, 20), (0, 0)]) for array in short))
    valid = np.pad(np.ones((4, 60), bool), [(0, 0), (0, 20)])
    one, other = (
        fit_em(each, mask, 2, iterations=3, tolerance=0.0) for each, mask in ((short, valid[:, :60]), (padded, valid))
    )
    np.testing.assert_allclose(one.log_likelihood[0], other.log_likelihood[0], rtol=1e-6)
    np.testing.assert_allclose(one.model.transition, other.model.transition, rtol=1e-5, atol=1e-7)


def a_reach(trials=40, bins=80, seed=0):
    """Reaches: a smooth velocity in the plane; spikes and a slow field are tuned to it, each weakly."""
    random = np.random.default_rng(seed)
    velocity = scipy.ndimage.gaussian_filter1d(random.normal(size=(trials, bins, 2)), 6, axis=1)
    velocity /= velocity.std()
    spikes = random.poisson(np.exp(-1.5 + 0.5 * velocity @ random.normal(size=(2, 15)))).astype(float)
    field = velocity @ random.normal(size=(2, 8)) + 3.0 * random.normal(size=(trials, bins, 8)) + 5.0
    field[:, np.arange(bins) % 2 == 1] = np.nan
    return MultimodalBatch.from_arrays(
        {"spikes": spikes, "field": field}, width=0.05, likelihoods={"spikes": "poisson", "field": "gaussian"},
        sample_every={"field": 2}, target=0.3 * velocity, target_names=("vx", "vy"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def reach():
    batch = a_reach()
    return batch.with_trials(range(20)), batch.with_trials(range(20, 40))


SETTINGS = LinearDynamicalSystem(4, iterations=10)


@pytest.fixture(scope="module")
def fitted(reach):
    return SETTINGS.fit(reach[0])


def test_a_reach_is_decoded_from_both_modalities_better_than_from_each(reach, fitted):
    train, test = reach
    both = fitted.score(test)
    assert both.mean("r2") > 0.5
    for name in ("spikes", "field"):
        alone = SETTINGS.fit(train.with_modalities([name])).score(test.with_modalities([name]))
        assert 0.1 < alone.mean("r2") < both.mean("r2") - 0.03
    assert fitted.score(test, smoothed=True).mean("r2") > both.mean("r2") + 0.03
    np.testing.assert_allclose(both.intervals.coverage[-1], 0.95, atol=0.04)


def test_what_comes_later_changes_nothing(reach, fitted):
    test = reach[1]
    first = int(test.starts[0])
    values = {name: array.copy() for name, array in test.observations.items()}
    for name in values:
        values[name][first + 50 :][test.observed[name][first + 50 :]] += 2.0
    changed = replace(test, observations=values)
    before, after = (fitted.predict(each)["target"].to_numpy()[0] for each in (test, changed))
    np.testing.assert_array_equal(before[:50], after[:50])
    assert np.abs(before - after)[50:].max() > 0.05
    before, after = (fitted.predict(each, smoothed=True)["target"].to_numpy()[0] for each in (test, changed))
    assert np.abs(before - after)[40:50].max() > 0.001


def test_missing_samples_are_left_out_and_widen_the_interval(reach, fitted):
    test = reach[1]
    first = int(test.starts[0])
    gap = np.arange(first + 30, first + 50)
    hidden = test.hide("spikes", bins=gap).hide("field", bins=gap)
    found, usual = fitted.predict(hidden), fitted.predict(test)
    deviation = found["deviation"].to_numpy()[0]
    assert (deviation[49] > 1.3 * deviation[28]).all()
    assert np.isfinite(found["target"].to_numpy()).all()
    np.testing.assert_array_equal(found["target"][1:], usual["target"][1:])
    one_modality = fitted.predict(test.with_modalities(["spikes"]))
    assert (one_modality["deviation"].to_numpy()[0, 40] > usual["deviation"].to_numpy()[0, 40]).all()


def test_the_number_of_states_is_chosen(reach, capsys):
    """One state is too few for a velocity in the plane; a bar shows each fit."""
    chosen = LinearDynamicalSystem((1, 2), iterations=4, progress=True).fit(reach[0])
    printed = capsys.readouterr()
    assert printed.out == ""
    for label in ("fit lds spikes+field, 1 state:", "fit lds spikes+field, 2 states:"):
        assert label in printed.err
    assert chosen.latent_ == 2
    assert chosen.log_likelihood_[-1] > chosen.log_likelihood_[0]
    assert "latent  2 states" in repr(chosen)


def test_trials_that_are_shorter_are_decoded_as_if_alone(reach, fitted):
    test = reach[1]
    together = fitted.predict(test)["target"].to_numpy()[2]
    short = fitted.predict(test.with_runs(test.starts, test.lengths - 20 * (np.arange(20) == 2), test.lead))
    np.testing.assert_array_equal(short["target"].to_numpy()[2, :60], together[:60])
    assert np.isnan(short["target"].to_numpy()[2, 60:]).all()


def test_more_states_than_channels_a_channel_that_rests_and_context(reach):
    train, test = (batch.with_modalities(["spikes"]) for batch in reach)
    spikes = train.modalities[0]
    three = train.aligned_to((replace(spikes, channels=spikes.channels[:3]),))
    counts = three.observations["spikes"].copy()
    counts[:, 2] = 0.0
    context = replace(three, observations={"spikes": counts}).with_runs(
        train.starts, train.lengths - np.arange(20) % 3, np.full(20, 2)
    )
    fitted = LinearDynamicalSystem(4, iterations=2).fit(context)
    found = fitted.predict(test)  # in which the silent channel fires
    assert np.isfinite(found["target"].to_numpy()).all()
    assert (found["deviation"].to_numpy() > 0).all()


def test_what_it_cannot_do_is_refused(reach):
    train, _ = reach
    with pytest.raises(InputError, match="not fitted"):
        SETTINGS.predict(train)
    with pytest.raises(InputError, match="latent: expected a whole number of 1 or more, got 0"):
        LinearDynamicalSystem(0).fit(train)
    for latent in (0, (), (3, -1), "a", 2.5, None):
        with pytest.raises(InputError, match="latent"):
            _sizes(latent)
    assert _sizes([3, 4.0]) == (3, 4)
    with pytest.raises(InputError, match="iterations"):
        LinearDynamicalSystem(2, iterations=0).fit(train)
    with pytest.raises(InputError, match="tolerance"):
        LinearDynamicalSystem(2, tolerance=-1.0).fit(train)
    with pytest.raises(InputError, match="no target"):
        SETTINGS.fit(replace(train, target=train.target[:, :0], target_names=()))
    with pytest.raises(InputError, match="at least two bins"):
        SETTINGS.fit(train.with_runs(train.starts, np.ones(20, int), np.zeros(20, int)))
    assert "latent  5, 10, 20 states" in repr(LinearDynamicalSystem())
