"""The loop of a session, with every fault put into it; in simulated time, so that minutes take no time."""

import threading
from dataclasses import replace
from time import monotonic, sleep
from types import SimpleNamespace

import numpy as np
import pytest
from oracles.session import (
    FIELD_RATE,
    ORIGIN,
    Session,
    World,
    at,
    between,
    largest_difference,
    recording,
    shifted,
    spread,
)

from neurodyn.binning import Field, Modality, SignalMean, Spikes, to_bins
from neurodyn.errors import InputError
from neurodyn.realtime import EventKind, EventLog, RealtimeDecoder
from neurodyn.realtime.clock import LiveClock, ReplayClock
from neurodyn.realtime.inputs import as_spikes, binner_inputs, learn_rates, modalities_of
from neurodyn.realtime.service import ServiceOptions
from neurodyn.realtime.streams import Chunk, ChunkKind
from neurodyn.realtime.streams.file import FileReplay, ReplayOptions
from neurodyn.realtime.writers import SinkWriter, SnapshotFile

SHORT = 12.0
"""Seconds of most recordings here; faults come between the first and the second."""
END = (10.5, 11.9)
"""Seconds by which a session has to have recovered."""
SAME = 1e-9
"""Standard errors between two sessions that have seen the same: gains from the decoder's table are rounded."""
RECOVERED = 0.5
"""Standard errors by which the target may still differ: the decoder's own memory reaches back five seconds."""


@pytest.fixture(scope="module")
def modalities(decoder):
    return decoder.fitted_.modalities


@pytest.fixture(scope="module")
def live(decoder):
    return RealtimeDecoder(decoder.fitted_)


@pytest.fixture(scope="module")
def whole(live, modalities):
    """The recording, and the estimates of a session in which nothing happened."""
    played = recording(SHORT)
    return played, Session(live, modalities, played).run()


def test_a_session_decodes_what_the_offline_bins_give(whole, live, modalities):
    played, estimates = whole
    batch = to_bins(
        played, width=0.01, modalities=[Spikes(), Field("field", "lfp", bands=None, width=0.05)], target=(),
        interval=(0.0, SHORT),
    )  # fmt: skip
    live.reset()
    by_time = {round(1e3 * estimate.time): estimate for estimate in estimates}
    compared = 0
    for row, time in enumerate(batch.time):
        given = {
            m.name: np.where(batch.observed[m.name][row], batch.observations[m.name][row], np.nan) for m in modalities
        }
        expected = live.step(given, float(time))
        if (got := by_time.get(round(1e3 * time))) is not None:
            assert got.seen == expected.seen
            np.testing.assert_allclose(got.target, expected.target, atol=1e-5)
            compared += 1
    assert compared >= 100 * SHORT - 10
    assert len(by_time) == len(estimates)
    np.testing.assert_allclose(np.diff([estimate.time for estimate in estimates]), 0.01)


def test_nothing_happened_in_it(live, modalities):
    session = Session(live, modalities, recording(2.0))
    session.run()
    assert list(session.log) == []
    assert session.monitor.status().missed == 0


class TestAModalityThatVanishes:
    """For two minutes, and comes back; the other one goes on."""

    GONE, BACK, STOP = 2.0, 122.0, 138.0

    @pytest.fixture(scope="class")
    @staticmethod
    def runs(live, modalities):
        played, cls = recording(138.0, seed=1), TestAModalityThatVanishes
        lost = between("spikes", cls.GONE, cls.BACK, lambda _: None)
        session = Session(live, modalities, played, fault=lost, chunk=0.05)
        # The other run begins late: 18 s before they are compared are several times the decoder's memory.
        return session, session.run(), Session(live, modalities, played, start=100.0, chunk=0.05).run()

    def test_no_bin_is_missing_and_what_is_there_is_seen(self, runs):
        _, estimates, _ = runs
        np.testing.assert_allclose(np.diff([estimate.time for estimate in estimates]), 0.01)
        assert {e.seen for e in estimates if 1.0 < e.time < self.GONE} == {("spikes",), ("spikes", "field")}
        assert {e.seen for e in estimates if self.GONE + 1.5 < e.time < self.BACK - 0.5} == {(), ("field",)}

    def test_the_estimate_recovers_to_that_of_an_uninterrupted_run(self, runs):
        _, estimates, whole = runs
        steps = [largest_difference(estimates, whole, at, at + 3.5) for at in (118.0, 126.0, 130.0, 134.0)]
        assert steps[0] > 1.0
        assert steps == sorted(steps, reverse=True)
        assert steps[-1] < 0.2 * steps[0]
        assert steps[-1] < RECOVERED

    def test_the_log_says_when(self, runs):
        session, *_ = runs
        (gone,), (back,) = session.events(EventKind.MISSING, "spikes"), session.events(EventKind.RETURNED, "spikes")
        assert gone.time == pytest.approx(self.GONE, abs=0.2)  # the source says how far it has sent
        assert back.time == pytest.approx(self.BACK, abs=0.2)


