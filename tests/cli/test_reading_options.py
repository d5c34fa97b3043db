"""How commands read files as others write them: layouts, skips, conditions, what they say, tables that fit."""

import argparse
import json

import numpy as np
import pytest
import scipy.io
from recording.make_nwb import write_nwb

from neurodyn.binning import Field, Spikes, to_bins
from neurodyn.cli import decode
from neurodyn.cli.main import build_parser, main
from neurodyn.cli.options import DecodeOptions, merge, read_config
from neurodyn.cli.reading import read
from neurodyn.cli.tables import Column, fitted, screen, shortened_middle
from neurodyn.errors import InputError
from neurodyn.recording import BinnedCounts, Intervals, Recording, Signal, SpikeTrains, read_recording, write_hdf5

RANDOM = np.random.default_rng(0)
COUNTS = RANDOM.poisson(0.7, (2400, 5))


@pytest.fixture
def lab(tmp_path):
    """A file of binned data and its layout."""
    content = {
        "timeframe": 0.05 * np.arange(2400), "spikerates": COUNTS * 20.0, "emgbin": RANDOM.normal(size=(2400, 2)),
        "cursorpos": np.cumsum(RANDOM.normal(size=(2400, 2)), axis=0),
    }  # fmt: skip
    scipy.io.savemat(tmp_path / "lab.mat", {"data": content})
    (tmp_path / "lab.yaml").write_text(
        "counts: {variable: data.spikerates, time: data.timeframe, rates: true}\n"
        "fields:\n- {variable: data.emgbin, name: emg, binned: true}\n"
        "behaviour:\n- {variable: data.cursorpos, name: position, binned: true}\n"
    )
    return tmp_path / "lab.mat"


def study_of(path, **options):
    chosen = merge({}, {"target": ("position",), "folds": 2, **options})
    recording = read(path, skip=chosen.skip, layout=chosen.layout, repeated=chosen.repeated)
    return decode.build_study(recording, chosen)


def test_every_command_that_reads_a_recording_has_the_options():
    parser = build_parser()
    commands = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction)).choices
    for name in ("inspect", "decode", "convert", "replay"):
        options = {option for action in commands[name]._actions for option in action.option_strings}
        assert {"--layout", "--skip", "--repeated", "--support"} <= options, name


def test_decode_of_binned_counts(lab):
    """Counts are Poisson, the field that has one value per bin is taken as it is, each target is of its own row."""
    study = study_of(lab, layout=str(lab.with_suffix(".yaml")))
    spikes, field = study.batch.modality("spikes"), study.batch.modality("field")
    assert (spikes.likelihood, field.likelihood) == ("poisson", "gaussian")
    assert field.channels == ("emg_0", "emg_1")
    np.testing.assert_array_equal(study.batch.observations["spikes"], COUNTS)
    assert study.settings["field"] == "raw"
    assert study.settings["smoothing of the target"] == "250 ms"
    cursor = scipy.io.loadmat(lab, squeeze_me=True)["data"]["cursorpos"].item()
    unsmoothed = study_of(lab, layout=str(lab.with_suffix(".yaml")), smoothing=0.0)
    np.testing.assert_allclose(unsmoothed.batch.target, cursor, rtol=1e-6)
    emg = scipy.io.loadmat(lab, squeeze_me=True)["data"]["emgbin"].item()
    np.testing.assert_allclose(unsmoothed.batch.observations["field"], emg, rtol=1e-6)
    wide = study_of(lab, layout=str(lab.with_suffix(".yaml")), width=0.1).batch.observations["spikes"]
    np.testing.assert_array_equal(wide, COUNTS.reshape(1200, 2, 5).sum(axis=1))


