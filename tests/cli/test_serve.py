"""``neurodyn replay`` and ``neurodyn serve`` as a user runs them; a killed decoder goes on from its snapshot."""

import argparse
import json
import signal
import subprocess
import sys
import threading
import time
from dataclasses import fields, replace

import numpy as np
import pytest
from oracles.session import FIELD_RATE, Collected, World, largest_difference, recording
from oracles.streams import LIMIT, drain, joined

from neurodyn.cli import replay, serve
from neurodyn.cli.main import main
from neurodyn.cli.serve_options import ServeOptions, chosen
from neurodyn.errors import InputError
from neurodyn.multiscale.export import freeze
from neurodyn.realtime import EventKind, EventLog, LiveEstimate, RealtimeDecoder
from neurodyn.realtime.bins import LatePolicy
from neurodyn.realtime.clock import LiveClock, end_of
from neurodyn.realtime.limits import OutputLimits
from neurodyn.realtime.logs import RotatedFile
from neurodyn.realtime.monitor import Monitor
from neurodyn.realtime.service import make_service
from neurodyn.realtime.stamps import StampPolicy
from neurodyn.realtime.streams import Hello
from neurodyn.realtime.streams.file import FileReplay, ReplayOptions
from neurodyn.realtime.streams.wire import ESTIMATE, unpack
from neurodyn.realtime.streams.zmq import ZmqSink, ZmqSource
from neurodyn.realtime.writers import SinkWriter, SnapshotFile
from neurodyn.recording import Intervals, Recording, write_recording
from neurodyn.simulation import write_nwb

zmq = pytest.importorskip("zmq")

MAIN = """
import argparse, sys
from neurodyn.cli import serve
parser = argparse.ArgumentParser()
serve.add_parser(parser.add_subparsers())
arguments = parser.parse_args()
sys.exit(arguments.run(arguments))
"""
SPEED = 5.0
"""Recorded seconds per second in the test that kills a process."""


def command(*words):
    parser = argparse.ArgumentParser()
    subparsers = parser.add_subparsers()
    for module in (replay, serve):
        module.add_parser(subparsers)
    arguments = parser.parse_args([str(word) for word in words])
    return arguments.run(arguments)


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """An NWB file of five seconds."""
    return write_nwb(recording(5.0), tmp_path_factory.mktemp("serve") / "session.nwb")


@pytest.fixture(scope="module")
def model(decoder, tmp_path_factory):
    """The decoder as one file for a rig."""
    path = tmp_path_factory.mktemp("model") / "decoder.npz"
    freeze(decoder.fitted_).save(path)
    return path


@pytest.fixture
def port():
    sink = ZmqSink("tcp://127.0.0.1:*")
    port = int(sink.endpoint.rpartition(":")[2])
    sink.close()
    return port


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("options", [[], ["--stream", "lfp=field", "--start", "1", "--stop", "2"]])
def test_a_replay_sends_the_recording(session, port, options, capfd):
    source = ZmqSource(f"tcp://127.0.0.1:{port}")
    chunks, done = [], threading.Event()
    reader = threading.Thread(target=lambda: chunks.extend(drain(source, lambda _: done.is_set())))
    reader.start()
    assert command("replay", session, "--to", f"zmq://127.0.0.1:{port}", "--speed", 5, *options) == 0
    time.sleep(0.2)
    done.set()
    reader.join(LIMIT)
    source.close()
    played = recording(5.0).field()
    start = 1.0 if options else 0.0
    field = joined(chunks, "field")
    first = np.flatnonzero((played.values == field.values[0]).all(1))[0]  # a subscriber misses what was before it
    assert played.times[first] - start < 1.5
    np.testing.assert_array_equal(field.values, played.values[first : first + len(field.values)])
    np.testing.assert_allclose(np.diff(field.times), 1 / FIELD_RATE, atol=1e-9)
    assert {chunk.name for chunk in chunks} == ({"field"} if options else {"field", "spikes"})
    assert abs(field.times[-1] - time.monotonic()) < 60.0  # as if it were recorded now


