"""Every baseline by its name: ``neurodyn decode --methods`` fits those that are named, and reports call them so.

To add one, see ADDING_A_BASELINE.md.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from neurodyn.baselines.cascade import WienerCascade
from neurodyn.baselines.cebra_embedding import CebraEmbedding
from neurodyn.baselines.kalman import VelocityKalman
from neurodyn.baselines.piecewise import PiecewiseLinearRnn
from neurodyn.baselines.psid import PreferentialSubspace
from neurodyn.baselines.recurrent import CausalGru
from neurodyn.baselines.ridge import CausalRidge
from neurodyn.baselines.state_space import LinearDynamicalSystem
from neurodyn.baselines.transformer import CausalTransformer
from neurodyn.baselines.trees import BoostedTrees
from neurodyn.baselines.vae import MultimodalVae
from neurodyn.baselines.wiener import WienerFilter
from neurodyn.baselines.xgboost_trees import XgboostTrees


@dataclass(frozen=True)
class Baseline:
    """One row.

    Parameters
    ----------
    description
        What a sentence calls it.
    make
        From the settings of the model's recurrent network (None if it has none), which a baseline may share, to an
        estimator that is not fitted.
    alone
        Whether it costs so little that it is also fitted to each modality alone.
    needs
        Name of the extra by the optional package that it needs.

    Examples
    --------
    >>> from neurodyn.baselines import BASELINES
    >>> BASELINES["ridge"].description, BASELINES["ridge"].alone, type(BASELINES["ridge"].make(None)).__name__
    ('causal ridge regression', True, 'CausalRidge')
    """

    description: str
    make: Callable[[Any], Any]
    alone: bool = False
    needs: Mapping[str, str] = field(default_factory=dict)


BASELINES: dict[str, Baseline] = {
    "gru": Baseline("a causal GRU", CausalGru.beside),
    "transformer": Baseline("a causal transformer", CausalTransformer.beside),
    "kalman": Baseline("a velocity Kalman filter", lambda _: VelocityKalman()),
    "lds": Baseline("a linear dynamical system fitted by EM", lambda _: LinearDynamicalSystem()),
    "mvae": Baseline("a multimodal variational autoencoder", lambda _: MultimodalVae()),
    "plrnn": Baseline("a piecewise-linear recurrent network", lambda _: PiecewiseLinearRnn()),
    "ridge": Baseline("causal ridge regression", lambda _: CausalRidge(), alone=True),
    "wiener": Baseline("a Wiener filter", lambda _: WienerFilter()),
    "cascade": Baseline("a Wiener cascade", lambda _: WienerCascade()),
    "trees": Baseline("boosted trees", lambda _: BoostedTrees(), needs={"sklearn": "trees"}),
    "xgboost": Baseline("boosted trees of XGBoost", lambda _: XgboostTrees(), needs={"xgboost": "bench"}),
    "psid": Baseline("PSID's linear model", lambda _: PreferentialSubspace(), needs={"PSID": "bench"}),
    "cebra": Baseline("ridge regression on CEBRA's embedding", lambda _: CebraEmbedding(), needs={"cebra": "bench"}),
}
"""The baselines, in the order of tables."""
