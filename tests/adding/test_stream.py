"""A stream is added as one file, an import and a line of its page, and is then replayed to and decoded from."""

import argparse
import json
from dataclasses import replace

import numpy as np
import pytest
from adding.plug_in import add
from oracles.session import recording
from oracles.small_decoder import fit_small
from rich.console import Console

from neurodyn.cli import replay, serve
from neurodyn.errors import InputError
from neurodyn.multiscale.export import freeze
from neurodyn.realtime.streams import SCHEMES, Chunk, ChunkKind, EndOfStream, open_source, parse_address
from neurodyn.realtime.streams.file import FileReplay, ReplayOptions
from neurodyn.recording import read_recording
from neurodyn.simulation import write_nwb


@pytest.fixture(autouse=True)
def added(tmp_path, monkeypatch):
    return add("stream", tmp_path, SCHEMES, {}, monkeypatch)


@pytest.fixture
def session(tmp_path):
    return write_nwb(recording(2.0), tmp_path / "session.nwb")


def command(*words):
    parser = argparse.ArgumentParser()
    subparsers = parser.add_subparsers()
    for module in (replay, serve):
        module.add_parser(subparsers)
    arguments = parser.parse_args([str(word) for word in words])
    return arguments.run(arguments)


def test_a_recording_is_played_to_it_and_read_back(session, tmp_path):
    assert command("replay", session, "--to", f"lines://{tmp_path}/run.jsonl", "--speed", "inf", "--json") == 0
    source = open_source(parse_address(f"lines://{tmp_path}/run.jsonl"))
    chunks = source.read(0.01)
    with pytest.raises(EndOfStream):
        source.read(0.01)
    source.close()
    field = [chunk for chunk in chunks if chunk.name == "field"]
    np.testing.assert_array_equal(np.concatenate([chunk.values for chunk in field]), recording(2.0).field().values)
    assert field[0].labels == recording(2.0).field().channels
    spikes = np.concatenate([chunk.values for chunk in chunks if chunk.name == "spikes"])
    assert len(spikes) == recording(2.0).spike_trains("spikes").n_spikes


def decoded(path):
    """Times and targets that a session wrote, a line each."""
    said = [json.loads(line) for line in path.read_text().splitlines() if line != "end"]
    return np.array([each["time"] for each in said]), np.array([each["target"] for each in said])


@pytest.fixture(scope="module")
def served(lorenz_batch, tmp_path_factory):
    """What decodes from one address to another."""
    path = tmp_path_factory.mktemp("model") / "decoder.npz"
    freeze(fit_small(lorenz_batch[0], epochs=1).fitted_).save(path)
    words = ["serve", path, "--rate", "field=200"]
    return lambda source, sink: command(*words, "--from", source, "--to", sink)


def test_a_decoder_is_served_from_it_and_to_it(session, served, tmp_path, capfd):
    run, out = tmp_path / "run.jsonl", tmp_path / "decoded.jsonl"
    assert command("replay", session, "--to", f"lines://{run}", "--speed", "inf", "--json") == 0
    assert served(f"lines://{run}", f"lines://{out}") == 0
    assert out.read_text().endswith("\nend\n")
    times, targets = decoded(out)
    assert len(times) > 100
    assert np.isfinite(targets).all()


def test_the_estimates_are_those_of_the_recording_read_as_a_file(session, served, added, tmp_path, monkeypatch, capfd):
    """Bin by bin, from the stamps of the recording: the stream is then one that has a clock of its own."""
    run, out, known = (tmp_path / name for name in ("run.jsonl", "decoded.jsonl", "known.jsonl"))
    sink = added.LinesSink(str(run))
    played = FileReplay(read_recording(session), ReplayOptions(speed=np.inf))
    replay.play(replay.Sent(played), sink, Console(quiet=True))
    sink.close()
    monkeypatch.setitem(SCHEMES, "lines", replace(added.SCHEME, live=False))
    assert served(f"lines://{run}", f"lines://{out}") == 0
    assert served(f"file://{session}?speed=inf", f"file://{known}") == 0
    (times, targets), (expected_times, expected) = decoded(out), decoded(known)
    assert len(times) > 100
    np.testing.assert_array_equal(times, expected_times)
    np.testing.assert_array_equal(targets, expected)


def test_a_half_written_line_waits_for_its_end(added, tmp_path):
    """Whoever writes may be interrupted anywhere, in the middle of a letter too."""
    path = tmp_path / "run.jsonl"
    pauses = ((-1, 0.25, 0.5), (1, 0.5, 0.75))
    sent = Chunk("spikes", np.array([0.1, 0.2]), np.array([1, 0]), ChunkKind.SPIKES, 0.75, ("a", "b"), pauses)
    sink = added.LinesSink(str(path))
    sink.write(sent)
    sink.close()
    whole = path.read_bytes().replace(b'"a"', '"µ"'.encode())
    path.write_bytes(b"")
    source, chunks = added.LinesSource(str(path)), []
    for byte in whole:
        with path.open("ab") as file:
            file.write(bytes([byte]))
        chunks += source.read(0.0)
    with pytest.raises(EndOfStream):
        source.read(0.0)
    source.close()
    (came,) = chunks
    np.testing.assert_array_equal(came.times, sent.times)
    np.testing.assert_array_equal(came.values, sent.values)
    assert (came.name, came.kind, came.until, came.rate) == ("spikes", ChunkKind.SPIKES, 0.75, None)
    assert (came.labels, came.unrecorded) == (("µ", "b"), pauses)


def test_rows_are_called_as_their_addresses_begin():
    assert all(name == scheme.name for name, scheme in SCHEMES.items())


def test_help_and_errors_name_it(capsys):
    with pytest.raises(InputError, match=r"expected an address like .*, lines://run.jsonl, got 'line://a'"):
        parse_address("line://a")
    for words in (["serve", "--help"], ["replay", "--help"]):
        with pytest.raises(SystemExit):
            command(*words)
        assert "lines://run.jsonl" in capsys.readouterr().out
