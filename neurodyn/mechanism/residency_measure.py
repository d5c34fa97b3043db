"""Residency of recorded states: the mean number of steps to the first change of the likeliest symbol.

From each state the network is run with fresh noise, many times. Beside the steps, how often the slope of the leading
logit changes its sign in the first of them. Claim 4 (``residency``) judges what is measured here.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Key

from neurodyn.mechanism.activity import Activity, draw_noise
from neurodyn.mechanism.dwell import Dwell, dwell_of_recording
from neurodyn.mechanism.measured import Residency, ResidencyConfig
from neurodyn.mechanism.network import Network, network_of


def measure(
    emulator: Any,
    activity: Activity,
    config: ResidencyConfig | None = None,
    *,
    seed: int,
    dwell: Dwell | None = None,
) -> Residency:
    """Residency of states drawn from the recording, but not from its last steps: they have no recorded future.

    Parameters
    ----------
    emulator, activity
        Network and its recording.
    config
        Sizes and bounds.
    seed
        Seed of the choice of states and of the noise.
    dwell
        What the bound of the clusters is a share of; that of the recording if None.
    """
    config, rng = config or ResidencyConfig(), np.random.default_rng(seed)
    network = network_of(emulator)
    trial, time, anywhere = _chosen(activity, config, rng)
    starts = jnp.asarray(activity.states[trial, time])
    symbols = jnp.asarray(activity.likeliest[trial, time])
    waits, slopes = _draw(network, starts, symbols, jax.random.key(seed), config, activity.level)
    waits = np.asarray(waits)
    mean = waits.mean(axis=1)
    dwell = dwell or dwell_of_recording(activity, config.horizon)
    cluster_above = max(config.cluster_of_dwell * (dwell.steps if dwell else config.horizon), config.transition_below)
    band = np.where(mean < config.transition_below, 0, np.where(mean <= cluster_above, 1, 2))
    return Residency(
        trial=trial, time=time, steps=mean, band=band, draws=waits, slope_changes=np.asarray(slopes), anywhere=anywhere,
        cluster_above=cluster_above,
    )  # fmt: skip


def _chosen(
    activity: Activity, config: ResidencyConfig, rng: np.random.Generator
) -> tuple[Int[np.ndarray, " states"], Int[np.ndarray, " states"], Bool[np.ndarray, " states"]]:
    """Trial and time of the states looked at, and which of them come from anywhere."""
    trials, steps, _ = activity.states.shape
    usable = max(steps - config.slope_steps, 1)  # a state needs a recorded future
    place = rng.choice(trials * usable, size=min(config.states, trials * usable), replace=False)
    trial, time = np.divmod(place, usable)
    changes = activity.changes()
    before = np.concatenate([np.stack([changes[:, 0], changes[:, 1] - back], axis=1) for back in (1, 2)])
    before = before[(before[:, 1] >= 0) & (before[:, 1] < usable)]
    near = rng.choice(before, size=min(config.near_changes, len(before)), replace=False) if len(before) else before
    anywhere = np.arange(len(trial) + len(near)) < len(trial)
    return np.concatenate([trial, near[:, 0]]), np.concatenate([time, near[:, 1]]), anywhere


def _draw(
    network: Network,
    starts: Float[Array, "states hidden"],
    symbols: Int[Array, " states"],
    key: Key[Array, ""],
    config: ResidencyConfig,
    level: float,
) -> tuple[Int[Array, "states draws"], Float[Array, " states"]]:
    """Steps to the first change of the likeliest symbol, and sign changes of the slope, one draw after the other."""
    waits, slopes = [], []
    for number in range(config.draws):
        noise = draw_noise(network, config.horizon, len(starts), level, jax.random.fold_in(key, number))
        wait, slope = _one_draw(network, starts, symbols, noise)
        waits.append(wait)
        slopes.append(slope[: config.slope_steps - 1].sum(axis=0))
    return jnp.stack(waits, axis=1), jnp.stack(slopes).mean(axis=0)


@jax.jit
def _one_draw(network: Network, starts, symbols, noise):
    """Steps of one draw for all states, and where the slope of the leading logit changed its sign (step - 1, state)."""
    leading = lambda logits: jnp.take_along_axis(logits, symbols[:, None], axis=1)[:, 0]  # noqa: E731

    def step(carry, noise):
        states, stayed, wait = carry
        states = network.advance(states, noise)
        logits = network.logits(states)
        wait = wait + stayed.astype(wait.dtype)
        stayed = stayed & (logits.argmax(axis=-1) == symbols)
        return (states, stayed, wait), leading(logits - logits.mean(axis=-1, keepdims=True))

    first = (starts, jnp.ones(len(starts), bool), jnp.zeros(len(starts), jnp.int32))
    (_, _, wait), course = lax.scan(step, first, noise)
    slope = jnp.sign(jnp.diff(course, axis=0))
    return wait, (slope[1:] * slope[:-1] < 0).astype(starts.dtype)
