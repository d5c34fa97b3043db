"""Where a chunk of data goes: to the recorder, to the stream of true targets, or to the binner."""

from collections.abc import Sequence

from neurodyn.errors import InputError
from neurodyn.realtime.binner import StreamingBinner
from neurodyn.realtime.events import EventKind, LogEvent
from neurodyn.realtime.inputs import as_spikes
from neurodyn.realtime.recorder import SessionRecorder
from neurodyn.realtime.streams.protocol import Chunk, ChunkKind
from neurodyn.realtime.truth_stream import TruthStream


class ChunkRouter:
    """Route each chunk to recorder, true-target stream or binner.

    A malformed chunk is logged and never ends the session.

    Parameters
    ----------
    spikes
        Names of the modalities that are spikes: counts that arrive for them are taken apart.
    recorder
        Writes them down; None for nobody.
    truth
        Stream of what is decoded; None for none.
    say
        Records an event.
    """

    def __init__(
        self, spikes: Sequence[str], recorder: SessionRecorder | None, truth: TruthStream | None, say: LogEvent
    ) -> None:
        self._spikes, self._recorder, self._truth, self._say = frozenset(spikes), recorder, truth, say
        self._refused: dict[str, str] = {}  # why, of the streams whose last chunk was

    def take(self, binner: StreamingBinner, chunk: Chunk) -> None:
        """Route one chunk; an error is logged once for each stream and reason."""
        try:
            if chunk.kind is ChunkKind.SAMPLES and chunk.name in self._spikes:
                chunk = as_spikes(chunk)
            if self._recorder is not None:
                self._recorder.take(chunk)
            if self._truth is not None and chunk.name == self._truth.name:
                self._truth.take(chunk)
            elif chunk.kind is ChunkKind.SPIKES:
                binner.push_spikes(
                    chunk.name,
                    chunk.times,
                    chunk.values,
                    until=chunk.until,
                    labels=chunk.labels,
                    unrecorded=chunk.unrecorded,
                )
            else:
                binner.push_samples(chunk.name, chunk.values, chunk.times, labels=chunk.labels)
        except InputError as error:
            # Chunk after chunk of a stream is refused for one reason: saying so once is enough.
            if self._refused.get(chunk.name) != str(error):
                self._say(EventKind.BAD_INPUT, chunk.name, str(error))
            self._refused[chunk.name] = str(error)
        else:
            if self._refused:
                self._refused.pop(chunk.name, None)
