"""What a caller hands over by mistake: refused with what to do, or taken as the command line takes it.

In a process without the checks of types that tests run under: they would refuse it in their own words.
"""

import json
import subprocess
import sys

import numpy as np
import pytest

from neurodyn import to_bins
from neurodyn.binning import Field, Spikes
from neurodyn.errors import InputError
from neurodyn.simulation import ForagingSettings, simulate_foraging

PROGRAM = """
import json

import numpy as np

import neurodyn as nd
from neurodyn.simulation import ForagingSettings, simulate_foraging

recording = simulate_foraging(ForagingSettings(seconds=30.0, units=3), seed=0)
batch = nd.to_bins(recording, width=0.05, modalities="all", target="position")
ridge = nd.CausalRidge().fit(batch)
folds = nd.time_folds(batch, 3, gap=1.0)
method = nd.Method("ridge", ridge, batch.names)
live = nd.baselines.WienerFilter((2,)).fit(batch).realtime()
tiny = nd.recurrent.RecurrentConfig(hidden="2", members=1, steps=2, validate_every=1)
rig = nd.CausalGru(tiny, progress=False).fit(batch).realtime()


def from_arrays(given, width=0.01, likelihoods={"spikes": "poisson"}):
    return nd.MultimodalBatch.from_arrays(given, width=width, likelihoods=likelihoods)


calls = {
    "predict a recording": lambda: ridge.predict(recording),
    "score an array": lambda: ridge.score(np.zeros((10, 3))),
    "predict a dictionary": lambda: ridge.predict({"spikes": np.zeros((10, 3))}),
    "read out of a ridge": lambda: nd.multiscale.fit_bayesian_readout(ridge, batch, seed=0),
    "fit a recording": lambda: nd.MultiscaleDecoder().fit(recording),
    "fit a fold": lambda: nd.MultiscaleDecoder().fit(folds[0]),
    "fit many recordings": lambda: nd.MultiscaleDecoder().fit_many([recording]),
    "fit a gru on folds": lambda: nd.CausalGru().fit(folds),
    "folds of a recording": lambda: nd.time_folds(recording, 5, gap=2.0),
    "trials of a recording": lambda: nd.trial_folds(recording, 5, seed=0),
    "a part of a recording": lambda: nd.holdout(recording),
    "bins of a path": lambda: nd.to_bins("session.nwb", width=0.05),
    "bins of a number": lambda: nd.to_bins(recording, width=0.05, modalities=[1]),
    "a feature by its name": lambda: nd.Field("field", feature="band_power"),
    "a feature's class": lambda: nd.Field("field", feature=nd.binning.BandPower),
    "width in ms": lambda: nd.to_bins(recording, width=12),
    "width in words": lambda: nd.to_bins(recording, width="wide"),
    "latent in words": lambda: nd.MultiscaleDecoder(latent="many"),
    "latent in parts": lambda: nd.MultiscaleDecoder(latent=1.5),
    "no epochs": lambda: nd.MultiscaleDecoder(epochs=0),
    "a seed in words": lambda: nd.TrainingConfig(seed="x"),
    "a method that is none": lambda: nd.cross_validate([ridge], folds),
    "one method": lambda: nd.cross_validate(method, folds),
    "batches for folds": lambda: nd.cross_validate([method], [batch, batch]),
    "one fold": lambda: nd.cross_validate([method], folds[0]),
    "a share in words": lambda: batch.hide("spikes", share="half"),
    "a seed of losses in words": lambda: batch.hide("spikes", share=0.5, seed="x"),
    "a gap before now": lambda: nd.holdout(batch, gap=-1.0),
    "one time constant": lambda: nd.MultiscaleDecoder(memory=1.0),
    "layers of none": lambda: nd.MultiscaleDecoder(encoder=(0,)),
    "layers in words": lambda: nd.MultiscaleDecoder(fusion="wide"),
    "a number for a training": lambda: nd.MultiscaleDecoder(training=5),
    "a yes for a network": lambda: nd.MultiscaleDecoder(recurrent=True),
    "no objective": lambda: nd.MultiscaleDecoder(objective=None),
    "a no in words": lambda: nd.MultiscaleDecoder(bounded="no"),
    "one weight for all": lambda: nd.MultiscaleDecoder(smoothness=5),
    "one rate": lambda: nd.TrainingConfig(learning_rate="0.1"),
    "units in words": lambda: nd.recurrent.RecurrentConfig(hidden="many"),
    "features in words": lambda: nd.CausalRidge("lags"),
    "features of a class": lambda: nd.CausalRidge(nd.baselines.Lags),
    "a size for a network": lambda: nd.CausalGru(128),
    "a method without a name": lambda: nd.Method(ridge, "ridge", batch.names),
    "a method of a class": lambda: nd.Method("ridge", nd.CausalRidge, batch.names),
    "no modalities": lambda: nd.to_bins(recording, width=0.05, modalities=None),
    "a class of modalities": lambda: nd.to_bins(recording, width=0.05, modalities=nd.Spikes),
    "an array to decode": lambda: nd.to_bins(recording, width=0.05, target=np.zeros(3)),
    "a band": lambda: nd.Field("field", bands=(4.0, 8.0)),
    "bands in words": lambda: nd.Field("field", bands="theta"),
    "no path": lambda: nd.read_nwb(None),
    "a recording to read": lambda: nd.read_recording(recording),
    "a model to load": lambda: nd.load(ridge),
    "a share of a split in words": lambda: nd.holdout(batch, "some"),
    "a number of a channel": lambda: batch.hide("spikes", channels=[0]),
    "an array for modalities": lambda: from_arrays(np.zeros((2, 30, 4))),
    "one likelihood": lambda: from_arrays({"spikes": np.ones((2, 30, 4))}, likelihoods="poisson"),
    "an array of texts": lambda: from_arrays({"spikes": np.full((2, 30, 4), "a")}),
    "an array to a live decoder": lambda: live.step(np.zeros(3), 0.05),
    "nothing to a live decoder": lambda: live.step(None, 0.05),
    "a time in words": lambda: live.step({"spikes": None}, t="now"),
    "an array to a rig": lambda: rig.step(np.zeros(3), 0.05),
    "a time in words to a rig": lambda: rig.step({"spikes": None}, t="now"),
    "units of an emulator in words": lambda: nd.HmmEmulator("many"),
    "a batch to emulate": lambda: nd.HmmEmulator().fit(batch),
}
decoder = nd.MultiscaleDecoder(encoder="16,8", decoder=[16], fusion=8, memory="100ms,10s", traces=("200ms", 1))
assert nd.MultiscaleDecoder(choose="60").choose == 60.0
assert (decoder.encoder, decoder.decoder, decoder.fusion) == ((16, 8), (16,), (8,))
assert (decoder.memory, decoder.traces) == ((0.1, 10.0), (0.2, 1))
assert nd.TrainingConfig(segment="10s", learning_rate=["1e-3", 1e-2]).learning_rate == (1e-3, 1e-2)
assert nd.HmmEmulator("8", "4").hidden == 8
assert nd.to_bins(recording, width=0.05, modalities="spikes, field", target="position,log_speed").n_dims == 3
assert nd.to_bins(recording, width=0.05, target=None).n_dims == 0
assert nd.holdout(batch, "0.2").train.n_bins == nd.holdout(batch, 0.2).train.n_bins
assert from_arrays({"spikes": np.ones((2, 30, 4)).tolist()}, width="10ms").width == 0.01
assert nd.Method("ridge", ridge, "spikes").modalities == ("spikes",)
assert len(nd.time_folds(batch, "3", gap="1s")) == 3
assert nd.holdout(batch, gap="2s").train.n_bins == nd.holdout(batch, gap=2.0).train.n_bins
assert nd.MultiscaleDecoder(latent="8", seed="3").latent == 8
said = {}
for name, call in calls.items():
    try:
        call()
    except nd.InputError as error:
        said[name] = str(error)
    except Exception as error:
        said[name] = f"{type(error).__name__}: {error}"
print(json.dumps(said))
"""

