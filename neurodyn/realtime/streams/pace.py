"""Several streams read as one: exactly one of them, the fastest, is waited for."""

from collections.abc import Iterable, Sequence

from neurodyn.errors import InputError
from neurodyn.realtime.streams.deferred_errors import DeferredErrors
from neurodyn.realtime.streams.protocol import Chunk, EndOfStream, Source

FORGETTING = 0.99
"""Weight of a delivery after each further read: some hundred reads decide who is fastest."""


class Pace:
    """Which of several streams delivers most often, lately.

    Waiting for the fastest alone never makes a slower one late by more than one of the fastest's periods, and waiting
    for two would add up their delays (BRAND's rule).
    """

    def __init__(self) -> None:
        self._weight: dict[str, float] = {}

    def count_read(self, arrived: Iterable[str], known: Iterable[str]) -> None:
        """Count one read: which streams delivered, of those there are."""
        arrived = set(arrived)
        self._weight = {
            name: FORGETTING * self._weight.get(name, 0.0) + (name in arrived) for name in (*known, *arrived)
        }

    def order(self, names: Sequence[str]) -> list[str]:
        """Return the streams with the fastest in front; ties stay as they are given."""
        return sorted(names, key=lambda name: -self._weight.get(name, 0.0))


class MergedSource:
    """Several sources as one.

    Parameters
    ----------
    sources
        Closed together with this one.

    Examples
    --------
    >>> import tempfile
    >>> import neurodyn as nd
    >>> from neurodyn.realtime.streams import MergedSource, open_source, parse_address
    >>> session = nd.simulate_foraging(nd.simulation.ForagingSettings(seconds=10.0), seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = nd.recording.write_hdf5(session, f"{folder}/session.h5")
    ...     source = MergedSource([open_source(parse_address(f"file://{path}?speed=inf"))])
    ...     sorted(chunk.name for chunk in source.first_chunks())
    ...     source.close()
    ['field', 'spikes']
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = {str(index): source for index, source in enumerate(sources)}
        self._pace = Pace()
        self._bad = DeferredErrors()

    def first_chunks(self) -> list[Chunk]:
        """One empty chunk per stream, of those sources that know ahead what will come."""
        return [chunk for source in self._sources.values() for chunk in announced(source)]

    def read(self, timeout: float) -> list[Chunk]:
        """Wait for the fastest source, then take what the others have.

        Raises
        ------
        EndOfStream
            When all have ended.
        InputError
            For a bad message of a source in the read before; what the others had in it has been returned.
        """
        self._bad.raise_all()
        if not self._sources:
            raise EndOfStream
        chunks: list[Chunk] = []
        arrived = []
        for name in self._pace.order(list(self._sources)):
            got = self._read_one(name, timeout)
            timeout = 0.0
            if got:
                arrived.append(name)
                chunks += got
        self._pace.count_read(arrived, self._sources)
        return chunks

    def close(self) -> None:
        """Close every source."""
        for source in self._sources.values():
            source.close()

    def _read_one(self, name: str, timeout: float) -> list[Chunk]:
        try:
            return self._sources[name].read(timeout)
        except EndOfStream:
            self._sources.pop(name).close()
        except InputError as error:
            self._bad.add(error)
        return []


def announced(source: Source) -> list[Chunk]:
    """Empty chunks with the names and labels of what a source will give, where it knows that ahead (a file does)."""
    first = getattr(source, "first_chunks", None)
    return [] if first is None else first()
