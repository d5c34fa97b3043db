"""What stalls, comes in disorder or is stamped unevenly moves no spike into a bin it does not belong to."""

from itertools import pairwise

import numpy as np
import pytest

from neurodyn.binning import SignalMean, count_spikes
from neurodyn.realtime import EventKind, FieldInput, LatePolicy, SpikeInput, StreamingBinner
from neurodyn.realtime.field_buffer import FieldBuffer

WIDTH, UNITS = 0.010, 16


def stalled(late, seconds=4.0, begin=1.0, end=3.0):
    """Chunks of 10 ms, those of two seconds held up and sent one after the other; bins, true counts and the binner."""
    rng = np.random.default_rng(0)
    binner = StreamingBinner([SpikeInput("spikes", UNITS)], WIDTH, start=0.0, patience=0.01, late=late)
    bins, held, counts = [], [], []
    for k in range(1, round(seconds / WIDTH)):
        n = rng.poisson(UNITS * 30 * WIDTH)
        times, units = np.sort(rng.uniform(WIDTH * (k - 1), WIDTH * k, n)), rng.integers(0, UNITS, n)
        counts.append(np.bincount(units, minlength=UNITS))
        held.append((times, units, WIDTH * k))
        if not begin < WIDTH * k < end:
            for old in held:
                binner.push_spikes("spikes", old[0], old[1], until=old[2])
            held = []
        bins += binner.ready(WIDTH * k + 1e-4)
    return binner, bins, np.array(counts)


@pytest.mark.parametrize("late", list(LatePolicy))
def test_a_stall_does_not_become_a_burst(late):
    """The bins of a stall are missing, and at most one other has spikes that are not its own: those of one bin."""
    binner, bins, counts = stalled(late)
    got = [one.observations["spikes"] for one in bins]
    missing = np.array([values is None for values in got])
    assert missing[102:298].all()
    assert not missing[:99].any()
    assert not missing[302:].any()
    other = [k for k, values in enumerate(got) if values is not None and not np.array_equal(values, counts[k])]
    assert len(other) <= 2  # one that was handed out in the middle, and the one that has its spikes
    assert max(values.sum() for values in got if values is not None) <= 2 * counts.sum(axis=1).max()
    dropped = [event for event in binner.log if event.kind is EventKind.DROPPED]
    told = sum(int(event.detail.split()[0]) for event in dropped)
    kept = sum(values.sum() for values in got if values is not None)
    assert told + kept == counts[: len(got)].sum()  # each spike is in a bin, or in an event


def test_of_late_spikes_those_of_the_newest_bin_are_carried_and_no_more():
    """A source that does not say how far it has sent: its silence was counted as zeros."""
    binner = StreamingBinner([SpikeInput("spikes", 2)], WIDTH, start=0.0)
    binner.push_spikes("spikes", np.array([0.001]), np.array([0]))
    binner.ready(0.095)
    late = np.concatenate([np.full(7, 0.045), np.full(3, 0.082), [0.091]])
    binner.push_spikes("spikes", late, np.ones(len(late), int))
    (bin_9,) = binner.ready(0.100)
    assert bin_9.observations["spikes"].tolist() == [0, 3 + 1]
    carried, dropped = (
        next(e for e in binner.log if e.kind is kind) for kind in (EventKind.CARRIED, EventKind.DROPPED)
    )
    assert carried.detail.startswith("3 spikes")
    assert dropped.detail.startswith("7 spikes of 1 bins")


def test_what_is_late_for_long_is_dropped():
    binner = StreamingBinner([SpikeInput("spikes", 1)], WIDTH, start=0.0)
    binner.push_spikes("spikes", np.array([0.001]), np.array([0]))
    binner.ready(0.505)
    binner.push_spikes("spikes", np.full(5, 0.2), np.zeros(5, int))
    (one,) = binner.ready(0.51)
    assert one.observations["spikes"].tolist() == [0]


def test_a_bin_that_is_not_finished_is_missing_if_late_spikes_are_dropped():
    for late, expected in ((LatePolicy.DROP, None), (LatePolicy.CARRY, [1.0])):
        binner = StreamingBinner([SpikeInput("spikes", 1)], WIDTH, start=0.0, late=late)
        binner.push_spikes("spikes", np.array([0.001]), np.array([0]), until=0.005)
        (one,) = binner.ready(0.010)
        values = one.observations["spikes"]
        assert (values if values is None else values.tolist()) == expected


# Fields -----------------------------------------------------------------------------------------------------------

