"""What all yardsticks have in common: how they are checked, scored and shown, and what they keep out to decide by."""

from dataclasses import replace
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np

from neurodyn.binning.batch import Modality, MultimodalBatch, check_batch
from neurodyn.binning.folds import held_out_seconds, validation_split
from neurodyn.display import Shown
from neurodyn.errors import InputError
from neurodyn.evaluation.estimators import HasParameters
from neurodyn.evaluation.labelled import score_of
from neurodyn.evaluation.metrics import Score

if TYPE_CHECKING:
    import xarray as xr

VALIDATION = 0.15
"""Share of the training bins that a yardstick keeps out to decide by."""
SHORTEST = 10.0
"""Seconds of the shortest block of time that they come from."""


@runtime_checkable
class Fit(Protocol):
    """What a fit has found; each yardstick adds its own."""

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """Rows of the modality table, in order."""
        ...

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the target's dimensions."""
        ...

    @property
    def width(self) -> float:
        """Of a bin, seconds."""
        ...


Found = TypeVar("Found", bound=Fit)


class Yardstick(Shown, HasParameters, Generic[Found]):
    """Base of the yardsticks, which are frozen dataclasses with a field ``fitted_``."""

    fitted_: Found | None

    def predict(self, batch: MultimodalBatch, *, smoothed: bool = False) -> "xr.Dataset":
        """Target decoded in every bin of every trial, as `neurodyn.evaluation.labelled.labelled_target` lays it out."""
        raise NotImplementedError

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
        fitted = self._require()
        batch = check_batch(batch).aligned_to(fitted.modalities, fitted.dims)
        return score_of(batch, self.predict(batch, smoothed=smoothed))

    def _require(self) -> Found:
        if self.fitted_ is None:
            raise InputError(f"this {type(self).__name__} is not fitted: use the one that fit(batch) returns")
        return self.fitted_

    def _aligned(self, batch: MultimodalBatch) -> MultimodalBatch:
        """A batch to decode, its channels in the order of the fit.

        Raises
        ------
        InputError
            If not fitted, a modality or channel is not there, or bins have another width.
        """
        fitted = self._require()
        batch = check_batch(batch).aligned_to(fitted.modalities)
        if not np.isclose(batch.width, fitted.width):
            raise InputError(f"fitted on {fitted.width:g} s bins, the batch has {batch.width:g} s bins")
        return batch

    def _title(self) -> str:
        return f"{type(self).__name__}: {'not fitted' if self.fitted_ is None else 'fitted'}"


def check_target(batch: MultimodalBatch) -> None:
    """Refuse a batch that has no target to fit."""
    if batch.n_dims == 0:
        raise InputError("the batch has no target to fit: name one when binning")


def with_root_counts(batch: MultimodalBatch) -> MultimodalBatch:
    """The batch with square roots in the place of counts, which evens out their variance (Anscombe 1948)."""
    counts = {m.name for m in batch.modalities if m.counts}
    return replace(batch, observations={n: np.sqrt(a) if n in counts else a for n, a in batch.observations.items()})


def kept_out(batch: MultimodalBatch) -> tuple[MultimodalBatch, MultimodalBatch]:
    """What a yardstick is trained on, and blocks of time that it decides by, of the training data."""
    return validation_split(batch, VALIDATION, held_out_seconds(batch, VALIDATION, SHORTEST))
