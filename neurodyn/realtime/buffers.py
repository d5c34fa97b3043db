"""What the two buffers of a :class:`neurodyn.realtime.StreamingBinner` share: their sources, the bins, the past.

Data come in by ``push``, and each bin ends with ``close``; it never raises on what a source sends.
Times are seconds on the clock of the bins; a source whose own clock jumped is moved back onto it. Spikes wait in
`spike_buffer`, samples in `field_buffer`.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Num

from neurodyn.binning import FieldFeature, SignalMean
from neurodyn.errors import InputError
from neurodyn.realtime.stamps import FARTHEST, MEMORY

MAX_WAITING = 2**24
"""Most numbers that wait in a buffer: 128 MB."""


@dataclass(frozen=True)
class SpikeInput:
    """A source of spikes.

    Attributes
    ----------
    name
        Of the modality.
    units
        How many there are; spikes come with unit numbers 0 to units - 1.
    silence
        Seconds without a word after which the source counts as missing; before, no spikes are zero counts.
    labels
        One per unit, which a source with labels is matched by; () if they are not known.

    Raises
    ------
    InputError
        If there are no units, not one label each, or the silence is negative.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.realtime import SpikeInput, StreamingBinner
    >>> binner = StreamingBinner([SpikeInput("spikes", units=2)], width=0.1, start=0.0)
    >>> binner.push_spikes("spikes", np.array([0.02, 0.05, 0.13]), np.array([0, 1, 1]))
    >>> [done.observations["spikes"].tolist() for done in binner.ready(now=0.15)]
    [[1.0, 1.0]]
    """

    name: str
    units: int
    silence: float = 1.0
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_labels(self.name, self.labels, self.units)
        if self.units < 1 or not self.silence >= 0:
            raise InputError(f"'{self.name}' needs units >= 1 and silence >= 0 s, got {self.units}, {self.silence}")


@dataclass(frozen=True)
class FieldInput:
    """A source of samples at a fixed rate.

    Attributes
    ----------
    name
        Of the modality.
    channels
        Of the raw samples; the modality has this many times the values that the feature has per channel.
    rate
        Samples per second.
    feature
        What is made of the samples, such as band powers; None for their mean.
    width
        Seconds per feature if that is slower than the bins (a multiple of their width): it then comes in the last bin
        of its window. None for one per bin.
    labels
        One per channel of the raw samples, which a source with labels is matched by; () if they are not known.

    Raises
    ------
    InputError
        If there are no channels, not one label each, or the rate is not positive or too low for the feature.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.realtime import FieldInput, StreamingBinner
    >>> binner = StreamingBinner([FieldInput("lfp", channels=2, rate=100.0)], width=0.05, start=0.0)
    >>> binner.push_samples("lfp", np.ones((12, 2)), np.arange(12) / 100.0)
    >>> [done.observations["lfp"].tolist() for done in binner.ready(now=0.12)]
    [[1.0, 1.0], [1.0, 1.0]]
    """

    name: str
    channels: int
    rate: float
    feature: FieldFeature | None = None
    width: float | None = None
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_labels(self.name, self.labels, self.channels)
        if self.channels < 1 or not 0 < self.rate < np.inf:
            raise InputError(f"'{self.name}' needs channels >= 1 and a rate > 0 Hz, got {self.channels}, {self.rate}")
        self.made.check_rate(self.rate, f"'{self.name}'")

    @property
    def made(self) -> FieldFeature:
        """What is made of the samples."""
        return self.feature or SignalMean()

    @property
    def features(self) -> int:
        """Channels of the modality."""
        return self.channels * len(self.made.names(("",)))


@dataclass
class Grid:
    """Bins without end: bin k covers ``[start + k width, start + (k + 1) width)``, as in `neurodyn.binning.TimeGrid`.

    Attributes
    ----------
    start, width
        Seconds; the start moves when the clock of the bins jumps, so that the bins go on with the next number.
    present
        Seconds, if it is set before data come: a source that has sent data of a later time and now sends earlier ones
        has set its clock back, and what waits for then is forgotten. Infinite if it is not set.
    """

    start: float
    width: float
    present: float = math.inf

    def edge(self, index: int) -> float:
        """Begin of a bin, seconds."""
        return self.start + self.width * index


def _check_labels(name: str, labels: tuple[str, ...], count: int) -> None:
    if labels and len(labels) != count:
        raise InputError(f"'{name}' needs a label for each of its {count} channels, or none, got {len(labels)}")


def in_order(times: Num[np.ndarray, " n"]) -> bool:
    """Whether there are times (seconds), all of them finite, none before the one in front of it.

    Data come like that as a rule: one look here saves the many that data in disorder need.
    """
    n = len(times)
    # The comparison is false for NaN. A count takes a third of the time of .all().
    if n == 0 or np.count_nonzero(times[1:] >= times[:-1]) < n - 1:
        return False
    return bool(times[0] > -FARTHEST and times[-1] < FARTHEST)


class Recent:
    """What was handed out in the last ``MEMORY`` seconds: one piece per bin, whatever the clock does meanwhile.

    Parameters
    ----------
    width
        Of a bin, seconds.
    types
        Of the arrays of a piece.
    """

    def __init__(self, width: float, types: Sequence[type]) -> None:
        self._pieces: deque[tuple[np.ndarray, ...]] = deque(maxlen=math.ceil(MEMORY / width))
        self._types = tuple(types)

    def add(self, *columns: np.ndarray) -> None:
        """Remember one bin's data, arrays of one length, and forget the oldest bin's."""
        # Copies: a part of an array would keep the whole of it in memory.
        self._pieces.append(tuple(column.copy() for column in columns))

    def columns(self) -> tuple[np.ndarray, ...]:
        """All that is remembered of each array, oldest first."""
        return self._joined(self._pieces)

    def since(self, time: float) -> tuple[np.ndarray, ...]:
        """The arrays of the newest pieces, back to the first that lies before a time of its first array (seconds)."""
        pieces: list[tuple[np.ndarray, ...]] = []
        for piece in reversed(self._pieces):
            if len(piece[0]):
                pieces.append(piece)
                if piece[0].max() < time:
                    break
        return self._joined(pieces[::-1])

    def _joined(self, pieces: Sequence[tuple[np.ndarray, ...]]) -> tuple[np.ndarray, ...]:
        if not pieces:
            return tuple(np.zeros(0, dtype) for dtype in self._types)
        return tuple(np.concatenate(columns) for columns in zip(*pieces, strict=True))

    def clear(self) -> None:
        """Forget all."""
        self._pieces.clear()

    def __len__(self) -> int:
        return sum(len(piece[0]) for piece in self._pieces)