def test_when_all_vanish_the_estimate_is_the_prediction_and_gets_less_certain(whole, live, modalities):
    played, estimates = whole

    def fault(chunks, t):
        return [] if 1.0 < t <= 4.0 else chunks

    got = Session(live, modalities, played, fault=fault).run()
    dark = [estimate for estimate in got if estimate.seen == () and 2.5 < estimate.time < 4.0]
    assert len(dark) == pytest.approx(150, abs=3)
    widths = [spread(estimate) for estimate in dark]
    assert np.all(np.diff(widths) >= -1e-9)
    assert widths[0] > spread(at(got, 0.9))
    last = Session(live, modalities, played, fault=fault, stop=3.0).run()[-1].time
    assert 2.5 < last < 3.5
    for estimate in [estimate for estimate in dark if estimate.time > last + 0.005]:  # by hand, from there on
        expected = live.step({}, estimate.time)
        np.testing.assert_allclose(estimate.target, expected.target, atol=1e-9)
        np.testing.assert_allclose(estimate.upper, expected.upper, atol=1e-9)
    # Three seconds without anything take longer to forget than a fault of one stream, and the interval that the
    # difference is measured by is narrower where nothing is lost than one fitted without regard to losses.
    assert largest_difference(got, estimates, END[0] + 0.5, END[1]) < RECOVERED


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_are_missing(whole, live, modalities, bad):
    played, estimates = whole
    spoil = between("field", 1.0, 2.0, lambda c: replace(c, values=np.where(np.arange(3) == 1, bad, c.values)))
    got = Session(live, modalities, played, fault=spoil).run()
    assert all(np.isfinite(estimate.target).all() for estimate in got)
    assert largest_difference(got, estimates, 1.1, 2.0) > RECOVERED
    assert largest_difference(got, estimates, *END) < RECOVERED


@pytest.mark.parametrize("channels", [0, 2, 4])
def test_a_wrong_number_of_channels_is_told_and_left_out(whole, live, modalities, channels):
    played, estimates = whole
    spoil = between("field", 1.0, 2.0, lambda c: replace(c, values=np.ones((len(c.times), channels))))
    session = Session(live, modalities, played, fault=spoil)
    got = session.run()
    told = session.events(EventKind.BAD_INPUT, "field")
    assert told
    assert all(1.0 <= event.time <= 2.1 for event in told)
    assert {e.seen for e in got if 1.2 < e.time < 1.9} == {("spikes",)}
    assert largest_difference(got, estimates, *END) < RECOVERED


def burst(chunk):
    """Two hundred spikes of the first unit in 10 ms, which no neuron fires."""
    times = np.sort(np.concatenate([chunk.times, np.linspace(chunk.until - 0.009, chunk.until - 0.001, 200)]))
    units = np.zeros(len(times), chunk.values.dtype)
    return replace(chunk, times=times, values=units)


def test_values_far_beyond_are_told_once_for_bins_in_a_row_and_again_later(live, modalities):
    """In three bins from 1 s on, and in one at 2 s: what the estimates flag is what the log tells, and when."""
    parts = [between("spikes", start, stop, burst) for start, stop in ((1.005, 1.035), (2.005, 2.015))]
    session = Session(
        live, modalities, recording(3.0), fault=lambda chunks, now: parts[1](parts[0](chunks, now), now), chunk=0.01
    )
    estimates = session.run()
    flagged = [estimate.time for estimate in estimates if estimate.unusual]
    runs = np.split(flagged, np.flatnonzero(np.diff(flagged) > 0.015) + 1)
    assert [len(run) for run in runs] == [3, 1]
    events = session.events(EventKind.UNUSUAL)
    assert [event.modality for event in events] == ["spikes", "spikes"]
    for event, run in zip(events, runs, strict=True):
        assert f"from the bin of {run[0]:g} s on" in event.detail
        assert event.time == pytest.approx(run[0], abs=0.02)
    assert {event.kind for event in session.log} == {EventKind.UNUSUAL}


