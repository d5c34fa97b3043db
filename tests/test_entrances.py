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
calls = {
    "predict a recording": lambda: ridge.predict(recording),
    "score an array": lambda: ridge.score(np.zeros((10, 3))),
    "predict a dictionary": lambda: ridge.predict({"spikes": np.zeros((10, 3))}),
    "fit a recording": lambda: nd.MultiscaleDecoder().fit(recording),
    "fit a fold": lambda: nd.MultiscaleDecoder().fit(folds[0]),
    "fit many recordings": lambda: nd.MultiscaleDecoder().fit_many([recording]),
    "fit a gru on folds": lambda: nd.CausalGru().fit(folds),
    "folds of a recording": lambda: nd.time_folds(recording, 5, gap=2.0),
    "trials of a recording": lambda: nd.trial_folds(recording, 5, seed=0),
    "a part of a recording": lambda: nd.holdout(recording),
    "bins of a path": lambda: nd.to_bins("session.nwb", width=0.05),
    "bins of a number": lambda: nd.to_bins(recording, width=0.05, modalities=[1]),
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
}
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
    "fit a recording": "expected a MultimodalBatch, got a Recording",
    "fit a fold": "expected a MultimodalBatch, got a Fold: take its part  fold.train",
    "fit many recordings": "expected a MultimodalBatch, got a Recording",
    "fit a gru on folds": "expected a MultimodalBatch, got a list: choose one of its items",
    "folds of a recording": "expected a MultimodalBatch, got a Recording",
    "trials of a recording": "expected a MultimodalBatch, got a Recording",
    "a part of a recording": "expected a MultimodalBatch, got a Recording",
    "bins of a path": "to_bins needs a Recording, got a str: read one with neurodyn.read_recording(path)",
    "bins of a number": "a modality is Spikes(), Field() or a name, got 1",
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
