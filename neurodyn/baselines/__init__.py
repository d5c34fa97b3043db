"""What a user would pick instead of the model: see README.md."""

from neurodyn.baselines.features import ExponentialFilters, Lags
from neurodyn.baselines.recurrent import CausalGru
from neurodyn.baselines.ridge import CausalRidge

__all__ = ["CausalGru", "CausalRidge", "ExponentialFilters", "Lags"]