RATE, EVERY = 250.0, 5
WINDOW = WIDTH * EVERY


def play(times, values, arrivals, *, patience=0.04, spikes=False, rate=RATE):
    """Push chunks (slices) at their arrival, ask for bins every 2 ms; features by window, and the binner."""
    inputs = [FieldInput("field", values.shape[1], rate, width=WINDOW)]
    binner = StreamingBinner([*inputs, *([SpikeInput("s", 1)] if spikes else [])], WIDTH, start=0.0, patience=patience)
    order = np.argsort([when for when, _ in arrivals], kind="stable")
    found, waiting = {}, [arrivals[place] for place in order.tolist()]
    for tick in range(1, round(1000 * waiting[-1][0] / 2) + 60):
        now = 0.002 * tick
        while waiting and waiting[0][0] <= now:
            chunk = waiting.pop(0)[1]
            binner.push_samples("field", values[chunk], times[chunk])
        if spikes:
            binner.push_spikes("s", np.zeros(0), np.zeros(0, int), until=now)
        for one in binner.ready(now):
            if one.observations["field"] is not None:
                found[one.index] = one.observations["field"]
    return binner, found


def expected_windows(true, values, count):
    """Mean of the samples whose true tick lies in a window, by the number of the bin that ends it."""
    numbers = np.floor(true / WINDOW + 1e-6).astype(int)
    means = {n: values[numbers == n].mean(axis=0) for n in range(count) if (numbers == n).any()}
    return {EVERY * n + EVERY - 1: mean for n, mean in means.items()}


def clock_and_values(seconds, seed=1):
    rng = np.random.default_rng(seed)
    true = np.arange(round(seconds * RATE)) / RATE
    return rng, true, rng.normal(size=(len(true), 2))


@pytest.mark.parametrize("spikes", [False, True])
def test_chunks_in_disorder_lose_nothing_within_patience(spikes):
    """Delays from 0 to 30 ms, patience 40 ms: every window is seen, with the values of data in order."""
    rng, true, values = clock_and_values(4.0)
    chunks = [slice(a, a + 2) for a in range(0, len(true), 2)]
    arrivals = [(true[chunk][-1] + 1 / RATE + rng.uniform(0, 0.03), chunk) for chunk in chunks]
    binner, found = play(true, values, arrivals, spikes=spikes)
    expected = expected_windows(true, values, 79)
    assert binner.log.counts("field")[EventKind.OUT_OF_ORDER] > 100
    assert expected.keys() <= found.keys()
    for number, feature in expected.items():
        np.testing.assert_allclose(feature, found[number], rtol=1e-6, atol=1e-6)
    assert EventKind.GAP not in binner.log.counts("field")


@pytest.mark.parametrize("jitter", [0.0, 0.05, 0.1, 0.2, 0.3, 0.5])
def test_jitter_costs_no_window(jitter):
    """Stamps early or late by normal deviates of so many periods: all but the first windows are seen, once, in time."""
    rng, true, values = clock_and_values(20.0)
    stamps = np.sort(true + rng.normal(0, jitter / RATE, len(true)))
    edges = [int(e) for e in np.searchsorted(true, np.arange(0, 20.01, 0.01) - 1e-9)]
    arrivals = [(0.01 * (k + 1), slice(a, b)) for k, (a, b) in enumerate(pairwise(edges)) if b > a]
    binner, found = play(stamps, values, arrivals, patience=0.01)
    expected = expected_windows(true, values, 399)
    assert found.keys() <= expected.keys() | {1999}
    assert len(found) >= 0.99 * len(expected)
    # The values are those of the true ticks once a line has been drawn through a second of stamps.
    later = [number for number in expected.keys() & found.keys() if number > 100]
    equal = [np.allclose(found[number], expected[number], atol=1e-5) for number in later]
    assert np.mean(equal) > (0.95 if jitter > 0.2 else 0.99)
    assert (binner.log.counts("field").get(EventKind.JITTER, 0) == 1) == (jitter > 0.05)


