"""Features of sampled signals: causal, masked, and right against plain loops."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import signal as dsp

from neurodyn.binning import BandPower, Field, SignalMean, TimeGrid, bin_feature
from neurodyn.errors import InputError
from neurodyn.recording import Signal

RATE = 200.0
GRID = TimeGrid(0.0, 0.05, 200)
STARTS, STOPS = GRID.edges[:-1], GRID.ends
POWER = BandPower(bands=((4.0, 8.0), (20.0, 60.0)), smoothing=0.1)


def noise(seconds=10.0, channels=2, seed=0):
    return np.random.default_rng(seed).normal(size=(int(seconds * RATE), channels))


def regular(values):
    return Signal("lfp", values, rate=RATE)


@pytest.mark.parametrize("power", [None, POWER, BandPower(bands=((1.0, 90.0),), smoothing=0.0)])
@pytest.mark.parametrize("k", [0, 57, 120, 198])
@pytest.mark.parametrize("later", ["other", "missing"])
def test_no_sample_after_the_end_of_a_bin_influences_it(power, k, later):
    """Bit for bit, with a gap before and whatever comes after."""
    values = noise()
    values[500:503, 0] = np.nan
    values[700:900, 1] = np.nan
    changed = values.copy()
    past = int(np.ceil(STOPS[k] * RATE - 1e-9))
    changed[past:] = np.nan if later == "missing" else 1e3 * noise(seed=1)[past:]
    results = []
    for samples in (values, changed):
        signal = regular(samples)
        results.append(
            bin_feature(signal, SignalMean(), STARTS, STOPS)
            if power is None
            else bin_feature(signal, power, STARTS, STOPS)
        )
    for before, after in zip(*results, strict=True):
        np.testing.assert_array_equal(before[: k + 1], after[: k + 1])
    assert not np.array_equal(results[0][0][k + 1 :], results[1][0][k + 1 :])


def test_raw_is_the_mean_of_the_samples_of_a_bin():
    values = noise()
    binned, observed = bin_feature(regular(values), SignalMean(), STARTS, STOPS)
    np.testing.assert_allclose(binned, values.reshape(200, 10, 2).mean(axis=1), atol=1e-12)
    assert observed.all()


@pytest.mark.parametrize("rate", [250.0, 1000.0, 30_000.0 / 29])
@pytest.mark.parametrize("width", [0.01, 0.02, 0.1])
def test_samples_on_an_edge_go_to_the_bin_that_begins_there(rate, width):
    """Whole numbers of samples per bin give every bin that many, despite rounding."""
    signal = Signal("s", np.arange(int(20 * rate), dtype=float)[:, None], rate=rate)
    grid = TimeGrid.covering(0.0, 20.0, width)
    binned, observed = bin_feature(signal, SignalMean(), grid.edges[:-1], grid.ends)
    per_bin = width * rate
    assert observed[:-1].all()
    if abs(per_bin - round(per_bin)) < 1e-9:
        expected = (np.arange(grid.bins) + 0.5) * per_bin - 0.5
        np.testing.assert_allclose(binned[:, 0], expected, rtol=1e-12)


def test_band_power_equals_a_plain_loop():
    values = noise(channels=1)
    low, high = POWER.bands[0]
    sos = dsp.butter(POWER.order, (low, high), "bandpass", fs=RATE, output="sos")
    state = dsp.sosfilt_zi(sos) * values[0, 0]
    filtered, _ = dsp.sosfilt(sos, values[:, 0], zi=state)
    decay, level, weight, smooth = np.exp(-1 / (RATE * POWER.smoothing)), 0.0, 0.0, np.zeros(len(filtered))
    for i, sample in enumerate(filtered):
        settled = i >= RATE / low
        level = decay * level + settled * sample**2
        weight = decay * weight + settled
        smooth[i] = level / weight if weight else np.nan
    expected = np.log(smooth.reshape(200, 10).mean(axis=1))
    binned, observed = bin_feature(regular(values), POWER, STARTS, STOPS)
    np.testing.assert_array_equal(observed[:, 0], ~np.isnan(expected))
    np.testing.assert_allclose(binned[observed[:, 0], 0], expected[observed[:, 0]], rtol=1e-9)


def test_power_of_a_sine_is_half_its_squared_amplitude_in_its_band_only():
    time = np.arange(4000) / RATE
    signal = regular(3.0 * np.sin(2 * np.pi * 6 * time)[:, None])
    grid = TimeGrid(0.0, 1.0, 20)
    power = BandPower(bands=((4.0, 9.0), (30.0, 60.0)), smoothing=0.5)
    binned, _ = bin_feature(signal, power, grid.edges[:-1], grid.ends)
    np.testing.assert_allclose(binned[10:, 0], np.log(4.5), atol=0.02)
    assert (binned[10:, 1] < np.log(4.5) - 6).all()


def test_an_offset_makes_no_transient():
    values = noise(channels=1)
    plain, observed = bin_feature(regular(values), POWER, STARTS, STOPS)
    shifted, _ = bin_feature(regular(values + 1e3), POWER, STARTS, STOPS)
    np.testing.assert_allclose(shifted[observed], plain[observed], atol=1e-6)


def test_channels_do_not_mix_and_features_are_channel_by_channel():
    values = noise(channels=3)
    values[300:600, 1] = np.nan
    both, seen = bin_feature(regular(values), POWER, STARTS, STOPS)
    for channel in range(3):
        one, one_seen = bin_feature(regular(values[:, [channel]]), POWER, STARTS, STOPS)
        np.testing.assert_array_equal(both[:, 2 * channel : 2 * channel + 2], one)
        np.testing.assert_array_equal(seen[:, 2 * channel : 2 * channel + 2], one_seen)
    assert POWER.names(("a", "b")) == ("a 4-8 Hz", "a 20-60 Hz", "b 4-8 Hz", "b 20-60 Hz")


@pytest.mark.parametrize("samples", [1, 5, 20])
def test_short_gaps_hide_their_bins_and_nothing_else(samples):
    values = noise(channels=1)
    values[1003 : 1003 + samples] = np.nan
    missing = {k for k in range(200) if np.isnan(values[10 * k : 10 * k + 10]).any()}
    for binned, observed in (
        bin_feature(regular(values), SignalMean(), STARTS, STOPS),
        bin_feature(regular(values), POWER, STARTS, STOPS),
    ):
        assert np.isfinite(binned).all()
        expected = np.array([k not in missing for k in range(20, 200)])
        for channel in observed[20:].T:
            np.testing.assert_array_equal(channel, expected)
        assert not binned[~observed].any()


def test_filters_start_afresh_after_a_long_gap():
    values = noise(channels=1)
    values[600:1000] = np.nan
    binned, observed = bin_feature(regular(values), POWER, STARTS, STOPS)
    assert not observed[60:100].any()
    # One period of the low edge: 0.25 s and 0.05 s.
    assert np.flatnonzero(observed[100:, 0])[0] == 5
    assert np.flatnonzero(observed[100:, 1])[0] == 1
    alone, seen = bin_feature(replace(regular(values[1000:]), start=5.0), POWER, STARTS, STOPS)
    np.testing.assert_array_equal(binned[100:], alone[100:])
    np.testing.assert_array_equal(observed[100:], seen[100:])


def test_timestamps_with_a_gap_equal_nan_in_the_gap():
    values = noise()
    keep = np.ones(len(values), bool)
    keep[600:1000] = False
    holes = np.where(keep[:, None], values, np.nan)
    stamped = Signal("lfp", values[keep], timestamps=np.flatnonzero(keep) / RATE)
    for feature in (SignalMean(), POWER):
        both = (bin_feature(signal, feature, STARTS, STOPS) for signal in (stamped, regular(holes)))
        for one, two in zip(*both, strict=True):
            np.testing.assert_allclose(one, two, atol=1e-9)


def test_slow_signal_is_observed_in_the_bins_that_have_a_sample():
    signal = Signal("slow", np.arange(10.0)[:, None], rate=4.0)
    grid = TimeGrid(0.0, 0.125, 20)
    binned, observed = bin_feature(signal, SignalMean(), grid.edges[:-1], grid.ends)
    np.testing.assert_array_equal(observed[:, 0], np.arange(20) % 2 == 0)
    np.testing.assert_array_equal(binned[::2, 0], np.arange(10))


def test_bins_beyond_the_signal_are_missing():
    grid = TimeGrid(-1.0, 0.5, 30)
    _, observed = bin_feature(regular(noise()), SignalMean(), grid.edges[:-1], grid.ends)
    np.testing.assert_array_equal(observed[:, 0], (grid.edges[:-1] >= 0) & (grid.ends <= 10))


def test_bands_and_sampling_that_cannot_be_used_are_refused():
    signal = regular(noise())
    with pytest.raises(InputError, match="band 60-100 Hz needs a sampling rate above 200 Hz, field 'lfp'"):
        bin_feature(signal, BandPower(bands=((60.0, 100.0),)), STARTS, STOPS)
    with pytest.raises(InputError, match="0 < low < high"):
        BandPower(bands=((8.0, 4.0),))
    with pytest.raises(InputError, match="at least one band"):
        BandPower(bands=())
    with pytest.raises(InputError, match="smoothing"):
        BandPower(smoothing=-1.0)
    times = np.sort(np.random.default_rng(0).uniform(0, 10, 2000))
    uneven = Signal("lfp", noise(), timestamps=times)
    with pytest.raises(InputError, match="too irregularly"):
        bin_feature(uneven, BandPower(bands=((1.0, 4.0),)), STARTS, STOPS)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"feature": BandPower(), "smoothing": 0.5}, "has smoothing of band powers"),
        ({"feature": SignalMean(), "bands": ((4.0, 8.0),)}, "has bands of band powers"),
    ],
)
def test_what_is_no_feature_is_refused(wrong, words):
    with pytest.raises(InputError, match=words):
        Field("lfp", **wrong)
