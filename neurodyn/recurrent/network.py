r"""The members of a recurrent read-out: inputs to gates, the gated unit, mean and variance of the target.

.. math::
    u_t = E x_t, \qquad h_t = \mathrm{GRU}(h_{t-1}, u_t), \qquad
    \hat y_t = V h_t + b, \qquad \log \sigma_t^2 = S\, h_t + c

Weights are a dictionary of arrays with the members as their first axis, in the names of
:mod:`neurodyn.kernels.recurrence` where they are the cell's. The target is standardised.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from neurodyn.kernels.recurrence import CELLS, initialise, unroll_gated
from neurodyn.recurrent.config import RecurrentConfig
from neurodyn.recurrent.inputs import LIMIT, InputScaling

LOG_VARIANCE = (-8.0, 4.0)
"""Bounds of the log variance of a standardised target: from a fiftieth of its deviation to seven times it."""

Weights = Mapping[str, Array]


class Network(NamedTuple):
    """Trained members with the scaling of their inputs.

    Parameters
    ----------
    weights
        As described above, members first.
    scaling
        Of the inputs.
    """

    weights: dict[str, np.ndarray]
    scaling: InputScaling


def draw_weights(key: Key[Array, ""], inputs: int, outputs: int, config: RecurrentConfig) -> dict[str, Array]:
    """Weights of all members before training.

    Parameters
    ----------
    inputs, outputs
        Of each network: what it sees of a bin, and dimensions of the target.
    """
    width = config.embedded(inputs)

    def one(key: Array) -> dict[str, Array]:
        keys = jax.random.split(key, 3)
        dtype = jnp.result_type(float)
        weights = initialise(CELLS["gru"], keys[0], hidden=config.hidden, inputs=width)
        bound = config.hidden**-0.5
        return weights | {
            "embed": jax.random.normal(keys[1], (width, inputs), dtype) * inputs**-0.5,
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


def on_host(tree: Any) -> Any:
    """Arrays of a tree as NumPy arrays."""
    return jax.tree.map(np.asarray, tree)
