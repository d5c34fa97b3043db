r"""The members of a recurrent read-out: inputs to gates, the gated unit, mean and variance of the target.

.. math::
    u_t = E x_t, \qquad h_t = \mathrm{GRU}(h_{t-1}, u_t), \qquad
    \hat y_t = V h_t + b, \qquad \log \sigma_t^2 = S\, h_t + c

Weights are a dictionary of arrays with the members as their first axis, in the names of
:mod:`neurodyn.kernels.recurrence` where they are the cell's. The target is standardised.

What stands between inputs and read-out is a `Body`. The gated unit is the one of the decoder; the course of training,
the read-out and the prediction in stretches do not depend on it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from neurodyn.kernels.noise import fast_key
from neurodyn.kernels.recurrence import CELLS, initialise, unroll_gated
from neurodyn.recurrent.config import RecurrentConfig
from neurodyn.recurrent.inputs import LIMIT, InputScaling

LOG_VARIANCE = (-8.0, 4.0)
"""Bounds of the log variance of a standardised target: from a fiftieth of its deviation to seven times it."""

Weights = Mapping[str, Array]


@runtime_checkable
class Body(Protocol):
    """What turns the inputs up to a bin into the state that the target is read out of; one member at a time.

    A frozen dataclass of settings without arrays: compiled programs depend on it.

    Examples
    --------
    >>> from neurodyn.recurrent import Attention, Gated
    >>> [type(body).__name__ for body in (Gated(), Attention())], Attention(heads=2, blocks=1, reach=20).before
    (['Gated', 'Attention'], 19)
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def held(self) -> int:
        """Numbers that are in memory at once of each bin, beside its inputs."""
        ...

    def draw(self, keys: Key[Array, "2"], inputs: int, config: RecurrentConfig) -> dict[str, Array]:
        """Weights before training, of states of ``config.hidden`` units."""
        ...

    def start(self, weights: Weights, trials: int, inputs: int) -> Any:
        """What is known before the first bin of a trial."""
        ...

    def states(
        self, weights: Weights, known: Any, inputs: Float[Array, "time trial inputs"], key: Key[Array, ""] | None = None
    ) -> tuple[Float[Array, "time trial hidden"], Any]:
        """States of a stretch of bins, and what is known at its end; with a key as in training, with dropout."""
        ...


@dataclass(frozen=True)
class Gated:
    """The gated recurrent unit behind a linear layer; what is known is its last state.

    Examples
    --------
    >>> import jax
    >>> import jax.numpy as jnp
    >>> from neurodyn.recurrent import Gated, RecurrentConfig
    >>> body, config = Gated(), RecurrentConfig(hidden=8)
    >>> weights = body.draw(jax.random.split(jax.random.key(0)), 4, config)
    >>> states, last = body.states(weights, body.start(weights, 2, 4), jnp.ones((10, 2, 4)))
    >>> states.shape, last.shape
    ((10, 2, 8), (2, 8))
    """

    @property
    def held(self) -> int:
        """Nothing that counts: inputs are more."""
        return 0

    def draw(self, keys: Key[Array, "2"], inputs: int, config: RecurrentConfig) -> dict[str, Array]:
        """Weights before training."""
        width = config.embedded(inputs)
        embed = jax.random.normal(keys[1], (width, inputs), jnp.result_type(float)) * inputs**-0.5
        return initialise(CELLS["gru"], keys[0], hidden=config.hidden, inputs=width) | {"embed": embed}

    def start(self, weights: Weights, trials: int, inputs: int) -> Float[Array, "trial hidden"]:
        """A state of zeros."""
        return jnp.zeros((trials, weights["recurrent"].shape[1]), jnp.result_type(float))

    def states(
        self,
        weights: Weights,
        known: Float[Array, "trial hidden"],
        inputs: Float[Array, "time trial inputs"],
        key: Key[Array, ""] | None = None,
    ) -> tuple[Float[Array, "time trial hidden"], Float[Array, "trial hidden"]]:
        """States of a stretch of bins, and the last of them; there is no dropout within."""
        states = hidden_states(weights, inputs, known)
        return states, states[-1]


class Network(NamedTuple):
    """Trained members with the scaling of their inputs.

    Parameters
    ----------
    weights
        As described above, members first.
    scaling
        Of the inputs.
    body
        What stands between inputs and read-out.

    Examples
    --------
    >>> import jax
    >>> import neurodyn as nd
    >>> from neurodyn.recurrent.network import draw_weights, on_host
    >>> batch = nd.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=4), seed=0)
    >>> scaling, small = nd.recurrent.InputScaling.fit(batch), nd.recurrent.RecurrentConfig(hidden=8)
    >>> network = nd.recurrent.Network(on_host(draw_weights(jax.random.key(0), scaling.n_inputs, 3, small)), scaling)
    >>> type(network.body).__name__, network.scaling.n_inputs
    ('Gated', 24)
    """

    weights: dict[str, np.ndarray]
    scaling: InputScaling
    body: Body = Gated()


