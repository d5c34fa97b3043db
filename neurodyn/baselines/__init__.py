"""What a user would pick instead of the model: see README.md."""

from neurodyn.baselines.recurrent import CausalGru
from neurodyn.baselines.ridge import CausalRidge
from neurodyn.history.filters import ExponentialFilters, Lags

__all__ = ["CausalGru", "CausalRidge", "ExponentialFilters", "Lags"]
