"""Lagged bins as inputs of a regression, and the linear filter from them to the target.

The inputs of a bin are the samples of its last bins, in standard deviations from their channel's mean, which stands for
what is missing. Of a modality that is missing often, each lag has one more input: 1 where no channel was observed in
that bin. The filter can then learn what a loss says, and what it has to add where means stand for samples. Where losses
are rare in training that input is left out, because what a few bins teach of it would be applied to every loss to come;
what is lost then counts as the mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from neurodyn.baselines.base import with_root_counts
from neurodyn.binning.batch import Modality, MultimodalBatch
from neurodyn.binning.scaling import Scaling
from neurodyn.given import count, parse_sequence
from neurodyn.history.filters import SampleLags
from neurodyn.history.streams import Features, scored_blocks
from neurodyn.targets.linear import LinearTarget, cross_fit_ridge_stream
from neurodyn.targets.rows import Stream

OFTEN = 0.05
"""Share of the training bins in which a modality is missing, and in which it is there, if it has a mask; at least."""


@dataclass(frozen=True)
class LaggedInputs:
    """How the last bins of a batch become the inputs of a regression.

    Attributes
    ----------
    scaling
        Centre and scale of the channels, after square roots, and of the masks (0 and 1).
    lags
        Number of bins, the present one included.
    masked
        Names of the modalities that have a mask among the inputs.
    root_counts
        Whether counts are replaced by their square roots first.
    """

    scaling: Scaling
    lags: int
    masked: tuple[str, ...]
    root_counts: bool

    @classmethod
    def fit(cls, batch: MultimodalBatch, lags: int, *, root_counts: bool) -> "LaggedInputs":
        """Means and scales of the training data, and which modalities are missing often there."""
        inside = batch.in_trials()
        missing = {name: 1.0 - batch.observed[name][inside].any(axis=1).mean() for name in batch.names}
        masked = tuple(name for name, share in missing.items() if OFTEN <= share <= 1.0 - OFTEN)
        scaling = Scaling.fit(with_root_counts(batch) if root_counts else batch)
        masks = {_mask_name(name): np.zeros(1, np.float32) for name in masked}
        scales = {name: np.ones(1, np.float32) for name in masks}
        scaling = replace(scaling, mean=scaling.mean | masks, scale=scaling.scale | scales)
        return cls(scaling, lags, masked, root_counts)

    def features(self, batch: MultimodalBatch) -> Features:
        """Inputs of every bin: of each modality, masks last, its channels now, one bin ago, and so on."""
        prepared = with_root_counts(batch) if self.root_counts else batch
        return Features(self._with_masks(prepared), SampleLags(self.lags), self.scaling, future=False)

    def _with_masks(self, batch: MultimodalBatch) -> MultimodalBatch:
        """The batch with one more modality for each mask: before the start of a trial nothing is lost."""
        if not self.masked:
            return batch
        lost = {_mask_name(name): ~batch.observed[name].any(axis=1, keepdims=True) for name in self.masked}
        return replace(
            batch,
            observations={**batch.observations, **{name: flag.astype(np.float32) for name, flag in lost.items()}},
            observed={**batch.observed, **{name: np.ones_like(flag) for name, flag in lost.items()}},
            modalities=(*batch.modalities, *(Modality(name, "gaussian", (name,)) for name in lost)),
        )


class LaggedFilter(NamedTuple):
    """A linear filter, and what was fitted without each block of the training data.

    Attributes
    ----------
    inputs
        What it is applied to.
    linear
        Fitted on all blocks.
    without
        Fitted without a block, by its label.
    rows
        Inputs, target and block of each training bin.
    """

    inputs: LaggedInputs
    linear: LinearTarget
    without: dict[int, LinearTarget]
    rows: Stream

    def error(self) -> float:
        """Mean squared error on the blocks left out, in variances of the target, averaged over its dimensions."""
        scale = np.asarray(self.inputs.scaling.target_scale, np.float64)
        return float(np.mean(np.diag(self.linear.residual_covariance) / scale**2))


def fit_filter(
    batch: MultimodalBatch, lags: Sequence[int], *, penalties: tuple[float, ...], blocks: int, root_counts: bool
) -> LaggedFilter:
    """Fit a filter with each number of lags, and return the one that is best on blocks of time left out.

    Parameters
    ----------
    batch
        Training data.
    lags
        Numbers of bins to choose from.
    penalties
        To choose from, for each dimension of the target, on the same blocks.
    blocks
        Number of contiguous blocks of time, each of which is left out once.
    root_counts
        Take the square root of counts first.

    Raises
    ------
    InputError
        If a dimension of the target is constant, or there are too few bins.
    """
    groups, best = scored_blocks(batch, blocks), None
    for number in lags:
        inputs = LaggedInputs.fit(batch, number, root_counts=root_counts)
        rows = inputs.features(batch).rows(groups)
        found = LaggedFilter(inputs, *cross_fit_ridge_stream(rows, penalties=penalties), rows)
        best = found if best is None or found.error() < best.error() else best
    assert best is not None
    return best


def numbers_of_bins(lags: Any) -> tuple[int, ...]:
    """Numbers of lags to choose from.

    Raises
    ------
    InputError
        If they are not whole numbers of 1 or more.
    """
    return parse_sequence(
        lags, count, f"lags are a list of numbers of bins, 1 or more: the present bin is the first; got {lags!r}"
    )


def _mask_name(modality: str) -> str:
    return f"{modality} is missing"
