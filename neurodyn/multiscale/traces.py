"""Fading memory of the observations themselves: exponential averages at several time scales.

A causal linear decoder on such averages is hard to beat where neurons fire rarely. The target is read out from the
model's states and from these traces, so that the model never has to relearn what a linear decoder sees.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from neurodyn.history.filters import PRIOR


class TraceState(NamedTuple):
    """Decayed sums of what was observed and of how often, per time scale and channel (and trial)."""

    total: Float[Array, "*trial scale channel"]
    weight: Float[Array, "*trial scale channel"]


def start_traces(decays: Float[Array, " scale"], channels: int) -> TraceState:
    """Nothing observed yet."""
    zero = jnp.zeros((decays.shape[0], channels), decays.dtype)
    return TraceState(zero, zero)


def step_traces(
    decays: Float[Array, " scale"],
    state: TraceState,
    values: Float[Array, " channel"],
    observed: Bool[Array, " channel"],
) -> tuple[TraceState, Float[Array, " feature"]]:
    """Take in one bin; return the averages ``total / (weight + prior)``, drawn to 0 while little has been observed.

    Parameters
    ----------
    decays
        Factor per bin of each time scale, ``exp(-width / seconds)``.
    values
        Z-scored; never read where not observed.
    """
    fading = decays[:, None]
    total = fading * state.total + jnp.where(observed, values, jnp.zeros_like(values))
    weight = fading * state.weight + observed.astype(values.dtype)
    return TraceState(total, weight), (total / (weight + PRIOR / (1 - fading))).ravel()


def traces_of_trials(
    decays: Float[Array, " scale"],
    values: Float[Array, "trial time channel"],
    observed: Bool[Array, "trial time channel"],
    start: TraceState,
    *,
    reverse: bool = False,
) -> tuple[TraceState, Float[Array, "trial time feature"]]:
    """Traces in every bin of every trial: a scan of the step, of the past or, reversed, of the future.

    Parameters
    ----------
    start
        One per trial; where the piece of a recording before this one (after it, if reversed) left off.

    Returns
    -------
    Where the next piece starts, and the traces.
    """

    def one_trial(start: TraceState, values: Array, observed: Array) -> tuple[TraceState, Array]:
        return lax.scan(lambda state, bin: step_traces(decays, state, *bin), start, (values, observed), reverse=reverse)

    return jax.vmap(one_trial)(start, values, observed)
