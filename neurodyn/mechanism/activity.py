"""What a network did under noise: recorded once, looked at by every claim."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, Key

from neurodyn.components import principal_axes
from neurodyn.errors import InputError
from neurodyn.kernels.noise import fast_key
from neurodyn.mechanism.network import Network, network_of


@dataclass(frozen=True)
class RecordConfig:
    """How much is recorded.

    Parameters
    ----------
    trials, steps
        Size of the recording.
    burn_in
        Steps from the empty state that are thrown away.
    level
        Standard deviation of the input noise, 1 in training. Every claim that lets the network run anew, or another
        network beside it, does so at this level.
    most_times
        A claim that so many trials leave undecided has more recorded, up to this many times as many (a power of two).

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import neurodyn as nd
    >>> rnn = nd.emulation.DrivenNetwork(lambda h, x: jnp.tanh(h + x), lambda h: jnp.stack([h[0], -h[0]]), 3, 3)
    >>> short = nd.mechanism.RecordConfig(trials=4, steps=20, burn_in=5, level=0.5)
    >>> nd.mechanism.record(rnn, short, seed=0).states.shape
    (4, 20, 3)
    """

    trials: int = 192
    steps: int = 120
    burn_in: int = 30
    level: float = 1.0
    most_times: int = 8


@dataclass(frozen=True, eq=False)
class Activity:
    """A recording; ``inputs[:, t]`` is the noise that led into ``states[:, t]``.

    Parameters
    ----------
    states
        (trial, time, hidden).
    inputs
        (trial, time, inputs).
    logits
        (trial, time, symbol).
    level
        Standard deviation of the noise; what runs anew to be held against the recording runs at it too.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import neurodyn as nd
    >>> rnn = nd.emulation.DrivenNetwork(lambda h, x: jnp.tanh(h + x), lambda h: jnp.stack([h[0], -h[0]]), 3, 3)
    >>> activity = nd.mechanism.record(rnn, nd.mechanism.RecordConfig(trials=4, steps=20, burn_in=5), seed=0)
    >>> activity.logits.shape, activity.likeliest.shape, activity.changes().shape[1]
    ((4, 20, 2), (4, 20), 4)
    """

    states: Float[np.ndarray, "trials time hidden"]
    inputs: Float[np.ndarray, "trials time inputs"]
    logits: Float[np.ndarray, "trials time symbols"]
    level: float = 1.0

    @property
    def likeliest(self) -> Int[np.ndarray, "trials time"]:
        """Likeliest symbol of each state."""
        return self.logits.argmax(axis=-1)

    @property
    def probabilities(self) -> Float[np.ndarray, "trials time symbols"]:
        """Emission probabilities of each state."""
        raised = np.exp(self.logits - self.logits.max(axis=-1, keepdims=True))
        return raised / raised.sum(axis=-1, keepdims=True)

    def settled(self, steps: int) -> Int[np.ndarray, "trials time"]:
        """Likeliest symbol where it has been the same for ``steps`` steps (the present one counted), else -1."""
        symbols = self.likeliest
        run = np.zeros_like(symbols)
        for t in range(1, symbols.shape[1]):
            run[:, t] = np.where(symbols[:, t] == symbols[:, t - 1], run[:, t - 1] + 1, 0)
        return np.where(run >= steps - 1, symbols, -1)

    def changes(self) -> Int[np.ndarray, "events 4"]:
        """Every change of the likeliest symbol: trial, first time of the new symbol, old and new symbol."""
        symbols = self.likeliest
        trial, time = np.nonzero(symbols[:, 1:] != symbols[:, :-1])
        return np.stack([trial, time + 1, symbols[trial, time], symbols[trial, time + 1]], axis=1)


def record(network: Any, config: RecordConfig | None = None, *, seed: int) -> Activity:
    """Let the network run under noise from the empty state, and keep everything after the burn-in.

    Parameters
    ----------
    network
        A ``Network``, a fitted ``HmmEmulator``, or anything with a step and a read-out, see
        `neurodyn.mechanism.network_of`.
    config
        Sizes; the defaults if None.
    seed
        Seed of the noise.

    Raises
    ------
    InputError
        If the activity does not stay finite.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import neurodyn as nd
    >>> rnn = nd.emulation.DrivenNetwork(lambda h, x: jnp.tanh(h + x), lambda h: jnp.stack([h[0], -h[0]]), 3, 3)
    >>> activity = nd.mechanism.record(rnn, nd.mechanism.RecordConfig(trials=4, steps=20, burn_in=5), seed=0)
    >>> activity.states.shape, activity.inputs.shape
    ((4, 20, 3), (4, 20, 3))
    """
    config, network = config or RecordConfig(), network_of(network)
    noise = draw_noise(network, config.burn_in + config.steps, config.trials, config.level, jax.random.key(seed))
    states, logits = run(network, jnp.zeros((config.trials, network.hidden)), noise)
    if not bool(jnp.isfinite(states).all()):
        raise InputError("the network's activity under noise does not stay finite: nothing can be said about it")
    states, noise, logits = (np.moveaxis(np.asarray(part[config.burn_in :]), 0, 1) for part in (states, noise, logits))
    return Activity(states, noise, logits, config.level)


def joined(parts: Sequence[Activity]) -> Activity:
    """Trials of several recordings of one network, at one level of noise."""
    if len(parts) == 1:
        return parts[0]
    states, inputs, logits = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("states", "inputs", "logits")
    )
    return Activity(states, inputs, logits, parts[0].level)


def draw_noise(
    network: Network, steps: int, trials: int, level: float, key: Key[Array, ""]
) -> Float[Array, "steps trials inputs"]:
    """White noise of a standard deviation, for each step and trial."""
    return level * jax.random.normal(fast_key(key), (steps, trials, network.inputs))


@jax.jit
def run(
    network: Network, starts: Float[Array, "trials hidden"], inputs: Float[Array, "steps trials inputs"]
) -> tuple[Float[Array, "steps trials hidden"], Float[Array, "steps trials symbols"]]:
    """States and logits after each step."""

    def step(states, noise):
        states = network.advance(states, noise)
        return states, (states, network.logits(states))

    return lax.scan(step, starts, inputs)[1]


@dataclass(frozen=True, eq=False)
class Plane:
    """The plane in which activity varies most.

    Parameters
    ----------
    centre
        (hidden,) mean of the activity.
    axes
        (2, hidden) orthonormal.
    share
        Of the activity's variance that lies in it.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.mechanism import leading_plane
    >>> turn = np.linspace(0, 4 * np.pi, 100)
    >>> circle = np.stack([np.cos(turn), np.sin(turn), 0 * turn], axis=1)[None]
    >>> plane = leading_plane(circle)
    >>> round(plane.share, 2), plane.coordinates(circle).shape, plane.phase(circle).shape
    (1.0, (1, 100, 2), (1, 100))
    """

    centre: Float[np.ndarray, " hidden"]
    axes: Float[np.ndarray, "2 hidden"]
    share: float

    def coordinates(self, states: Float[np.ndarray, "*n hidden"]) -> Float[np.ndarray, "*n 2"]:
        """Where states lie in the plane."""
        return (states - self.centre) @ self.axes.T

    def phase(self, states: Float[np.ndarray, "*n hidden"]) -> Float[np.ndarray, "*n"]:
        """Angle around the centre, radians from -pi to pi."""
        place = self.coordinates(states)
        return np.arctan2(place[..., 1], place[..., 0])


def leading_plane(states: Float[np.ndarray, "trials time hidden"]) -> Plane:
    """First two principal components of the activity.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.mechanism import leading_plane
    >>> states = np.random.default_rng(0).normal(size=(5, 40, 3)) * [3.0, 2.0, 0.1]
    >>> plane = leading_plane(states)
    >>> plane.axes.shape, plane.share > 0.99
    ((2, 3), True)
    """
    found = principal_axes(states.reshape(-1, states.shape[-1]), 2)
    return Plane(found.middle, found.directions, float(found.share.sum()))


def cells(
    low: Float[np.ndarray, "2"], high: Float[np.ndarray, "2"], bins: int
) -> tuple[Float[np.ndarray, " edges"], Float[np.ndarray, " edges"]]:
    """Edges of a grid of cells over a rectangle of the plane, along either axis; one without extent gets a little."""
    x, y = (np.linspace(low[axis], max(high[axis], low[axis] + 1e-9), bins + 1) for axis in range(2))
    return x, y