@pytest.mark.parametrize(
    "intruder",
    [
        Chunk("nobody", np.array([1.0]), np.ones((1, 3))),
        Chunk("spikes", np.array([1.0]), np.array([99]), ChunkKind.SPIKES),
        Chunk("spikes", np.array([1.0]), np.array([-1]), ChunkKind.SPIKES),
        Chunk("field", np.array([1.0]), np.array([1]), ChunkKind.SPIKES),
        Chunk("field", np.array([np.nan]), np.ones((1, 3))),
        Chunk("spikes", np.array([np.inf]), np.array([0]), ChunkKind.SPIKES, until=np.nan),
    ],
)
def test_what_nobody_asked_for_is_told_and_changes_nothing(whole, live, modalities, intruder):
    played, estimates = whole
    session = Session(live, modalities, played, fault=lambda c, t: [*c, intruder] if 1.0 < t <= 1.02 else c)
    got = session.run()
    assert len(session.log) >= 1
    assert largest_difference(got, estimates, 0.1, 7.9) < SAME


def test_a_source_that_breaks_is_opened_again(whole, live, modalities):
    played, estimates = whole
    broken = {"reads": 0}

    def fault(chunks, played):
        if 1.0 < played <= 2.0:
            broken["reads"] += 1
            raise OSError("cable pulled")
        return chunks

    session = Session(live, modalities, played, fault=fault, options=ServiceOptions(reopen_after=0.1))
    got = session.run()
    assert 2 <= broken["reads"] <= 11  # not asked in every turn
    lost, found = session.events(EventKind.SOURCE_LOST), session.events(EventKind.SOURCE_RESTARTED)
    assert len(lost) == len(found) >= 1
    assert "cable pulled" in lost[0].detail
    assert lost[0].time == pytest.approx(1.0, abs=0.1)
    assert largest_difference(got, estimates, *END) < RECOVERED
    np.testing.assert_allclose(np.diff([estimate.time for estimate in got]), 0.01)


@pytest.mark.parametrize(
    "rubbish", [None, "rubbish", SimpleNamespace(name="field", times=np.array(["now"]), until=None)]
)
def test_a_source_that_gives_rubbish_does_not_end_the_session(whole, live, modalities, rubbish):
    played, estimates = whole
    session = Session(live, modalities, played, fault=lambda c, t: [*c, rubbish] if 1.0 < t <= 1.02 else c)
    got = session.run()
    assert session.events(EventKind.BAD_INPUT)
    assert largest_difference(got, estimates, *END) < RECOVERED


class Stalled:
    """A sink that takes one estimate and then sleeps until it is woken."""

    def __init__(self):
        self.got, self.wake, self.closed = [], threading.Event(), False

    def write(self, item):
        self.got.append(item)
        assert self.wake.wait(30.0)

    def close(self):
        self.closed = True


def test_a_sink_that_stalls_holds_nothing_up(whole, live, modalities):
    played, estimates = whole
    log, sink = EventLog(), Stalled()
    writer = SinkWriter(sink, "slow", log, size=50)
    session = Session(live, modalities, played, sinks=[writer], log=log)
    got = session.run()  # ends, though the sink sleeps
    assert len(sink.got) == 1
    assert largest_difference(got, estimates, 0.1, 7.9) < SAME
    assert writer.dropped == len(got) - 51
    assert session.monitor.status().dropped == writer.dropped
    (event,) = session.events(EventKind.SINK_STALLED)
    assert "slow" in event.detail
    sink.wake.set()
    writer.close(10.0)
    assert [e.time for e in sink.got[1:]] == [e.time for e in got[-50:]]  # the oldest went
    assert sink.closed
    (resumed,) = session.events(EventKind.SINK_RESUMED)
    assert resumed.time == got[-1].time  # when it had caught up
    assert resumed.time - event.time > 5.0
    assert f"after {resumed.time - event.time:.3f} s, {writer.dropped} were dropped" in resumed.detail


