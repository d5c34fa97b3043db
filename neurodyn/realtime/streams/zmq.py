"""ZeroMQ: whoever has data binds and publishes, whoever wants them subscribes and reconnects by itself."""

import math
import struct
import time
from typing import Any

from neurodyn.errors import InputError, import_extra
from neurodyn.realtime.runner import LiveEstimate
from neurodyn.realtime.streams.address import Scheme
from neurodyn.realtime.streams.deferred_errors import DeferredErrors
from neurodyn.realtime.streams.hello import Hello, PeriodicMessage
from neurodyn.realtime.streams.protocol import Chunk, ChunkKind
from neurodyn.realtime.streams.wire import decode_chunk, encode, encode_hello

BACKLOG = 10_000
"""Messages a slow subscriber may be behind before ZeroMQ drops new ones for it."""
LARGEST = 64 * 2**20
"""Bytes of the largest message that is taken, all its parts together, seconds of a thousand channels."""
MOST_PARTS = 16
"""Parts of a message that is taken; ours have five at most."""
LOOK_EVERY = 0.5
"""Seconds between looks for a publisher that ZeroMQ has given up; where it has not, it tries again sooner."""
SHOWN = 60
"""Bytes of the topic of a message that is too large that are shown of it."""
MOST_PER_READ, MOST_BYTES = 256, 128 * 2**20
"""Messages and bytes from which on a read takes no more, so that a flood cannot keep the reader from decoding."""


