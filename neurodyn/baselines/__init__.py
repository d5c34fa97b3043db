"""What a user would pick instead of the model: see README.md."""

from neurodyn.baselines.kalman import VelocityKalman
from neurodyn.baselines.recurrent import CausalGru
from neurodyn.baselines.ridge import CausalRidge
from neurodyn.baselines.table import BASELINES, Baseline
from neurodyn.history.filters import ExponentialFilters, Lags

__all__ = ["BASELINES", "Baseline", "CausalGru", "CausalRidge", "ExponentialFilters", "Lags", "VelocityKalman"]
