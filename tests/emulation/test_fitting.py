"""Training by hand, resumed, on two devices; networks and settings."""

import os
import subprocess
import sys
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from neurodyn.emulation import EmulationConfig, NetworkConfig, Objective, TrainingConfig, training_at
from neurodyn.emulation.fitting import (
    EmulationTask,
    Sequences,
    distance,
    draw_data,
    fit_parameters,
    identity_of,
    order_of,
    start_of,
    temperatures,
    validation_divergence,
)
from neurodyn.emulation.network import (
    draw_inputs,
    initial_parameters,
    run_network,
    run_outputs,
    sample_one_hot,
    sample_symbols,
)
from neurodyn.errors import InputError, NumericalError
from neurodyn.kernels.recurrence import CELLS, step
from neurodyn.kernels.sinkhorn import one_hot, one_hot_divergence
from neurodyn.markov import cycle, fully_connected, linear_chain
from neurodyn.training.engine import gradient_step, run_epoch

HMM = linear_chain(3, trial_steps=6)
TINY = TrainingConfig(
    sequences=120, batch=16, epochs=4, validation=16, validate_every=2, average=0.9, snapshot_every=1,
    objective=Objective.ENERGY,
)  # fmt: skip
CONFIG = EmulationConfig(NetworkConfig(hidden=8, inputs=4), TINY)
NO_STRETCHES = jnp.zeros(0)


class Interrupts:
    """Stops a run as Ctrl-C would, after so many epochs."""

    def __init__(self, epoch):
        self.epoch = epoch

    def update(self, epoch, epochs, loss, best):
        if epoch == self.epoch:
            raise KeyboardInterrupt

    def finish(self, status):
        self.status = status


def equal(one, other, **tolerance):
    compare = np.testing.assert_allclose if tolerance else np.testing.assert_array_equal
    jax.tree.map(lambda a, b: compare(np.asarray(a), np.asarray(b), **tolerance), one, other)


def test_a_network_is_a_loop_of_steps():
    network = CONFIG.network
    parameters = initial_parameters(network, 3, jax.random.key(0))
    inputs = draw_inputs(network, jax.random.key(1), 5, 2)
    states, logits = run_network(network, parameters, inputs)
    state = jnp.zeros((2, 8))
    for time in range(5):
        state = step(CELLS["relu"], parameters, state, inputs[time])
        np.testing.assert_allclose(states[time], state, atol=1e-12)
        np.testing.assert_allclose(logits[time], state @ parameters["readout"].T, atol=1e-12)
    np.testing.assert_allclose(run_outputs(network, parameters, inputs), logits, atol=1e-12)


@pytest.mark.parametrize("precision", ["single", "double"])
def test_inputs_are_standard_normal(precision, request):
    from scipy.stats import kstest

    if precision == "single":
        request.getfixturevalue("float32")
    inputs = draw_inputs(NetworkConfig(inputs=20), jax.random.key(3), 50, 40)
    values = np.asarray(inputs, np.float64)
    assert inputs.dtype == (jnp.float32 if precision == "single" else jnp.float64)
    assert kstest(values.ravel(), "norm").pvalue > 0.01
    correlation = np.corrcoef(values.reshape(-1, 20).T) - np.eye(20)
    assert np.abs(correlation).max() < 5 / np.sqrt(2000)
    assert abs(np.mean(values[1:] * values[:-1])) < 4 / np.sqrt(values.size)