EXPECTED = {
    "predict a recording": "expected a MultimodalBatch, got a Recording: bin it first with neurodyn.to_bins",
    "score an array": "expected a MultimodalBatch, got a ndarray: make one with MultimodalBatch.from_arrays",
    "predict a dictionary": "expected a MultimodalBatch, got a dict: make one with MultimodalBatch.from_arrays",
    "read out of a ridge": "expected a fitted MultiscaleDecoder, got CausalRidge",
    "fit a recording": "expected a MultimodalBatch, got a Recording",
    "fit a fold": "expected a MultimodalBatch, got a Fold: take its part  fold.train",
    "fit many recordings": "expected a MultimodalBatch, got a Recording",
    "fit a gru on folds": "expected a MultimodalBatch, got a list: choose one of its items",
    "folds of a recording": "expected a MultimodalBatch, got a Recording",
    "trials of a recording": "expected a MultimodalBatch, got a Recording",
    "a part of a recording": "expected a MultimodalBatch, got a Recording",
    "bins of a path": "to_bins needs a Recording, got a str: read one with neurodyn.read_recording(path)",
    "bins of a number": "a modality is Spikes(), Field() or a name, got 1",
    "a feature by its name": "must be an object like BandPower() or SignalMean(), got 'band_power'",
    "a feature's class": "must be an object like BandPower() or SignalMean()",
    "width in ms": "for 12 milliseconds give 0.012, or '12ms'",
    "width in words": "width: expected seconds like 0.05 or 50ms, got 'wide'",
    "latent in words": "latent: expected a whole number, got 'many'",
    "latent in parts": "latent: expected a whole number, got 1.5",
    "no epochs": "epochs: expected a whole number of 1 or more, got 0",
    "a seed in words": "seed: expected a whole number, got 'x'",
    "a method that is none": "methods are a list, such as Method(",
    "one method": "methods are a list, such as Method(",
    "batches for folds": "folds are a list, such as time_folds(batch, 5, gap=2.0); got a MultimodalBatch",
    "one fold": "folds are a list, such as time_folds(batch, 5, gap=2.0); got a Fold",
    "a share in words": "share: expected a share, got 'half'",
    "a seed of losses in words": "seed: expected a whole number, got 'x'",
    "a gap before now": "gap: expected seconds, 0 or more, got -1.0",
    "one time constant": "memory: expected the shortest and the longest time constant, like (0.1, 10.0), got 1.0",
    "layers of none": "encoder: expected a whole number of 1 or more, got 0",
    "layers in words": "fusion: expected a whole number, got 'wide'",
    "a number for a training": "training: expected TrainingConfig(...), got 5: for epochs or a seed alone write",
    "a yes for a network": "recurrent: expected RecurrentConfig(...), got True: None leaves the recurrent network out",
    "no objective": "objective: expected ObjectiveConfig(...), got None",
    "a no in words": "bounded: expected True or False, got 'no'",
    "one weight for all": "smoothness: expected weights by modality or likelihood",
    "one rate": "learning_rate must be 0 < low <= high, got '0.1'",
    "units in words": "hidden: expected a whole number, got 'many'",
    "features in words": "features make the history of a bin, such as ExponentialFilters() or Lags(20), got 'lags'",
    "features of a class": "features make the history of a bin, such as ExponentialFilters() or Lags(20)",
    "a size for a network": "config: expected a recurrent.RecurrentConfig(...) or None, got 128",
    "a method without a name": "the first argument of Method is its name",
    "a method of a class": "method 'ridge' needs a decoder that fits and predicts, got CausalRidge: make one with",
    "no modalities": "a modality is Spikes(), Field() or a name, got None",
    "a class of modalities": "a modality is Spikes(), Field() or a name, got the class Spikes",
    "an array to decode": "target: expected names separated by commas",
    "a band": "bands of field 'field' are pairs in Hz, such as ((4.0, 8.0), (8.0, 12.0)), got (4.0, 8.0)",
    "bands in words": "bands of field 'field' are pairs in Hz",
    "no path": "path: expected the path of a file or folder, got a NoneType",
    "a recording to read": "path: expected the path of a file or folder, got a Recording",
    "a model to load": "path: expected the path of a file or folder, got a CausalRidge",
    "a share of a split in words": "fraction: expected a share such as 0.2, got 'some'",
    "a number of a channel": "channels of modality 'spikes' go by their labels, such as '0', got 0",
    "an array for modalities": 'observations are given by modality, such as {"spikes": counts}, got a ndarray',
    "one likelihood": 'likelihoods are given by modality, such as {"spikes": "poisson"}, got a str',
    "an array of texts": "modality 'spikes' must hold numbers, got an array of <U1",
    "an array to a live decoder": 'a bin is a dictionary of modalities, such as {"spikes": counts}, got a ndarray',
    "nothing to a live decoder": 'a bin is a dictionary of modalities, such as {"spikes": counts}, got a NoneType',
    "an array to a rig": 'a bin is a dictionary of modalities, such as {"spikes": counts}, got a ndarray',
    "a time in words to a rig": "t is the time of the bin's end in seconds, a number, got 'now'",
    "a time in words": "t is the time of the bin's end in seconds, a number, got 'now'",
    "units of an emulator in words": "hidden: expected a whole number, got 'many'",
    "a batch to emulate": "expected a HiddenMarkovModel, got a MultimodalBatch: make one with markov.linear_chain(3)",
}


