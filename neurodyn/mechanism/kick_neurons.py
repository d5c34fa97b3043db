r"""Claim 6: a few kick neurons start each transition, and noise-integrating populations drive them.

**The rule** that finds the kick neurons of the transition from a to b, in three steps.

1. *Causal score.* Every unit is silenced in turn from the same starts (a has been the likeliest symbol for a while)
   under the same noise. With :math:`e_n` whether run n went to b first, :math:`w_n` the steps it took and
   :math:`\lambda` the intact hazard, :math:`r_n = e_n - \lambda w_n` is what the run adds to the change of the hazard.
   The score is the change relative to the intact hazard, less what it is if only the readout sees the unit silenced: a
   unit that the readout needs but the dynamics do not scores zero.
2. *Permutation threshold.* If a unit does nothing, its :math:`r_n` and those of its control can be exchanged within
   each run. The signs of the differences d are flipped at random, for all units alike, and the largest
   :math:`-\sum d / \sqrt{\sum d^2}` of all units is kept: the 95 % point of these maxima is the threshold on the
   unit's own. A unit also has to cut the hazard by a least share: significance alone is a matter of how many runs there
   are.
3. *Group.* It begins with the unit of the highest score among those that passed. Of the highest-scoring units, the one
   joins that cuts what is left of the hazard most, until the group cuts enough, the next adds too little or the group
   is full. If no unit passes, there is no group.

The group is then judged on starts and noise it has not seen, against random sets of the same size that are
as active and hold no kick neuron (neither of the group nor among the units that passed alone). **Integrating
populations** are the units outside the group whose weights onto it are larger than those onto random sets of the same
size; their test takes the noise from them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Int

from neurodyn.mechanism.activity import Activity
from neurodyn.mechanism.evidence import Evidence
from neurodyn.mechanism.finding import Criterion, Estimate, Finding
from neurodyn.mechanism.hazards import Outcomes, Starts, Target, cut, intact, outcomes, settled_starts
from neurodyn.mechanism.measured import Kick, KickConfig
from neurodyn.mechanism.network import Network, network_of, recurrent_weights
from neurodyn.mechanism.statistics import beyond, exactly, spread, unknown

CLAIM = "A few kick neurons start each transition; noise-integrating populations drive them."


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


def find(emulator: Any, activity: Activity, config: KickConfig | None = None, *, seed: int) -> tuple[Kick, ...]:
    """Apply the rule to every transition that happens often enough; the group is empty if no unit passed."""
    config, network = config or KickConfig(), network_of(emulator)
    kicks = []
    for source in range(network.symbols):
        starts = _starts(network, activity, source, config, seed)
        if starts is not None:
            kicks += _kicks_from(network, activity, starts, config, np.random.default_rng([seed, source]))
    return tuple(kicks)


def examine(evidence: Evidence, config: KickConfig | None = None, *, seed: int) -> Finding:
    """Silence the kick neurons, and compare with random sets and with the untrained network.

    Supported if, for every transition, the group cuts its hazard by ``least_cut`` and ``least_random_share`` of the
    random sets cut it by less than ``most_random_cut``, and if the rule finds nothing in the untrained network.

    Parameters
    ----------
    evidence
        Network, recording and kick neurons; without the untrained network the claim stays undecided at best.
    config
        Thresholds; those of the search if None.
    seed
        Of starts, noise and controls; the judgement uses fresh ones.
    """
    config, network, activity = config or evidence.kick_config, evidence.network, evidence.activity
    found = evidence.kicks
    ablations = tuple(ablate(network, activity, kick, config, seed=seed + 1) for kick in found)
    false = _found_untrained(evidence, config, seed)
    estimate, control, criteria = _judged(found, ablations, config)
    return Finding(
        number=6, name="kick_neurons", claim=CLAIM, estimate=estimate, control=control,
        criteria=(*criteria, Criterion(false, most=0.0)), data=_data(network, found, ablations),
        notes=_notes(network, found, ablations),
    )  # fmt: skip


def ablate(network: Network, activity: Activity, kick: Kick, config: KickConfig, *, seed: int) -> Ablation:
    """Silence a group, and take the noise from its integrating population, on fresh starts and noise."""
    rng = np.random.default_rng([seed, kick.source, kick.target])
    starts = _starts(network, activity, kick.source, config, seed)
    if starts is None or not len(kick.group):
        nothing = unknown(f"cut of the hazard {kick.name}")
        return Ablation(nothing, np.zeros(0), float("nan"), nothing, np.zeros(0))
    base = intact(network, starts)
    name = f"share of the hazard {kick.name} that its {len(kick.group)} kick neurons cut"
    units = as_sets([kick.group], network.hidden)
    group = cut(name, outcomes(network, starts, units, 0.0, Target.ACTIVITY), base, kick.target, rng)
    sets = matched_sets(activity, kick, kick.group, config, rng)
    random = _cuts(outcomes(network, starts, sets, 0.0, Target.ACTIVITY), base, kick.target)
    readout = _cuts(outcomes(network, starts, units, 0.0, Target.READOUT), base, kick.target)[0]
    name = f"share of the hazard {kick.name} lost without noise to its integrating units"
    if not len(kick.integrating):
        return Ablation(group, random, float(readout), unknown(name), np.zeros(0))
    quiet = outcomes(network, starts, as_sets([kick.integrating], network.hidden), 0.0, Target.NOISE)
    sets = matched_sets(activity, kick, kick.integrating, config, rng)
    others = _cuts(outcomes(network, starts, sets, 0.0, Target.NOISE), base, kick.target)
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


# The rule ------------------------------------------------------------------------------------------------------------


def _starts(network: Network, activity: Activity, source: int, config: KickConfig, seed: int) -> Starts | None:
    return settled_starts(
        network, activity, source, runs=config.runs, horizon=config.horizon, settled=config.settled, seed=seed
    )


def _kicks_from(network: Network, activity: Activity, starts: Starts, config: KickConfig, rng) -> list[Kick]:
    """Kick neurons of every transition from one symbol: the runs are shared."""
    base = intact(network, starts)
    targets = [b for b in range(network.symbols) if (base.target[0] == b).sum() >= config.least_changes]
    if not targets:
        return []
    units = np.eye(network.hidden, dtype=bool)
    silenced = outcomes(network, starts, units, 0.0, Target.ACTIVITY)
    unseen = outcomes(network, starts, units, 0.0, Target.READOUT)
    kicks = []
    for target in targets:
        score, significance, threshold = _scores(silenced, unseen, base, target, config.permutations, rng)
        passed = np.flatnonzero((significance < -threshold) & (score < -config.least_effect))
        group = _grow(
            network=network, starts=starts, base=base, target=target, score=score, passed=passed, config=config
        )
        drive, integrating = integrating_units(network, group, config.permutations, rng)
        hazard = float(base.hazard(target)[0])
        kicks.append(
            Kick(
                source=starts.source,
                target=target,
                hazard=hazard,
                score=score,
                significance=significance,
                threshold=threshold,
                passed=passed,
                group=group,
                integrating=integrating,
                drive=drive,
            )
        )
    return kicks


def _scores(
    silenced: Outcomes, unseen: Outcomes, base: Outcomes, target: int, permutations: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, " hidden"], Float[np.ndarray, " hidden"], float]:
    """Causal score and significance of every unit, and the 95 % point of the largest if nothing depends on the unit."""
    hazard = float(base.hazard(target)[0])
    treated, control = ((o.target == target) - hazard * o.wait for o in (silenced, unseen))
    changes = treated - control
    score = changes.sum(axis=1) / (hazard * silenced.wait.sum(axis=1))
    size = np.linalg.norm(changes, axis=1)
    unit = changes / np.where(size > 0, size, 1.0)[:, None]
    signs = rng.choice([-1.0, 1.0], size=(changes.shape[1], permutations))
    return score, unit.sum(axis=1), float(np.quantile(-(unit @ signs).min(axis=0), 0.95))


def _grow(
    network: Network, starts: Starts, base: Outcomes, target: int, score, passed, config: KickConfig
) -> np.ndarray:
    """Join units one at a time, the one that cuts what is left of the hazard most; the readout's part is no cut."""
    if not len(passed):
        return np.zeros(0, int)
    pool = np.argsort(score)[: config.pool]
    group = [int(passed[score[passed].argmin()])]
    left = 1 + float(score[group[0]])
    while len(group) < config.most_units and left > 1 - config.enough:
        candidates = np.array([unit for unit in pool if unit not in group], int)
        if not len(candidates):
            break
        sets = as_sets([np.array([*group, unit]) for unit in candidates], network.hidden)
        seen, unseen = (
            _cuts(outcomes(network, starts, sets, 0.0, what), base, target)
            for what in (Target.ACTIVITY, Target.READOUT)
        )
        remaining = 1 - (seen - np.maximum(unseen, 0.0))
        best = int(remaining.argmin())
        if remaining[best] > (1 - config.least_effect) * left:
            break
        group.append(int(candidates[best]))
        left = float(remaining[best])
    return np.array(group)