@pytest.mark.parametrize(("seed", "jitter"), [(39, 0.3), (7, 0.5), (0, 0.8)])
def test_no_two_samples_come_of_one_tick(seed, jitter, monkeypatch):
    """Chunks of a few samples, whose stamps jitter: with each of these seeds two of them came of one tick before."""
    taken = []
    wait = FieldBuffer._wait
    monkeypatch.setattr(FieldBuffer, "_wait", lambda self, fresh: (taken.append(fresh.numbers), wait(self, fresh)))
    rng = np.random.default_rng(seed)
    true = np.arange(round(15 * RATE)) / RATE
    stamps = np.sort(true + rng.normal(0, jitter / RATE, len(true)))
    binner = StreamingBinner([FieldInput("field", 1, RATE, width=WINDOW)], WIDTH, start=0.0, patience=WIDTH)
    edges = [int(e) for e in np.searchsorted(true, np.arange(0, 15.01, 0.016) - 1e-9)]
    for k, (a, b) in enumerate(pairwise(edges)):
        if b > a:
            binner.push_samples("field", np.ones((b - a, 1)), stamps[a:b])
        binner.ready(0.016 * (k + 1))
    numbers = np.concatenate(taken)
    assert len(numbers) == len(np.unique(numbers))


class Failing(SignalMean):
    """A feature of somebody's own that fails on what it has not thought of."""

    def of_mean(self, mean):
        if (mean > 50).any():
            raise ValueError("never thought of that")
        return mean


def test_a_feature_that_fails_costs_its_own_bins_alone():
    values = np.zeros((1000, 2))
    values[400:405] = 1000.0
    binner = StreamingBinner(
        [FieldInput("field", 2, RATE, feature=Failing(), width=WINDOW), SpikeInput("s", 1)], WIDTH, start=0.0
    )
    found, counts = {}, {}
    for k in range(200):
        now = 0.02 * (k + 1)
        binner.push_samples("field", values[5 * k : 5 * k + 5], (5 * k + np.arange(5)) / RATE)
        binner.push_spikes("s", np.array([now - 0.005]), np.zeros(1, int), until=now)
        for one in binner.ready(now):
            counts[one.index] = float(one.observations["s"][0])
            if one.observations["field"] is not None:
                found[one.index] = one.observations["field"]
    failed = [number for number in range(EVERY - 1, 390, EVERY) if number not in found]
    assert failed == [164]  # the window of 1.6 to 1.65 s
    assert all(np.abs(one).max() == 0 for one in found.values())
    assert [number for number in range(390) if counts[number] != number % 2] == []  # a spike in every other bin
    assert binner.log.counts("field")[EventKind.BAD_INPUT] == 1


def test_samples_stamped_by_packet_are_counted():
    """Ten samples that all carry the time at which their packet was sent."""
    _, true, values = clock_and_values(10.0)
    stamps = np.repeat(true[9::10], 10)
    arrivals = [(true[a + 9] + 0.002, slice(a, a + 10)) for a in range(0, len(true), 10)]
    _, found = play(stamps, values, arrivals, patience=0.06)
    assert len(found) >= 0.98 * 199


def sent_when_due(rate, seconds, kept, one_by_one, seed=2):
    """Stamps and arrivals of samples of which those that are kept are sent by a program that is now and then held up.

    It looks every few milliseconds and has one sample to send or thirty. As a chunk: as liblsl stamps what has no
    stamps, the last one now, the others a period apart before it. One by one: each with the time at which it is sent.
    """
    rng, stamps, arrivals, now, sent = np.random.default_rng(seed), np.empty(len(kept)), [], 0.0, 0
    while sent < len(kept):
        now += rng.exponential(0.002) + (0.03 if rng.random() < 0.02 else 0.0)
        due = int(np.searchsorted(kept, int(now * rate) + 1))
        if one_by_one:
            stamps[sent:due] = now + 2e-5 * np.arange(due - sent)
            now = stamps[due - 1] if due > sent else now
            arrivals += [(stamps[k] + 3e-4, slice(k, k + 1)) for k in range(sent, due)]
        elif due > sent:
            stamps[sent:due] = now + (kept[sent:due] - kept[due - 1]) / rate
            arrivals.append((now + 3e-4, slice(sent, due)))
        sent = due
    return stamps, arrivals


def read_every(seconds, arrivals):
    """What has arrived when a reader looks, as one chunk."""
    looks = {}
    for when, part in arrivals:
        looks.setdefault(int(np.floor(when / seconds)) + 1, []).append(part)
    return [(seconds * k, slice(parts[0].start, parts[-1].stop)) for k, parts in looks.items()]


