"""A live decoder as a unit of an ezmsg graph: data in, estimates out. Needs the extra ``ezmsg``; see EZMSG.md.

ezmsg (https://ezmsg.org) connects units, which may run in processes of their own, by streams of messages.
"""

import asyncio
import importlib.util
import os
from collections.abc import AsyncIterator, Mapping
from typing import Any

from neurodyn.errors import import_extra
from neurodyn.realtime.bins import Bin, LatePolicy
from neurodyn.realtime.decoder import RealtimeDecoder
from neurodyn.realtime.events import Event
from neurodyn.realtime.node import Node, Told, chunk_of
from neurodyn.realtime.runner import LiveEstimate
from neurodyn.realtime.streams.hello import Hello
from neurodyn.realtime.streams.protocol import Chunk

__all__ = ["DecoderSettings", "DecoderUnit"]

# The classes have ezmsg's as their bases, and have to stand in the module: a graph of several processes pickles them.
if importlib.util.find_spec("ezmsg") is not None:
    ez: Any = import_extra("ezmsg.core", "ezmsg")

    class DecoderSettings(ez.Settings):
        """What a `DecoderUnit` decodes with.

        Parameters
        ----------
        model
            File that ``model.export()`` wrote, or a `RealtimeDecoder`.
        rates
            Samples per second of each modality that is not spikes; those left out are those of the training data.
        patience
            Seconds that a bin waits for data that are on their way.
        late
            What becomes of data later than that.
        live
            Whether data come when they are recorded. If not, time is that of the data, which come at any speed.
        poll
            Seconds between looks at the clock while no data come; how late a bin without data can be.
        with_rates
            Whether estimates have their expected rates in other processes too; without, they are a few hundred bytes.
        """

        model: str | os.PathLike[str] | RealtimeDecoder
        rates: Mapping[str, float] | None = None
        patience: float = 0.01
        late: LatePolicy = LatePolicy.CARRY
        live: bool = True
        poll: float = 0.005
        with_rates: bool = False

    class DecoderUnit(ez.Unit):
        """Decodes what it is sent, with a `Node`.

        Streams
        -------
        INPUT
            `Chunk` (spikes, samples, markers) or a list of those that were read together, `Bin` (made already), or
            ezmsg's ``AxisArray`` (samples or counts, time x channel, ``key`` the name of the modality). What is none of
            these is an event, and lost alone.
        OUTPUT_ESTIMATE
            A `LiveEstimate` per bin, in order.
        OUTPUT_HELLO
            A `Hello` before the first estimate, once a second, and after a swap to another model.
        OUTPUT_EVENT
            An `Event` for everything that goes wrong, and for every marker.
        """

        SETTINGS = DecoderSettings
        INPUT = ez.InputStream(Any)
        OUTPUT_ESTIMATE = ez.OutputStream(LiveEstimate)
        OUTPUT_HELLO = ez.OutputStream(Hello)
        OUTPUT_EVENT = ez.OutputStream(Event)

        async def initialize(self) -> None:
            """Read the model, in the process that the unit runs in.

            Raises
            ------
            InputError
                If it cannot be read, or a rate is not known.
            """
            told = self.SETTINGS
            decoder = told.model if isinstance(told.model, RealtimeDecoder) else RealtimeDecoder.load(told.model)
            self._node = Node(decoder, rates=told.rates, patience=told.patience, late=told.late, live=told.live)
            # Messages and the clock are two tasks: without a lock one would send before what the other still sends.
            self._turn = asyncio.Lock()

        @ez.subscriber(INPUT)
        @ez.publisher(OUTPUT_ESTIMATE)
        @ez.publisher(OUTPUT_HELLO)
        @ez.publisher(OUTPUT_EVENT)
        async def take(self, message: Any) -> AsyncIterator[tuple[Any, Told]]:
            """Take in a message, and send what there is to say."""
            async with self._turn:
                for one in self._taken(message):
                    yield self._stream_of(one), one

        @ez.publisher(OUTPUT_ESTIMATE)
        @ez.publisher(OUTPUT_HELLO)
        @ez.publisher(OUTPUT_EVENT)
        async def tick(self) -> AsyncIterator[tuple[Any, Told]]:
            """Let time go on while no data come."""
            while self.SETTINGS.live:
                await asyncio.sleep(self.SETTINGS.poll)
                async with self._turn:
                    for one in self._node.tick():
                        yield self._stream_of(one), one

        async def shutdown(self) -> None:
            """End the session."""
            if hasattr(self, "_node"):
                self._node.close()

        def _taken(self, message: Any) -> list[Told]:
            try:
                return self._node.take(message if _ours(message) else chunk_of(message))
            except Exception as error:  # what other units send is not known here, and the graph is to go on
                return self._node.refuse(error)

        def _stream_of(self, told: Told) -> Any:
            if isinstance(told, LiveEstimate):
                if self.SETTINGS.with_rates:
                    dict(told.rates)  # those that have been read go with a pickled estimate
                return self.OUTPUT_ESTIMATE
            return self.OUTPUT_HELLO if isinstance(told, Hello) else self.OUTPUT_EVENT

    def _ours(message: Any) -> bool:
        """Whether a message is data as this package has them."""
        many = isinstance(message, list | tuple) and all(isinstance(one, Chunk) for one in message)
        return many or isinstance(message, Chunk | Bin)

else:

    def __getattr__(name: str) -> Any:
        """Say which extra brings what is missing.

        Raises
        ------
        MissingExtraError
            For the classes of this module.
        """
        if name in ("DecoderSettings", "DecoderUnit"):
            import_extra("ezmsg.core", "ezmsg")
        raise AttributeError(f"module {__name__} has no attribute '{name}'")
