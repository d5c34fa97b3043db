"""What time it is, told by all streams and the wall clock: a bad stamp moves nothing, a clock that differs is told."""

from dataclasses import replace

import numpy as np
import pytest
from oracles.session import World

from neurodyn.errors import InputError
from neurodyn.realtime import EventKind, FieldInput, SpikeInput, StreamingBinner
from neurodyn.realtime.clock import LiveClock
from neurodyn.realtime.inputs import as_spikes
from neurodyn.realtime.stamps import StampPolicy
from neurodyn.realtime.streams import Chunk, ChunkKind

STEP = 0.01


def chunk(name, time, n=2):
    return Chunk(name, time - STEP / n * np.arange(n)[::-1], np.ones((n, 1)))


def bent(one, seconds, whole=False):
    times = one.times.copy()
    times[slice(None) if whole else -1] += seconds
    return replace(one, times=times)


class Rig:
    """Two streams in simulated time; ``change(name, seconds, chunk)`` is what becomes of a chunk."""

    def __init__(self, change=lambda name, seconds, one: one, names=("spikes", "field"), **policy):
        self.world, self.change, self.names = World(), change, names
        self.clock = LiveClock(wall=self.world, policy=StampPolicy(**policy))
        self.begin, self.got, self.errors = self.world.now, {name: [] for name in names}, []

    def run(self, seconds):
        """Chunks of 10 ms that come as soon as they are whole; how far the present was from the truth."""
        for k in range(1, round(seconds / STEP)):
            self.world.now = self.begin + STEP * k
            sent = [self.change(name, STEP * k, chunk(name, 50.0 + STEP * k)) for name in self.names]
            for one in self.clock.note([one for one in sent if one is not None]):
                self.got[one.name] += one.times.tolist()
            self.errors.append(self.clock.now() - (50.0 + STEP * k))
        self.news = self.clock.pop_events()
        return np.array(self.errors)


@pytest.mark.parametrize("away", [0.5, 20.0, 25.0, 29.0, 40.0, 3600.0])
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("names", [("spikes", "field"), ("field",)])
def test_one_stamp_in_the_future_moves_nothing(away, whole, names):
    def change(name, seconds, one):
        return bent(one, away, whole) if name == "field" and abs(seconds - 5.0) < STEP / 2 else one

    rig = Rig(change, names)
    errors = rig.run(10.0)
    if away > rig.clock._policy.ahead_alone or len(names) > 1:
        np.testing.assert_allclose(np.delete(errors, 499), 0, atol=1e-9)
        assert abs(errors[499]) <= STEP / 2 + 1e-9  # alone, it tells the time by the sample before
        (news,) = rig.news
        assert (news.kind, news.name) == (EventKind.BAD_STAMP, "field")
        assert f"{away:+.3f} s from the present" in news.detail
        assert len(rig.got["field"]) == 2 * 999 - (2 if whole else 1)
    else:  # a lone stream may be played faster than it was recorded: it is believed, and forgotten soon
        np.testing.assert_allclose(errors[560:], 0, atol=1e-9)
    assert max(rig.got["field"]) < 61


def test_a_first_stamp_in_the_future_is_forgotten():
    rig = Rig(lambda name, seconds, one: bent(one, 25.0) if seconds < 1.5 * STEP and name == "spikes" else one)
    np.testing.assert_allclose(rig.run(3.0)[60:], 0, atol=1e-9)


def test_a_pause_of_all_streams_is_believed_when_several_chunks_agree():
    """Recorded time jumps by ten seconds, as in a replay of a recording with a pause: nothing is lost."""
    rig = Rig(lambda name, seconds, one: bent(one, 10.0, True) if seconds > 2.0 else one)
    errors = rig.run(4.0)
    np.testing.assert_allclose(errors[:200], 0, atol=1e-9)
    np.testing.assert_allclose(errors[240:], 10.0, atol=1e-9)
    assert len(rig.got["field"]) == len(rig.got["spikes"]) == 2 * 399
    assert EventKind.CLOCK_JUMP in {news.kind for news in rig.news}


