"""Every claim by its name: what examines it, and with which sizes. To add one, see ADDING_A_CLAIM.md."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from neurodyn.mechanism import (
    collapse,
    intervention,
    kick_neurons,
    phase,
    residency,
    resonance,
    rotation,
    sensitivity,
    subspaces,
)
from neurodyn.mechanism.collapse import CollapseConfig
from neurodyn.mechanism.evidence import Evidence
from neurodyn.mechanism.finding import Finding
from neurodyn.mechanism.intervention import InterventionConfig
from neurodyn.mechanism.measured import KickConfig, ResidencyConfig
from neurodyn.mechanism.phase import PhaseConfig
from neurodyn.mechanism.resonance import ResonanceConfig
from neurodyn.mechanism.rotation import RotationConfig
from neurodyn.mechanism.sensitivity import SensitivityConfig
from neurodyn.mechanism.subspaces import SubspaceConfig


class Measure(Enum):
    """What several claims measure on the evidence, each a search that takes a while and is done once."""

    RESIDENCY = "residency of states"
    KICKS = "search for kick neurons"
    UNTRAINED = "search in untrained networks"

    def measure_on(self, evidence: Evidence) -> Any:
        """The measurement, made when it is first asked for."""
        if self is Measure.RESIDENCY:
            return evidence.residency
        return evidence.kicks if self is Measure.KICKS else evidence.untrained_kicks


@dataclass(frozen=True)
class Claim:
    """One row.

    Parameters
    ----------
    examine
        ``examine(evidence, settings, seed=...)`` returns the `Finding`, whose ``name`` is that of the row.
    settings
        Class of the sizes and thresholds; without arguments, the usual ones.
    quick_settings
        Sizes that show in seconds that everything works.
    measures
        What it asks the evidence for that takes a while: measured first, and timed on its own.

    Examples
    --------
    >>> from neurodyn.mechanism import CLAIMS
    >>> claim = CLAIMS["rotation"]
    >>> claim.settings.__name__, claim.settings().surrogates
    ('RotationConfig', 40)
    """

    examine: Callable[..., Finding]
    settings: type
    quick_settings: Any
    measures: tuple[Measure, ...] = ()


CLAIMS: dict[str, Claim] = {
    "collapse": Claim(collapse.examine, CollapseConfig, CollapseConfig(starts=16, steps=60)),
    "rotation": Claim(rotation.examine, RotationConfig, RotationConfig(surrogates=5)),
    "phase": Claim(phase.examine, PhaseConfig, PhaseConfig(permutations=10)),
    "residency": Claim(
        residency.examine,
        ResidencyConfig,
        ResidencyConfig(states=60, near_changes=20, draws=8, horizon=20, jacobians=6, most_times=1),
        (Measure.RESIDENCY,),
    ),
    "sensitivity": Claim(sensitivity.examine, SensitivityConfig, SensitivityConfig(draws=4), (Measure.RESIDENCY,)),
    "kick_neurons": Claim(
        kick_neurons.examine,
        KickConfig,
        KickConfig(runs=32, horizon=20, least_changes=8, permutations=40, random_sets=20, untrained=2, most_times=1),
        (Measure.KICKS, Measure.UNTRAINED),
    ),
    "intervention": Claim(
        intervention.examine,
        InterventionConfig,
        InterventionConfig(factors=(0.0, 1.0, 2.0), control_sets=4),
        (Measure.KICKS, Measure.UNTRAINED),
    ),
    "resonance": Claim(
        resonance.examine,
        ResonanceConfig,
        ResonanceConfig(
            levels=(0.0, 0.5, 1.0, 3.0),
            trials=16,
            steps=30,
            effect_states=8,
            effect_draws=32,
            resamples=20,
            jacobians=3,
        ),
    ),
    "subspaces": Claim(subspaces.examine, SubspaceConfig, SubspaceConfig(least_changes=5, splits=10, permutations=20)),
}
"""The claims of Torre and others (2025), in the order of the paper."""
