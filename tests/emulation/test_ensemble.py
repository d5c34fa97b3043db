"""Networks trained together: each is the one it would be alone, whoever its neighbours are."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from neurodyn.emulation import HmmEmulator, Objective, TrainingConfig, fit_ensemble
from neurodyn.emulation import ensemble as module
from neurodyn.errors import InputError, NumericalError
from neurodyn.markov import HiddenMarkovModel, fully_connected, linear_chain
from neurodyn.training import engine

CHAIN = linear_chain(2, trial_steps=6)
LONGER = linear_chain(3, trial_steps=6)
TRAINING = TrainingConfig(
    sequences=120, batch=16, epochs=4, validation=16, validate_every=2, average=0.9, snapshot_every=2,
    objective=Objective.ENERGY, final_rate=0.1,
)  # fmt: skip
SIZES = {"hidden": 8, "inputs": 4}


def alone(hmm, seed, training=TRAINING, **changes):
    return HmmEmulator(**{**SIZES, **changes}, training=replace(training, seed=seed), progress=False).fit(hmm)


def together(hmms, seeds, training=TRAINING, **changes):
    return fit_ensemble(hmms, seeds=seeds, training=training, **{**SIZES, "progress": False, **changes})


def equal(found, expected, rtol=1e-6):
    """Everything a training leaves behind."""
    assert found.hmm.to_dict() == expected.hmm.to_dict()
    assert found.config == expected.config
    assert found.status == expected.status
    assert found.history.validation_epoch == expected.history.validation_epoch
    np.testing.assert_allclose(found.history.loss, expected.history.loss, rtol=rtol)
    np.testing.assert_allclose(found.history.validation, expected.history.validation, rtol=rtol)
    assert [epoch for epoch, _ in found.snapshots] == [epoch for epoch, _ in expected.snapshots]
    pairs = [(found.parameters, expected.parameters)]
    pairs += [(one, other) for (_, one), (_, other) in zip(found.snapshots, expected.snapshots, strict=True)]
    for one, other in pairs:
        assert set(one) == set(other)
        for name in one:
            np.testing.assert_allclose(one[name], other[name], atol=10 * rtol)


class Stops:
    """Interrupts after so many epochs, as Ctrl-C would."""

    def __init__(self, epoch):
        self.epoch, self.told = epoch, []

    def update(self, epoch, epochs, loss, best):
        self.told.append((epoch, epochs, loss, best))
        if epoch == self.epoch:
            raise KeyboardInterrupt

    def finish(self, status):
        self.status = status


@pytest.fixture(scope="module")
def apart():
    """Networks trained alone, by model and seed."""
    return {(hmm.name, seed): alone(hmm, seed) for hmm in (CHAIN, LONGER) for seed in (0, 3)}


def test_each_network_is_the_one_it_would_be_alone(apart):
    found = together([CHAIN, LONGER], [0, 3])
    assert [(f.hmm.name, f.config.training.seed) for f in found] == list(apart)
    for one, expected in zip(found, apart.values(), strict=True):
        equal(one, expected)
    weights = [np.asarray(f.parameters["readout"]) for f in found]
    assert not any(np.allclose(weights[0], other) for other in weights[1:])


def test_neighbours_do_not_matter(apart):
    for one, expected in zip(together([LONGER, CHAIN], [3]), [("chain3", 3), ("chain2", 3)], strict=True):
        equal(one, apart[expected])


@pytest.mark.parametrize(
    ("changes", "cell"),
    [
        ({"objective": Objective.DIVERGENCE, "average": 0.0}, "tanh"),
        ({"ngram": 2, "epochs": 2, "snapshot_every": 0}, "gru"),
    ],
)
def test_other_objectives_and_cells(changes, cell):
    training = replace(TRAINING, **changes)
    found = together(CHAIN, (5, 1), training, cell=cell)
    equal(found[1], alone(CHAIN, 1, training, cell=cell))
    assert found[0].history.loss != found[1].history.loss


def test_single_precision_at_the_size_of_the_smoke_scale(float32):
    training = replace(module.laptop(LONGER), sequences=768, batch=64, validation=128, epochs=3, validate_every=1)
    found = fit_ensemble(LONGER, seeds=(0, 1), hidden=30, training=training, progress=False)
    equal(found[1], alone(LONGER, 1, training, hidden=30, inputs=100), rtol=1e-4)


def test_another_ensemble_of_the_same_shape_compiles_nothing(apart):
    together([CHAIN, LONGER], [0, 3])
    before = engine.run_epochs._cache_size()
    together(CHAIN, [9, 7, 8, 6])
    assert engine.run_epochs._cache_size() == before


@pytest.mark.parametrize("epoch", [1, 3])
def test_an_interrupted_ensemble_is_resumed_as_if_nothing_had_been(apart, tmp_path, epoch):
    stops = Stops(epoch)
    if epoch == 1:  # before the first validation
        with pytest.raises(KeyboardInterrupt):
            together(CHAIN, [0, 3], directory=tmp_path, progress=stops)
    else:
        stopped = together(CHAIN, [0, 3], directory=tmp_path, progress=stops)
        assert [f.status for f in stopped] == ["interrupted"] * 2
        assert [len(f.history.validation) for f in stopped] == [1, 1]
    assert stops.status == "interrupted"
    for found, seed in zip(together(CHAIN, [0, 3], directory=tmp_path), (0, 3), strict=True):
        equal(found, apart["chain2", seed])
        equal(HmmEmulator.load(tmp_path / f"chain2_seed{seed}"), apart["chain2", seed])


def test_a_network_begun_alone_goes_on_beside_another(apart, tmp_path):
    """Both write the same files; the one that is behind catches up first."""
    before = HmmEmulator(**SIZES, training=replace(TRAINING, seed=3), progress=False)
    before.fit(CHAIN, directory=tmp_path / "chain2_seed3", progress=Stops(3))
    stops = Stops(None)
    for found, seed in zip(together(CHAIN, [0, 3], directory=tmp_path, progress=stops), (0, 3), strict=True):
        equal(found, apart["chain2", seed])
    assert [(epoch, epochs) for epoch, epochs, _, _ in stops.told] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    equal(HmmEmulator(**SIZES, training=TRAINING, progress=False).fit(CHAIN, directory=tmp_path / "chain2_seed0"),
          apart["chain2", 0])  # fmt: skip


def test_a_network_whose_numbers_stop_being_finite_is_named():
    with pytest.raises(NumericalError, match=r"^chain2_seed0: the training loss stopped being finite by epoch 1"):
        together(CHAIN, [0, 3], replace(TRAINING, learning_rate=1e200))


def test_devices_share_the_networks(tmp_path, apart):
    """In a process of its own, since the number of devices cannot be changed later."""
    program = """
