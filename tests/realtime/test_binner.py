"""Bins filled live hold what offline binning finds in the same data, and nothing a source sends stops them."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodyn.binning import BandPower, SignalMean, TimeGrid, bin_feature, count_spikes
from neurodyn.errors import InputError
from neurodyn.realtime import EventKind, FieldInput, LatePolicy, SpikeInput, StreamingBinner
from neurodyn.recording import Signal

WIDTH = 0.01
RATE = 1000.0
POWER = BandPower(bands=((20.0, 60.0), (60.0, 150.0)), smoothing=0.02, bridge=0.01)


def cut(n, rng, longest=40):
    """Edges of chunks of any size from 1 to ``longest``."""
    edges = np.cumsum(rng.integers(1, longest, n))
    return [0, *edges[edges < n].tolist(), n]


def stacked(bins, name):
    """All bins of a modality, NaN where missing."""
    width = max((len(b.observations[name]) for b in bins if b.observations[name] is not None), default=1)
    rows = [b.observations[name] if b.observations[name] is not None else np.full(width, np.nan) for b in bins]
    return np.stack(rows)


def field_signal(seconds=3.0, channels=3, seed=0):
    rng = np.random.default_rng(seed)
    times = 5.0 + np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.outer(times, [30.0, 45.0, 90.0][:channels])
    return times, np.sin(phase) + 0.3 * rng.normal(size=phase.shape) + 2.0


def run_field(times, values, *, power=None, width=None, seed=0, **options):
    """Push samples chunk by chunk, and take bins out after each."""
    rng = np.random.default_rng(seed)
    source = FieldInput("field", values.shape[1], RATE, power, width)
    binner = StreamingBinner([source], WIDTH, start=5.0, **options)
    bins, edges = [], cut(len(times), rng)
    for a, b in pairwise(edges):
        binner.push_samples("field", values[a:b], times[a:b])
        bins += binner.ready(float(times[b - 1]) + 0.5 / RATE)
    return binner, bins


# Equal to offline -----------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from([0.01, 0.002, 1 / 30]), st.floats(0, 1e5))
def test_counts_equal_those_of_offline_binning(seed, width, start):
    """With spikes on the edges of bins too, and chunks of any size."""
    rng = np.random.default_rng(seed)
    grid = TimeGrid(start, width, 100)
    times = np.sort(
        np.concatenate([rng.uniform(grid.start, grid.stop, 300), grid.edges[rng.choice(101, 40, replace=False)]])
    )
    units = rng.integers(0, 5, len(times))
    expected = count_spikes([times[units == u] for u in range(5)], grid.edges[:-1], grid.edges[1:])
    binner = StreamingBinner([SpikeInput("spikes", 5)], width, start=start)
    bins, edges = [], cut(len(times), rng)
    for a, b in pairwise(edges):
        binner.push_spikes("spikes", times[a:b], units[a:b])
        bins += binner.ready(float(times[b - 1]))
    bins += binner.ready(grid.stop)
    np.testing.assert_array_equal(stacked(bins[:100], "spikes"), expected)
    np.testing.assert_allclose([b.time for b in bins[:100]], grid.ends, rtol=1e-15)
    assert [b.index for b in bins] == list(range(len(bins)))


@pytest.mark.parametrize("power", [None, POWER], ids=["raw", "bands"])
@pytest.mark.parametrize("width", [None, 0.05])
def test_features_equal_those_of_offline_binning(power, width):
    """Single samples, short gaps and long gaps missing, in all channels or in one."""
    times, values = field_signal()
    values[700] = values[1500:1506] = values[2000:2100] = np.nan
    values[1000:1030, 1] = np.nan
    grid = TimeGrid(5.0, WIDTH, 300)
    starts, stops = grid.coarser(1 if width is None else 5)
    signal = Signal("field", values, rate=RATE, start=5.0)
    expected, observed = (
        bin_feature(signal, SignalMean(), starts, stops) if power is None else bin_feature(signal, power, starts, stops)
    )
    _, bins = run_field(times, values, power=power, width=width)
    assert len(bins) == 300
    assert 0.5 < observed.mean() < 1
    live = stacked(bins, "field")
    if width is not None:
        assert np.isnan(np.delete(live, np.arange(4, 300, 5), axis=0)).all()
        live = live[4::5]
    np.testing.assert_array_equal(np.isfinite(live), observed)
    np.testing.assert_allclose(live[observed], expected[observed], rtol=1e-6, atol=1e-6)


@dataclass(frozen=True)
class Shares(BandPower):
    """Share of each band in the power of all: a value that depends on the other outputs of its channel."""

    def of_mean(self, mean):
        return mean / mean.sum(axis=-1, keepdims=True)


def test_a_feature_that_compares_its_outputs_is_the_same_offline_and_live():
    times, values = field_signal()
    values[1200, 1] = np.nan
    feature = Shares(((8.0, 12.0), (25.0, 35.0), (40.0, 50.0)))
    starts, stops = TimeGrid(5.0, WIDTH, 300).coarser(1)
    expected, observed = bin_feature(Signal("field", values, rate=RATE, start=5.0), feature, starts, stops)
    _, bins = run_field(times, values, power=feature)
    live = stacked(bins, "field")
    np.testing.assert_array_equal(np.isfinite(live), observed)
    np.testing.assert_allclose(live[observed], expected[observed], rtol=1e-5)
    whole = observed.all(axis=1)
    np.testing.assert_allclose(expected[whole].reshape(-1, 3, 3).sum(axis=2), 1, rtol=1e-6)


def test_samples_that_never_came_are_like_samples_that_are_missing():
    times, values = field_signal()
    lost = np.zeros(len(times), bool)
    lost[700] = lost[1500:1506] = lost[2000:2100] = True
    _, whole = run_field(times, np.where(lost[:, None], np.nan, values), power=POWER)
    binner, thinned = run_field(times[~lost], values[~lost], power=POWER)
    np.testing.assert_array_equal(stacked(thinned, "field"), stacked(whole, "field"))
    assert binner.log.counts("field")[EventKind.GAP] == 3


def test_chunks_of_one_sample_equal_chunks_of_many():
    times, values = field_signal(seconds=0.5)
    one = StreamingBinner([FieldInput("field", 3, RATE, POWER)], WIDTH, start=5.0)
    bins = []
    for time, value in zip(times, values, strict=True):
        one.push_samples("field", value[None], time[None])
        bins += one.ready(float(time))
    _, many = run_field(times, values, power=POWER, seed=3)
    np.testing.assert_allclose(stacked(bins[:49], "field"), stacked(many[:49], "field"), rtol=1e-6)


def mixed_stream(binner, seed):
    """Spikes and samples in chunks of which some are lost, late, repeated or back to front; all bins and events."""
    rng = np.random.default_rng(seed)
    late, bins = [], []
    for k in range(100):
        start = 5.0 + 0.007 * k
        spikes = np.sort(rng.uniform(start, start + 0.007, rng.integers(0, 12)).round(3))
        samples = start + np.arange(7) / RATE
        chunks = {
            "spikes": (spikes, rng.integers(0, 4, len(spikes))),
            "field": (rng.normal(size=(7, 2)), samples),
        }
        for name, chunk in chunks.items():
            fate = rng.random()
            if fate < 0.05:
                late.append((name, chunk))
                continue
            turned = tuple(part[::-1] for part in chunk) if 0.05 <= fate < 0.1 else chunk
            for _ in range(2 if 0.1 <= fate < 0.15 else 1):
                push(binner, name, turned)
        if late and rng.random() < 0.2:
            push(binner, *late.pop())
        bins += binner.ready(start + 0.007)
    return bins, list(binner.log)


def push(binner, name, chunk):
    (binner.push_spikes if name == "spikes" else binner.push_samples)(name, *chunk)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("power", [None, POWER], ids=["raw", "bands"])
def test_data_in_order_take_a_shorter_way_to_the_same_bins(seed, power, monkeypatch):
    """Of the same stream, once looked at as if nothing were known of its order."""

    def run():
        inputs = [SpikeInput("spikes", 4, silence=0.05), FieldInput("field", 2, RATE, power)]
        return mixed_stream(StreamingBinner(inputs, WIDTH, start=5.0, patience=0.005 * (seed % 3)), seed)

    bins, events = run()
    monkeypatch.setattr("neurodyn.realtime.binner.in_order", lambda times: False)
    expected, expected_events = run()
    assert events == expected_events
    assert {EventKind.DUPLICATE, EventKind.OUT_OF_ORDER} <= {event.kind for event in events}
    assert len(bins) == len(expected) > 60
    for one, other in zip(bins, expected, strict=True):
        assert (one.time, one.events) == (other.time, other.events)
        for name in ("spikes", "field"):
            np.testing.assert_array_equal(one.observations[name], other.observations[name])


# Late data ------------------------------------------------------------------------------------------------------


def late_spike(**options):
    """Unit 1 fires in bin 0 and is heard of after bin 2 has begun."""
    binner = StreamingBinner([SpikeInput("spikes", 3)], WIDTH, start=0.0, **options)
    binner.push_spikes("spikes", np.array([0.001]), np.array([0]), until=0.021)
    bins = binner.ready(0.021)
    binner.push_spikes("spikes", np.array([0.002, 0.025]), np.array([1, 2]), until=0.031)
    bins += binner.ready(0.031)
    return binner, stacked(bins, "spikes")


def test_late_spikes_are_carried_to_the_next_bin():
    binner, counts = late_spike()
    np.testing.assert_array_equal(counts[:3], [[1, 0, 0], [0, 0, 0], [0, 1, 1]])
    assert binner.log.counts("spikes") == {EventKind.CARRIED: 1}


def test_late_spikes_are_dropped():
    binner, counts = late_spike(late=LatePolicy.DROP)
    np.testing.assert_array_equal(counts[:3], [[1, 0, 0], [0, 0, 0], [0, 0, 1]])
    assert binner.log.counts("spikes") == {EventKind.DROPPED: 1}


def test_late_spikes_are_waited_for():
    """A second source that has not reached the end of the bin makes it wait, as long as its patience lasts."""
    binner = StreamingBinner([SpikeInput("a", 3), SpikeInput("b", 1)], WIDTH, start=0.0, patience=0.03)
    binner.push_spikes("a", np.array([0.001]), np.array([0]), until=0.021)
    assert binner.ready(0.021) == []
    binner.push_spikes("a", np.array([0.002]), np.array([1]), until=0.031)
    (first,) = binner.ready(0.0401)
    np.testing.assert_array_equal(first.observations["a"], [1, 1, 0])
    assert binner.waited_for == {"a": 1, "b": 0}
    assert len(binner.log) == 1  # that b has never been heard of


@pytest.mark.parametrize("late", list(LatePolicy))
def test_a_late_feature_stands_in_for_a_missing_one_if_carried(late):
    times, values = field_signal(seconds=0.1)
    binner = StreamingBinner([FieldInput("field", 3, RATE)], WIDTH, start=5.0, late=late)
    binner.push_samples("field", values[:15], times[:15])
    bins = binner.ready(5.04)  # the samples of bins 1 to 3 are not there
    binner.push_samples("field", values[15:42], times[15:42])
    bins += binner.ready(5.05)
    live = stacked(bins, "field")
    assert np.isnan(live[1:4]).all()
    counts = binner.log.counts("field")
    if late is LatePolicy.CARRY:
        np.testing.assert_allclose(live[4], values[30:40].mean(axis=0), rtol=1e-6)
        assert (counts[EventKind.CARRIED], counts[EventKind.DROPPED]) == (1, 1)
    else:
        assert np.isnan(live[4]).all()
        assert EventKind.CARRIED not in counts
        assert counts[EventKind.DROPPED] == 1
    binner.push_samples("field", values[42:70], times[42:70])
    back = binner.ready(5.07)
    np.testing.assert_allclose(stacked(back, "field")[-1], values[60:70].mean(axis=0), rtol=1e-6)


# Faults ---------------------------------------------------------------------------------------------------------


def test_chunks_out_of_order_and_repeated_change_nothing():
    times, values = field_signal(seconds=1.0)
    _, plain = run_field(times, values, power=POWER)
    binner = StreamingBinner([FieldInput("field", 3, RATE, POWER)], WIDTH, start=5.0, patience=0.1)
    bins = []
    for a in range(0, 1000, 40):
        for first, last in ((a + 20, a + 40), (a, a + 20), (a, a + 25)):
            binner.push_samples("field", values[first:last], times[first:last])
        bins += binner.ready(float(times[a + 39]) + 0.5 / RATE)
        binner.push_samples("field", values[a : a + 5], times[a : a + 5])
    bins += binner.ready(6.2)
    np.testing.assert_allclose(stacked(bins[:100], "field"), stacked(plain[:100], "field"), rtol=1e-6)
    counts = binner.log.counts("field")
    assert counts[EventKind.OUT_OF_ORDER] >= 25
    assert counts[EventKind.DUPLICATE] >= 50


def test_repeated_spikes_are_counted_once_and_simultaneous_ones_all():
    binner = StreamingBinner([SpikeInput("spikes", 2)], WIDTH, start=0.0, patience=0.02)
    twice = np.array([0.001, 0.001, 0.004]), np.array([0, 0, 1])  # threshold crossings come as counts per sample
    binner.push_spikes("spikes", *twice)
    binner.push_spikes("spikes", *twice)
    binner.push_spikes("spikes", np.array([0.003]), np.array([1]), until=0.2)
    bins = binner.ready(0.05)
    binner.push_spikes("spikes", *twice)
    bins += binner.ready(0.1)
    assert stacked(bins, "spikes").sum(axis=0).tolist() == [2, 2]
    assert binner.log.counts("spikes")[EventKind.DUPLICATE] == 2
    assert binner.log.counts("spikes")[EventKind.OUT_OF_ORDER] == 1


def test_disorder_that_has_ended_is_told_too():
    """Ninety chunks in disorder within a second: an event at the first, and one with the others when it is over."""
    binner, told = StreamingBinner([SpikeInput("spikes", 1)], WIDTH, start=0.0, patience=0.02), []
    for k in range(250):
        begin = 0.01 * k
        pair = (begin + 0.006, begin + 0.002) if 50 <= k < 140 else (begin + 0.002, begin + 0.006)
        binner.push_spikes("spikes", np.array(pair), np.array([0, 0]), until=begin + 0.01)
        binner.ready(begin + 0.01)
        told.append(binner.log.counts("spikes").get(EventKind.OUT_OF_ORDER, 0))
    assert told[49] == 0
    assert told[50] == told[140] == 1
    assert told[-1] == 2
    words = [event.detail for event in binner.log if event.kind is EventKind.OUT_OF_ORDER]
    assert sum(int(text.split()[0]) for text in words) == 90


def test_silent_spikes_are_zeros_until_they_are_missing_and_their_return_is_told():
    binner = StreamingBinner([SpikeInput("spikes", 1, silence=0.5)], WIDTH, start=0.0)
    binner.push_spikes("spikes", np.array([0.005]), np.array([0]))
    bins = binner.ready(2.0)
    missing = [b.index for b in bins if b.observations["spikes"] is None]
    assert missing == list(range(50, 200))
    binner.push_spikes("spikes", np.array([2.005]), np.array([0]))
    (back,) = binner.ready(2.01)
    assert back.observations["spikes"] is not None
    assert [e.kind for e in binner.log] == [EventKind.MISSING, EventKind.RETURNED]
    assert [e.kind for e in back.events] == [EventKind.RETURNED]


def spikes_with_a_jump(jump, at=100):
    """One spike per bin of 10 ms; from a bin on, the source's clock is off."""
    times = 0.005 + WIDTH * np.arange(300)
    return times, times + jump * (np.arange(300) >= at)


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_a_source_whose_clock_jumps_is_moved_back(jump):
    times, sent = spikes_with_a_jump(jump)
    binner = StreamingBinner([SpikeInput("spikes", 1)], WIDTH, start=0.0)
    bins = []
    for time, own in zip(times, sent, strict=True):
        binner.push_spikes("spikes", np.array([own]), np.array([0]))
        bins += binner.ready(time + 0.004)
    bins += binner.ready(3.0)
    counts = stacked(bins, "spikes")
    assert len(bins) == 300
    assert counts.sum() == 300
    assert np.count_nonzero(counts) >= 298  # the present is known to a bin only
    assert binner.log.counts("spikes")[EventKind.CLOCK_JUMP] == 1


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_a_field_whose_clock_jumps_loses_nothing(jump):
    times, values = field_signal(seconds=2.0)
    _, plain = run_field(times, values, power=POWER)
    sent = times + jump * (np.arange(len(times)) >= 1000)
    binner = StreamingBinner([FieldInput("field", 3, RATE, POWER)], WIDTH, start=5.0)
    bins = []
    for a in range(0, 2000, 25):  # the jump falls on the edge of a chunk, or inside one
        chunk = slice(max(a - 10, 0), a + 15) if a else slice(0, 15)
        binner.push_samples("field", values[chunk], sent[chunk])
        bins += binner.ready(float(times[chunk][-1]) + 0.5 / RATE)
    np.testing.assert_allclose(stacked(bins, "field"), stacked(plain[: len(bins)], "field"), rtol=1e-5)
    assert len(bins) > 190
    assert binner.log.counts("field")[EventKind.CLOCK_JUMP] >= 1


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_when_the_present_jumps_the_bins_go_on_from_there(jump):
    _, sent = spikes_with_a_jump(jump)
    binner = StreamingBinner([SpikeInput("spikes", 1)], WIDTH, start=0.0)
    bins = []
    for own in sent:
        binner.push_spikes("spikes", np.array([own]), np.array([0]))
        bins += binner.ready(own + 0.006)
    assert 297 <= len(bins) <= 303
    assert [b.index for b in bins] == list(range(len(bins)))
    assert abs(bins[-1].time - sent[-1]) <= 2 * WIDTH
    assert np.nansum(stacked(bins, "spikes")) >= 297  # the source seems to jump first, and is moved
    assert binner.log.counts("")[EventKind.CLOCK_JUMP] == 1


