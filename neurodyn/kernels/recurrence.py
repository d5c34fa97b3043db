r"""The dynamics of recurrent networks: one step, and the same step along a sequence of inputs.

=========  =====================================================================  ===============================
cell       next state                                                             parameters
=========  =====================================================================  ===============================
``relu``   :math:`h' = \max(0, W h + U x)`                                        recurrent W, input U
``tanh``   :math:`h' = \tanh(W h + U x + b)`                                      recurrent, input, bias b
``gru``    :math:`h' = (1 - z) n + z h`, :math:`n = \tanh(U_n x + b_n + r (W_n    recurrent, input (rows of r, z
           h + c))`, r and z sigmoids of :math:`U x + b + W h`                    and n), bias b, gated_bias c
``lstm``   :math:`c' = f c + i g`, :math:`h' = o \tanh(c')`; i, f and o sigmoids   recurrent, input (rows of i, f, g
           and g the tanh of :math:`U x + b + W h`                                and o), bias b
=========  =====================================================================  ===============================

Three more are ``relu_bias``, :math:`h' = \max(0, W h + U x + b)`, and the leaky units ``leaky`` and
``leaky_rectifier``, :math:`h' = (1 - a) h + a \phi(W h + U x + b)`, with the tanh or the rectifier for phi and a share
a per unit, which is the sigmoid of the parameter ``leak``.

``relu`` has no bias, so that its map is positively homogeneous. The gated unit is that of Cho et al. (2014), Learning
phrase representations using RNN encoder-decoder, EMNLP, with the reset gate after the matrix product, as in cuDNN. The
LSTM is that of Gers, Schmidhuber & Cummins (2000), Learning to forget, Neural Computation 12(10); its state is
``(h, c)``, behind one another in the last axis.

Outputs are read out of h, the first entries of a state. States and inputs have any batch axes in front, but for
:func:`read_out`, which takes one axis of trials. Parameters are a dictionary, in which further entries (a read-out) are
left alone.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Key

from neurodyn.errors import unknown_name

Parameters = Mapping[str, Array]
Advance = Callable[[Parameters, Array, Array], Array]

GATES = 3
"""Gates of a gated recurrent unit: reset, update and new, in this order in weights and drives."""
MANY = 512
"""Trials from which on a processor is faster with the trials as the last axis: small products are then shared out to
its cores. With 256 it makes no difference, with 64 it takes a tenth longer (150 units, two cores)."""


class Cell(NamedTuple):
    """One kind of network.

    advance: (parameters, state, drive) -> next state.
    gates: how many times the hidden units there are rows of weights.
    biases: names of the biases beside the weights and their number of gates.
    activation: of cells whose next state is ``activation(W h + drive)``, else None.
    slope: derivative of the activation by its value; there if the activation is.
    unrolled: (parameters, initial, inputs) -> states after each step, with a derivative of its own; None: that of the
        plain cells if there is an activation, else JAX's.
    parts: state vectors per unit: 2 if a cell keeps a memory beside its output.
    """

    advance: Advance
    gates: int
    biases: Mapping[str, int]
    activation: Callable[[Array], Array] | None = None
    slope: Callable[[Array], Array] | None = None
    unrolled: Callable[[Parameters, Array, Array], Array] | None = None
    parts: int = 1

    @classmethod
    def plain(
        cls, activation: Callable[[Array], Array], slope: Callable[[Array], Array], biases: Mapping[str, int]
    ) -> "Cell":
        """A cell whose next state is ``activation(W h + drive)``."""
        return cls(partial(_advance_plain, activation), 1, biases, activation, slope)


def step(
    cell: Cell, parameters: Parameters, state: Float[Array, "*batch state"], inputs: Float[Array, "*batch inputs"]
) -> Float[Array, "*batch state"]:
    """One step of a cell."""
    return cell.advance(parameters, state, project(parameters, inputs))


def project(parameters: Parameters, inputs: Float[Array, "*batch inputs"]) -> Float[Array, "*batch drive"]:
    """Drive ``U x + b`` of the units, or of the gates."""
    drive = inputs @ parameters["input"].T
    return drive + parameters["bias"] if "bias" in parameters else drive


def unroll(
    cell: Cell,
    parameters: Parameters,
    initial: Float[Array, "*batch state"],
    inputs: Float[Array, "time *batch inputs"],
) -> Float[Array, "time *batch state"]:
    """States after each step: a loop of :func:`step`, with time as the first axis so that a step lies in one piece."""
    if cell.unrolled is not None:
        return cell.unrolled(parameters, initial, inputs)
    loop = _loop if cell.activation is None else _plain_loop
    return loop(cell, _of_cell(cell, parameters), initial, inputs)


def unroll_gated(
    parameters: Parameters,
    initial: Float[Array, "*batch hidden"],
    drive: Float[Array, "time *batch gates"],
) -> Float[Array, "time *batch hidden"]:
    """States of a gated recurrent unit after each step, from the drives ``U x + b`` of its gates.

    The drives of all steps are one matrix product, which the caller makes, so that inputs of several kinds can be added
    up. The derivative is written out: backwards in time go only the deltas of the gates, and the gradient of the
    recurrent weights is one product over all steps and trials. It takes about a third of the time of JAX's own.

    Parameters
    ----------
    parameters
        ``recurrent`` (3 hidden, hidden) and ``gated_bias`` (hidden,); further entries are left alone.
    initial
        State before the first step.
    drive
        Drives of reset, update and new gate, behind one another in the last axis (3 hidden).

    Examples
    --------
    >>> import jax
    >>> from neurodyn.kernels.recurrence import CELLS, initialise, project, unroll_gated
    >>> parameters = initialise(CELLS["gru"], jax.random.key(0), hidden=4, inputs=3)
    >>> inputs = jax.numpy.ones((10, 2, 3))
    >>> unroll_gated(parameters, jax.numpy.zeros((2, 4)), project(parameters, inputs)).shape
    (10, 2, 4)
    """
    return _gated_loop(parameters["recurrent"], parameters["gated_bias"], initial, drive)


def read_out(
    cell: Cell,
    parameters: Parameters,
    readout: Float[Array, "outputs hidden"],
    initial: Float[Array, "trial state"],
    inputs: Float[Array, "time trial inputs"],
) -> Float[Array, "time trial outputs"]:
    """Outputs ``V h`` of the states after each step, in the order of products that suits the device.

    Several devices, or an accelerator, get one product of all steps for the gradient of the weights, and so do few
    trials; one processor with many trials adds it up on the way.
    """
    one_processor = jax.default_backend() == "cpu" and jax.device_count() == 1
    if cell.activation is None or len(initial) < MANY or not one_processor:
        return outputs_of(readout, unroll(cell, parameters, initial, inputs))
    return _plain_read_out(cell, _of_cell(cell, parameters), readout, initial, inputs)


def outputs_of(
    readout: Float[Array, "outputs hidden"], states: Float[Array, "*batch state"]
) -> Float[Array, "*batch outputs"]:
    """Outputs ``V h`` of states, of which h is the first entries."""
    return states[..., : readout.shape[1]] @ readout.T


def initialise(cell: Cell, key: Key[Array, ""], *, hidden: int, inputs: int) -> dict[str, Array]:
    """Weights and biases drawn evenly from ``+-1 / sqrt(hidden)``, as PyTorch does for its recurrent layers."""
    shapes = {"recurrent": (cell.gates * hidden, hidden), "input": (cell.gates * hidden, inputs)}
    shapes |= {name: (gates * hidden,) for name, gates in cell.biases.items()}
    keys = jax.random.split(key, len(shapes))
    bound, dtype = hidden**-0.5, jnp.result_type(float)
    return {
        name: jax.random.uniform(k, shape, dtype, -bound, bound)
        for k, (name, shape) in zip(keys, shapes.items(), strict=True)
    }


def cell_named(name: str) -> Cell:
    """Look a cell up.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    if name not in CELLS:
        raise unknown_name("cell", name, CELLS)
    return CELLS[name]