@pytest.mark.parametrize("options", [[], ["--stream", "lfp=field", "--start", "1", "--stop", "2"]])
def test_a_replay_as_json_says_what_was_sent(session, port, options, capfd):
    assert command("replay", session, "--to", f"zmq://127.0.0.1:{port}", "--speed", "inf", "--json", *options) == 0
    out, err = capfd.readouterr()
    (found, end) = json.JSONDecoder().raw_decode(out)
    assert not out[end:].strip()  # one object and nothing else
    assert not err
    source = recording(5.0)
    start, stop = (1.0, 2.0) if options else (0.0, 5.0)
    field, trains = source.field(), source.spike_trains("spikes")
    times = field.times[(field.times >= start) & (field.times < stop)]
    streams = {stream["name"]: stream for stream in found["streams"]}
    assert streams["field"] == {
        "name": "field", "kind": "samples", "channels": list(field.channels), "sent": len(times)
    }  # fmt: skip
    assert ("spikes" in streams) == (not options)
    if not options:
        assert streams["spikes"]["sent"] == trains.n_spikes
        assert streams["spikes"]["channels"] == list(trains.units)
    assert found["file"] == str(session)
    assert found["finished"] is True
    assert found["played"] == found["seconds"]
    if options:
        assert (found["start"], found["seconds"]) == (1.0, 1.0)


def test_a_replay_that_is_stopped_says_how_far_it_came(session, port, capfd, monkeypatch):
    class Stops(ZmqSink):
        def write(self, item):
            if item.times.size and item.kind.value == "samples":
                raise KeyboardInterrupt
            super().write(item)

    monkeypatch.setattr("neurodyn.cli.replay.open_sink", lambda address: Stops(f"tcp://127.0.0.1:{port}"))
    with pytest.raises(KeyboardInterrupt):  # which the command line ends with
        command("replay", session, "--to", f"zmq://127.0.0.1:{port}", "--json")
    found = json.loads(capfd.readouterr().out)
    assert found["finished"] is False
    assert found["played"] < 1.0
    assert {stream["name"]: stream["sent"] for stream in found["streams"]}["field"] == 0


@pytest.mark.parametrize("saved", ["exported", "saved"])
def test_serving_a_file_writes_every_estimate(session, model, decoder, saved, tmp_path, capfd):
    if saved == "saved":
        model = tmp_path / "model"
        decoder.save(model)
    out, events, state = tmp_path / "decoded.jsonl", tmp_path / "events.jsonl", tmp_path / "state.npz"
    words = ["serve", model, "--from", f"file://{session}?speed=inf", "--to", f"file://{out}", "--log", events]
    assert command(*words, "--snapshot", state) == 0
    decoded = lines(out)
    assert len(decoded) == pytest.approx(499, abs=3)
    np.testing.assert_allclose(np.diff([line["time"] for line in decoded]), 0.01)
    assert np.isfinite([line["target"] for line in decoded]).all()
    assert ["hello" in line for line in decoded] == [True] + [False] * (len(decoded) - 1)
    hello = Hello.from_dict(decoded[0]["hello"])
    assert hello.model == bytes(np.load(state)["model"]).hex()
    assert {told.name: told.channels for told in hello.streams} == {
        row.name: row.channels for row in decoder.fitted_.modalities
    }
    assert all(low < high for line in decoded for low, high in zip(line["lower"], line["upper"], strict=True))
    assert f"neurodyn serve: {len(decoded)} bins, none missed" in capfd.readouterr().err
    assert float(np.load(state)["time"]) == pytest.approx(decoded[-1]["time"])
    assert command(*words, "--snapshot", state) == 0  # from the start of the file again: another time
    assert any(event["kind"] == EventKind.RESTORED for event in lines(events))


