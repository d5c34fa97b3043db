"""The benchmark of whole fits at its smallest."""

import argparse

import numpy as np
import pytest

from neurodyn.benchmarks import fit
from neurodyn.errors import InputError


def arguments(**changes) -> argparse.Namespace:
    given = {"file": None, "config": None, "methods": ["ridge", "gru"], "epochs": 1, "seconds": 80.0, "seed": 0}
    return argparse.Namespace(**{**given, **changes})


def test_every_method_gets_seconds_and_a_score():
    report = fit.run(arguments())
    assert [row.name for row in report.measurements] == ["ridge", "gru"]
    for row in report.measurements:
        assert row.seconds > 0
        assert -10 < row.notes["R2 of the last fifth"] <= 1


def test_the_verdict_is_about_the_ratio():
    assert "1.40: reached" in fit._targets({fit.STUDENT: 10.0, "multiscale": 14.0}).popitem()[1]
    assert "1.60: missed" in fit._targets({fit.STUDENT: 10.0, "multiscale": 16.0}).popitem()[1]
    assert not fit._targets({"ridge": 1.0})


def test_an_unknown_method_is_refused():
    with pytest.raises(InputError, match="'grue'"):
        fit.run(arguments(methods=["grue"]))


def test_the_students_network_trains(monkeypatch):
    pytest.importorskip("torch")
    report = fit.run(arguments(methods=["student"]))
    assert np.isfinite(report.measurements[0].notes["R2 of the last fifth"])
