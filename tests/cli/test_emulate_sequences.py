"""``neurodyn emulate --fit FILE``: symbol sequences of any lengths are read, fitted and emulated."""

import json

import numpy as np
import pytest
from scipy.io import savemat

from neurodyn.cli import fitted_hmm
from neurodyn.cli.fitted_hmm import fit_file, read_symbols
from neurodyn.cli.main import main
from neurodyn.errors import InputError
from neurodyn.markov import HiddenMarkovModel, align_states, log_likelihood, sample

ROWS = [[3, 1, -1, 3], [2, 1], [1, 1, 2]]
SLOW = HiddenMarkovModel([0.5, 0.5], [[0.95, 0.05], [0.05, 0.95]], [[0.9, 0.1], [0.1, 0.9]], "slow", 30)


def as_csv(path):
    (path / "a.csv").write_text("3, 1, , 3\n\n2,1,,\n1,1,2\n")
    return path / "a.csv"


def as_blanks(path):
    (path / "a.txt").write_text("3 1 nan 3\n2 1\n1 1 2\n")
    return path / "a.txt"


def as_npz(path):
    np.savez(path / "a.npz", *[np.array(row) for row in ROWS])
    return path / "a.npz"


def as_npy(path):
    np.save(path / "a.npy", np.array([[3, 1, np.nan, 3], [2, 1, np.nan, np.nan], [1, 1, 2, -1]]))
    return path / "a.npy"


def as_cells(path):
    cells = np.empty((1, 3), object)
    cells[0] = [np.array(row, float) for row in ROWS]
    savemat(path / "a.mat", {"trials": cells})
    return path / "a.mat"


@pytest.mark.parametrize("write", [as_csv, as_blanks, as_npz, as_npy, as_cells])
def test_every_format_holds_the_same_sequences(tmp_path, write):
    found = read_symbols(write(tmp_path))
    assert found.labels == ("1", "2", "3")
    assert [row.tolist() for row in found.sequences] == [[2, 0, -1, 2], [1, 0], [0, 0, 1]]


def test_labels_are_words_or_numbers(tmp_path):
    (tmp_path / "a.csv").write_text("left;right;10\n9;left\n")
    found = read_symbols(tmp_path / "a.csv")
    assert found.labels == ("9", "10", "left", "right")
    assert [row.tolist() for row in found.sequences] == [[2, 3, 1], [0, 2]]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.csv", None, "there is no file"),
        ("a.xlsx", b"", r"must be a .npz, .npy, .mat, .csv, .txt, .tsv file"),
        ("a.csv", b"\n,,\n", "holds no sequence of symbols"),
        ("a.csv", b"\xff\xfe\x00", "as text"),
        ("a.csv", ",".join(str(one / 7) for one in range(99)).encode(), "has 99 different values, more than the 50"),
        ("a.npz", b"PK", "as NumPy arrays"),
        ("a.mat", b"no", "is not a MATLAB file"),
    ],
)
def test_files_that_hold_no_symbols(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_symbols(tmp_path / name)


def test_measurements_are_no_symbols(tmp_path):
    np.savez(tmp_path / "a.npz", trial=np.array([0.5, 1.0]))
    with pytest.raises(InputError, match=r"'trial' in .* must hold whole numbers, got 0.5: are these measurements"):
        read_symbols(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", trial=np.zeros((2, 2, 2)))
    with pytest.raises(InputError, match=r"vector or a matrix .* got float64 of shape \(2, 2, 2\)"):
        read_symbols(tmp_path / "a.npz")


def ragged_file(path, trials=24):
    symbols = sample(SLOW, trials, 50, seed=0).symbols
    rows = [row[: 30 + number] for number, row in enumerate(symbols)]
    path.write_text("\n".join(",".join("LR"[symbol] for symbol in row) for row in rows))
    return rows


@pytest.mark.slow
def test_the_number_of_states_is_chosen_and_the_model_found(tmp_path, monkeypatch):
    monkeypatch.setattr(fitted_hmm, "CANDIDATES", (1, 2, 3))
    monkeypatch.setattr(fitted_hmm, "FOLDS", 2)
    rows = ragged_file(tmp_path / "mouse.csv", trials=40)
    found = fit_file(tmp_path / "mouse.csv", None, seed=0)
    assert found.labels == ("L", "R")
    assert (found.hmm.name, found.hmm.states, found.hmm.trial_steps) == ("mouse", 2, 50)
    assert found.choice.chosen == found.facts["choice"]["chosen"] == 2
    assert found.facts["log_likelihood"] >= log_likelihood(SLOW, rows).sum()
    np.testing.assert_allclose(align_states(found.hmm, SLOW).emissions, SLOW.emissions, atol=0.05)


def test_too_little_to_choose_by(tmp_path):
    (tmp_path / "a.csv").write_text("0,1,1,0\n")
    with pytest.raises(InputError, match=r"has one sequence: say how many hidden states there are \(--states\)"):
        fit_file(tmp_path / "a.csv", None, seed=0)
    (tmp_path / "a.csv").write_text("0\n1\n1\n")
    with pytest.raises(InputError, match="most sequences have a single step"):
        fit_file(tmp_path / "a.csv", 2, seed=0)


@pytest.mark.slow
def test_from_a_file_to_a_network(tmp_path, capsys, float32):
    ragged_file(tmp_path / "mouse.csv")
    out = tmp_path / "out"
    words = ["--fit", tmp_path / "mouse.csv", "--states", 2, "--hidden", 8, "--inputs", 4, "--scale", "smoke"]
    assert main(["emulate", *map(str, [*words, "--sequences", 384, "--out", out])]) == 0
    error = capsys.readouterr().err
    assert "24 sequences of the symbols L, R" in error
    assert "2 hidden states" in error
    assert json.loads((out / "summary.json").read_text())["model"] == "mouse"
    facts = json.loads((out / "fit.json").read_text())
    assert (facts["symbols"], facts["states"], facts["choice"]) == (["L", "R"], 2, None)
    assert HiddenMarkovModel.from_dict(json.loads((out / "hmm.json").read_text())).states == 2


def test_a_file_that_cannot_be_read_leaves_nothing_behind(tmp_path, capsys):
    assert main(["emulate", "--fit", str(tmp_path / "none.csv"), "--out", str(tmp_path / "out")]) == 2
    assert "there is no file" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
