"""Markers that come with the data: told, recorded, and done where they are commands, at their bin."""

import contextlib

import numpy as np
import pytest
from oracles.session import Session, recording

from neurodyn.errors import InputError
from neurodyn.realtime import EventKind, EventLog, RealtimeDecoder
from neurodyn.realtime.inputs import modalities_of
from neurodyn.realtime.markers import Markers
from neurodyn.realtime.recorder import SessionRecorder
from neurodyn.realtime.session_check import check_session
from neurodyn.realtime.session_file import SessionFile
from neurodyn.realtime.state_keeper import StateKeeper
from neurodyn.realtime.streams import Chunk, EndOfStream
from neurodyn.realtime.streams.file import FileReplay, ReplayOptions
from neurodyn.realtime.writers import SnapshotFile
from neurodyn.recording import Intervals, Recording, read_recording

SECONDS = 4.0


@pytest.fixture(scope="module")
def live(decoder):
    return RealtimeDecoder(decoder.fitted_)


@pytest.fixture(scope="module")
def whole(live):
    return Session(live, modalities_of(live), recording(SECONDS)).run()


def with_markers(*markers, delay=0.0):
    """A fault that adds markers, (stream, recorded seconds, text), a while after they were."""
    waiting = list(markers)

    def fault(chunks, played):
        due = [one for one in waiting if one[1] + delay <= played]
        for one in due:
            waiting.remove(one)
        return [*chunks, *(Chunk.of_markers(stream, [(time, text)]) for stream, time, text in due)]

    return fault


class Kept:
    """A listener that keeps what goes into each step."""

    def __init__(self):
        self.steps = []

    def before(self, snapshot):
        pass

    def moved(self):
        pass

    def observed(self, target):
        pass

    def stepped(self, observations, estimate):
        self.steps.append((observations, estimate.time))


def at(estimates, start, stop=np.inf):
    return np.stack([e.target for e in estimates if start < e.time <= stop])


def test_markers_are_told_and_change_nothing(live, whole):
    session = Session(live, modalities_of(live), recording(SECONDS), fault=with_markers(("trials", 1.5, "left")))
    np.testing.assert_array_equal(at(session.run(), 0), at(whole, 0))
    (told,) = session.events(EventKind.MARKER)
    assert (told.time, told.modality, told.detail) == (1.5, "trials", "left")


@pytest.mark.parametrize("delay", [0.0, 0.02])
def test_a_reset_is_done_before_the_bin_that_begins_then(live, whole, delay):
    """As a session that begins there, with the field's filters warm: the decoder alone forgets."""
    markers = Markers(live, EventLog().record, reset_on=["start of trial"])
    fault = with_markers(("trials", 2.0, "start of trial"), ("trials", 2.0, "cue"), delay=delay)
    found = Session(live, modalities_of(live), recording(SECONDS), fault=fault, markers=markers).run()
    np.testing.assert_array_equal(at(found, 0, 2.001), at(whole, 0, 2.001))
    assert not np.array_equal(at(found, 2.001, 2.1), at(whole, 2.001, 2.1))
    fresh, kept = RealtimeDecoder(live.runner.frozen), Kept()
    live.listen(kept)
    Session(live, modalities_of(live), recording(SECONDS)).run()
    live.listen(None)
    expected = [fresh.step(given, time).target for given, time in kept.steps if time > 2.001]
    np.testing.assert_array_equal(at(found, 2.001), expected)


def test_a_pause_hands_nothing_out_and_what_resumes_begins_anew(live, whole):
    fault = with_markers(("control", 1.0, "pause"), ("control", 2.0, "resume"))
    session = Session(live, modalities_of(live), recording(SECONDS), fault=fault)
    found = session.run()
    times = np.asarray([e.time for e in found])
    assert not ((times > 1.005) & (times < 2.005)).any()
    assert ((times > 2.005).sum(), (times < 1.005).sum()) == (
        sum(e.time > 2.005 for e in whole), sum(e.time < 1.005 for e in whole)
    )  # fmt: skip
    assert [event.detail for event in session.events(EventKind.CONTROL)] == ["pause", "resume"]
    first = next(e for e in found if e.time > 2.005)
    assert np.trace(first.covariance) > np.trace(whole[150].covariance)


def test_another_model_takes_over_and_the_first_comes_back(live, decoder, whole, tmp_path):
    frozen = live.runner.frozen
    louder = {n: 2 * array if n == "readout/weights" else array for n, array in frozen.arrays.items()}
    other = type(frozen).pack(frozen.settings, louder, live.runner.dtype)
    models = {"monday": live.runner, "tuesday": live.ready(other)}
    log = EventLog()
    markers = Markers(live, log.record, models=models)
    recorder = SessionRecorder(SessionFile(tmp_path / "s.h5", live), log, period=0.01)
    fault = with_markers(
        ("control", 1.0, "swap tuesday"), ("control", 2.0, "swap monday"), ("control", 2.5, "swap sunday"),
        ("control", 2.5, "sing"), ("trials", 1.5, "left"), ("trials", 2.5, "right"),
    )  # fmt: skip
    options = {"fault": fault, "markers": markers, "log": log, "recorder": recorder}
    found = Session(live, modalities_of(live), recording(SECONDS), **options).run()
    np.testing.assert_array_equal(at(found, 0, 1.005), at(whole, 0, 1.005))
    assert not np.array_equal(at(found, 1.005, 2.005), at(whole, 1.005, 2.005))
    np.testing.assert_allclose(at(found, 2.005), at(whole, 2.005), atol=1e-9)
    bad = [event.detail for event in log if event.kind is EventKind.BAD_INPUT]
    assert len(bad) == 2
    assert "did you mean" in bad[0] or "there are: monday, tuesday" in bad[0]
    assert "unknown command 'sing'" in bad[1]
    check = check_session(tmp_path / "s.h5", RealtimeDecoder(frozen))
    assert check.equal == check.bins
    assert check.others == 100
    trials = read_recording(tmp_path / "s.h5").intervals["trials"]
    assert trials.labels == ("left", "right")
    np.testing.assert_allclose(trials.starts, [1.5, 2.5])
    np.testing.assert_allclose(trials.stops, [2.5, found[-1].time])


