r"""The hazard of a transition, with and without an intervention, on the same starts and the same noise.

From starts where symbol a has been the likeliest for some steps, the network runs until another symbol becomes the
likeliest. The hazard of the transition from a to b is

.. math::
    \lambda_{ab} = \frac{\text{runs whose first change is to } b}{\text{steps spent before a change, over all runs}}.

Every intervention is a set of units and a factor: the activity of the units is multiplied after each step, or the noise
that reaches them is. All sets run on the same noise, compiled once; a factor of 0 is an ablation.
"""

import enum
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from neurodyn.mechanism.activity import Activity, draw_noise
from neurodyn.mechanism.finding import Estimate
from neurodyn.mechanism.network import Network
from neurodyn.mechanism.statistics import bootstrap

BATCH = 16
"""Sets of units that run side by side."""


class Target(enum.Enum):
    """What of the units is scaled."""

    ACTIVITY = "activity"
    """Their state, at the start and after each step."""
    NOISE = "noise"
    """The input that reaches them."""
    READOUT = "readout"
    """What the readout sees of them, while the dynamics run on untouched: the control of ACTIVITY."""


@dataclass(frozen=True, eq=False)
class Starts:
    """Where runs begin, and the noise they meet.

    Parameters
    ----------
    source
        Likeliest symbol at the start.
    states
        (run, hidden).
    noise
        (step, run, input).
    """

    source: int
    states: Float[Array, "runs hidden"]
    noise: Float[Array, "steps runs inputs"]


@dataclass(frozen=True, eq=False)
class Outcomes:
    """How the runs of each set of units ended.

    Parameters
    ----------
    target
        (set, run) symbol of the first change, -1 if none came.
    wait
        (set, run) steps before the change.
    """

    target: Int[np.ndarray, "sets runs"]
    wait: Int[np.ndarray, "sets runs"]

    def hazard(self, symbol: int) -> Float[np.ndarray, " sets"]:
        """Changes to a symbol per step."""
        return (self.target == symbol).sum(axis=1) / self.wait.sum(axis=1)


def settled_starts(
    network: Network, activity: Activity, source: int, *, runs: int, horizon: int, settled: int, seed: int
) -> Starts | None:
    """Draw starts where a symbol has been the likeliest for a while, and noise of the recording's level.

    None if there are fewer starts than ``runs / 4``.
    """
    rng = np.random.default_rng([seed, source])
    trial, time = np.nonzero(activity.settled(settled) == source)
    if 4 * len(trial) < runs:
        return None
    chosen = rng.choice(len(trial), size=runs, replace=len(trial) < runs)
    noise = draw_noise(network, horizon, runs, activity.level, jax.random.fold_in(jax.random.key(seed), source))
    return Starts(source, jnp.asarray(activity.states[trial[chosen], time[chosen]]), noise)


def outcomes(
    network: Network, starts: Starts, sets: Bool[np.ndarray, "sets hidden"], factor: float, target: Target
) -> Outcomes:
    """Run every set of units on the same starts and noise.

    Parameters
    ----------
    network, starts
        What runs.
    sets
        (set, hidden) units of each intervention.
    factor
        What they are multiplied with.
    target
        What of them is.
    """
    count = len(sets)
    ended, wait = _run_sets(
        network=network, states=starts.states, noise=starts.noise, source=starts.source,
        sets=jnp.asarray(_padded(sets)), factor=jnp.asarray(factor, starts.states.dtype), target=target,
    )  # fmt: skip
    return Outcomes(np.asarray(ended)[:count], np.asarray(wait)[:count])


def _padded(sets: Bool[np.ndarray, "sets hidden"]) -> Bool[np.ndarray, "more hidden"]:
    """One set, or empty ones added up to whole batches: few sizes, so that little is compiled."""
    more = 0 if len(sets) == 1 else -len(sets) % BATCH
    return np.pad(sets, ((0, more), (0, 0)))


def intact(network: Network, starts: Starts) -> Outcomes:
    """The same without an intervention: one set."""
    return outcomes(network, starts, np.zeros((1, network.hidden), bool), 1.0, Target.READOUT)


def cut(name: str, treated: Outcomes, untreated: Outcomes, symbol: int, rng: np.random.Generator) -> Estimate:
    """How much of a hazard is lost, 1 - treated / untreated, runs resampled in pairs; both of one set."""
    rows = np.stack(
        [treated.target[0] == symbol, treated.wait[0], untreated.target[0] == symbol, untreated.wait[0]], axis=1
    ).astype(float)

    def lost(sample: np.ndarray) -> float:
        events, exposure, before, exposed = sample.sum(axis=0)
        return 1 - (events / exposure) / (before / exposed) if before else float("nan")

    return bootstrap(name, rows, lost, rng)


@partial(jax.jit, static_argnames=("target",))
def _run_sets(network: Network, states, noise, source, sets, factor, target: Target):
    """First changes of every set: a scan over time inside a map over sets."""
    if target is Target.READOUT:
        return _readout_scaled(network, states, noise, source, sets, factor)
    one = {Target.ACTIVITY: _activity_scaled, Target.NOISE: _noise_scaled}[target]
    return lax.map(lambda units: one(network, states, noise, source, units, factor), sets, batch_size=BATCH)


def _activity_scaled(network: Network, states, noise, source, units, factor):
    def step(states, noise):
        states = network.advance(states, noise)
        return jnp.where(units, factor * states, states)

    starts = jnp.where(units, factor * states, states)
    return _first_change(network, starts, noise, source, step)


def _noise_scaled(network: Network, states, noise, source, units, factor):
    def step(states, noise):
        return jnp.where(units, network.advance(states, factor * noise), network.advance(states, noise))

    return _first_change(network, states, noise, source, step)


def _readout_scaled(network: Network, states, noise, source, sets, factor):
    """The dynamics know nothing of the sets, and so run once for all of them."""

    def step(states, noise):
        states = network.advance(states, noise)
        return states, states

    course = lax.scan(step, states, noise)[1]

    def one_set(units):
        seen = jnp.asarray(jnp.where(units, factor * course, course))
        symbol = network.logits(seen).argmax(axis=-1)
        changed = symbol != source
        first = changed.argmax(axis=0)
        reached = jnp.take_along_axis(symbol, first[None], axis=0)[0]
        ever = changed.any(axis=0)
        return (
            jnp.asarray(jnp.where(ever, reached, -1), jnp.int32),
            jnp.asarray(jnp.where(ever, first + 1, len(noise)), jnp.int32),
        )

    return lax.map(one_set, sets)


def _first_change(network: Network, states, noise, source, step):
    """Symbol of each run's first change, and steps before it."""

    def advance(carry, noise):
        states, ended, wait = carry
        states = step(states, noise)
        wait = wait + (ended < 0).astype(wait.dtype)
        symbol = network.logits(states).argmax(axis=-1).astype(ended.dtype)
        return (states, jnp.where((ended < 0) & (symbol != source), symbol, ended), wait), None

    runs = len(states)
    first = (states, -jnp.ones(runs, jnp.int32), jnp.zeros(runs, jnp.int32))
    (_, ended, wait), _ = lax.scan(advance, first, noise)
    return ended, wait
