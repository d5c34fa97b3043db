"""A recurrent network as the experiments see it: a step, a readout, and parameters that can be exchanged."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from neurodyn.errors import InputError

if TYPE_CHECKING:
    from neurodyn.emulation import GeneratedSymbols

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

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import numpy as np
    >>> import neurodyn as nd
    >>> weights = {"recurrent": 0.5 * np.eye(4), "input": np.ones((4, 2)), "readout": np.eye(3, 4)}
    >>> emulator = nd.HmmEmulator.from_weights(nd.emulation.Weights("relu", weights), nd.markov.linear_chain(2))
    >>> network = nd.mechanism.network_of(emulator)
    >>> network.hidden, network.inputs, network.symbols, network.logits(jnp.ones((5, 4))).shape
    (4, 2, 3, (5, 3))
    """

    step: Callable[[Parameters, Any, Any], Any]
    readout: Callable[[Parameters, Any], Any]
    parameters: Parameters
    hidden: int
    inputs: int
    symbols: int

    def with_parameters(self, parameters: Parameters) -> "Network":
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

    def generate(self, trials: int, steps: int, *, seed: int) -> "GeneratedSymbols":
        """Run trials under white noise and draw symbols, for `neurodyn.emulation.match`."""
        from neurodyn.emulation import DrivenNetwork

        driven = DrivenNetwork(self.advance, self.logits, self.hidden, self.inputs)
        return driven.generate(trials, steps, seed=seed)


@dataclass(frozen=True)
class Epoch:
    """The network as it was after so many epochs of training.

    Examples
    --------
    >>> import numpy as np
    >>> import neurodyn as nd
    >>> weights = {"recurrent": 0.5 * np.eye(4), "input": np.ones((4, 2)), "readout": np.eye(3, 4)}
    >>> emulator = nd.HmmEmulator.from_weights(nd.emulation.Weights("relu", weights), nd.markov.linear_chain(2))
    >>> trained = nd.mechanism.network_of(emulator)
    >>> before = trained.with_parameters({**trained.parameters, "recurrent": 0.1 * np.eye(4)})
    >>> epochs = [nd.mechanism.Epoch(0, before), nd.mechanism.Epoch(100, trained)]
    >>> [epoch.epoch for epoch in epochs]
    [0, 100]
    """

    epoch: int
    network: Network = field(repr=False)


def linear_readout(parameters: Parameters, state: Float[Array, " hidden"]) -> Float[Array, " symbols"]:
    """``W_o h``, with a bias where there is one; h is the first entries of a state, all of them but in an LSTM.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from neurodyn.mechanism import linear_readout
    >>> linear_readout({"readout": jnp.eye(3, 4)}, jnp.arange(4.0)).tolist()
    [0.0, 1.0, 2.0]
    """
    logits = parameters["readout"] @ state[: parameters["readout"].shape[1]]
    return logits + parameters["readout_bias"] if "readout_bias" in parameters else logits


def network_of(emulator: Any) -> Network:
    """The network of a fitted ``HmmEmulator``, or of whatever has a step and a read-out.

    Parameters
    ----------
    emulator
        Fitted emulator; a ``Network``, which is returned as it is; or an object with ``step(state, input)``,
        ``readout(state)``, ``hidden`` (entries of a state) and ``inputs``, such as `neurodyn.emulation.DrivenNetwork`.

    Raises
    ------
    InputError
        If it is none of these.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import neurodyn as nd
    >>> rnn = nd.emulation.DrivenNetwork(lambda h, x: jnp.tanh(h + x), lambda h: jnp.stack([h[0], -h[0]]), 3, 3)
    >>> network = nd.mechanism.network_of(rnn)
    >>> network.hidden, network.symbols
    (3, 2)
    """
    if isinstance(emulator, Network):
        return emulator
    from neurodyn.emulation import Driven, HmmEmulator

    if isinstance(emulator, HmmEmulator):
        parameters = emulator.parameters
        return Network(
            _step_of(emulator.cell), linear_readout, _as_float(parameters), emulator.config.network.state_size,
            emulator.inputs, len(parameters["readout"]),
        )  # fmt: skip
    if not isinstance(emulator, Driven):
        raise InputError(
            "expected a fitted HmmEmulator, a mechanism.Network or an object with step(state, input), readout(state), "
            f"hidden and inputs, got {type(emulator).__name__}"
        )
    step, readout = emulator.step, emulator.readout
    symbols = jax.eval_shape(readout, jnp.zeros(emulator.hidden)).shape[-1]
    return Network(
        lambda _, state, given: step(state, given), lambda _, state: readout(state), {}, emulator.hidden,
        emulator.inputs, symbols,
    )  # fmt: skip


def epochs_of(emulator: Any) -> tuple[Epoch, ...]:
    """The saved epochs of an emulator, the earliest first; empty if none were kept, and of any other network.

    Examples
    --------
    >>> import numpy as np
    >>> import neurodyn as nd
    >>> weights = {"recurrent": 0.5 * np.eye(4), "input": np.ones((4, 2)), "readout": np.eye(3, 4)}
    >>> emulator = nd.HmmEmulator.from_weights(nd.emulation.Weights("relu", weights), nd.markov.linear_chain(2))
    >>> nd.mechanism.epochs_of(emulator)  # none were kept: it was trained elsewhere
    ()
    """
    if not hasattr(emulator, "snapshots"):
        return ()
    network = network_of(emulator)
    return tuple(Epoch(int(epoch), network.with_parameters(parameters)) for epoch, parameters in emulator.snapshots)


def untrained_of(emulator: Any) -> Network | None:
    """The network with the weights that its training began with; None where it was not trained by this package.

    Examples
    --------
    >>> import numpy as np
    >>> import neurodyn as nd
    >>> weights = {"recurrent": 0.5 * np.eye(4), "input": np.ones((4, 2)), "readout": np.eye(3, 4)}
    >>> emulator = nd.HmmEmulator.from_weights(nd.emulation.Weights("relu", weights), nd.markov.linear_chain(2))
    >>> nd.mechanism.untrained_of(emulator) is None  # it was trained elsewhere
    True
    """
    from neurodyn.emulation.weights import ELSEWHERE

    if isinstance(emulator, Network) or getattr(emulator, "status", ELSEWHERE) == ELSEWHERE:
        return None
    from neurodyn.emulation.fitting import start_of

    network = network_of(emulator)
    return network.with_parameters(start_of(emulator.config, network.symbols).parameters)


def redrawn(network: Network, seed: int) -> Network:
    """Another network like an untrained one: the entries of each of its arrays of weights, dealt out anew.

    Where weights are drawn independently from one distribution, as at the start of a training, this is another draw.
    """
    rng = np.random.default_rng(seed)
    return network.with_parameters(
        jax.tree.map(lambda leaf: rng.permuted(np.asarray(leaf), axis=None), network.parameters)
    )


def recurrent_weights(network: Network) -> Float[np.ndarray, "to hidden"] | None:
    """Weights from unit (column) to unit (row), or None if the cell has no such single matrix."""
    parameters = network.parameters
    weights = parameters.get("recurrent") if isinstance(parameters, dict) else None
    if weights is None or np.shape(weights) != (network.hidden, network.hidden):
        return None
    return np.asarray(weights)


@jax.jit
def jacobians(
    network: Network, states: Float[Array, "n hidden"], inputs: Float[Array, "n inputs"]
) -> Float[Array, "n hidden hidden"]:
    """Derivatives of the next state by the state, at each state with its input."""
    return jax.vmap(jax.jacfwd(network.advance))(states, inputs)


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
