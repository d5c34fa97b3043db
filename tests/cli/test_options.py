"""How options are written, and which of file and command line wins."""

from dataclasses import fields

import pytest

from neurodyn.cli.main import main
from neurodyn.cli.options import OPTIONS, DecodeOptions, merge, read_config
from neurodyn.cli.parsers import bands, interval, names, seconds
from neurodyn.errors import InputError


@pytest.mark.parametrize(
    ("text", "expected"), [("0.05", 0.05), ("50ms", 0.05), ("2 s", 2.0), ("1e-2", 0.01), (0.5, 0.5), ("0", 0.0)]
)
def test_seconds(text, expected):
    assert seconds(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["fifty", "-1", "nan", "inf", "", "50 us", None])
def test_seconds_that_are_none(text):
    with pytest.raises(InputError, match="expected seconds"):
        seconds(text)


def test_bands():
    assert bands("1-4, 4-8") == bands([[1, 4], [4, 8]]) == bands(["1-4", "4-8"]) == ((1.0, 4.0), (4.0, 8.0))
    assert bands("raw") == ()
    for wrong in ("1-4-8", "low", "", 3, [[1, 2, 3]]):
        with pytest.raises(InputError, match="expected bands in Hz"):
            bands(wrong)


def test_interval():
    assert interval("10-600.5") == interval([10, 600.5]) == (10.0, 600.5)
    assert interval("task-2") == "task-2"
    for wrong in ("600-10", [5, 5]):
        with pytest.raises(InputError, match="start < stop"):
            interval(wrong)
    with pytest.raises(InputError, match="expected the name of an interval"):
        interval([1, 2, 3])


def test_names():
    assert names("x, log_speed") == names(["x", "log_speed"]) == ("x", "log_speed")
    for wrong in ("", "x,,y", [1], 5):
        with pytest.raises(InputError, match="separated by commas"):
            names(wrong)


def test_a_benchmark_whose_numbers_could_not_be_kept_does_not_start(tmp_path, capsys):
    for option in ("--json", "--figure"):
        assert main(["bench", "train", option, str(tmp_path / "none" / "x")]) == 2
        assert "give a file in a folder that is there" in capsys.readouterr().err


def test_command_line_before_file_before_default(tmp_path):
    path = tmp_path / "options.yaml"
    path.write_text("target: [position, log_speed]\nwidth: 100ms\nbands: raw\nlead_in: 4\nepochs:\nfolds: 3\n")
    options = merge(read_config(path), {"folds": 7, "width": None, "out": "somewhere"})
    assert options == DecodeOptions(("position", "log_speed"), width=0.1, bands=(), lead_in=4.0, folds=7)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("witdh: 0.1", "unknown option in the configuration 'witdh': did you mean 'width'"),
        ("1: 2", "unknown option in the configuration '1'"),
        ("epoks:", "unknown option in the configuration 'epoks'"),
        ("folds: many", "'folds' in .*expected a whole number, got 'many'"),
        ("folds: 2.5", "expected a whole number"),
        ("seed: true", "expected a whole number"),
        ("- position", "must hold 'option: value' lines, got a list"),
        ("a: [", "cannot read the configuration"),
    ],
)
def test_bad_files(tmp_path, capsys, text, words):
    path = tmp_path / "options.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        read_config(path)
    out = tmp_path / "out"
    assert main(["decode", "some.nwb", "--target", "position", "--out", str(out), "--config", str(path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not out.exists()


def test_an_empty_or_missing_file(tmp_path):
    path = tmp_path / "options.yaml"
    path.write_text("# nothing\n")
    assert read_config(path) == {}
    with pytest.raises(InputError, match="cannot read the configuration"):
        read_config(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["decode", "f.nwb", "--width", "wide"], "argument --width: expected seconds like 0.05 or 50ms, got 'wide'"),
        (["decode", "f.nwb", "--width", "0"], "argument --width: expected more than 0 seconds"),
        (["decode", "f.nwb", "--folds", "0"], "argument --folds: expected a whole number of 1 or more"),
        (["decode", "f.nwb", "--witdh", "1"], "unrecognized arguments"),
        (["dcode"], "invalid choice: 'dcode'"),
        (["demo", "--epochs", "-3"], "argument --epochs: expected a whole number of 1 or more"),
        (["bench", "realtime", "--long", "-5"], "argument --long: expected a whole number of 0 or more, got '-5'"),
        (["bench", "fixed-points", "--gru", "-1"], "argument --gru: expected a whole number of 0 or more, got '-1'"),
        (["demo"], "the following arguments are required: --out"),
        (["--nothing"], "the following arguments are required: COMMAND"),
    ],
)
def test_wrong_options_are_one_line_and_exit_code_2(tmp_path, capsys, arguments, words):
    given = [*arguments, "--out", str(tmp_path / "out")] if len(arguments) > 1 else arguments
    assert main(given) == 2
    printed = capsys.readouterr()
    assert words in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""
    assert not (tmp_path / "out").exists()


def test_help_and_version(capsys):
    for arguments in (["--help"], ["decode", "--help"], ["demo", "--help"], ["--version"]):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 0
    assert "--lead-in TIME" in capsys.readouterr().out


def test_an_option_is_one_row_of_one_table(capsys):
    """Its name, parser, default and help stand together; the command line and YAML files take all of them."""
    assert list(OPTIONS) == [each.name for each in fields(DecodeOptions)]
    with pytest.raises(SystemExit):
        main(["decode", "--help"])
    printed = " ".join(capsys.readouterr().out.split())
    for name, option in OPTIONS.items():
        assert f"--{name.replace('_', '-')}" in printed
        if option.metavar:
            assert f"{option.help} ({option.default})".replace("%%", "%") in printed
