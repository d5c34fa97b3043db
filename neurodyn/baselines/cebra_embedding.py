"""CEBRA: an embedding of the last bins that is alike where the target is alike, and ridge regression on it.

The embedding is learned by contrast: bins between which the target changes as it does over some bins are drawn together
against bins at random (CEBRA-behaviour). CEBRA's usual network for time series, ``offset10-model``, convolves ten bins,
five of which lie after the bin that is embedded: it knows the future. Here it is ``offset1-model``, which sees one
row of inputs, and the row holds the last bins (:mod:`neurodyn.baselines.lagged`): the embedding knows the past only.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

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
from neurodyn.baselines.lagged import LaggedInputs
from neurodyn.binning.batch import MultimodalBatch, check_batch
from neurodyn.errors import InputError, import_extra
from neurodyn.given import argument_named, count
from neurodyn.targets.linear import LinearTarget, fit_ridge

BLOCKS = 10
"""Contiguous blocks of time, each of which is left out once to choose the penalties of the regression by."""
OFFSETS = 10
"""Bins over which changes of the target are taken, as in CEBRA's own examples."""
COURSE = {"batch_size": 512, "learning_rate": 3e-4, "temperature": 1.0}
"""Of the training, as in CEBRA's own examples."""


@dataclass(frozen=True, repr=False)
class _Fitted(FittedOn):
    inputs: LaggedInputs
    model: Any
    linear: LinearTarget
    deviation: Float[np.ndarray, " dims"]


@dataclass(frozen=True, repr=False)
class CebraEmbedding(BaselineDecoder[_Fitted]):
    """Embedding of the last bins by CEBRA-behaviour, and ridge regression of the target on it.

    Needs cebra, the extra ``bench``. Inputs are those of the Wiener filter: square roots of counts, missing samples at
    their mean, masks of the modalities that are missing often. Embedding and regression are fitted to the same bins;
    the deviation is the error on the blocks of the training data that were kept out, the same for all bins. CEBRA draws
    its pairs by a generator that has no seed: two fits differ a little. It takes the bins of all trials as one series,
    so that a few of the changes it learns from are jumps from one trial to the next.

    Parameters
    ----------
    lags
        Number of bins, the present one included.
    size
        Dimensions of the embedding.
    units
        Of the hidden layers of the network.
    iterations
        Steps of the training.
    fitted_
        What a fit found; None before.

    Reference
    ---------
    Schneider, Lee & Mathis (2023), Learnable latent embeddings for joint behavioural and neural analysis, Nature 617.

    Examples
    --------
    >>> import neurodyn as nd
    >>> nd.baselines.CebraEmbedding(lags=5, iterations=100)
    CebraEmbedding: not fitted
      embedding  8 dimensions, 100 steps
      lags       5 bins
    """

    smooths: ClassVar[bool] = False
    lags: int = 10
    size: int = field(default=8, kw_only=True)
    units: int = field(default=32, kw_only=True)
    iterations: int = field(default=2000, kw_only=True)
    fitted_: _Fitted | None = field(default=None, repr=False, kw_only=True)

    def fit(self, batch: MultimodalBatch) -> "CebraEmbedding":
        """Learn the embedding of the bins of a batch, and regress the target on it; returns a fitted copy.

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
            If cebra is not installed.
        """
        check_target(check_batch(batch))
        settings = self._settings()
        make = import_extra("cebra", "bench").CEBRA
        inputs = LaggedInputs.fit(batch, argument_named("lags", count, self.lags), root_counts=True)
        (rows, target, groups), (held, wanted, _) = (
            rows_in_memory(inputs.features(part), part, BLOCKS) for part in kept_out(batch)
        )
        if len(rows) <= OFFSETS or not len(held):
            raise InputError(
                f"there are {len(rows)} bins with a target to learn from and {len(held)} kept out to judge by: "
                "give more data"
            )
        model = make(**settings, **COURSE)
        with _one_thread():
            model.fit(rows, ((target - inputs.scaling.target_mean) / inputs.scaling.target_scale).astype(np.float32))
        linear = fit_ridge(_embedded(model, rows), target, groups)
        deviation = np.sqrt(np.mean((linear.predict(_embedded(model, held)) - wanted) ** 2, axis=0))
        fitted = _Fitted(**facts_of(batch), inputs=inputs, model=model, linear=linear, deviation=deviation)
        return replace(self, fitted_=fitted)

    def decode_batch(self, fitted: _Fitted, batch: MultimodalBatch, *, smoothed: bool) -> Decoded:
        """Target and deviation in the bins of a batch that is in the order of the fit."""

        def output(features: Float[np.ndarray, "trials time features"]) -> Float[np.ndarray, "trials time dims"]:
            found = fitted.linear.predict(_embedded(fitted.model, features.reshape(-1, features.shape[2])))
            return found.reshape(*features.shape[:2], -1)

        return decoded_by(output, len(fitted.dims), fitted.inputs.features(batch), batch), fitted.deviation

    def _settings(self) -> dict[str, Any]:
        """Settings in the names of CEBRA."""
        return {
            "model_architecture": "offset1-model",
            "conditional": "time_delta",
            "time_offsets": OFFSETS,
            "distance": "cosine",
            "output_dimension": argument_named("size", count, self.size),
            "num_hidden_units": argument_named("units", count, self.units),
            "max_iterations": argument_named("iterations", count, self.iterations),
        }

    def _facts(self) -> Iterable[tuple[str, str]]:
        if (fitted := self.fitted_) is not None:
            yield from fitted.facts_of_data()
        yield "embedding", f"{self.size} dimensions, {self.iterations} steps"
        yield "lags", f"{self.lags} bins"


@contextmanager
def _one_thread() -> Iterator[None]:
    """Context in which PyTorch computes on one thread.

    A step is dozens of small products, at each of which threads wait for each other: beside other work on two cores,
    two of them took four times as long as one.
    """
    torch = import_extra("torch", "bench")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _embedded(model: Any, rows: Float[np.ndarray, "bins features"]) -> Float[np.ndarray, "bins size"]:
    return np.asarray(model.transform(rows), np.float64)