@pytest.mark.parametrize("away", [-5.0, -1.0, 1.0, 5.0, 20.0])
def test_a_clock_that_is_off_by_a_constant_is_told_by_name_and_size(away):
    rig = Rig(lambda name, seconds, one: bent(one, away, True) if name == "field" and seconds > 2.0 else one)
    errors = rig.run(8.0)
    np.testing.assert_allclose(errors, 0, atol=1e-9)
    (news,) = [news for news in rig.news if news.kind is EventKind.CLOCK_OFFSET]
    assert news.name == "field"
    side = "ahead of" if away > 0 else "behind"
    assert f"{abs(away):.3f} s {side}" in news.detail
    assert len(rig.got["field"]) == 2 * 799  # its data keep their stamps


@pytest.mark.parametrize("away", [-5.0, 5.0, 20.0, -100.0, 100.0])
def test_and_is_moved_if_asked(away):
    rig = Rig(
        lambda name, seconds, one: bent(one, away, True) if name == "field" and seconds > 2.0 else one, align=True
    )
    np.testing.assert_allclose(rig.run(9.0), 0, atol=1e-9)
    np.testing.assert_allclose(rig.got["field"][-100:], rig.got["spikes"][-100:], atol=0.012)


def test_an_aligned_clock_is_followed_as_it_drifts():
    """By one in a thousand: 40 ms in 40 s."""
    drift = 1e-3

    def change(name, seconds, one):
        return bent(one, 5.0 + drift * seconds, True) if name == "field" and seconds > 1.0 else one

    rig = Rig(change, align=True)
    rig.run(40.0)
    away = np.array(rig.got["field"][-100:]) - np.array(rig.got["spikes"][-100:])
    assert np.abs(away).max() < 0.012  # a chunk
    assert np.ptp(away) < 2e-3


PATIENCE = 0.01


def drifting(drift, **policy):
    """A field whose clock leaves that of the spikes by so many seconds a second, from nothing at all."""
    bend = lambda name, seconds, one: bent(one, drift * seconds, True) if name == "field" else one  # noqa: E731
    return Rig(bend, **vars(StampPolicy.within(PATIENCE, **policy)))


@pytest.mark.parametrize(("drift", "late"), [(1e-3, "spikes"), (-1e-3, "field")])
def test_a_clock_that_drifts_is_told_before_it_has_cost_a_second(drift, late):
    rig = drifting(drift)
    rig.run(14.0)  # of which the first ten do not reach the patience
    assert [(news.kind, news.name) for news in rig.news] == [(EventKind.CLOCK_OFFSET, late)]
    assert "0.01" in rig.news[0].detail
    rig.run(26.0)  # told again as it grows by half, not every second
    assert 1 <= len(rig.news) <= 4


@pytest.mark.parametrize("drift", [1e-3, -1e-3, 3e-4, -3e-4])
def test_an_aligned_clock_that_drifts_from_nothing_loses_no_bin(drift):
    """At the end of four minutes, and for all but a moment when the lag has just been found, bins have their data."""
    rig, late = drifting(drift, align=True), []
    note = rig.clock.note

    def noted(chunks):
        believed, now = note(chunks), rig.clock.now()
        late.extend(now - one.times[-1] > PATIENCE + STEP for one in believed)
        return believed

    rig.clock.note = noted
    rig.run(240.0)
    assert not any(late[-20_000:])
    assert np.mean(late) < 0.01
    away = np.array(rig.got["field"][-100:]) - np.array(rig.got["spikes"][-100:])
    assert np.abs(away).max() < PATIENCE + STEP
    assert {news.kind for news in rig.news} == {EventKind.CLOCK_JUMP}


def test_a_drift_within_the_patience_is_not_told():
    rig = drifting(1e-4)
    rig.run(60.0)
    assert rig.news == []


def test_a_stream_of_another_origin_is_moved_as_before():
    rig = Rig(lambda name, seconds, one: bent(one, 3600.0, True) if name == "field" and seconds > 2.0 else one)
    np.testing.assert_allclose(rig.run(5.0), 0, atol=1e-9)
    assert [(news.kind, news.name) for news in rig.news] == [(EventKind.CLOCK_JUMP, "field")]
    np.testing.assert_allclose(rig.got["field"], rig.got["spikes"], atol=1e-9)


def test_a_policy_that_cannot_be_is_refused():
    with pytest.raises(InputError, match="ahead <= ahead_alone"):
        StampPolicy(ahead=2.0)