def test_a_recorded_session_is_checked_by_replay(session, model, spikes_decoder, tmp_path, capfd):
    path, out = tmp_path / "recorded.h5", tmp_path / "decoded.jsonl"
    words = ["serve", model, "--from", f"file://{session}?speed=inf", "--to", f"file://{out}", "--record"]
    assert command(*words, path) == 0
    capfd.readouterr()
    assert command("replay", path, "--check", model, "--json") == 0
    found = json.loads(capfd.readouterr().out)
    assert found["same"] is True
    assert found["bins"] == found["equal"] == len(lines(out))
    assert command(*words, path) == 0
    assert "is there already: the session is recorded in" in capfd.readouterr().err
    assert command("replay", tmp_path / "recorded-2.h5", "--check", model) == 0
    assert "decoded again: targets, intervals and latents are the same to the bit" in capfd.readouterr().out
    other = tmp_path / "other.npz"
    freeze(spikes_decoder.fitted_).save(other)
    with pytest.raises(InputError, match="other modalities or another target"):
        command("replay", path, "--check", other)


def test_commands_over_a_stream_change_the_model_and_begin_anew(model, port, tmp_path, capfd):
    """Trials of a recording, played as markers, reset the decoder; a command swaps to a copy of the model."""
    path, log, record = tmp_path / "session.h5", tmp_path / "events.jsonl", tmp_path / "record.h5"
    played = recording(6.0)
    trials = Intervals("trials", np.asarray([2.5, 4.0]), np.asarray([3.0, 4.5]), ("swap copy", "go"))
    write_recording(Recording("made", played.spikes, played.fields, intervals={"trials": trials}), path)
    words = ["serve", model, "--from", f"zmq://127.0.0.1:{port}", "--rate", f"field={FIELD_RATE:g}", "--log", log]
    words += ["--control", "cues", "--reset-on", "go", "--model", f"copy={model}", "--record", record]
    process = subprocess.Popen([str(word) for word in (sys.executable, "-c", MAIN, *words)])
    try:
        streams = [w for name in ("spikes=spikes", "lfp=field", "trials=cues") for w in ("--stream", name)]
        deadline = time.monotonic() + 6 * LIMIT
        while EventKind.CONTROL not in {event["kind"] for event in (lines(log) if log.exists() else [])}:
            assert time.monotonic() < deadline, "no command was done"
            assert command("replay", path, "--to", f"zmq://127.0.0.1:{port}", *streams) == 0
        process.terminate()
        assert process.wait(LIMIT) == 0
    finally:
        process.kill()
        process.wait()
    events = lines(log)
    assert {event["detail"] for event in events if event["kind"] == EventKind.MARKER} == {"swap copy", "go"}
    assert [event["detail"] for event in events if event["kind"] == EventKind.CONTROL][:2] == ["swap copy", "reset"]
    assert command("replay", record, "--check", model) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["serve", "{model}", "--from", "file://{session}", "--model", "x=nothing.npz"],
            "there is no model 'nothing.npz'",
        ),
        (["serve", "nothing.h5", "--from", "lsl://rig"], "there is no model 'nothing.h5'"),
        (
            ["serve", "{model}", "--from", "file://{session}", "--model", "decoder={model}"],
            "two models are called 'decoder'",
        ),
        (["serve", "{model}", "--from", "file://{session}", "--recalibrate"], "say with --observe which stream it is"),
        (["serve", "{session}", "--from", "lsl://rig"], "session.nwb"),
        (["serve", "{model}", "--from", "file://nothing.nwb"], "nothing.nwb"),
        (
            ["serve", "{model}", "--from", "file://{session}", "--to", "file:///no/folder/x"],
            "cannot write /no/folder/x",
        ),
        (["serve", "{model}", "--from", "file://{session}", "--log", "/no/folder/x"], "cannot write the log"),
        (["serve", "{model}", "--from", "file://{session}", "--web", "70000"], "page cannot be served on port 70000"),
        (
            ["serve", "{model}", "--from", "file://{session}", "--record", "/no/folder/x.h5"],
            "cannot write '/no/folder/x.h5'",
        ),
        (["replay", "{session}", "--check", "{model}"], "was not recorded by a session"),
        (["replay", "{session}", "--check", "nothing.npz"], "there is no model 'nothing.npz'"),
        (["replay", "{session}", "--to", "file://out.nwb"], "not to a file"),
        (["replay", "{session}", "--to", "zmq://:5555", "--start", "9", "--stop", "2"], "must start before it stops"),
        (["replay", "{session}", "--to", "zmq://:5555", "--stream", "lpf=field"], "did you mean 'lfp'"),
    ],
)
def test_wrong_input_is_said_before_anything_starts(session, model, words, message):
    with pytest.raises(InputError, match=message):
        command(*(word.format(session=session, model=model) for word in words))


