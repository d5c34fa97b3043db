"""What a study writes and prints, with decoders that cost nothing."""

import io
import json

import numpy as np
import pytest
from evaluation.stubs import Interrupted, Leaky
from rich.console import Console

from neurodyn.baselines import CausalRidge
from neurodyn.binning import trial_folds
from neurodyn.cli import demo
from neurodyn.cli.main import main
from neurodyn.cli.study import Study, output_folder, run_study
from neurodyn.errors import InputError
from neurodyn.evaluation import Method
from neurodyn.simulation import LorenzSettings, simulate_lorenz

BOTH = ("spikes", "field")


@pytest.fixture(scope="module")
def study():
    batch = simulate_lorenz(LorenzSettings(n_trials=12, seconds=0.4), seed=0)
    methods = (Method("multimodal", Leaky(), BOTH, stream=True), Method("ridge", CausalRidge(), BOTH))
    folds = tuple(trial_folds(batch, 2, seed=0))
    return Study("a [study] of <things>", batch, folds, methods, seed=5, jobs=1, settings={"colour": "<blue>"})


def test_report_and_summary(tmp_path, study):
    screen = io.StringIO()
    summary = run_study(study, tmp_path / "out", console=Console(file=screen, width=100))
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["figures", "report.html", "summary.json"]
    assert json.loads((tmp_path / "out" / "summary.json").read_text()) == summary
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 7
    assert "http" not in page.replace("</html>", "")
    assert "a [study] of &lt;things&gt;" in page
    assert "&lt;blue&gt;" in page
    assert "<things>" not in page
    text = screen.getvalue()
    assert max(map(len, text.splitlines())) <= 100
    found = summary["differences"]["multimodal minus ridge"]["filtered"]["r2"]["mean"]
    shown = f"{found['difference']:+.3f} [{found['low']:+.3f}, {found['high']:+.3f}]"
    assert shown in text
    assert shown in page
    mean = summary["methods"]["ridge"]["filtered"]["r2"]["mean"]
    assert f"{mean:.2f} by causal ridge regression" in text.replace("\n", " ")
    assert "report: " in text


def test_an_interrupted_study_leaves_nothing_new(tmp_path, study, capsys, monkeypatch):
    stopped = Study("stopped", study.batch, study.folds, (Method("one", Interrupted(), BOTH),), jobs=1)
    with pytest.raises(KeyboardInterrupt):
        run_study(stopped, tmp_path / "new" / "out")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(demo, "build_study", lambda *_, **__: stopped)
    assert main(["demo", "--out", str(tmp_path / "out")]) == 130
    assert capsys.readouterr().err.strip().endswith("neurodyn: stopped")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_files_is_kept(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="fails"), output_folder(tmp_path):
        raise ValueError("fails")
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(InputError, match="cannot write to the folder"), output_folder(tmp_path / "out"):
        pass
    assert (tmp_path / "out").read_text() == "mine"


def test_demo_builds_its_study_from_the_seed():
    sizes = demo.DemoSizes(trials=6, seconds=0.2, epochs=3)
    one, same, other = (demo.build_study(sizes, folds=2, seed=s) for s in (1, 1, 2))
    names = ["multimodal", "spikes", "field", "gru", "ridge", "ridge spikes", "ridge field"]
    assert [m.name for m in one.methods] == names
    np.testing.assert_array_equal(one.batch.target, same.batch.target)
    assert not np.array_equal(one.batch.target, other.batch.target)
    assert one.batch.modality("field").sample_every == 5
    assert 0.1 < 1 - one.batch.observed["spikes"].mean() < 0.3
    assert one.methods[0].decoder.training.seed == 1
    assert one.methods[0].decoder.training.epochs == 3


def test_demo_runs(tmp_path, monkeypatch):
    """From the command to the report, the model replaced by a decoder that costs nothing."""
    monkeypatch.setattr("neurodyn.multiscale.MultiscaleDecoder", lambda **_: Leaky())
    out = tmp_path / "out"
    assert (
        main(
            ["demo", "--out", str(out), "--trials", "8", "--folds", "2", "--seed", "7", "--jobs", "1", "--epochs", "2"]
        )
        == 0
    )
    summary = json.loads((out / "summary.json").read_text())
    alone = {"ridge spikes", "ridge field"}
    assert set(summary["methods"]) == {"multimodal", "spikes", "field", "gru", "ridge"} | alone
    assert set(summary["intervals"]) == set(summary["methods"])
    assert 0.5 < summary["intervals"]["ridge"]["coverage"]["95%"] <= 1
    pairs = {"multimodal minus spikes", "multimodal minus field", "multimodal minus gru", "multimodal minus ridge"}
    assert set(summary["differences"]) == pairs | {f"ridge minus {one}" for one in alone}
    assert summary["seed"] == 7
    assert summary["sizes"]["trials"] == 8
    assert summary["online_offline_max_abs_difference"] < 1e-4
