"""The simulated reaches are what they say: told back from the recording alone by regression and spectra."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import signal

from neurodyn.baselines import CausalRidge
from neurodyn.binning import Field, Spikes, time_folds, to_bins
from neurodyn.errors import InputError
from neurodyn.recording import differences, read_nwb
from neurodyn.simulation import ReachingSettings, preferred_directions, simulate_reaching, write_nwb

SETTINGS = ReachingSettings(trials=120, channels=3, units=12)


@pytest.fixture(scope="module")
def session():
    return simulate_reaching(SETTINGS, seed=0)


def velocity_of(session):
    position = session.behaviour["position"]
    return np.gradient(position.values, 1 / position.rate, axis=0), np.arange(position.n_samples) / position.rate


def tuning_of(session):
    """Preferred direction of each unit by cosine regression on the velocity a tenth of a second later."""
    velocity, times = velocity_of(session)
    coming = velocity[10:]
    found = []
    for spikes in session.spike_trains().times:
        counts = np.histogram(spikes, np.append(times, times[-1] + 0.01))[0][: len(coming)]
        weights = np.linalg.lstsq(np.column_stack([coming, np.ones(len(coming))]), counts, rcond=None)[0]
        found.append(np.arctan2(weights[1], weights[0]))
    return np.array(found)


def apart(one, two):
    return np.degrees(np.abs(np.angle(np.exp(1j * (one - two)))))


def test_same_seed_same_session(session):
    again, other = simulate_reaching(SETTINGS, seed=0), simulate_reaching(SETTINGS, seed=1)
    assert differences(session, again) == []
    assert differences(session, other)


def test_every_reach_ends_at_its_target_and_returns(session):
    position, trials, moves = session.behaviour["position"], session.intervals["trials"], session.intervals["movements"]
    targets = np.stack([trials.columns["target_x"], trials.columns["target_y"]], axis=1)
    ends = np.ceil(moves.stops * position.rate).astype(int)
    np.testing.assert_allclose(position.values[ends], targets, atol=1e-9)
    np.testing.assert_allclose(position.values[np.floor(moves.starts * position.rate).astype(int)], 0, atol=1e-9)
    assert np.unique(np.round(trials.columns["direction"]), return_counts=True)[1].tolist() == [15] * 8
    np.testing.assert_allclose(np.hypot(*targets.T), SETTINGS.reach)


def test_reaches_from_place_to_place_stay_in_the_workspace():
    session = simulate_reaching(replace(SETTINGS, targets=0), seed=0)
    position, moves = session.behaviour["position"], session.intervals["movements"]
    assert np.hypot(*position.values.T).max() <= SETTINGS.reach + 1e-9
    starts = position.values[np.floor(moves.starts[1:] * position.rate).astype(int)]
    before = position.values[np.ceil(moves.stops[:-1] * position.rate).astype(int)]
    np.testing.assert_allclose(starts, before, atol=1e-9)


def test_least_jerk_has_its_peak_in_the_middle(session):
    velocity, times = velocity_of(session)
    moves = session.intervals["movements"]
    for start, stop in zip(moves.starts[:20], moves.stops[:20], strict=True):
        during = (times >= start) & (times <= stop)
        speed = np.linalg.norm(velocity[during], axis=1)
        assert times[during][speed.argmax()] == pytest.approx((start + stop) / 2, abs=0.02)
        assert speed.max() == pytest.approx(1.875 * SETTINGS.reach / (stop - start), rel=0.02)


def test_units_prefer_the_directions_that_were_put_in(session):
    assert np.median(apart(tuning_of(session), preferred_directions(SETTINGS, seed=0))) < 6


def test_directions_turn_from_session_to_session():
    days = [replace(SETTINGS, session=number, turn=20.0, trials=300) for number in (0, 1, 2)]
    put_in = [preferred_directions(day, seed=0) for day in days]
    turned = apart(put_in[0], put_in[1])
    assert 8 < turned.std() + turned.mean() < 40
    found = [tuning_of(simulate_reaching(day, seed=0)) for day in days[:2]]
    assert (
        np.corrcoef(np.angle(np.exp(1j * (found[1] - found[0]))), np.angle(np.exp(1j * (put_in[1] - put_in[0]))))[0, 1]
        > 0.8
    )
    np.testing.assert_array_equal(preferred_directions(replace(days[1], units=12), seed=0), put_in[1])


def test_units_share_a_drive_that_says_nothing_of_the_hand():
    """At rest, long before any movement, pairs of units still go together, and not without the drive."""
    still = {}
    for common in (0.0, 0.6):
        session = simulate_reaching(replace(SETTINGS, common=common, trials=300), seed=0)
        velocity, times = velocity_of(session)
        moving = np.linalg.norm(velocity, axis=1) > 1e-3
        rest = ~np.convolve(moving, np.ones(41), "same").astype(bool)
        edges = np.append(times, times[-1] + 0.01)
        counts = np.stack([np.histogram(spikes, edges)[0] for spikes in session.spike_trains().times])
        blocks = counts[:, rest][:, : rest.sum() // 20 * 20].reshape(len(counts), -1, 20).sum(axis=2)
        pairs = np.corrcoef(blocks)[np.triu_indices(len(counts), 1)]
        still[common] = np.mean(pairs)
    assert abs(still[0.0]) < 0.03
    assert still[0.6] > 0.1


def test_beta_falls_when_the_hand_moves_and_the_line_hums(session):
    field = session.field()
    velocity, times = velocity_of(session)
    at = np.arange(field.n_samples) / field.rate
    speed = np.interp(at, times, np.linalg.norm(velocity, axis=1))
    band = signal.butter(4, [16, 24], "band", fs=field.rate, output="sos")
    beta = np.abs(signal.hilbert(signal.sosfiltfilt(band, field.values[:, 0])))
    coming = np.roll(speed, -100)
    assert beta[coming > 0.25].mean() < 0.7 * beta[coming < 0.01].mean()
    for line in (60.0, 0.0):
        values = simulate_reaching(replace(SETTINGS, line=line, trials=30), seed=0).field().values[:, 0]
        frequency, power = signal.welch(values, field.rate, nperseg=4096)
        peak = power[np.abs(frequency - 60) < 0.5].max() / np.median(power[np.abs(frequency - 60) < 10])
        assert (peak > 10) == (line > 0)


def test_the_slow_potential_follows_the_velocity(session):
    field = session.field()
    low = signal.butter(4, 4, fs=field.rate, output="sos")
    slow = signal.sosfiltfilt(low, field.values[:, 1])
    velocity, times = velocity_of(session)
    at = np.arange(field.n_samples) / field.rate + 0.1
    along = np.stack([np.interp(at, times, velocity[:, axis]) for axis in range(2)], axis=1)
    fitted = along @ np.linalg.lstsq(along, slow, rcond=None)[0]
    assert np.corrcoef(fitted, slow)[0, 1] > 0.35  # the noise is as slow
    elsewhere = np.roll(along, 30_000, axis=0)
    chance = elsewhere @ np.linalg.lstsq(elsewhere, slow, rcond=None)[0]
    assert np.corrcoef(chance, slow)[0, 1] < 0.15


def test_both_modalities_together_tell_more_of_the_velocity_than_either_alone():
    session = simulate_reaching(ReachingSettings(trials=80), seed=0)
    modalities = [Spikes(), Field("field", "lfp", bands=None, width=0.05)]
    batch = to_bins(session, width=0.05, modalities=modalities, target=["velocity"])
    train, test = (fold := time_folds(batch, 4, gap=1.0)[1]).train, fold.test
    found = {}
    for names in (["spikes"], ["field"], ["spikes", "field"]):
        ridge = CausalRidge().fit(train.with_modalities(names))
        found[tuple(names)] = float(np.mean(ridge.score(test.with_modalities(names)).r2))
    both = found.pop(("spikes", "field"))
    assert min(found.values()) > 0.02
    assert both > max(found.values()) + 0.01


def test_a_file_gives_the_same_recording_back(session, tmp_path):
    assert differences(session, read_nwb(write_nwb(session, tmp_path / "reaching.nwb"))) == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"trials": 0}, "trials must be at least 1"),
        ({"targets": -1}, "targets must be 0 or more"),
        ({"reach": np.nan}, "reach must be more than 0"),
        ({"beta_drop": 1.2}, r"must lie in \[0, 1\]"),
        ({"depth": 3.0}, "below 3 together"),
        ({"field_rate": 100.0}, "field_rate is 100 Hz, which is below the Nyquist rate for an oscillation at 60 Hz"),
    ],
)
def test_settings_out_of_range(wrong, message):
    with pytest.raises(InputError, match=message):
        ReachingSettings(**wrong)
