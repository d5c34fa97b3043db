"""How a network that emulates a hidden Markov model does it: nine claims, each with an experiment.  See README.md."""

from neurodyn.mechanism.activity import Activity, Plane, RecordConfig, leading_plane, record
from neurodyn.mechanism.evidence import Evidence
from neurodyn.mechanism.explain import ExplainConfig, Explanation, explain, quick_config
from neurodyn.mechanism.finding import Criterion, Estimate, Finding, Verdict
from neurodyn.mechanism.kick_search import find as find_kick_neurons
from neurodyn.mechanism.measured import Kick, KickConfig, Residency, ResidencyConfig
from neurodyn.mechanism.network import Epoch, Network, epochs_of, linear_readout, network_of, untrained_of
from neurodyn.mechanism.portrait import PortraitConfig, portrait
from neurodyn.mechanism.table import CLAIMS, Claim

__all__ = [
    "CLAIMS",
    "Activity",
    "Claim",
    "Criterion",
    "Epoch",
    "Estimate",
    "Evidence",
    "ExplainConfig",
    "Explanation",
    "Finding",
    "Kick",
    "KickConfig",
    "Network",
    "Plane",
    "PortraitConfig",
    "RecordConfig",
    "Residency",
    "ResidencyConfig",
    "Verdict",
    "epochs_of",
    "explain",
    "find_kick_neurons",
    "leading_plane",
    "linear_readout",
    "network_of",
    "portrait",
    "quick_config",
    "record",
    "untrained_of",
]