def test_a_sink_that_fails_is_told_once_and_goes_on_after(live, modalities):
    class Failing(Stalled):
        def write(self, item):
            self.got.append(item)
            if 1.0 < item.time < 2.0:
                raise OSError("disk full")

    log, sink = EventLog(), Failing()
    sink.wake.set()
    session = Session(live, modalities, recording(3.0), sinks=[SinkWriter(sink, "disk", log)], log=log)
    got = session.run()
    assert len(sink.got) == len(got)
    assert ["disk full" in event.detail for event in session.events(EventKind.SINK_STALLED)] == [True]


def test_every_time_that_a_sink_goes_on_is_told(live, modalities):
    class Failing(Stalled):
        never_blocks = True

        def write(self, item):
            self.got.append(item)
            if 1.0 < since(item) < 1.5 or 2.0 < since(item) < 2.1:
                raise OSError("disk full")

    def since(item):
        return item.time - sink.got[0].time

    log, sink = EventLog(), Failing()
    session = Session(live, modalities, recording(3.0), sinks=[SinkWriter(sink, "disk", log)], log=log)
    got = session.run()
    failed, resumed = session.events(EventKind.SINK_STALLED), session.events(EventKind.SINK_RESUMED)
    assert len(failed) == len(resumed) == 2
    for begin, end, stop in zip(failed, resumed, (1.5, 2.1), strict=True):
        lost = [one for one in got if begin.time <= one.time < end.time]
        assert end.time - got[0].time == pytest.approx(stop, abs=0.011)
        assert f"{len(lost)} were dropped" in end.detail
    assert sum(event.kind is EventKind.RETURNED for event in log) == 0  # that is said of data


class TestWorkAhead:
    """Gains and a rehearsal come when there is nothing to read, and the loop is rehearsed when data are due."""

    SLEEP = 0.001

    def watched(self, live, modalities, options):
        """A session's preparations and its waits: simulated time, and seconds of the read that was begun then."""
        session = Session(live, modalities, recording(2.0), chunk=0.01, options=options)
        prepared, waits = [], []
        read, prepare = session.source.read, live.prepare

        def note_read(timeout):
            waits.append((session.world.now, timeout))
            return read(timeout)

        def note_prepare():
            prepared.append(session.world.now)
            return prepare()

        live.prepare, session.source.read = note_prepare, note_read
        try:
            return session.run(), np.array(prepared), waits
        finally:
            del live.prepare

    def test_an_estimate_is_sent_before_the_next_is_prepared(self, live, modalities):
        estimates, prepared, waits = self.watched(live, modalities, ServiceOptions(tolerance=0.03))
        assert len(prepared) == pytest.approx(len(estimates), abs=2)
        sent = ORIGIN + np.array([estimate.time for estimate in estimates])
        since = prepared[:, None] - sent
        first, *others = np.where(since < -1e-9, np.inf, since).min(axis=1)
        np.testing.assert_allclose(others, self.SLEEP, atol=1e-9)
        assert self.SLEEP <= first + 1e-9 <= 0.01  # there is more to read when the present is first agreed on
        assert all(timeout > 0 for _, timeout in waits)

    def test_a_step_is_rehearsed_before_a_bin_ends_and_once(self, live, modalities):
        rehearse = 0.002
        options = ServiceOptions(tolerance=0.03, rehearse=rehearse)
        estimates, prepared, waits = self.watched(live, modalities, options)
        plain, *_ = self.watched(live, modalities, ServiceOptions(tolerance=0.03))
        assert largest_difference(estimates, plain, 0.1, 1.9) < SAME
        assert all(timeout > 0 for _, timeout in waits)
        for end in ORIGIN + np.arange(0.2, 1.8, 0.01):
            before = (prepared > end - rehearse - self.SLEEP - 1e-6) & (prepared < end - 1e-6)
            assert np.sum(before) == 1


@pytest.mark.parametrize("hours", [1.0, -1.0])
@pytest.mark.parametrize("name", ["field", "spikes"])
def test_the_clock_of_a_source_jumps_by_an_hour(whole, live, modalities, hours, name):
    played, estimates = whole
    jump = between(name, 1.0, 100.0, lambda chunk: shifted(chunk, 3600.0 * hours))
    session = Session(live, modalities, played, fault=jump)
    got = session.run()
    assert session.events(EventKind.CLOCK_JUMP)
    np.testing.assert_allclose(np.diff([estimate.time for estimate in got]), 0.01)
    assert abs(len(got) - len(estimates)) < 20
    assert all(np.isfinite(estimate.target).all() for estimate in got)


