"""Gradient-boosted regression trees on the last bins: a strong nonlinear method that knows nothing of time series.

Trees split on thresholds, so that scales and square roots change nothing, and they send missing samples to the side of
a split that suits: no sample is filled in. One ensemble per dimension of the target grows until the error on blocks of
time kept out stops falling; the blocks are those of the other baselines, never bins at random, whose neighbours would
be in the training part.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float
from threadpoolctl import threadpool_limits

from neurodyn.baselines.base import (
    BaselineDecoder,
    Decoded,
    FittedOn,
    check_target,
    decoded_by,
    facts_of,
    kept_out,
    rows_in_memory,
)
from neurodyn.binning.batch import MultimodalBatch, check_batch
from neurodyn.binning.scaling import Scaling
from neurodyn.display import listed
from neurodyn.errors import InputError, import_extra
from neurodyn.given import argument_named, count, integer, number
from neurodyn.history.filters import SampleLags
from neurodyn.history.streams import Features
from neurodyn.threads import side_by_side

Trees = TypeVar("Trees", bound="BoostedTrees")


@runtime_checkable
class Ensemble(Protocol):
    """Trees of one dimension of the target."""

    @property
    def n_iter_(self) -> int:
        """How many were kept."""
        ...

    def predict(self, rows: Float[np.ndarray, "bins features"]) -> Float[np.ndarray, " bins"]:
        """Sum of the trees in every bin."""
        ...


Grow = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], Ensemble]
"""From inputs and target to trees, which end growing by the inputs and the target that come third and fourth."""


@dataclass(frozen=True, repr=False)
class _Fitted(FittedOn):
    scaling: Scaling
    used: Bool[np.ndarray, " features"]
    trees: tuple[Ensemble, ...]
    deviation: Float[np.ndarray, " dims"]


@dataclass(frozen=True, repr=False)
class BoostedTrees(BaselineDecoder[_Fitted]):
    """Gradient-boosted regression trees on the samples of the last bins, one ensemble per dimension of the target.

    Needs scikit-learn, the extra ``trees``. All inputs of all training bins are in memory at once, in double precision.
    The deviation is the error on the blocks of the training data that were kept out, the same for all bins.

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
        Of the bins that thresholds are found from where there are very many.
    fitted_
        What a fit found; None before.

    References
    ----------
    Friedman (2001), Greedy function approximation: a gradient boosting machine, Annals of Statistics 29(5). Ke et al.
    (2017), LightGBM: a highly efficient gradient boosting decision tree, NeurIPS.

    Examples
    --------
    >>> import neurodyn as nd
    >>> batch = nd.simulation.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=12, seconds=0.5), seed=0)
    >>> fitted = nd.baselines.BoostedTrees(lags=2, trees=10).fit(batch)
    >>> fitted.predict(batch)["target"].dims
    ('trial', 'time', 'dim')
    """

    smooths: ClassVar[bool] = False
    lags: int = 10
    trees: int = field(default=200, kw_only=True)
    leaves: int = field(default=31, kw_only=True)
    rate: float = field(default=0.15, kw_only=True)
    patience: int = field(default=20, kw_only=True)
    seed: int = field(default=0, kw_only=True)
    fitted_: _Fitted | None = field(default=None, repr=False, kw_only=True)

    def fit(self: Trees, batch: MultimodalBatch) -> Trees:
        """Grow the trees on the trials of a batch; returns a fitted copy.

        Parameters
        ----------
        batch
            Training data; bins that are context or have no target are not fitted, but seen at later lags.

        Returns
        -------
        A fitted copy; this estimator stays as it is.

        Raises
        ------
        InputError
            If there is no target, a dimension is constant, there are too few bins, or a setting cannot be used.
        MissingExtraError
            If the package that grows them is not installed.
        """
        check_target(check_batch(batch))
        grow = self._grower()
        scaling = Scaling.fit(batch)
        inner, held = (rows_in_memory(self._features(part, scaling), part) for part in kept_out(batch))
        _check_rows(inner.target, held.target)
        # Inputs without any value in the bins that trees are grown on are left out.
        used = np.asarray(np.isfinite(inner.features).any(axis=0))
        first, second = inner.features[:, used], held.features[:, used]

        def grown(dim: int) -> Ensemble:
            with _one_thread():
                return grow(first, inner.target[:, dim], second, held.target[:, dim])

        trees = tuple(side_by_side(grown, range(batch.n_dims)))
        errors = _output(trees, second) - held.target
        deviation = np.sqrt(np.mean(errors**2, axis=0))
        fitted = _Fitted(**facts_of(batch), scaling=scaling, used=used, trees=trees, deviation=deviation)
        return replace(self, fitted_=fitted)

    def decode_batch(self, fitted: _Fitted, batch: MultimodalBatch, *, smoothed: bool) -> Decoded:
        """Target and deviation in the bins of a batch that is in the order of the fit."""

        def output(features: Float[np.ndarray, "trials time features"]) -> Float[np.ndarray, "trials time dims"]:
            found = _output(fitted.trees, features.reshape(-1, features.shape[2])[:, fitted.used])
            return found.reshape(*features.shape[:2], -1)

        features = self._features(batch, fitted.scaling)
        return decoded_by(output, len(fitted.trees), features, batch), fitted.deviation

    @property
    def trees_(self) -> tuple[int, ...]:
        """Number of trees of each dimension, as many as the blocks kept out asked for."""
        return tuple(int(one.n_iter_) for one in self._require().trees)

    def _facts(self) -> Iterable[tuple[str, str]]:
        if (fitted := self.fitted_) is not None:
            yield from fitted.facts_of_data()
            yield "trees", f"{listed(str(number) for number in self.trees_)}, of at most {self.trees} per dimension"
        else:
            yield "trees", f"at most {self.trees} per dimension"
        yield "lags", f"{self.lags} bins"
        yield "growth", f"{self.leaves} leaves, rate {self.rate:g}, ends after {self.patience} trees that bring nothing"

    def _grower(self) -> Grow:
        """What grows the trees of one dimension; the settings are checked first."""
        settings = self._settings()
        make = import_extra("sklearn.ensemble", "trees").HistGradientBoostingRegressor
        return lambda rows, target, held, wanted: make(**settings).fit(rows, target, X_val=held, y_val=wanted)

    def _settings(self) -> dict[str, Any]:
        """Settings in scikit-learn's names."""
        leaves = argument_named("leaves", count, self.leaves)
        if leaves < 2:
            raise InputError(f"leaves: a tree needs 2 or more, got {leaves}")
        return {
            "max_iter": argument_named("trees", count, self.trees),
            "max_leaf_nodes": leaves,
            "learning_rate": _rate(argument_named("rate", lambda given: number(given, "expected a number"), self.rate)),
            "early_stopping": True,
            "n_iter_no_change": argument_named("patience", count, self.patience),
            "random_state": argument_named("seed", integer, self.seed),
        }

    def _features(self, batch: MultimodalBatch, scaling: Scaling) -> Features:
        return Features(batch, SampleLags(argument_named("lags", count, self.lags), np.nan), scaling, future=False)


def _rate(given: float) -> float:
    if not 0 < given < np.inf:
        raise InputError(f"rate: a step of the trees is more than 0, got {given:g}")
    return given


def _output(trees: tuple[Ensemble, ...], rows: Float[np.ndarray, "bins features"]) -> Float[np.ndarray, "bins dims"]:
    with _one_thread():
        return np.stack([one.predict(rows) for one in trees], axis=1)


def _one_thread() -> Any:
    """Context in which this thread grows and asks trees alone.

    A tree is made in thousands of steps, at each of which the threads of OpenMP wait for the slowest: on a machine that
    does other work two of them took five times as long as one. Dimensions grow side by side instead.
    """
    return threadpool_limits(limits=1, user_api="openmp")


def _check_rows(inner: np.ndarray, held: np.ndarray) -> None:
    """Refuse training bins that nothing can be learned from or judged by."""
    if len(inner) < 2 or not len(held):
        raise InputError(
            f"there are {len(inner)} bins with a target to grow trees on and {len(held)} kept out to judge them by: "
            "give more data"
        )
    constant = np.flatnonzero(np.ptp(inner, axis=0) == 0)
    if len(constant):
        raise InputError(f"target dimension {constant[0]} is constant: there is nothing to decode")