def test_options_of_reading_stand_in_a_configuration(tmp_path):
    (tmp_path / "c.yaml").write_text("layout: lab.yaml\nskip: [events]\nrepeated: mean\nwhere: is_good\n")
    options = merge(read_config(tmp_path / "c.yaml"), {})
    assert (options.layout, options.skip, options.repeated, options.where) == (
        "lab.yaml",
        ("events",),
        "mean",
        "is_good",
    )
    (tmp_path / "lab.yaml").write_text("behaviour: []\n")  # beside the configuration it is found from anywhere
    assert merge(read_config(tmp_path / "c.yaml"), {}).layout == str(tmp_path / "lab.yaml")
    (tmp_path / "c.yaml").write_text("repeated: maybe\n")
    with pytest.raises(InputError, match="expected one of mean, first, drop"):
        read_config(tmp_path / "c.yaml")


def test_inspect_shows_the_tree_and_saves_the_layout_it_proposes(lab, tmp_path, capsys):
    assert main(["inspect", str(lab), "--save-layout", str(tmp_path / "new.yaml")]) == 0
    out = capsys.readouterr().out
    for words in ("data.spikerates", "2,400 x 5", "in steps of 0.05", "proposed layout", "rates: true"):
        assert words in out
    assert main(["convert", str(lab), str(tmp_path / "b.h5"), "--layout", str(tmp_path / "new.yaml")]) == 0
    np.testing.assert_array_equal(read_recording(tmp_path / "b.h5").counts["spikes"].values, COUNTS)
    capsys.readouterr()
    assert main(["inspect", str(lab), "--save-layout", str(tmp_path / "new.yaml")]) == 2
    assert "is there already" in capsys.readouterr().err