class ZmqSource:
    """Chunks from a publisher.

    Parameters
    ----------
    endpoint
        To connect to, like ``tcp://127.0.0.1:5555``. The publisher may start later, stop and come back.

    Raises
    ------
    InputError
        If ZeroMQ does not take the endpoint.
    """

    def __init__(self, endpoint: str) -> None:
        self._zmq: Any = import_extra("zmq", "zmq")
        self._bad = DeferredErrors()
        self._milliseconds = 0  # that the socket waits
        self._context = self._zmq.Context()
        self._socket = self._context.socket(self._zmq.SUB)
        self._socket.setsockopt(self._zmq.RCVHWM, BACKLOG)
        self._socket.setsockopt(self._zmq.MAXMSGSIZE, LARGEST)
        for kind in ChunkKind:
            self._socket.setsockopt(self._zmq.SUBSCRIBE, f"{kind.value}/".encode())
        self._endpoint, self._next_look, self._gone = endpoint, 0.0, False
        events = self._zmq.EVENT_CONNECTED | self._zmq.EVENT_CONNECT_RETRIED | self._zmq.EVENT_DISCONNECTED
        self._monitor = self._socket.get_monitor_socket(events)
        _attach(self._zmq, self._context, self._socket.connect, endpoint)

    def read(self, timeout: float) -> list[Chunk]:
        """Return the chunks that have arrived, waiting for the first.

        Raises
        ------
        InputError
            For a message in the read before that is not ours or is too large; the others in it have been returned.
        """
        self._look()
        self._bad.raise_all()
        chunks: list[Chunk] = []
        # Waiting in the call that receives: a poll before it would cost as much as the message.
        # Rather too short than too long: who waits for a moment is not to miss it.
        milliseconds = max(math.floor(1e3 * timeout + 1e-6), 1)
        if milliseconds != self._milliseconds:
            self._socket.setsockopt(self._zmq.RCVTIMEO, milliseconds)
            self._milliseconds = milliseconds
        taken, flags = 0, 0 if timeout > 0 else self._zmq.NOBLOCK
        try:
            for _ in range(MOST_PER_READ):
                parts, size = self._receive(flags)
                self._decode(parts, chunks)
                flags, taken = self._zmq.NOBLOCK, taken + size
                if taken >= MOST_BYTES:
                    break
        except self._zmq.Again:
            pass
        return chunks

    def close(self) -> None:
        """Disconnect."""
        self._context.destroy(linger=0)

    def _look(self) -> None:
        """Connect anew to a publisher that ZeroMQ has given up: it does so for good after a part that is too large."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + LOOK_EVERY
        before, events = self._gone, []
        while self._monitor.poll(0):
            events.append(struct.unpack("=H", self._monitor.recv_multipart()[0][:2])[0])
        # Of one that has only gone away the next event, well before the next look, is that it is tried again.
        self._gone = events[-1] == self._zmq.EVENT_DISCONNECTED if events else before
        if before and self._gone and not events:
            self._gone = False
            self._socket.disconnect(self._endpoint)
            self._socket.connect(self._endpoint)
            text = f"was cut off, as ZeroMQ does with a part of a message above {LARGEST / 2**20:g} MB"
            self._bad.add(InputError(f"the publisher at {self._endpoint} {text}: connected anew, send shorter chunks"))

    def _receive(self, flags: int) -> tuple[list[bytes], int]:
        """Parts of the next message, and the bytes that came; no parts of one that is too large, which is reported."""
        parts, size, count, more = [], 0, 0, True
        while more:
            # The limit of ZeroMQ is that of a part: the parts are counted here, and let go of where they are too many.
            frame = self._socket.recv(flags, copy=False)
            size, count, more = size + len(frame), count + 1, frame.more
            if size <= LARGEST and count <= MOST_PARTS:
                parts.append(frame.bytes)
        if count == len(parts):
            return parts, size
        self._bad.add(
            InputError(
                f"a message {b''.join(parts[:1])[:SHOWN]!r} of {size / 2**20:.3g} MB in {count} parts is lost, at most "
                f"{LARGEST / 2**20:g} MB in {MOST_PARTS} parts are taken: send shorter chunks"
            )
        )
        return [], size

    def _decode(self, parts: list[bytes], chunks: list[Chunk]) -> None:
        if not parts:
            return
        try:
            chunks.append(decode_chunk(parts))
        except InputError as error:
            self._bad.add(error)


class ZmqSink:
    """Publisher of estimates or chunks: never blocks, drops what a slow subscriber does not fetch.

    Parameters
    ----------
    endpoint
        To bind, like ``tcp://127.0.0.1:5556``.
    rates
        Send the expected rates with an estimate too; they are computed for it alone.

    Raises
    ------
    InputError
        If the port is taken or the endpoint is not one.
    """

    never_blocks = True

    def __init__(self, endpoint: str, *, rates: bool = False) -> None:
        self._zmq: Any = import_extra("zmq", "zmq")
        self._rates = rates
        self._hello = PeriodicMessage()
        self._context = self._zmq.Context()
        # XPUB is PUB that also tells of subscriptions: `wait` needs them.
        self._socket = self._context.socket(self._zmq.XPUB)
        self._socket.setsockopt(self._zmq.SNDHWM, BACKLOG)
        _attach(self._zmq, self._context, self._socket.bind, endpoint)

    @property
    def endpoint(self) -> str:
        """Where subscribers connect; tells the port if it was bound to ``:*``."""
        return self._socket.getsockopt_string(self._zmq.LAST_ENDPOINT)

    def wait(self, timeout: float) -> bool:
        """Wait for a subscriber, at most ``timeout`` seconds; whether there is one."""
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            if self._socket.poll(math.ceil(1e3 * left)) and self._socket.recv().startswith(b"\x01"):
                return True
        return False

    def greet(self, hello: Hello) -> None:
        """Say what the stream is of, before the next message and again every second: who subscribes later gets it."""
        self._hello.say(encode_hello(hello))

    def write(self, item: LiveEstimate | Chunk) -> None:
        """Send to all subscribers."""
        if (hello := self._hello.due()) is not None:
            self._socket.send_multipart(hello)
        self._socket.send_multipart(encode(item, rates=self._rates))

    def close(self) -> None:
        """Send what is queued, for at most a second, and unbind."""
        self._context.destroy(linger=1000)


def _attach(zmq: Any, context: Any, attach: Any, endpoint: str) -> None:
    try:
        attach(endpoint)
    except zmq.ZMQError as error:
        context.destroy(linger=0)
        raise InputError(f"ZeroMQ cannot use {endpoint}: {error}") from error


SCHEME = Scheme(
    "zmq",
    "zmq://127.0.0.1:5555",
    source=lambda address: ZmqSource(f"tcp://{address.host}:{address.port}"),
    sink=lambda address: ZmqSink(f"tcp://{address.host}:{address.port}", rates="rates" in address.options),
    options=frozenset(("rates",)),
    server=True,
    named=False,
)
