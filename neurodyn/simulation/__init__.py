"""Simulated recordings with known ground truth: see README.md."""

from neurodyn.simulation.lorenz import LorenzSettings, lorenz_states, simulate_lorenz

__all__ = ["LorenzSettings", "lorenz_states", "simulate_lorenz"]
