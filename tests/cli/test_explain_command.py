"""``neurodyn explain DIR``, on a network that was trained for seconds."""

import argparse
import csv
import json

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from neurodyn.cli import explain
from neurodyn.emulation import HmmEmulator, training_at
from neurodyn.errors import InputError
from neurodyn.markov import linear_chain
from neurodyn.mechanism import epochs_of, network_of, untrained_of


@pytest.fixture(scope="module")
def emulator():
    hmm = linear_chain(2, trial_steps=12)
    return HmmEmulator(hidden=16, inputs=6, training=training_at("smoke", hmm), progress=False).fit(hmm)


@pytest.fixture(scope="module")
def saved(emulator, tmp_path_factory):
    folder = tmp_path_factory.mktemp("network")
    emulator.save(folder)
    return folder


def call(*words):
    parser = argparse.ArgumentParser()
    explain.add_parser(parser.add_subparsers())
    arguments = parser.parse_args(["explain", *map(str, words)])
    return arguments.run(arguments)


def test_writes_the_page_the_data_and_the_tables(saved, capsys):
    assert call(saved, "--quick", "--seed", 3) == 0
    out = saved / "mechanism"
    assert (out / "report.html").read_text().count('<section class="claim"') == 9
    with (out / "table.csv").open() as file:
        assert [row["claim"] for row in csv.DictReader(file)] == [str(n) for n in range(1, 10)]
    summary = json.loads((out / "verdicts.json").read_text())
    assert (summary["hmm"], summary["seed"]) == ("chain2", 3)
    data = xr.open_dataset(out / "mechanism.nc", engine="scipy")
    assert "collapse_size" in data
    data.close()
    shown = capsys.readouterr().out
    assert "kick neurons" in shown
    assert "report.html" in shown


def test_a_folder_without_a_network_is_named(tmp_path):
    with pytest.raises(InputError, match="holds no trained network"):
        call(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_network_is_the_emulators(emulator):
    network = network_of(emulator)
    generated = emulator.generate(3, 6, seed=0)
    for t in range(1, 6):
        state, noise = (jnp.asarray(part) for part in (generated.states[:, t - 1], generated.inputs[:, t]))
        np.testing.assert_allclose(network.advance(state, noise), generated.states[:, t], atol=1e-10)
    np.testing.assert_allclose(network.logits(jnp.asarray(generated.states)), generated.logits, atol=1e-10)


def test_the_untrained_network_is_the_one_training_began_with(emulator):
    untrained = untrained_of(emulator)
    assert untrained is not None
    moved = np.abs(untrained.parameters["recurrent"] - emulator.parameters["recurrent"]).max()
    assert 0 < moved < 0.1  # a few steps of Adam away, not another draw


def test_epochs_are_the_snapshots(emulator):
    course = epochs_of(emulator)
    assert [epoch.epoch for epoch in course] == [epoch for epoch, _ in emulator.snapshots]
    np.testing.assert_array_equal(course[0].network.parameters["input"], emulator.snapshots[0][1]["input"])