@pytest.mark.parametrize("hours", [1.0, -1.0])
def test_all_clocks_jump_by_an_hour_at_once(whole, live, modalities, hours):
    played, estimates = whole

    def jump(chunks, t):
        return [shifted(chunk, 3600.0 * hours) for chunk in chunks] if t > 1.0 else chunks

    session = Session(live, modalities, played, fault=jump)
    got = session.run()
    assert session.events(EventKind.CLOCK_JUMP)
    assert all(np.isfinite(estimate.target).all() for estimate in got)
    assert abs(len(got) - len(estimates)) < 3600  # not an hour of empty bins
    after = [estimate for estimate in got[-100:] if estimate.seen]
    assert len(after) > 50  # the data are seen again


def test_the_process_stands_still_for_an_hour(whole, live, modalities):
    """The machine was asleep: time went on, and nothing came."""
    played, _ = whole
    slept = []
    session = Session(live, modalities, played)

    def sleeps(chunks, t):
        if t > 1.0 and not slept:
            slept.append(True)
            session.world.now += 3600.0
        return chunks

    session.source = type("Sleeping", (), {"read": lambda s, w: sleeps(session._replay.read(w), session._replay.played),
                                           "close": lambda s: None})()  # fmt: skip
    got = session.run()
    assert slept
    assert all(np.isfinite(estimate.target).all() for estimate in got)
    assert got[-1].target.shape == (len(live.target_names),)


def test_a_decoder_that_leaves_the_finite_numbers_goes_back(whole, live, modalities):
    played, estimates = whole
    done = []

    def poison(chunks, t):
        if t > 1.0 and not done:
            done.append(t)
            live.runner.state[:] = np.nan
        return chunks

    session = Session(live, modalities, played, fault=poison)
    got = session.run()
    assert all(np.isfinite(estimate.target).all() for estimate in got)
    (event,) = session.events(EventKind.NOT_FINITE)
    assert event.time == pytest.approx(1.0, abs=0.1)
    assert largest_difference(got, estimates, *END) < RECOVERED


def test_a_session_goes_on_from_its_snapshot(whole, live, modalities, tmp_path):
    played, estimates = whole
    log = EventLog()
    first = Session(live, modalities, played, stop=1.0, snapshots=SnapshotFile(tmp_path / "state.npz", log)).run()
    state = live.snapshot()
    session = Session(live, modalities, played, start=1.5, snapshots=SnapshotFile(tmp_path / "state.npz", log))
    got = session.run()
    (event,) = session.events(EventKind.RESTORED)
    assert event.time == pytest.approx(1.5, abs=0.1)
    # The same by hand: the state, then the bins in between of which nothing was seen, then the second session.
    expected = Session(live, modalities, played, start=1.5)
    live.restore(state)
    missing = round((got[0].time - first[-1].time) / 0.01) - 1
    assert f"{missing} bins without data" in event.detail
    for index in range(missing):
        live.step({}, first[-1].time + 0.01 * (index + 1))
    np.testing.assert_array_equal([e.target for e in got], [e.target for e in expected.run()])
    assert largest_difference(got, estimates, *END) < RECOVERED


@pytest.mark.parametrize("start", [0.0, 6.0])
def test_a_snapshot_that_is_too_far_away_is_begun_anew(whole, live, modalities, tmp_path, start):
    played, _ = whole
    log = EventLog()
    Session(live, modalities, played, start=2.0, stop=3.0, snapshots=SnapshotFile(tmp_path / "state.npz", log)).run()
    options = ServiceOptions(catch_up=2.0)
    session = Session(
        live, modalities, played, start=start, stop=start + 1, snapshots=SnapshotFile(tmp_path / "state.npz", log),
        options=options,
    )  # fmt: skip
    got = session.run()
    assert "begun anew" in session.events(EventKind.RESTORED)[0].detail
    fresh = Session(live, modalities, played, start=start, stop=start + 1).run()
    np.testing.assert_array_equal([e.target for e in got], [e.target for e in fresh])


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 rubbish", b"no file of ours"])
def test_a_damaged_snapshot_does_not_keep_a_session_from_starting(live, modalities, tmp_path, content):
    (tmp_path / "state.npz").write_bytes(content)
    session = Session(live, modalities, recording(1.0), snapshots=SnapshotFile(tmp_path / "state.npz", EventLog()))
    assert len(session.run()) > 90
    assert "snapshot" in session.events(EventKind.BAD_INPUT)[0].detail
    assert SnapshotFile(tmp_path / "state.npz", EventLog()).load() is not None  # a good one has replaced it