@pytest.mark.parametrize("every", [None, 0.001, 0.005])
@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize("rate", [250.0, 1000.0])
def test_samples_stamped_when_they_are_sent_lose_nothing(rate, one_by_one, every):
    """Chunks as they come, or what has come when somebody looks."""
    seconds = 12.0
    true = np.arange(round(seconds * rate)) / rate
    values = np.random.default_rng(2).normal(size=(len(true), 2))
    stamps, arrivals = sent_when_due(rate, seconds, np.arange(len(true)), one_by_one)
    arrivals = arrivals if every is None else read_every(every, arrivals)
    binner, found = play(stamps, values, arrivals, patience=0.06, rate=rate)
    late = [e for e in binner.log if e.kind is EventKind.GAP and 1.0 < e.time < seconds]
    assert late == []
    numbers = [number for number in expected_windows(true, values, 239) if number > 100]
    assert [number for number in numbers if number not in found] == []
    # A clock that is up to 4 ms late; each window begins where the one before it ended, but where the clock moves.
    edges = [edges_of(found[number], number, values, rate, latest=round(max(0.004 * rate, 2))) for number in numbers]
    assert all(edges)
    assert np.mean([after[0] == before[1] for before, after in pairwise(edges)]) > 0.8


def edges_of(feature, number, values, rate, latest):
    """First sample of which a window is the mean, and that after its last, at most so many after the true ones."""
    first, last = np.ceil(np.array([number + 1 - EVERY, number + 1]) * WIDTH * rate - 1e-6).astype(int)
    places = [(a, b) for a in range(first - latest, first + 1) for b in range(last - latest, last + 1)]
    return next((one for one in places if np.allclose(values[slice(*one)].mean(axis=0), feature, atol=1e-5)), None)


@pytest.mark.parametrize("lost", [5, 500])
def test_a_gap_of_samples_stamped_when_they_are_sent_is_a_whole_number_of_them(lost):
    """A sample that comes late may have been held up, or follow a gap: those after it tell."""
    true = np.arange(3000) / RATE
    values = np.random.default_rng(2).normal(size=(len(true), 2))
    kept = np.flatnonzero((np.arange(3000) < 1500) | (np.arange(3000) >= 1500 + lost))
    stamps, arrivals = sent_when_due(RATE, 12.0, kept, True)
    binner, found = play(stamps, values[kept], arrivals, patience=0.06)
    gaps = [e for e in binner.log if e.kind is EventKind.GAP and 1.0 < e.time < 12.0]
    # The sample before the gap may have been held up itself: it lies in the gap then, which is told in two parts.
    assert len(gaps) <= 2
    assert sum(int(gap.detail.split()[0]) for gap in gaps) == lost
    clocks = [expected_windows(true[kept] + shift / RATE, values[kept], 239) for shift in (0, 0.999, 1.999)]
    after = [n for n in clocks[0] if n > (1500 + lost) / RATE / WIDTH + EVERY]
    assert all(any(np.allclose(found[n], expected[n], atol=1e-5) for expected in clocks) for n in after)


def test_a_late_sample_that_comes_again_is_known_while_nobody_knows_why_it_is_late():
    _, _, values = clock_and_values(8.0)
    stamps, arrivals = sent_when_due(RATE, 8.0, np.arange(1000), True)
    binner = StreamingBinner([FieldInput("field", 2, RATE, width=WINDOW)], WIDTH, start=0.0, patience=0.06)
    for _, part in arrivals[:1000]:
        binner.push_samples("field", values[part], stamps[part])
    alone, stamp = np.ones((1, 2)), stamps[999:1000] + 20 / RATE
    for _ in range(2):
        binner.push_samples("field", alone, stamp)
    assert binner.log.counts("field")[EventKind.DUPLICATE] == 1


def test_a_late_sample_after_which_nothing_comes_is_in_its_window():
    """Nobody will ever tell whether it was held up: a bin that cannot wait any longer takes it where its stamp is."""
    _, _, values = clock_and_values(8.0)
    stamps, arrivals = sent_when_due(RATE, 8.0, np.arange(1000), True)
    stamps[-1] += 1.0
    arrivals[-1] = (arrivals[-1][0] + 1.0, arrivals[-1][1])
    *_, last = sent = play(stamps, values, arrivals, patience=0.06)
    binner = sent[0]
    gap = [e for e in binner.log if e.kind is EventKind.GAP][-1]
    assert abs(int(gap.detail.split()[0]) - 250) <= 2
    assert min(last) < 100