def test_a_snapshot_of_another_model_is_refused_before_anything_is_written(
    session, model, spikes_decoder, tmp_path, monkeypatch
):
    """No output is begun, none is moved, no source is opened, and the snapshot is as it was."""
    state, out = tmp_path / "state.npz", tmp_path / "out"
    out.mkdir()
    other = RealtimeDecoder(spikes_decoder.fitted_)
    other.step({}, 1.0)
    other.save_snapshot(state)
    before = state.read_bytes()
    (out / "there.jsonl").write_text("old\n")

    def opened(address):
        raise AssertionError("a source was opened")

    monkeypatch.setattr("neurodyn.cli.serve.open_source", opened)
    words = ["serve", model, "--from", f"file://{session}?speed=inf", "--snapshot", state]
    with pytest.raises(InputError, match="a snapshot of another model, and is not overwritten"):
        command(*words, "--to", f"file://{out / 'fresh.jsonl'}", "--to", f"file://{out / 'there.jsonl'}?new")
    assert sorted(path.name for path in out.iterdir()) == ["there.jsonl"]
    assert (out / "there.jsonl").read_text() == "old\n"
    assert state.read_bytes() == before
    SnapshotFile(state, EventLog()).close()  # and is not in use


def test_a_new_output_says_where_the_old_one_is(session, model, tmp_path, capfd):
    out = tmp_path / "decoded.jsonl"
    words = ["serve", model, "--from", f"file://{session}?speed=inf&stop=0.5"]
    contents = []
    for name in (None, "decoded.jsonl.old", "decoded.jsonl.old-2"):
        assert command(*words, "--to", f"file://{out}?new") == 0
        said = " ".join(capfd.readouterr().err.split())
        assert (f"the file that was there is kept as {tmp_path / name}" in said) if name else "is kept as" not in said
        assert [(tmp_path / f"decoded.jsonl.old{end}").read_text() for end in ("", "-2")[: len(contents)]] == contents
        contents.append(f"{out.read_text()}session {len(contents)}\n")
        out.write_text(contents[-1])


def test_a_log_is_of_one_session(session, model, tmp_path):
    path = tmp_path / "events.jsonl"
    first = RotatedFile(path)
    with pytest.raises(InputError, match="in use by another session"):
        command("serve", model, "--from", f"file://{session}?speed=inf", "--log", path)
    first.close()


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("config", "model", "latent"), 20_000),
        (("width_seconds",), 0),
        (("width_seconds",), 1e5),
        (("modalities", 1, "clock"), 10**300),
        (("modalities", 1, "clock"), 10**8),
    ],
)
def test_an_edited_model_is_refused_in_one_line(session, decoder, place, value, tmp_path, capfd):
    """With the exit code of wrong input, as a user has it."""
    decoder.save(tmp_path / "model")
    settings = json.loads((tmp_path / "model" / "model.json").read_text())
    node = settings
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value
    (tmp_path / "model" / "model.json").write_text(json.dumps(settings))
    out = tmp_path / "decoded.jsonl"
    assert (
        main(["serve", str(tmp_path / "model"), "--from", f"file://{session}?speed=inf", "--to", f"file://{out}"]) == 2
    )
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert line.startswith("neurodyn: error: ")
    assert not out.exists()


