"""The field potential itself, averaged over the samples of each bin."""

from collections.abc import Sequence
from dataclasses import dataclass

from neurodyn.binning.field_feature import FieldFeature, SampleFilter


@dataclass(frozen=True)
class SignalMean(FieldFeature):
    """Mean of the samples of each bin, at even times or not.

    Examples
    --------
    >>> SignalMean().names(["lfp0", "lfp1"])
    ('lfp0', 'lfp1')
    """

    label = "the signal itself"
    even = False

    def filter(self, rate: float, channels: int) -> SampleFilter | None:
        """Nothing to filter."""
        return None

    def names(self, channels: Sequence[str]) -> tuple[str, ...]:
        """Those of the channels."""
        return tuple(channels)

    @classmethod
    def of_names(cls, names: Sequence[str]) -> "tuple[tuple[str, ...], SignalMean]":
        """Any names may be those of channels."""
        return tuple(names), cls()
