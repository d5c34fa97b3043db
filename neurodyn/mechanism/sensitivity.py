r"""Claim 5: the noise decides in the cluster and hardly in the transition.

From recorded states of every band of residency the network is run with the noise that came next in the recording, mixed
with fresh noise,

.. math:: x_\gamma = \sqrt{1 - \gamma^2}\, x_{recorded} + \gamma\, x_{fresh},

which has the variance of either. Two numbers per step: how far the runs are from the recorded trajectory, relative to
the distance of unrelated states, and how undecided they are: the share of a state's runs that are not at the
likeliest symbol that most of them are at. In a cluster that share grows as the fresh noise decides; a ballistic
transition has been decided, and all runs end at the same symbol. At :math:`\gamma = 0` both numbers are zero, which
checks the replay. How far ahead that is looked at, and by how much the two bands have to differ, is measured by how
long the model's own symbols last. The claim does not apply where claim 4 does not, and where one of the two bands is
empty: there is nothing to compare then. The control permutes the bands among the states.
"""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Float

from neurodyn.mechanism.activity import Activity, draw_noise, run
from neurodyn.mechanism.evidence import Evidence
from neurodyn.mechanism.finding import Criterion, Finding
from neurodyn.mechanism.measured import BANDS
from neurodyn.mechanism.network import Network
from neurodyn.mechanism.power import sample_until_decided
from neurodyn.mechanism.residency import why_no_transition_states
from neurodyn.mechanism.statistics import (
    control_range,
    difference_of_means,
    excess_over_control,
    known_value,
    not_measured,
)

CLAIM = "Noise decides in the cluster and hardly in the transition."


@dataclass(frozen=True)
class SensitivityConfig:
    """Thresholds and sizes.

    Parameters
    ----------
    least_difference
        By how much the undecided share has to be larger from a cluster than from a transition, in units of what the
        model's own changes make of it.
    mixtures
        Values of gamma; has to hold 0 and 1.
    steps
        Steps of a run; the last is the one judged. None for a share of the model's dwell.
    of_dwell
        That share; at least 2 steps.
    least_states
        In each of the two bands; with fewer there is nothing to compare.
    draws
        Runs per state and mixture.
    most_replay_error
        Largest relative distance at gamma 0.
    """

    least_difference: float = 0.1
    mixtures: tuple[float, ...] = (0.0, 0.5, 1.0)
    steps: int | None = None
    of_dwell: float = 0.35
    least_states: int = 10
    draws: int = 16
    most_replay_error: float = 1e-3


def examine(evidence: Evidence, config: SensitivityConfig | None = None, *, seed: int) -> Finding:
    """Compare the effect of fresh noise between clusters and transitions.

    Supported if runs with fresh noise are less decided from clusters than from transitions, by ``least_difference``
    and by more than when the bands are permuted; and the replay is exact.

    Parameters
    ----------
    evidence
        Network, recording, and the bands of its states.
    config
        Thresholds.
    seed
        Seed of the fresh noise and of the control.
    """
    config = config or SensitivityConfig()
    reason = why_no_transition_states(evidence, evidence.residency_config) or _empty_bands(evidence, config)
    if reason:
        nothing = not_measured("share of runs that are not where most of them are: cluster minus transition")
        return Finding(
            number=5, name="sensitivity", claim=CLAIM, estimate=nothing, control=nothing, criteria=(),
            data=xr.Dataset(), not_applicable_because=reason,
        )  # fmt: skip
    return sample_until_decided(lambda times: _examine(evidence, times, config, seed), evidence.most_states, "states")


def _empty_bands(evidence: Evidence, config: SensitivityConfig) -> str:
    """Why the bands cannot be compared; empty if they can."""
    band = evidence.residency.band
    few = [name for number, name in enumerate(BANDS) if number != 1 and (band == number).sum() < config.least_states]
    return f"fewer than {config.least_states} of the states looked at are in a {' and in a '.join(few)}" if few else ""