def integrating_units(
    network: Network, group: Int[np.ndarray, " group"], permutations: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, " hidden"], Int[np.ndarray, " integrating"]]:
    """Mean weight of every unit onto a group, and the units outside it whose weight is beyond chance.

    Chance: the weights of the same unit onto random sets of the same size; 95 % of them have to be smaller.
    """
    weights = recurrent_weights(network)
    if weights is None or not len(group):
        return np.zeros(network.hidden), np.zeros(0, int)
    drive = weights[group].mean(axis=0)
    others = np.setdiff1d(np.arange(network.hidden), group)
    size = min(len(group), len(others))
    random = np.stack([weights[rng.choice(others, size, replace=False)].mean(axis=0) for _ in range(permutations)])
    return drive, np.setdiff1d(np.flatnonzero(drive > np.quantile(random, 0.95, axis=0)), group)


# The judgement -------------------------------------------------------------------------------------------------------


def _cuts(treated: Outcomes, base: Outcomes, symbol: int) -> Float[np.ndarray, " sets"]:
    return 1 - treated.hazard(symbol) / base.hazard(symbol)[0]


def _found_untrained(evidence: Evidence, config: KickConfig, seed: int) -> Estimate:
    """Units that the rule finds in the untrained network."""
    from neurodyn.mechanism.activity import RecordConfig, record

    name = "units that the rule selects in the untrained network"
    untrained = evidence.untrained
    if untrained is None:
        return unknown(name)
    trials, steps, _ = evidence.activity.states.shape
    before = record(untrained, RecordConfig(trials, steps, level=evidence.level), seed=seed)
    return exactly(name, float(sum(len(kick.group) for kick in find(untrained, before, config, seed=seed))))