def test_inspect_as_json_has_every_name(tmp_path, capsys):
    path = write_nwb(tmp_path / "a.nwb", position_timestamps=np.r_[0.0, 0.0, np.arange(1, 40.0)], trials=2)
    assert main(["inspect", str(path), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert {item["name"] for item in found["items"]} == {"spikes", "lfp", "trials"}
    assert found["unusable"][0]["name"] == "position"
    assert found["not_read"] == {}
    assert main(["inspect", str(path), "--json", "--repeated", "mean"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert "position" in {item["name"] for item in found["items"]}


def a_trial_file(tmp_path):
    def add(file):
        file.add_trial_column(name="response", description="r")
        for k in range(8):
            file.add_trial(start_time=5.0 * k, stop_time=5.0 * k + 4, response="hit" if k % 2 else "miss")

    return write_nwb(tmp_path / "a.nwb", seconds=60.0, extra=add)


def test_a_condition_chooses_trials(tmp_path):
    path = a_trial_file(tmp_path)
    study = study_of(path, where="response == 'hit'", modalities=("spikes",), gap=0.0)
    assert study.batch.n_trials == 4
    np.testing.assert_allclose(study.batch.time[study.batch.starts], 0.05 + np.array([5, 15, 25, 35]), atol=1e-9)
    assert study.settings["interval"] == "trials where response == 'hit'"
    with pytest.raises(InputError, match="unknown column in the condition 'respnse': did you mean 'response'"):
        study_of(path, where="respnse == 'hit'")
    with pytest.raises(InputError, match="name the table with --interval"):
        study_of(path, where="response == 'hit'", interval=(0.0, 9.0))


def in_pieces(tmp_path, seconds=60.0):
    """Spikes at 20 Hz but for a pause of 20 s, which only the table of epochs tells."""
    times = (np.arange(20 * seconds) + 0.5) / 20
    trains = tuple(times[(times < 20) | (times >= 40)] for _ in range(5))
    source = Recording(
        "r",
        {"spikes": SpikeTrains("spikes", trains, tuple("abcde"))},
        behaviour={"position": Signal("position", np.zeros((int(10 * seconds), 2)), rate=10.0)},
        intervals={"epochs": Intervals("epochs", np.array([0.0, 40.0]), np.array([20.0, 60.0]), ("run", "run"))},
    )
    return write_hdf5(source, tmp_path / "r.h5")


@pytest.mark.parametrize("name", ["epochs", "run"])
def test_a_table_of_intervals_is_the_support_of_the_spikes(tmp_path, capsys, name):
    path = in_pieces(tmp_path)
    assert main(["inspect", str(path), "--json"]) == 0
    out, err = capsys.readouterr()
    assert "no unit of 'spikes' fires from" in err
    assert "--support" in err
    rates = {item["name"]: item for item in json.loads(out)[0]["items"]}["spikes"]["firing_rates"]
    assert main(["inspect", str(path), "--json", "--support", name]) == 0
    out, err = capsys.readouterr()
    assert not err  # the doubt is answered
    supported = {item["name"]: item for item in json.loads(out)[0]["items"]}["spikes"]["firing_rates"]
    np.testing.assert_allclose(np.array(supported) / rates, 60 / 40, rtol=0.01)
    (tmp_path / "c.yaml").write_text(f"support: {name}\n")
    assert merge(read_config(tmp_path / "c.yaml"), {}).support == name
    batch = to_bins(read(path, support=name), width=0.5, target=())
    ends = batch.time
    known = (ends <= 20) | (ends > 40)
    np.testing.assert_array_equal(batch.observed["spikes"], np.repeat(known[:, None], 5, axis=1))
    np.testing.assert_array_equal(batch.observations["spikes"], np.where(known, 10.0, 0.0)[:, None].repeat(5, axis=1))
    assert main(["convert", str(path), str(tmp_path / "b.h5"), "--support", name]) == 0
    support = read_recording(tmp_path / "b.h5").spikes["spikes"].unit_supports[0]
    np.testing.assert_array_equal(support.rows, [[0, 20], [40, 60]])


def with_fields(*names, counts=()):
    fields = {name: Signal(name, np.zeros((200, 1)), rate=10.0) for name in names}
    groups = {name: BinnedCounts(name, np.ones((200, 1)), 0.1) for name in counts}
    return Recording("r", fields=fields, counts=groups, unread={"ImageSeries": 2})


@pytest.mark.parametrize(
    ("recording", "words"),
    [
        (
            with_fields("a", "b", counts=["spikes"]),
            r"more than one field \(a, b\): choose with  --modalities, .*spikes,a",
        ),
        (with_fields("a", counts=["p", "q"]), r"more than one group of units \(p, q\): choose with  --modalities"),
        (with_fields(), "neither spikes nor a field potential to decode from; it has 2 ImageSeries"),
        (with_fields("a"), "to decode from the field alone say  --modalities field"),
        (with_fields("a", "b"), "to decode from the field alone say  --modalities a,b"),
    ],
)
def test_what_is_not_clear_names_the_option(recording, words):
    with pytest.raises(InputError, match=words):
        decode.chosen_modalities(recording, DecodeOptions())


def test_a_field_that_is_asked_for_without_its_name():
    with pytest.raises(InputError, match="name them in  --modalities"):
        decode.chosen_modalities(with_fields("a", "b"), DecodeOptions(modalities=("field",)))
    spikes, field = decode.chosen_modalities(with_fields("a", counts=["p"]), DecodeOptions())
    assert (spikes, field) == (Spikes("spikes", "p"), Field("field", "a", bands=None))


def test_convert_of_nothing_writes_nothing(tmp_path, capsys):
    def add(file):
        file.add_stimulus(__import__("pynwb").TimeSeries(name="light", data=np.zeros(9), unit="V", rate=1.0))

    path = write_nwb(tmp_path / "a.nwb", units=(), lfp_rate=None, position_rate=None, extra=add)
    assert main(["convert", str(path), str(tmp_path / "b.h5")]) == 2
    assert "has nothing to convert; it has 1 TimeSeries, which are not read" in capsys.readouterr().err
    assert not (tmp_path / "b.h5").exists()


def test_convert_loses_nothing_without_a_word(tmp_path, capsys):
    path = write_nwb(tmp_path / "a.nwb", position_timestamps=np.r_[0.0, 0.0, np.arange(1, 40.0)])
    assert main(["convert", str(path), str(tmp_path / "b.h5")]) == 2
    assert "--skip position" in capsys.readouterr().err
    assert main(["convert", str(path), str(tmp_path / "b.h5"), "--skip", "position", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["file"] == str(tmp_path / "b.h5")


def test_decode_needs_only_what_it_uses(tmp_path):
    def add(file):
        pynwb = __import__("pynwb")
        file.add_acquisition(pynwb.TimeSeries(name="events", data=np.ones(3), unit="x", timestamps=[1.0, 5.0, 5.0]))

    path = write_nwb(tmp_path / "a.nwb", seconds=60.0, extra=add)
    assert study_of(path).batch.target_names == ("x", "y")
    with pytest.raises(InputError, match=r"'events' of recording 'a' cannot be used: .* 1 repeat"):
        study_of(path, target=("events",))


# Tables ----------------------------------------------------------------------------------------------------


def printed(rows, columns, width, capsys):
    from rich.console import Console

    Console(width=width).print(fitted("t", columns, rows, width))
    return capsys.readouterr().out


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_numbers_are_whole_at_any_width(width, capsys):
    columns = (Column("item", 8, middle=True), Column("size"), Column("time (s)"), Column("what", 10))
    long = "filtered_gaze_mapping/screen_coordinates_spherical"
    rows = [(long, "118,965,123 x 1,024", "123456.25 to 987654.75", "waveform_metric; " * 30)]
    out = printed(rows, columns, width, capsys)
    assert max(map(len, out.splitlines())) <= width
    for number in ("118,965,123", "1,024", "123456.25", "987654.75"):
        assert number in out
    assert out.splitlines()[-1]
    assert len(out.splitlines()) < 9


def test_numbers_that_need_more_than_the_screen_get_it(capsys):
    columns = (Column("item", 8), Column("size"), Column("what", 10))
    out = printed([("a" * 50, "1234567890123456789012345", "b" * 50)], columns, 20, capsys)
    assert "1234567890123456789012345" in fitted_text(columns)
    assert out


def fitted_text(columns):
    import io

    from rich.console import Console

    table = fitted("t", columns, [("a" * 50, "1234567890123456789012345", "b" * 50)], 20)
    file = io.StringIO()
    Console(file=file, width=table.width).print(table)
    return file.getvalue()


def test_names_are_shortened_in_their_middle():
    assert shortened_middle("abcdefghij", 10) == "abcdefghij"
    assert shortened_middle("filtered_gaze/coordinates", 12) == "filte...ates"
    assert len(shortened_middle("x" * 99, 4)) == 4


def test_a_pipe_has_room(capsys):
    assert screen().width >= 120


@pytest.mark.parametrize("locale", ["C.UTF-8", "POSIX"])
def test_a_file_name_of_any_bytes_in_any_locale(tmp_path, locale):
    import os
    import subprocess
    import sys

    source = write_nwb(tmp_path / "a.nwb", lfp_rate=None)
    name = os.fsencode(tmp_path) + b"/t\xc3\xa4g \xff\xe9.nwb"
    os.rename(source, name)
    environment = {**os.environ, "LC_ALL": locale, "PYTHONIOENCODING": "ascii", "PYTHONPATH": os.pathsep.join(sys.path)}
    for words in ([b"inspect", name], [b"convert", name, os.fsencode(tmp_path / "b.h5")]):
        command = [sys.executable, "-m", "neurodyn.cli.main", *words]
        done = subprocess.run(command, capture_output=True, env=environment, timeout=300)
        assert done.returncode == 0, done.stderr
        assert b"position" in done.stdout


@pytest.mark.parametrize(
    ("command", "options", "words"),
    [
        ("inspect", ["--skip", "lfpp"], "did you mean 'lfp'"),
        ("inspect", ["--skip", "trials[9]"], "'9'"),
        ("inspect", ["--repeated", "medain"], "--repeated"),
        ("inspect", ["--layout", "none.yaml"], "'none.yaml': No such file"),
        ("inspect", ["--support", "trils"], "'trils'"),
        ("decode", ["--support", "trils"], "'trils'"),
        ("decode", ["--support", "trials", "--skip", "spikes"], "has no spikes"),
        ("decode", ["--skip", "lfpp"], "did you mean 'lfp'"),
        ("decode", ["--repeated", "medain"], "repeated"),
        ("decode", ["--layout", "none.yaml"], "none.yaml"),
        ("decode", ["--where", "is_good"], "is_good"),
        ("decode", ["--where", "start <"], "cannot understand the condition"),
        ("decode", ["--where", ""], "where"),
        ("decode", ["--where", "strt > 1"], "did you mean 'start'"),
        ("decode", ["--where", "start"], "is not true or false"),
        ("decode", ["--where", "start == 'hit'"], "'start' (numbers) with"),
        ("decode", ["--where", "label in 'hit'"], "values in brackets"),
        ("decode", ["--where", "start + 1 > 2"], "no place in a condition"),
        ("decode", ["--where", "start is 1"], "compares with"),
        ("decode", ["--where", "start > 1e9"], "holds for none of the 3 intervals"),
        ("decode", ["--where", "start != start"], "holds for none of the 3 intervals"),
        ("decode", ["--where", "start > 1 " * 999], "more than 2,000"),
        ("decode", ["--where", "start > 1", "--interval", "none"], "'none'"),
        ("decode", ["--where", "__import__('os')"], "condition"),
        ("decode", ["--where", "start > 1", "--interval", "0-10"], "--interval"),
    ],
)
def test_a_wrong_value_of_an_option_of_reading_is_one_line_and_code_2(tmp_path, capsys, command, options, words):
    path = write_nwb(tmp_path / "a.nwb", trials=3)
    rest = ["--target", "position", "--out", str(tmp_path / "out")] if command == "decode" else []
    assert main([command, str(path), *rest, *options]) == 2
    told = capsys.readouterr().err
    assert told.startswith("neurodyn: error: ")
    assert told.count("\n") == 1
    assert words in told


def test_a_condition_without_a_table_of_trials_names_the_tables_and_the_option(tmp_path, capsys):
    path = write_nwb(tmp_path / "a.nwb", epochs=((0.0, 9.0, "task"),))
    assert (
        main(["decode", str(path), "--target", "position", "--out", str(tmp_path / "o"), "--where", "start > 1"]) == 2
    )
    assert "it has epochs: name the table with --interval" in capsys.readouterr().err


def test_counts_of_which_nothing_says_how_long_a_bin_is(tmp_path, capsys):
    """No width is made up: the line to write has a place for it."""
    scipy.io.savemat(tmp_path / "a.mat", {"Y": COUNTS[:600]})
    assert main(["inspect", str(tmp_path / "a.mat")]) == 0
    assert "counts: {variable: Y, width: SECONDS}" in capsys.readouterr().out
    (tmp_path / "a.yaml").write_text("spikes: Y\n")
    assert main(["convert", str(tmp_path / "a.mat"), str(tmp_path / "a.h5"), "--layout", str(tmp_path / "a.yaml")]) == 2
    assert "counts:  as  {variable: Y, width: SECONDS}" in capsys.readouterr().err
    (tmp_path / "a.yaml").write_text("counts: {variable: Y, width: 0.02}\n")
    assert main(["convert", str(tmp_path / "a.mat"), str(tmp_path / "a.h5"), "--layout", str(tmp_path / "a.yaml")]) == 0
    found = read_recording(tmp_path / "a.h5").counts["spikes"]
    assert found.width == 0.02
    np.testing.assert_array_equal(found.values, COUNTS[:600])


@pytest.mark.parametrize(
    ("rate", "last"),
    [(1000.0, (60.0, 100.0)), (200.0, (30.0, 60.0)), (100.0, (12.0, 30.0)), (40.0, None)],
)
def test_the_usual_bands_are_those_that_the_rate_allows(rate, last):
    """At 100 Hz nothing is known from 50 Hz on; at 40 Hz there are two samples in a bin, taken as they are."""
    field = Signal("lfp", np.zeros((200, 1)), rate=rate)
    source = Recording("r", fields={"lfp": field}, counts={"spikes": BinnedCounts("spikes", np.ones((200, 1)), 0.05)})
    _, chosen = decode.chosen_modalities(source, DecodeOptions())
    assert (chosen.bands[-1] if last else chosen.bands) == last
    if last:
        assert chosen.bands[0] == (1.0, 4.0)
    asked = decode.chosen_modalities(source, DecodeOptions(bands=((1.0, 90.0),)))[1]
    assert asked.bands == ((1.0, 90.0),)
