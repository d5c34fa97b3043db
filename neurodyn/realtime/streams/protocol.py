"""What a source gives and a sink takes: two methods each, so that a rig of your own is a small class."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64, Shaped

from neurodyn.errors import InputError
from neurodyn.realtime.runner import LiveEstimate


class ChunkKind(Enum):
    """What the values of a chunk are.

    Examples
    --------
    >>> from neurodyn.realtime.streams import ChunkKind
    >>> [kind.value for kind in ChunkKind]
    ['spikes', 'samples', 'markers']
    """

    SPIKES = "spikes"
    SAMPLES = "samples"
    MARKERS = "markers"


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some consecutive data of one stream.

    Parameters
    ----------
    name
        Of the stream: the modality it belongs to.
    times
        Time of each sample or spike in seconds, on the clock of the source.
    values
        Samples (time x channel), NaN where one is missing; or for spikes the row of the unit that fired, per spike; or
        for markers, per marker, the place of its text in the labels.
    kind
        Which of the three.
    until
        Seconds up to which the source has now sent everything, where it says so: the silence of neurons differs from
        that of a broken cable at once. None for the time of the last sample or spike.
    labels
        Of the channels, or of the units row by row, where the source knows them: a model finds its own by label. None
        for a source that does not know them; the order then has to be the model's. Of markers, their texts.
    unrecorded
        Of spikes: stretches in which a unit was not recorded, so that bins that touch one are missing and not zero: row
        of the unit (-1 for all units), start and stop in seconds.
    rate
        Of samples: how many there are per second by what the source says, hertz; None if it does not say.

    Raises
    ------
    InputError
        If times and values do not belong together.

    Examples
    --------
    >>> import numpy as np
    >>> from neurodyn.realtime.streams import Chunk
    >>> samples = Chunk("lfp", times=np.array([0.0, 0.001]), values=np.zeros((2, 4)), rate=1000.0)
    >>> samples.kind.value, samples.values.shape
    ('samples', (2, 4))
    >>> Chunk.of_markers("task", [(0.5, "go"), (1.2, "reward")]).markers()
    [(0.5, 'go'), (1.2, 'reward')]
    """

    name: str
    times: Float64[np.ndarray, " samples"]
    values: Shaped[np.ndarray, "samples *channels"]
    kind: ChunkKind = ChunkKind.SAMPLES
    until: float | None = None
    labels: tuple[str, ...] | None = None
    unrecorded: tuple[tuple[int, float, float], ...] = ()
    rate: float | None = None

    def __post_init__(self) -> None:
        axes = 2 if self.kind is ChunkKind.SAMPLES else 1
        if self.times.ndim != 1 or self.values.ndim != axes or len(self.values) != len(self.times):
            raise InputError(
                f"a chunk of {self.kind.value} of '{self.name}' needs {axes}-dimensional values, one row per time; "
                f"got shapes {self.times.shape} and {self.values.shape}"
            )
        if self.kind is not ChunkKind.SAMPLES and self.values.dtype.kind not in "iu":
            raise InputError(f"{self.kind.value} of '{self.name}' need whole numbers as rows, got {self.values.dtype}")
        if self.kind is ChunkKind.MARKERS and len(self.values):
            texts = len(self.labels or ())
            if not 0 <= int(self.values.min()) <= int(self.values.max()) < texts:
                raise InputError(f"markers of '{self.name}' name texts that the chunk does not have: it has {texts}")

    @classmethod
    def of_markers(cls, name: str, markers: Iterable[tuple[float, str]]) -> "Chunk":
        """Chunk of markers.

        Parameters
        ----------
        name
            Of the stream.
        markers
            Time in seconds and text of each.

        Examples
        --------
        >>> Chunk.of_markers("trials", [(1.0, "left"), (2.5, "right")]).markers()
        [(1.0, 'left'), (2.5, 'right')]
        """
        times, texts = zip(*markers, strict=True) if (markers := list(markers)) else ((), ())
        places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        rows = np.asarray([places[text] for text in texts], np.int32)
        return cls(name, np.asarray(times, np.float64), rows, ChunkKind.MARKERS, labels=tuple(places))

    def markers(self) -> list[tuple[float, str]]:
        """Time in seconds and text of each marker; none in a chunk of another kind."""
        if self.kind is not ChunkKind.MARKERS or self.labels is None:
            return []
        return [(time, self.labels[row]) for time, row in zip(self.times.tolist(), self.values.tolist(), strict=True)]


class EndOfStream(Exception):
    """A source has nothing more to give, ever.

    Examples
    --------
    >>> import tempfile
    >>> import neurodyn as nd
    >>> from neurodyn.realtime.streams import EndOfStream, open_source, parse_address
    >>> session = nd.simulate_foraging(nd.simulation.ForagingSettings(seconds=10.0), seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = nd.recording.write_hdf5(session, f"{folder}/session.h5")
    ...     source = open_source(parse_address(f"file://{path}?speed=inf"))
    ...     try:
    ...         while True:
    ...             chunks = source.read(timeout=0.1)
    ...     except EndOfStream:
    ...         source.close()
    >>> round(chunks[-1].times[-1])
    10
    """


@runtime_checkable
class Source(Protocol):
    """Where data come from.

    Examples
    --------
    >>> from neurodyn.realtime.streams import MergedSource, Source
    >>> isinstance(MergedSource([]), Source)
    True
    """

    def read(self, timeout: float) -> list[Chunk]:
        """Return what has arrived; wait for the first of it at most ``timeout`` seconds.

        Raises
        ------
        EndOfStream
            When nothing more will come.
        """
        ...

    def close(self) -> None:
        """Let go of sockets and files; a second call does nothing."""
        ...


@runtime_checkable
class Sink(Protocol):
    """Where data go: estimates of a decoder, or the chunks of a replay.

    A sink whose ``write`` returns at once, whatever its receiver does, may say so with ``never_blocks = True``.
    One whose streams have to be described before their first data may have a method ``announce(chunk)``: a replay calls
    it with an empty chunk of each stream. One that can say what it sends is of may have ``greet(hello)``, called with a
    `neurodyn.realtime.streams.hello.Hello` before the first item, and again when the model is another.

    Examples
    --------
    >>> import tempfile
    >>> from neurodyn.realtime.streams import Sink, open_sink, parse_address
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sink = open_sink(parse_address(f"file://{folder}/estimates.jsonl"))
    ...     sink.close()
    >>> isinstance(sink, Sink)
    True
    """

    def write(self, item: LiveEstimate | Chunk) -> None:
        """Send one estimate or chunk; may block if the receiver does."""
        ...

    def close(self) -> None:
        """Send what is buffered and let go; a second call does nothing."""
        ...
