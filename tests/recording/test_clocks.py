"""Rates and gaps from stamps, against clocks whose rate and gaps are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodyn.binning import BandPower, TimeGrid, bin_feature, make_targets
from neurodyn.binning import targets as targets_module
from neurodyn.errors import InputError
from neurodyn.recording import Recording, Signal, describe
from neurodyn.recording.checks import doubts
from neurodyn.recording.clocks import fit_clock

K = np.arange(5000)
ROUNDINGS = {
    "double": lambda t: t,
    "single": lambda t: t.astype(np.float32).astype(np.float64),
    "0.1 ms": lambda t: np.round(t, 4),
    "floor 0.1 ms": lambda t: np.floor(t * 1e4 + 1e-6) / 1e4,
}


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from([10.0, 25.0, 29.97, 30.0, 59.94, 100.0, 256.0, 1000.0, 1034.5]) | st.floats(5.0, 3000.0),
    st.sampled_from(sorted(ROUNDINGS)),
    st.sampled_from([0.0, 100.0, 3600.0, 86_400.0, 1e6]),
    st.integers(200, 3000),
    st.lists(st.tuples(st.floats(0.05, 0.95), st.integers(1, 5000)), max_size=3),
)
def test_the_rate_and_the_gaps_of_rounded_stamps(rate, rounding, start, samples, pauses):
    """Whatever the stamps were rounded to, as long as two samples are further apart than three roundings."""
    ticks = np.arange(samples)
    for place, length in pauses:
        ticks[int(place * samples) :] += length + 3
    exact = start + ticks / rate
    stamps = ROUNDINGS[rounding](exact)
    coarse = {"double": 1e-9, "single": float(np.spacing(np.float32(exact[-1])))}.get(rounding, 1e-4)
    if 3 * coarse > 1 / rate:
        return
    clock = fit_clock(stamps)
    assert clock.even
    assert clock.regular
    assert clock.gaps == (np.diff(ticks) > 1).sum()
    # The samples drift by less than the rounding over the longest stretch.
    longest = np.diff(np.concatenate([[0], np.flatnonzero(np.diff(ticks) > 1) + 1, [samples]])).max()
    assert abs(rate / clock.rate - 1) * longest / rate <= 1.5 * coarse + 3e-8


def test_the_rates_of_the_published_examples_are_exact():
    assert fit_clock(np.round(K / 1034.5, 4)).rate == 1034.5  # the median step says 1000
    assert fit_clock((36_000 + K / 100).astype(np.float32)).rate == 100.0  # the median step says 85.3
    assert fit_clock((66_000 + K / 100).astype(np.float32)).rate == 100.0  # steps of one and two roundings
    assert fit_clock(np.arange(1, 5001) / 1000).rate == 1000.0
    assert fit_clock(1e6 + K / 30_000).rate == 30_000.0
    assert fit_clock(np.round(K / 29.97, 3)).rate == pytest.approx(29.97, rel=1e-9)


@pytest.mark.parametrize("share", [0.001, 0.05, 0.3])
def test_lost_packets_change_no_rate(share):
    kept = np.random.default_rng(0).random(len(K)) >= share
    clock = fit_clock(K[kept] / 1000)
    assert clock.rate == 1000.0
    assert clock.gaps == (np.diff(K[kept]) > 1).sum()


@pytest.mark.parametrize("phase", [0, 5, 8])
@pytest.mark.parametrize(("samples", "lost"), [(25, [20]), (25, [12]), (40, [9, 25]), (60, [5, 22, 39])])
def test_a_few_samples_lost_from_a_short_clock_are_gaps(samples, lost, phase):
    """A line through so few stamps may pass as near as they are rounded, whatever was lost: 96 Hz is not the rate."""
    ticks = np.delete(np.arange(samples), lost)
    clock = fit_clock((16 * ticks + phase) / 1600)
    assert (clock.rate, clock.gaps, clock.regular) == (100.0, len(lost), True)


def test_a_clock_that_jitters_is_not_called_regular():
    stamps = K / 60 + np.random.default_rng(0).uniform(-1e-3, 1e-3, len(K))
    clock = fit_clock(stamps)
    assert clock.even
    assert not clock.regular
    assert clock.rate == pytest.approx(60.0, rel=1e-5)
    assert 0.5e-3 < clock.jitter < 2e-3


@pytest.mark.parametrize("step", [1e-6, 1e-5, 1e-3, 2e-3])
def test_stamps_in_groups_are_no_clock_and_have_the_mean_rate(step):
    clock = fit_clock(K // 12 * 12 / 256 + K % 12 * step)
    assert not clock.even
    assert not clock.regular
    assert clock.rate == pytest.approx(256.0, rel=2e-3)


def test_large_groups_are_groups_and_short_trials_are_pieces_of_a_clock():
    """Packets of 100 samples at 1 kHz, stamped within 1 ms; trials of 0.3 s at 100 Hz, seconds apart."""
    k = np.arange(20_000)
    packets = fit_clock(k // 100 * 0.1 + k % 100 * 1e-5)
    assert (packets.even, packets.rate) == (False, pytest.approx(1000.0, rel=6e-3))
    begins = np.cumsum(np.random.default_rng(0).uniform(2.0, 6.0, 50))
    trials = fit_clock((begins[:, None] + np.arange(30) / 100).ravel())
    assert (trials.even, trials.regular, trials.gaps) == (True, True, 49)
    assert trials.rate == pytest.approx(100.0, rel=1e-6)


@pytest.mark.parametrize("samples", [0, 1, 2, 3])
def test_few_stamps(samples):
    clock = fit_clock(np.array([1.0, 1.5, 2.0])[:samples])
    np.testing.assert_equal(clock.rate, 2.0 if samples > 1 else np.nan)
    assert clock.gaps == 0


def test_regular_stamps_are_described_as_regular_and_gaps_counted():
    values = np.zeros((5000, 1))
    recording = Recording(
        "r",
        fields={"lfp": Signal("lfp", values, timestamps=np.arange(1, 5001) / 1000)},
        behaviour={"pos": Signal("pos", values[1:], timestamps=np.delete(np.arange(5000) / 50, 700))},
    )
    lfp, pos = describe(recording)
    assert (lfp.rate, lfp.regular, lfp.gaps) == (1000.0, True, 0)
    assert (pos.rate, pos.regular, pos.gaps) == (50.0, False, 1)


# What is made of them ---------------------------------------------------------------------------------------------


def grouped(seconds=600.0, step=1e-5):
    k = np.arange(int(seconds * 256) // 12 * 12)
    values = np.stack([np.sin(2 * np.pi * 0.1 * k / 256), np.cos(2 * np.pi * 0.13 * k / 256)], axis=1)
    return Signal("position", values, timestamps=k // 12 * 12 / 256 + k % 12 * step)


def test_behaviour_stamped_in_groups_needs_no_more_steps_than_samples_and_is_told(monkeypatch):
    signal = grouped()
    recording = Recording("r", behaviour={"position": signal})
    monkeypatch.setattr(targets_module, "MOST_STEPS", 2 * signal.n_samples)
    times = np.arange(10.0, 590.0, 0.05)
    values, observed, _ = make_targets(recording, ("position",), times)
    assert observed.all()
    np.testing.assert_allclose(values[:, 0], np.sin(2 * np.pi * 0.1 * times), atol=0.06)  # within a group
    (doubt,) = doubts(recording)
    assert "stamped in groups" in doubt
    assert "256 Hz" in doubt


def test_long_pauses_cost_nothing_and_change_nothing(monkeypatch):
    """Four pieces of 100 Hz, hours apart, against each piece alone."""
    rng = np.random.default_rng(0)
    pieces = [np.cumsum(rng.normal(size=(2000, 2)), axis=0) for _ in range(4)]
    starts = [0.0, 7200.0, 7200.0 + 20.0 + 3.0, 90_000.0]  # one pause is short: smoothing reaches into it
    stamps = np.concatenate([start + np.arange(2000) / 100 for start in starts])
    whole = Recording("r", behaviour={"position": Signal("position", np.concatenate(pieces), timestamps=stamps)})
    monkeypatch.setattr(targets_module, "MOST_STEPS", 20_000)
    for start, piece in zip(starts, pieces, strict=True):
        alone = Recording("r", behaviour={"position": Signal("position", piece, rate=100.0, start=start)})
        times = start + np.arange(0.02, 19.9, 0.05)
        for name in ("position", "velocity", "speed"):
            one, known, _ = make_targets(whole, (name,), times)
            two, also, _ = make_targets(alone, (name,), times)
            np.testing.assert_array_equal(known, also)
            inner = (times > start + 2) & (times < start + 18)  # the ends of a piece are smoothed with less
            np.testing.assert_allclose(one[inner], two[inner], rtol=1e-6, atol=1e-6)
    assert not make_targets(whole, ("position",), np.array([5000.0, 50_000.0]))[1].any()


def test_work_is_bounded(monkeypatch):
    monkeypatch.setattr(targets_module, "MOST_STEPS", 100)
    recording = Recording(
        "r", behaviour={"position": Signal("position", np.zeros((200, 2)) + K[:200, None], rate=10.0)}
    )
    with pytest.raises(InputError, match="would need 200 steps of an even clock"):
        make_targets(recording, ("position",), np.array([1.0]))


def test_band_powers_of_coarse_regular_stamps_are_those_of_the_rate():
    """100 Hz in single precision after ten hours: the stamps are off by up to 2 ms, the clock is not."""
    values = np.random.default_rng(0).normal(size=(2000, 1))
    stamps = (36_000 + np.arange(2000) / 100).astype(np.float32).astype(np.float64)
    power, grid = BandPower(((4.0, 12.0),)), TimeGrid(36_000.0 - 0.005, 0.1, 199)
    regular = Signal("lfp", values, rate=100.0, start=36_000.0)
    stamped = Signal("lfp", values, timestamps=stamps)
    one, seen = bin_feature(regular, power, grid.edges[:-1], grid.ends)
    two, also = bin_feature(stamped, power, grid.edges[:-1], grid.ends)
    np.testing.assert_array_equal(seen, also)
    np.testing.assert_allclose(one, two, atol=1e-12)


def test_stamps_in_groups_are_refused_for_filters():
    signal = Signal("lfp", grouped(60.0).values, timestamps=grouped(60.0).timestamps)
    grid = TimeGrid(0.0, 0.05, 100)
    with pytest.raises(InputError, match="too irregularly for band powers: of its steps"):
        bin_feature(signal, BandPower(((4.0, 12.0),)), grid.edges[:-1], grid.ends)
