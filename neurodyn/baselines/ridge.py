"""Causal ridge regression: the baseline every model is shown beside, on the same features and folds."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from neurodyn.baselines.base import (
    BaselineDecoder,
    Decoded,
    FittedOn,
    check_target,
    decoded_by,
    facts_of,
    with_root_counts,
)
from neurodyn.binning.batch import MultimodalBatch, check_batch
from neurodyn.binning.scaling import Scaling
from neurodyn.errors import InputError
from neurodyn.history.filters import ExponentialFilters, History
from neurodyn.history.streams import Features, scored_blocks
from neurodyn.targets.linear import DEFAULT_PENALTIES, LinearTarget, fit_ridge_stream


@dataclass(frozen=True, repr=False)
class _Fitted(FittedOn):
    scaling: Scaling
    filtered: LinearTarget
    smoothed: LinearTarget | None


@dataclass(frozen=True, repr=False)
class CausalRidge(BaselineDecoder[_Fitted]):
    """Ridge regression from the history of the observations to the target.

    The filtered prediction of a bin uses samples up to the end of that bin.  The smoothed one also uses the
    same features on reversed time, up to the end of the trial.  Features start anew in every trial, at the
    first of its context bins; context bins are neither fitted nor scored.

    Features are made a stretch of time at a time, so that memory grows with the observations and not with the features,
    and more features than `neurodyn.targets.linear.EXACT_FEATURES` are fitted in a growing subspace, in a time that is
    linear in units and in bins.

    The deviation is the error on held-out blocks of the training data, the same for all bins.

    Parameters
    ----------
    features
        ``ExponentialFilters(seconds)`` for continuous recordings, ``Lags(bins)`` for short trials.
    penalties
        Penalties to choose from, per target dimension, by cross-validation inside the training data.
    blocks
        Number of contiguous blocks of time in that cross-validation.
    root_counts
        Take the square root of Poisson counts first, which evens out their variance (Anscombe 1948).
    smoothed
        False leaves out the smoothed read-out, which has twice the features.
    fitted_
        What a fit found; None before.

    Examples
    --------
    >>> import neurodyn as nd
    >>> batch = nd.simulation.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=8, seconds=1.0), seed=0)
    >>> ridge = nd.baselines.CausalRidge()
    >>> fitted = ridge.fit(batch)
    >>> ridge.fitted_ is None, fitted.predict(batch)["target"].dims
    (True, ('trial', 'time', 'dim'))
    """

    features: History = field(default_factory=ExponentialFilters)
    penalties: tuple[float, ...] = field(default=DEFAULT_PENALTIES, kw_only=True)
    blocks: int = field(default=10, kw_only=True)
    root_counts: bool = field(default=True, kw_only=True)
    smoothed: bool = field(default=True, kw_only=True)
    fitted_: _Fitted | None = field(default=None, repr=False, kw_only=True)

    def __post_init__(self) -> None:
        if isinstance(self.features, type) or not hasattr(self.features, "history"):
            raise InputError(
                f"features make the history of a bin, such as ExponentialFilters() or Lags(20), got {self.features!r}"
            )

    def fit(self, batch: MultimodalBatch) -> "CausalRidge":
        """Fit the filtered and the smoothed read-out on the trials of a batch; returns a fitted copy.

        Parameters
        ----------
        batch
            Training data; bins that are context or have no target are left out of the regression, not of the
            filters.

        Returns
        -------
        A fitted copy; this estimator stays as it is.

        Raises
        ------
        InputError
            If there is no target, a dimension is constant, or there are too few bins.
        """
        check_target(check_batch(batch))
        prepared = self._prepared(batch)
        scaling = Scaling.fit(prepared)
        filtered = self._fit(prepared, scaling, future=False)
        smoothed = self._fit(prepared, scaling, future=True) if self.smoothed else None
        return replace(self, fitted_=_Fitted(**facts_of(batch), scaling=scaling, filtered=filtered, smoothed=smoothed))

    def decode_batch(self, fitted: _Fitted, batch: MultimodalBatch, *, smoothed: bool) -> Decoded:
        """Target and deviation in the bins of a batch that is in the order of the fit."""
        target = fitted.smoothed if smoothed else fitted.filtered
        assert target is not None  # `smooths` says whether it may be asked for
        features = Features(self._prepared(batch), self.features, fitted.scaling, future=smoothed)
        decoded = decoded_by(target.predict, len(fitted.dims), features, batch)
        return decoded, np.sqrt(np.diag(target.residual_covariance))

    without_smoothing: ClassVar[str] = "it was made with CausalRidge(smoothed=False)"

    @property
    def smooths(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether it has a smoothed read-out beside the filtered one."""
        return self.smoothed

    @property
    def filtered_(self) -> LinearTarget:
        """The fitted causal read-out, with its penalties and residual covariance."""
        return self._require().filtered

    @property
    def smoothed_(self) -> LinearTarget | None:
        """The fitted read-out from past and future, None if it was left out."""
        return self._require().smoothed

    def _facts(self) -> Iterable[tuple[str, str]]:
        if (fitted := self.fitted_) is not None:
            yield from fitted.facts_of_data()
            yield "weights", f"{fitted.filtered.weights.shape[0]:,} features per dimension"
        yield "features", str(self.features)
        yield "penalties", f"{len(self.penalties)}, chosen over {self.blocks} blocks of the training data"
        yield "smoothed", "yes" if self.smoothed else "no"

    def _fit(self, batch: MultimodalBatch, scaling: Scaling, *, future: bool) -> LinearTarget:
        features = Features(batch, self.features, scaling, future=future)
        return fit_ridge_stream(features.rows(scored_blocks(batch, self.blocks)), penalties=self.penalties)

    def _prepared(self, batch: MultimodalBatch) -> MultimodalBatch:
        return with_root_counts(batch) if self.root_counts else batch
