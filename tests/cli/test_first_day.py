"""What someone meets who has just installed it: the help, what is missing, a study without figures."""

import importlib.util
import io
import json
import subprocess
import sys

import pytest
from evaluation.stubs import Leaky
from rich.console import Console

from neurodyn import errors
from neurodyn.binning import trial_folds
from neurodyn.cli import COMMANDS
from neurodyn.cli.main import build_parser, main
from neurodyn.cli.study import Study, run_study
from neurodyn.errors import MissingExtraError, missing_extras, require_extras
from neurodyn.evaluation import Method
from neurodyn.simulation import LorenzSettings, simulate_lorenz


@pytest.fixture
def without_figures(monkeypatch):
    """As after  pip install '.[nwb]'."""
    found = importlib.util.find_spec
    gone = ("matplotlib", "jinja2")
    monkeypatch.setattr(errors.importlib.util, "find_spec", lambda name, *_: None if name in gone else found(name))


def test_without_a_command_there_is_the_help(capsys):
    assert main([]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    for name, text in COMMANDS.items():
        assert name in printed.out
        assert text.split()[0] in printed.out


def test_the_help_is_that_of_the_commands():
    """What stands in the list is what each command's own parser is called with."""
    lazy, whole = build_parser(()).format_help(), build_parser().format_help()
    assert lazy == whole


@pytest.mark.parametrize("words", [[], ["--help"], ["--version"]])
def test_the_help_waits_for_nothing(words):
    program = (
        "import sys\nfrom neurodyn.cli.main import main\n"
        f"try:\n    main({words!r})\nexcept SystemExit:\n    pass\n"
        "print(*sorted({m.split('.')[0] for m in sys.modules}), sep='\\n', file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert not {"numpy", "scipy", "rich", "jax", "yaml"} & set(result.stderr.split())


def test_all_that_is_missing_is_said_at_once(without_figures):
    assert missing_extras({"numpy": "x"}) == ""
    with pytest.raises(MissingExtraError) as caught:
        require_extras(errors.REPORT)
    said = str(caught.value)
    assert said.startswith("this needs the packages 'matplotlib' and 'jinja2': ")
    assert said.endswith("in your clone of neurodyn, run  pip install '.[plot,report]'")


def test_the_command_that_is_named_brings_them():
    """Every extra that is named somewhere is one of the project's."""
    import tomllib
    from pathlib import Path

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert set(errors.REPORT.values()) <= set(project["optional-dependencies"])


def test_a_study_without_figures(tmp_path, capsys, without_figures):
    batch = simulate_lorenz(LorenzSettings(n_trials=8, seconds=0.3), seed=0)
    methods = (Method("multimodal", Leaky(), ("spikes", "field"), stream=True),)
    study = Study("plain", batch, tuple(trial_folds(batch, 2, seed=0)), methods, jobs=1)
    screen = io.StringIO()
    summary = run_study(study, tmp_path, console=Console(file=screen, width=100))
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]
    assert json.loads((tmp_path / "summary.json").read_text()) == summary
    assert f"summary: {tmp_path / 'summary.json'}" in screen.getvalue().replace("\n", "")
    assert "note: there will be no report.html, which needs the packages 'matplotlib'" in capsys.readouterr().err


def test_a_network_needs_its_page_and_says_so_before_it_trains(tmp_path, capsys, without_figures):
    assert main(["emulate", "--family", "chain", "--out", str(tmp_path / "out")]) == 2
    assert "pip install '.[plot,report]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
