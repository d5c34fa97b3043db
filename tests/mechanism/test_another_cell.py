"""Another cell is one row of one table: networks of it are trained, saved, matched and explained."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurodyn.emulation import HmmEmulator, MatchConfig, TrainingConfig, match
from neurodyn.errors import InputError
from neurodyn.kernels import recurrence
from neurodyn.kernels.recurrence import Cell, initialise, read_out, unroll
from neurodyn.markov import linear_chain
from neurodyn.mechanism import explain, network_of, quick_config

LEAK = 0.3


def advance(parameters, state, drive):
    """A leaky unit: it goes a share of the way to what a vanilla unit would be."""
    return (1 - LEAK) * state + LEAK * jnp.tanh(state @ parameters["recurrent"].T + drive)


@pytest.fixture
def leaky(monkeypatch):
    monkeypatch.setitem(recurrence.CELLS, "lazy", Cell(advance, 1, {"bias": 1}))
    return recurrence.CELLS["lazy"]


def test_its_states_and_derivatives_are_those_of_a_loop(leaky):
    parameters = initialise(leaky, jax.random.key(0), hidden=5, inputs=3)
    inputs = jnp.asarray(np.random.default_rng(0).normal(size=(6, 4, 3)))
    readout = jnp.asarray(np.random.default_rng(1).normal(size=(2, 5)))

    def loop(parameters):
        state, outputs = jnp.zeros((4, 5)), []
        for now in inputs:
            drive = now @ parameters["input"].T + parameters["bias"]
            state = (1 - LEAK) * state + LEAK * jnp.tanh(state @ parameters["recurrent"].T + drive)
            outputs.append(state @ readout.T)
        return jnp.sum(jnp.stack(outputs) ** 2)

    def ours(parameters):
        return jnp.sum(read_out(leaky, parameters, readout, jnp.zeros((4, 5)), inputs) ** 2)

    expected, gradient = jax.value_and_grad(loop)(parameters)
    found, ours_gradient = jax.value_and_grad(ours)(parameters)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), ours_gradient, gradient)
    assert unroll(leaky, parameters, jnp.zeros((4, 5)), inputs).shape == (6, 4, 5)


@pytest.mark.slow
def test_it_is_trained_matched_and_explained(leaky, tmp_path):
    hmm = linear_chain(2, trial_steps=8)
    training = TrainingConfig(sequences=96, batch=16, epochs=2, validation=16, validate_every=1)
    HmmEmulator(6, 4, "lazy", training, progress=False).fit(hmm, directory=tmp_path)
    emulator = HmmEmulator.load(tmp_path)
    state, inputs = jnp.ones(6), jnp.ones(4)
    expected = advance(emulator.parameters, state, emulator.parameters["input"] @ inputs + emulator.parameters["bias"])
    network = network_of(emulator)
    np.testing.assert_allclose(emulator.step(state, inputs), expected, rtol=1e-6)
    np.testing.assert_allclose(network.advance(state, inputs), expected, rtol=1e-6)
    assert network.step is network_of(HmmEmulator.load(tmp_path)).step  # compiled code is shared
    config = MatchConfig(resamples=5, matched_trials=16, tested_trials=24)
    assert match(emulator, hmm, trials=48, seed=0, config=config)["volatility_ratio"].value >= 0
    assert len(explain(emulator, config=quick_config(), seed=0).findings) == 9


def test_a_cell_that_is_in_no_table_is_refused():
    with pytest.raises(InputError, match="unknown cell 'lazy'"):
        HmmEmulator(6, 4, "lazy")
