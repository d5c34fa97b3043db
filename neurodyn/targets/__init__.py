"""From latent or features to behaviour: see README.md."""

from neurodyn.targets.linear import DEFAULT_PENALTIES, LinearTarget, average_targets, fit_ridge, time_blocks

__all__ = ["DEFAULT_PENALTIES", "LinearTarget", "average_targets", "fit_ridge", "time_blocks"]
