r"""A recurrent network driven by noise that emits a symbol at every step.

.. math::
    h_t = \mathrm{step}(h_{t-1}, x_t), \quad h_0 = 0, \quad x_t \sim \mathcal N(0, I), \qquad
    \ell_t = W_o h_t, \qquad y_t \sim \mathrm{softmax}(\ell_t).

Inside, time is the first axis, so that a step lies in one piece of memory.

Reference: Torre, Viscione, Pompe, Grewe & Mante (2025), Mechanistic Interpretability of RNNs emulating Hidden Markov
Models, NeurIPS (arXiv 2510.25674).
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from neurodyn.emulation.config import NetworkConfig
from neurodyn.kernels.noise import fast_key
from neurodyn.kernels.recurrence import CELLS, Parameters, initialise, outputs_of, read_out, unroll


def initial_parameters(config: NetworkConfig, symbols: int, key: Key[Array, ""]) -> dict[str, Array]:
    """Weights of the cell, and ``readout`` (symbols x hidden), from ``+-1 / sqrt(hidden)``; its bias is 0."""
    cell_key, readout_key = jax.random.split(key)
    bound, dtype = config.hidden**-0.5, jnp.result_type(float)
    readout = jax.random.uniform(readout_key, (symbols, config.hidden), dtype, -bound, bound)
    cell = initialise(CELLS[config.cell], cell_key, hidden=config.hidden, inputs=config.inputs)
    bias = {"readout_bias": jnp.zeros(symbols, dtype)} if config.readout_bias else {}
    return {**cell, "readout": readout, **bias}


def run_network(
    config: NetworkConfig, parameters: Parameters, inputs: Float[Array, "time trial inputs"]
) -> tuple[Float[Array, "time trial state"], Float[Array, "time trial symbol"]]:
    """States and logits, from the state zero."""
    initial = jnp.zeros((inputs.shape[1], config.state_size), inputs.dtype)
    states = unroll(CELLS[config.cell], parameters, initial, inputs)
    return states, logits_of(parameters, states)


def logits_of(parameters: Parameters, states: Float[Array, "*batch state"]) -> Float[Array, "*batch symbol"]:
    """Logits of the symbols in states: a linear read-out of the units, with a bias where there is one."""
    logits = outputs_of(parameters["readout"], states)
    return logits + parameters["readout_bias"] if "readout_bias" in parameters else logits


def run_outputs(
    config: NetworkConfig, parameters: Parameters, inputs: Float[Array, "time trial inputs"]
) -> Float[Array, "time trial symbol"]:
    """The logits of :func:`run_network` alone; with many trials on a processor sooner."""
    initial = jnp.zeros((inputs.shape[1], config.state_size), inputs.dtype)
    logits = read_out(CELLS[config.cell], parameters, parameters["readout"], initial, inputs)
    return logits + parameters["readout_bias"] if "readout_bias" in parameters else logits


def draw_inputs(config: NetworkConfig, key: Key[Array, ""], steps: int, trials: int) -> Array:
    """Fresh Gaussian noise for every step (time x trial x inputs)."""
    dtype = jnp.result_type(float)
    uniform = jax.random.uniform(fast_key(key), (steps, trials, config.inputs), dtype, minval=jnp.finfo(dtype).eps - 1)
    return 2**0.5 * jax.lax.erf_inv(uniform)


def sample_symbols(logits: Float[Array, "*any symbol"], key: Key[Array, ""]) -> Int[Array, "*any"]:
    """Draw symbols with probability ``softmax(logits)`` (Gumbel-max)."""
    return jnp.argmax(logits + jax.random.gumbel(fast_key(key), logits.shape, logits.dtype), axis=-1)


def sample_one_hot(
    logits: Float[Array, "*any symbol"], key: Key[Array, ""], temperature: float
) -> Float[Array, "*any symbol"]:
    """Draw symbols as one-hot rows that have the derivative of a softmax (straight-through Gumbel-softmax).

    Reference: Jang, Gu & Poole (2017), Categorical reparameterization with Gumbel-softmax, ICLR.
    """
    perturbed = logits + jax.random.gumbel(fast_key(key), logits.shape, logits.dtype)
    return _straight_through(perturbed, temperature)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _straight_through(perturbed: Array, temperature: float) -> Array:
    """Exactly one-hot, where ``hard - soft + soft`` would be so up to rounding only."""
    return jax.nn.one_hot(jnp.argmax(perturbed, axis=-1), perturbed.shape[-1], dtype=perturbed.dtype)


@_straight_through.defjvp
def _straight_through_jvp(temperature: float, primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (perturbed,), (change,) = primals, tangents
    _, soft = jax.jvp(lambda z: jax.nn.softmax(z / temperature, axis=-1), (perturbed,), (change,))
    return _straight_through(perturbed, temperature), soft
