"""``neurodyn emulate``: what it writes, and what it refuses before it trains."""

import json

import pytest

from neurodyn.cli.main import main
from neurodyn.emulation import HmmEmulator
from neurodyn.markov import linear_chain


def emulate(*words):
    return main(["emulate", *(str(word) for word in words)])


@pytest.mark.slow
def test_a_smoke_run(tmp_path, capsys, float32):
    options = ("--family", "chain", "--states", 2, "--hidden", 12, "--inputs", 6, "--scale", "smoke", "--seed", 3)
    assert emulate(*options, "--sequences", 384, "--out", tmp_path) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    expected = {
        "model": "chain2", "states": 2, "cell": "relu", "hidden": 12, "inputs": 6, "seed": 3, "scale": "smoke",
        "objective": "energy", "status": "finished", "epochs": 2, "kept_epoch": 2, "sinkhorn_batch": 128,
    }  # fmt: skip
    assert {name: summary[name] for name in expected} == expected
    for name in ("sinkhorn_validation", "sinkhorn_test", "sinkhorn_floor", "seconds", "training_seconds"):
        assert summary[name] > 0
    assert summary["sinkhorn_at_once"] == summary["sinkhorn_in_batches"] == summary["sinkhorn_test"]  # 128 in all
    assert summary["sinkhorn_best"] == min(HmmEmulator.load(tmp_path).history.validation)
    for name in ("transition_error_max", "frequency_error_max", "volatility_ratio", "verdict"):
        assert name in summary
    assert "<html" in (tmp_path / "match.html").read_text()
    assert (tmp_path / "match.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    loaded = HmmEmulator.load(tmp_path)
    assert [epoch for epoch, _ in loaded.snapshots] == [1, 2]
    assert summary["sinkhorn_validation"] == loaded.history.validation[-1]
    assert "chain2" in capsys.readouterr().out
    assert emulate(*options, "--sequences", 390, "--out", tmp_path) == 2
    assert "config.training.sequences: 384 there, 390 here" in capsys.readouterr().err


def write(path, **changes):
    path.write_text(json.dumps({**linear_chain(3).to_dict(), **changes}))
    return path


NEGATIVE = [[1.1, -0.1, 0.0], [0.2, 0.6, 0.2], [0.0, 0.2, 0.8]]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--family", "chain", "--states", 6], "stay with -0.0986"),
        (["--family", "ring"], "unknown family 'ring'"),
        (["--family", "chain", "--batch", 20_000], "batch is 20000, more than the 10000 sequences"),
        (["--family", "chain", "--scale", "big"], "unknown scale 'big'"),
        (["--family", "chain", "--cell", "lsmt"], "unknown cell 'lsmt'"),
        (["--family", "chain", "--hidden", 0], "hidden: expected a whole number of 1 or more, got 0"),
        (["--family", "chain", "--seed", -1], "argument --seed: expected a whole number from 0"),
        (["--family", "chain", "--seed", 3_000_000_000], "argument --seed: expected a whole number from 0"),
        (["--family", "chain", "--trials", 0], "argument --trials: expected a whole number of 1 or more"),
        (["--family", "chain", "--trials", 2], "--trials must be at least 10"),
        (["--family", "chain", "--hmm", "hmm.json"], "not allowed with argument"),
        ([], "one of the arguments --family --hmm --fit is required"),
        (["--hmm", "none.json"], "cannot read none.json"),
    ],
)
def test_options_that_cannot_be_used(tmp_path, capsys, words, message):
    assert emulate(*words, "--out", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"transitions": NEGATIVE}, "row 0 of transitions has a negative probability at column 1"),
        ({"emissions": [[0.5, 0.5], [1.0, 0.0]]}, "emissions must have one row for each of the 3 states"),
        ({"trial_steps": 0}, "trial_steps must be at least 1"),
        ({"trial_steps": 1}, "trials of one step have no transitions"),
        ({"trial_steps": "30"}, "trial_steps must be a whole number, got '30'"),
        ({"trial_steps": None}, "trial_steps must be a whole number, got None"),
        ({"name": 5}, "the name of a model must be text, got 5"),
    ],
)
def test_models_that_cannot_be_used(tmp_path, capsys, changes, message):
    path = write(tmp_path / "hmm.json", **changes)
    assert emulate("--hmm", path, "--out", tmp_path / "out") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["{", "[1, 2]"])
def test_files_that_hold_no_model(tmp_path, capsys, text):
    (tmp_path / "hmm.json").write_text(text)
    assert emulate("--hmm", tmp_path / "hmm.json", "--out", tmp_path / "out") == 2
    assert "JSON" in capsys.readouterr().err
