"""``neurodyn convert`` as a user runs it."""

import numpy as np
import pytest
import scipy.io
from recording.make_nwb import write_nwb
from recording.make_recording import everything

from neurodyn.cli import convert
from neurodyn.cli.main import _Parser
from neurodyn.errors import InputError
from neurodyn.recording import differences, read_layout, read_recording, write_hdf5


def run(*words):
    parser = _Parser()
    convert.add_parser(parser.add_subparsers())
    arguments = parser.parse_args(["convert", *map(str, words)])
    return arguments.run(arguments)


def test_from_nwb_and_back(tmp_path, capsys):
    source = write_nwb(tmp_path / "a.nwb", epochs=[(0.0, 5.0, "task")])
    assert run(source, tmp_path / "b.h5") == 0
    assert "position" in capsys.readouterr().out
    assert run(tmp_path / "b.h5", tmp_path / "c.nwb") == 0
    assert run(tmp_path / "c.nwb", tmp_path / "d.mat") == 0
    assert differences(read_recording(source), read_recording(tmp_path / "d.mat")) == []


def test_items_are_left_out_and_files_kept(tmp_path):
    source = write_hdf5(everything(), tmp_path / "a.h5")
    run(source, tmp_path / "b.h5", "--skip", "lfp", "--skip", "trials")
    assert set(read_recording(tmp_path / "b.h5").fields) == {"probe/lfp", "raw"}
    with pytest.raises(InputError, match="is there already"):
        run(source, tmp_path / "b.h5")
    assert run(source, tmp_path / "b.h5", "--force") == 0
    with pytest.raises(InputError, match="into its own file"):
        run(source, source, "--force")


def test_a_file_in_place_of_the_folder_is_told(tmp_path):
    source = write_hdf5(everything(), tmp_path / "a.h5")
    with pytest.raises(InputError, match="cannot write"):
        run(source, source / "b.h5")


def test_a_layout_from_yaml(tmp_path):
    scipy.io.savemat(tmp_path / "lab.mat", {"pos": np.ones((40, 2)), "t": np.arange(40.0), "fs": 2.0})
    layout = tmp_path / "layout.yaml"
    layout.write_text("behaviour:\n- {variable: pos, name: position, time: t, unit: cm, channels: [x, y]}\n")
    run(tmp_path / "lab.mat", tmp_path / "b.h5", "--layout", layout)
    assert read_recording(tmp_path / "b.h5").behaviour["position"].channels == ("x", "y")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("behavior: []", "unknown key .* 'behavior': did you mean 'behaviour'"),
        ("behaviour: [{variabel: x}]", "unknown key .* 'variabel': did you mean 'variable'"),
        ("behaviour: [{name: x}]", "has no 'variable'"),
        ("behaviour: 3", "must be a list"),
        ("spikes: [1]", "'spikes' in .* must be text"),
        ("- a", "must hold 'key: value' lines"),
        ("!!python/object/apply:os.system ['true']", "cannot read the layout"),
    ],
)
def test_layouts_that_cannot_be_used(tmp_path, text, words):
    (tmp_path / "layout.yaml").write_text(text)
    with pytest.raises(InputError, match=words):
        read_layout(tmp_path / "layout.yaml")


def test_doubts_are_a_line_each(tmp_path, capsys):
    random = np.random.default_rng(0)
    write_nwb(tmp_path / "ms.nwb", units=tuple(np.sort(random.uniform(0, 20_000, 60)) for _ in range(4)))
    run(tmp_path / "ms.nwb", tmp_path / "b.h5")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("neurodyn: warning: recording 'ms': ") for line in lines)
