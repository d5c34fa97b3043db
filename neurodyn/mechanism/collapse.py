r"""Claim 1: without input, activity from any start collapses to a single fixed point.

The network runs without input from states of the recording and from random directions, of sizes over several orders of
magnitude. The end of a run is not yet a fixed point: the ends are handed to the solver of ``neurodyn.fixed_points``,
which reports a residual, and a start counts as collapsed if its run came close to the point that most runs came close
to. Under noise, the control, the same starts must not.

A bias-free ReLU network is positively homogeneous, :math:`F(c h) = c F(h)`: the origin is always a fixed point, and any
other comes in a ray with all its multiples. Such a map acts on directions and sizes apart, so for it two more numbers
are reported: how closely the directions of all runs agree at the end, and the factor by which the size changes per
step there. A factor below 1 means that the ray runs into the origin, 1 a ray of fixed points, above 1 that activity
grows without bound.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jax import lax
from jaxtyping import Array, Bool, Float

from neurodyn.fixed_points import find
from neurodyn.mechanism.activity import Activity, draw_noise
from neurodyn.mechanism.evidence import Evidence
from neurodyn.mechanism.finding import Criterion, Finding
from neurodyn.mechanism.network import Network, is_homogeneous
from neurodyn.mechanism.statistics import known_value, not_measured, share

CLAIM = "Without input, activity from any start collapses to a single fixed point."


@dataclass(frozen=True)
class CollapseConfig:
    """Thresholds and sizes.

    Parameters
    ----------
    least_share
        Of the starts that have to come to the common point.
    most_share_with_noise
        Of them that may be there under noise.
    most_residual
        Of the point, in units of the size of the recorded states.
    starts, steps
        Runs, and their length.
    sizes
        Smallest and largest start, in units of the size of the recorded states.
    near
        How close is close, in the same units.
    tiny
        Ends below this size are not handed to the solver: they sit on the kink of a ReLU, and the solver looks at the
        origin and from recorded states anyway.
    """

    least_share: float = 0.95
    most_share_with_noise: float = 0.05
    most_residual: float = 1e-5
    starts: int = 256
    steps: int = 300
    sizes: tuple[float, float] = (0.01, 100.0)
    near: float = 1e-3
    tiny: float = 1e-2


def examine(evidence: Evidence, config: CollapseConfig | None = None, *, seed: int) -> Finding:
    """Run without input from everywhere, solve for the fixed points, and count the starts that come to the same one.

    Supported if ``least_share`` of the starts come to one point, that point solves the equation to ``most_residual``,
    and under noise no more than ``most_share_with_noise`` of them are there.

    Parameters
    ----------
    evidence
        Network and recording.
    config
        Thresholds.
    seed
        Seed of the starts and of the control's noise.
    """
    config, network, activity = config or CollapseConfig(), evidence.network, evidence.activity
    size = float(np.linalg.norm(activity.states, axis=-1).mean()) or 1.0
    starts = jnp.asarray(_starts(activity, size, config, np.random.default_rng(seed)))
    ends, course = _silence(network, starts, config.steps)
    recorded = activity.states[:, -1][: config.starts // 4]
    points, residual = _solve(network, np.asarray(ends), recorded, config.tiny * size)
    target, there = _common(np.asarray(ends), points, config.near * size)
    noise = draw_noise(network, config.steps, config.starts, activity.level, jax.random.key(seed))
    driven = np.asarray(_drive(network, starts, noise))
    collapsed = share("share of the starts that come to one fixed point", int(there.sum()), len(there))
    name = "the same under noise"
    control = not_measured(name)
    criteria = [Criterion(collapsed, least=config.least_share)]
    if target is not None:
        close = np.linalg.norm(driven - points[target], axis=1) <= config.near * size
        control = share(name, int(close.sum()), len(close))
        found = known_value("residual of the point, relative to the size of the activity", residual[target] / size)
        criteria.append(Criterion(found, most=config.most_residual))
    criteria.append(Criterion(control, most=config.most_share_with_noise))
    data = xr.Dataset(
        {
            "size": (("step", "start"), np.asarray(course) / size),
            "collapsed": ("start", there),
            "residual": ("point", residual / size),
        }
    )
    notes = _notes(network, starts, points, target, size, config)
    return Finding(
        number=1, name="collapse", claim=CLAIM, estimate=collapsed, control=control, criteria=tuple(criteria),
        data=data, notes=notes,
    )  # fmt: skip


def _starts(activity: Activity, size: float, config: CollapseConfig, rng: np.random.Generator) -> np.ndarray:
    """Half the starts in the directions of recorded states, half in random ones; sizes even on a logarithmic scale."""
    hidden = activity.states.shape[-1]
    recorded = activity.states.reshape(-1, hidden)
    half = config.starts // 2
    directions = np.concatenate(
        [recorded[rng.integers(len(recorded), size=half)], rng.normal(size=(config.starts - half, hidden))]
    )
    norms = np.linalg.norm(directions, axis=1, keepdims=True)
    sizes = size * np.exp(rng.uniform(*np.log(config.sizes), size=(config.starts, 1)))
    return (sizes * directions / np.where(norms > 0, norms, 1.0)).astype(activity.states.dtype)


@partial(jax.jit, static_argnames="steps")
def _silence(
    network: Network, starts: Float[Array, "starts hidden"], steps: int
) -> tuple[Float[Array, "starts hidden"], Float[Array, "steps starts"]]:
    """Where runs without input end, and how large they are on the way."""
    silence = jnp.zeros((len(starts), network.inputs), starts.dtype)

    def step(states, _):
        states = network.advance(states, silence)
        return states, jnp.linalg.norm(states, axis=-1)

    return lax.scan(step, starts, length=steps)


@jax.jit
def _drive(network: Network, starts: Float[Array, "starts hidden"], noise: Float[Array, "steps starts inputs"]):
    return lax.scan(lambda states, now: (network.advance(states, now), None), starts, noise)[0]


def _solve(
    network: Network, ends: np.ndarray, recorded: np.ndarray, tiny: float
) -> tuple[Float[np.ndarray, "points hidden"], Float[np.ndarray, " points"]]:
    """Fixed points without input near the ends of the runs that stayed finite and near recorded states; residuals."""
    usable = np.isfinite(ends).all(axis=1) & (np.linalg.norm(ends, axis=1) > tiny)
    starts = np.concatenate([ends[usable], recorded])
    found = find(_step_of(network.step), starts, (network.parameters, jnp.zeros(network.inputs))).fixed
    return found.vectors, found.residual


@cache
def _step_of(step: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    """The step with its parameters beside the input: one function object, so that one compiled solver serves all."""
    return lambda state, given: step(given[0], state, given[1])


def _common(ends: np.ndarray, points: np.ndarray, near: float) -> tuple[int | None, Bool[np.ndarray, " starts"]]:
    """The fixed point that most runs came close to, and which runs did."""
    if not len(points):
        return None, np.zeros(len(ends), bool)
    distance = np.linalg.norm(np.nan_to_num(ends, nan=np.inf)[:, None] - points, axis=-1)
    close = distance <= near
    target = int(close.sum(axis=0).argmax())
    return target, close[:, target]


def _notes(
    network: Network, starts, points: np.ndarray, target: int | None, size: float, config: CollapseConfig
) -> tuple[str, ...]:
    notes = [f"the solver found {len(points)} fixed point{'s' * (len(points) != 1)} without input"]
    if target is not None:
        notes.append(f"the common one lies at {np.linalg.norm(points[target]) / size:.2g} of the size of the activity")
    if is_homogeneous(network):
        agreement, factor = _ray(network, jnp.asarray(starts), config.steps)
        agreement, factor = np.asarray(agreement), np.asarray(factor)
        alive = np.isfinite(agreement)
        notes.append(
            f"the step is homogeneous; {alive.mean():.0%} of the runs keep a direction, the others are silenced"
        )
        if alive.any():
            notes.append(
                f"the directions agree to a cosine of at least {agreement[alive].min():.4f}, and the size changes by a "
                f"factor of {np.median(factor[alive]):.3f} per step"
            )
    return tuple(notes)


@partial(jax.jit, static_argnames="steps")
def _ray(network: Network, starts: Float[Array, "starts hidden"], steps: int) -> tuple[Array, Array]:
    """Cosine of every run's last direction to the common one, and its last factor per step; NaN for runs that died."""
    silence = jnp.zeros((len(starts), network.inputs), starts.dtype)

    def step(states, _):
        after = network.advance(states, silence)
        factor = jnp.linalg.norm(after, axis=-1)
        return after / jnp.maximum(factor, jnp.finfo(after.dtype).tiny)[:, None], factor

    unit = starts / jnp.linalg.norm(starts, axis=-1, keepdims=True)
    directions, factors = lax.scan(step, unit, length=steps)
    last = factors[-1]
    alive = last > 0
    common = jnp.where(alive[:, None], directions, 0.0).sum(axis=0)
    cosine = directions @ (common / jnp.maximum(jnp.linalg.norm(common), jnp.finfo(common.dtype).tiny))
    return jnp.where(alive, cosine, jnp.nan), last
