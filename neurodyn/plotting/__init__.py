"""Figures of a talk: functions that take data and axes and return the axes.  See README.md."""

from neurodyn.plotting.activity import plot_counts, plot_field
from neurodyn.plotting.arena import plot_arena
from neurodyn.plotting.benchmarks import plot_growth
from neurodyn.plotting.calibration import plot_reliability
from neurodyn.plotting.decoding import plot_decoded, plot_estimate
from neurodyn.plotting.emulation import (
    plot_dwell_times,
    plot_frequencies,
    plot_limits,
    plot_sequences,
    plot_symbol_autocorrelation,
    plot_symbol_transitions,
    plot_two_distributions,
)
from neurodyn.plotting.fixed_points import plot_branch, plot_eigenvalues, plot_fixed_points, plot_points
from neurodyn.plotting.latency import plot_latency
from neurodyn.plotting.latents import plot_trajectory
from neurodyn.plotting.learning import plot_learning
from neurodyn.plotting.mechanism import (
    plot_ablation,
    plot_epochs,
    plot_intervals,
    plot_interventions,
    plot_kick_neurons,
    plot_residency,
    plot_resonance,
    plot_rotation,
    plot_sensitivity,
)
from neurodyn.plotting.orbits import plot_collapse, plot_phase, plot_subspaces
from neurodyn.plotting.portrait import (
    plot_occupancy,
    plot_orbit,
    plot_received,
    plot_scaled_eigenvalues,
    plot_sorted_weights,
)
from neurodyn.plotting.scores import plot_scores
from neurodyn.plotting.states import plot_state_choice
from neurodyn.plotting.style import TRUTH, method_colour

__all__ = [
    "TRUTH",
    "method_colour",
    "plot_ablation",
    "plot_arena",
    "plot_branch",
    "plot_collapse",
    "plot_counts",
    "plot_decoded",
    "plot_dwell_times",
    "plot_eigenvalues",
    "plot_epochs",
    "plot_estimate",
    "plot_field",
    "plot_fixed_points",
    "plot_frequencies",
    "plot_growth",
    "plot_intervals",
    "plot_interventions",
    "plot_kick_neurons",
    "plot_latency",
    "plot_learning",
    "plot_limits",
    "plot_occupancy",
    "plot_orbit",
    "plot_phase",
    "plot_points",
    "plot_received",
    "plot_reliability",
    "plot_residency",
    "plot_resonance",
    "plot_rotation",
    "plot_scaled_eigenvalues",
    "plot_scores",
    "plot_sensitivity",
    "plot_sequences",
    "plot_sorted_weights",
    "plot_state_choice",
    "plot_subspaces",
    "plot_symbol_autocorrelation",
    "plot_symbol_transitions",
    "plot_trajectory",
    "plot_two_distributions",
]
