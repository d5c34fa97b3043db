"""What a user would pick instead of the model: see README.md."""

from neurodyn.baselines.cascade import WienerCascade
from neurodyn.baselines.cebra_embedding import CebraEmbedding
from neurodyn.baselines.kalman import VelocityKalman
from neurodyn.baselines.piecewise import PiecewiseLinearRnn
from neurodyn.baselines.psid import PreferentialSubspace
from neurodyn.baselines.recurrent import CausalGru
from neurodyn.baselines.ridge import CausalRidge
from neurodyn.baselines.state_space import LinearDynamicalSystem
from neurodyn.baselines.table import BASELINES, Baseline
from neurodyn.baselines.transformer import CausalTransformer
from neurodyn.baselines.trees import BoostedTrees
from neurodyn.baselines.vae import MultimodalVae
from neurodyn.baselines.wiener import WienerFilter
from neurodyn.baselines.xgboost_trees import XgboostTrees
from neurodyn.history.filters import ExponentialFilters, Lags

__all__ = [
    "BASELINES",
    "Baseline",
    "BoostedTrees",
    "CausalGru",
    "CausalRidge",
    "CausalTransformer",
    "CebraEmbedding",
    "ExponentialFilters",
    "Lags",
    "LinearDynamicalSystem",
    "MultimodalVae",
    "PiecewiseLinearRnn",
    "PreferentialSubspace",
    "VelocityKalman",
    "WienerCascade",
    "WienerFilter",
    "XgboostTrees",
]
