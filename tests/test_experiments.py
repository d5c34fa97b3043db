"""Every experiment's smoke run ends with a table and a figure."""

import argparse
import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from experiments.command import readme_of
from neurodyn.simulation import ForagingSettings, simulate_foraging, write_nwb

ROOT = Path(__file__).parents[1]
EXPERIMENTS = sorted(path.parent.name for path in (ROOT / "experiments").glob("*/run.py"))


@pytest.fixture
def stand_ins(tmp_path):
    """A folder with short simulated sessions under the names of the real recordings."""
    folder = tmp_path / "data"
    folder.mkdir()
    config = yaml.safe_load((ROOT / "experiments/recordings/config.yaml").read_text())
    for number, row in enumerate(config["smoke"].values()):
        write_nwb(simulate_foraging(ForagingSettings(seconds=40.0, units=6), seed=number), folder / row["file"])
    return folder


def smoke(name: str, out: Path, **environment: str) -> subprocess.CompletedProcess:
    kept = {key: value for key, value in os.environ.items() if key != "NEURODYN_DATA"}
    words = [sys.executable, "-m", f"experiments.{name}.run", "--smoke", "--out", str(out)]
    return subprocess.run(words, cwd=ROOT, env={**kept, **environment}, capture_output=True, text=True, timeout=700)


def test_only_a_full_run_into_its_own_folder_fills_the_readme(tmp_path):
    given = argparse.Namespace(out=tmp_path / "results", smoke=False)
    assert readme_of(tmp_path, given) == tmp_path / "README.md"
    assert readme_of(tmp_path, argparse.Namespace(out=given.out, smoke=True)) is None
    assert readme_of(tmp_path, argparse.Namespace(out=tmp_path / "elsewhere", smoke=False)) is None


def check_results(out: Path, *, runs: list[str], methods: set[str]) -> None:
    with (out / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["run"] for row in rows} == set(runs)
    assert {row["method"] for row in rows} == methods
    assert all(-50 < float(row["value"]) <= 1 for row in rows)
    table = (out / "table.md").read_text()
    assert all(word in table for word in (*runs, *methods, "online against offline"))
    assert (out / "figure.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


@pytest.mark.slow
def test_lorenz(tmp_path):
    result = smoke("lorenz", tmp_path)
    assert result.returncode == 0, result.stderr
    methods = {"multimodal", "spikes", "field", "gru", "ridge", "ridge spikes", "ridge field"}
    check_results(tmp_path, runs=["seed 0"], methods=methods)


@pytest.mark.slow
def test_recordings_on_stand_ins(tmp_path, stand_ins):
    result = smoke("recordings", tmp_path / "out", NEURODYN_DATA=str(stand_ins))
    assert result.returncode == 0, result.stderr
    check_results(tmp_path / "out", runs=["r1838", "r050"], methods={"spikes", "field", "kalman", "ridge"})


@pytest.mark.slow
def test_decoders_on_a_stand_in(tmp_path, stand_ins):
    result = smoke("decoders", tmp_path / "out", NEURODYN_DATA=str(stand_ins))
    assert result.returncode == 0, result.stderr
    with (tmp_path / "out" / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["method"] for row in rows} == {"multiscale", "gru", "ridge"}
    assert {row["condition"] for row in rows} == {"", "complete", "40% lost", "spikes gone"}
    assert "**r050**" in (tmp_path / "out" / "table.md").read_text()
    assert "| r050 | ridge | " in (tmp_path / "out" / "comparisons.md").read_text()
    assert (tmp_path / "out" / "figure.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert not (tmp_path / "out" / "parts" / ".programs").exists()


def test_recordings_say_why_they_are_skipped(tmp_path):
    result = smoke("recordings", tmp_path)
    assert result.returncode == 0
    assert "NEURODYN_DATA" in result.stderr
    assert not list(tmp_path.iterdir())


# Those that need more than a folder to write to have tests of their own: above, and in tests/test_hmm_rnn_grid.py.
OTHERS = sorted({*EXPERIMENTS} - {"decoders", "hmm_rnn_grid", "lorenz", "recordings"})


def left_by(name: str) -> list[str]:
    """Files that an experiment leaves: the two tables, and whatever its README names in ``results/``."""
    readme = (ROOT / "experiments" / name / "README.md").read_text()
    return ["table.csv", "table.md", *re.findall(r"`results/([\w.]+)`", readme)]


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_the_others_leave_tables_and_figures(name, tmp_path):
    result = smoke(name, tmp_path)
    assert result.returncode == 0, result.stderr
    for file in left_by(name):
        found = (tmp_path / file).read_bytes()
        assert found.count(b"\n") >= 2 if file.startswith("table") else len(found) > 1000, file
        assert not file.endswith(".png") or found[:8] == b"\x89PNG\r\n\x1a\n"


NOT_RUN = "It has not been run at full size"
"""What the page of an experiment without results says of it."""


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_tables_in_readmes_are_those_of_the_results(name):
    if NOT_RUN in (page := (ROOT / "experiments" / name / "README.md").read_text()):
        assert not (ROOT / "experiments" / name / "results/table.md").exists()
        assert re.search(rf"<!-- results:{name} -->\n<!-- /results:{name} -->", page)
        return
    table = (ROOT / "experiments" / name / "results/table.md").read_text()
    block = re.compile(rf"<!-- results:{name} -->\n(.*)<!-- /results:{name} -->", re.DOTALL)
    readmes = [ROOT / "experiments" / name / "README.md", ROOT / "README.md"]
    blocks = [found[1] for readme in readmes if (found := block.search(readme.read_text()))]
    assert blocks
    assert set(blocks) == {table}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_has_its_parts(name):
    folder = ROOT / "experiments" / name
    readme = (folder / "README.md").read_text()
    assert f"python -m experiments.{name}.run" in readme
    assert f"results:{name}" in readme
    assert set(yaml.safe_load((folder / "config.yaml").read_text())) == {"full", "smoke"}


def test_the_table_in_the_readme_has_every_experiment():
    """It is the line that an experiment adds; what runs the benchmarks is the command line."""
    table = (ROOT / "experiments/README.md").read_text()
    rows = re.findall(r"^\| \[(\w+)\]\(\1/README\.md\) \|", table, re.MULTILINE)
    assert sorted({*rows} - {"benchmarks"}) == EXPERIMENTS


@pytest.mark.parametrize("name", ["r1838", "r050"])
def test_options_are_what_the_command_understands(name):
    from neurodyn.cli.options import merge, read_config

    options = merge(read_config(ROOT / f"experiments/recordings/{name}.yaml"), {})
    assert options.folds == 5
    assert options.gap == 2.0
    assert options.width == {"r1838": 0.05, "r050": 0.1}[name]
