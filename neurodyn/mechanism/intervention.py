r"""Claim 7: the kick neurons and the noise that reaches them cause the transitions.

The activity of a group of kick neurons, or the noise that reaches their integrating population, is multiplied by a
factor :math:`\mu` from 0 to 2, from the same starts under the same noise. The number that sums up such a
dose-response curve is

.. math:: s = \frac{\lambda(\mu_{max}) - \lambda(\mu_{min})}{\lambda(1)},

the swing of the transition's hazard. The control does the same to random sets of the same size that are as active, and
to the groups that the rule finds in untrained networks. Every transition has a verdict of its own; the claim does not
apply to one without kick neurons.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from neurodyn.mechanism.ablation import as_sets, matched_sets
from neurodyn.mechanism.activity import Activity
from neurodyn.mechanism.evidence import Evidence
from neurodyn.mechanism.finding import Criterion, Estimate, Finding, TransitionResult
from neurodyn.mechanism.hazards import Outcomes, Starts, Target, outcomes, settled_starts
from neurodyn.mechanism.measured import Kick, KickConfig
from neurodyn.mechanism.network import Network
from neurodyn.mechanism.power import final_sample
from neurodyn.mechanism.statistics import bootstrap, control_range, excess_over_control, not_measured

CLAIM = (
    "Scaling kick neurons, or the noise that reaches their integrating populations, abolishes or speeds transitions."
)
KINDS = ("kick neurons", "noise to integrating units")


@dataclass(frozen=True)
class InterventionConfig:
    """Thresholds and sizes.

    Parameters
    ----------
    factors
        Values of mu in rising order; has to hold 1.
    least_swing
        That each intervention has to reach.
    control_sets
        Random sets per intervention.
    """

    factors: tuple[float, ...] = (0.0, 0.5, 1.0, 1.5, 2.0)
    least_swing: float = 0.5
    control_sets: int = 20


@dataclass(frozen=True, eq=False)
class _Curve:
    """Dose and response of one intervention: hazard relative to the intact one, its swing, and that of the readout."""

    name: str
    kind: str
    hazard: Float[np.ndarray, " factors"]
    controls: Float[np.ndarray, "sets factors"]
    swing: Estimate
    readout: float


def examine(evidence: Evidence, config: InterventionConfig | None = None, *, seed: int) -> Finding:
    """Scale kick neurons, and the noise that reaches their integrating populations.

    Supported for a transition if every intervention on it swings its hazard upwards by ``least_swing`` more than if
    only the readout saw it, by more than 95 % of its control sets do, and by more than any on a group that the rule
    finds in untrained networks.

    Parameters
    ----------
    evidence
        Network, recording and kick neurons; the runs are as long and as many as in the search for them.
    config
        Thresholds.
    seed
        Seed of starts, noise and controls.
    """
    config, sizes = config or InterventionConfig(), evidence.kick_config
    scaled = [kick for kick in evidence.kicks if len(kick.group)]
    if not scaled:
        nothing = not_measured("swing of the hazard")
        return Finding(
            number=7, name="intervention", claim=CLAIM, estimate=nothing, control=nothing, criteria=(),
            data=_data([], config), not_applicable_because="no transition has kick neurons to scale",
        )  # fmt: skip
    untrained = [
        curve.swing.value
        for each in evidence.untrained_kicks or ()
        for kick in each.kicks
        if len(kick.group)
        for curve in _curves_of(each.network, each.activity, kick, replace(config, control_sets=1), sizes, seed)
    ]
    top = float("nan") if evidence.untrained_kicks is None else max(untrained, default=0.0)
    curves: list[_Curve] = []
    parts: list[TransitionResult] = []
    for kick in evidence.kicks:
        kick_curves, part = _judged_kick(evidence, kick, top, config, seed)
        curves += kick_curves
        parts.append(part)
    return _told(curves, tuple(parts), config)


def _judged_kick(
    evidence: Evidence, kick: Kick, untrained: float, config: InterventionConfig, seed: int
) -> tuple[list[_Curve], TransitionResult]:
    """A transition: its curves on as many runs as it takes, and the criteria; none without kick neurons."""
    if not len(kick.group):
        return [], TransitionResult(kick.name, ())
    sizes = evidence.kick_config

    def look(times: int) -> tuple[list[_Curve], TransitionResult] | None:
        more = replace(sizes, runs=times * sizes.runs)
        curves = _curves_of(evidence.network, evidence.activity, kick, config, more, seed)
        if not curves and times > 1:  # the recording has no starts for so many runs
            return None
        criteria = (criterion for curve in curves for criterion in _criteria(curve, untrained, config))
        return curves, TransitionResult(kick.name, tuple(criteria))

    return final_sample(look, sizes.most_times, lambda found: found[1])[1]


def _criteria(curve: _Curve, untrained: float, config: InterventionConfig) -> tuple[Criterion, ...]:
    tops = {"95 % of the random sets": control_range("", _swings(curve.controls)).high, "untrained networks": untrained}
    swing = excess_over_control(curve.swing.name, curve.swing, curve.readout) if curve.readout else curve.swing
    beyond_them = (
        excess_over_control(f"{curve.swing.name}, beyond {name}", curve.swing, top) for name, top in tops.items()
    )
    return (Criterion(swing, least=config.least_swing), *(Criterion(each, least=0.0) for each in beyond_them))


def _curves_of(
    network: Network, activity: Activity, kick: Kick, config: InterventionConfig, sizes: KickConfig, seed: int
) -> list[_Curve]:
    """Curves of a transition; none if there are too few starts."""
    starts = settled_starts(
        network, activity, kick.source, runs=sizes.runs, horizon=sizes.horizon, settled=sizes.settled, seed=seed + 2
    )
    if starts is None:
        return []
    return _curves(
        network=network, activity=activity, starts=starts, kick=kick, config=config, sizes=sizes,
        rng=np.random.default_rng([seed, kick.source, kick.target]),
    )  # fmt: skip


def _curves(
    network, activity, starts: Starts, kick: Kick, config: InterventionConfig, sizes: KickConfig, rng
) -> list[_Curve]:
    curves = []
    for kind, units, target in ((KINDS[0], kick.group, Target.ACTIVITY), (KINDS[1], kick.integrating, Target.NOISE)):
        if len(units):
            sets = _with_controls(
                network=network, activity=activity, kick=kick, units=units, config=config, sizes=sizes, rng=rng
            )
            runs = [outcomes(network, starts, sets, factor, target) for factor in config.factors]
            readout = _swing_of_readout(network, starts, kick, config) if target is Target.ACTIVITY else 0.0
            curves.append(_curve(kick, kind, runs, readout, config, rng))
    return curves


def _with_controls(
    network: Network, activity: Activity, kick: Kick, units: Int[np.ndarray, " units"], config, sizes, rng
) -> np.ndarray:
    """The units in the first row, random sets below."""
    controls = matched_sets(activity, kick, units, sizes, rng)[: config.control_sets]
    return np.concatenate([as_sets([units], network.hidden), controls])


def _swing_of_readout(network: Network, starts: Starts, kick: Kick, config: InterventionConfig) -> float:
    """Swing of the hazard if only the readout sees the kick neurons scaled: an effect on the readout alone."""
    units = as_sets([kick.group], network.hidden)
    low, intact, high = (
        float(outcomes(network, starts, units, factor, Target.READOUT).hazard(kick.target)[0])
        for factor in (config.factors[0], 1.0, config.factors[-1])
    )
    return max((high - low) / intact, 0.0) if intact else 0.0


def _curve(kick: Kick, kind: str, runs: Sequence[Outcomes], readout: float, config: InterventionConfig, rng) -> _Curve:
    hazards = np.stack([run.hazard(kick.target) for run in runs], axis=1)
    relative = hazards / hazards[0, config.factors.index(1.0)]
    rows = [
        part
        for run in (runs[0], runs[config.factors.index(1.0)], runs[-1])
        for part in (run.target[0] == kick.target, run.wait[0])
    ]

    def swing(sample: np.ndarray) -> float:
        low, waited, intact, exposed, high, exposure = sample.sum(axis=0)
        return (high / exposure - low / waited) / (intact / exposed) if intact else float("nan")

    name = f"swing of the hazard {kick.name} with the {kind}"
    return _Curve(
        kick.name, kind, relative[0], relative[1:], bootstrap(name, np.stack(rows, axis=1).astype(float), swing, rng),
        readout,
    )  # fmt: skip


def _told(curves: Sequence[_Curve], parts: tuple[TransitionResult, ...], config: InterventionConfig) -> Finding:
    if curves:
        weakest = min(curves, key=lambda curve: curve.swing.value)
        estimate, control = weakest.swing, control_range("the same, random sets as active", _swings(weakest.controls))
    else:
        estimate = control = not_measured("swing of the hazard")
    notes = tuple(
        f"{curve.name}, {curve.kind}: hazard x {curve.hazard[0]:.2f} at mu {config.factors[0]:g}, x "
        f"{curve.hazard[-1]:.2f} at mu {config.factors[-1]:g}; random sets x {curve.controls[:, 0].mean():.2f} and x "
        f"{curve.controls[:, -1].mean():.2f}"
        for curve in curves
    )
    return Finding(
        number=7, name="intervention", claim=CLAIM, estimate=estimate, control=control, criteria=(),
        data=_data(curves, config), notes=notes, parts=parts,
    )  # fmt: skip


def _swings(relative: np.ndarray) -> np.ndarray:
    return relative[:, -1] - relative[:, 0]


def _data(curves: Sequence[_Curve], config: InterventionConfig) -> xr.Dataset:
    sets = len(curves[0].controls) if curves else 0
    shape = (len(curves), len(config.factors))
    return xr.Dataset(
        {
            "hazard": (("curve", "factor"), np.array([c.hazard for c in curves]).reshape(shape)),
            "control": (
                ("curve", "set", "factor"),
                np.array([c.controls for c in curves]).reshape(len(curves), sets, -1),
            ),
        }
        if curves
        else {},
        coords={
            "factor": list(config.factors),
            "transition": ("curve", [c.name for c in curves]),
            "kind": ("curve", [c.kind for c in curves]),
        }
        if curves
        else {},
    )