import jax
jax.config.update("jax_enable_x64", True)
from test_ensemble import CHAIN, TRAINING, engine, together
devices, run = [], engine.run_epochs
def watched(states, *rest, **named):
    devices.append(len(states.average["readout"].sharding.device_set))
    return run(states, *rest, **named)
engine.run_epochs = watched
together(CHAIN, [0, 3], directory=__import__("sys").argv[1])
assert devices == [2] * 4, devices
"""
    flags = "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0"
    environment = {
        **os.environ,
        "XLA_FLAGS": flags,
        "PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path]),
    }
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    for seed in (0, 3):
        equal(HmmEmulator.load(tmp_path / f"chain2_seed{seed}"), apart["chain2", seed])


@pytest.mark.parametrize(
    ("hmms", "seeds", "message"),
    [
        ([], [0], "at least one model and one seed, got 0 and 1"),
        (CHAIN, [], "at least one model and one seed, got 1 and 0"),
        (CHAIN, [1, 2, 1], "by their seeds, and 1 comes more than once"),
        ([CHAIN, linear_chain(2, trial_steps=6)], [0], "by their names, and 'chain2' comes more than once"),
        (CHAIN, [0, -1], "seeds must be 0 or more, got -1"),
        ([CHAIN, linear_chain(3, trial_steps=7)], [0], "3 symbols and trials of 6 steps, 'chain3' 3 and 7; train them"),
        ([CHAIN, HiddenMarkovModel([1.0], [[1.0]], [[0.5, 0.5]], "coin", 6)], [0], "'coin' 2 and 6"),
        (
            [CHAIN, HiddenMarkovModel([1.0], [[1.0]], [[1.0, 0.0, 0.0]], "a/b", 6)],
            [0],
            "'a/b' is not a valid name of a folder",
        ),
    ],
)
def test_what_cannot_be_trained_together_is_refused_before_it_starts(hmms, seeds, message, tmp_path):
    with pytest.raises(InputError, match=message):
        together(hmms, seeds, directory=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_default_settings_have_to_agree():
    ring = fully_connected(3)
    chain = linear_chain(3, trial_steps=ring.trial_steps)
    assert chain.symbols == ring.symbols
    with pytest.raises(InputError, match=r"epochs is 70 for 'chain3' and 140 for 'fully_connected3'; give training="):
        fit_ensemble([chain, ring], seeds=[0], progress=False)


def test_a_folder_of_another_run_is_refused_before_any_is_made(tmp_path):
    together(CHAIN, [3], directory=tmp_path)
    with pytest.raises(InputError, match=r"belongs to another run \(config.network.hidden: 8 there, 9 here"):
        together(CHAIN, [0, 3], directory=tmp_path, hidden=9)
    assert [folder.name for folder in tmp_path.iterdir()] == ["chain2_seed3"]
