"""A model on disk: whole or not there, of this version or brought up to it, and only for data like its own."""

import json
import os
import time
import tracemalloc
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType

import h5py
import numpy as np
import pytest
import xarray as xr
from oracles.frozen_decoder import untrained

from neurodyn.errors import InputError
from neurodyn.multiscale import MultiscaleDecoder, storage
from neurodyn.multiscale.fitted import Readout, variance_sources
from neurodyn.multiscale.stored_settings import stored_config
from neurodyn.realtime import RealtimeDecoder
from neurodyn.targets import LinearTarget, LinearVariance, memory_size
from neurodyn.training import save_checkpoint, store
from neurodyn.versions import versions

FIXTURES = Path(__file__).parents[1] / "fixtures"


@pytest.fixture
def saved(spikes_decoder, tmp_path):
    spikes_decoder.save(tmp_path / "model")
    return tmp_path / "model"


def change(saved, **settings):
    path = saved / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))


def test_a_directory_says_what_it_holds(saved, spikes_decoder):
    settings = json.loads((saved / "model.json").read_text())
    assert sorted(os.listdir(saved)) == sorted(["model.json", settings["arrays"]])
    assert (settings["format"], settings["version"]) == ("neurodyn-model", 6)
    assert settings["modalities"][0]["channels"] == list(spikes_decoder.fitted_.modalities[0].channels)
    assert settings["provenance"]["versions"] == versions()
    assert settings["width_seconds"] == spikes_decoder.fitted_.width


def test_units_come_back(spikes_decoder, lorenz_batch, tmp_path):
    fitted = replace(single_map(spikes_decoder.fitted_), bounds=None)
    rows = tuple(replace(row, unit="spikes per bin") for row in fitted.modalities)
    named = replace(spikes_decoder, fitted_=replace(fitted, modalities=rows, target_units=("m", "m", "")))
    named.save(tmp_path / "model")
    found = MultiscaleDecoder.load(tmp_path / "model").fitted_
    assert found.target_units == ("m", "m", "")
    assert found.modalities == rows
    batch = lorenz_batch[1].with_modalities(["spikes"])
    other = replace(batch, modalities=tuple(replace(row, unit="hertz") for row in batch.modalities))
    with pytest.raises(InputError, match="'spikes' was fitted in spikes per bin, the batch is in hertz"):
        found.check(other)


def test_another_rate_is_refused(spikes_decoder, lorenz_batch):
    batch = lorenz_batch[1].with_modalities(["spikes"])
    rows = tuple(replace(row, sample_every=5) for row in batch.modalities)
    with pytest.raises(InputError, match=r"with a sample every 0\.01 s, the batch has one every 0\.05 s"):
        spikes_decoder.predict(replace(batch, modalities=rows))


def test_the_first_version_is_brought_up_to_date(spikes_decoder, lorenz_batch, tmp_path):
    """As version 1 wrote it: one HDF5 file, no units, no checksum, no version among the settings, no bounds."""
    fitted = replace(single_map(spikes_decoder.fitted_), bounds=None)
    rows = [{k: v for k, v in asdict(row).items() if k != "unit"} for row in fitted.modalities]
    settings = {
        "kind": "multiscale",
        "config": {k: v for k, v in asdict(fitted.config).items() if k != "recurrent"},
        "modalities": rows,
        "target_names": list(fitted.target_names),
        "width_seconds": fitted.width,
        "history": asdict(fitted.history),
        "status": fitted.status,
        "provenance": {"python": "3.11.0"},
        "dtype": "float64",
    }
    save_checkpoint(tmp_path / "old.h5", storage._arrays(fitted), settings)
    loaded = MultiscaleDecoder.load(tmp_path / "old.h5")
    assert loaded.fitted_.target_units == ()
    expected = replace(spikes_decoder, fitted_=fitted)
    xr.testing.assert_identical(loaded.predict(lorenz_batch[1]), expected.predict(lorenz_batch[1]))


