"""Simulated recordings with known ground truth: see README.md."""

from neurodyn.simulation.foraging import ForagingSettings, simulate_foraging
from neurodyn.simulation.lorenz import LorenzSettings, lorenz_states, simulate_lorenz
from neurodyn.simulation.nwb import write_nwb

__all__ = [
    "ForagingSettings",
    "LorenzSettings",
    "lorenz_states",
    "simulate_foraging",
    "simulate_lorenz",
    "write_nwb",
]
