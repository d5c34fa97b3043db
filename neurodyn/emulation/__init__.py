"""Recurrent networks that imitate hidden Markov models: network, training, and how well they match.  See README.md."""

from neurodyn.emulation.config import (
    SCALES,
    EmulationConfig,
    NetworkConfig,
    Objective,
    TrainingConfig,
    training_at,
)
from neurodyn.emulation.emulator import Generated, GeneratedSymbols, HmmEmulator
from neurodyn.emulation.ensemble import fit_ensemble
from neurodyn.emulation.match import Limits, Match, MatchConfig, Statistic, TwoSampleTest, Verdict, match
from neurodyn.emulation.storage import FILE_NAME, holds_network

__all__ = [
    "FILE_NAME",
    "SCALES",
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
    "fit_ensemble",
    "holds_network",
    "match",
    "training_at",
]