def test_bad_data_are_left_out_and_told():
    binner = StreamingBinner([SpikeInput("spikes", 2), FieldInput("field", 2, RATE)], WIDTH, start=0.0)
    times = np.array([0.001, 0.0012, np.nan, 0.002, 0.003, 0.0035])
    binner.push_spikes("spikes", times, np.array([0, 0, 1, 2, -1, 0]), until=np.inf)
    binner.push_spikes("spikes", np.zeros((2, 2)), np.zeros(4, int))
    values = np.ones((10, 2))
    values[3, 1] = -np.inf
    binner.push_samples("field", values, np.arange(10) / RATE)
    binner.push_samples("field", np.ones((10, 3)), 0.01 + np.arange(10) / RATE)
    binner.push_samples("field", np.ones((10, 2)), np.full(10, np.nan))
    binner.push_samples("field", np.ones((0, 2)), np.zeros(0))
    (first,) = binner.ready(0.01)
    np.testing.assert_array_equal(first.observations["spikes"], [3, 0])
    np.testing.assert_array_equal(first.observations["field"], [1, np.nan])
    assert binner.log.counts("spikes") == {EventKind.BAD_INPUT: 2}
    assert binner.log.counts("field") == {EventKind.NOT_FINITE: 2, EventKind.BAD_INPUT: 1}
    with pytest.raises(InputError, match="unknown modality 'spike': did you mean 'spikes'"):
        binner.push_spikes("spike", np.zeros(0), np.zeros(0, int))
    with pytest.raises(InputError, match="'field' takes samples only"):
        binner.push_spikes("field", np.zeros(0), np.zeros(0, int))