def draw_weights(
    key: Key[Array, ""], inputs: int, outputs: int, config: RecurrentConfig, body: Body | None = None
) -> dict[str, Array]:
    """Weights of all members before training.

    Parameters
    ----------
    inputs, outputs
        Of each network: what it sees of a bin, and dimensions of the target.
    body
        What stands between them; None: the gated unit.
    """
    body = Gated() if body is None else body

    def one(key: Array) -> dict[str, Array]:
        keys = jax.random.split(key, 3)
        dtype, bound = jnp.result_type(float), config.hidden**-0.5
        return body.draw(keys[:2], inputs, config) | {
            "mean": jax.random.uniform(keys[2], (outputs, config.hidden), dtype, -bound, bound),
            "mean_bias": jnp.zeros(outputs, dtype),
            "spread": jnp.zeros((outputs, config.hidden), dtype),
            "spread_bias": jnp.zeros(outputs, dtype),
        }

    return jax.vmap(one)(jax.random.split(key, config.members))


def standardised(
    values: Float[Array, "*bins channel"],
    observed: Bool[Array, "*bins channel"],
    centre: Float[Array, " channel"],
    scale: Float[Array, " channel"],
    counts: Bool[Array, ""],
) -> Float[Array, "*bins channel"]:
    """What :meth:`InputScaling.apply` says, in a compiled function."""
    rooted = jnp.where(counts, jnp.sqrt(jnp.maximum(values, 0)), values)
    return jnp.where(observed, jnp.clip((rooted - centre) / scale, -LIMIT, LIMIT), 0)


def ages(
    seen: Bool[Array, "time *batch"], fading: Float[Array, ""], before: Array | None = None
) -> tuple[Array, Array]:
    """Age of the last sample in every bin, and the bins since it at the end.

    Parameters
    ----------
    seen
        Bins with a sample, time first.
    fading
        Bins after which the age has reached 1 - 1/e.
    before
        Bins since the last sample before the first bin; None: there was none.
    """
    dtype = jnp.result_type(float)
    bins = jnp.arange(seen.shape[0], dtype=dtype).reshape(-1, *[1] * (seen.ndim - 1))
    start = jnp.full(seen.shape[1:], -jnp.inf, dtype) if before is None else -1 - before
    latest = jnp.maximum(jax.lax.cummax(jnp.where(seen, bins, -jnp.inf), axis=0), start)
    since = bins - latest
    return 1 - jnp.exp(-since / fading.astype(dtype)), since[-1]


def assemble(
    values: Sequence[Float[Array, "time trial _"]],
    share: Float[Array, "time trial modality"],
    fading: Float[Array, " modality"],
    since: Float[Array, "trial modality"] | None = None,
) -> tuple[Float[Array, "time trial inputs"], Float[Array, "trial modality"]]:
    """Inputs of every bin, and bins since each modality's last sample at the end."""
    found = [ages(share[..., i] > 0, fading[i], None if since is None else since[:, i]) for i in range(share.shape[-1])]
    age = jnp.stack([a for a, _ in found], axis=-1)
    inputs = jnp.concatenate([*values, share.astype(age.dtype), age], axis=-1)
    return inputs, jnp.stack([n for _, n in found], axis=-1)


def hidden_states(
    weights: Weights, inputs: Float[Array, "time trial inputs"], initial: Float[Array, "trial hidden"]
) -> Float[Array, "time trial hidden"]:
    """States of one member."""
    drive = (inputs @ weights["embed"].T) @ weights["input"].T + weights["bias"]
    return unroll_gated(weights, initial, drive)


def outputs(weights: Weights, states: Float[Array, "*bins hidden"]) -> tuple[Array, Array]:
    """Mean and log variance of the standardised target from a member's states.

    The variance is fitted to the errors that the mean makes and does not change it: its gradient stops here.
    Reference: Stirn et al. (2023), Faithful heteroscedastic regression with neural networks, AISTATS.
    """
    mean = states @ weights["mean"].T + weights["mean_bias"]
    log_variance = jax.lax.stop_gradient(states) @ weights["spread"].T + weights["spread_bias"]
    return mean, jnp.clip(log_variance, *LOG_VARIANCE)


def thinned(key: Key[Array, ""], values: Float[Array, "*shape"], share: float) -> Float[Array, "*shape"]:
    """Values of which a share is set to zero, the others scaled up to make up for it."""
    if not share:
        return values
    return jnp.where(keep(key, share, values.shape), values / (1 - share), 0)


def keep(key: Key[Array, ""], share: float, shape: tuple[int, ...]) -> Bool[Array, "*shape"]:
    """True with probability ``1 - share``, to 1/256: four decisions from each random word."""
    size = int(np.prod(shape))
    words = jax.random.bits(fast_key(key), (-(-size // 4),))
    octets = jax.lax.bitcast_convert_type(words, jnp.uint8).reshape(-1)[:size].reshape(shape)
    return octets >= jnp.uint8(min(255, round(256 * share)))


def on_host(tree: Any) -> Any:
    """Arrays of a tree as NumPy arrays."""
    return jax.tree.map(np.asarray, tree)
