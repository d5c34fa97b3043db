"""The emulator as a user meets it."""

import json
from dataclasses import asdict, fields, replace

import h5py
import jax.numpy as jnp
import numpy as np
import pytest

from neurodyn.emulation import FILE_NAME, HmmEmulator, Objective, TrainingConfig, holds_network
from neurodyn.emulation import emulator as module
from neurodyn.errors import InputError
from neurodyn.kernels.sinkhorn import epsilon_schedule, one_hot, one_hot_diameter, one_hot_divergence
from neurodyn.markov import linear_chain, sample
from neurodyn.training import save_checkpoint

HMM = linear_chain(3, trial_steps=6)
TRAINING = TrainingConfig(
    sequences=120, batch=16, epochs=3, validation=16, validate_every=1, average=0.9, snapshot_every=2,
    objective=Objective.ENERGY,
)  # fmt: skip


def emulator(**changes):
    return HmmEmulator(**{"hidden": 8, "inputs": 4, "training": TRAINING, "progress": False, **changes})


@pytest.fixture(scope="module")
def fitted():
    return emulator().fit(HMM)


def test_a_fit_leaves_the_estimator_as_it_was(fitted):
    before = emulator()
    with pytest.raises(InputError, match="not fitted yet"):
        before.generate(1, 1, seed=0)
    assert before.fitted_ is None
    assert fitted.hmm is HMM
    assert fitted.status == "finished"
    assert len(fitted.history.loss) == 3
    assert [epoch for epoch, _ in fitted.snapshots] == [2]
    assert {name: p.shape for name, p in fitted.parameters.items()} == {
        "recurrent": (8, 8), "input": (8, 4), "readout": (3, 8),
    }  # fmt: skip


def test_settings_by_name_as_scikit_learn_asks_for_them(fitted):
    settings = fitted.get_params(deep=False)
    assert set(settings) == {each.name for each in fields(HmmEmulator)} - {"fitted_"}
    copy = HmmEmulator(**settings)
    assert all(value is settings[name] for name, value in copy.get_params(deep=False).items())
    assert fitted.get_params()["training__batch"] == TRAINING.batch
    changed = fitted.set_params(hidden=5, training__seed=9)
    assert (changed.hidden, changed.training.seed, changed.training.batch) == (5, 9, TRAINING.batch)
    assert (fitted.hidden, fitted.training.seed) == (8, TRAINING.seed)
    assert changed.fitted_ is None
    for wrong in ({"hiden": 5}, {"training__sed": 1}, {"cell__x": 1}, {"fitted_": 1}):
        with pytest.raises(InputError, match="unknown setting"):
            fitted.set_params(**wrong)
    with pytest.raises(InputError, match="unknown cell"):
        fitted.set_params(cell="gruu")


def test_scikit_learn_clones_an_emulator(fitted):
    base = pytest.importorskip("sklearn.base")
    copy = base.clone(fitted)
    assert copy.get_params(deep=False) == fitted.get_params(deep=False)
    assert copy.fitted_ is None


@pytest.mark.parametrize("cell", ["relu", "tanh", "gru"])
def test_what_is_generated_is_a_loop_of_steps(cell):
    trained = emulator(cell=cell).fit(HMM)
    found = trained.generate(5, 7, seed=3)
    shapes = {name: array.shape for name, array in vars(found).items()}
    assert shapes == {"symbols": (5, 7), "logits": (5, 7, 3), "states": (5, 7, 8), "inputs": (5, 7, 4)}
    for trial in range(5):
        state = jnp.zeros(8)
        for time in range(7):
            state = trained.step(state, jnp.asarray(found.inputs[trial, time]))
            np.testing.assert_allclose(found.states[trial, time], state, atol=1e-10)
            np.testing.assert_allclose(found.logits[trial, time], trained.readout(state), atol=1e-10)


def test_the_same_seed_generates_the_same(fitted, monkeypatch):
    monkeypatch.setattr(module, "AT_ONCE", 4)  # three compiled calls, the last one for a part
    found = fitted.generate(10, 6, seed=1)
    np.testing.assert_array_equal(found.symbols, fitted.generate(10, 6, seed=1).symbols)
    np.testing.assert_array_equal(found.symbols, fitted.generate_symbols(10, 6, seed=1).symbols)
    assert found.symbols.dtype == np.int32
    assert not np.array_equal(found.inputs[:4], found.inputs[4:8])
    assert not np.array_equal(found.inputs, fitted.generate(10, 6, seed=2).inputs)


def test_noise_is_a_factor_on_the_inputs(fitted):
    quiet, usual, loud = (fitted.generate(3, 5, seed=0, noise=n) for n in (0.0, 1.0, 2.0))
    np.testing.assert_array_equal(quiet.states, 0)
    np.testing.assert_allclose(loud.inputs, 2 * usual.inputs)
    np.testing.assert_allclose(loud.states, 2 * usual.states, rtol=1e-9)  # no biases: positively homogeneous


def test_divergence_and_floor_are_of_the_test_sequences(fitted):
    test = sample(HMM, 120, 6, seed=0).symbols[80:96]
    new = sample(HMM, 16, 6, seed=5).symbols
    epsilons = epsilon_schedule(one_hot_diameter(6, 3), 0.2)
    expected = one_hot_divergence(one_hot(jnp.asarray(new), 3), one_hot(jnp.asarray(test), 3), epsilons)
    np.testing.assert_allclose(fitted.floor(seed=5), expected, rtol=1e-9)
    assert fitted.divergence(seed=1) > 0
    assert fitted.divergence(seed=1) != fitted.divergence(seed=2)