@pytest.mark.parametrize(
    "words",
    [
        ["serve", "m", "--from", "tcp://1"],
        ["serve", "m", "--from", "lsl://a", "--rate", "field"],
        ["serve", "m", "--from", "lsl://a", "--rate", "field=-1"],
        ["serve", "m"],
        ["replay", "f"],
        ["serve", "m", "--from", "lsl://a", "--model", "x"],
        ["replay", "f", "--to", "lsl://a", "--speed", "0"],
        ["replay", "f", "--to", "lsl://a", "--stream", "lfp"],
    ],
)
def test_wrong_options_are_refused(words, capfd):
    with pytest.raises(SystemExit):
        command(*words)
    assert "expected" in (err := capfd.readouterr().err) or "required" in err


def chosen_of(*words):
    """What a session is told by the words of a command line."""
    parser = argparse.ArgumentParser()
    serve.add_parser(parser.add_subparsers())
    return chosen(parser.parse_args(["serve", "model", "--from", "lsl://rig", *words]))


OPTIONS = [
    ("late", "drop", LatePolicy.DROP),
    ("patience", "20ms", 0.02),
    ("max_jump", "90s", 90.0),
    ("align", None, True),
    ("low", "-0.5,0", (-0.5, 0.0)),
    ("high", "1.5", (1.5,)),
    ("slew", "0.25", 0.25),
    ("hold", None, True),
    ("snapshot_every", "10s", 10.0),
    ("rehearse", "0", 0.0),
]
"""Every option, as it is written on the command line (None: a switch), and what is made of it."""


def written(name, word):
    option = f"--{name.replace('_', '-')}"
    return [option] if word is None else [f"{option}={word}"]


@pytest.mark.parametrize(("name", "word", "value"), OPTIONS)
def test_an_option_of_the_command_line_is_what_the_session_is_told_and_wins(name, word, value, tmp_path):
    """Of the options that are not given nothing changes; a file of options says the same, unless it is told better."""
    defaults = ServeOptions()
    assert getattr(defaults, name) != value
    assert chosen_of(*written(name, word)) == replace(defaults, **{name: value})
    config = tmp_path / "options.yaml"
    config.write_text(f"{name.replace('_', '-')}: {'true' if word is None else word}\n")
    assert chosen_of("--config", str(config)) == replace(defaults, **{name: value})
    other = {"late": "carry", "low": "[-9, -8]", "high": "9", "align": "false", "hold": "false"}.get(name, "3")
    config.write_text(f"{name}: {other}\n")
    assert getattr(chosen_of("--config", str(config)), name) != value
    assert chosen_of("--config", str(config), *written(name, word)) == replace(defaults, **{name: value})


def test_every_option_is_in_that_test():
    assert [name for name, *_ in OPTIONS] == [field.name for field in fields(ServeOptions)]


def test_bounds_in_a_file_are_a_number_or_a_list(tmp_path):
    config = tmp_path / "options.yaml"
    config.write_text("low: [-1, -.inf]\nhigh: 2\n")
    assert chosen_of("--config", str(config)).output == OutputLimits(low=(-1.0, -np.inf), high=(2.0,))
    assert ServeOptions().output is None
    assert chosen_of("--slew=2", "--hold").output == OutputLimits(slew=2.0, hold=True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--max-jump=0.5"], "--max-jump must be above 1 s and above the patience, got 0.5 s"),
        (["--max-jump=2", "--patience=3"], "above the patience, got 2 s"),
        (["--patience=40"], "above the patience, got 30 s"),
    ],
)
def test_a_jump_is_longer_than_what_is_waited_for(words, message):
    with pytest.raises(InputError, match=message):
        chosen_of(*words)
    assert chosen_of("--max-jump=4", "--patience=3").max_jump == 4.0


@pytest.mark.parametrize(
    "word",
    ["--late=keep", "--max-jump=0", "--max-jump=soon", "--slew=-1", "--slew=inf", "--low=a", "--low=", "--high=1,nan"],
)
def test_an_option_that_makes_no_sense_is_refused(word, capfd):
    with pytest.raises(SystemExit):
        chosen_of(word)
    assert "expected" in capfd.readouterr().err


