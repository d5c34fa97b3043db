"""A lost sample is one gap, however it shows: as NaN, as a longer step of stamps, or as a packet that never came."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from neurodyn.binning import BandPower, SignalMean, TimeGrid, bin_feature
from neurodyn.realtime import EventKind, FieldInput, StreamingBinner
from neurodyn.recording import Signal

FINE = 16
"""Parts of a sample's period: bins and the phase of the clock are whole numbers of these."""


@dataclass(frozen=True)
class Case:
    """A clock of samples, bins on another phase, and which samples were lost."""

    rate: int
    phase: int  # of the clock of samples against the bins, in parts of a period
    width: int  # of a bin, in parts of a period
    bins: int
    start: float
    lost: tuple[tuple[int, int], ...]  # first sample and number of each loss
    bridge: int  # samples
    seed: int

    @property
    def samples(self) -> int:
        return self.bins * self.width // FINE + 1

    @property
    def grid(self) -> TimeGrid:
        return TimeGrid(self.start, self.width / (FINE * self.rate), self.bins)

    @property
    def places(self) -> np.ndarray:
        """Of all samples, in parts of a period from the start of the bins."""
        return FINE * np.arange(self.samples) + self.phase

    @property
    def times(self) -> np.ndarray:
        return self.start + self.places / (FINE * self.rate)

    @property
    def kept(self) -> np.ndarray:
        kept = np.ones(self.samples, bool)
        for first, count in self.lost:
            kept[first : first + count] = False
        return kept

    @property
    def values(self) -> np.ndarray:
        noise = np.random.default_rng(self.seed).normal(size=(self.samples, 2))
        noise[self.samples // 2, 1] = np.nan  # one channel misses a sample of its own
        return noise + np.sin(np.arange(self.samples) / 5.0)[:, None]

    @property
    def power(self) -> BandPower:
        return BandPower(
            ((self.rate / 20, self.rate / 6), (self.rate / 5, self.rate / 3)), 5 / self.rate, 2, self.bridge / self.rate
        )


@st.composite
def cases(draw):
    rate = draw(st.sampled_from([100, 128, 250, 500, 1000, 1250, 30_000]))
    width, bins = draw(st.integers(2 * FINE, 20 * FINE)), draw(st.integers(12, 40))
    samples = bins * width // FINE + 1
    singles = st.tuples(st.integers(0, samples - 1), st.integers(1, 3))
    losses = draw(st.lists(singles, max_size=6)) + draw(
        st.lists(st.tuples(st.integers(20, samples), st.integers(1, 40)), max_size=1)
    )
    start = draw(st.sampled_from([0.0, 5.0, 3600.0, 123_456.0]))
    return Case(
        rate,
        draw(st.integers(0, FINE - 1)),
        width,
        bins,
        start,
        tuple(losses),
        draw(st.integers(0, 12)),
        draw(st.integers(0, 99)),
    )


def usable(case):
    """Enough samples that follow each other to tell the rate from stamps."""
    return case.kept.sum() > 15 and (np.diff(np.flatnonzero(case.kept)) == 1).sum() >= 12


def offline(case, signal, raw):
    starts, stops = case.grid.edges[:-1], case.grid.ends
    return bin_feature(signal, SignalMean(), starts, stops) if raw else bin_feature(signal, case.power, starts, stops)


def live(case, raw):
    """Chunks of any size, a bin taken out as soon as it is ready."""
    rng = np.random.default_rng(case.seed)
    source = FieldInput("lfp", 2, float(case.rate), None if raw else case.power)
    binner = StreamingBinner([source], case.grid.width, start=case.start)
    rows, rest = [], np.flatnonzero(case.kept)
    while len(rest):
        part, rest = np.split(rest, [int(rng.integers(1, 15))])
        binner.push_samples("lfp", case.values[part], case.times[part])
        rows += binner.ready(float(case.times[part[-1]]))
    rows += binner.ready(case.grid.stop + 1.0)
    empty = np.full(source.features, np.nan)
    found = [row.observations["lfp"] if row.observations["lfp"] is not None else empty for row in rows[: case.bins]]
    return np.stack(found), binner


@settings(deadline=None, max_examples=150)
@given(cases(), st.booleans())
@example(Case(100, 0, 32, 12, 0.0, ((20, 1),), 0, 0), False)
def test_nan_missing_stamps_and_lost_packets_give_the_same_numbers_and_masks(case, raw):
    if not usable(case):
        return
    kept, values = case.kept, case.values
    holes = np.where(kept[:, None], values, np.nan)
    expected, observed = offline(case, Signal("lfp", holes, rate=float(case.rate), start=float(case.times[0])), raw)
    for signal in (
        Signal("lfp", holes, timestamps=case.times),
        Signal("lfp", values[kept], timestamps=case.times[kept]),
    ):
        numbers, mask = offline(case, signal, raw)
        np.testing.assert_array_equal(mask, observed)
        np.testing.assert_allclose(numbers, expected, rtol=1e-7, atol=1e-9)
    numbers, _ = live(case, raw)
    np.testing.assert_array_equal(np.isfinite(numbers), observed)
    np.testing.assert_allclose(numbers[observed], expected[observed], rtol=1e-5, atol=1e-5)


@settings(deadline=None, max_examples=100)
@given(cases())
def test_a_bin_is_observed_if_every_tick_in_it_was_stored(case):
    """By whole numbers, whatever the phase of the clock against the bins; the mean is that of a plain loop."""
    if not usable(case):
        return
    kept, bin_of_tick = case.kept & ~np.isnan(case.values[:, 0]), case.places // case.width
    numbers, mask = offline(case, Signal("lfp", case.values[case.kept], timestamps=case.times[case.kept]), True)
    for k in range(case.bins):
        inside = bin_of_tick == k
        # Before the first tick and after the last nothing is known, and a sample would come a period apart.
        whole = kept[inside].all() and (k + 1) * case.width <= case.places[-1] + FINE
        assert mask[k, 0] == whole
        if whole:
            assert numbers[k, 0] == pytest.approx(case.values[inside, 0].mean(), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(("lost", "restarts"), [(10, False), (11, True)])
def test_filters_run_on_over_a_gap_of_stamps_up_to_bridge_and_start_afresh_after_a_longer_one(lost, restarts):
    case = Case(1000, 0, 50 * FINE, 20, 0.0, ((503, lost),), 10, 0)
    kept = case.kept
    _, mask = offline(case, Signal("lfp", case.values[kept], timestamps=case.times[kept]), False)
    settled = int(np.ceil(20 / 50))  # bins until a period of 50 Hz has passed
    expected = np.ones(20, bool)
    expected[:settled] = False
    expected[10] = False  # the lost samples
    expected[11] &= not restarts or 503 + lost + 20 <= 550
    np.testing.assert_array_equal(mask[:, 0], expected)


def test_a_bin_does_not_close_before_the_last_tick_in_it():
    """The clock ticks 0.7 of a period before the end of each bin; the packet with that sample comes late in the bin."""
    case = Case(1000, 5, 10 * FINE, 12, 0.0, (), 0, 0)
    numbers, binner = live(case, True)
    expected = [case.values[case.places // case.width == k, 0].mean() for k in range(12)]
    np.testing.assert_allclose(numbers[:, 0], expected, rtol=1e-6)
    assert not {EventKind.GAP, EventKind.CARRIED, EventKind.DROPPED} & set(binner.log.counts())


def test_an_uneven_clock_in_phase_with_the_bins_lacks_nothing_live():
    """Stamps a tenth of a period early or late: no bin waits for a sample of the next."""
    rng = np.random.default_rng(0)
    times = np.arange(2000) / 1000.0 + rng.uniform(-1e-4, 1e-4, 2000)
    binner = StreamingBinner([FieldInput("lfp", 1, 1000.0)], 0.01, start=0.01)
    rows = []
    for k in range(200):
        part = slice(10 * k, 10 * k + 10)
        binner.push_samples("lfp", np.ones((10, 1)), times[part])
        rows += binner.ready(float(times[part][-1]))
    assert len(rows) == 199
    assert (
        sum(row.observations["lfp"] is not None for row in rows) >= 197
    )  # the jitter is learned from the first chunks
    assert not binner.log.counts("lfp").get(EventKind.GAP)
