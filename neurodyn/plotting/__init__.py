"""Figures of a talk: functions that take data and axes and return the axes.  See README.md."""

from neurodyn.plotting.activity import plot_counts, plot_field
from neurodyn.plotting.calibration import plot_reliability
from neurodyn.plotting.decoding import plot_decoded
from neurodyn.plotting.latency import plot_latency
from neurodyn.plotting.latents import plot_trajectory
from neurodyn.plotting.learning import plot_learning
from neurodyn.plotting.scores import plot_scores
from neurodyn.plotting.style import TRUTH, method_colour

__all__ = [
    "TRUTH",
    "method_colour",
    "plot_counts",
    "plot_decoded",
    "plot_field",
    "plot_latency",
    "plot_learning",
    "plot_reliability",
    "plot_scores",
    "plot_trajectory",
]
