"""What the network sees of a bin: standardised observations, zero where missing, and how long ago the last one was.

For each modality, in the order of the batch:

- ``v``: each channel's value, square roots of counts, minus its training mean, over its training deviation, held within
  ``LIMIT`` deviations; 0 where it is missing;
- ``s``: the share of its channels that are observed in the bin;
- ``a = 1 - exp(-n / (FADING sample_every))``: n bins since the last bin with a sample, 1 before the first.

The square root evens out the variance of counts (Anscombe 1948, Biometrika 35).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from neurodyn.binning.batch import MultimodalBatch
from neurodyn.binning.scaling import moments

LIMIT = 8.0
"""Most deviations from its mean that a value is taken for: one absurd sample must not fill the state."""
FADING = 10.0
"""Samples after which the age of the last one has reached 1 - 1/e."""


@dataclass(frozen=True)
class InputScaling:
    """Means and deviations of each modality's channels (square roots of counts), from training bins.

    Parameters
    ----------
    counts
        Whether the modality is counts, one per modality.
    centre, scale
        (channels,) per modality.
    fading
        (modalities,) bins after which the age of the last sample has reached 1 - 1/e.

    Examples
    --------
    >>> import neurodyn as nd
    >>> batch = nd.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=4), seed=0)
    >>> scaling = nd.recurrent.InputScaling.fit(batch)
    >>> scaling.counts, scaling.channels, scaling.n_inputs
    ((True, False), (10, 10), 24)
    """

    counts: tuple[bool, ...]
    centre: tuple[Float[np.ndarray, " _"], ...]
    scale: tuple[Float[np.ndarray, " _"], ...]
    fading: Float[np.ndarray, " modalities"]

    @classmethod
    def fit(cls, batch: MultimodalBatch) -> "InputScaling":
        """Measure the bins of a batch that may be fitted on; a channel that never changes keeps a deviation of 1."""
        inside = batch.in_trials()
        kept = slice(None) if inside.all() else inside  # a mask copies
        centres, scales = [], []
        for modality in batch.modalities:
            values, observed = batch.observations[modality.name], batch.observed[modality.name]
            rooted = partial(_rooted, counts=modality.counts)
            centre, scale = moments(values[kept], observed[kept], of=rooted)
            centres.append(centre)
            scales.append(scale)
        fading = np.asarray([FADING * m.sample_every for m in batch.modalities], np.float32)
        return cls(tuple(m.counts for m in batch.modalities), tuple(centres), tuple(scales), fading)

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each modality."""
        return tuple(len(centre) for centre in self.centre)

    @property
    def n_inputs(self) -> int:
        """Inputs of the network: channels, then two per modality."""
        return sum(self.channels) + 2 * len(self.channels)

    def apply(
        self, number: int, values: Float[np.ndarray, "*bins channels"], observed: Bool[np.ndarray, "*bins channels"]
    ) -> Float[np.ndarray, "*bins channels"]:
        """Standardised values of one modality, zero where missing, in the precision of the values."""
        scaled = (_rooted(values, self.counts[number]) - self.centre[number]) / self.scale[number]
        return np.where(observed, np.clip(scaled, -LIMIT, LIMIT), 0).astype(values.dtype)


class Sequences(NamedTuple):
    """A timeline as the network reads it, and the runs of bins on it.

    Observations are as they were recorded, so that they are in memory once: the network's own scaling is applied to the
    bins that a step takes.

    Parameters
    ----------
    values, observed
        Observations per modality (bins, channels), in NumPy or on the device, and which of them there are.
    scaling
        Of the inputs.
    target, scored
        Standardised target (bins, dims), and where it counts (bins,).
    starts, lengths, lead
        Runs of bins; the first ``lead`` bins of each are seen and never scored.

    Examples
    --------
    >>> import numpy as np
    >>> import neurodyn as nd
    >>> batch = nd.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=4), seed=0)
    >>> scaling = nd.recurrent.InputScaling.fit(batch)
    >>> sequences = nd.recurrent.sequences_of(batch, scaling, np.zeros(3), np.ones(3))
    >>> sequences.runs_of(batch.train).lengths.tolist(), sequences.target.shape
    ([100, 100, 100], (400, 3))
    """

    values: tuple[Any, ...]
    observed: tuple[Any, ...]
    scaling: InputScaling
    target: Float[np.ndarray, "bins dims"]
    scored: Bool[np.ndarray, " bins"]
    starts: Int[np.ndarray, " runs"]
    lengths: Int[np.ndarray, " runs"]
    lead: Int[np.ndarray, " runs"]

    def runs_of(self, batch: MultimodalBatch) -> "Sequences":
        """The same timeline with the runs of another batch that shares it."""
        return self._replace(starts=batch.starts, lengths=batch.lengths, lead=batch.lead)


def sequences_of(
    batch: MultimodalBatch,
    scaling: InputScaling,
    target_mean: Float[np.ndarray, " dims"],
    target_scale: Float[np.ndarray, " dims"],
    *,
    values: Mapping[str, Any] | None = None,
    observed: Mapping[str, Any] | None = None,
) -> Sequences:
    """The timeline of a batch.

    Parameters
    ----------
    batch, scaling, target_mean, target_scale
        Data, and how inputs and target are standardised.
    values, observed
        The batch's observations on the device, if they are there already.

    Examples
    --------
    >>> import numpy as np
    >>> import neurodyn as nd
    >>> batch = nd.simulate_lorenz(nd.simulation.LorenzSettings(n_trials=4), seed=0)
    >>> scaling = nd.recurrent.InputScaling.fit(batch)
    >>> nd.recurrent.sequences_of(batch, scaling, np.zeros(3), np.ones(3)).lengths.tolist()
    [100, 100, 100, 100]
    """
    values, observed = values or batch.observations, observed or batch.observed
    target = np.where(batch.target_observed[:, None], (batch.target - target_mean) / target_scale, 0)
    return Sequences(
        values=tuple(values[name] for name in batch.names), observed=tuple(observed[name] for name in batch.names),
        scaling=scaling, target=target.astype(np.float32), scored=batch.target_observed, starts=batch.starts,
        lengths=batch.lengths, lead=batch.lead,
    )  # fmt: skip


def _rooted(values: np.ndarray, counts: bool) -> np.ndarray:
    return np.sqrt(np.maximum(values, 0)) if counts else values