@pytest.fixture(scope="module")
def said():
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.parametrize("name", EXPECTED)
def test_what_is_refused(said, name):
    assert EXPECTED[name] in said[name]
    assert not said[name].split(":")[0].endswith("Error")


def test_nothing_slips_through(said):
    assert set(said) == set(EXPECTED)


@pytest.fixture(scope="module")
def recording():
    return simulate_foraging(ForagingSettings(seconds=30.0, units=3), seed=0)


def test_widths_and_names_as_the_command_takes_them(recording):
    written = to_bins(recording, width="50ms", modalities=["spikes", "lfp"], target="position")
    made = to_bins(recording, width=0.05, modalities=[Spikes(), Field("lfp")], target="position")
    assert written.modalities == made.modalities
    for name in made.names:
        np.testing.assert_array_equal(written.observations[name], made.observations[name])
    assert to_bins(recording, width=0.05, modalities="spikes", target=()).names == ("spikes",)
    assert to_bins(recording, width=0.05, modalities=Field(), target=()).names == ("field",)


def test_all_that_there_is(recording):
    assert to_bins(recording, width=0.05, modalities="all", target=()).names == ("spikes", "field")
    from dataclasses import replace

    field = recording.field()
    fields = {name: replace(field, name=name) for name in ("ca1", "mec")}
    two = replace(recording, fields=fields)
    assert to_bins(two, width=0.05, modalities="all", target=()).names == ("spikes", "ca1", "mec")
    with pytest.raises(InputError, match="neither spikes nor a field potential"):
        to_bins(replace(recording, fields={}, spikes={}), width=0.05, modalities="all")
    with pytest.raises(InputError, match="unknown modality 'ca2': did you mean 'ca1'"):
        to_bins(two, width=0.05, modalities="ca2")


def test_all_is_not_one_of_several(recording):
    with pytest.raises(InputError, match=r"unknown modality 'all'") as refused:
        to_bins(recording, width=0.05, modalities=["all"])
    assert "did you mean 'all'" not in str(refused.value)
