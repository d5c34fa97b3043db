"""Simulated recordings with known ground truth: see README.md."""

from neurodyn.simulation.foraging import ForagingSettings, simulate_foraging
from neurodyn.simulation.lorenz import LorenzSettings, lorenz_states, simulate_lorenz
from neurodyn.simulation.nwb import write_nwb
from neurodyn.simulation.reaching import ReachingSettings, preferred_directions, simulate_reaching

__all__ = [
    "ForagingSettings",
    "LorenzSettings",
    "ReachingSettings",
    "lorenz_states",
    "preferred_directions",
    "simulate_foraging",
    "simulate_lorenz",
    "simulate_reaching",
    "write_nwb",
]
