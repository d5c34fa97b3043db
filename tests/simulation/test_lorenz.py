"""The simulated recording has the statistics it promises."""

from dataclasses import replace

import numpy as np
import pytest

from neurodyn.errors import InputError
from neurodyn.simulation import LorenzSettings, lorenz_states, simulate_lorenz

SETTINGS = LorenzSettings()


@pytest.fixture(scope="module")
def batch():
    return simulate_lorenz(seed=0)


def test_shapes_names_and_sampling(batch):
    assert (batch.n_trials, batch.n_bins, batch.width) == (150, 15000, 0.010)
    assert batch.target_names == ("x", "y", "z")
    table = {m.name: (m.likelihood, len(m.channels), m.sample_every) for m in batch.modalities}
    assert table == {"spikes": ("poisson", 10, 1), "field": ("gaussian", 10, 5)}


def test_target_is_standardised_and_never_missing(batch):
    assert batch.target_observed.all()
    np.testing.assert_allclose(batch.target.mean(0, dtype=np.float64), 0, atol=1e-5)
    np.testing.assert_allclose(batch.target.std(0, dtype=np.float64), 1, atol=1e-5)


def test_the_attractor_has_two_lobes_visited_alike(batch):
    x, y, z = batch.target.T
    assert 0.4 < np.mean(x > 0) < 0.6
    assert 0.8 < np.corrcoef(x, y)[0, 1] < 0.95
    assert abs(np.corrcoef(x, z)[0, 1]) < 0.15


def test_every_peak_of_z_lies_well_inside_a_lobe():
    """At a peak x y = beta z: with z above 27 and y below 27, |x| is above 2.7, a third of its deviation."""
    x, _, z = lorenz_states(replace(SETTINGS, state_noise=0.0), np.random.default_rng(0)).transpose(2, 0, 1)
    peak = (z[:, 1:-1] > z[:, :-2]) & (z[:, 1:-1] > z[:, 2:])
    at_peak = x[:, 1:-1][peak]
    assert len(at_peak) > 150
    assert np.abs(at_peak).min() > 0.3
    assert 0.4 < np.mean(at_peak > 0) < 0.6


def test_moments_without_noise_are_those_of_the_attractor():
    """Averaged over long times, d(x^2)/dt = 0 says <x y> = <x^2>."""
    quiet = replace(SETTINGS, state_noise=0.0, n_trials=400)
    u = lorenz_states(quiet, np.random.default_rng(0)).reshape(-1, 3)
    # With zero means that is corr(x, y) = sd(x) / sd(y); the attractor's are 7.92 and 9.01.
    assert np.corrcoef(u[:, 0], u[:, 1])[0, 1] == pytest.approx(7.92 / 9.01, abs=0.02)


def test_noise_makes_paths_diverge_from_the_same_start():
    quiet, noisy = (
        lorenz_states(replace(SETTINGS, state_noise=s, n_trials=50), np.random.default_rng(3)) for s in (0.0, 1.0)
    )
    assert np.abs(quiet - noisy).max() > 1.0


def test_time_runs_at_the_given_speed():
    """Twice the speed, half the bins: the same share of trials change lobe."""
    slow = lorenz_states(replace(SETTINGS, n_trials=600), np.random.default_rng(0))
    fast = lorenz_states(replace(SETTINGS, n_trials=600, speed=2.0, seconds=0.5), np.random.default_rng(1))
    changed = [np.mean(np.sign(p[:, 0, 0]) != np.sign(p[:, -1, 0])) for p in (slow, fast)]
    assert changed[0] == pytest.approx(changed[1], abs=0.08)


def test_rates_are_plausible(batch):
    observed = batch.observed["spikes"]
    rates = batch.observations["spikes"].sum(0) / observed.sum(0) / batch.width
    assert rates.min() > 15
    assert rates.max() < 45


