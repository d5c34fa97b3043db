"""A baseline is added as one file, an import and a line, those of its page, and is then compared by the command."""

from dataclasses import replace

import numpy as np
import pytest
from adding.plug_in import add

from neurodyn import baselines
from neurodyn.baselines import BASELINES
from neurodyn.binning import holdout, to_bins
from neurodyn.cli.decode import build_study
from neurodyn.cli.main import main
from neurodyn.cli.options import DecodeOptions
from neurodyn.evaluation import cross_validate
from neurodyn.report.summary import finding
from neurodyn.simulation import ForagingSettings, simulate_foraging, write_nwb


@pytest.fixture(autouse=True)
def added(tmp_path, monkeypatch):
    return add("baseline", tmp_path, BASELINES, vars(baselines), monkeypatch)


@pytest.fixture(scope="module")
def recording():
    return simulate_foraging(ForagingSettings(seconds=40.0, units=6), seed=0)


def test_it_finds_the_bins_that_are_most_alike(recording, added):
    """Against distances to all training bins, one by one."""
    fold = holdout(to_bins(recording, width=0.1, modalities="spikes", target="position"))
    fitted = added.NearestBins(neighbours=7).fit(fold.train)
    train, test = fold.train.stacked(), fold.test.stacked()
    counts, place = (part[train.scored()] for part in (train.observations["spikes"], train.target))
    found = fitted.predict(fold.test)
    for t in range(0, 20):
        away = np.linalg.norm(np.sqrt(counts) - np.sqrt(test.observations["spikes"][0, t]), axis=1)
        near = np.sort(away)[6]
        farther, chosen = place[away > near + 1e-4], place[away < near - 1e-4]
        assert len(chosen) <= 7 <= len(place) - len(farther)
        if len(chosen) == 7 or len(place) - len(farther) == 7:  # no ties: those and no others
            kept = place[away <= near + 1e-4]
            np.testing.assert_allclose(found["target"][0, t], kept.mean(axis=0), rtol=1e-4)
    assert fitted.score(fold.test).dims == fold.train.target_names


def test_the_command_compares_it(recording, tmp_path, capsys):
    """The study that the command builds, without the network, whose training is not what is tested here."""
    options = DecodeOptions(("position",), ("spikes",), width=0.2, folds=2, gap=1.0, methods=("multiscale", "nearest"))
    study = build_study(recording, options)
    assert [method.name for method in study.methods] == ["spikes", "nearest"]
    methods = [replace(study.methods[1], name="spikes"), study.methods[1]]  # the first in the place of the model
    result = cross_validate(methods, study.folds)
    assert all(np.isfinite(score.r2).all() for score in result.scores("nearest"))
    assert "by the mean of the bins most alike" in finding(result)
    write_nwb(recording, tmp_path / "session.nwb")
    words = ["decode", str(tmp_path / "session.nwb"), "--target", "position", "--methods", "multiscale,neares"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 2
    assert "unknown method 'neares': did you mean 'nearest'" in capsys.readouterr().err
