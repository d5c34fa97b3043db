"""The classic: a network trained to hold three bits has eight attractors, and saddles that divide them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurodyn.benchmarks.flip_flop import FlipFlopConfig, draw_trials, train_flip_flop
from neurodyn.errors import InputError
from neurodyn.fixed_points import Stability, find, find_more, linearise, sample_starts

CONFIG = FlipFlopConfig(hidden=20, epochs=9, gradient_steps=40, trials=32, steps=40, rate=1e-2)
SILENCE = np.zeros(3)


@pytest.fixture(scope="module")
def network():
    return train_flip_flop(CONFIG)


@pytest.fixture(scope="module")
def states(network):
    return np.asarray(network.run(draw_trials(jax.random.key(1), CONFIG).inputs))


@pytest.fixture(scope="module")
def found(network, states):
    return find(network.step, sample_starts(states, 256, noise=0.2, seed=0, between=0.5), SILENCE)


@pytest.fixture(scope="module")
def linear(network, found):
    return linearise(network.step, found.fixed.states, SILENCE, dt=1.0)


def codes(network, vectors):
    return [tuple(code) for code in np.sign(network.output(jnp.asarray(vectors))).astype(int)]


def run_freely(network, vectors, steps=3000):
    silence = jnp.zeros((len(vectors), 3))
    return jax.lax.fori_loop(0, steps, lambda _, state: network.step(state, silence), jnp.asarray(vectors))


def test_it_has_learned_the_task(network, states):
    trials = draw_trials(jax.random.key(1), CONFIG)
    right = np.sign(network.output(jnp.asarray(states))) == np.asarray(trials.targets)
    assert right.mean() > 0.97


def test_trials_hold_the_last_pulse():
    trials = draw_trials(jax.random.key(3), CONFIG)
    held = np.zeros((CONFIG.trials, 3))
    for t in range(CONFIG.steps):
        now = np.asarray(trials.inputs[:, t])
        held = np.where(now != 0, now, held)
        np.testing.assert_array_equal(trials.targets[:, t], held)


def test_eight_attractors_one_per_code(network, found, linear):
    stable = found.fixed.vectors[[kind is Stability.ATTRACTOR for kind in linear.stability]]
    assert len(stable) == 8
    assert len(set(codes(network, stable))) == 8
    assert (found.fixed.residual < 1e-12).all()


def test_attractors_are_where_the_network_ends_up(network, states, found, linear):
    """The oracle runs the network instead of solving for its fixed points."""
    stable = found.fixed.vectors[[kind is Stability.ATTRACTOR for kind in linear.stability]]
    ends = np.asarray(run_freely(network, states[:, -1]))
    distance = np.abs(ends[:, None] - stable[None]).max(axis=-1).min(axis=1)
    assert (distance < 1e-6).mean() > 0.9  # the rest are still on the way, close to a saddle


def test_saddles_lie_between_two_attractors(network, found, linear):
    """Pushed to either side along its one unstable direction, a saddle leads to two codes."""
    chosen = np.flatnonzero(linear.unstable == 1)
    assert len(chosen) >= 8
    ways = np.concatenate([linear.unstable_directions(i) for i in chosen])
    here = found.fixed.vectors[chosen]
    up, down = (codes(network, run_freely(network, here + sign * 0.01 * ways)) for sign in (1, -1))
    assert all(a != b for a, b in zip(up, down, strict=True))


def test_deflation_finds_codes_that_few_starts_missed(network, states):
    starts = sample_starts(states[:1, -1:], 16, noise=0.01, seed=0)  # one trial's last state: one memory
    few = find(network.step, starts, SILENCE)
    more = find_more(network.step, few, starts, SILENCE, radius=1.0)
    assert len(few.fixed) <= 2
    assert len(more) >= 1
    assert (more.residual < 1e-12).all()
    for vector in more.vectors:
        assert np.abs(few.fixed.vectors - vector).max(axis=1).min() > 1e-3


@pytest.mark.parametrize("cell", ["relu", "lstm"])
def test_the_other_cells_train_and_run(cell):
    config = FlipFlopConfig(cell=cell, hidden=6, bits=2, steps=5, trials=4, epochs=2, gradient_steps=2)
    network = train_flip_flop(config)
    states = network.run(draw_trials(jax.random.key(0), config).inputs)
    assert len(jax.tree.leaves(states)) == {"relu": 1, "lstm": 2}[cell]
    assert network.output(states).shape == (4, 5, 2)
    assert np.isfinite(network.loss).all()


@pytest.mark.parametrize(("name", "value"), [("cell", "gruu"), ("hidden", 0), ("pulse", 1.0), ("rate", 0.0)])
def test_settings_that_make_no_sense(name, value):
    with pytest.raises(InputError, match=name):
        FlipFlopConfig(**{name: value})