def test_late_jump_and_align_reach_the_session(session, model, monkeypatch):
    """What parses is what the binner and the clock of the data are made with."""

    class Made(Exception):
        """The session has been made."""

    def made(*given, **options):
        raise Made(given, options)

    monkeypatch.setattr(serve, "make_service", made)
    monkeypatch.setattr(serve, "clock_of", lambda addresses, policy: policy)
    with pytest.raises(Made) as told:
        command(
            "serve", model, "--from", f"file://{session}", "--late", "drop", "--max-jump", "7s", "--align",
            "--patience", "2s",
        )  # fmt: skip
    given, options = told.value.args
    assert (options["late"], options["max_jump"], options["patience"]) == (LatePolicy.DROP, 7.0, 2.0)
    (policy,) = [one for one in given if isinstance(one, StampPolicy)]
    assert (policy.max_jump, policy.align) == (7.0, True)


def test_what_is_handed_out_keeps_to_bounds_and_slew(session, model, tmp_path, capfd):
    free, bound, slow = (tmp_path / f"{name}.jsonl" for name in ("free", "bound", "slow"))
    words = ["serve", model, "--from", f"file://{session}?speed=inf", "--to"]
    assert command(*words, f"file://{free}") == 0
    plain = np.array([line["target"] for line in lines(free)])
    low, high = np.quantile(plain, 0.25), np.quantile(plain, 0.75, axis=0)
    highs = ",".join(f"{value:.17g}" for value in np.maximum(high, low))
    assert command(*words, f"file://{bound}", f"--low={low:.17g}", f"--high={highs}") == 0
    got = np.array([line["target"] for line in lines(bound)])
    np.testing.assert_allclose(got, np.clip(plain, low, np.maximum(high, low)), rtol=1e-6)
    assert (got != plain).any(axis=0).all()
    slew = 0.2 * np.abs(np.diff(plain, axis=0)).max() / 0.01
    assert command(*words, f"file://{slow}", f"--slew={slew:.17g}") == 0
    assert np.abs(np.diff([line["target"] for line in lines(slow)], axis=0)).max() <= 0.01 * slew * (1 + 1e-5)
    with pytest.raises(InputError, match=r"'low' needs one bound for each .* or one for all, got"):
        command(*words, f"file://{tmp_path / 'none.jsonl'}", "--low=0,0,0,0,0")
    with pytest.raises(InputError, match="low <= high"):
        command(*words, f"file://{tmp_path / 'none.jsonl'}", "--low=1", "--high=0")


class Rig:
    """Sends a recording over ZeroMQ, and keeps what was sent and what was decoded from it."""

    def __init__(self, port, decoded_port):
        self.sink = ZmqSink(f"tcp://127.0.0.1:{port}")
        replay = ReplayOptions(chunk=0.02, speed=SPEED)
        self._replay = FileReplay(recording(300.0), replay)
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.SUBSCRIBE, ESTIMATE)
        self._socket.connect(f"tcp://127.0.0.1:{decoded_port}")
        self.sent, self.decoded = [], []

    def run(self, until):
        """Send and listen until something is true."""
        deadline = time.monotonic() + 6 * LIMIT
        while not until():
            assert time.monotonic() < deadline, "the decoder does not answer"
            for chunk in self._replay.read(0.01):
                self.sink.write(chunk)
                self.sent.append(chunk)
            while self._socket.poll(0):
                header, arrays = unpack(self._socket.recv_multipart())
                parts = {name: arrays[name] for name in ("latent", "target", "lower", "upper")}
                estimate = LiveEstimate(header["time"], parts["latent"], np.eye(1), {}, *(
                    parts[name] for name in ("target", "lower", "upper")), tuple(header["seen"]))  # fmt: skip
                self.decoded.append(estimate)

    def decode_for(self, seconds):
        """Run until so many recorded seconds have been decoded from now on."""
        start = len(self.decoded)
        self.run(lambda: len(self.decoded) > start and self.decoded[-1].time - self.decoded[start].time >= seconds)

    def close(self):
        self.sink.close()
        self._context.destroy(linger=0)