def test_saved_and_loaded(fitted, tmp_path):
    fitted.save(tmp_path / "network")
    loaded = HmmEmulator.load(tmp_path / "network")
    found, expected = loaded.generate(4, 6, seed=0), fitted.generate(4, 6, seed=0)
    for name, array in vars(expected).items():
        np.testing.assert_array_equal(getattr(found, name), array)
    assert loaded.config == fitted.config
    assert loaded.history == fitted.history
    assert loaded.hmm.to_dict() == HMM.to_dict()
    for (epoch, one), (other_epoch, other) in zip(loaded.snapshots, fitted.snapshots, strict=True):
        assert epoch == other_epoch
        assert set(one) == set(other)
        for name, array in other.items():
            np.testing.assert_array_equal(one[name], array)
    config = json.loads((tmp_path / "network/model.json").read_text())
    assert (config["format"], config["kind"], config["version"]) == ("neurodyn-model", "emulator", 2)
    assert config["config"]["network"] == {"hidden": 8, "inputs": 4, "cell": "relu", "readout_bias": False}
    assert config["hmm"]["name"] == "chain3"


def save_as_version_1(fitted, folder):
    """The folder as it was before there was one store for all models: everything in emulator.h5."""
    kept = fitted.fitted_
    settings = {
        "kind": "emulator",
        "config": asdict(kept.config),
        "hmm": kept.hmm.to_dict(),
        "history": asdict(kept.history),
        "status": kept.status,
        "identity": kept.identity,
        "versions": {"python": "3.11.0"},
    }
    folder.mkdir()
    save_checkpoint(folder / "emulator.h5", kept.parameters, settings)


def test_a_network_of_the_first_version_is_read_and_replaced(fitted, tmp_path):
    folder = tmp_path / "old"
    save_as_version_1(fitted, folder)
    assert holds_network(folder)
    loaded = HmmEmulator.load(folder)
    np.testing.assert_array_equal(loaded.generate(4, 6, seed=0).logits, fitted.generate(4, 6, seed=0).logits)
    assert (loaded.config, loaded.history) == (fitted.config, fitted.history)
    with pytest.raises(InputError, match=r"belongs to another run \(config\.network\.hidden: 8 there, 9 here"):
        emulator(hidden=9).fit(HMM, directory=folder)
    fitted.save(folder)
    assert not (folder / "emulator.h5").exists()
    np.testing.assert_array_equal(HmmEmulator.load(folder).parameters["readout"], fitted.parameters["readout"])


def test_damaged_arrays_of_a_network_are_noticed(fitted, tmp_path):
    fitted.save(tmp_path / "network")
    (path,) = (tmp_path / "network").glob("arrays-*.h5")
    with h5py.File(path, "r+") as file:
        file["arrays/readout"][0, 0] += 1
    with pytest.raises(InputError, match="checksum"):
        HmmEmulator.load(tmp_path / "network")


def test_a_fit_into_a_folder_can_be_repeated_but_not_mixed(fitted, tmp_path):
    found = emulator().fit(HMM, directory=tmp_path)
    np.testing.assert_array_equal(found.parameters["readout"], fitted.parameters["readout"])
    again = emulator().fit(HMM, directory=tmp_path)
    np.testing.assert_array_equal(again.parameters["readout"], fitted.parameters["readout"])
    stamp = (tmp_path / FILE_NAME).stat().st_mtime_ns
    others = {
        "config.training.seed: 0 there, 1 here": (emulator(training=replace(TRAINING, seed=1)), HMM),
        "config.network.hidden: 8 there, 9 here": (emulator(hidden=9), HMM),
        "hmm.initial": (emulator(), linear_chain(2, trial_steps=6)),
    }
    for message, (other, hmm) in others.items():
        with pytest.raises(InputError, match=f"belongs to another run \\({message}"):
            other.fit(hmm, directory=tmp_path)
    (tmp_path / "checkpoint.h5").unlink()
    with pytest.raises(InputError, match=r"model\.json belongs to another run"):
        emulator(hidden=9).fit(HMM).save(tmp_path)
    assert (tmp_path / FILE_NAME).stat().st_mtime_ns == stamp


def test_folders_that_cannot_be_used(tmp_path):
    with pytest.raises(InputError, match="holds no trained network"):
        HmmEmulator.load(tmp_path)
    (tmp_path / "emulator.h5").write_text("nothing")
    with pytest.raises(InputError, match="not an HDF5 file"):
        HmmEmulator.load(tmp_path)
    (tmp_path / FILE_NAME).write_text("nothing")
    with pytest.raises(InputError, match="cannot read"):
        HmmEmulator.load(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot make the folder"):
        emulator().fit(HMM, directory=tmp_path / "file/network")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cell": "lstmm"}, "unknown cell 'lstmm'"),
        ({"hidden": 0}, "hidden: expected a whole number of 1 or more, got 0"),
        ({"inputs": -1}, "inputs"),
    ],
)
def test_networks_that_cannot_be_built(changes, message):
    with pytest.raises(InputError, match=message):
        emulator(**changes)


@pytest.mark.parametrize(("trials", "steps"), [(0, 5), (5, 0)])
def test_nothing_to_generate(fitted, trials, steps):
    with pytest.raises(InputError, match="at least one trial and one step"):
        fitted.generate(trials, steps, seed=0)