def test_a_gap_in_uneven_samples_is_a_whole_number_of_them():
    """Two whole seconds lost: what comes after is in the windows it belongs to."""
    rng, true, values = clock_and_values(12.0)
    kept = (true < 4) | (true >= 6)
    true, values = true[kept], values[kept]
    stamps = np.sort(true + rng.normal(0, 0.2 / RATE, len(true)))
    arrivals = [(true[a : a + 5][-1] + 0.004, slice(a, a + 5)) for a in range(0, len(true), 5)]
    binner, found = play(stamps, values, arrivals, patience=0.03)
    # Before the stamps are known to be uneven a long step is taken for the gap that it would be in an even stream.
    gaps = [e for e in binner.log if e.kind is EventKind.GAP and e.time > 1.0]
    assert [gap.detail.split(" before")[0] for gap in gaps] == ["500 samples"]
    expected = expected_windows(true, values, 239)
    good = [np.allclose(found[n], f, atol=1e-5) for n, f in expected.items() if n in found]
    assert len(good) >= 195
    assert np.mean(good) > 0.97
    assert not found.keys() & set(range(EVERY * 81, EVERY * 119))


def test_samples_that_come_again_are_known_by_stamp_and_bytes():
    """A sample at the same tick with other values is no repeat; a resent chunk is."""
    _, true, values = clock_and_values(2.0)
    binner = StreamingBinner([FieldInput("field", 2, RATE)], WIDTH, start=0.0, patience=0.05)
    binner.push_samples("field", values[:20], true[:20])
    binner.push_samples("field", values[10:20], true[10:20])
    assert binner.log.counts("field") == {EventKind.DUPLICATE: 1}
    binner.push_samples("field", values[30:31], true[19:20])
    assert binner.log.counts("field") == {EventKind.DUPLICATE: 1, EventKind.DROPPED: 1}


def probes(seconds, chunk, seed=0):
    """Spikes of two probes of 100 units at 10,000 spikes/s each, and the chunks of both in turn, as their ends."""
    rng = np.random.default_rng(seed)
    times = np.sort(rng.uniform(0.0, seconds, round(20_000 * seconds)))
    units = rng.integers(0, 200, len(times))
    ends = chunk * np.arange(1, round(seconds / chunk) + 1)
    edges = np.searchsorted(times, [0.0, *ends])
    parts = []
    for end, (a, b) in zip(ends.tolist(), pairwise(edges.tolist()), strict=True):
        first = units[a:b] < 100
        parts.append((end, [(times[a:b][mine], units[a:b][mine]) for mine in (first, ~first)]))
    return times, units, parts


@pytest.mark.parametrize("behind", [0, 1, 7])
def test_two_senders_of_spikes_that_interleave_make_the_bins_of_one_file(behind):
    """The second probe's chunks of 2 ms come so many chunks late; a spike of it at the time of another counts too.

    Bins wait from the first disorder on: those before it are handed out without what is late.
    """
    times, units, parts = probes(1.0, 0.002)
    _, first = parts[100]
    shared = first[0][0][:1]
    first[1] = (np.concatenate([shared, first[1][0]]), np.concatenate([[150], first[1][1]]))
    times, units = np.append(times, shared), np.append(units, 150)
    edges = WIDTH * np.arange(98)
    expected = count_spikes([np.sort(times[units == u]) for u in range(200)], edges[:-1], edges[1:])
    binner = StreamingBinner([SpikeInput("spikes", 200)], WIDTH, start=0.0, patience=0.02)
    found = []
    for k, (end, (own, _)) in enumerate(parts):
        binner.push_spikes("spikes", *own, until=end)
        if k >= behind:
            late_end, (_, late) = parts[k - behind]
            binner.push_spikes("spikes", *late, until=late_end)
        found += binner.ready(end)
    np.testing.assert_array_equal(np.stack([one.observations["spikes"] for one in found[5:97]]), expected[5:])
    # Disorder is told once a second, however many chunks are in it.
    assert binner.log.counts("spikes")[EventKind.OUT_OF_ORDER] == 1


def test_two_senders_of_spikes_that_interleave_are_cheap():
    """Disorder between two probes is no reason to compare each spike with all of the last two seconds."""
    import time

    _, _, parts = probes(2.0, 0.01)
    binner = StreamingBinner([SpikeInput("spikes", 200)], WIDTH, start=0.0, patience=0.02)
    begin, counts = time.process_time(), 0.0
    for end, chunks in parts:
        for chunk in chunks:
            binner.push_spikes("spikes", *chunk)
        counts += sum(float(one.observations["spikes"].sum()) for one in binner.ready(end))
    spent = time.process_time() - begin
    assert counts >= 20_000 * 1.96
    assert spent < 0.3 * 2.0  # of a core, with the types checked; `neurodyn bench streams` asks for 0.15 without