def _judged(
    kicks: Sequence[Kick], ablations: Sequence[Ablation], config: KickConfig
) -> tuple[Estimate, Estimate, tuple[Criterion, ...]]:
    """The weakest group, its control, and the criteria over all transitions."""
    groups = exactly(
        "transitions with kick neurons, as a share of all",
        float(np.mean([len(k.group) > 0 for k in kicks])) if kicks else 0.0,
    )
    judged = [(kick.name, a) for kick, a in zip(kicks, ablations, strict=True) if len(a.random)]
    if not judged:
        nothing = unknown("share of the hazard that the kick neurons cut")
        return nothing, nothing, (Criterion(groups, least=1.0),)
    weakest = min((ablation for _, ablation in judged), key=lambda a: a.group.value)
    criteria = [Criterion(groups, least=1.0)]
    for name, ablation in judged:
        below = float((ablation.random < config.most_random_cut).mean())
        text = f"share of random sets that cut the hazard {name} by less than {config.most_random_cut:.0%}"
        criteria += [
            Criterion(ablation.group, least=config.least_cut),
            Criterion(exactly(text, below), least=config.least_random_share),
            Criterion(_beyond_random(name, ablation), least=0.0),
        ]
    return weakest.group, spread("the same, random sets as active", weakest.random), tuple(criteria)


