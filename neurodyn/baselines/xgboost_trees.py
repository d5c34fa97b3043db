"""Gradient-boosted trees as XGBoost grows them, on the inputs of `BoostedTrees`.

Inputs, blocks of time kept out, and the end of the growth are the same; another library grows the trees, with a penalty
on the weights of leaves. Whoever compares with XGBoost, as many papers do, compares with this one.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from neurodyn.baselines.trees import BoostedTrees, Grow
from neurodyn.errors import import_extra


class _Grown(NamedTuple):
    """Trees of one dimension, and how many of them were best on what was kept out."""

    booster: Any
    n_iter_: int

    def predict(self, rows: Float[np.ndarray, "bins features"]) -> Float[np.ndarray, " bins"]:
        """Sum of the trees that are kept."""
        return self.booster.inplace_predict(rows, iteration_range=(0, self.n_iter_))


@dataclass(frozen=True, repr=False)
class XgboostTrees(BoostedTrees):
    """Gradient-boosted regression trees of XGBoost on the samples of the last bins, one ensemble per dimension.

    Needs xgboost, the extra ``bench``. Trees grow leaf by leaf, without a bound on their depth; what is not set here is
    as XGBoost has it. Missing samples go to the side of a split that suits. The deviation is the error on the blocks of
    the training data that were kept out, the same for all bins.

    Parameters
    ----------
    lags
        Number of bins, the present one included.
    trees
        Most trees of a dimension.
    leaves
        Most leaves of a tree.
    rate
        Share of each tree that is added.
    patience
        Trees that may bring nothing on the blocks kept out before the growth ends.
    seed
        Has no effect as long as all rows and inputs are used for each tree.
    fitted_
        What a fit found; None before.

    References
    ----------
    Chen & Guestrin (2016), XGBoost: a scalable tree boosting system, KDD. Glaser et al. (2020), Machine learning for
    neural decoding, eNeuro 7(4).

    Examples
    --------
    >>> import neurodyn as nd
    >>> nd.baselines.XgboostTrees(lags=2, trees=10)
    XgboostTrees: not fitted
      trees   at most 10 per dimension
      lags    2 bins
      growth  31 leaves, rate 0.15, ends after 20 trees that bring nothing
    """

    def _grower(self) -> Grow:
        settings = self._settings()
        xgboost = import_extra("xgboost", "bench")
        parameters = {
            "tree_method": "hist", "grow_policy": "lossguide", "max_depth": 0,
            "max_leaves": settings["max_leaf_nodes"], "eta": settings["learning_rate"],
            "seed": settings["random_state"], "nthread": 1, "verbosity": 0,
        }  # fmt: skip

        def grow(rows: np.ndarray, target: np.ndarray, held: np.ndarray, wanted: np.ndarray) -> _Grown:
            data, judge = (xgboost.DMatrix(x, y, nthread=1) for x, y in ((rows, target), (held, wanted)))
            booster = xgboost.train(
                parameters, data, settings["max_iter"], evals=[(judge, "held")], verbose_eval=False,
                early_stopping_rounds=settings["n_iter_no_change"],
            )  # fmt: skip
            return _Grown(booster, booster.best_iteration + 1)

        return grow
