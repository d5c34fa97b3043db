"""A file format is added as one file, an import and a line of its page, and is then read by every command."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from adding.plug_in import add

import neurodyn as nd
from neurodyn.cli.main import main
from neurodyn.errors import InputError
from neurodyn.recording import Recording, Signal, files, write_recording
from neurodyn.recording.files import FORMATS, Content, Format

VALUES = np.random.default_rng(0).normal(size=(500, 2)).astype(np.float32)


@pytest.fixture(autouse=True)
def added(tmp_path, monkeypatch):
    return add("format", tmp_path, FORMATS, vars(files), monkeypatch)


@pytest.fixture
def path(tmp_path):
    """A file written byte by byte, not by the writer of the page."""
    head = b'{"name": "lfp", "rate": 250.0, "channels": ["a", "b"], "unit": "mV"}\n'
    (tmp_path / "run.bin").write_bytes(b"RIG1\n" + head + VALUES.astype("<f4").tobytes())
    return tmp_path / "run.bin"


def test_it_is_read_by_what_is_in_it(path):
    field = nd.read_recording(path).field("lfp")
    np.testing.assert_array_equal(field.values, VALUES)
    assert (field.rate, field.channels, field.unit) == (250.0, ("a", "b"), "mV")
    assert not nd.read_recording(path, skip=["lfp"]).fields
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(InputError, match="is it damaged"):
        nd.read_recording(path)


def test_it_is_written_and_compared(path, tmp_path):
    recording = nd.read_recording(path)
    write_recording(recording, tmp_path / "again.rig")
    assert (tmp_path / "again.rig").read_bytes()[-VALUES.nbytes :] == VALUES.tobytes()
    more = Recording("more", fields={"lfp": recording.field()}, behaviour={"x": Signal("x", VALUES, rate=250.0)})
    with pytest.raises(InputError, match="would not hold all of 'more'"):
        write_recording(more, tmp_path / "more.rig")
    assert not (tmp_path / "more.rig").exists()


def test_commands_read_and_write_it(path, tmp_path, capsys):
    assert main(["inspect", str(path)]) == 0
    assert "lfp" in capsys.readouterr().out
    assert main(["convert", str(path), str(tmp_path / "run.h5")]) == 0
    assert main(["convert", str(tmp_path / "run.h5"), str(tmp_path / "back.rig")]) == 0
    np.testing.assert_array_equal(nd.read_recording(tmp_path / "back.rig").field().values, VALUES)
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["inspect", "--help"])
    assert "RIG" in capsys.readouterr().out
    (tmp_path / "other").write_bytes(b"something else")
    with pytest.raises(InputError, match=r"expected NWB, .* RIG"):
        nd.read_recording(tmp_path / "other")


def test_the_error_for_other_hdf5_lists_a_new_format_in_hdf5(tmp_path, monkeypatch):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["something"] = 1.0
    with pytest.raises(InputError) as before:
        nd.read_recording(tmp_path / "other.h5")
    assert "RIG" not in str(before.value)  # the page's files are not HDF5
    new = Format("RIG 2", lambda _: False, nd.read_recording, in_hdf5="RIG 2 in HDF5")
    monkeypatch.setitem(FORMATS, "rig 2", new)
    with pytest.raises(InputError, match=r"expected NWB, .*MATLAB 7\.3 or RIG 2 in HDF5$"):
        nd.read_recording(tmp_path / "other.h5")


def test_nothing_else_is_taken_for_it(added):
    assert added.is_rig(Content(Path("a"), b"RIG1\n{"))
    assert not added.is_rig(Content(Path("a"), b"RIFF"))
