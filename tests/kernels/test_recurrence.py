"""The recurrent cells: by hand, against PyTorch's GRU, along a sequence, and their own derivative."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurodyn.errors import InputError
from neurodyn.kernels import recurrence
from neurodyn.kernels.recurrence import CELLS, cell_named, initialise, read_out, step, unroll

STEPS = {name: partial(step, cell) for name, cell in CELLS.items()}


def case(name, seed=0, *, hidden=5, inputs=3, steps=7, trials=4):
    rng = np.random.default_rng(seed)
    parameters = initialise(CELLS[name], jax.random.key(seed), hidden=hidden, inputs=inputs)
    initial = jnp.asarray(rng.normal(size=(trials, CELLS[name].parts * hidden)))
    return parameters, initial, jnp.asarray(rng.normal(size=(steps, trials, inputs)))


def test_relu_by_hand():
    parameters = {"recurrent": jnp.asarray([[0.5, -1.0], [0.0, 2.0]]), "input": jnp.asarray([[1.0], [-3.0]])}
    state = STEPS["relu"](parameters, jnp.asarray([1.0, 2.0]), jnp.asarray([0.5]))
    np.testing.assert_allclose(state, [0.0, 2.5])


def test_relu_is_positively_homogeneous():
    parameters, initial, inputs = case("relu")
    once, thrice = STEPS["relu"](parameters, initial, inputs[0]), STEPS["relu"](parameters, 3 * initial, 3 * inputs[0])
    np.testing.assert_allclose(thrice, 3 * once)


def test_gru_is_that_of_torch():
    torch = pytest.importorskip("torch")
    parameters, initial, inputs = case("gru")
    cell = torch.nn.GRUCell(3, 5, dtype=torch.float64)
    zeros = np.zeros(10)
    values = {
        "weight_hh": parameters["recurrent"],
        "weight_ih": parameters["input"],
        "bias_ih": parameters["bias"],
        "bias_hh": np.concatenate([zeros, parameters["gated_bias"]]),
    }
    with torch.no_grad():
        for name, value in values.items():
            getattr(cell, name).copy_(torch.tensor(np.array(value)))
        expected = cell(torch.tensor(np.array(inputs[0])), torch.tensor(np.array(initial))).numpy()
    np.testing.assert_allclose(STEPS["gru"](parameters, initial, inputs[0]), expected, rtol=1e-12)


@pytest.mark.parametrize("name", list(CELLS))
def test_a_sequence_is_a_loop_of_steps(name):
    parameters, state, inputs = case(name)
    states = unroll(CELLS[name], parameters, state, inputs)
    for now, drawn in zip(states, inputs, strict=True):
        state = STEPS[name](parameters, state, drawn)
        np.testing.assert_allclose(now, state, atol=1e-12)


@pytest.mark.parametrize("name", list(CELLS))
def test_any_batch_axes(name):
    parameters, state, inputs = case(name)
    together = STEPS[name](parameters, state, inputs[0])
    alone = jax.vmap(lambda s, x: STEPS[name](parameters, s, x))(state, inputs[0])
    np.testing.assert_allclose(together, alone, rtol=1e-12)


@pytest.mark.parametrize("name", list(CELLS))
def test_gradient_is_that_of_a_loop_of_steps(name):
    parameters, initial, inputs = case(name)
    weight = jnp.asarray(np.random.default_rng(1).normal(size=(7, *initial.shape)))

    def scored(parameters, initial, inputs, states_of):
        return jnp.sum(weight * states_of(parameters, initial, inputs))

    def loop(parameters, state, inputs):
        states = []
        for drawn in inputs:
            state = STEPS[name](parameters, state, drawn)
            states.append(state)
        return jnp.stack(states)

    ours, theirs = (
        jax.grad(scored, argnums=(0, 1, 2))(parameters, initial, inputs, way)
        for way in (lambda *a: unroll(CELLS[name], *a), loop)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), ours, theirs)


@pytest.mark.parametrize("many", [4, 5])
@pytest.mark.parametrize("name", list(CELLS))
def test_outputs_and_their_gradient_are_those_of_a_loop_of_steps(name, many, monkeypatch):
    monkeypatch.setattr(recurrence, "MANY", many)  # of four trials
    parameters, initial, inputs = case(name)
    rng = np.random.default_rng(1)
    readout, weight = jnp.asarray(rng.normal(size=(2, 5))), jnp.asarray(rng.normal(size=(7, 4, 2)))

    def loop(parameters, readout, state, inputs):
        outputs = []
        for drawn in inputs:
            state = STEPS[name](parameters, state, drawn)
            outputs.append(state[:, :5] @ readout.T)  # of the output, not of a memory beside it
        return jnp.stack(outputs)

    def both(outputs_of):
        def scored(*arguments):
            return jnp.sum(weight * outputs_of(*arguments))

        arguments = (parameters, readout, initial, inputs)
        return outputs_of(*arguments), jax.grad(scored, argnums=(0, 1, 2, 3))(*arguments)

    ours, theirs = both(lambda *arguments: read_out(CELLS[name], *arguments)), both(loop)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), ours, theirs)


def test_further_parameters_are_left_alone():
    parameters, initial, inputs = case("relu")
    more = {**parameters, "readout": jnp.ones((2, 5))}
    np.testing.assert_array_equal(
        STEPS["relu"](more, initial, inputs[0]), STEPS["relu"](parameters, initial, inputs[0])
    )


def test_weights_are_drawn_as_by_torch():
    parameters = initialise(CELLS["gru"], jax.random.key(0), hidden=100, inputs=40)
    assert {name: p.shape for name, p in parameters.items()} == {
        "recurrent": (300, 100), "input": (300, 40), "bias": (300,), "gated_bias": (100,),
    }  # fmt: skip
    for values in parameters.values():
        assert float(jnp.abs(values).max()) <= 0.1
        assert float(values.std()) == pytest.approx(0.1 / np.sqrt(3), rel=0.15)


def test_an_unknown_cell_is_refused():
    with pytest.raises(InputError, match="unknown cell 'lsmt'"):
        cell_named("lsmt")
