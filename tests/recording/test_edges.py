"""Times on edges against integer arithmetic on ticks: spikes, samples, events, intervals, folds, targets; also live."""

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodyn.binning import (
    Field,
    MultimodalBatch,
    SignalMean,
    Spikes,
    TargetOptions,
    TimeGrid,
    bin_feature,
    count_spikes,
    time_folds,
    to_bins,
)
from neurodyn.errors import InputError
from neurodyn.realtime import FieldInput, SpikeInput, StreamingBinner
from neurodyn.recording import Intervals, Recording, Signal, SpikeTrains
from neurodyn.recording.edges import bin_of, cut, number_of, slack, whole_bins

HOURS = 1_000_000
"""Latest start, seconds."""


@dataclass(frozen=True)
class Clock:
    """Ticks of a recorder per second and per bin, the tick of the first bin, and how seconds are made of ticks."""

    rate: int
    per_bin: int
    first: int
    way: str

    @property
    def start(self) -> float:
        return self.first / self.rate

    @property
    def width(self) -> float:
        return self.per_bin / self.rate

    def seconds(self, ticks):
        """Ticks since the first bin in seconds since the recorder's own 0, rounded on one of the usual ways."""
        ticks = np.asarray(ticks)
        if self.way == "divided":
            return (self.first + ticks) / self.rate
        if self.way == "multiplied":
            return (self.first + ticks) * (1.0 / self.rate)
        if self.way == "milliseconds":
            return (self.first + ticks) / (self.rate / 1000.0) / 1000.0
        return self.start + ticks / self.rate

    def grid(self, bins: int) -> TimeGrid:
        return TimeGrid(self.start, self.width, bins)