def test_memory_is_bounded():
    """However long it runs, a binner keeps a few seconds."""
    binner = StreamingBinner([SpikeInput("spikes", 2), FieldInput("field", 1, RATE)], WIDTH, start=0.0)
    sizes = []
    for second in range(30):
        times = second + np.arange(1000) / RATE
        binner.push_spikes("spikes", times, np.arange(1000) % 2)
        binner.push_samples("field", np.where(times[:, None] % 3 < 1, np.nan, 1.0), times)
        binner.push_spikes("spikes", times[:3], np.zeros(3, int))
        binner.ready(float(second + 1))
        field = binner._fields["field"]
        kept = [binner._spikes["spikes"]._past, field._past, field._windows, field._waiting]
        sizes.append(sum(map(len, kept)))
    assert max(sizes[5:]) <= max(sizes[:5])


def test_the_first_data_set_the_first_bin():
    binner = StreamingBinner([SpikeInput("spikes", 1)], WIDTH)
    assert binner.ready(1.0) == []
    binner.push_spikes("spikes", np.array([7.123]), np.array([0]), until=7.2)
    bins = binner.ready(7.2)
    assert bins[0].time == pytest.approx(7.14)


@pytest.mark.parametrize(
    ("inputs", "options", "message"),
    [
        ([], {}, "needs inputs of different names, got none"),
        ([SpikeInput("a", 1), SpikeInput("a", 2)], {}, "needs inputs of different names, got a, a"),
        ([SpikeInput("a", 1)], {"patience": -1.0}, "patience >= 0"),
        ([FieldInput("a", 1, 100.0, width=0.025)], {}, "must be a multiple of the bins' 0.01 s"),
    ],
)
def test_a_binner_that_cannot_work_is_refused(inputs, options, message):
    with pytest.raises(InputError, match=message):
        StreamingBinner(inputs, WIDTH, **options)