def single_map(fitted):
    """The model as it was when the target was read out by one linear map of states and traces."""
    parts = {}
    for name in ("filtered", "smoothed"):
        readout = getattr(fitted, name)
        experts, n = readout.experts, len(readout.experts)
        mean = LinearTarget(
            np.concatenate([one.weights for one in experts]) / n,
            *(
                np.mean([getattr(one, part) for one in experts], axis=0)
                for part in ("intercept", "penalty", "residual_covariance")
            ),
        )
        parts[name] = Readout.of_one(mean, readout.usual_variance)
    return replace(fitted, **parts, recurrent=None, config=replace(fitted.config, recurrent=None))


def test_a_model_of_the_second_version_decodes_as_it_did(lorenz_batch, float32):
    model = MultiscaleDecoder.load(FIXTURES / "format_2" / "model")
    with np.load(FIXTURES / "format_2" / "expected.npz") as expected:
        found = model.predict(lorenz_batch[1])
        np.testing.assert_allclose(found["target"], expected["filtered"], atol=1e-4)
        np.testing.assert_allclose(found["deviation"], expected["deviation"], rtol=1e-3)
        np.testing.assert_allclose(
            model.predict(lorenz_batch[1], smoothed=True)["target"], expected["smoothed"], atol=1e-4
        )
        test, names = lorenz_batch[1], lorenz_batch[1].names
        for live in (model.realtime(), RealtimeDecoder.load(FIXTURES / "format_2" / "decoder.npz")):
            for t in range(30):
                bins = {n: np.where(test.observed[n][t], test.observations[n][t], np.nan) for n in names}
                out = live.step(bins, 0.01 * t)
                np.testing.assert_allclose(out.target, expected["live"][t], atol=1e-4)
                np.testing.assert_allclose(out.upper, expected["upper"][t], atol=1e-3)
            # Snapshots that were taken with it are still of this model.
            assert live.snapshot()["model"].tobytes().hex().startswith("ef545b23c84cceaf")


def test_a_model_of_the_third_version_decodes_as_it_did(tmp_path, decoder, lorenz_batch):
    """Its variance is a sum, and its memory of what was lost begins empty."""
    parts = {}
    for name in ("filtered", "smoothed"):
        readout = getattr(decoder.fitted_, name)
        features = 2 + memory_size(2, channels=False)
        slopes = np.linspace(0.1, 0.4, features * len(readout.centre)).reshape(features, -1)
        parts[name] = replace(readout, variance_model=LinearVariance(np.full(len(readout.centre), 0.5), slopes))
    expected = replace(decoder, fitted_=replace(decoder.fitted_, **parts))
    expected.save(tmp_path / "old")
    path = tmp_path / "old" / "model.json"
    settings = json.loads(path.read_text())
    assert settings.pop("variance") == "linear"
    assert settings.pop("lost_channels") is False
    path.write_text(json.dumps({**settings, "version": 3}))
    test = lorenz_batch[1]
    found = MultiscaleDecoder.load(tmp_path / "old")
    xr.testing.assert_identical(found.predict(test), expected.predict(test))
    readout, live = expected.fitted_.filtered, found.realtime()
    evidence = expected.fitted_.evidence(test, smooth=False)
    assert evidence.memory[:, 0].max() < 1  # empty before the first bin
    excess, recurrent_variance, memory = variance_sources(evidence, readout.usual_variance)
    slopes = readout.variance_model.slopes
    assert recurrent_variance is None  # this decoder has no recurrent network
    variance = 0.5 + slopes[0] * excess + memory @ slopes[2:]
    np.testing.assert_allclose(found.predict(test)["deviation"][0] ** 2, variance[0], rtol=1e-6)
    for t in range(30):
        at = int(test.starts[0]) + t
        bins = {n: np.where(test.observed[n][at], test.observations[n][at], np.nan) for n in test.names}
        out = live.step(bins, 0.01 * t)
        half = (out.upper - out.lower) / 2
        np.testing.assert_allclose((half / 1.959963984540054) ** 2, variance[0, t], rtol=1e-3)