def _beyond_random(name: str, ablation: Ablation) -> Estimate:
    """How much more of the hazard goes with the noise of the integrating units than with that of random sets."""
    text = f"hazard {name} lost without noise to its integrating units, beyond 95 % of the random sets"
    if not len(ablation.noise_random):
        return unknown(text)
    return beyond(text, ablation.noise, float(np.quantile(ablation.noise_random, 0.95)))


def _data(network: Network, kicks: Sequence[Kick], ablations: Sequence[Ablation]) -> xr.Dataset:
    names = [kick.name for kick in kicks]
    size = max((len(a.random) for a in ablations), default=0)
    random, noise_random = (
        np.array([np.pad(values, (0, size - len(values)), constant_values=np.nan) for values in columns])
        for columns in ([a.random for a in ablations], [a.noise_random for a in ablations])
    )
    shape = (len(kicks), network.hidden)
    cuts = [[a.group.value, a.group.low, a.group.high] for a in ablations]
    noise = [[a.noise.value, a.noise.low, a.noise.high] for a in ablations]
    dims = ("transition", "bound")
    return xr.Dataset(
        {
            "score": (("transition", "unit"), np.array([k.score for k in kicks]).reshape(shape)),
            "significance": (("transition", "unit"), np.array([k.significance for k in kicks]).reshape(shape)),
            "threshold": ("transition", np.array([k.threshold for k in kicks], float)),
            "passed": (("transition", "unit"), as_sets([k.passed for k in kicks], network.hidden)),
            "hazard": ("transition", np.array([k.hazard for k in kicks], float)),
            "kick": (("transition", "unit"), as_sets([k.group for k in kicks], network.hidden)),
            "integrating": (("transition", "unit"), as_sets([k.integrating for k in kicks], network.hidden)),
            "cut": (dims, np.array(cuts, float).reshape(len(kicks), 3)),
            "noise_cut": (dims, np.array(noise, float).reshape(len(kicks), 3)),
            "random_cut": (("transition", "set"), random.reshape(len(kicks), size)),
            "random_noise_cut": (("transition", "set"), noise_random.reshape(len(kicks), size)),
        },
        coords={"transition": names, "bound": ["value", "low", "high"]},
    )  # fmt: skip


def _notes(network: Network, kicks: Sequence[Kick], ablations: Sequence[Ablation]) -> tuple[str, ...]:
    if not kicks:
        return ("no transition happens often enough to be studied",)
    notes = []
    for kick, ablation in zip(kicks, ablations, strict=True):
        notes.append(
            f"{kick.name}: {len(kick.passed)} units pass alone, group of {len(kick.group)} cuts {ablation.group}; "
            f"readout alone {ablation.readout:.2f}; {len(kick.integrating)} integrating units, without their noise "
            f"{ablation.noise}"
            + (f" (random sets {ablation.noise_random.mean():.2f})" if len(ablation.noise_random) else "")
        )
    return (*notes, *_blocks(network, kicks))


def _blocks(network: Network, kicks: Sequence[Kick]) -> tuple[str, ...]:
    """Weights among the integrating units themselves, which no selection looked at, against random sets as large."""
    weights = recurrent_weights(network)
    if weights is None:
        return ()
    rng, notes = np.random.default_rng(0), []
    for kick in kicks:
        size = len(kick.integrating)
        if size < 2:
            continue
        inside = weights[np.ix_(kick.integrating, kick.integrating)].mean()
        drawn = [rng.choice(network.hidden, size=size, replace=False) for _ in range(200)]
        random = spread("", np.array([weights[np.ix_(units, units)].mean() for units in drawn]))
        notes.append(
            f"{kick.name}: mean weight among its integrating units {inside:.3f}, among as many random units {random}"
        )
    return tuple(notes)
