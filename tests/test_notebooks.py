"""Every notebook runs from top to bottom, at a reduced size, and is one that Jupyter can open."""

import os
import subprocess
import sys
from pathlib import Path

import jupytext
import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.py"))
NAMES = [path.stem for path in NOTEBOOKS]


def run(path: Path, folder: Path, **environment: str) -> str:
    """Run a notebook as the script it also is; every warning is an error. Returns what it printed."""
    kept = {key: value for key, value in os.environ.items() if key != "NEURODYN_DATA"}
    extra = {"MPLBACKEND": "Agg", "NEURODYN_SMOKE": "1", "TMPDIR": str(folder), **environment}
    result = subprocess.run(
        [sys.executable, "-W", "error", str(path)],
        cwd=folder, env={**kept, **extra}, capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_notebooks_are_there():
    assert NAMES == [
        "01_from_recording_to_batch",
        "02_from_batch_to_live_decoder",
        "03_networks_that_emulate_hmms",
        "04_fixed_points",
        "05_mechanism",
        "06_does_my_field_add",
        "07_missing_samples_and_certainty",
        "08_files_of_your_own",
        "09_the_real_time_loop",
        "10_many_sessions",
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_jupyter_can_open_it(path):
    notebook = jupytext.read(path)
    kinds = [cell.cell_type for cell in notebook.cells]
    assert notebook.metadata["kernelspec"]["name"] == "python3"
    assert kinds[0] == "markdown"
    assert min(kinds.count("markdown"), kinds.count("code")) >= 5
    assert all(cell.source.strip() for cell in notebook.cells)


def test_from_recording_to_batch(tmp_path):
    printed = run(NOTEBOOKS[0], tmp_path)
    assert "1 trial, 1200 bins of 50 ms, target: x, y, log_speed" in printed
    assert "5 folds, 1200 bins tested once each" in printed


def test_from_recording_to_batch_on_a_real_recording(tmp_path, real_data):
    printed = run(NOTEBOOKS[0], tmp_path, NEURODYN_DATA=str(real_data))
    assert "spikes   poisson   13 channels" in printed


@pytest.mark.slow
def test_from_batch_to_live_decoder(tmp_path):
    printed = run(NOTEBOOKS[1], tmp_path)
    assert "multimodal" in printed
    assert "end of the gap" in printed


@pytest.mark.slow
def test_networks_that_emulate_hmms(tmp_path):
    printed = run(NOTEBOOKS[2], tmp_path)
    assert "the network: " in printed
    assert "match.html" in printed


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS[3:5], ids=NAMES[3:5])
def test_fixed_points_and_mechanism(path, tmp_path):
    assert run(path, tmp_path).strip()


def test_does_my_field_add(tmp_path):
    """The session is one in which the field knows of speed and not of place."""
    assert "The field adds 0." in run(NOTEBOOKS[5], tmp_path)


@pytest.mark.slow
def test_missing_samples_and_certainty(tmp_path):
    assert "With 80% lost: ridge holds " in run(NOTEBOOKS[6], tmp_path)


def test_files_of_your_own(tmp_path):
    printed = run(NOTEBOOKS[7], tmp_path)
    assert "from NWB: nothing differs" in printed
    assert printed.strip().endswith("the bins are the same")


@pytest.mark.slow
def test_the_real_time_loop(tmp_path):
    printed = run(NOTEBOOKS[8], tmp_path)
    assert "twice          at most 0.00 standard deviations off" in printed
    assert "missing (" in printed


@pytest.mark.slow
def test_many_sessions(tmp_path):
    pytest.importorskip("distributed")
    printed = run(NOTEBOOKS[9], tmp_path)
    assert "36 of 36 tasks are done" in printed
    assert printed.count("wiener beside ridge") == 2


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_each_asks_at_the_top_and_answers_at_the_end(path):
    words = [cell.source for cell in jupytext.read(path).cells if cell.cell_type == "markdown"]
    assert "**Question.**" in words[0]
    assert words[-1].startswith("## Answer") or words[-2].startswith("## Answer")
