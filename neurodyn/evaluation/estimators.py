"""The conventions of scikit-learn where they fit, without needing it: parameters by name, cloning, scores over trials.

Every decoder and baseline has ``get_params`` and ``set_params`` (``neurodyn.parameters``), so that
``sklearn.base.clone`` copies it unfitted.
They are frozen: ``set_params`` returns another one, and ``fit`` a fitted copy. scikit-learn's own tools rely on ``fit``
changing the estimator; :class:`OverTrials` wraps a decoder for them, and :func:`trials_of` makes its ``X``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from neurodyn.binning.batch import MultimodalBatch
from neurodyn.binning.folds import Fold, trial_folds
from neurodyn.errors import InputError, unknown_name
from neurodyn.evaluation.metrics import Score


@runtime_checkable
class Scored(Protocol):
    """A decoder that says how well it decodes; all decoders and baselines do."""

    def fit(self, batch: MultimodalBatch) -> "Scored":
        """Return a fitted copy."""
        ...

    def score(self, batch: MultimodalBatch) -> Score:
        """Return the scores over the scored bins of a batch."""
        ...


def cross_val_score(
    decoder: Scored, batch: MultimodalBatch, folds: int | Sequence[Fold] = 5, *, metric: str = "r2", seed: int = 0
) -> Float[np.ndarray, " folds"]:
    """Fit and score a decoder on every fold; the quick look beside :func:`neurodyn.evaluation.cross_validate`.

    Parameters
    ----------
    decoder
        Any decoder or baseline; it stays as it is.
    batch
        Trials.
    folds
        Number of folds, each of which holds every trial out once; or folds, from ``time_folds`` for example.
    metric
        ``"r2"`` or ``"correlation"``, averaged over the target dimensions.
    seed
        Of the order in which trials go into folds.

    Returns
    -------
    One number per fold.

    Examples
    --------
    >>> import neurodyn as nd
    >>> batch = nd.simulation.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=9, seconds=1.0), seed=0)
    >>> nd.evaluation.cross_val_score(nd.baselines.CausalRidge(smoothed=False), batch, 3).shape
    (3,)
    """
    parts = trial_folds(batch, folds, seed=seed) if isinstance(folds, int) else folds
    return np.array([decoder.fit(fold.train).score(fold.test).mean(metric) for fold in parts])


@dataclass(frozen=True, eq=False)
class Trial:
    """One trial of a batch: an entry of the ``X`` of scikit-learn's tools.

    Examples
    --------
    >>> import neurodyn as nd
    >>> batch = nd.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=4), seed=0)
    >>> [trial.index for trial in nd.evaluation.trials_of(batch)]
    [0, 1, 2, 3]
    """

    batch: MultimodalBatch
    index: int


def trials_of(batch: MultimodalBatch) -> list[Trial]:
    """The trials of a batch as a list, which scikit-learn can split.

    Examples
    --------
    >>> import neurodyn as nd
    >>> batch = nd.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=4), seed=0)
    >>> len(nd.evaluation.trials_of(batch))
    4
    """
    return [Trial(batch, index) for index in range(batch.n_trials)]


class OverTrials:
    """A decoder for scikit-learn's tools (``cross_val_score``, ``GridSearchCV``): ``fit`` changes this object.

    Parameters
    ----------
    decoder
        Any decoder or baseline; its settings are set as ``decoder__latent`` and so on.
    metric
        What :meth:`score` returns the mean of: ``"r2"`` or ``"correlation"``.

    Examples
    --------
    >>> import neurodyn as nd
    >>> batch = nd.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=10), seed=0)
    >>> trials = nd.evaluation.trials_of(batch)  # GridSearchCV of scikit-learn can split them
    >>> decoder = nd.evaluation.OverTrials(nd.CausalRidge()).set_params(decoder__blocks=4)
    >>> decoder.fit(trials[:8]).score(trials[8:]) > 0
    True
    """

    def __init__(self, decoder: Any, metric: str = "r2") -> None:
        self.decoder, self.metric = decoder, metric
        self.decoder_: Any = None

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Settings by name, those of the decoder with ``decoder__`` in front."""
        nested = self.decoder.get_params() if deep else {}
        return {"decoder": self.decoder, "metric": self.metric, **{f"decoder__{n}": v for n, v in nested.items()}}

    def set_params(self, **parameters: Any) -> "OverTrials":
        """Change settings, here and of the decoder.

        Raises
        ------
        InputError
            If there is no such setting; nothing is changed then.
        """
        decoder, metric = parameters.pop("decoder", self.decoder), parameters.pop("metric", self.metric)
        unknown = [name for name in parameters if not name.startswith("decoder__")]
        if unknown:
            raise unknown_name("setting", unknown[0], self.get_params())
        nested = {name.removeprefix("decoder__"): value for name, value in parameters.items()}
        self.decoder, self.metric = decoder.set_params(**nested), metric
        return self

    def fit(self, X: Sequence[Trial], y: None = None) -> "OverTrials":
        """Fit the decoder to trials of one batch; the target is the batch's own."""
        self.decoder_ = self.decoder.fit(_joined(X))
        return self

    def predict(self, X: Sequence[Trial]) -> Any:
        """What the fitted decoder says of trials, as a labelled dataset."""
        return self._fitted().predict(_joined(X))

    def score(self, X: Sequence[Trial], y: None = None) -> float:
        """Mean of the metric over the target dimensions."""
        return self._fitted().score(_joined(X)).mean(self.metric)

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn asks of an estimator; it is the only one to call this."""
        from sklearn.utils import InputTags, RegressorTags, Tags, TargetTags

        return Tags(
            estimator_type="regressor", target_tags=TargetTags(required=False), transformer_tags=None,
            classifier_tags=None, regressor_tags=RegressorTags(), input_tags=InputTags(),
        )  # fmt: skip

    def __sklearn_is_fitted__(self) -> bool:
        """What ``sklearn.utils.validation.check_is_fitted`` asks; without it the name ``decoder_`` alone would do."""
        return self.decoder_ is not None

    def _fitted(self) -> Any:
        if self.decoder_ is None:
            raise InputError("this decoder is not fitted: call fit(trials) first")
        return self.decoder_


def _joined(trials: Sequence[Trial]) -> MultimodalBatch:
    """The batch of some of its trials."""
    if not len(trials) or any(trial.batch is not trials[0].batch for trial in trials):
        raise InputError("expected trials of one batch, as trials_of(batch) lists them")
    return trials[0].batch.with_trials([trial.index for trial in trials])