def _of_cell(cell: Cell, parameters: Parameters) -> Parameters:
    """The parameters without further entries, which a gradient would have to hold too."""
    return {name: parameters[name] for name in ("recurrent", "input", *cell.biases)}


def _advance_plain(activation: Callable[[Array], Array], parameters: Parameters, state: Array, drive: Array) -> Array:
    return activation(state @ parameters["recurrent"].T + drive)


def _advance_gru(parameters: Parameters, state: Array, drive: Array) -> Array:
    gates = _gates(parameters["recurrent"], parameters["gated_bias"], state, drive)
    return gates.new + gates.update * (state - gates.new)


def _advance_lstm(parameters: Parameters, state: Array, drive: Array) -> Array:
    output, memory = jnp.split(state, 2, axis=-1)
    taken, kept, new, shown = jnp.split(drive + output @ parameters["recurrent"].T, 4, axis=-1)
    memory = jax.nn.sigmoid(kept) * memory + jax.nn.sigmoid(taken) * jnp.tanh(new)
    return jnp.concatenate([jax.nn.sigmoid(shown) * jnp.tanh(memory), memory], axis=-1)


def _advance_leaky(activation: Callable[[Array], Array], parameters: Parameters, state: Array, drive: Array) -> Array:
    share = jax.nn.sigmoid(parameters["leak"])
    return state + share * (activation(state @ parameters["recurrent"].T + drive) - state)