def test_markers_never_move_the_present(live, whole):
    """A marker of next year, or one that comes late, is told and does nothing to the clock."""
    late, far = with_markers(("notes", 1.0, "now"), delay=0.5), Chunk.of_markers("notes", [(1e6, "far")])

    def fault(chunks, played):
        return [*late(chunks, played), *([far] if 2.0 < played < 2.03 else [])]

    session = Session(live, modalities_of(live), recording(SECONDS), fault=fault)
    np.testing.assert_array_equal(at(session.run(), 0), at(whole, 0))
    assert not session.events(EventKind.CLOCK_JUMP)
    assert not session.events(EventKind.BAD_STAMP)


def test_intervals_are_played_as_markers():
    table = Intervals("trials", np.asarray([1.0, 0.5]), np.asarray([1.2, 0.7]), ("right", "left"))
    played = recording(2.0)
    given = Recording("r", played.spikes, played.fields, intervals={"trials": table})
    replay = FileReplay(given, ReplayOptions(names={"trials": "cues"}, speed=np.inf))
    found = []
    with contextlib.suppress(EndOfStream):
        while True:
            found += [marker for chunk in replay.read(0.0) for marker in chunk.markers()]
    assert found == [(0.5, "left"), (1.0, "right")]


def test_a_chunk_names_texts_it_has():
    with pytest.raises(InputError, match="texts that the chunk does not have"):
        Chunk("m", np.zeros(1), np.asarray([1]), kind=Chunk.of_markers("m", []).kind, labels=("a",))
    assert Chunk.of_markers("m", []).markers() == []


@pytest.fixture
def louder(live):
    frozen = live.runner.frozen
    arrays = {name: 2 * array if name == "readout/weights" else array for name, array in frozen.arrays.items()}
    return type(frozen).pack(frozen.settings, arrays, live.runner.dtype)


def test_a_reset_right_after_a_swap_is_of_the_new_model(live, louder):
    one, fresh = RealtimeDecoder(live.runner.frozen), RealtimeDecoder(louder)
    for k in range(20):
        one.step({"spikes": np.full(4, 2.0)}, 0.01 * k)
    one.swap(one.ready(louder))
    one.reset()
    np.testing.assert_array_equal(one.step({}, 0.3).target, fresh.step({}, 0.3).target)


def test_a_session_that_was_killed_after_a_swap_starts_again_with_that_model(live, louder, tmp_path):
    path = tmp_path / "state.npz"
    swapped = RealtimeDecoder(louder)
    for k in range(20):
        last = swapped.step({"spikes": np.full(4, 2.0)}, 0.01 * (k + 1))
    swapped.save_snapshot(path)
    told = []
    for models, same in (((), False), ((live.ready(louder),), True)):
        decoder, file = RealtimeDecoder(live.runner.frozen), SnapshotFile(path, EventLog())
        settings = {"every": 5.0, "catch_up": 60.0, "models": models}
        if not same:
            with pytest.raises(InputError, match="snapshot of another model"):
                StateKeeper(decoder, file, lambda *event: told.append(event), **settings)
            continue
        keeper = StateKeeper(decoder, file, lambda *event: told.append(event), **settings)
        keeper.catch_up(last.time + 0.01)
        expected = swapped.step({}, last.time + 0.01)
        np.testing.assert_array_equal(decoder.step({}, last.time + 0.01).target, expected.target)
        keeper.close()


@pytest.mark.parametrize(
    ("markers", "kind", "words"),
    [
        ([("control", 2.0, "reset"), ("control", 1.0, "pause")], EventKind.LATE_COMMAND, "has been done already"),
        ([("control", 1e6, "pause")], EventKind.BAD_STAMP, "is not done"),
        ([("control", np.nan, "pause")], EventKind.BAD_INPUT, "has no time"),
    ],
)
def test_commands_with_wrong_times_are_told_and_not_done(live, whole, markers, kind, words):
    def fault(chunks, played):
        if 2.1 < played <= 2.12:
            return [*chunks, Chunk.of_markers("control", [(time, text) for _, time, text in markers[:1]])]
        if 2.3 < played <= 2.32:
            return [*chunks, Chunk.of_markers("control", [(time, text) for _, time, text in markers[1:]])]
        return chunks

    session = Session(live, modalities_of(live), recording(SECONDS), fault=fault)
    assert len(session.run()) == len(whole)
    assert any(words in event.detail for event in session.events(kind))
