"""What is made of a field potential in each bin: the interface of a feature, a row of ``FEATURES`` in ``features.py``.

A feature is a causal filter, whose outputs are averaged over the samples of each bin, and a function of that mean.
Offline and live run the same filter; gaps, windows, masks and labels are looked after around it.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Float64

Values = Float64[np.ndarray, "samples channels"]
Known = Bool[np.ndarray, "samples channels"]
Levels = Float64[np.ndarray, "samples channels outputs"]
LevelsKnown = Bool[np.ndarray, "samples channels outputs"]


@runtime_checkable
class SampleFilter(Protocol):
    """A causal filter whose state lasts from one block of samples to the next."""

    def push(self, values: Values, pieces: Sequence[tuple[slice, int]]) -> tuple[Levels, LevelsKnown]:
        """Filter a block of samples.

        Parameters
        ----------
        values
            Samples x channels in the unit of the recording, following those of the last call; NaN is missing.
        pieces
            Stretches of the block without a gap in the clock, and the number of the first sample of each: it counts
            all ticks of the clock, those that no sample came of included.

        Returns
        -------
        level, known
            Outputs at each sample, samples x channels x values per channel, and where they are known. A bin with a
            sample whose output is unknown is missing.
        """
        ...


class FieldFeature(ABC):
    """A causal feature of a field potential, one or more values per channel and bin.

        feature[k] = of_mean( mean over the samples of bin k of  filter(x) )

    Attributes
    ----------
    label
        What it is called in messages and, behind the channel's, in the names of the model's channels.
    even
        Whether its filter needs samples at even times.

    Examples
    --------
    >>> from neurodyn.binning import BandPower, FieldFeature, SignalMean
    >>> [isinstance(feature, FieldFeature) for feature in (BandPower(), SignalMean())]
    [True, True]
    >>> SignalMean().names(["lfp0", "lfp1"])
    ('lfp0', 'lfp1')
    """

    label: ClassVar[str]
    even: ClassVar[bool] = True

    @abstractmethod
    def filter(self, rate: float, channels: int) -> SampleFilter | None:
        """Make the filter; None where the signal itself is averaged.

        Parameters
        ----------
        rate
            Samples per second.
        channels
            Of the signal.
        """

    def of_mean(self, mean: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        """Values of the feature from the means of the filter's outputs over bins.

        Parameters
        ----------
        mean
            (..., channels, outputs), NaN where unknown.

        Returns
        -------
        np.ndarray
            (..., channels, values per channel), NaN where there is none.
        """
        return mean

    def unit(self, unit: str) -> str:
        """Unit of the values, from that of the signal; "" if that is not known."""
        return unit

    def check_rate(self, rate: float, owner: str) -> None:
        """Refuse a sampling rate in Hz that is too low; ``owner`` is whose it is, for the message.

        Raises
        ------
        InputError
            If it is.
        """
        return

    def names(self, channels: Sequence[str]) -> tuple[str, ...]:
        """Name of each value, channel by channel: they are all that a saved model keeps of the feature."""
        return tuple(f"{channel} {self.label}" for channel in channels)

    @classmethod
    def of_names(cls, names: Sequence[str]) -> "tuple[tuple[str, ...], FieldFeature] | None":
        """Channels of the signal and the feature, from the names of a model's channels; None if they are of another.

        A feature with settings finds them in the names.
        """
        end = f" {cls.label}"
        if not all(name.endswith(end) for name in names):
            return None
        return tuple(name.removesuffix(end) for name in names), cls()
