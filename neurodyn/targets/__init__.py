"""From latent or features to behaviour: see README.md."""

from neurodyn.sampler import Sampler
from neurodyn.targets.bayesian import TargetPosterior, fit_bayesian_target
from neurodyn.targets.linear import (
    DEFAULT_PENALTIES,
    LinearTarget,
    cross_fit_ridge_stream,
    fit_ridge,
    fit_ridge_stream,
    time_blocks,
)
from neurodyn.targets.losses import conditions, loss_memory, lost_bins, lost_channels, memory_size
from neurodyn.targets.rows import Rows
from neurodyn.targets.stacking import fit_stack, independent_bins
from neurodyn.targets.variance import LinearVariance, LogLinearVariance, VarianceSources, fit_log_linear_variance

__all__ = [
    "DEFAULT_PENALTIES",
    "LinearTarget",
    "LinearVariance",
    "LogLinearVariance",
    "Rows",
    "Sampler",
    "TargetPosterior",
    "VarianceSources",
    "conditions",
    "cross_fit_ridge_stream",
    "fit_bayesian_target",
    "fit_log_linear_variance",
    "fit_ridge",
    "fit_ridge_stream",
    "fit_stack",
    "independent_bins",
    "loss_memory",
    "lost_bins",
    "lost_channels",
    "memory_size",
    "time_blocks",
]
