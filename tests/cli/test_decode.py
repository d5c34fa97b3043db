"""``neurodyn decode`` on real NWB files: what is refused, what is chosen, and one run from file to report."""

import json
import re
from dataclasses import replace

import jax
import numpy as np
import pytest
from recording.make_nwb import NEGATIVE, UNSORTED, place_spikes, write_nwb

from neurodyn.baselines import BASELINES, Baseline, VelocityKalman
from neurodyn.cli import decode
from neurodyn.cli.main import main
from neurodyn.cli.options import DecodeOptions
from neurodyn.errors import InputError, MissingExtraError
from neurodyn.multiscale import MultiscaleDecoder
from neurodyn.recording import read_nwb

SHIFTED = tuple(train + 100.0 for train in place_spikes(2, 10.0, 0))


def still(times):
    """A position of which one axis never moves."""

    def add(file):
        from pynwb.behavior import Position, SpatialSeries

        data = np.stack([np.sin(times), np.full(len(times), 0.5)], axis=1)
        series = SpatialSeries(name="position", data=data, reference_frame="corner", unit="m", timestamps=times)
        file.create_processing_module(name="behavior", description="behavior").add(Position(spatial_series=series))

    return add


def dead_channel(file):
    """A field of two channels of which the second is never recorded."""
    from pynwb.ecephys import ElectricalSeries

    data = np.random.default_rng(0).normal(size=(5000, 2))
    data[:, 1] = np.nan
    group = file.create_electrode_group(
        name="probe", description="probe", location="here", device=file.create_device(name="device")
    )
    for _ in range(2):
        file.add_electrode(group=group, location="here")
    region = file.create_electrode_table_region(region=[0, 1], description="all")
    file.add_acquisition(ElectricalSeries(name="lfp", data=data, electrodes=region, rate=250.0, starting_time=0.0))


