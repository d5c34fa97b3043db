"""Anything with a step and a read-out, driven by noise: all that `match` and `mechanism` need to know of a network."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int32, Key

from neurodyn.emulation.network import sample_symbols
from neurodyn.errors import InputError

AT_ONCE = 512
"""Trials that one compiled call runs."""


@runtime_checkable
class Driven(Protocol):
    """A network that turns white noise into logits of symbols, from the state zero.

    ``step(state, input) -> state`` and ``readout(state) -> logits`` of one state (``hidden``,) and one input
    (``inputs``,), written with jax.numpy.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from neurodyn.emulation import Driven, DrivenNetwork
    >>> step, readout = lambda h, x: jnp.tanh(h + x), lambda h: jnp.stack([h[0], -h[0]])
    >>> isinstance(DrivenNetwork(step, readout, hidden=2, inputs=2), Driven)
    True
    """

    hidden: Any
    inputs: Any
    step: Any
    readout: Any


@dataclass(frozen=True, eq=False)
class DrivenNetwork:
    """A network of any make: a step and a read-out, for `match` and for `neurodyn.mechanism`.

    Parameters
    ----------
    step
        ``step(state, input) -> state``, pure and differentiable by JAX.
    readout
        ``readout(state) -> logits`` of the symbols.
    hidden
        Entries of a state.
    inputs
        Entries of an input, which is white noise.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> turn = 0.9 * jnp.asarray([[0.8, -0.6], [0.6, 0.8]])
    >>> network = DrivenNetwork(lambda h, x: turn @ h + x, lambda h: jnp.stack([h[0], h[1], -h[0]]), hidden=2, inputs=2)
    >>> network.generate(5, 20, seed=0).symbols.shape
    (5, 20)
    """

    step: Callable[[Any, Any], Any]
    readout: Callable[[Any], Any]
    hidden: int
    inputs: int

    def __post_init__(self) -> None:
        for name in ("hidden", "inputs"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")
        state, given = jnp.zeros(self.hidden), jnp.zeros(self.inputs)
        after = jax.eval_shape(self.step, state, given)
        if getattr(after, "shape", None) != state.shape:
            raise InputError(f"step has to return a state ({self.hidden},), got {getattr(after, 'shape', after)}")
        logits = jax.eval_shape(self.readout, state)
        if len(getattr(logits, "shape", ())) != 1:
            raise InputError(f"readout has to return logits (symbols,), got {getattr(logits, 'shape', logits)}")

    def generate(self, trials: int, steps: int, *, seed: int) -> "GeneratedSymbols":
        """Run trials from the state zero under white noise, and draw a symbol at each step.

        Parameters
        ----------
        trials, steps
            How many, of what length.
        seed
            Seed of the noise and of the symbols.
        """
        if trials < 1 or steps < 1:
            raise InputError(f"expected at least one trial and one step, got {trials} trials of {steps} steps")
        size, key = min(trials, AT_ONCE), jax.random.key(seed)
        keys = [jax.random.fold_in(key, number) for number in range(-(-trials // size))]
        parts = [np.asarray(_symbols(self, steps, size, one)) for one in keys]
        return GeneratedSymbols(np.concatenate(parts)[:trials])


@dataclass(frozen=True)
class GeneratedSymbols:
    """The symbols of some trials, where nothing else of them is needed.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from neurodyn.emulation import DrivenNetwork
    >>> step, readout = lambda h, x: jnp.tanh(h + x), lambda h: jnp.stack([h[0], -h[0]])
    >>> DrivenNetwork(step, readout, hidden=2, inputs=2).generate(trials=4, steps=30, seed=0).symbols.shape
    (4, 30)
    """

    symbols: Int32[np.ndarray, "trial time"]


@dataclass(frozen=True)
class Generated:
    """What a network did in some trials.

    Parameters
    ----------
    symbols
        Drawn at each step.
    logits
        Logits of the symbols' probabilities.
    states
        After each step; of an LSTM its outputs and behind them its memories.
    inputs
        Noise that came in at each step.

    Examples
    --------
    >>> import numpy as np
    >>> import neurodyn as nd
    >>> arrays = {"recurrent": np.eye(4) / 2, "input": np.ones((4, 2)), "readout": np.eye(3, 4)}
    >>> weights = nd.emulation.Weights("tanh", arrays)
    >>> generated = nd.HmmEmulator.from_weights(weights, nd.markov.linear_chain(2)).generate(trials=5, steps=20, seed=0)
    >>> generated.symbols.shape, generated.logits.shape, generated.states.shape, generated.inputs.shape
    ((5, 20), (5, 20, 3), (5, 20, 4), (5, 20, 2))
    """

    symbols: Int32[np.ndarray, "trial time"]
    logits: Float[np.ndarray, "trial time symbol"]
    states: Float[np.ndarray, "trial time state"]
    inputs: Float[np.ndarray, "trial time inputs"]


@partial(jax.jit, static_argnums=(0, 1, 2))
def _symbols(network: DrivenNetwork, steps: int, trials: int, key: Key[Array, ""]) -> Int32[Array, "trial time"]:
    noise, choice = jax.random.split(key)
    dtype = jnp.result_type(float)
    advance, read = jax.vmap(network.step), jax.vmap(network.readout)

    def one_step(states: Array, now: Key[Array, ""]) -> tuple[Array, Array]:
        states = advance(states, jax.random.normal(now, (trials, network.inputs), dtype))
        return states, read(states)

    _, logits = lax.scan(one_step, jnp.zeros((trials, network.hidden), dtype), jax.random.split(noise, steps))
    return sample_symbols(logits, choice).astype(jnp.int32).T


def generator_of(emulator: Any) -> Any:
    """What makes sequences: the object itself if it does, or the network that its step and read-out make.

    Parameters
    ----------
    emulator
        With ``generate``; else with ``step``, ``readout``, ``hidden`` and ``inputs``.

    Raises
    ------
    InputError
        If it is none of these.
    """
    if hasattr(emulator, "generate"):
        return emulator
    if not isinstance(emulator, Driven):
        raise InputError(
            "expected something with generate(trials, steps, seed=...), or with step(state, input), readout(state), "
            f"hidden and inputs, got {type(emulator).__name__}"
        )
    return DrivenNetwork(emulator.step, emulator.readout, emulator.hidden, emulator.inputs)