def without_channels(fitted):
    """As versions 4 and 5 fitted it: neither variance nor weights follow lost channels."""
    parts = {}
    for name in ("filtered", "smoothed"):
        readout = getattr(fitted, name)
        assert readout.follows_channels
        slopes = readout.variance_model.slopes
        memories, fewer = len(slopes) // 2, memory_size(2, channels=False)
        kept = np.r_[0, 1 : 1 + fewer, 1 + memories : 1 + memories + fewer]
        parts[name] = replace(readout, variance_model=replace(readout.variance_model, slopes=slopes[kept]))
    return replace(fitted, **parts)


def test_a_model_of_the_fourth_version_is_the_same(tmp_path, lorenz_batch):
    """It had other names for what training hides from the recurrent network."""
    fitted = without_channels(untrained(lorenz_batch[0], latent=3, modality_state=3, embedding=3))
    storage.save_fitted(tmp_path / "model", fitted)
    path = tmp_path / "model" / "model.json"
    settings = json.loads(path.read_text())
    recurrent = settings["config"]["recurrent"]
    recurrent["lost_bins"], recurrent["lossy"] = recurrent.pop("hidden_probability"), recurrent.pop("hidden_windows")
    assert recurrent.pop("windows_without_channels") == 0.1
    path.write_text(json.dumps({**settings, "version": 4}))
    loaded = storage.load_fitted(tmp_path / "model")
    recurrent = replace(fitted.config.recurrent, windows_without_channels=0.0)  # before version 6 none were hidden
    assert loaded.config == replace(fitted.config, recurrent=recurrent)
    np.testing.assert_array_equal(loaded.recurrent.weights["recurrent"], fitted.recurrent.weights["recurrent"])


def test_a_model_of_the_fifth_version_decodes_as_it_did(tmp_path, decoder, lorenz_batch):
    """It knew nothing of lost channels: neither its variance nor its weights follow them, online and offline."""
    expected = replace(decoder, fitted_=without_channels(decoder.fitted_))
    expected.save(tmp_path / "old")
    path = tmp_path / "old" / "model.json"
    settings = json.loads(path.read_text())
    assert settings.pop("lost_channels") is False
    path.write_text(json.dumps({**settings, "version": 5}))
    found, test = MultiscaleDecoder.load(tmp_path / "old"), lorenz_batch[1]
    lost = test
    for row in test.modalities:
        lost = lost.hide(row.name, channels=row.channels[1::2])
    xr.testing.assert_identical(found.predict(lost), expected.predict(lost))
    # Nothing that depends on masks alone differs between all channels and half of them.
    memories = [found.fitted_.evidence(batch, smooth=False).memory for batch in (test, lost)]
    assert memories[0].shape[-1] == memory_size(2, channels=False)
    np.testing.assert_array_equal(*memories)
    decoded, live = found.predict(lost), found.realtime()
    for t in range(30):
        at = int(lost.starts[0]) + t
        bins = {n: np.where(lost.observed[n][at], lost.observations[n][at], np.nan) for n in lost.names}
        out = live.step(bins, 0.01 * t)
        np.testing.assert_allclose(out.target, decoded["target"][0, t], atol=1e-4)
        np.testing.assert_allclose((out.upper - out.target) / 1.959964, decoded["deviation"][0, t], rtol=1e-3)
    # A runner of then reads its export and refuses one of now; a session goes on from neither to the other.
    for model, other, version in ((found, decoder, 4), (decoder, found, 5)):
        model.export(tmp_path / "exported.npz")
        exported = bytes(np.load(tmp_path / "exported.npz")["settings"])
        assert json.loads(exported)["version"] == version
        running = model.realtime()
        with pytest.raises(InputError, match="counts single lost channels"):
            running.swap(other.fitted_)
        assert np.isfinite(running.step({}, 0.0).target).all()


def test_files_keep_the_names_of_the_first_version(saved):
    """So that a neurodyn from before a name changed reads them; a half-trained model goes on likewise."""
    settings = json.loads((saved / "model.json").read_text())
    fitted = MultiscaleDecoder.load(saved).fitted_
    assert settings["config"]["model"]["own"] == fitted.config.model.modality_state
    assert [row["clock"] for row in settings["modalities"]] == [row.sample_every for row in fitted.modalities]
    assert json.loads(json.dumps(stored_config(fitted.config))) == settings["config"]


