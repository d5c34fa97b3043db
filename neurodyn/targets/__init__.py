"""From latent or features to behaviour: see README.md."""

from neurodyn.targets.linear import (
    DEFAULT_PENALTIES,
    LinearTarget,
    average_targets,
    fit_ridge,
    fit_ridge_stream,
    time_blocks,
)
from neurodyn.targets.losses import conditions, loss_memory, lost_bins
from neurodyn.targets.rows import Rows
from neurodyn.targets.stacking import VarianceModel, fit_stack, fit_variance, independent_bins

__all__ = [
    "DEFAULT_PENALTIES",
    "LinearTarget",
    "Rows",
    "VarianceModel",
    "average_targets",
    "conditions",
    "fit_ridge",
    "fit_ridge_stream",
    "fit_stack",
    "fit_variance",
    "independent_bins",
    "loss_memory",
    "lost_bins",
    "time_blocks",
]
