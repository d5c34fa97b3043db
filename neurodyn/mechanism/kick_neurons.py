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
3. *Group.* It begins with the unit that cuts most among those that passed. Of the units that cut most, the one
   joins that cuts what is left of the hazard most, until the group cuts enough, the next adds too little or the group
   is full. If no unit passes, there is no group.

The group is then judged on starts and noise it has not seen, against random sets of the same size that are
as active and hold no kick neuron (neither of the group nor among the units that passed alone). **Integrating
populations** are the units outside the group whose weights onto it are larger than those onto random sets of the same
size; their test takes the noise from them. The rule is applied to several untrained networks as well: a group has to do
more than any of theirs. Every transition has a verdict of its own.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from neurodyn.mechanism.ablation import Ablation, ablate, as_sets, cuts, starts_of
from neurodyn.mechanism.activity import Activity
from neurodyn.mechanism.evidence import Evidence
from neurodyn.mechanism.finding import Criterion, Estimate, Finding, Part
from neurodyn.mechanism.hazards import Outcomes, Starts, Target, intact, outcomes
from neurodyn.mechanism.measured import Kick, KickConfig
from neurodyn.mechanism.network import Network, network_of, recurrent_weights
from neurodyn.mechanism.power import last_look
from neurodyn.mechanism.statistics import beyond, exactly, spread, unknown

CLAIM = "A few kick neurons start each transition; noise-integrating populations drive them."


def find(emulator: Any, activity: Activity, config: KickConfig | None = None, *, seed: int) -> tuple[Kick, ...]:
    """Apply the rule to every transition that happens often enough; the group is empty if no unit passed."""
    config, network = config or KickConfig(), network_of(emulator)
    kicks = []
    for source in range(network.symbols):
        starts = starts_of(network, activity, source, config, seed)
        if starts is not None:
            kicks += _kicks_from(network, activity, starts, config, np.random.default_rng([seed, source]))
    return tuple(kicks)


def examine(evidence: Evidence, config: KickConfig | None = None, *, seed: int) -> Finding:
    """Judge the kick neurons of every transition on starts and noise that the search for them has not seen.

    Supported for a transition if its group cuts its hazard by ``least_cut`` and by more than any group that the rule
    finds in untrained networks, if ``least_random_share`` of the random sets cut it by less than ``most_random_cut``,
    and if taking the noise from its integrating units costs more of it than taking it from 95 % of random sets.

    Parameters
    ----------
    evidence
        Network, recording and kick neurons; without an untrained network the claim stays undecided at best.
    config
        Thresholds; those of the search if None.
    seed
        Of starts, noise and controls; the judgement uses fresh ones.
    """
    config, network, found = config or evidence.kick_config, evidence.network, evidence.kicks
    nothing = unknown("share of the hazard that the kick neurons cut")
    if not found:
        return Finding(
            number=6, name="kick_neurons", claim=CLAIM, estimate=nothing, control=nothing, criteria=(),
            data=_data(network, (), ()), nothing="no transition happens often enough to be studied",
        )  # fmt: skip
    untrained = _largest_untrained(evidence)
    judged = [_judged(evidence, kick, untrained, config, seed) for kick in found]
    ablations = [ablation for ablation, _ in judged]
    tested = [ablation for ablation in ablations if len(ablation.random)]
    estimate, control = nothing, nothing
    if tested:
        weakest = min(tested, key=lambda each: each.group.value)
        estimate, control = weakest.group, spread("the same, random sets as active", weakest.random)
    return Finding(
        number=6, name="kick_neurons", claim=CLAIM, estimate=estimate, control=control, criteria=(),
        data=_data(network, found, ablations), notes=(*_notes(network, found, ablations), _note_on(evidence)),
        parts=tuple(part for _, part in judged),
    )  # fmt: skip


# The rule ------------------------------------------------------------------------------------------------------------


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
        group, found_cut = _grow(
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
                found_cut=found_cut,
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
) -> tuple[np.ndarray, float]:
    """Join units one at a time, the one that cuts what is left of the hazard most; the readout's part is no cut."""
    if not len(passed):
        return np.zeros(0, int), 0.0
    pool = np.argsort(score)[: config.pool]
    group = [int(passed[score[passed].argmin()])]
    left = 1 + float(score[group[0]])
    while len(group) < config.most_units and left > 1 - config.enough:
        candidates = np.array([unit for unit in pool if unit not in group], int)
        if not len(candidates):
            break
        sets = as_sets([np.array([*group, unit]) for unit in candidates], network.hidden)
        seen, unseen = (
            cuts(outcomes(network, starts, sets, 0.0, what), base, target) for what in (Target.ACTIVITY, Target.READOUT)
        )
        remaining = 1 - (seen - np.maximum(unseen, 0.0))
        best = int(remaining.argmin())
        if remaining[best] > (1 - config.least_effect) * left:
            break
        group.append(int(candidates[best]))
        left = float(remaining[best])
    return np.array(group), 1 - left


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