def test_every_older_version_has_its_migration(monkeypatch, saved):
    """A version after the present one, to see that the steps are taken one after the other."""
    present = storage.MODEL
    assert set(present.migrations) == set(range(1, present.version))
    steps = {**present.migrations, 6: lambda s: {**s, "version": 7, "status": "seen by the step from 6"}}
    monkeypatch.setattr(storage, "MODEL", replace(present, version=7, migrations=MappingProxyType(steps)))
    assert MultiscaleDecoder.load(saved).fitted_.status == "seen by the step from 6"
    first = {**json.loads((saved / "model.json").read_text()), "version": 1}
    assert storage.MODEL.migrated(first, saved)["status"] == "seen by the step from 6"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"version": 99}, "version 99, this neurodyn reads up to 6: update"),
        ({"version": None}, "does not say which version"),
        ({"kind": "other"}, "holds no multiscale model"),
        ({"arrays": "../../etc/passwd"}, "no file of arrays in its own directory"),
        ({"config": {}}, "settings of the model .* are damaged"),
        ({"modalities": [{"name": "spikes"}]}, "settings of the model .* are damaged"),
        ({"sha256": "0" * 64}, "arrays of the model .* are damaged"),
    ],
)
def test_what_is_no_model_of_ours_is_refused(saved, settings, words):
    change(saved, **settings)
    with pytest.raises(InputError, match=words):
        MultiscaleDecoder.load(saved)


def edited(saved, *place, to):
    """The settings with something else in one place."""
    settings = json.loads((saved / "model.json").read_text())
    node = settings
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = to
    (saved / "model.json").write_text(json.dumps(settings))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("config", "model", "latent"), 20_000),
        (("config", "model", "latent"), 10**300),
        (("config", "model", "embedding"), 10**9),
        (("config", "model", "own"), "many"),
        (("config", "model", "modalities", 0, "encoder"), [10**7, 10**7]),
        (("config", "model", "modalities", 0, "decoder"), [1] * 100_000),
        (("config", "model", "modalities", 0, "channels"), 5),
        (("config", "model", "target"), 10**6),
        (("config", "model", "traces"), [1.0] * 1000),
        (("config", "recurrent"), {"hidden": 10**6}),
        (("config", "recurrent"), {"members": 10**12}),
        (("config", "model", "memory"), [0.0, 0.0]),
        (("width_seconds",), 0),
        (("width_seconds",), float("nan")),
        (("width_seconds",), "0.01"),
        (("modalities", 0, "clock"), 10**300),
        (("modalities", 0, "clock"), 0.5),
        (("modalities", 0, "name"), 5),
        (("modalities", 0, "rate"), "fast"),
        (("target_names",), ["x"]),
        (("target_names",), [1, 2, 3]),
        (("status",), 5),
        (("config",), None),
        (("sha256",), ""),
        (("sha256",), None),
    ],
)
def test_settings_that_the_arrays_cannot_be_of_are_refused_at_once(saved, place, value):
    """Nothing of the size that they claim is asked for: Python's memory stays below that of a small model."""
    edited(saved, *place, to=value)
    tracemalloc.start()
    try:
        begin = time.process_time()
        with pytest.raises(InputError) as refused:
            MultiscaleDecoder.load(saved)
        assert time.process_time() - begin < 20.0  # seconds of the processor, on a busy machine too
        assert tracemalloc.get_traced_memory()[1] < 50_000_000  # bytes
    finally:
        tracemalloc.stop()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused_though_no_checksum_says_so(saved, value):
    """The first version had no checksum, and whoever edits a model may say that it is one of those."""
    (path,) = saved.glob("arrays-*.h5")
    with h5py.File(path, "r+") as file:
        file["arrays/parameters/backbone/transition"][0, 0] = value
    settings = json.loads((saved / "model.json").read_text())
    digest = store.digest_of(store.load_arrays(path, storage._arrays(storage._blank(settings, path.stat().st_size))))
    change(saved, sha256=digest)  # a checksum that is right for the damaged numbers
    with pytest.raises(InputError, match="'parameters/backbone/transition' has numbers that are not finite"):
        MultiscaleDecoder.load(saved)


