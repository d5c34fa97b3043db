r"""Claim 7: the kick neurons and the noise that reaches them cause the transitions.

The activity of a group of kick neurons, or the noise that reaches their integrating population, is multiplied by a
factor :math:`\mu` from 0 to 2, from the same starts under the same noise. The number that sums up such a
dose-response curve is

.. math:: s = \frac{\lambda(\mu_{max}) - \lambda(\mu_{min})}{\lambda(1)},

the swing of the transition's hazard. The control does the same to random sets of the same size that are as active.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from neurodyn.mechanism.activity import Activity
from neurodyn.mechanism.evidence import Evidence
from neurodyn.mechanism.finding import Criterion, Estimate, Finding
from neurodyn.mechanism.hazards import Outcomes, Starts, Target, outcomes, settled_starts
from neurodyn.mechanism.kick_neurons import Kick, KickConfig, as_sets, matched_sets
from neurodyn.mechanism.network import Network
from neurodyn.mechanism.statistics import beyond, bootstrap, exactly, spread, unknown

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
    """Dose and response of one intervention: hazard relative to the intact one, and its swing."""

    name: str
    kind: str
    hazard: Float[np.ndarray, " factors"]
    controls: Float[np.ndarray, "sets factors"]
    swing: Estimate


def examine(evidence: Evidence, config: InterventionConfig | None = None, *, seed: int) -> Finding:
    """Scale kick neurons, and the noise that reaches their integrating populations.

    Supported if every intervention on every transition swings its hazard upwards by ``least_swing`` and by more than
    95 % of its control sets do.

    Parameters
    ----------
    evidence
        Network, recording and kick neurons; the runs are as long and as many as in the search for them.
    config
        Thresholds.
    seed
        Of starts, noise and controls.
    """
    config, sizes = config or InterventionConfig(), evidence.kick_config
    network, activity = evidence.network, evidence.activity
    curves: list[_Curve] = []
    for kick in evidence.kicks:
        starts = settled_starts(
            network, activity, kick.source, runs=sizes.runs, horizon=sizes.horizon, settled=sizes.settled, seed=seed + 2
        )
        if starts is not None and len(kick.group):
            curves += _curves(
                network=network, activity=activity, starts=starts, kick=kick, config=config, sizes=sizes,
                rng=np.random.default_rng([seed, kick.source, kick.target]),
            )  # fmt: skip
    return _judged(curves, config)


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
            curves.append(_curve(kick, kind, runs, config, rng))
    return curves


def _with_controls(
    network: Network, activity: Activity, kick: Kick, units: Int[np.ndarray, " units"], config, sizes, rng
) -> np.ndarray:
    """The units in the first row, random sets below."""
    controls = matched_sets(activity, kick, units, sizes, rng)[: config.control_sets]
    return np.concatenate([as_sets([units], network.hidden), controls])


def _curve(kick: Kick, kind: str, runs: Sequence[Outcomes], config: InterventionConfig, rng) -> _Curve:
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
        kick.name, kind, relative[0], relative[1:], bootstrap(name, np.stack(rows, axis=1).astype(float), swing, rng)
    )


def _judged(curves: Sequence[_Curve], config: InterventionConfig) -> Finding:
    if not curves:
        nothing = unknown("swing of the hazard")
        criterion = Criterion(exactly("transitions with kick neurons to scale", 0.0), least=1.0)
        return Finding(
            number=7, name="intervention", claim=CLAIM, estimate=nothing, control=nothing, criteria=(criterion,),
            data=_data([], config), notes=("there are no kick neurons",),
        )  # fmt: skip
    criteria = []
    for curve in curves:
        control = spread("", _swings(curve.controls))
        criteria.append(Criterion(curve.swing, least=config.least_swing))
        name = f"{curve.swing.name}, beyond 95 % of the random sets"
        criteria.append(Criterion(beyond(name, curve.swing, control.high), least=0.0))
    weakest = min(curves, key=lambda curve: curve.swing.value)
    control = spread("the same, random sets as active", _swings(weakest.controls))
    notes = tuple(
        f"{curve.name}, {curve.kind}: hazard x {curve.hazard[0]:.2f} at mu {config.factors[0]:g}, x "
        f"{curve.hazard[-1]:.2f} at mu {config.factors[-1]:g}; random sets x {curve.controls[:, 0].mean():.2f} and x "
        f"{curve.controls[:, -1].mean():.2f}"
        for curve in curves
    )
    return Finding(
        number=7, name="intervention", claim=CLAIM, estimate=weakest.swing, control=control, criteria=tuple(criteria),
        data=_data(curves, config), notes=notes,
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