@st.composite
def clocks(draw):
    rate = draw(st.sampled_from([1000, 1250, 2000, 10_000, 24_414, 25_000, 30_000]) | st.integers(1000, 30_000))
    per_bin = draw(st.integers(max(1, -(-rate // 1000)), rate // 10))
    start = draw(st.sampled_from([0, 1, 3600, 86_400, HOURS]) | st.integers(0, HOURS))
    first = start * rate + draw(st.integers(0, rate - 1)) if start < HOURS else start * rate
    return Clock(rate, per_bin, first, draw(st.sampled_from(["divided", "multiplied", "milliseconds", "added"])))


def ticks_of(clock, bins, seed, share=0.5):
    """Random ticks around the bins, half of them on edges, in order."""
    rng = np.random.default_rng(seed)
    anywhere = rng.integers(-clock.per_bin, (bins + 1) * clock.per_bin, 60)
    edges = clock.per_bin * rng.integers(0, bins + 1, int(60 * share))
    return np.unique(np.concatenate([anywhere, edges]))


def counted(ticks, per_bin, bins):
    """Oracle: whole numbers only."""
    number = ticks // per_bin
    return np.bincount(number[(number >= 0) & (number < bins)], minlength=bins)


SEEDS = st.integers(0, 2**32 - 1)


# The rule itself --------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=300)
@given(clocks(), SEEDS)
def test_the_bin_of_a_tick_is_that_of_integer_division(clock, seed):
    rng = np.random.default_rng(seed)
    number = rng.integers(-5, int(2000 / clock.width), 50)  # within half an hour
    ticks = np.concatenate([number * clock.per_bin, number * clock.per_bin - 1, number * clock.per_bin + 1])
    times = clock.seconds(ticks)
    np.testing.assert_array_equal(bin_of(times, clock.start, clock.width), ticks // clock.per_bin)
    for time, tick in zip(times[:20].tolist(), ticks[:20].tolist(), strict=True):
        assert number_of(time, clock.start, clock.width) == tick // clock.per_bin
    before = times[:, None] < cut(clock.grid(100).edges)
    np.testing.assert_array_equal(before, ticks[:, None] < clock.per_bin * np.arange(101))


@settings(deadline=None, max_examples=200)
@given(st.floats(-1e11, 1e11), st.floats(1e-3, 1e3), st.integers(0, 10_000))
def test_a_time_lies_in_exactly_one_bin_and_the_bin_found_is_the_one_the_edges_say(start, width, number):
    """For any numbers, next to a cut too: what counts spikes, what sorts samples and what compares cannot disagree."""
    edge = cut(start + width * number)
    times = np.array([np.nextafter(edge, -np.inf), edge, np.nextafter(edge, np.inf)])
    found = bin_of(times, start, width)
    assert (times >= cut(start + width * found)).all()
    assert (times < cut(start + width * (found + 1))).all()
    assert found.tolist() == [number - 1, number, number]
    assert [number_of(time, start, width) for time in times.tolist()] == found.tolist()


def test_the_tolerance_is_far_below_a_tick_and_far_above_rounding():
    for edge in (0.0, 1.0, 3600.0, 1e6):
        assert slack(edge) == 1e-8
        assert slack(edge) < 1 / 30_000 / 3000
        assert slack(edge) > 80 * np.spacing(edge)
    assert slack(1.7e9) < 1 / 30_000 / 10  # seconds since 1970
    np.testing.assert_array_equal(cut(np.array([1e6, np.inf, -np.inf])), [1e6 - 1e-8, np.inf, -np.inf])
    assert cut(np.inf) == np.inf


@settings(deadline=None)
@given(clocks(), st.integers(0, 5000), st.integers(-1, 1))
def test_whole_bins_between_ticks(clock, bins, more):
    ticks = max(0, bins * clock.per_bin + more)
    start, stop = clock.seconds([0, ticks]).tolist()
    assert whole_bins(start, stop, clock.width) == ticks // clock.per_bin


def test_bins_too_narrow_for_double_precision_are_refused():
    with pytest.raises(InputError, match=r"bins of 1e-06 s cannot be told apart at 1.7e\+09 s"):
        TimeGrid(1.7e9, 1e-6, 10)


# Spikes and samples -----------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=200)
@given(clocks(), st.integers(1, 80), SEEDS)
def test_spikes_offline_and_live_equal_integer_division(clock, bins, seed):
    ticks = ticks_of(clock, bins, seed)
    times, grid = clock.seconds(ticks), clock.grid(bins)
    expected = counted(ticks, clock.per_bin, bins)
    many = np.sort(np.tile(times, 40))  # so many spikes that the other way of counting is taken
    counts = count_spikes([times, many, times[:0]], grid.edges[:-1], grid.ends)
    np.testing.assert_array_equal(counts, np.stack([expected, 40 * expected, 0 * expected], axis=1))
    # Bins that do not touch: every second one, as trials with pauses.
    apart = count_spikes([times], grid.edges[:-1:2], grid.ends[::2])
    np.testing.assert_array_equal(apart[:, 0], expected[::2])
    # The same bins, each twice, as windows that overlap.
    twice = count_spikes([times], np.repeat(grid.edges[:-1], 2), np.repeat(grid.ends, 2))
    np.testing.assert_array_equal(twice[:, 0], np.repeat(expected, 2))
    binner = StreamingBinner([SpikeInput("spikes", 1, silence=1e9)], clock.width, start=clock.start)
    inside = times[ticks >= 0]
    rows = []
    for part in np.array_split(inside, 7):
        if len(part):
            binner.push_spikes("spikes", part, np.zeros(len(part), np.int64))
            rows += binner.ready(float(part[-1]))
    rows += binner.ready(clock.seconds([bins * clock.per_bin])[0])
    live = [row.observations["spikes"][0] for row in rows[:bins]]
    np.testing.assert_array_equal(live, expected)


@settings(deadline=None, max_examples=200)
@given(clocks(), st.integers(1, 60), st.integers(1, 12), SEEDS)
def test_samples_offline_and_live_lie_in_the_bins_of_integer_division(clock, bins, every, seed):
    """A field with a sample every few ticks, from its rate, its stamps, and live: value = tick, mean = mean tick."""
    rng = np.random.default_rng(seed)
    every = min(every, clock.per_bin)
    offset = int(rng.integers(0, every))
    ticks = offset + every * np.arange(-2, (bins + 1) * clock.per_bin // every + 2)
    rate = clock.rate / every
    times, values = clock.seconds(ticks), ticks[:, None].astype(float)
    number = ticks // clock.per_bin
    expected = np.array([ticks[number == k].mean() for k in range(bins)])
    grid = clock.grid(bins)
    for signal in (
        Signal("lfp", values, timestamps=times),
        Signal("lfp", values, rate=rate, start=float(times[0])),
    ):
        means, observed = bin_feature(signal, SignalMean(), grid.edges[:-1], grid.ends)
        assert observed.all()
        np.testing.assert_allclose(means[:, 0], expected, rtol=1e-12)
    binner = StreamingBinner([FieldInput("lfp", 1, rate)], clock.width, start=clock.start)
    rows = []
    for part in np.array_split(np.arange(len(ticks)), 9):
        if len(part):
            binner.push_samples("lfp", values[part], times[part])
            rows += binner.ready(float(times[part[-1]]))
    rows += binner.ready(float(times[-1]) + 1.0)
    live = np.array([row.observations["lfp"][0] for row in rows[:bins]])
    np.testing.assert_allclose(live, expected, rtol=1e-6)


@settings(deadline=None, max_examples=60)
@given(clocks(), SEEDS)
def test_a_spike_and_a_sample_of_one_time_land_in_one_bin(clock, seed):
    """The whole of to_bins, with trials from a table: spikes at the ticks of the samples that are 1."""
    rng = np.random.default_rng(seed)
    ticks = np.arange(-clock.per_bin, 41 * clock.per_bin, max(1, clock.per_bin // 4))
    fired = rng.random(len(ticks)) < 0.4
    fired[rng.integers(0, len(ticks))] = True
    bounds = np.array([[0, 7], [7, 19], [23, 40]]) * clock.per_bin
    times = clock.seconds(ticks)
    recording = Recording(
        "r",
        {"spikes": SpikeTrains("spikes", (times[fired & (times >= 0)],), ("a",))},
        {"lfp": Signal("lfp", fired[:, None].astype(float), timestamps=times)},
        {},
        {"trials": Intervals("trials", clock.seconds(bounds[:, 0]), clock.seconds(bounds[:, 1]))},
    )
    batch = to_bins(
        recording, width=clock.width, modalities=[Spikes(), Field("lfp", bands=None)], target=(), interval="trials"
    )
    np.testing.assert_array_equal(batch.lengths, [7, 12, 17])
    bins = np.concatenate([np.arange(a, b) for a, b in bounds // clock.per_bin])
    inside = ticks[fired & (times >= 0)]
    np.testing.assert_array_equal(batch.observations["spikes"][:, 0], counted(inside, clock.per_bin, 41)[bins])
    number = ticks // clock.per_bin
    expected = [fired[number == k].mean() for k in bins]
    np.testing.assert_allclose(batch.observations["lfp"][:, 0], expected, rtol=1e-6)


@settings(deadline=None, max_examples=60)
@given(clocks())
def test_spikes_alone_are_covered_from_the_bin_of_the_first_to_that_of_the_last(clock):
    """Bins are then multiples of the width from 0: the first spike on an edge opens the first bin."""
    rate, per_bin = clock.rate, clock.per_bin
    first = clock.first // per_bin * per_bin  # on an edge of bins that count from 0
    ticks = np.array([first, first + 5 * per_bin - 1, first + 7 * per_bin])
    train = replace(clock, first=0).seconds(ticks)
    trains = SpikeTrains("spikes", (train,), ("a",))
    batch = to_bins(Recording("r", {"spikes": trains}), width=clock.width, target=())
    np.testing.assert_array_equal(batch.observations["spikes"][:, 0], [1, 0, 0, 0, 1, 0, 0, 1])
    assert batch.time[0] == pytest.approx(float(Fraction(first + per_bin, rate)), abs=1e-8)
    binner = StreamingBinner([SpikeInput("spikes", 1, silence=1e9)], clock.width)
    binner.push_spikes("spikes", train, np.zeros(3, np.int64))
    rows = binner.ready(float(batch.time[-1]))
    live = [np.asarray(row.observations["spikes"]).tolist() for row in rows]
    assert live == [[1], [0], [0], [0], [1], [0], [0], [1]]
    np.testing.assert_allclose([row.time for row in rows], batch.time, rtol=1e-15)


# Intervals, events, folds, targets --------------------------------------------------------------------------------


@settings(deadline=None, max_examples=100)
@given(clocks(), SEEDS)
def test_parts_of_a_recording_hold_the_ticks_of_their_half_open_interval(clock, seed):
    rng = np.random.default_rng(seed)
    ticks = np.arange(0, 300)
    low, high = sorted(rng.integers(0, 300, 2).tolist())
    other = replace(clock, way="added")  # the bounds were rounded on another way than the times
    start, stop = other.seconds([low, high]).tolist()
    times = clock.seconds(ticks)
    recording = Recording(
        "r",
        {"spikes": SpikeTrains("spikes", (times,), ("a",))},
        {
            "stamped": Signal("stamped", ticks[:, None].astype(float), timestamps=times),
            "regular": Signal("regular", ticks[:, None].astype(float), rate=float(clock.rate), start=float(times[0])),
        },
        {},
        {
            "events": Intervals("events", times, times),
            "pieces": Intervals("pieces", times[:-1], times[1:], tuple(map(str, range(299)))),
        },
    ).between(start, stop)
    expected = ticks[(ticks >= low) & (ticks < high)]
    np.testing.assert_array_equal(recording.spikes["spikes"].times[0], times[expected])
    for name in ("stamped", "regular"):
        np.testing.assert_array_equal(recording.fields[name].read(0, 300)[:, 0], expected)
    assert [int(label) for label in recording.intervals["events"].labels] == expected.tolist()
    assert [int(label) for label in recording.intervals["pieces"].labels] == ticks[low:high].tolist()


@settings(deadline=None, max_examples=60)
@given(clocks(), st.integers(0, 6), st.integers(2, 5))
def test_folds_keep_their_distance_in_whole_bins(clock, gap, n):
    arrays = {"spikes": np.random.default_rng(0).poisson(1.0, (1, 60, 2)).astype(float)}
    batch = MultimodalBatch.from_arrays(
        arrays, width=clock.width, likelihoods={"spikes": "poisson"}, target=np.arange(60.0)[None, :, None]
    )
    batch = replace(batch, time=clock.grid(60).ends)
    for fold, block in zip(time_folds(batch, n, gap=gap * clock.width), np.array_split(np.arange(60), n), strict=True):
        trained = np.flatnonzero(fold.train.in_trials())
        expected = [k for k in range(60) if k < block[0] - gap or k > block[-1] + gap]
        assert trained.tolist() == expected


@settings(deadline=None, max_examples=60)
@given(clocks(), SEEDS)
def test_targets_at_the_end_of_bins_take_the_sample_of_that_time(clock, seed):
    """Bins end where the behaviour was sampled; a long gap hides the ends inside it and not the one at its rim."""
    rng = np.random.default_rng(seed)
    bins = 40
    ticks = clock.per_bin * np.arange(0, bins + 1)
    first, last = 8 + int(rng.integers(0, 5)), 25 + int(rng.integers(0, 5))
    kept = np.concatenate([np.arange(first + 1), np.arange(last, bins + 1)])
    values = rng.normal(size=(bins + 1, 1))
    signal = Signal("pos", values[kept], timestamps=clock.seconds(ticks[kept]))
    recording = Recording(
        "r", {"spikes": SpikeTrains("spikes", (clock.seconds(ticks[:-1]),), ("a",))}, {}, {"pos": signal}
    )
    options = TargetOptions(smoothing=0.0, max_gap=3 * clock.width)
    interval = tuple(clock.seconds([0, bins * clock.per_bin]).tolist())
    batch = to_bins(recording, width=clock.width, target="pos", interval=interval, target_options=options)
    ends = np.arange(1, bins + 1)
    seen = (ends <= first) | (ends >= last)
    np.testing.assert_array_equal(batch.target_observed, seen)
    np.testing.assert_allclose(batch.target[seen, 0], values[ends[seen], 0], atol=2e-3)
