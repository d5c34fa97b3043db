"""Recurrent networks that emulate hidden Markov models: network, training, and how well they match.  See README.md."""

from neurodyn.emulation.config import (
    SCALES,
    EmulationConfig,
    NetworkConfig,
    Objective,
    TrainingConfig,
    training_at,
)
from neurodyn.emulation.driven import Driven, DrivenNetwork, Generated, GeneratedSymbols
from neurodyn.emulation.emulator import HmmEmulator
from neurodyn.emulation.ensemble import fit_ensemble
from neurodyn.emulation.match import match
from neurodyn.emulation.match_result import Match, MatchConfig
from neurodyn.emulation.storage import FILE_NAME, holds_network
from neurodyn.emulation.torch_file import read_torch
from neurodyn.emulation.verdict import Limits, Statistic, TwoSampleTest, Verdict
from neurodyn.emulation.weights import Weights

__all__ = [
    "FILE_NAME",
    "SCALES",
    "Driven",
    "DrivenNetwork",
    "EmulationConfig",
    "Generated",
    "GeneratedSymbols",
    "HmmEmulator",
    "Limits",
    "Match",
    "MatchConfig",
    "NetworkConfig",
    "Objective",
    "Statistic",
    "TrainingConfig",
    "TwoSampleTest",
    "Verdict",
    "Weights",
    "fit_ensemble",
    "holds_network",
    "match",
    "read_torch",
    "training_at",
]
