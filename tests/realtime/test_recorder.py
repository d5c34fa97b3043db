"""A recorded session: all that came is in the file, a kill costs its last moments, and it decodes to the bit."""

import os
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
from oracles.session import FIELD_RATE, Session, between, recording

from neurodyn.binning import Field, Spikes, to_bins
from neurodyn.errors import InputError
from neurodyn.multiscale.export import freeze
from neurodyn.realtime import EventKind, EventLog, RealtimeDecoder
from neurodyn.realtime.inputs import modalities_of
from neurodyn.realtime.limits import OutputLimits
from neurodyn.realtime.recorder import SessionRecorder
from neurodyn.realtime.session_check import check_session
from neurodyn.realtime.session_file import SessionFile
from neurodyn.realtime.streams import Chunk, ChunkKind
from neurodyn.recording import read_recording
from neurodyn.recording.session import events_of, open_session, session_array

SECONDS = 4.0
UNITS = tuple(f"spikes{i}" for i in range(4))


@pytest.fixture(scope="module")
def live(decoder):
    return RealtimeDecoder(decoder.fitted_)


@pytest.fixture(scope="module")
def model(decoder, tmp_path_factory):
    path = tmp_path_factory.mktemp("recorded") / "decoder.npz"
    freeze(decoder.fitted_).save(path)
    return path


def recorded(live, path, *, log=None, during=None, **options):
    """Estimates of a session that is recorded, and its log."""
    log = EventLog() if log is None else log
    recorder = SessionRecorder(SessionFile(path, live), log, period=0.01)
    session = Session(live, modalities_of(live), recording(SECONDS), recorder=recorder, log=log, **options)
    if during is not None:
        during(session)
    return session.run(), log