# What the file is like, what the command asks for, and what the one line has to say.
BAD = {
    "no units": ({"units": ()}, [], "has no units"),
    "no units, asked for": ({"units": ()}, ["--modalities", "spikes"], "has no units"),
    "no units and no field": ({"units": (), "lfp_rate": None}, [], "neither spikes nor a field potential"),
    "unknown modality": ({}, ["--modalities", "spikes,lfq"], "unknown modality 'lfq': did you mean 'lfp'"),
    "no field, asked for": ({"lfp_rate": None}, ["--modalities", "field"], "has no field"),
    "one modality twice": ({}, ["--modalities", "lfp,field"], "modalities name the same data twice: lfp, field"),
    "unknown target": ({}, ["--target", "positoin"], "unknown target 'positoin': did you mean 'position'"),
    "no target": ({}, ["--target", ""], "expected names separated by commas"),
    "no behaviour": ({"position_rate": None}, [], "target 'position' needs one position series"),
    "unknown interval": ({"trials": 2}, ["--interval", "trails"], "unknown interval 'trails': did you mean 'trials'"),
    "interval outside": ({}, ["--interval", "50-60"], "lies outside the recorded"),
    "unsorted spikes": ({"units": UNSORTED}, [], "are not sorted"),
    "negative spikes": ({"units": NEGATIVE}, [], "has a negative spike time"),
    "bins too wide": ({}, ["--width", "30"], "the bin width of 30 s is longer than"),
    "all-NaN channel": ({"lfp_rate": None, "extra": dead_channel}, [], "has no observed sample (all NaN)"),
    "constant target": (
        {"position_rate": None, "extra": still(np.arange(0, 20, 0.02))}, [], "target 'y' is constant in the time",
    ),
    "no overlap in time": ({"units": SHIFTED}, ["--target", "position"], "do not overlap in time"),
    "unknown method": ({}, ["--methods", "multiscale,kalmann"], "unknown method 'kalmann': did you mean 'kalman'"),
    "baselines alone": ({}, ["--methods", "kalman,ridge"], "--methods needs 'multiscale' among them"),
    "one fold": ({}, ["--folds", "1"], "cross-validation needs at least 2 folds, got 1"),
    "more folds than bins": ({}, ["--folds", "500"], "500 folds need at least 500 bins"),
    "gaps eat the training": ({}, ["--folds", "2", "--gap", "30"], "nothing left to train on"),
    "slower sampling no multiple": ({}, ["--field-width", "0.07"], "must be a multiple of the bin width"),
    "band beyond the sampling": ({}, ["--bands", "100-200"], "100"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_exit_code_2_and_nothing_written(tmp_path, capsys, name):
    made, options, words = BAD[name]
    path = write_nwb(tmp_path / "session.nwb", **made)
    target = [] if "--target" in options else ["--target", "position"]
    assert_refused(tmp_path, capsys, [str(path), *target, *options], words)


def test_files_that_are_none(tmp_path, capsys):
    assert_refused(tmp_path, capsys, [str(tmp_path / "none.nwb"), "--target", "x"], "there is no file")
    (tmp_path / "text.nwb").write_text("hello")
    assert_refused(tmp_path, capsys, [str(tmp_path / "text.nwb"), "--target", "x"], "is not a recording that")
    good = write_nwb(tmp_path / "good.nwb")
    assert_refused(tmp_path, capsys, [str(good)], "there is no target to decode")


def test_a_folder_that_cannot_be_written(tmp_path, capsys):
    path = write_nwb(tmp_path / "session.nwb")
    blocked = tmp_path / "file" / "out"
    (tmp_path / "file").write_text("in the way")
    before = sorted(tmp_path.rglob("*"))
    assert main(["decode", str(path), "--target", "position", "--folds", "2", "--out", str(blocked)]) == 2
    printed = capsys.readouterr()
    assert "cannot write to the folder" in printed.err
    assert printed.err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def assert_refused(tmp_path, capsys, arguments, words):
    before = sorted(tmp_path.rglob("*"))
    assert main(["decode", *arguments, "--out", str(tmp_path / "deep" / "out")]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("neurodyn: error: ")
    assert words in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""
    assert sorted(tmp_path.rglob("*")) == before


def test_modalities_are_what_the_file_has(tmp_path):
    both = read_nwb(write_nwb(tmp_path / "both.nwb"))
    spikes = read_nwb(write_nwb(tmp_path / "spikes.nwb", lfp_rate=None))
    field = read_nwb(write_nwb(tmp_path / "field.nwb", units=()))

    def methods(recording, **options):
        study = decode.build_study(recording, DecodeOptions(("position",), folds=2, **options))
        return {m.name: (m.modalities, m.stream) for m in study.methods}

    pair = ("spikes", "field")
    assert methods(both) == {
        "multimodal": (pair, True), "spikes": (("spikes",), False), "field": (("field",), False),
        "gru": (pair, False),
        "ridge": (pair, False), "ridge spikes": (("spikes",), False), "ridge field": (("field",), False),
    }  # fmt: skip
    alone = {"spikes": (("spikes",), True), "gru": (("spikes",), False), "ridge": (("spikes",), False)}
    assert methods(spikes) == methods(both, modalities=("spikes",)) == alone
    kalman = methods(spikes, methods=("multiscale", "kalman"))
    assert kalman == {"spikes": (("spikes",), True), "kalman": (("spikes",), False)}
    blind = methods(both, methods=("multiscale", "multiscale-unsupervised", "gru", "ridge"))
    assert blind == {**methods(both), "multiscale-unsupervised": (pair, False)}
    assert methods(field, modalities=("field",)) == methods(both, modalities=("lfp",))
    with pytest.raises(InputError, match="say  --modalities field"):
        methods(field)


def test_options_reach_bins_folds_and_model(tmp_path):
    recording = read_nwb(write_nwb(tmp_path / "session.nwb"))
    options = DecodeOptions(
        ("position", "log_speed"), width=0.1, bands=(), field_width=0.2, interval=(0.0, 16.0), folds=2, gap=1.0,
        lead_in=3.0, latent=7, epochs=9, seed=4,
    )  # fmt: skip
    study = decode.build_study(recording, options)
    assert study.batch.target_names == ("x", "y", "log_speed")
    assert study.batch.n_bins == pytest.approx(160, abs=2)
    assert (study.batch.modality("field").sample_every, study.batch.modality("field").n_channels) == (2, 2)
    assert study.folds[1].test.lead.tolist() == [30]
    model = study.methods[0].decoder
    assert (model.latent, model.training.epochs, model.training.seed) == (7, 9, 4)
    both = decode.build_study(recording, replace(options, methods=("multiscale", "multiscale-unsupervised")))
    (blind,) = [method.decoder for method in both.methods if method.name == "multiscale-unsupervised"]
    assert (model.supervised, blind.supervised) == (True, False)
    assert (blind.latent, blind.training, blind.objective.target) == (7, model.training, 0.0)
    assert (blind.recurrent, blind.traces) == (None, ())
    bands = decode.build_study(recording, DecodeOptions(("position",), bands=((4.0, 8.0),), folds=2))
    assert bands.batch.modality("field").n_channels == 2


def test_a_method_whose_package_is_missing_is_refused_at_once(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    decode.check_methods(DecodeOptions(("position",), methods=("multiscale", "ridge")))
    with pytest.raises(MissingExtraError, match=r"the package 'sklearn': .* pip install '.\[trees\]'"):
        decode.check_methods(DecodeOptions(("position",), methods=("multiscale", "trees", "wiener")))


def test_a_folder_that_is_no_model_is_not_written_over(tmp_path, capsys):
    path, out = write_nwb(tmp_path / "session.nwb", units=3, lfp_rate=None), tmp_path / "out"
    (out / "model").mkdir(parents=True)
    (out / "model" / "notes.txt").write_text("mine")
    assert main(["decode", str(path), "--target", "position", "--out", str(out), "--save-model"]) == 2
    assert "is no model: choose another folder" in capsys.readouterr().err
    assert [p.name for p in out.iterdir()] == ["model"]


@pytest.mark.slow
def test_from_file_to_report(tmp_path, capsys, float32, monkeypatch):
    """As users have JAX: single precision, and the standard promotion that optax's Adam needs.

    With a baseline of one's own, which is one line in a table.
    """
    monkeypatch.setitem(BASELINES, "own", Baseline("a filter of my own", lambda _: VelocityKalman((3,))))
    path = write_nwb(tmp_path / "session.nwb", units=3, lfp_rate=None)
    config = tmp_path / "options.yaml"
    config.write_text(
        "target: position\nwidth: 200ms\nfolds: 2\nepochs: 1\nlatent: 2\nlead_in: 1\ngap: 1\njobs: 1\n"
        "methods: [multiscale, own, kalman, ridge]\n"
    )
    out = tmp_path / "deep" / "out"
    with jax.numpy_dtype_promotion("standard"):
        command = ["decode", str(path), "--out", str(out), "--config", str(config), "--seed", "3", "--save-model"]
        assert main(command) == 0
    assert sorted(p.name for p in out.iterdir()) == ["figures", "model", "report.html", "summary.json"]
    assert MultiscaleDecoder.load(out / "model").realtime().step({"spikes": np.zeros(3)}, 0.2).target.shape == (2,)
    summary = json.loads((out / "summary.json").read_text())
    assert set(summary["methods"]) == {"spikes", "own", "kalman", "ridge"}
    for estimates in summary["methods"].values():
        for metrics in estimates.values():
            for part in metrics.values():
                assert part["mean"] == pytest.approx(np.mean(part["per_fold"]))
                assert part["mean"] == pytest.approx(np.mean(list(part["per_dimension"].values())))
                assert set(part["per_dimension"]) == {"x", "y"}
    latency = summary["latency_us"]
    assert 0 < latency["p50"] <= latency["p95"] <= latency["p99"]
    assert summary["online_offline_max_abs_difference"] < 1e-4
    assert summary["fit_seconds"] > 0
    assert summary["seed"] == 3
    assert summary["sizes"]["channels"] == {"spikes": 3}
    assert {"neurodyn", "jax", "numpy", "python"} <= set(summary["versions"])
    printed = capsys.readouterr().out
    assert "by a filter of my own" in " ".join(printed.split())
    assert re.search(r"spikes +supervised +filtered +-?\d\.\d\d ± \d\.\d\d", printed)
    assert str(out / "report.html") in printed
