"""The members' prediction of every bin of trials of any length, in stretches of bounded size."""

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from neurodyn.binning.batch import MultimodalBatch
from neurodyn.binning.pieces import Piece, cut_out
from neurodyn.recurrent.inputs import InputScaling
from neurodyn.recurrent.network import Body, Network, Weights, assemble, outputs

STRETCH = 1024
"""Bins of each trial that are predicted in one compiled call; shorter trials are padded to a multiple of 64."""

NUMBERS = 2**23
"""Most inputs of one call: with many trials or channels its stretches are shorter, of 64 bins at least."""


class Predicted(NamedTuple):
    """Prediction of a standardised target.

    Parameters
    ----------
    mean
        Average of the members (trial, time, dim).
    variance
        Mean variance of the members plus the variance of their means (trial, time, dim).
    scatter
        Variance that the mean has because some members predicted and not all (trial, time, dim); None where all did.

    Examples
    --------
    >>> import jax
    >>> import neurodyn as nd
    >>> from neurodyn.recurrent.network import draw_weights, on_host
    >>> batch = nd.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=4), seed=0)
    >>> scaling, small = nd.recurrent.InputScaling.fit(batch), nd.recurrent.RecurrentConfig(hidden=8)
    >>> network = nd.recurrent.Network(on_host(draw_weights(jax.random.key(0), scaling.n_inputs, 3, small)), scaling)
    >>> found = nd.recurrent.predict(network, batch)
    >>> found.mean.shape, bool((found.variance > 0).all())
    ((4, 100, 3), True)
    """

    mean: Float[np.ndarray, "trial time dim"]
    variance: Float[np.ndarray, "trial time dim"]
    scatter: Float[np.ndarray, "trial time dim"] | None = None


class _Carry(NamedTuple):
    known: Any
    since: Array


def predict(
    network: Network, batch: MultimodalBatch, chosen: Bool[np.ndarray, "trial member"] | None = None
) -> Predicted:
    """Causal prediction in every bin of every trial: that of a bin knows what was observed up to its end.

    Parameters
    ----------
    network
        Trained members.
    batch
        Observations in the unit of the recording, of the modalities that the network was trained on.
    chosen
        The members that predict each trial, at least one; None: all of them. The variance of a few members' means
        stands for that of all, which is larger by what a sample's variance lacks.

    Examples
    --------
    >>> import jax
    >>> import neurodyn as nd
    >>> from neurodyn.recurrent.network import draw_weights, on_host
    >>> batch = nd.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=4), seed=0)
    >>> scaling, small = nd.recurrent.InputScaling.fit(batch), nd.recurrent.RecurrentConfig(hidden=8)
    >>> weights = draw_weights(jax.random.key(0), scaling.n_inputs, 3, small)  # of members that are not trained
    >>> nd.recurrent.predict(nd.recurrent.Network(on_host(weights), scaling), batch).mean.shape
    (4, 100, 3)
    """
    trials, bins = batch.n_trials, int(batch.lengths.max())
    body, inputs = network.body, network.scaling.n_inputs
    carry = _Carry(
        jax.vmap(lambda weights: body.start(weights, trials, inputs))(network.weights),
        jnp.full((trials, len(batch.names)), jnp.inf, jnp.result_type(float)),
    )
    share_of = (
        None if chosen is None else jnp.asarray((chosen / chosen.sum(axis=1, keepdims=True)).T, carry.since.dtype)
    )
    found = []
    for scaled, share in stretches(network.scaling, batch, max(inputs, body.held)):
        carry, parts = _predict(network.weights, scaled, share, network.scaling.fading, carry, share_of, body=body)
        found.append([np.asarray(part) for part in parts])
    return Predicted(*(np.concatenate(parts, axis=1)[:, :bins] for parts in zip(*found, strict=True)))


def stretches(
    scaling: InputScaling, batch: MultimodalBatch, per_bin: int
) -> Iterator[tuple[list[Float[np.ndarray, "time trial _"]], Float[np.ndarray, "time trial modality"]]]:
    """Standardised values and shares of all trials, a stretch of time after the other, all stretches equally long.

    Parameters
    ----------
    scaling
        Of the inputs.
    batch
        Observations in the unit of the recording; missing bins are added at the end of the last stretch.
    per_bin
        Numbers that a call makes of a bin: the more, the shorter the stretches.
    """
    trials, bins = batch.n_trials, int(batch.lengths.max())
    most = max(64, NUMBERS // (trials * per_bin) // 64 * 64)
    length = min(STRETCH, most) if bins > STRETCH or bins > most else bins + -bins % 64
    for first in range(0, bins, length):
        yield _stretch(scaling, batch, Piece(slice(0, trials), first, min(first + length, bins)), length)


def _stretch(
    scaling: InputScaling, batch: MultimodalBatch, piece: Piece, length: int
) -> tuple[list[np.ndarray], np.ndarray]:
    """Standardised values and shares of a stretch, time first, padded with missing bins."""
    dtype = np.dtype(jnp.result_type(float))
    scaled, shares = [], []
    for number, name in enumerate(batch.names):
        values, mask = (cut_out(batch, a[name], piece) for a in (batch.observations, batch.observed))
        padding = ((0, length - mask.shape[1]), (0, 0), (0, 0))
        part = scaling.apply(number, values.astype(dtype), mask)
        scaled.append(np.pad(np.swapaxes(part, 0, 1), padding))
        shares.append(np.pad(np.swapaxes(mask.mean(axis=2, dtype=dtype), 0, 1), padding[:2]))
    return scaled, np.stack(shares, axis=-1)


@partial(jax.jit, static_argnames="body")
def _predict(
    weights: Weights,
    values: Any,
    share: Array,
    fading: Any,
    carry: _Carry,
    of_members: Float[Array, "member trial"] | None,
    *,
    body: Body,
) -> Any:
    dtype = share.dtype
    inputs, since = assemble(values, share, jnp.asarray(fading, dtype), carry.since)

    def one(weights: Weights, known: Any) -> Any:
        states, known = body.states(weights, known, inputs)
        return known, *outputs(weights, states)

    known, mean, log_variance = jax.vmap(one)(jax.tree.map(lambda w: w.astype(dtype), weights), carry.known)
    if of_members is None:
        found = (jnp.mean(mean, axis=0), jnp.mean(jnp.exp(log_variance), axis=0) + jnp.var(mean, axis=0))
    else:
        found = _of_some(mean, log_variance, of_members)
    return _Carry(known, since), tuple(jnp.swapaxes(a, 0, 1) for a in found)


def _of_some(
    mean: Float[Array, "member time trial dim"],
    log_variance: Float[Array, "member time trial dim"],
    of_members: Float[Array, "member trial"],
) -> tuple[Array, Array, Array]:
    """What the members with these shares in each trial predict, equal shares of those that have any."""
    shares, members = of_members[:, None, :, None], len(of_members)
    average = jnp.sum(shares * mean, axis=0)
    one_in = jnp.sum(jnp.square(of_members), axis=0)[:, None]  # 1 / how many members predict the trial
    several = one_in < 1
    spread = jnp.sum(shares * jnp.square(mean - average), axis=0) / jnp.where(several, 1 - one_in, 1)  # of one member
    variance = jnp.sum(shares * jnp.exp(log_variance), axis=0) + jnp.where(several, (1 - 1 / members) * spread, 0)
    return average, variance, jnp.where(several, (one_in - 1 / members) * spread, 0)