def start(model, port, decoded_port, folder):
    addresses = ["--from", f"zmq://127.0.0.1:{port}", "--to", f"zmq://127.0.0.1:{decoded_port}"]
    options = ["--snapshot", folder / "state.npz", "--snapshot-every", "0.5", "--log", folder / "events.jsonl"]
    options += ["--rate", f"field={FIELD_RATE:g}", "--patience", "0.1"]
    with (folder / "errors.txt").open("a") as errors:
        words = [sys.executable, "-c", MAIN, "serve", model, *addresses, *options]
        return subprocess.Popen([str(word) for word in words], stderr=errors)


def uninterrupted(decoder, modalities, sent):
    """What one session gives that is never killed, in simulated time."""
    decoder.reset()
    world, kept = World(), Collected()
    log = EventLog()
    monitor = Monitor([row.name for row in modalities], log)
    service = make_service(
        decoder, modalities, lambda: None, [SinkWriter(kept, "kept", log)], LiveClock(wall=world), monitor,
        rates={"field": FIELD_RATE}, patience=0.1,
    )  # fmt: skip
    begin = world.now
    for chunk in sent:
        # Time goes on with the data: where the sender was held up, they are as far apart as they say.
        world.now = max(world.now, begin + end_of(chunk))
        service.take([chunk])
    return kept.estimates


def test_a_killed_decoder_goes_on_from_its_snapshot(model, port, tmp_path):
    decoded_port = port + 1 if port < 65_000 else port - 1
    rig = Rig(port, decoded_port)
    process = start(model, port, decoded_port, tmp_path)
    try:
        rig.decode_for(10.0)
        rig.run(lambda: (tmp_path / "state.npz").exists())
        rig.decode_for(2.0)
        process.send_signal(signal.SIGKILL)
        assert process.wait(LIMIT) == -signal.SIGKILL
        before = rig.decoded[-1].time
        process = start(model, port, decoded_port, tmp_path)
        rig.decode_for(22.0)
        assert process.poll() is None
        process.terminate()
        assert process.wait(LIMIT) == 0, (tmp_path / "errors.txt").read_text()
    finally:
        process.kill()
        process.wait()
        rig.close()
    restored = [event for event in lines(tmp_path / "events.jsonl") if event["kind"] == EventKind.RESTORED]
    assert len(restored) == 1
    assert "bins without data are predicted" in restored[0]["detail"]
    assert restored[0]["time"] > before
    live = RealtimeDecoder.load(model)
    whole = uninterrupted(live, serve.load_decoder(model)[1], rig.sent)
    end = rig.decoded[-1].time
    times = {round(1e3 * estimate.time) for estimate in rig.decoded}
    both = [estimate for estimate in whole if round(1e3 * estimate.time) in times]
    got = {round(1e3 * estimate.time): estimate for estimate in rig.decoded}
    assert largest_difference([got[round(1e3 * e.time)] for e in both], both, end - 5.005, end - 1.005) < 0.5


def test_a_recording_without_a_unit_of_the_model_is_refused_before_anything_is_decoded(model, tmp_path, capfd):
    played = recording(2.0)
    fewer = played.spikes["spikes"].select(["spikes0", "spikes1", "spikes3"])
    path, decoded = tmp_path / "session.h5", tmp_path / "decoded.jsonl"
    write_recording(Recording("other", {"spikes": fewer}, played.fields), path)
    message = r"fitted on 4 channels \(spikes0, .*\), the stream has 3 \(spikes0, spikes1, spikes3\): it lacks spikes2"
    with pytest.raises(InputError, match=message):
        command("serve", model, "--from", f"file://{path}?speed=inf", "--to", f"file://{decoded}")
    assert not decoded.exists() or not decoded.read_text()