def _unroll_gru(parameters: Parameters, initial: Array, inputs: Array) -> Array:
    return unroll_gated(parameters, initial, project(parameters, inputs))


def _loop(cell: Cell, parameters: Parameters, initial: Array, inputs: Array) -> Array:
    def one_step(state: Array, now: Array) -> tuple[Array, Array]:
        state = step(cell, parameters, state, now)
        return state, state

    return lax.scan(one_step, initial, inputs)[1]


class _Gates(NamedTuple):
    """What a step of a gated unit keeps for its derivative: reset, update, new, and what the reset gate multiplies."""

    reset: Array
    update: Array
    new: Array
    fed_back: Array


def _gates(recurrent: Array, gated_bias: Array, state: Array, drive: Array) -> _Gates:
    reset_drive, update_drive, new_drive = jnp.split(drive, GATES, axis=-1)
    reset_back, update_back, new_back = jnp.split(state @ recurrent.T, GATES, axis=-1)
    reset = jax.nn.sigmoid(reset_drive + reset_back)
    update = jax.nn.sigmoid(update_drive + update_back)
    fed_back = new_back + gated_bias
    return _Gates(reset, update, jnp.tanh(new_drive + reset * fed_back), fed_back)


@jax.custom_vjp
def _gated_loop(recurrent: Array, gated_bias: Array, initial: Array, drive: Array) -> Array:
    """States ``h' = n + z (h - n)`` of a gated recurrent unit; see :func:`unroll_gated`."""
    return _gated_forward(recurrent, gated_bias, initial, drive)[0]


def _gated_forward(recurrent: Array, gated_bias: Array, initial: Array, drive: Array):
    def one_step(state: Array, now: Array) -> tuple[Array, tuple[Array, _Gates]]:
        gates = _gates(recurrent, gated_bias, state, now)
        state = gates.new + gates.update * (state - gates.new)
        return state, (state, gates)

    _, (states, gates) = lax.scan(one_step, initial, drive)
    return states, (recurrent, initial, states, gates)


def _gated_backward(residuals: tuple[Array, Array, Array, _Gates], cotangents: Array):
    recurrent, initial, states, gates = residuals
    before = jnp.concatenate([initial[None], states[:-1]])

    def one_step(later: Array, now: tuple[Array, Array, _Gates]) -> tuple[Array, tuple[Array, Array]]:
        cotangent, previous, gate = now
        delta = cotangent + later
        new = delta * (1 - gate.update) * (1 - gate.new * gate.new)
        update = delta * (previous - gate.new) * gate.update * (1 - gate.update)
        reset = new * gate.fed_back * gate.reset * (1 - gate.reset)
        back = jnp.concatenate([reset, update, new * gate.reset], axis=-1)
        return delta * gate.update + back @ recurrent, (back, new)

    first, (back, new) = lax.scan(one_step, jnp.zeros_like(initial), (cotangents, before, gates), reverse=True)
    hidden = initial.shape[-1]
    flat = back.reshape(-1, GATES * hidden)
    of_recurrent = flat.T @ before.reshape(-1, hidden)
    of_bias = jnp.sum(flat[:, 2 * hidden :], axis=0)
    return of_recurrent, of_bias, first, jnp.concatenate([back[..., : 2 * hidden], new], axis=-1)


_gated_loop.defvjp(_gated_forward, _gated_backward)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _plain_loop(cell: Cell, parameters: Parameters, initial: Array, inputs: Array) -> Array:
    """States of a cell with ``h' = activation(W h + U x + b)``.

    Its own derivative: backwards in time go only the deltas ``d[t] = slope(h[t]) (g[t] + W' d[t+1])``, and the
    gradients of the weights, ``sum_t d[t] h[t-1]'`` and ``sum_t d[t] x[t]'``, are one matrix product each over all
    steps and trials. The automatic one adds up small products.
    """
    return _loop(cell, parameters, initial, inputs)


def _plain_forward(cell: Cell, parameters: Parameters, initial: Array, inputs: Array):
    states = _plain_loop(cell, parameters, initial, inputs)
    return states, (parameters, initial, inputs, states)