@pytest.mark.parametrize("how", ["virtual", "external", "text", "huge", "link"])
def test_arrays_that_are_none_are_not_read(saved, how, tmp_path):
    (path,) = saved.glob("arrays-*.h5")
    name = "arrays/parameters/backbone/transition"
    with h5py.File(path, "r+") as file:
        shape = file[name].shape
        del file[name]
        if how == "virtual":
            layout = h5py.VirtualLayout(shape, "f8")
            layout[...] = h5py.VirtualSource(str(tmp_path / "elsewhere.h5"), "x", shape)  # without one it may be none
            file.create_virtual_dataset(name, layout)
        elif how == "external":
            (tmp_path / "other").write_bytes(bytes(8 * shape[0] * shape[1]))
            whole = [(str(tmp_path / "other"), 0, 8 * shape[0] * shape[1])]
            file.create_dataset(name, shape, "f8", external=whole)
        elif how == "text":
            file.create_dataset(name, data=np.full(shape, b"1"))
        elif how == "huge":
            file.create_dataset(name, (2**40, 2**20), "f8", chunks=(1, 1024))
        else:
            with h5py.File(tmp_path / "elsewhere.h5", "w") as other:
                other["x"] = np.zeros(shape)
            file[name] = h5py.ExternalLink(str(tmp_path / "elsewhere.h5"), "/x")
    with pytest.raises(InputError, match="parameters/backbone/transition"):
        MultiscaleDecoder.load(saved)


def test_a_changed_number_is_noticed(saved):
    (path,) = saved.glob("arrays-*.h5")
    with h5py.File(path, "r+") as file:
        file["arrays/scaling/target_mean"][0] += 1
    with pytest.raises(InputError, match="checksum"):
        MultiscaleDecoder.load(saved)


@pytest.mark.parametrize("text", ["", "{", "[]", "\0", "[" * 100_000])
def test_damaged_settings_are_refused(saved, text):
    (saved / "model.json").write_text(text)
    with pytest.raises(InputError):
        MultiscaleDecoder.load(saved)


def test_saving_again_replaces_the_model_and_leaves_nothing_behind(saved, spikes_decoder):
    fitted = spikes_decoder.fitted_
    other = replace(fitted, scaling=replace(fitted.scaling, target_mean=fitted.scaling.target_mean + 1))
    replace(spikes_decoder, fitted_=other).save(saved)
    assert len(os.listdir(saved)) == 2
    np.testing.assert_array_equal(
        MultiscaleDecoder.load(saved).fitted_.scaling.target_mean, fitted.scaling.target_mean + 1
    )


def test_a_kill_before_the_settings_leaves_the_model_that_was_there(saved, spikes_decoder, monkeypatch):
    fitted = spikes_decoder.fitted_
    other = replace(fitted, scaling=replace(fitted.scaling, target_mean=fitted.scaling.target_mean + 1))

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "write_text", killed)
    with pytest.raises(KeyboardInterrupt):
        replace(spikes_decoder, fitted_=other).save(saved)
    np.testing.assert_array_equal(MultiscaleDecoder.load(saved).fitted_.scaling.target_mean, fitted.scaling.target_mean)


def test_what_an_interrupted_first_save_left_is_no_obstacle(spikes_decoder, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    for name in (".arrays-0123.h5.77.tmp", ".arrays-0123.h5.77.tmp.h5", ".model.json.77.tmp.json", "arrays-4567.h5"):
        (folder / name).write_bytes(b"torn")
    with pytest.raises(InputError, match=r"is not a model: it has no model\.json"):
        MultiscaleDecoder.load(folder)
    spikes_decoder.save(folder)
    assert len(os.listdir(folder)) == 2
    MultiscaleDecoder.load(folder)


def test_other_things_are_not_overwritten(spikes_decoder, tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.txt").write_text("mine")
    for name in ("file", "folder"):
        with pytest.raises(InputError, match="is there already and is no model"):
            spikes_decoder.save(tmp_path / name)
    assert (tmp_path / "folder" / "thesis.txt").read_text() == "mine"
