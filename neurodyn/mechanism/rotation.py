r"""Claim 2: under noise the activity circulates on closed orbits.

In the plane of the two leading principal components, with :math:`z_t` the place at time t around the centre, the area
that a trial sweeps per step and the share of it that does not cancel are

.. math:: a_t = \tfrac12\, z_t \times z_{t+1}, \qquad R = \sum_t a_t \Big/ \sum_t |a_t|.

A process that looks the same backwards in time (a system in detailed balance) has :math:`E[a_t] = 0`: what remains is a
probability current. Two controls keep the places and destroy the order: the steps of each trial shuffled, and the
phases of each component's spectrum drawn anew, which keeps how slow the activity is.
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Float

from neurodyn.mechanism.activity import cells, leading_plane
from neurodyn.mechanism.evidence import Evidence
from neurodyn.mechanism.finding import Criterion, Finding
from neurodyn.mechanism.power import sample_until_decided
from neurodyn.mechanism.statistics import bootstrap, control_range, excess_over_control, phase_randomised

CLAIM = "With noise, trajectories circulate on closed orbits: a consistent rotation and a current of probability."


@dataclass(frozen=True)
class RotationConfig:
    """Thresholds and sizes.

    Parameters
    ----------
    least_rotation
        Share of the swept area that must not cancel.
    least_consistency
        Share of trials that must turn the same way as all together.
    surrogates
        Repeats of each control.
    bins
        Bins of the grid on which the current is shown, per axis.
    """

    least_rotation: float = 0.1
    least_consistency: float = 0.75
    surrogates: int = 40
    bins: int = 15


def examine(evidence: Evidence, config: RotationConfig | None = None, *, seed: int) -> Finding:
    """Measure the rotation in the leading plane.

    Supported if |R| keeps ``least_rotation`` and exceeds 95 % of the repeats of both controls, and the share of trials
    that turn in the common direction keeps ``least_consistency``.

    Parameters
    ----------
    evidence
        Recording.
    config
        Thresholds.
    seed
        Seed of the controls and of the bootstrap.
    """
    config = config or RotationConfig()
    return sample_until_decided(lambda times: _examine(evidence, times, config, seed), evidence.most_times, "trials")


def _examine(evidence: Evidence, times: int, config: RotationConfig, seed: int) -> Finding:
    activity, rng = evidence.recorded(times), np.random.default_rng(seed)
    plane = leading_plane(activity.states)
    places = plane.coordinates(activity.states)
    areas = _swept(places)
    sign = np.sign(areas[:, 0].sum()) or 1.0
    rotation = bootstrap("share of the swept area that does not cancel", areas, lambda a: sign * _rotation(a), rng)
    agree = (sign * areas[:, 0] > 0).astype(float)
    consistency = bootstrap("share of trials that turn the common way", agree, np.mean, rng)
    controls = {
        "steps shuffled": _control(places, _shuffled, config.surrogates, rng),
        "phases randomised": _control(places, phase_randomised, config.surrogates, rng),
    }
    ranges = {name: control_range(f"the same, {name}", values) for name, values in controls.items()}
    worst = max(ranges.values(), key=lambda estimate: estimate.high)
    excess = excess_over_control("rotation beyond 95 % of the repeats of either control", rotation, worst.high)
    criteria = (
        Criterion(rotation, least=config.least_rotation),
        Criterion(excess, least=0.0),
        Criterion(consistency, least=config.least_consistency),
    )
    return Finding(
        number=2, name="rotation", claim=CLAIM, estimate=rotation, control=worst, criteria=criteria,
        data=_data(places, controls, config.bins),
        notes=(f"the plane holds {plane.share:.0%} of the variance of the activity",),
    )  # fmt: skip


def current(
    places: Float[np.ndarray, "trials time 2"], edges: tuple[np.ndarray, np.ndarray]
) -> tuple[Float[np.ndarray, "x y"], Float[np.ndarray, "x y 2"]]:
    """Occupancy of each cell of a grid, and the current through it: occupancy times the mean central displacement."""
    middle = places[:, 1:-1].reshape(-1, 2)
    moved = ((places[:, 2:] - places[:, :-2]) / 2).reshape(-1, 2)
    count = np.histogramdd(middle, edges)[0]
    flow = [np.histogramdd(middle, edges, weights=moved[:, axis])[0] for axis in range(2)]
    return count / len(middle), np.stack(flow, axis=-1) / len(middle)


def _swept(places: np.ndarray) -> Float[np.ndarray, "trials 2"]:
    """Signed and unsigned area swept by each trial."""
    now, after = places[:, :-1], places[:, 1:]
    area = 0.5 * (now[..., 0] * after[..., 1] - now[..., 1] * after[..., 0])
    return np.stack([area.sum(axis=1), np.abs(area).sum(axis=1)], axis=1)


def _rotation(areas: np.ndarray) -> float:
    total = float(areas[:, 1].sum())
    return float(areas[:, 0].sum()) / total if total else 0.0


def _control(places, surrogate, repeats: int, rng: np.random.Generator) -> Float[np.ndarray, " repeats"]:
    return np.abs([_rotation(_swept(surrogate(places, rng))) for _ in range(repeats)])


def _shuffled(places: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    order = np.argsort(rng.random(places.shape[:2]), axis=1)
    return np.take_along_axis(places, order[..., None], axis=1)


def _data(places: np.ndarray, controls: dict[str, np.ndarray], bins: int) -> xr.Dataset:
    flat = places.reshape(-1, 2)
    low, high = np.quantile(flat, [0.002, 0.998], axis=0)
    edges = cells(low, high, bins)
    occupancy, flow = current(places, edges)
    x, y = ((edge[1:] + edge[:-1]) / 2 for edge in edges)
    return xr.Dataset(
        {
            "occupancy": (("x", "y"), occupancy),
            "current": (("x", "y", "axis"), flow),
            "trajectory": (("trial", "time", "axis"), places[:8]),
            "control": (("kind", "repeat"), np.stack(list(controls.values()))),
        },
        coords={"x": x, "y": y, "kind": list(controls)},
    )