def test_symbols_are_drawn_with_their_probabilities():
    logits = jnp.log(jnp.asarray([0.7, 0.2, 0.1]))
    drawn = sample_symbols(jnp.broadcast_to(logits, (20_000, 3)), jax.random.key(0))
    np.testing.assert_allclose(np.bincount(np.asarray(drawn)) / 20_000, [0.7, 0.2, 0.1], atol=0.015)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_straight_through_is_hard_forwards_and_soft_backwards(temperature):
    logits, key = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3))), jax.random.key(1)
    weight = jnp.asarray(np.random.default_rng(1).normal(size=(4, 3)))
    rows = sample_one_hot(logits, key, temperature)
    np.testing.assert_array_equal(rows, one_hot(sample_symbols(logits, key), 3))
    noise = jax.random.gumbel(key, logits.shape)
    ours = jax.grad(lambda z: jnp.sum(weight * sample_one_hot(z, key, temperature)))(logits)
    soft = jax.grad(lambda z: jnp.sum(weight * jax.nn.softmax((z + noise) / temperature, axis=-1)))(logits)
    np.testing.assert_allclose(ours, soft, atol=1e-14)


def test_a_step_with_the_papers_settings_is_written_out():
    """Generate, measure, clip, Adam: each part called by itself."""
    training = replace(TINY, objective=Objective.DIVERGENCE, average=0.0, clip=0.01)
    config = replace(CONFIG, training=training)
    symbols = jnp.asarray(draw_data(HMM, training).train[:16])
    state, seed = start_of(config, 3), jnp.asarray(0)

    def loss(parameters):
        noise, choice = jax.random.split(jax.random.fold_in(jax.random.key(0), 0))
        _, logits = run_network(config.network, parameters, draw_inputs(config.network, noise, 6, 16))
        rows = jnp.swapaxes(sample_one_hot(logits, choice, 1.0), 0, 1)
        return one_hot_divergence(rows, one_hot(symbols, 3), temperatures(6, 3, training))

    value, gradient = jax.value_and_grad(loss)(state.parameters)
    norm = optax.tree.norm(gradient)
    assert norm > 0.01
    clipped = jax.tree.map(lambda g: g * 0.01 / norm, gradient)
    expected = jax.tree.map(lambda p, g: p - 1e-3 * g / (jnp.abs(g) + 1e-8), state.parameters, clipped)
    start = jax.tree.map(jnp.copy, state)
    found, losses = run_epoch(
        start, Sequences(symbols, NO_STRETCHES), jnp.arange(16)[None], seed, task=EmulationTask(config)
    )
    np.testing.assert_allclose(losses, [value], rtol=1e-10)
    equal(found.parameters, expected, atol=1e-9)
    equal(found.average, found.parameters)


def test_an_epoch_is_a_loop_of_steps_and_compiles_once():
    data = jnp.asarray(draw_data(HMM, TINY).train)
    orders = [jnp.asarray(order_of(TINY, epoch)[0]) for epoch in range(2)]
    state, given, task = start_of(CONFIG, 3), Sequences(data, NO_STRETCHES), EmulationTask(CONFIG)

    @jax.jit
    def step(state, chosen):
        sample = task.sample(given, chosen, jax.random.fold_in(jax.random.key(0), state.step))
        return gradient_step(state, sample, loss=task.loss, optimizer=task.optimizer(), average=task.average)[0]

    for chosen in orders[0]:
        state = step(state, chosen)
    before = run_epoch._cache_size()
    found, losses = run_epoch(start_of(CONFIG, 3), given, orders[0], jnp.asarray(0), task=task)
    equal(found.parameters, state.parameters, atol=1e-9)
    assert losses.shape == (2,)
    assert int(found.step) == 2
    run_epoch(found, given, orders[1], jnp.asarray(0), task=task)
    assert run_epoch._cache_size() == before + 1


def test_orders_use_each_sequence_at_most_once():
    (first,), (second,) = order_of(TINY, 0), order_of(TINY, 1)
    assert first.shape == (2, 16)
    assert len(np.unique(first)) == 32
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, order_of(TINY, 0)[0])


