"""Causal ridge regression: the yardstick every model is shown beside, on the same features and folds."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float

from neurodyn.baselines.features import ExponentialFilters
from neurodyn.binning.batch import Modality, MultimodalBatch, Stacked
from neurodyn.binning.scaling import Scaling
from neurodyn.errors import InputError
from neurodyn.evaluation.labelled import labelled_target
from neurodyn.evaluation.metrics import Score, score
from neurodyn.targets.linear import DEFAULT_PENALTIES, LinearTarget, fit_ridge, time_blocks

if TYPE_CHECKING:
    import xarray as xr


@runtime_checkable
class History(Protocol):
    """What turns the observations up to a bin into features of that bin."""

    def history(
        self,
        values: Float[np.ndarray, "trials time channels"],
        observed: Bool[np.ndarray, "trials time channels"],
        width: float,
    ) -> Float[np.ndarray, "trials time features"]:
        """Causal features of every bin."""
        ...


@dataclass(frozen=True)
class _Fitted:
    modalities: tuple[Modality, ...]
    dims: tuple[str, ...]
    scaling: Scaling
    filtered: LinearTarget
    smoothed: LinearTarget | None


class CausalRidge:
    """Ridge regression from the history of the observations to the target.

    The filtered prediction of a bin uses samples up to the end of that bin.  The smoothed one also uses the
    same features on reversed time, up to the end of the trial.  Features start anew in every trial, at the
    first of its context bins; context bins are neither fitted nor scored.

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
    """

    def __init__(
        self,
        features: History | None = None,
        *,
        penalties: tuple[float, ...] = DEFAULT_PENALTIES,
        blocks: int = 10,
        root_counts: bool = True,
        smoothed: bool = True,
    ) -> None:
        self.features: History = ExponentialFilters() if features is None else features
        self.penalties = penalties
        self.blocks = blocks
        self.root_counts = root_counts
        self.smoothed = smoothed
        self._fitted: _Fitted | None = None

    def fit(self, batch: MultimodalBatch) -> "CausalRidge":
        """Fit the filtered and the smoothed read-out on the trials of a batch.

        Parameters
        ----------
        batch
            Training data; bins that are context or have no target are left out of the regression, not of the
            filters.

        Returns
        -------
        This estimator, fitted.

        Raises
        ------
        InputError
            If there is no target, a dimension is constant, or there are too few bins.
        """
        if batch.n_dims == 0:
            raise InputError("the batch has no target to fit: name one when binning")
        batch = self._prepared(batch)
        scaling = Scaling.fit(batch)
        stacked = batch.stacked()
        past = self._past(batch, stacked, scaling)
        filtered = self._fit(past, stacked)
        smoothed = None
        if self.smoothed:
            both = np.concatenate([past, self._future(batch, stacked, scaling)], axis=2)
            smoothed = self._fit(both, stacked)
        self._fitted = _Fitted(batch.modalities, batch.target_names, scaling, filtered, smoothed)
        return self

    def predict(self, batch: MultimodalBatch, *, smoothed: bool = False) -> "xr.Dataset":
        """Target predicted in every bin of every trial, context bins included.

        Parameters
        ----------
        batch
            Data with the modalities and channels the estimator was fitted on, matched by label.
        smoothed
            Use the whole trial instead of the past alone.

        Returns
        -------
        Dataset with ``target`` and ``deviation`` (trial x time x dim) in the unit of the target, NaN beyond a
        trial's end.  The deviation is the error on held-out blocks of the training data, the same for all bins.

        Raises
        ------
        InputError
            If not fitted, a modality or channel is not there, or the smoothed read-out was left out.
        """
        fitted = self._require()
        batch = self._prepared(batch.aligned_to(fitted.modalities))
        stacked = batch.stacked()
        features = self._past(batch, stacked, fitted.scaling)
        target = fitted.filtered
        if smoothed:
            if fitted.smoothed is None:
                raise InputError("the smoothed read-out was not fitted: use CausalRidge(smoothed=True)")
            future = self._future(batch, stacked, fitted.scaling)
            features, target = np.concatenate([features, future], axis=2), fitted.smoothed
        deviation = np.sqrt(np.diag(target.residual_covariance))
        decoded = target.predict(features)
        return labelled_target(batch, stacked, decoded, np.broadcast_to(deviation, decoded.shape), fitted.dims)

    def score(self, batch: MultimodalBatch, *, smoothed: bool = False) -> Score:
        """Correlation and R2 over the scored bins of a batch, per target dimension.

        Parameters
        ----------
        batch
            Held-out data.
        smoothed
            Score the smoothed prediction instead of the filtered one.

        Returns
        -------
        Score over all trials' scored bins laid end to end.

        Raises
        ------
        InputError
            As ``predict``, or if a metric is not defined on these data.
        """
        batch = batch.aligned_to(self._require().modalities, self._require().dims)
        predicted = self.predict(batch, smoothed=smoothed)["target"].to_numpy()
        stacked = batch.stacked()
        scored = stacked.scored()
        return score(stacked.target[scored], predicted[scored], batch.target_names)

    @property
    def filtered_(self) -> LinearTarget:
        """The fitted causal read-out, with its penalties and residual covariance."""
        return self._require().filtered

    @property
    def smoothed_(self) -> LinearTarget | None:
        """The fitted read-out from past and future, None if it was left out."""
        return self._require().smoothed

    def _fit(self, features: np.ndarray, stacked: Stacked) -> LinearTarget:
        scored = stacked.scored()
        lengths = scored.sum(1)
        groups = time_blocks(lengths[lengths > 0], self.blocks)
        return fit_ridge(features[scored], stacked.target[scored], groups, penalties=self.penalties)

    def _prepared(self, batch: MultimodalBatch) -> MultimodalBatch:
        counts = {m.name for m in batch.modalities if m.likelihood == "poisson" and self.root_counts}
        observations = {n: np.sqrt(a) if n in counts else a for n, a in batch.observations.items()}
        return replace(batch, observations=observations)

    def _past(self, batch: MultimodalBatch, stacked: Stacked, scaling: Scaling) -> np.ndarray:
        return self._history(batch, stacked, scaling, slice(None))

    def _future(self, batch: MultimodalBatch, stacked: Stacked, scaling: Scaling) -> np.ndarray:
        # Padding is not observed, so a reversed trial that starts with it starts like any other.
        return self._history(batch, stacked, scaling, slice(None, None, -1))

    def _history(
        self, batch: MultimodalBatch, stacked: Stacked, scaling: Scaling, order: slice
    ) -> Float[np.ndarray, "trials time features"]:
        features = []
        for name in _names(batch):
            values = (stacked.observations[name] - scaling.mean[name]) / scaling.scale[name]
            seen = stacked.observed[name]
            values = np.where(seen, values, np.float32(0))
            history = self.features.history(values[:, order], seen[:, order], batch.width)
            features.append(history[:, order])
        return np.concatenate(features, axis=2)

    def _require(self) -> _Fitted:
        if self._fitted is None:
            raise InputError("this CausalRidge is not fitted: call fit(batch) first")
        return self._fitted


def _names(batch: MultimodalBatch) -> tuple[str, ...]:
    return tuple(modality.name for modality in batch.modalities)