def _plain_backward(cell: Cell, residuals: tuple[Parameters, Array, Array, Array], cotangents: Array):
    parameters, initial, inputs, states = residuals
    assert cell.slope is not None
    slope = cell.slope

    def one_step(later: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        cotangent, state = now
        delta = (cotangent + later @ parameters["recurrent"]) * slope(state)
        return delta, delta

    first, deltas = lax.scan(one_step, jnp.zeros_like(initial), (cotangents, states), reverse=True)
    before = jnp.concatenate([initial[None], states[:-1]])
    flat = deltas.reshape(-1, deltas.shape[-1])
    gradients = {
        "recurrent": flat.T @ before.reshape(-1, before.shape[-1]),
        "input": flat.T @ inputs.reshape(-1, inputs.shape[-1]),
    }
    if "bias" in parameters:
        gradients["bias"] = jnp.sum(flat, axis=0)
    return gradients, first @ parameters["recurrent"], deltas @ parameters["input"]


_plain_loop.defvjp(_plain_forward, _plain_backward)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _plain_read_out(cell: Cell, parameters: Parameters, readout: Array, initial: Array, inputs: Array) -> Array:
    """Outputs of a cell with ``h' = activation(W h + U x + b)``, and a derivative of its own.

    Inside, the trials are the last axis: small products ``W h`` are shared out to the cores in this form, products
    ``h W'`` are not. Backwards go the deltas ``d[t] = slope(h[t]) (V' g[t] + W' d[t+1])``; what they make of the
    gradients of the weights, ``d[t] h[t-1]'`` and so on, is added up on the way, before they leave the cache.
    """
    return _plain_read_out_forward(cell, parameters, readout, initial, inputs)[0]


def _plain_read_out_forward(cell: Cell, parameters: Parameters, readout: Array, initial: Array, inputs: Array):
    assert cell.activation is not None
    activation, bias = cell.activation, parameters.get("bias")
    weights = jnp.concatenate([parameters["recurrent"], parameters["input"]], axis=1)

    def one_step(state: Array, now: Array) -> tuple[Array, tuple[Array, Array]]:
        drive = weights @ jnp.concatenate([state, now.T])
        state = activation(drive if bias is None else drive + bias[:, None])
        return state, (state, readout @ state)

    _, (states, outputs) = lax.scan(one_step, initial.T, inputs)
    return jnp.swapaxes(outputs, 1, 2), (parameters, readout, initial, inputs, states)


def _plain_read_out_backward(cell: Cell, residuals: tuple[Parameters, Array, Array, Array, Array], cotangents: Array):
    parameters, readout, initial, inputs, states = residuals
    assert cell.slope is not None
    recurrent, slope = parameters["recurrent"], cell.slope

    def one_step(carry: tuple[Array, dict[str, Array], Array], now: tuple[Array, Array, Array]):
        later, sums, readout_sum = carry
        cotangent, state, drawn = now
        delta = (readout.T @ cotangent + recurrent.T @ later) * slope(state)
        sums = sums | {"recurrent": sums["recurrent"] + later @ state.T, "input": sums["input"] + delta @ drawn}
        if "bias" in sums:
            sums["bias"] = sums["bias"] + jnp.sum(delta, axis=1)
        return (delta, sums, readout_sum + cotangent @ state.T), delta

    start = (jnp.zeros_like(initial.T), jax.tree.map(jnp.zeros_like, dict(parameters)), jnp.zeros_like(readout))
    going = (jnp.swapaxes(cotangents, 1, 2), states, inputs)
    (first, sums, readout_sum), deltas = lax.scan(one_step, start, going, reverse=True)
    sums["recurrent"] = sums["recurrent"] + first @ initial
    along_inputs = jnp.einsum("thb,hi->tbi", deltas, parameters["input"])
    return sums, readout_sum, (recurrent.T @ first).T, along_inputs


_plain_read_out.defvjp(_plain_read_out_forward, _plain_read_out_backward)


def _relu_slope(state: Array) -> Array:
    return (state > 0).astype(state.dtype)


def _tanh_slope(state: Array) -> Array:
    return 1 - state * state


CELLS: dict[str, Cell] = {
    "relu": Cell.plain(jax.nn.relu, _relu_slope, {}),
    "tanh": Cell.plain(jnp.tanh, _tanh_slope, {"bias": 1}),
    "gru": Cell(_advance_gru, GATES, {"bias": GATES, "gated_bias": 1}, unrolled=_unroll_gru),
    "relu_bias": Cell.plain(jax.nn.relu, _relu_slope, {"bias": 1}),
    "lstm": Cell(_advance_lstm, 4, {"bias": 4}, parts=2),
    "leaky": Cell(partial(_advance_leaky, jnp.tanh), 1, {"bias": 1, "leak": 1}),
    "leaky_rectifier": Cell(partial(_advance_leaky, jax.nn.relu), 1, {"bias": 1, "leak": 1}),
}
"""The cells by name: another row, and networks of it are trained, matched and explained."""
