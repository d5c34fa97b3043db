r"""The rule that finds the kick neurons of a transition from a to b, in three steps.

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

**Integrating populations** are the units outside the group whose weights onto it are larger than those onto random sets
of the same size. Claim 6 (``kick_neurons``) judges what is found here, on other starts and noise.
"""

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from neurodyn.mechanism.ablation import as_sets, hazard_reduction, starts_of
from neurodyn.mechanism.activity import Activity
from neurodyn.mechanism.hazards import Outcomes, Starts, Target, intact, outcomes
from neurodyn.mechanism.measured import Kick, KickConfig
from neurodyn.mechanism.network import Network, network_of, recurrent_weights


def find(emulator: Any, activity: Activity, config: KickConfig | None = None, *, seed: int) -> tuple[Kick, ...]:
    """Apply the rule to every transition that happens often enough; the group is empty if no unit passed.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import neurodyn as nd
    >>> rnn = nd.emulation.DrivenNetwork(lambda h, x: jnp.tanh(h + x), lambda h: jnp.stack([h[0], -h[0]]), 3, 3)
    >>> activity = nd.mechanism.record(rnn, nd.mechanism.RecordConfig(trials=8, steps=60, burn_in=5), seed=0)
    >>> few = nd.mechanism.KickConfig(runs=64, settled=1, least_changes=5, permutations=20, random_sets=20)
    >>> [kick.name for kick in nd.mechanism.find_kick_neurons(rnn, activity, few, seed=0)]
    ['A→B', 'B→A']
    """
    config, network = config or KickConfig(), network_of(emulator)
    kicks = []
    for source in range(network.symbols):
        starts = starts_of(network, activity, source, config, seed)
        if starts is not None:
            kicks += _kicks_from(network, activity, starts, config, np.random.default_rng([seed, source]))
    return tuple(kicks)


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
    """Causal score and significance of every unit, and the threshold of a max-statistic permutation test.

    Null hypothesis: silencing the unit changes no run more than hiding it from the readout does, so that the sign of
    each run's difference is exchangeable. Statistic: the largest standardised decrease over all units. The threshold
    is its 95 % point over random signs, the same for all units.
    """
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
    """Join units one at a time, the one that cuts what is left of the hazard most; what is due to the readout alone
    does not count."""
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
            hazard_reduction(outcomes(network, starts, sets, 0.0, what), base, target)
            for what in (Target.ACTIVITY, Target.READOUT)
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
