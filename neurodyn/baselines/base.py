"""What all baselines have in common: how they are checked, scored and shown, and what they keep out to decide by."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy as np
from jaxtyping import Float

from neurodyn.binning.batch import Modality, MultimodalBatch, check_batch
from neurodyn.binning.folds import held_out_seconds, validation_split
from neurodyn.binning.limits import learn_limits, within_limits
from neurodyn.binning.scaling import Scaling
from neurodyn.display import Shown, listed
from neurodyn.errors import InputError
from neurodyn.evaluation.labelled import labelled_target, score_of
from neurodyn.evaluation.metrics import Score
from neurodyn.history.streams import Features, scored_blocks
from neurodyn.parameters import HasParameters
from neurodyn.targets.rows import Rows
from neurodyn.threads import one_ahead

if TYPE_CHECKING:
    import xarray as xr

Limits = Mapping[str, Sequence[Sequence[float]]]
"""Per modality a row of lowest and a row of highest values, one per channel."""
VALIDATION = 0.15
"""Share of the training bins that a baseline keeps out to decide by."""
SHORTEST = 10.0
"""Seconds of the shortest block of time that they come from."""

KNOWN = ("poisson", "gaussian")
"""Likelihoods of the generative models among them."""


@dataclass(frozen=True, repr=False)
class FittedOn(Shown):
    """What every fit keeps of its training data; each baseline adds its own, in a dataclass with ``repr=False``.

    Parameters
    ----------
    modalities
        Rows of the modality table, in order.
    dims
        Names of the target's dimensions.
    width
        Of a bin, seconds.
    limits
        Lowest and highest value of each channel that is a measurement, by modality, in the unit of the recording.
    """

    modalities: tuple[Modality, ...]
    dims: tuple[str, ...]
    width: float
    limits: Limits

    def _title(self) -> str:
        return "What a fit found"

    def _facts(self) -> Iterable[tuple[str, str]]:
        yield "bins", f"{1e3 * self.width:g} ms"
        yield from self.facts_of_data()
        parts = [each.name for each in fields(self) if each.name not in FittedOn.__dataclass_fields__]
        yield "parts", listed(parts, most=12)

    def facts_of_data(self) -> Iterable[tuple[str, str]]:
        """What it was fitted on, as its baseline shows it too."""
        yield from ((row.name, row.in_short()) for row in self.modalities)
        yield "target", listed(self.dims)


Found = TypeVar("Found", bound=FittedOn)
Decoded = tuple[Float[np.ndarray, "trials time dims"], Float[np.ndarray, "*bins dims"]]
"""The target in every bin and its standard deviation, which may be one for all bins."""


class BaselineDecoder(Shown, HasParameters, Generic[Found]):
    """Base of the baselines, which are frozen dataclasses with a field ``fitted_``."""

    smooths: ClassVar[bool] = True
    without_smoothing: ClassVar[str] = "leave smoothed=True out"
    supervised: ClassVar[bool] = True
    fitted_: Found | None

    def predict(self, batch: MultimodalBatch, *, smoothed: bool = False) -> "xr.Dataset":
        """Target decoded in every bin of every trial, context bins included.

        Parameters
        ----------
        batch
            Data with the modalities and channels that the baseline was fitted on, matched by label. Values far beyond
            those of the training data are missing.
        smoothed
            Use the whole trial instead of the samples up to the end of the bin; not offered by those that know the
            past only (``smooths``).

        Returns
        -------
        Dataset with ``target`` and ``deviation`` (trial x time x dim) in the unit of the target, NaN beyond a trial's
        end. Each class says where its deviation comes from.

        Raises
        ------
        InputError
            If not fitted, a modality or channel is not there, bins have another width, or a smoothed estimate is asked
            for that there is none of.
        """
        if smoothed and not self.smooths:
            raise InputError(f"{type(self).__name__} has no smoothed estimate: {self.without_smoothing}")
        fitted, batch = self._require(), self._aligned(batch)
        target, deviation = self.decode_batch(fitted, batch, smoothed=smoothed)
        stacked = batch.stacked(observations=False)
        return labelled_target(batch, stacked, target, np.broadcast_to(deviation, target.shape), fitted.dims)

    def decode_batch(self, fitted: Found, batch: MultimodalBatch, *, smoothed: bool) -> Decoded:
        """Target and deviation in the bins of a batch: what each baseline writes, and `predict` calls after its checks.

        Parameters
        ----------
        fitted
            What the fit found.
        batch
            Data in the order of the fit, values that are no measurements left out.
        smoothed
            Whether the whole trial may enter an estimate; if not, nothing after its bin.

        Returns
        -------
        (trial, time, dim) target in its unit, and its standard deviation, which may be one for all bins.
        """
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

    def __sklearn_is_fitted__(self) -> bool:
        """What ``sklearn.utils.validation.check_is_fitted`` asks; without it the name ``fitted_`` alone would do."""
        return self.fitted_ is not None

    def _require(self) -> Found:
        if self.fitted_ is None:
            raise InputError(f"this {type(self).__name__} is not fitted: use the one that fit(batch) returns")
        return self.fitted_

    def _aligned(self, batch: MultimodalBatch) -> MultimodalBatch:
        """A batch to decode, its channels in the order of the fit; values far beyond the training data's are missing.

        Raises
        ------
        InputError
            If not fitted, a modality or channel is not there, or bins have another width.
        """
        fitted = self._require()
        batch = check_batch(batch).aligned_to(fitted.modalities)
        if not np.isclose(batch.width, fitted.width):
            raise InputError(f"fitted on {fitted.width:g} s bins, the batch has {batch.width:g} s bins")
        return within_limits(batch, fitted.limits)

    def _title(self) -> str:
        return f"{type(self).__name__}: {'not fitted' if self.fitted_ is None else 'fitted'}"


def check_likelihoods(batch: MultimodalBatch, method: str) -> None:
    """Refuse likelihoods of others for a generative model that is written for Poisson counts and Gaussian values."""
    for row in batch.modalities:
        if row.likelihood not in KNOWN:
            raise InputError(
                f"{method} models {' and '.join(KNOWN)} data, and '{row.name}' is {row.likelihood}: leave it out, "
                f"give it the likelihood {KNOWN[0 if row.counts else 1]!r}, or fit another method"
            )


def check_target(batch: MultimodalBatch) -> None:
    """Refuse a batch that has no target to fit."""
    if batch.n_dims == 0:
        raise InputError("the batch has no target to fit: name one when binning")
    if not batch.scored().any():
        raise InputError(f"target {', '.join(batch.target_names)} is observed in no bin of the training data")


def facts_of(batch: MultimodalBatch) -> dict[str, Any]:
    """Arguments of `FittedOn` for a fit on a batch, whose values are as recorded."""
    scaling = Scaling.fit(batch)
    limits = learn_limits(batch.modalities, scaling.mean, scaling.scale, batch.width)
    return {"modalities": batch.modalities, "dims": batch.target_names, "width": batch.width, "limits": limits}


def decoded_by(
    predict: Callable[[Any], Any], dims: int, features: Features, batch: MultimodalBatch
) -> Float[np.ndarray, "trials time dims"]:
    """Output of a map from (..., features) to (..., dims) in every bin of every trial, beyond its end anything."""
    decoded = np.zeros((batch.n_trials, int(batch.lengths.max()), dims))
    for piece, made in one_ahead(features):
        decoded[piece.trials, piece.first : piece.last] = predict(made)
    return decoded


def rows_in_memory(features: Features, batch: MultimodalBatch, blocks: int | None = None) -> Rows:
    """Features and target of the scored bins, all at once, and which of so many blocks of time each belongs to."""
    scored = batch.scored()
    if not scored.any():
        return Rows(np.zeros((0, features.n_features), np.float32), np.zeros((0, batch.n_dims)), np.zeros(0, np.int32))
    groups = np.where(scored, 0, -1) if blocks is None else scored_blocks(batch, blocks)
    found = zip(*features.rows(groups)(), strict=True)
    rows, target, groups = (np.concatenate(column) for column in found)
    return Rows(rows, target.astype(float), groups)


def with_root_counts(batch: MultimodalBatch) -> MultimodalBatch:
    """The batch with square roots in the place of counts, which evens out their variance (Anscombe 1948)."""
    counts = {m.name for m in batch.modalities if m.counts}
    return replace(batch, observations={n: np.sqrt(a) if n in counts else a for n, a in batch.observations.items()})


def kept_out(batch: MultimodalBatch) -> tuple[MultimodalBatch, MultimodalBatch]:
    """What a baseline is trained on, and blocks of time that it decides by, of the training data."""
    return validation_split(batch, VALIDATION, held_out_seconds(batch, VALIDATION, SHORTEST))
