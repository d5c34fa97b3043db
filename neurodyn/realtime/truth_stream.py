"""A stream with the true target, such as a cursor that is recorded beside the brain, averaged over each bin."""

from collections import deque

import numpy as np
from jaxtyping import Float

from neurodyn.errors import InputError
from neurodyn.realtime.labels import match
from neurodyn.realtime.streams.protocol import Chunk, ChunkKind
from neurodyn.recording.edges import slack

MOST_WAITING = 10_000
"""Samples that wait for their bin before the oldest is forgotten."""


class TruthStream:
    """Keeps the samples of a stream until the bin that they lie in is decoded.

    Parameters
    ----------
    name
        Of the stream.
    target_names
        Names of the target's dimensions, which the channels are matched to.
    """

    def __init__(self, name: str, target_names: tuple[str, ...]) -> None:
        self.name, self._wanted = name, target_names
        self._waiting: deque[tuple[float, np.ndarray]] = deque(maxlen=MOST_WAITING)

    def take(self, chunk: Chunk) -> None:
        """Keep samples.

        Raises
        ------
        InputError
            If the chunk does not hold samples, or its channels are not the target's dimensions.
        """
        if chunk.kind is not ChunkKind.SAMPLES:
            raise InputError(f"the truth '{self.name}' needs samples (time x dimension), got {chunk.kind.value}")
        places = None if chunk.labels is None else match(self.name, self._wanted, chunk.labels)
        values = np.asarray(chunk.values, np.float64)
        values = values if places is None else values[:, places]
        if values.shape[1] != len(self._wanted):
            raise InputError(
                f"the truth '{self.name}' has {values.shape[1]} channels, the target {len(self._wanted)} dimensions "
                f"({', '.join(self._wanted)})"
            )
        self._waiting.extend(zip(chunk.times.tolist(), values, strict=True))

    def of(self, begin: float, end: float) -> Float[np.ndarray, " dim"] | None:
        """Mean of the samples after the begin of a bin and up to its end, seconds; None if there is none.

        What lies before it is forgotten: true targets that come after their bin are not used.
        """
        until = end + slack(end)
        inside = [value for time, value in self._waiting if begin < time <= until]
        self._waiting = deque((one for one in self._waiting if one[0] > until), MOST_WAITING)
        return np.mean(inside, axis=0) if inside else None
