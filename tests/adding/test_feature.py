"""A feature of a field is added as one file, an import and a line of its page, and is the same offline and live."""

from dataclasses import replace

import numpy as np
import pytest
from adding.plug_in import add

from neurodyn.binning import FEATURES, Field, to_bins
from neurodyn.cli.decode import build_study
from neurodyn.cli.options import DecodeOptions, merge
from neurodyn.cli.parsers import feature
from neurodyn.errors import InputError
from neurodyn.realtime import StreamingBinner
from neurodyn.realtime.inputs import binner_inputs
from neurodyn.recording import Recording, Signal
from neurodyn.simulation import ForagingSettings, simulate_foraging

RATE, WIDTH, LOST = 200.0, 0.05, range(130, 143)
"""Samples that were never taken, in several bins."""


@pytest.fixture(autouse=True)
def added(tmp_path, monkeypatch):
    return add("feature", tmp_path, FEATURES, {}, monkeypatch)


@pytest.fixture
def signal():
    """Three seconds of two channels: a gap in the stamps, and a sample of one channel missing."""
    values = np.random.default_rng(0).normal(size=(600, 2))
    values[300, 1] = np.nan
    kept = np.setdiff1d(np.arange(600), LOST)
    return Signal("lfp", values[kept], timestamps=kept / RATE, channels=("a", "b"), unit="mV")


def binned(signal, added, width=None):
    recording = Recording("made", fields={"lfp": signal})
    field = Field("lfp", feature=added.LineLength(), width=width)
    return to_bins(recording, width=WIDTH, modalities=[field], target=())


def test_offline_it_is_a_loop_over_the_samples(signal, added):
    batch = binned(signal, added)
    assert batch.modality("lfp").channels == ("a line length", "b line length")
    assert batch.modality("lfp").unit == "mV"
    known = {round(time * RATE): value for time, value in zip(signal.times, np.asarray(signal.values), strict=True)}
    for bin_, end in enumerate(batch.time):
        ticks = range(round((end - WIDTH) * RATE), round(end * RATE))
        for channel in range(2):
            steps = [
                abs(known.get(tick, [np.nan, np.nan])[channel] - known.get(tick - 1, [np.nan, np.nan])[channel])
                for tick in ticks
            ]
            assert batch.observed["lfp"][bin_, channel] == np.isfinite(steps).all()
            expected = np.mean(steps) if np.isfinite(steps).all() else 0.0
            np.testing.assert_allclose(batch.observations["lfp"][bin_, channel], expected, rtol=1e-6)
    assert 0 < batch.observed["lfp"].sum() < batch.observed["lfp"].size


@pytest.mark.parametrize("width", [None, 0.1])
def test_live_it_is_the_same(signal, added, width):
    batch = binned(signal, added, width)
    (source,) = binner_inputs(batch.modalities, WIDTH, {"lfp": RATE})
    assert (source.feature, source.labels) == (added.LineLength(), ("a", "b"))
    start = float(batch.time[0]) - WIDTH
    binner, bins = StreamingBinner([source], WIDTH, start=start), []
    for rows in np.array_split(np.arange(signal.n_samples), 97):
        binner.push_samples("lfp", np.asarray(signal.values)[rows], signal.times[rows])
        bins += binner.ready(float(signal.times[rows[-1]]))
    live = [each.observations["lfp"] for each in bins]
    live = np.array([np.full(2, np.nan) if each is None else each for each in live])
    offline = np.where(batch.observed["lfp"], batch.observations["lfp"], np.nan)[: len(live)]
    assert len(live) > 50
    assert np.isfinite(live).any()
    np.testing.assert_array_equal(live, offline)


def test_the_command_knows_it():
    recording = simulate_foraging(ForagingSettings(seconds=20.0, units=2), seed=0)
    options = DecodeOptions(("position",), width=0.1, folds=2, gap=1.0, methods=("multiscale", "ridge"))
    study = build_study(recording, merge({"feature": feature("line_length")}, vars(options)))
    assert all(name.endswith(" line length") for name in study.batch.modality("field").channels)
    assert study.settings["field"] == "line length"
    with pytest.raises(InputError, match="unknown feature of a field 'line_lenght': did you mean 'line_length'"):
        feature("line_lenght")
    with pytest.raises(InputError, match="give one of the two"):
        build_study(recording, replace(options, feature="line_length", bands=((1.0, 4.0),)))
