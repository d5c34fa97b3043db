"""The flip-flop task and networks trained on it: the fixed-point problem whose answer is known.

Each of ``bits`` input lines is silent but for short pulses of +1 or -1; each output line has to hold the sign of the
last pulse on its input. A network that does so has ``2**bits`` stable fixed points without input, and saddles between.

Reference: Sussillo & Barak (2013), Opening the black box, Neural Computation 25(3).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Key

from neurodyn.errors import InputError, unknown_name
from neurodyn.training import LoopConfig, NoProgress, Outcome, Progress, train

FLAX_CELLS: dict[str, Callable[..., nnx.RNNCellBase]] = {
    "gru": nnx.GRUCell,
    "lstm": nnx.OptimizedLSTMCell,
    "relu": partial(nnx.SimpleCell, activation_fn=nnx.relu),
}
"""Cells of Flax and not of ``kernels.recurrence``: fixed points are searched for in networks that others wrote."""


@dataclass(frozen=True)
class FlipFlopConfig:
    """The task, the network and its training.

    Parameters
    ----------
    cell
        'gru', 'lstm' or 'relu' (a vanilla network).
    hidden
        Units.
    bits
        Lines of input and of output.
    steps
        Length of a trial.
    pulse
        Probability of a pulse per line and step.
    noise
        Standard deviation of what is added to the state at every step of training, so that memories are held firmly.
    trials
        Per gradient step, drawn anew for each.
    epochs, gradient_steps
        Epochs, and gradient steps in each.
    rate
        Of learning, at the start; it falls to zero along a cosine.
    seed
        Of the initial weights and the trials.
    """

    cell: str = "gru"
    hidden: int = 64
    bits: int = 3
    steps: int = 50
    pulse: float = 0.1
    noise: float = 0.05
    trials: int = 64
    epochs: int = 20
    gradient_steps: int = 40
    rate: float = 5e-3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.cell not in FLAX_CELLS:
            raise unknown_name("cell", self.cell, FLAX_CELLS)
        for name in ("hidden", "bits", "steps", "trials", "epochs", "gradient_steps"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} has to be at least 1, got {getattr(self, name)}")
        if not 0 < self.pulse < 1:
            raise InputError(f"pulse is a probability between 0 and 1, got {self.pulse}")
        if self.noise < 0 or self.rate <= 0:
            raise InputError(f"noise cannot be negative and rate has to be positive, got {self.noise}, {self.rate}")


class Trials(NamedTuple):
    """Pulses, and what has to be held."""

    inputs: Float[Array, "trial time bits"]
    targets: Float[Array, "trial time bits"]


def draw_trials(key: Key[Array, ""], config: FlipFlopConfig) -> Trials:
    """Trials of the task; every line starts with a pulse, so that its target is defined throughout."""
    shape = (config.trials, config.steps, config.bits)
    when, which = jax.random.split(key)
    pulse = jax.random.bernoulli(when, config.pulse, shape).at[:, 0].set(True)
    sign = jax.random.rademacher(which, shape, dtype=jnp.result_type(float))
    last = jax.lax.cummax(jnp.where(pulse, jnp.arange(config.steps)[:, None], 0), axis=1)
    return Trials(sign * pulse.astype(sign.dtype), jnp.take_along_axis(sign, last, axis=1))


@dataclass(frozen=True, eq=False)
class FlipFlopNetwork:
    """A cell with a linear read-out.

    Parameters
    ----------
    config
        What it was made with.
    cell
        A cell of flax; its state is an array (hidden,), of the LSTM a pair of them.
    readout
        (bits, hidden).
    loss
        (epochs,) mean squared error of training.
    """

    config: FlipFlopConfig
    cell: nnx.RNNCellBase
    readout: Float[Array, "bits hidden"]
    loss: Float[np.ndarray, " epochs"]

    def step(self, state: Any, inputs: Float[Array, "*batch bits"]) -> Any:
        """State one step later."""
        return self.cell(state, inputs)[0]

    def output(self, state: Any) -> Float[Array, "*batch bits"]:
        """What the network says: the read-out of the (last part of the) state."""
        return jax.tree.leaves(state)[-1] @ self.readout.T

    def run(self, inputs: Float[Array, "trial time bits"], *, noise: float = 0.0, seed: int = 0) -> Any:
        """States (trial x time x hidden) from rest, with noise of this standard deviation added at every step."""
        return _states_compiled(*nnx.split(self.cell), inputs, jax.random.key(seed), noise)


def train_flip_flop(config: FlipFlopConfig, progress: Progress | None = None) -> FlipFlopNetwork:
    """Train a network on the task with Adam on the squared error.

    Parameters
    ----------
    config
        All there is to choose.
    progress
        What is shown after each epoch; nothing if None.
    """
    rngs, dtype = nnx.Rngs(config.seed), jnp.result_type(float)
    cell = FLAX_CELLS[config.cell](config.bits, config.hidden, dtype=dtype, param_dtype=dtype, rngs=rngs)
    readout = nnx.initializers.lecun_normal()(rngs.params(), (config.hidden, config.bits), dtype).T
    outcome = _fit(config, cell, readout, progress or NoProgress())
    nnx.update(cell, jax.tree.map(jnp.asarray, outcome.parameters[0]))
    loss = np.asarray(outcome.history.loss, np.float64)
    return FlipFlopNetwork(config, cell, jnp.asarray(outcome.parameters[1]), loss)


def _fit(config: FlipFlopConfig, cell: nnx.RNNCellBase, readout: Array, progress: Progress) -> Outcome:
    graph, weights, rest = nnx.split(cell, nnx.Param, ...)
    decay = optax.cosine_decay_schedule(config.rate, config.epochs * config.gradient_steps)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(decay))

    def loss(parameters: Any, key: Array) -> Array:
        trials = draw_trials(jax.random.fold_in(key, 0), config)
        states = _states(nnx.merge(graph, parameters[0], rest), trials.inputs, jax.random.fold_in(key, 1), config.noise)
        return jnp.mean((jax.tree.leaves(states)[-1] @ parameters[1].T - trials.targets) ** 2)

    def update(carry: Any, key: Array) -> tuple[Any, Array]:
        parameters, memory = carry
        value, slope = jax.value_and_grad(loss)(parameters, key)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes integers and floats
            change, memory = optimizer.update(slope, memory, parameters)
        return (optax.apply_updates(parameters, change), memory), value

    @jax.jit
    def epoch(state: Any, key: Array) -> tuple[Any, Array]:
        return jax.lax.scan(update, state, jax.random.split(key, config.gradient_steps))

    start: Any = (weights, readout)
    validate, key = jax.jit(loss), jax.random.key(config.seed)
    return train(
        (start, optimizer.init(start)),
        lambda state, number: epoch(state, jax.random.fold_in(key, number)),
        lambda state: (validate(state[0], jax.random.fold_in(key, config.epochs)), state[0]),
        LoopConfig(epochs=config.epochs, patience=config.epochs),
        progress,
    )


def _states(cell: nnx.RNNCellBase, inputs: Array, key: Array, noise: float | Array) -> Any:
    """States (trial x time x hidden) of the cell from rest."""
    start = jax.tree.map(jnp.zeros_like, cell.initialize_carry(inputs[:, 0].shape, nnx.Rngs(0)))
    start = jax.tree.map(lambda leaf: leaf.astype(inputs.dtype), start)

    def advance(state: Any, now: tuple[Array, Array]) -> tuple[Any, Any]:
        shake, pulse = now
        state = cell(state, pulse)[0]
        keys = jax.random.split(shake, len(jax.tree.leaves(state)))
        keys = jax.tree.unflatten(jax.tree.structure(state), list(keys))
        state = jax.tree.map(lambda s, k: s + noise * jax.random.normal(k, s.shape, s.dtype), state, keys)
        return state, state

    keys = jax.random.split(key, inputs.shape[1])
    states = jax.lax.scan(advance, start, (keys, jnp.swapaxes(inputs, 0, 1)))[1]
    return jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), states)


@partial(jax.jit, static_argnums=0)
def _states_compiled(graph: Any, weights: Any, inputs: Array, key: Array, noise: float | Array) -> Any:
    return _states(nnx.merge(graph, weights), inputs, key, noise)
