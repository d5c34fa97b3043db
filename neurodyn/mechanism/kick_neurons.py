r"""Claim 6: a few kick neurons start each transition, and noise-integrating populations drive them.

The rule that finds the kick neurons of every transition stands in ``kick_search``: a causal score per unit, a
permutation threshold over all units, and a group that grows.

The group is then judged on starts and noise it has not seen, against random sets of the same size that are
as active and hold no kick neuron (neither of the group nor among the units that passed alone). **Integrating
populations** are the units outside the group whose weights onto it are larger than those onto random sets of the same
size; their test takes the noise from them. The rule is applied to several untrained networks as well: a group has to do
more than any of theirs. Every transition has a verdict of its own.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import xarray as xr

from neurodyn.mechanism.ablation import Ablation, ablate, as_sets
from neurodyn.mechanism.evidence import Evidence
from neurodyn.mechanism.finding import Criterion, Estimate, Finding, TransitionResult
from neurodyn.mechanism.measured import Kick, KickConfig
from neurodyn.mechanism.network import Network, recurrent_weights
from neurodyn.mechanism.power import final_sample
from neurodyn.mechanism.statistics import control_range, excess_over_control, known_value, not_measured

CLAIM = "A few kick neurons start each transition; noise-integrating populations drive them."


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
        Seed of starts, noise and controls; the judgement uses fresh ones.
    """
    config, network, found = config or evidence.kick_config, evidence.network, evidence.kicks
    nothing = not_measured("share of the hazard that the kick neurons cut")
    if not found:
        return Finding(
            number=6, name="kick_neurons", claim=CLAIM, estimate=nothing, control=nothing, criteria=(),
            data=_data(network, (), ()), not_applicable_because="no transition happens often enough to be studied",
        )  # fmt: skip
    untrained = _largest_untrained(evidence)
    judged = [_judged(evidence, kick, untrained, config, seed) for kick in found]
    ablations = [ablation for ablation, _ in judged]
    tested = [ablation for ablation in ablations if len(ablation.random)]
    estimate, control = nothing, nothing
    if tested:
        weakest = min(tested, key=lambda each: each.group.value)
        estimate, control = weakest.group, control_range("the same, random sets as active", weakest.random)
    return Finding(
        number=6, name="kick_neurons", claim=CLAIM, estimate=estimate, control=control, criteria=(),
        data=_data(network, found, ablations), notes=(*_notes(network, found, ablations), _note_on(evidence)),
        parts=tuple(part for _, part in judged),
    )  # fmt: skip


def _judged(
    evidence: Evidence, kick: Kick, untrained: float, config: KickConfig, seed: int
) -> tuple[Ablation, TransitionResult]:
    """A transition: what its group does, on as many runs as it takes, and the criteria."""

    def look(times: int) -> tuple[Ablation, TransitionResult] | None:
        more = replace(config, runs=times * config.runs)
        ablation = ablate(evidence.network, evidence.activity, kick, more, seed=seed + 1)
        if times > 1 and math.isnan(ablation.group.value):  # the recording has no starts for so many runs
            return None
        return ablation, TransitionResult(kick.name, _criteria(evidence.network, kick, ablation, untrained, config))

    return final_sample(look, config.most_times, lambda found: found[1])[1]


def _criteria(
    network: Network, kick: Kick, ablation: Ablation, untrained: float, config: KickConfig
) -> tuple[Criterion, ...]:
    name = kick.name
    if not len(kick.group):
        return (Criterion(known_value(f"kick neurons of {name}", 0.0), least=1.0),)
    below = float((ablation.random < config.most_random_cut).mean()) if len(ablation.random) else float("nan")
    text = f"share of random sets that cut the hazard {name} by less than {config.most_random_cut:.0%}"
    criteria = [
        Criterion(ablation.group, least=config.least_cut),
        Criterion(
            excess_over_control(
                f"cut of the hazard {name} beyond that of groups in untrained networks", ablation.group, untrained
            ),
            least=0.0,
        ),
        Criterion(known_value(text, below), least=config.least_random_share),
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
        return known_value(text, -1.0)  # there is no integrating unit: no noise is taken away
    return excess_over_control(text, ablation.noise, float(np.quantile(ablation.noise_random, 0.95)))


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
        random = control_range("", np.array([weights[np.ix_(units, units)].mean() for units in drawn]))
        notes.append(
            f"{kick.name}: mean weight among its integrating units {inside:.3f}, among as many random units {random}"
        )
    return tuple(notes)