def _examine(evidence: Evidence, times: int, config: SensitivityConfig, seed: int) -> Finding:
    rng, dwell = np.random.default_rng(seed), evidence.dwell
    assert dwell is not None
    steps = config.steps or max(round(config.of_dwell * dwell.steps), 2)
    config = replace(config, steps=steps)
    network, activity, residency = evidence.network, evidence.activity, evidence.residencies(times)
    inside = residency.time + steps < activity.states.shape[1]
    band = residency.band[inside]
    distance, undecided = _replays(network, activity, residency.trial[inside], residency.time[inside], config, seed)
    fresh = undecided[config.mixtures.index(1.0), :, -1]
    name = "share of runs with fresh noise that are not where most of them are: cluster minus transition"
    difference = difference_of_means(name, fresh[band == 2], fresh[band == 0], rng)
    control = control_range("the same, bands permuted", _permuted(fresh, band, rng))
    replay = known_value("relative distance of the replay", float(distance[config.mixtures.index(0.0)].max()))
    criteria = (
        Criterion(difference, least=config.least_difference * dwell.undecided(steps)),
        Criterion(excess_over_control("the same beyond 95 % of the permutations", difference, control.high), least=0.0),
        Criterion(replay, most=config.most_replay_error),
    )
    model = f"changes as often as the {dwell.whose}'s leave {dwell.undecided(steps):.0%} undecided after {steps} steps"
    return Finding(
        number=5, name="sensitivity", claim=CLAIM, estimate=difference, control=control, criteria=criteria,
        data=_data(distance, undecided, band, config), notes=(*_notes(distance, undecided, band, config), model),
    )  # fmt: skip


def _replays(
    network: Network, activity: Activity, trial: np.ndarray, time: np.ndarray, config: SensitivityConfig, seed: int
) -> tuple[Float[np.ndarray, "mixtures states steps"], Float[np.ndarray, "mixtures states steps"]]:
    """Mean distance to the recorded trajectory, and share of runs that are not where most are."""
    assert config.steps is not None
    ahead = time[:, None] + np.arange(1, config.steps + 1)
    recorded = np.moveaxis(activity.inputs[trial[:, None], ahead], 0, 1)
    states = activity.states[trial[:, None], ahead]
    starts = jnp.asarray(activity.states[trial, time])
    distance = np.zeros((len(config.mixtures), len(trial), config.steps))
    votes = np.zeros((*distance.shape, network.symbols))
    for draw in range(config.draws):
        key = jax.random.fold_in(jax.random.key(seed), draw)
        fresh = np.asarray(draw_noise(network, config.steps, len(trial), activity.level, key))
        for place, mixture in enumerate(config.mixtures):
            noise = jnp.asarray((1 - mixture**2) ** 0.5 * recorded + mixture * fresh)
            reached, logits = (np.moveaxis(np.asarray(part), 0, 1) for part in run(network, starts, noise))
            distance[place] += np.linalg.norm(reached - states, axis=-1)
            votes[place] += logits.argmax(axis=-1)[..., None] == np.arange(network.symbols)
    return distance / (config.draws * _typical_distance(activity)), 1 - votes.max(axis=-1) / config.draws


def _typical_distance(activity: Activity) -> float:
    """Root mean squared distance of two unrelated states."""
    flat = activity.states.reshape(-1, activity.states.shape[-1])
    return float(np.sqrt(2 * flat.var(axis=0).sum()))


def _permuted(undecided: np.ndarray, band: np.ndarray, rng: np.random.Generator, repeats: int = 200) -> np.ndarray:
    if not ((band == 2).any() and (band == 0).any()):
        return np.zeros(0)
    drawn = (rng.permutation(band) for _ in range(repeats))
    return np.array([undecided[other == 2].mean() - undecided[other == 0].mean() for other in drawn])


def _means(values: np.ndarray, band: np.ndarray) -> Float[np.ndarray, "bands mixtures steps"]:
    """Mean over the states of each band; NaN for an empty one."""
    empty = np.full((values.shape[0], values.shape[2]), np.nan)
    return np.stack([values[:, band == b].mean(axis=1) if (band == b).any() else empty for b in range(len(BANDS))])


def _data(distance, undecided, band, config: SensitivityConfig) -> xr.Dataset:
    axes, steps = ("band", "mixture", "step"), np.arange(1, distance.shape[2] + 1)
    return xr.Dataset(
        {"distance": (axes, _means(distance, band)), "undecided": (axes, _means(undecided, band))},
        coords={"band": list(BANDS), "mixture": list(config.mixtures), "step": steps},
    )


def _notes(distance, undecided, band, config: SensitivityConfig) -> tuple[str, ...]:
    fresh = config.mixtures.index(1.0)
    far, open_ = (_means(values, band)[:, fresh, -1] for values in (distance, undecided))
    return tuple(
        f"{name}: after {config.steps} steps of fresh noise {far[i]:.2f} of the distance of unrelated states, "
        f"{open_[i]:.0%} undecided"
        for i, name in enumerate(BANDS)
        if (band == i).any()
    )