def test_a_snapshot_that_cannot_be_written_is_told_once(live, modalities, tmp_path):
    log = EventLog()
    snapshots = SnapshotFile(tmp_path / "no" / "folder" / "state.npz", log)
    options = ServiceOptions(snapshot_every=0.1)
    session = Session(live, modalities, recording(2.0), snapshots=snapshots, log=log, options=options)
    assert len(session.run()) > 190
    assert ["cannot write" in event.detail for event in log] == [True]


def test_a_snapshot_that_can_be_written_again_is_told(tmp_path):
    log, folder = EventLog(), tmp_path / "disk"
    snapshots = SnapshotFile(folder / "state.npz", log)
    snapshots.offer({"time": np.asarray(1.0)})
    deadline = monotonic() + 10.0
    while not len(log) and monotonic() < deadline:
        sleep(0.001)
    folder.mkdir()
    snapshots.offer({"time": np.asarray(2.0)})
    snapshots.close()
    assert [(event.time, event.kind) for event in log] == [(1.0, EventKind.SINK_STALLED), (2.0, EventKind.SINK_RESUMED)]


class TestClocks:
    """The present, told from the data."""

    def chunk(self, time, until=None):
        return Chunk("field", np.array([time]), np.ones((1, 3)), until=until)

    def test_it_goes_on_when_nothing_comes(self):
        world = World()
        clock = LiveClock(wall=world)
        assert np.isnan(clock.now())
        clock.note([self.chunk(7.0), self.chunk(6.0)])
        world.now += 3.0
        assert clock.now() == pytest.approx(10.0)

    def test_it_follows_data_that_run_faster_or_slower(self):
        world = World()
        clock, time = LiveClock(wall=world), -1.0
        for speed in (10.0, 0.1):
            for _ in range(50):
                world.now += 0.1
                time += 0.1 * speed
                clock.note([self.chunk(time)])
                assert clock.now() == pytest.approx(time)

    def test_a_jump_does_not_move_it(self):
        world = World()
        clock = LiveClock(wall=world, max_jump=30.0)
        clock.note([self.chunk(7.0)])
        clock.note([self.chunk(3607.0), self.chunk(np.nan), self.chunk(-3600.0)])
        assert clock.now() == pytest.approx(7.0)

    @pytest.mark.parametrize("speed", [0.9, 1.1])
    def test_a_clock_that_has_jumped_is_followed_from_there(self, speed):
        world = World()
        clock = LiveClock(wall=world)
        clock.note([self.chunk(7.0)])
        for step in range(100):
            world.now += 0.1
            clock.note([self.chunk(5000.0 + 0.1 * speed * step)])
        assert clock.now() == pytest.approx(7.1 + 9.9 * speed)

    def test_that_of_a_file_is_its_data(self):
        clock = ReplayClock()
        clock.note([self.chunk(7.0), self.chunk(6.0, until=8.0), self.chunk(np.nan)])
        assert clock.now() == 8.0