def test_the_papers_epoch_is_three_steps_of_the_sequences_as_they_were_drawn():
    config = training_at("paper", linear_chain(3))
    steps = order_of(config, 7)
    assert [step.shape for step in steps] == [(2, 4096), (1, 1808)]
    np.testing.assert_array_equal(np.concatenate([step.ravel() for step in steps]), np.arange(10_000))
    assert (config.batches, config.steps_per_epoch) == ((4096, 4096, 1808), 3)
    assert config.epochs * config.steps_per_epoch == 1500
    fully = training_at("paper", fully_connected(3))
    assert fully.epochs * fully.steps_per_epoch == 3000
    assert (config.snapshot_every, config.validate_every) == (1, 1)


def test_an_epoch_with_a_smaller_last_step_is_a_loop_of_steps():
    training = replace(TINY, every=True, shuffled=False, epochs=2)  # 40 = 16 + 16 + 8
    config, data = replace(CONFIG, training=training), draw_data(HMM, training)
    state, task = start_of(config, 3), EmulationTask(config)
    given = Sequences(jnp.asarray(data.train), jnp.asarray(data.stretches))
    losses = []
    for number in range(6):
        first = 16 * (number % 3)
        chosen, key = jnp.arange(first, min(first + 16, 40)), jax.random.fold_in(jax.random.key(0), number)
        sample = task.sample(given, chosen, key)
        state, loss, _ = gradient_step(state, sample, loss=task.loss, optimizer=task.optimizer(), average=0.9)
        losses.append(float(loss))
    found = fit_parameters(HMM, config, data)
    equal(found.outcome.state.parameters, state.parameters, atol=1e-9)
    np.testing.assert_allclose(found.outcome.history.loss, np.reshape(losses, (2, 3)).mean(axis=1), rtol=1e-9)


def test_a_validation_in_parts_is_the_mean_of_theirs():
    """Parts of 16, 16 and 8 of 40 sequences, each with noise of its own."""
    training = replace(TINY, validation=40, at_once=16)
    config = replace(CONFIG, training=training)
    symbols, parameters = jnp.asarray(draw_data(HMM, training).validation), start_of(config, 3).parameters
    key = jax.random.fold_in(jax.random.key(5), 2)
    keys = [key, jax.random.fold_in(key, 1), jax.random.fold_in(key, 2)]
    parts = [symbols[:16], symbols[16:32], symbols[32:]]
    means = [
        distance(parameters, key, part, NO_STRETCHES, config, Objective.DIVERGENCE)
        for key, part in zip(keys, parts, strict=True)
    ]
    found = validation_divergence(parameters, symbols, jnp.asarray(5), jnp.asarray(2), config=config)
    np.testing.assert_allclose(found, np.mean(means), rtol=1e-9)


def test_runs_of_before_there_were_these_settings_are_resumed():
    settings = identity_of(HMM, CONFIG, draw_data(HMM, TINY))["config"]["training"]
    assert not {"every", "shuffled", "at_once"} & set(settings)
    changed = replace(CONFIG, training=replace(TINY, every=True))
    assert identity_of(HMM, changed, draw_data(HMM, TINY))["config"]["training"]["every"] is True


def test_thirds_of_the_sequences_differ():
    data = draw_data(HMM, TINY)
    parts = (data.train, data.validation, data.test)
    assert [part.shape for part in parts] == [(40, 6)] * 3
    assert not np.array_equal(data.train, data.validation)
    assert not np.array_equal(data.validation, data.test)


@pytest.mark.parametrize("at", [1, 3])
def test_a_resumed_run_is_one_that_was_never_stopped(tmp_path, at):
    data = draw_data(HMM, TINY)
    whole = fit_parameters(HMM, CONFIG, data)
    if at == 1:  # before the first validation: nothing is kept
        with pytest.raises(KeyboardInterrupt):
            fit_parameters(HMM, CONFIG, data, directory=tmp_path, progress=Interrupts(at))
    else:
        stopped = fit_parameters(HMM, CONFIG, data, directory=tmp_path, progress=Interrupts(at))
        assert stopped.outcome.status == "interrupted"
    resumed = fit_parameters(HMM, CONFIG, data, directory=tmp_path)
    equal(resumed.outcome.state, whole.outcome.state)
    assert resumed.outcome.history == whole.outcome.history
    assert [epoch for epoch, _ in resumed.snapshots] == [1, 2, 3, 4]
    equal(resumed.snapshots, whole.snapshots)