def _judged(evidence: Evidence, kick: Kick, untrained: float, config: KickConfig, seed: int) -> tuple[Ablation, Part]:
    """A transition: what its group does, on as many runs as it takes, and the criteria."""

    def look(times: int) -> tuple[Ablation, Part] | None:
        more = replace(config, runs=times * config.runs)
        ablation = ablate(evidence.network, evidence.activity, kick, more, seed=seed + 1)
        if times > 1 and math.isnan(ablation.group.value):  # the recording has no starts for so many runs
            return None
        return ablation, Part(kick.name, _criteria(evidence.network, kick, ablation, untrained, config))

    return last_look(look, config.most_times, lambda found: found[1])[1]


def _criteria(
    network: Network, kick: Kick, ablation: Ablation, untrained: float, config: KickConfig
) -> tuple[Criterion, ...]:
    name = kick.name
    if not len(kick.group):
        return (Criterion(exactly(f"kick neurons of {name}", 0.0), least=1.0),)
    below = float((ablation.random < config.most_random_cut).mean()) if len(ablation.random) else float("nan")
    text = f"share of random sets that cut the hazard {name} by less than {config.most_random_cut:.0%}"
    criteria = [
        Criterion(ablation.group, least=config.least_cut),
        Criterion(
            beyond(f"cut of the hazard {name} beyond that of groups in untrained networks", ablation.group, untrained),
            least=0.0,
        ),
        Criterion(exactly(text, below), least=config.least_random_share),
    ]
    if recurrent_weights(network) is not None:
        criteria.append(Criterion(_beyond_random(name, ablation), least=0.0))
    return tuple(criteria)


def _largest_untrained(evidence: Evidence) -> float:
    """What groups of untrained networks cut of their transitions, at most; NaN if there is no such network."""
    if evidence.untrained_kicks is None:
        return float("nan")
    return max((kick.found_cut for each in evidence.untrained_kicks for kick in each.kicks), default=0.0)


def _note_on(evidence: Evidence) -> str:
    """What the rule finds in untrained networks, in words."""
    if evidence.untrained_kicks is None:
        return "there is no untrained network to compare with"
    kicks = [kick for each in evidence.untrained_kicks for kick in each.kicks]
    groups = [kick for kick in kicks if len(kick.group)]
    return (
        f"in {len(evidence.untrained_kicks)} untrained networks the rule selects a group for {len(groups)} of "
        f"{len(kicks)} transitions; at most {_largest_untrained(evidence):.0%} of a hazard is cut"
    )


def _beyond_random(name: str, ablation: Ablation) -> Estimate:
    """How much more of the hazard goes with the noise of the integrating units than with that of random sets."""
    text = f"hazard {name} lost without noise to its integrating units, beyond 95 % of the random sets"
    if not len(ablation.noise_random):
        return exactly(text, -1.0)  # there is no integrating unit: no noise is taken away
    return beyond(text, ablation.noise, float(np.quantile(ablation.noise_random, 0.95)))


def _data(network: Network, kicks: Sequence[Kick], ablations: Sequence[Ablation]) -> xr.Dataset:
    names = [kick.name for kick in kicks]
    size = max((len(a.random) for a in ablations), default=0)
    random, noise_random = (
        np.array([np.pad(values, (0, size - len(values)), constant_values=np.nan) for values in columns])
        for columns in ([a.random for a in ablations], [a.noise_random for a in ablations])
    )
    shape = (len(kicks), network.hidden)
    group = [[a.group.value, a.group.low, a.group.high] for a in ablations]
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
            "cut": (dims, np.array(group, float).reshape(len(kicks), 3)),
            "noise_cut": (dims, np.array(noise, float).reshape(len(kicks), 3)),
            "random_cut": (("transition", "set"), random.reshape(len(kicks), size)),
            "random_noise_cut": (("transition", "set"), noise_random.reshape(len(kicks), size)),
        },
        coords={"transition": names, "bound": ["value", "low", "high"]},
    )  # fmt: skip


def _notes(network: Network, kicks: Sequence[Kick], ablations: Sequence[Ablation]) -> tuple[str, ...]:
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
