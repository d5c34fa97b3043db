"""What silencing a group of units does to a transition, and what silencing other groups like it does."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from neurodyn.mechanism.activity import Activity
from neurodyn.mechanism.finding import Estimate
from neurodyn.mechanism.hazards import Outcomes, Starts, Target, cut, intact, outcomes, settled_starts
from neurodyn.mechanism.measured import Kick, KickConfig
from neurodyn.mechanism.network import Network
from neurodyn.mechanism.statistics import not_measured


@dataclass(frozen=True, eq=False)
class Ablation:
    """What silencing a group did on fresh runs.

    Parameters
    ----------
    group
        Cut of the hazard of the group's transition.
    random
        (set,) the same of the control sets.
    readout
        The same if only the readout sees the group silenced.
    noise, noise_random
        Cut if the integrating units get no noise, and the same of control sets; NaN and empty without such units.
    """

    group: Estimate
    random: Float[np.ndarray, " sets"]
    readout: float
    noise: Estimate
    noise_random: Float[np.ndarray, " sets_noise"]


def ablate(network: Network, activity: Activity, kick: Kick, config: KickConfig, *, seed: int) -> Ablation:
    """Silence a group, and take the noise from its integrating population, on fresh starts and noise."""
    rng = np.random.default_rng([seed, kick.source, kick.target])
    starts = starts_of(network, activity, kick.source, config, seed)
    if starts is None or not len(kick.group):
        nothing = not_measured(f"cut of the hazard {kick.name}")
        return Ablation(nothing, np.zeros(0), float("nan"), nothing, np.zeros(0))
    base = intact(network, starts)
    name = f"share of the hazard {kick.name} that its {len(kick.group)} kick neurons cut"
    units = as_sets([kick.group], network.hidden)
    group = cut(name, outcomes(network, starts, units, 0.0, Target.ACTIVITY), base, kick.target, rng)
    sets = matched_sets(activity, kick, kick.group, config, rng)
    random = hazard_reduction(outcomes(network, starts, sets, 0.0, Target.ACTIVITY), base, kick.target)
    readout = hazard_reduction(outcomes(network, starts, units, 0.0, Target.READOUT), base, kick.target)[0]
    name = f"share of the hazard {kick.name} lost without noise to its integrating units"
    if not len(kick.integrating):
        return Ablation(group, random, float(readout), not_measured(name), np.zeros(0))
    quiet = outcomes(network, starts, as_sets([kick.integrating], network.hidden), 0.0, Target.NOISE)
    sets = matched_sets(activity, kick, kick.integrating, config, rng)
    others = hazard_reduction(outcomes(network, starts, sets, 0.0, Target.NOISE), base, kick.target)
    return Ablation(group, random, float(readout), cut(name, quiet, base, kick.target, rng), others)


def matched_sets(
    activity: Activity, kick: Kick, units: Int[np.ndarray, " units"], config: KickConfig, rng: np.random.Generator
) -> Bool[np.ndarray, "sets hidden"]:
    """Random sets without kick neurons, as large and as active: each unit replaced by one near it in mean and spread.

    Both are taken over the states in which the source symbol is the likeliest.
    """
    here = activity.states[activity.likeliest == kick.source]
    profile = np.stack([here.mean(axis=0), here.std(axis=0)], axis=1)
    profile = profile / np.maximum(profile.std(axis=0), 1e-12)
    free = np.setdiff1d(np.arange(len(profile)), kick.units)
    sets = np.zeros((config.random_sets, len(profile)), bool)
    for row in sets:
        for unit in units:
            left = free[~row[free]]
            near = left[np.argsort(np.linalg.norm(profile[left] - profile[unit], axis=1))[: config.neighbours]]
            if len(near):
                row[rng.choice(near)] = True
    return sets


def as_sets(groups: Sequence[np.ndarray], hidden: int) -> Bool[np.ndarray, "sets hidden"]:
    """Lists of units as rows of a mask."""
    sets = np.zeros((len(groups), hidden), bool)
    for row, units in zip(sets, groups, strict=True):
        row[units] = True
    return sets


def starts_of(network: Network, activity: Activity, source: int, config: KickConfig, seed: int) -> Starts | None:
    """Starts from a symbol, of the sizes that the search for kick neurons has."""
    return settled_starts(
        network, activity, source, runs=config.runs, horizon=config.horizon, settled=config.settled, seed=seed
    )


def hazard_reduction(treated: Outcomes, base: Outcomes, symbol: int) -> Float[np.ndarray, " sets"]:
    """Share of the hazard to a symbol that each set of units cuts."""
    return 1 - treated.hazard(symbol) / base.hazard(symbol)[0]