def test_counts_are_poisson_around_the_rate_the_state_sets():
    settings = LorenzSettings(n_trials=2000, seconds=0.2, spike_channels=3, field_channels=0, missing=0.0)
    batch = simulate_lorenz(settings, seed=1)
    counts, state = batch.observations["spikes"][:, 0].astype(np.float64), batch.target.astype(np.float64)
    design = np.column_stack([np.ones(len(state)), state])
    b = np.zeros(4)
    b[0] = np.log(counts.mean())
    for _ in range(20):  # Newton's method for the Poisson regression
        mu = np.exp(design @ b)
        b += np.linalg.solve(design.T @ (mu[:, None] * design), design.T @ (counts - mu))
    assert np.exp(b[0]) / settings.width == pytest.approx(20.0, rel=0.05)
    assert np.linalg.norm(b[1:]) == pytest.approx(np.log(5) / 2, rel=0.05)
    assert np.mean((counts - mu) ** 2 / mu) == pytest.approx(1.0, abs=0.03)


def test_field_is_linear_in_the_state_with_the_given_noise():
    batch = simulate_lorenz(LorenzSettings(field_sample_every=1, missing=0.0, field_noise=0.5), seed=0)
    state, field = batch.target.astype(np.float64), batch.observations["field"].astype(np.float64)
    weights, *_ = np.linalg.lstsq(state, field)
    np.testing.assert_allclose(np.linalg.norm(weights, axis=0), 1.0, atol=0.03)
    np.testing.assert_allclose((field - state @ weights).std(0), 0.5, rtol=0.03)


def test_missing_bins_hide_a_whole_modality(batch):
    stacked = batch.stacked()
    for name, due in (("spikes", np.ones(100, bool)), ("field", np.arange(1, 101) % 5 == 0)):
        observed = stacked.observed[name]
        assert np.all(observed == observed[:, :, :1])
        assert not observed[:, ~due].any()
        assert observed[:, due].mean() == pytest.approx(0.8, abs=0.02)
        assert np.all(stacked.observations[name][~observed] == 0)


def test_modalities_lose_samples_independently(batch):
    stacked = batch.stacked()
    lost = [~stacked.observed[name][:, 4::5, 0] for name in ("spikes", "field")]
    assert np.mean(lost[0] & lost[1]) == pytest.approx(0.04, abs=0.012)


def test_one_seed_one_data_set(batch):
    again, other = simulate_lorenz(SETTINGS, seed=0), simulate_lorenz(seed=1)
    for name in ("spikes", "field"):
        np.testing.assert_array_equal(batch.observations[name], again.observations[name])
        assert not np.array_equal(batch.observations[name], other.observations[name])
    np.testing.assert_array_equal(batch.target, again.target)
    assert not np.array_equal(batch.target, other.target)


def test_losing_samples_changes_nothing_else(batch):
    whole = simulate_lorenz(LorenzSettings(missing=0.0), seed=0)
    np.testing.assert_array_equal(whole.target, batch.target)
    for name in ("spikes", "field"):
        seen = batch.observed[name]
        np.testing.assert_array_equal(whole.observations[name][seen], batch.observations[name][seen])


def test_one_modality_alone():
    assert [m.name for m in simulate_lorenz(LorenzSettings(field_channels=0), seed=0).modalities] == ["spikes"]
    assert [m.name for m in simulate_lorenz(LorenzSettings(spike_channels=0), seed=0).modalities] == ["field"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_trials": 0}, "n_trials must be positive"),
        ({"width": -0.01}, "width must be positive"),
        ({"seconds": float("nan")}, "seconds must be positive"),
        ({"missing": -0.1}, "missing must not be negative"),
        ({"missing": 1.0}, "below 1"),
        ({"seconds": 0.004}, "shorter than a bin"),
        ({"field_sample_every": 200}, "no sample"),
        ({"spike_channels": 0, "field_channels": 0}, "at least one channel"),
        ({"peak_rate": 5.0}, "peak_rate"),
    ],
)
def test_bad_settings_are_named(change, message):
    with pytest.raises(InputError, match=message):
        LorenzSettings(**change)