def test_another_seed_compiles_nothing_again():
    fit_parameters(HMM, CONFIG, draw_data(HMM, TINY))
    before = run_epoch._cache_size()
    other = replace(TINY, seed=1)
    fit_parameters(HMM, replace(CONFIG, training=other), draw_data(HMM, other))
    assert run_epoch._cache_size() == before


def test_a_training_that_leaves_the_finite_numbers_is_noticed():
    wild = replace(TINY, learning_rate=1e200)
    with pytest.raises(NumericalError, match="training loss stopped being finite by epoch 1"):
        fit_parameters(HMM, replace(CONFIG, training=wild), draw_data(HMM, wild))


def test_two_devices_take_a_step_as_one_does(tmp_path):
    """In a process of its own, since the number of devices cannot be changed later."""
    program = """
import jax, numpy as np
jax.config.update("jax_enable_x64", True)
from test_fitting import CONFIG, HMM, draw_data, fit_parameters
found = fit_parameters(HMM, CONFIG, draw_data(HMM, CONFIG.training))
assert len(jax.devices()) == int(__import__("sys").argv[1])
average = found.outcome.state.average
assert len(average["readout"].sharding.device_set) == len(jax.devices())
np.savez(__import__("sys").argv[2], **average)
"""
    folder = os.path.dirname(__file__)
    found = []
    for devices in (1, 2):
        flags = f"--xla_force_host_platform_device_count={devices} --xla_backend_optimization_level=0"
        path = tmp_path / f"{devices}.npz"
        environment = {**os.environ, "XLA_FLAGS": flags, "PYTHONPATH": folder}
        command = [sys.executable, "-c", program, str(devices), str(path)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr
        found.append(dict(np.load(path)))
    equal(*found, rtol=1e-6)


def test_scales():
    paper = training_at("paper", linear_chain(3))
    assert (paper.sequences, paper.batch, paper.epochs) == (30_000, 4096, 500)
    assert (paper.validation, paper.at_once) == (10_000, 4096)  # batches of 4096, 4096 and 1808, averaged
    assert (paper.learning_rate, paper.final_rate, paper.betas, paper.clip) == (1e-3, 1.0, (0.9, 0.9), 0.9)
    assert (paper.objective, paper.blur, paper.scaling, paper.temperature) == (Objective.DIVERGENCE, 0.2, 0.5, 1.0)
    assert training_at("paper", cycle()).clip == 0.3
    assert (training_at("paper", fully_connected()).clip, training_at("paper", fully_connected()).epochs) == (0.3, 1000)
    laptop = training_at("laptop", cycle())
    assert (laptop.sequences, laptop.validation, laptop.at_once, laptop.clip) == (30_000, 4096, 0, 0.3)
    with pytest.raises(InputError, match="unknown scale 'laptopp': did you mean 'laptop'"):
        training_at("laptopp", HMM)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch": 41}, "batch is 41, more than the 40 sequences there are"),
        ({"validation": 41}, "validation is 41, more than the 40"),
        ({"batch": 1}, r"each must have at least 2 sequences, got \(1, 1"),
        ({"sequences": 51, "batch": 16, "every": True}, r"at least 2 sequences, got \(16, 1\)"),
        ({"epochs": 0}, "epochs: expected a whole number of 1 or more, got 0"),
        ({"learning_rate": 0.0}, "learning_rate must be greater than 0"),
        ({"scaling": 1.0}, "scaling in"),
        ({"betas": (0.9, 1.0)}, "decays in"),
        ({"snapshot_every": -1}, "snapshot_every must be 0 or more"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        replace(TINY, **changes)
