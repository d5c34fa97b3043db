"""A recurrent network as the experiments see it: a step, a readout, and parameters that can be exchanged."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from neurodyn.errors import InputError

Parameters: TypeAlias = Any
"""A pytree of arrays."""


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["parameters"],
    meta_fields=["step", "readout", "hidden", "inputs", "symbols"],
)
@dataclass(frozen=True)
class Network:
    """A network as functions of its parameters; a pytree, so that compiled code is shared by all its epochs.

    Parameters
    ----------
    step
        ``step(parameters, state (hidden,), input (inputs,)) -> state``: pure and differentiable.
    readout
        ``readout(parameters, state) -> logits (symbols,)``.
    parameters
        Pytree of arrays; ``{"recurrent", "input", "readout"}`` where the weights themselves are looked at.
    hidden, inputs, symbols
        Sizes.
    """

    step: Callable[[Parameters, Any, Any], Any]
    readout: Callable[[Parameters, Any], Any]
    parameters: Parameters
    hidden: int
    inputs: int
    symbols: int

    def at(self, parameters: Parameters) -> "Network":
        """The same network with other parameters: another epoch."""
        return replace(self, parameters=_as_float(parameters))

    def advance(
        self, states: Float[Array, "*n hidden"], inputs: Float[Array, "*n inputs"]
    ) -> Float[Array, "*n hidden"]:
        """One step of many trials."""
        step = partial(self.step, self.parameters)
        for _ in range(states.ndim - 1):
            step = jax.vmap(step)
        return step(states, inputs)

    def logits(self, states: Float[Array, "*n hidden"]) -> Float[Array, "*n symbols"]:
        """Readout of many states."""
        readout = partial(self.readout, self.parameters)
        for _ in range(states.ndim - 1):
            readout = jax.vmap(readout)
        return readout(states)


@dataclass(frozen=True)
class Epoch:
    """The network as it was after so many epochs of training."""

    epoch: int
    network: Network = field(repr=False)


def linear_readout(parameters: Parameters, state: Float[Array, " hidden"]) -> Float[Array, " symbols"]:
    """``W_o h``: logits without a bias."""
    return parameters["readout"] @ state


def network_of(emulator: Any) -> Network:
    """The network of a fitted ``HmmEmulator``; a ``Network`` is returned as it is.

    Raises
    ------
    InputError
        If it is neither.
    """
    if isinstance(emulator, Network):
        return emulator
    from neurodyn.emulation import HmmEmulator

    if not isinstance(emulator, HmmEmulator):
        raise InputError(f"expected a fitted HmmEmulator or a mechanism.Network, got {type(emulator).__name__}")
    parameters = emulator.parameters
    return Network(
        _step_of(emulator.cell), linear_readout, _as_float(parameters), emulator.hidden, emulator.inputs,
        len(parameters["readout"]),
    )  # fmt: skip


def epochs_of(emulator: Any) -> tuple[Epoch, ...]:
    """The saved epochs of an emulator, the earliest first; empty if none were kept (or for a plain ``Network``)."""
    if isinstance(emulator, Network):
        return ()
    network = network_of(emulator)
    return tuple(Epoch(int(epoch), network.at(parameters)) for epoch, parameters in emulator.snapshots)


def untrained_of(emulator: Any) -> Network | None:
    """The network with the weights that its training began with; None for a plain ``Network``."""
    if isinstance(emulator, Network):
        return None
    from neurodyn.emulation.fitting import start_of

    network = network_of(emulator)
    return network.at(start_of(emulator.config, network.symbols).parameters)


def recurrent_weights(network: Network) -> Float[np.ndarray, "to hidden"] | None:
    """Weights from unit (column) to unit (row), or None if the cell has no such single matrix."""
    parameters = network.parameters
    weights = parameters.get("recurrent") if isinstance(parameters, dict) else None
    if weights is None or np.shape(weights) != (network.hidden, network.hidden):
        return None
    return np.asarray(weights)


def is_homogeneous(network: Network, tolerance: float = 1e-4) -> bool:
    """Whether ``F(c h, c x) = c F(h, x)``, tried at one random state and factor."""
    rng = np.random.default_rng(0)
    states, inputs = (jnp.asarray(rng.normal(size=n), jnp.result_type(float)) for n in (network.hidden, network.inputs))
    states = jnp.abs(states)
    once, thrice = network.advance(states, inputs), network.advance(3.0 * states, 3.0 * inputs)
    return bool(jnp.abs(thrice - 3.0 * once).max() <= tolerance * jnp.abs(thrice).max())


@cache
def _step_of(cell: str) -> Callable[[Parameters, Any, Any], Any]:
    """Step of a cell: one function object per name, so that compiled code is shared by all networks of it."""
    from neurodyn.kernels.recurrence import cell_named, step

    return partial(step, cell_named(cell))


def _as_float(parameters: Parameters) -> Parameters:
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.result_type(float)), parameters)
