"""The simulated session is what it says, and survives a trip through an NWB file."""

import numpy as np
import pytest

from neurodyn.errors import InputError
from neurodyn.recording import read_nwb
from neurodyn.simulation import ForagingSettings, simulate_foraging, write_nwb

SETTINGS = ForagingSettings(seconds=120.0)


@pytest.fixture(scope="module")
def session():
    return simulate_foraging(SETTINGS, seed=0)


def test_same_seed_same_session(session):
    again, other = simulate_foraging(SETTINGS, seed=0), simulate_foraging(SETTINGS, seed=1)
    np.testing.assert_array_equal(session.field().values, again.field().values)
    assert not np.array_equal(session.field().values, other.field().values)


def test_positions_stay_in_the_box_and_some_are_lost(session):
    position = session.behaviour["position"].values
    assert np.nanmin(position) >= 0
    assert np.nanmax(position) <= SETTINGS.box
    assert SETTINGS.lost <= np.isnan(position[:, 0]).mean() < SETTINGS.lost + 100 / len(position)


def test_without_losses_every_position_is_there():
    position = simulate_foraging(ForagingSettings(seconds=20.0, lost=0.0), seed=0).behaviour["position"]
    assert np.isfinite(position.values).all()


def test_cells_fire_where_their_place_is(session):
    """A cell's mean squared distance from its mean place is smaller than the animal's: firing is local."""
    position = session.behaviour["position"]
    seen = position.values[np.isfinite(position.values[:, 0])]
    spread = seen.var(axis=0).sum()
    for times in session.spike_trains().times:
        here = position.values[np.minimum((times * position.rate).astype(int), position.n_samples - 1)]
        if len(here) > 100:
            assert np.nanvar(here, axis=0).sum() < 0.8 * spread


def test_theta_grows_with_speed(session):
    position, field = session.behaviour["position"], session.field()
    step = np.linalg.norm(np.diff(position.values, axis=0), axis=1) * position.rate
    seconds = round(SETTINGS.seconds)
    speed = np.array([np.nanmean(s) if np.isfinite(s).any() else np.nan for s in np.array_split(step, seconds)])
    pieces = field.values[:, 0].reshape(seconds, -1)
    theta = np.abs(np.fft.rfft(pieces, axis=1))[:, 6:11].sum(axis=1)  # one-second pieces: bin k is k Hz
    known = np.isfinite(speed)
    assert np.corrcoef(speed[known], theta[known])[0, 1] > 0.6


def test_a_file_gives_the_same_recording_back(session, tmp_path):
    again = read_nwb(write_nwb(session, tmp_path / "foraging.nwb"))
    for one, two in zip(session.spike_trains().times, again.spike_trains().times, strict=True):
        np.testing.assert_array_equal(one, two)
    for kind in ("fields", "behaviour"):
        assert set(getattr(session, kind)) == set(getattr(again, kind))
        for name, signal in getattr(session, kind).items():
            other = getattr(again, kind)[name]
            np.testing.assert_array_equal(signal.values, other.values)
            assert (signal.rate, signal.channels, signal.unit) == (other.rate, other.channels, other.unit)
    table, other = session.intervals["epochs"], again.intervals["epochs"]
    assert table.labels == other.labels
    np.testing.assert_array_equal(table.starts, other.starts)


@pytest.mark.parametrize("wrong", [{"seconds": 1.0}, {"units": 0}, {"channels": 0}, {"lost": 0.9}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match="got"):
        ForagingSettings(**wrong)