@pytest.fixture(scope="module")
def whole(live, tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "session.h5"
    return path, recorded(live, path)[0]


def test_what_came_is_in_the_file(whole):
    path, estimates = whole
    played, found = recording(SECONDS), read_recording(path)
    for mine, theirs in zip(found.spikes["spikes"].times, played.spikes["spikes"].times, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-9)
    assert found.spikes["spikes"].units == played.spikes["spikes"].units
    field, lfp = found.fields["field"], played.fields["lfp"]
    assert field.channels == lfp.channels
    np.testing.assert_array_equal(field.values, lfp.values)
    np.testing.assert_allclose(field.times, lfp.times, atol=1e-9)
    np.testing.assert_array_equal(found.behaviour["decoded"].values, [e.target for e in estimates])
    np.testing.assert_array_equal(found.behaviour["decoded"].times, [e.time for e in estimates])


def test_a_recorded_session_is_a_recording_to_fit_on(whole):
    found = read_recording(whole[0])
    batch = to_bins(found, width=0.01, modalities=[Spikes(), Field("field", bands=None, width=0.05)], target="decoded")
    assert batch.n_bins > 300
    assert batch.target_names == found.behaviour["decoded"].channels


def test_it_decodes_to_the_bit(whole, live, model):
    path, estimates = whole
    for decoder in (live, RealtimeDecoder.load(model)):
        found = check_session(path, decoder)
        assert found.same, str(found)
        assert found.equal == found.bins
        assert (found.bins, found.runs) == (len(estimates), 1)
    assert "same to the bit" in str(found)


def lose_and_damage(chunks, played):
    """Every fifth read is lost, every seventh has samples that are not finite."""
    number = round(played / 0.02)
    if number % 5 == 0:
        return []
    if number % 7 == 0:
        broken = [np.where(np.arange(c.values.size).reshape(c.values.shape) % 3 == 0, np.nan, c.values)
                  if c.values.dtype.kind == "f" else c.values for c in chunks]  # fmt: skip
        return [Chunk(c.name, c.times, v, c.kind, c.until, c.labels) for c, v in zip(chunks, broken, strict=True)]
    return chunks


def test_with_faults_too(live, tmp_path):
    estimates, log = recorded(live, tmp_path / "s.h5", fault=lose_and_damage)
    assert log.counts()[EventKind.MISSING] > 3
    found = check_session(tmp_path / "s.h5", live)
    assert found.same, str(found)
    assert found.bins == len(estimates)
    with open_session(tmp_path / "s.h5") as file:
        kinds = [event["kind"] for event in events_of(session_array(file, "events", tmp_path / "s.h5"))]
    assert [event.kind.value for event in log][: len(kinds)] == kinds
    assert len(kinds) > 3


def test_a_decoder_that_healed_goes_on_from_another_state(live, tmp_path):
    def ruin(chunk):
        live.runner.state[:] = np.nan
        return chunk

    estimates, log = recorded(live, tmp_path / "s.h5", fault=between("spikes", 2.0, 2.02, ruin))
    assert log.counts()[EventKind.NOT_FINITE]
    found = check_session(tmp_path / "s.h5", live)
    assert found.runs >= 2
    assert found.others == 0
    # The bin whose numbers were not finite starts from a state that nobody wrote: it was ruined from outside.
    assert found.bins - found.equal <= 1
    assert found.bins >= len(estimates)


def test_limits_of_the_output_are_those_of_the_session(decoder, live, tmp_path):
    slow = RealtimeDecoder(decoder.fitted_, output=OutputLimits(slew=0.5, hold=True))
    recorded(slow, tmp_path / "s.h5", fault=between("", 1.0, 2.0, lambda chunk: None))
    assert check_session(tmp_path / "s.h5", live).same


def test_each_session_has_a_file_of_its_own(live, tmp_path):
    path = tmp_path / "s.h5"
    first, _ = recorded(live, path)
    before = path.read_bytes()
    second, _ = recorded(live, path, start=1.0)
    third, _ = recorded(live, path)
    assert path.read_bytes() == before
    assert sorted(one.name for one in tmp_path.iterdir()) == ["s-2.h5", "s-3.h5", "s.h5"]
    for name, estimates in (("s.h5", first), ("s-2.h5", second), ("s-3.h5", third)):
        assert check_session(tmp_path / name, live).bins == len(estimates)
    with pytest.raises(InputError, match=r"cannot write '/no/folder/s\.h5'"):
        SessionFile("/no/folder/s.h5", live)


def test_time_in_which_nothing_was_seen_is_no_silence(live, tmp_path):
    recorded(live, tmp_path / "s.h5", fault=between("spikes", 1.0, 2.0, lambda chunk: None))
    found = read_recording(tmp_path / "s.h5")
    batch = to_bins(found, width=0.01, target=())
    lost = ~batch.observed["spikes"].any(axis=1)
    inside = (batch.time > 1.06) & (batch.time < 1.97)
    assert lost[inside].all()
    assert not lost[(batch.time > 2.1) & (batch.time < 3.9)].any()
    np.testing.assert_array_equal(batch.observed["spikes"].any(axis=1), batch.observed["spikes"].all(axis=1))


def test_what_is_wrong_with_a_stream_spoils_neither_session_nor_file(live, whole, tmp_path):
    """Chunks that the session refuses: another width, no time, a unit that is none, what is not finite, no labels."""
    bad = [
        Chunk("field", np.asarray([2.0]), np.zeros((1, 4)), labels=("field0", "field1", "field2")),
        Chunk("spikes", np.asarray([np.nan, 2.0, -1.0]), np.asarray([0, 99, 1]), ChunkKind.SPIKES, labels=UNITS),
        Chunk("notes", np.asarray([2.0, 2.1]), np.asarray([[np.inf], [1.0]])),
        Chunk("others", np.asarray([2.0, 2.2]), np.asarray([3, 0]), ChunkKind.SPIKES),
        Chunk("pauses", np.asarray([2.0]), np.asarray([0]), ChunkKind.SPIKES, unrecorded=((-1, 2.0, 1.0),)),
        Chunk.of_markers("cues", [(np.nan, "none"), (np.inf, "never"), (2.0, "x" * 5000)]),
    ]

    def fault(chunks, played):
        return [*chunks, *(bad if 2.0 <= played < 2.02 else [])]

    estimates, log = recorded(live, tmp_path / "s.h5", fault=fault)
    assert len(whole[1]) - 5 <= len(estimates) <= len(whole[1])  # disorder is waited for, also at the end
    assert check_session(tmp_path / "s.h5", live).same
    found = read_recording(tmp_path / "s.h5")
    assert found.fields["field"].n_samples == read_recording(whole[0]).fields["field"].n_samples
    assert found.spikes["others"].units == ("0", "1", "2", "3")
    assert np.isnan(found.fields["notes"].values[0, 0])
    assert {len(label) for label in found.intervals["cues"].labels} == {1000}
    assert any(event.modality == "field" for event in log if event.kind is EventKind.LEFT_OUT)
    assert not [event for event in log if event.kind is EventKind.SINK_STALLED]


def test_streams_that_come_later_are_recorded_too(live, tmp_path):
    def fault(chunks, played):
        eye = Chunk("eye", np.asarray([played]), np.asarray([[1, 2]], np.int16), labels=("x", "y"))
        half = Chunk("eye", np.asarray([played]), np.asarray([[0.25, 0.5]]), labels=("x", "y"))
        return [*chunks, *([eye] if 2.0 < played < 2.5 else [half] if played >= 2.5 else [])]

    recorded(live, tmp_path / "s.h5", fault=fault)
    eye = read_recording(tmp_path / "s.h5").fields["eye"]
    assert eye.channels == ("x", "y")
    assert eye.values[0].tolist() == [1.0, 2.0]
    assert eye.values[-1].tolist() == [0.25, 0.5]


def test_another_model_is_told(live, whole, spikes_decoder, decoder, lorenz_batch, tmp_path):
    from oracles.small_decoder import fit_small

    with pytest.raises(InputError, match="other modalities or another target"):
        check_session(whole[0], RealtimeDecoder(spikes_decoder.fitted_))
    other = RealtimeDecoder(fit_small(lorenz_batch[0], epochs=1).fitted_)
    found = check_session(whole[0], other)
    assert not found.same
    assert found.others == len(whole[1])
    assert "of another model" in str(found)


def test_numbers_that_were_changed_are_found(whole, live, tmp_path):
    import shutil

    import h5py

    path = shutil.copy(whole[0], tmp_path / "s.h5")
    with h5py.File(path, "r+", libver="latest") as file:
        file["bins/target"][100, 0] += 0.01
        changed = float(file["bins/time"][100])
    found = check_session(path, live)
    assert not found.same
    assert (found.bins - found.equal, found.first) == (1, changed)
    assert f"the first that differs ends at {changed:g} s" in str(found)


def test_a_disk_that_takes_nothing_ends_the_recording_and_not_the_session(live, whole, tmp_path):
    def full(session):
        while len(session.collected.estimates) < 100:
            session.service.run_once()
        time.sleep(0.2)  # until what came is written, and the thread waits for more
        session.service._parts.recorder._file._file.close()

    estimates, log = recorded(live, tmp_path / "s.h5", during=full)
    assert len(estimates) == len(whole[1])
    told = [event.detail for event in log if event.kind is EventKind.SINK_STALLED]
    assert len(told) == 1
    assert "no longer recorded" in told[0]


def test_a_disk_that_is_nearly_full_is_left_alone(live, tmp_path, monkeypatch):
    monkeypatch.setattr("neurodyn.realtime.session_file.LEAST_FREE", 2**80)
    _, log = recorded(live, tmp_path / "s.h5")
    (told,) = [event.detail for event in log if event.kind is EventKind.SINK_STALLED]
    assert "are free on its disk" in told
    assert check_session(tmp_path / "s.h5", live).bins == 0


def test_more_than_may_wait_is_left_out_and_told(live, tmp_path, monkeypatch):
    """A disk that takes nothing for half a second: bins are lost, and the session goes on from a new state."""
    monkeypatch.setattr("neurodyn.realtime.recorder.MOST_WAITING", 100_000)
    log = EventLog()
    recorder = SessionRecorder(SessionFile(tmp_path / "s.h5", live), log, period=60.0)
    session = Session(live, modalities_of(live), recording(SECONDS), recorder=recorder, log=log)
    while len(session.collected.estimates) < 200:
        session.service.run_once()
    recorder._write()
    session.run()
    assert any("bins are not recorded" in event.detail for event in log)
    found = check_session(tmp_path / "s.h5", live)
    assert found.same, str(found)
    assert found.runs == 2
    assert found.bins < len(session.collected.estimates)


KILLED = """
import os, sys, time
sys.path.insert(0, {tests!r})
from oracles.session import Session, recording
from neurodyn.realtime import EventLog, RealtimeDecoder
from neurodyn.realtime.inputs import modalities_of
from neurodyn.realtime.recorder import SessionRecorder
from neurodyn.realtime.session_file import SessionFile
live, log = RealtimeDecoder.load({model!r}), EventLog()
file = SessionFile({path!r}, live)
session = Session(live, modalities_of(live), recording(4.0), recorder=SessionRecorder(file, log, period=0.01), log=log)
while len(session.collected.estimates) < 250:
    session.service.run_once()
    time.sleep(0.001)
time.sleep(0.2)
print(len(session.collected.estimates), flush=True)
while True:
    session.service.run_once()
    if len(session.collected.estimates) > 300:
        os.kill(os.getpid(), 9)
"""


def test_a_kill_costs_what_was_not_flushed(live, model, tmp_path, monkeypatch):
    path = tmp_path / "s.h5"
    tests = os.path.dirname(os.path.dirname(__file__))
    script = textwrap.dedent(KILLED).format(tests=tests, model=str(model), path=str(path))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == -9, done.stderr
    left = check_session(path, live)
    assert left.same, str(left)
    assert left.bins >= int(done.stdout)
    assert read_recording(path).fields["field"].n_samples > 2.3 * FIELD_RATE
    # HDF5 may wait for ever for what is damaged in such a file, so that it is read by a process that can be stopped.
    monkeypatch.setattr("neurodyn.recording.guard.SHORTEST_CHECK", 1e-3)
    monkeypatch.setattr("neurodyn.recording.guard.SLOWEST_DISK", 1e12)
    with pytest.raises(InputError, match="could not be read within"):
        read_recording(path)