def played(ahead, steps, *, counts=False, chunk=STEP, patience=2 * STEP):
    """Counts of each bin of 10 ms with 5 spikes, sent with stamps that are so far ahead; what is told of the clock."""
    world = World()
    clock, origin = LiveClock(wall=world), world.now
    binner = StreamingBinner([SpikeInput("spikes", 1), FieldInput("field", 1, 200.0)], STEP, start=0.0)
    binner.patience, found = patience, {}
    for k in range(1, round(steps * STEP / chunk)):
        world.now = origin + chunk * k
        stop, n = chunk * k, round(5 * chunk / STEP)
        wrong = ahead(stop)
        times = stop - chunk + chunk * (np.arange(n) + 0.5) / n + wrong
        if counts:
            spikes = Chunk("spikes", times, np.ones((n, 1)))
        else:
            spikes = Chunk("spikes", times, np.zeros(n, np.int64), ChunkKind.SPIKES, until=stop + float(np.max(wrong)))
        ticks = stop - chunk + 0.005 * np.arange(round(chunk / 0.005))
        chunks = clock.note([spikes, Chunk("field", ticks, np.ones((len(ticks), 1)))])
        binner.tell_time(clock.now())
        for one in chunks:
            if one.name == "field":
                binner.push_samples("field", one.values, one.times)
                continue
            one = one if one.kind is ChunkKind.SPIKES else as_spikes(one)
            binner.push_spikes("spikes", one.times, one.values, until=one.until, unrecorded=one.unrecorded)
        for one in binner.ready(clock.now()):
            values = one.observations["spikes"]
            found[one.index] = None if values is None else float(values[0])
    return found, clock.pop_events(), list(binner.log)


def test_a_leap_that_nothing_confirms_is_missing_and_not_silent():
    found, *_ = played(lambda stop: 5.0 if 1.95 < stop < 2.15 else 0.0, 400, chunk=0.1, patience=0.15)
    assert set(found.values()) == {5.0, None}
    missing = [index for index, count in found.items() if count is None]
    assert 15 <= len(missing) <= 45
    assert set(missing) <= set(range(185, 235))


@pytest.mark.parametrize("counts", [False, True])
@pytest.mark.parametrize("lost", [1, 2])
def test_what_is_left_out_before_a_chunk_that_is_right_in_part_is_missing_and_not_silent(lost, counts):
    """Chunks of 100 ms: some wholly 5 s ahead, which nothing confirms, then one of which only the last stamp is."""

    def ahead(stop):
        if 1.95 < stop < 1.95 + 0.1 * lost:
            return np.full(50, 5.0)
        return np.where((np.arange(50) == 49) & (1.95 + 0.1 * lost < stop < 2.05 + 0.1 * lost), 5.0, 0.0)

    found, news, _ = played(ahead, 400, counts=counts, chunk=0.1, patience=0.15)
    assert {(one.kind, one.name) for one in news} == {(EventKind.BAD_STAMP, "spikes")}
    right = np.full(400, 5.0)  # spikes of each bin that were sent with their own time
    right[190 : 190 + 10 * lost], right[199 + 10 * lost] = 0.0, 4.0
    for index, count in found.items():
        # A bin that lacks a chunk is missing, and no other is, but for those on the edges of what was left out.
        near = 185 <= index < 195 + 10 * lost
        assert count is None if right[index] == 0.0 else count == right[index] or (near and count is None), index


class TestAStreamWhoseClockIsAhead:
    """By half a second and more, which is told once and believed."""

    @pytest.mark.parametrize("away", [0.3, 0.6, 5.0])
    def test_what_it_sends_late_is_not_thrown_away(self, away):
        """Half a second of it held up on the way."""

        def change(name, seconds, one):
            if name == "field" and 6.0 < seconds <= 6.5:
                held.append(bent(one, away, True))
                return None
            return bent(one, away, True) if name == "field" else one

        held: list = []
        rig = Rig(change)
        note = rig.clock.note

        def with_what_was_held(chunks):
            late = held[:] if rig.world.now - rig.begin > 6.5 else []
            del held[: len(late)]
            return note([*late, *chunks])

        rig.clock.note = with_what_was_held
        rig.run(9.0)
        assert len(rig.got["field"]) == 2 * 899

    def test_it_is_heard_when_it_is_right_again_and_nobody_contradicts_it(self):
        """The other stream ends first."""

        def change(name, seconds, one):
            if name == "spikes":
                return one if seconds < 5.0 else None
            return bent(one, 5.0, True) if 2.0 < seconds < 6.0 else one

        rig = Rig(change)
        rig.run(20.0)
        assert len(rig.news) < 8
        late = np.array(rig.got["field"][-200:])
        np.testing.assert_allclose(np.diff(late), 0.005, atol=1e-9)
        assert late[-1] == pytest.approx(69.99, abs=0.02)

    def test_one_that_falls_behind_is_not_called_right(self):
        def change(name, seconds, one):
            away = 0.0 if name == "spikes" or seconds < 2.0 else 5.0 if seconds < 6.0 else -10.0
            return bent(one, away, True)

        rig = Rig(change)
        rig.run(14.0)
        details = [one.detail for one in rig.news]
        assert not any("again" in detail for detail in details)
        assert any("10.0" in detail and "behind" in detail for detail in details)


