"""``neurodyn inspect`` as a user runs it."""

import numpy as np
from recording.make_nwb import UNSORTED, write_nwb

from neurodyn.cli.main import main


def test_the_table_shows_every_item(tmp_path, capsys):
    path = write_nwb(
        tmp_path / "session.nwb",
        units=(np.array([1.0, 2.0, 11.0]), np.array([1.0])),
        lfp_rate=200.0,
        position_timestamps=np.cumsum(np.tile([0.01, 0.02, 0.06], 50)),
        position_missing=slice(0, 15),
        epochs=[(0.0, 20.0, "task")],
    )
    assert main(["inspect", str(path)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["session"]
    rows = {line[0]: " ".join(line) for line in lines if line}
    assert rows["spikes"] == "spikes spikes 2 units, 4 spikes 0.05 to 0.15 1.00 to 11.00 quality: good (n=2)"
    assert rows["lfp"] == "lfp field 4,000 x 2 200 0.00 to 20.00 0.0% volts lfp_0, lfp_1"
    assert rows["position"] == "position behaviour 150 x 2 33.18 irregular 0.01 to 4.50 10.0% m x, y"
    assert rows["epochs"] == "epochs intervals 1 0.00 to 20.00 task"


def test_names_with_brackets_are_not_markup(tmp_path, capsys):
    path = write_nwb(tmp_path / "[red]one.nwb", epochs=[(0.0, 1.0, "[bold]task")])
    assert main(["inspect", str(path)]) == 0
    out = capsys.readouterr().out
    assert "[red]one" in out
    assert "[bold]task" in out


def test_eighty_columns_keep_the_names_whole(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FORCE_COLOR", "1")  # a terminal
    monkeypatch.setenv("TERM", "dumb")
    path = write_nwb(tmp_path / "session.nwb", epochs=[(0.0, 5.0, "prerecord")])
    assert main(["inspect", str(path)]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    for word in ("position", "behaviour", "intervals", "prerecord", "volts"):
        assert word in out


def test_bad_input_is_one_line_and_exit_code_2(tmp_path, capsys):
    good = write_nwb(tmp_path / "good.nwb")
    assert main(["inspect", str(good), str(tmp_path / "missing.nwb")]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("neurodyn: error: ")
    assert "there is no file" in printed.err
    assert printed.err.count("\n") == 1


def test_an_item_that_cannot_be_used_is_marked(tmp_path, capsys):
    path = write_nwb(tmp_path / "session.nwb", units=UNSORTED)
    assert main(["inspect", str(path)]) == 0
    out = capsys.readouterr().out
    assert "position" in out
    assert "cannot be used: spikes 'spikes': spike times of unit '1' of 'spikes' are not sorted" in out
