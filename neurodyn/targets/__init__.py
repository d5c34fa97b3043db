"""From latent or features to behaviour: see README.md."""

from neurodyn.targets.linear import (
    DEFAULT_PENALTIES,
    LinearTarget,
    average_targets,
    fit_ridge,
    fit_ridge_stream,
    time_blocks,
)
from neurodyn.targets.rows import Rows

__all__ = [
    "DEFAULT_PENALTIES",
    "LinearTarget",
    "Rows",
    "average_targets",
    "fit_ridge",
    "fit_ridge_stream",
    "time_blocks",
]