def test_a_source_that_cannot_be_is_refused():
    with pytest.raises(InputError, match="units >= 1"):
        SpikeInput("a", 0)
    with pytest.raises(InputError, match="rate > 0"):
        FieldInput("a", 1, 0.0)
    with pytest.raises(InputError, match="band 20-60 Hz needs a sampling rate above 120 Hz, 'a' has 100 Hz"):
        FieldInput("a", 1, 100.0, POWER)


@pytest.mark.parametrize("labels", [None, ("a", "b", "c")])
def test_spikes_of_units_that_nobody_knows_are_no_silence(labels):
    """Where most are of such units, the bins that they lie in are missing; one more unit costs nothing."""
    binner = StreamingBinner([SpikeInput("spikes", 3, labels=labels or ())], 0.01, start=0.0)
    strangers = {3: [9, 9, 9], 4: [1, 9, 9], 5: [0, 1, 2, 9], 6: [9]}
    found = {}
    for k in range(10):
        units = np.array(strangers.get(k, [0, 1, 2]))
        binner.push_spikes(
            "spikes", 0.01 * k + 0.002 * np.arange(len(units)) + 0.001, units, until=0.01 * (k + 1), labels=labels
        )
        found |= {one.index: one.observations["spikes"] for one in binner.ready(0.01 * (k + 1))}
    assert [k for k in range(9) if found[k] is None] == [3, 4, 6]
    assert found[5].tolist() == [1, 1, 1]
    assert found[7].tolist() == [1, 1, 1]
    assert binner.log.counts("spikes")[EventKind.BAD_INPUT] == 4