class TestInputs:
    """What the binner is told of a model's modalities."""

    def test_band_powers_are_known_by_their_names(self):
        channels = ("lfp 1 4-8 Hz", "lfp 1 8-12.5 Hz", "lfp 2 4-8 Hz", "lfp 2 8-12.5 Hz")
        rows = [Modality("field", "gaussian", channels, sample_every=5), Modality("spikes", "poisson", ("a", "b"))]
        field, spikes = binner_inputs(rows, 0.01, {"field": 1000.0})
        assert (field.channels, field.rate, field.width) == (2, 1000.0, pytest.approx(0.05))
        assert field.feature.bands == ((4.0, 8.0), (8.0, 12.5))
        assert (spikes.name, spikes.units) == ("spikes", 2)

    @pytest.mark.parametrize("channels", [("lfp0", "lfp1"), ("a 4-8 Hz", "b"), ("a 4-8 Hz", "b 8-12 Hz")])
    def test_other_names_are_the_signal_itself(self, channels):
        (field,) = binner_inputs([Modality("field", "gaussian", channels)], 0.01, {"field": 100.0})
        assert (field.channels, field.feature, field.width) == (2, SignalMean(), None)

    def test_a_rate_is_needed(self):
        with pytest.raises(InputError, match="--rate field=HZ"):
            binner_inputs([Modality("field", "gaussian", ("a",))], 0.01, {})

    def test_a_live_decoder_knows_its_modalities(self, live, modalities):
        assert [(m.name, m.likelihood, m.channels) for m in modalities_of(live)] == [
            (m.name, m.likelihood, m.channels) for m in modalities
        ]

    def test_the_rate_is_told_from_the_first_samples(self):
        source = FileReplay(recording(2.0), ReplayOptions(speed=np.inf))
        rates, chunks = learn_rates(source, ["field"], timeout=5.0)
        assert rates == {"field": pytest.approx(FIELD_RATE)}
        assert {chunk.name for chunk in chunks} == {"spikes", "field"}

    def test_stamps_in_groups_tell_no_rate(self):
        """Twelve samples of 256 Hz that all carry the time at which their packet came."""
        k = np.arange(48)
        chunk = Chunk("field", k // 12 * 12 / 256 + k % 12 * 1e-5, np.zeros((48, 1)))

        class Packets:
            def read(self, timeout: float) -> list[Chunk]:
                return [chunk]

            def close(self) -> None:
                pass

        with pytest.raises(InputError, match=r"stamps of 'field' are too uneven to tell its rate.*--rate field=HZ"):
            learn_rates(Packets(), ["field"], timeout=5.0)

    @pytest.mark.parametrize(
        ("name", "message"),
        [("fild", "did you mean 'field'.*--rate fild=HZ"), ("spikes", "no samples of 'spikes' in 0 s")],
    )
    def test_a_stream_that_does_not_come_is_told(self, name, message):
        with pytest.raises(InputError, match=message):
            learn_rates(FileReplay(recording(1.0), ReplayOptions(speed=np.inf)), [name], timeout=0.0)

    def test_counts_are_spikes_at_the_time_of_their_sample(self):
        counts = np.array([[0, 2.0, np.nan], [1, 0, 0]])
        got = as_spikes(Chunk("spikes", np.array([1.0, 1.001]), counts))
        assert got.kind is ChunkKind.SPIKES
        assert got.until == 1.001
        np.testing.assert_array_equal(got.times, [1.0, 1.0, 1.001])
        np.testing.assert_array_equal(got.values, [1, 1, 0])

    @pytest.mark.parametrize("low", [-3.0, -0.5, -np.inf])
    def test_counts_below_0_are_refused_and_told(self, live, modalities, low):
        """The message is lost alone: its bins have no spikes, and those around it what they had."""
        with pytest.raises(InputError, match="'spikes' holds counts, which cannot be below 0"):
            as_spikes(Chunk("spikes", np.array([1.0, 1.001]), np.array([[0, 2.0, np.nan], [1, 0, low]])))

        def counted(chunks, t):
            bad = 1.0 <= t < 1.1
            return [with_counts(chunk, low if bad else None) if chunk.name == "spikes" else chunk for chunk in chunks]

        session = Session(live, modalities, recording(2.0), fault=counted)
        got = session.run()
        (event,) = session.events(EventKind.BAD_INPUT)
        assert event.modality == "spikes"
        assert "below 0" in event.detail
        assert event.time == pytest.approx(1.0, abs=0.05)
        assert all(np.isfinite(estimate.target).all() for estimate in got)


def with_counts(chunk, low):
    """Spikes as counts per sample of a millisecond, as a rig sends threshold crossings; one of them is another."""
    times = np.unique(np.round(chunk.times, 3))
    counts = np.zeros((len(times), 4))
    np.add.at(counts, (np.searchsorted(times, np.round(chunk.times, 3)), chunk.values), 1)
    if low is not None and len(times):
        counts[0, 0] = low
    return Chunk(chunk.name, times, counts, labels=chunk.labels)