class TestAClockThatLeapsAhead:
    """The clock of the spikes is five seconds ahead for two; the field's is right. Bins of 10 ms, 5 spikes in each."""

    BEGIN, END, AHEAD = 2.0, 4.0, 5.0

    @pytest.fixture(scope="class", params=["spikes", "counts per sample"])
    @staticmethod
    def bins(request):
        cls = TestAClockThatLeapsAhead
        leap = lambda stop: cls.AHEAD if cls.BEGIN < stop - STEP / 2 < cls.END else 0.0  # noqa: E731
        return played(leap, 1200, counts=request.param != "spikes")

    def test_bins_of_which_it_says_nothing_are_missing_and_not_silent(self, bins):
        found, *_ = bins
        assert set(found.values()) == {5.0, None}
        missing = [index for index, count in found.items() if count is None]
        assert missing[0] == round(self.BEGIN / STEP)
        assert missing == list(range(missing[0], missing[-1] + 1))

    def test_it_counts_again_when_it_is_right_again(self, bins):
        """What it had sent for a later time is forgotten, and is not counted with what comes then."""
        found, *_ = bins
        last = max(index for index, count in found.items() if count is None)
        assert round(self.END / STEP) <= last < round(self.END / STEP) + 20
        assert len(found) > 1190

    def test_it_is_told(self, bins):
        _, news, log = bins
        assert [(one.kind, one.name) for one in news] == [(EventKind.CLOCK_OFFSET, "spikes")] * 2
        assert "5.0" in news[0].detail
        assert "ahead of" in news[0].detail
        assert news[1].detail == "the stream's clock agrees with the other streams again"
        assert "from before the clock was set back" in next(e.detail for e in log if e.kind is EventKind.DROPPED)


def test_two_senders_of_one_stream_that_catch_up_one_after_the_other_lose_nothing():
    """Each sends a second at once: the first one's data are later than the second's, and not of the future."""
    binner = StreamingBinner([SpikeInput("spikes", 2)], STEP, start=0.0, patience=1.0)
    binner.tell_time(0.0)
    binner.push_spikes("spikes", np.array([0.0]), np.array([0]))
    binner.ready(0.0)
    times = np.arange(100) * STEP + 0.005
    binner.tell_time(1.0)
    for unit in (0, 1):
        for time in times:
            binner.push_spikes("spikes", np.array([time]), np.array([unit]))
    bins = binner.ready(2.0)
    assert [b.observations["spikes"].tolist() for b in bins[1:99]] == [[1.0, 1.0]] * 98


def test_a_pause_of_all_streams_is_missing_and_not_silent():
    """Both leap by ten seconds: the present goes with them, and nobody knows what the units did in between."""

    def change(name, seconds, one):
        leaps = bent(one, 10.0, True) if seconds > 2.0 else one
        return replace(leaps, kind=ChunkKind.SPIKES, values=np.zeros(len(one.times), np.int64), until=None)

    rig, holes = Rig(change, names=("spikes", "more")), []
    note = rig.clock.note
    rig.clock.note = lambda chunks: [holes.append((one.name, one.unrecorded)) or one for one in note(chunks)]
    rig.run(4.0)
    told = [(name, stretch) for name, stretches in holes for stretch in stretches]
    assert [name for name, _ in told] == ["spikes", "more"]
    for _, (unit, start, stop) in told:
        assert unit == -1
        assert start == pytest.approx(52.0, abs=2 * STEP)
        assert stop == pytest.approx(62.0, abs=2 * STEP)
